//! Values that came from the environment or a file stand in no message, however wrong the setting
//! that they are of.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::program::{Project, Ran, run};

/// Each piece of it would be recognised.
const SECRET: &str = "hunter2-planted-xylophone";

/// Nobody listens there.
const NOWHERE: &str = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n";

/// A project whose configuration names the secret in the environment and in a file.
fn project(config: &str) -> Project {
    let project = Project::new();
    project.write("rapport.toml", config);
    project.write("password", format!("{SECRET}\n"));
    project
}

fn command(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    command.env("PW", SECRET).env("RAPPORT_LOG", "trace").arg("-vvv");
    command
}

/// What it said, in which the secret, or a piece of it, stands nowhere.
#[track_caller]
fn says_nothing(command: Command) -> Ran {
    let ran = run(command);
    let said = format!("{}{}", ran.text(), ran.stderr);
    for piece in ["hunter2", "planted", "xylophone"] {
        assert!(!said.contains(piece), "\"{piece}\" of the secret is told: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    ran
}

#[test]
fn properties_of_kafka() {
    let check = |property: &str, words: &str| {
        let protocol = "\"security.protocol\" = \"sasl_plaintext\"\n";
        let own = property.starts_with("\"security.protocol\"");
        let protocol = if own { "" } else { protocol };
        let project = project(&format!("{NOWHERE}[kafka.properties]\n{protocol}{property}\n"));
        let ran = says_nothing(command(&project, &["ingest", "run", "--until-caught-up"]));
        ran.refused(2, &["[kafka.properties]", words]);
        let ran = says_nothing(command(&project, &["doctor"]));
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(ran.text().contains(words), "{ran}");
    };
    let meant = "no such property; did you mean \"sasl.password\"?";
    check("\"sasl.pasword\" = { env = \"PW\" }", meant);
    check("\"sasl.pasword\" = { file = \"password\" }", meant);
    check(&format!("\"sasl.pasword\" = \"{SECRET}\""), meant);
    check("\"ssl.key.pasword\" = { env = \"PW\" }", "did you mean \"ssl.key.password\"?");
    check("\"colour\" = { env = \"PW\" }", "no such property");
    check("\"security.protocol\" = { env = \"PW\" }", "a value that it can't have");
    check("\"session.timeout.ms\" = { env = \"PW\" }", "a value that it can't have");
    check("\"enable.auto.commit\" = { file = \"password\" }", "must be true or false");
    check("\"debug\" = { env = \"PW\" }", "a value that it can't have");
    check("\"sasl.mechanism\" = { env = \"PW\" }", "no client can be made");
    check("\"plugin.library.paths\" = { env = \"PW\" }", "[kafka.properties]");
    check(
        "\"sasl.mechanism\" = \"OAUTHBEARER\"\n\"sasl.oauthbearer.config\" = { env = \"PW\" }\n\
         \"enable.sasl.oauthbearer.unsecure.jwt\" = { env = \"PW\" }",
        "must be true or false",
    );
    check(
        &format!("\"sasl.password\" = {{ env = \"{SECRET}\" }}"),
        "env is the name of a variable",
    );
}

#[test]
fn every_command_that_makes_a_client() {
    let project =
        project(&format!("{NOWHERE}[kafka.properties]\n\"sasl.pasword\" = {{ env = \"PW\" }}\n"));
    let generate = ["generate", "--kafka", "127.0.0.1:1", "--partners", "1", "--events", "10"];
    says_nothing(command(&project, &generate)).refused(2, &["sasl.pasword"]);
    says_nothing(command(&project, &["run"])).refused(2, &["sasl.pasword"]);
    says_nothing(command(&project, &["bench", "ingest"])).refused(2, &["sasl.pasword"]);
    for other in [&["lake", "status"][..], &["sql", "SELECT 1"], &["metrics", "list"]] {
        says_nothing(command(&project, other));
    }
}

#[test]
fn options_of_the_store() {
    let check = |option: &str, words: &str| {
        let root = "[lake]\nroot = \"s3://bucket/lake\"\n";
        let config = format!("{NOWHERE}{root}[lake.store]\nallow_http = true\n{option}\n");
        let config = match option.starts_with("allow_http") {
            true => config.replacen("allow_http = true\n", "", 1),
            false => config,
        };
        let project = project(&config);
        for arguments in [&["lake", "status"][..], &["ingest", "run"], &["sql", "SELECT 1"]] {
            says_nothing(command(&project, arguments)).refused(2, &[words]);
        }
        let ran = says_nothing(command(&project, &["doctor"]));
        assert!(ran.text().contains(words), "{ran}");
    };
    check("secret_acess_key = { env = \"PW\" }", "did you mean \"secret_access_key\"?");
    check("allow_http = { env = \"PW\" }", "allow_http has a value that it can't have");
    check("timeout = { file = \"password\" }", "timeout has a value that it can't have");
    check(&format!("endpoint = \"http://me:{SECRET}@127.0.0.1:1\""), "do not stand in it");
    check(&format!("secret_access_key = \"{SECRET}\""), "a secret does not stand here");
}

/// A server that answers each request with an error that quotes it whole.
fn echo(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let mut request = vec![0; 1 << 16];
            let read = connection.read(&mut request).unwrap_or(0);
            let body = String::from_utf8_lossy(&request[..read]).into_owned();
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close", body.len());
            drop(connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes()));
        }
    });
    address
}

#[test]
fn a_store_that_quotes_what_it_was_sent() {
    let address = echo("403 Forbidden");
    let project = project(&format!(
        "{NOWHERE}[lake]\nroot = \"s3://bucket/lake\"\n[lake.store]\nallow_http = true\n\
         endpoint = \"{address}\"\naccess_key_id = {{ env = \"PW\" }}\n\
         secret_access_key = {{ file = \"password\" }}\nsession_token = {{ env = \"PW\" }}\n"
    ));
    for arguments in [&["lake", "status"][..], &["sql", "SELECT 1"]] {
        let ran = says_nothing(command(&project, arguments));
        ran.refused(1, &["s3://bucket/lake", "403"]);
    }
    let ran = says_nothing(command(&project, &["doctor", "--format", "json"]));
    assert!(ran.text().contains("403"), "{ran}");
}

#[test]
fn users_and_passwords_in_addresses() {
    let address = format!("me:{SECRET}@127.0.0.1:1");
    let check = |variable: &str, value: &str, words: &str| {
        let project = project(NOWHERE);
        for arguments in [&["doctor"][..], &["ingest", "run"], &["lake", "status"]] {
            let mut command = command(&project, arguments);
            command.env(variable, value);
            let ran = says_nothing(command);
            if !variable.contains("REGISTRY") {
                assert!(ran.to_string().contains(words), "{ran}");
            }
        }
    };
    check("RAPPORT_LAKE_ROOT", &format!("s3://me:{SECRET}@bucket"), "holds a user or a password");
    check("RAPPORT_KAFKA_BOOTSTRAP_SERVERS", &address, "holds a user or a password");
    check("RAPPORT_SCHEMA_REGISTRY_URL", &format!("http://{address}"), "by the environment");
    check("RAPPORT_SCHEMA_REGISTRY_URL", &format!("http://me:{SECRET}@x y:z"), "the url is none");
    let generate = ["generate", "--partners", "1", "--events", "10", "--kafka", &address];
    says_nothing(command(&project(NOWHERE), &generate)).refused(2, &["--kafka holds a user"]);
}

#[test]
fn a_registry_that_quotes_what_it_was_sent() {
    let address = echo("401 Unauthorized");
    let project = project(&format!("{NOWHERE}[kafka.schema_registry]\nurl = \"{address}\"\n"));
    let mut command = command(&project, &["doctor"]);
    command.env("RAPPORT_SCHEMA_REGISTRY_USER", SECRET);
    command.env("RAPPORT_SCHEMA_REGISTRY_PASSWORD", SECRET);
    let ran = says_nothing(command);
    assert!(ran.text().contains("it answers 401"), "{ran}");
}

#[test]
fn what_the_parser_of_toml_would_quote() {
    let check = |config: &str, words: &[&str]| {
        let project = project(config);
        says_nothing(command(&project, &["lake", "status"])).refused(2, words);
        says_nothing(command(&project, &["doctor"]));
    };
    check(
        &format!("[kafka]\nproperties = \"{SECRET}\""),
        &["rapport.toml:2:14: invalid type: text, expected a map"],
    );
    check(&format!("[kafka.properties]\n\"sasl.password\" = {SECRET}"), &["rapport.toml:2:"]);
    check(&format!("[kafka.properties]\n\"sasl.password\" = \"{SECRET}"), &["rapport.toml:2:"]);
    check(&format!("[kafka.schema_registry]\nurl = [\"{SECRET}\"]"), &["rapport.toml:2:7"]);
}
