//! No message shows a value from the environment or a file, however wrong the setting is.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::support::program::{ProgramOutput, Project, run};

/// A secret whose parts are easy to find.
const SECRET: &str = "hunter2-planted-xylophone";

/// Nothing listens at this address.
const UNREACHABLE_BROKER: &str = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n";

/// Returns a project whose configuration may name the secret in the environment or in a file.
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

/// Runs a command, and checks that its output holds no part of the secret.
#[track_caller]
fn run_without_leak(command: Command) -> ProgramOutput {
    let result = run(command);
    let messages = format!("{}{}", result.stdout_text(), result.stderr);
    for part in ["hunter2", "planted", "xylophone"] {
        assert!(!messages.contains(part), "\"{part}\" of the secret is printed: {messages}");
    }
    assert!(!messages.contains("panicked"), "{messages}");
    result
}

#[test]
fn kafka_properties_are_never_printed() {
    let check = |property: &str, message: &str| {
        let protocol = "\"security.protocol\" = \"sasl_plaintext\"\n";
        let own = property.starts_with("\"security.protocol\"");
        let protocol = if own { "" } else { protocol };
        let project =
            project(&format!("{UNREACHABLE_BROKER}[kafka.properties]\n{protocol}{property}\n"));
        let result = run_without_leak(command(&project, &["ingest", "run", "--until-caught-up"]));
        result.expect_error(2, &["[kafka.properties]", message]);
        let result = run_without_leak(command(&project, &["doctor"]));
        assert_eq!(result.code, Some(3), "{result}");
        assert!(result.stdout_text().contains(message), "{result}");
    };
    let suggestion = "no such property; did you mean \"sasl.password\"?";
    check("\"sasl.pasword\" = { env = \"PW\" }", suggestion);
    check("\"sasl.pasword\" = { file = \"password\" }", suggestion);
    check(&format!("\"sasl.pasword\" = \"{SECRET}\""), suggestion);
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
fn no_command_that_makes_a_kafka_client_prints_a_secret() {
    let project = project(&format!(
        "{UNREACHABLE_BROKER}[kafka.properties]\n\"sasl.pasword\" = {{ env = \"PW\" }}\n"
    ));
    let generate = ["generate", "--kafka", "127.0.0.1:1", "--partners", "1", "--events", "10"];
    run_without_leak(command(&project, &generate)).expect_error(2, &["sasl.pasword"]);
    run_without_leak(command(&project, &["run"])).expect_error(2, &["sasl.pasword"]);
    run_without_leak(command(&project, &["bench", "ingest"])).expect_error(2, &["sasl.pasword"]);
    for other in [&["lake", "status"][..], &["sql", "SELECT 1"], &["metrics", "list"]] {
        run_without_leak(command(&project, other));
    }
}

#[test]
fn options_of_the_object_store_are_never_printed() {
    let check = |option: &str, message: &str| {
        let root = "[lake]\nroot = \"s3://bucket/lake\"\n";
        let config =
            format!("{UNREACHABLE_BROKER}{root}[lake.store]\nallow_http = true\n{option}\n");
        let config = match option.starts_with("allow_http") {
            true => config.replacen("allow_http = true\n", "", 1),
            false => config,
        };
        let project = project(&config);
        for arguments in [&["lake", "status"][..], &["ingest", "run"], &["sql", "SELECT 1"]] {
            run_without_leak(command(&project, arguments)).expect_error(2, &[message]);
        }
        let result = run_without_leak(command(&project, &["doctor"]));
        assert!(result.stdout_text().contains(message), "{result}");
    };
    check("secret_acess_key = { env = \"PW\" }", "did you mean \"secret_access_key\"?");
    check("allow_http = { env = \"PW\" }", "allow_http has a value that it can't have");
    check("timeout = { file = \"password\" }", "timeout has a value that it can't have");
    check(&format!("endpoint = \"http://me:{SECRET}@127.0.0.1:1\""), "do not stand in it");
    check(&format!("secret_access_key = \"{SECRET}\""), "a secret does not stand here");
}

/// Starts a server that answers each request with an error that quotes the request.
fn start_echo_server(status: &'static str) -> String {
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
fn a_store_error_that_quotes_the_request_is_masked() {
    let address = start_echo_server("403 Forbidden");
    let project = project(&format!(
        "{UNREACHABLE_BROKER}[lake]\nroot = \"s3://bucket/lake\"\n[lake.store]\nallow_http = true\n\
         endpoint = \"{address}\"\naccess_key_id = {{ env = \"PW\" }}\n\
         secret_access_key = {{ file = \"password\" }}\nsession_token = {{ env = \"PW\" }}\n"
    ));
    for arguments in [&["lake", "status"][..], &["sql", "SELECT 1"]] {
        let result = run_without_leak(command(&project, arguments));
        result.expect_error(1, &["s3://bucket/lake", "403"]);
    }
    let result = run_without_leak(command(&project, &["doctor", "--format", "json"]));
    assert!(result.stdout_text().contains("403"), "{result}");
}

#[test]
fn users_and_passwords_in_addresses_are_never_printed() {
    let address = format!("me:{SECRET}@127.0.0.1:1");
    let check = |variable: &str, value: &str, message: &str| {
        let project = project(UNREACHABLE_BROKER);
        for arguments in [&["doctor"][..], &["ingest", "run"], &["lake", "status"]] {
            let mut command = command(&project, arguments);
            command.env(variable, value);
            let result = run_without_leak(command);
            if !variable.contains("REGISTRY") {
                assert!(result.to_string().contains(message), "{result}");
            }
        }
    };
    check("RAPPORT_LAKE_ROOT", &format!("s3://me:{SECRET}@bucket"), "holds a user or a password");
    check("RAPPORT_KAFKA_BOOTSTRAP_SERVERS", &address, "holds a user or a password");
    check("RAPPORT_SCHEMA_REGISTRY_URL", &format!("http://{address}"), "by the environment");
    check("RAPPORT_SCHEMA_REGISTRY_URL", &format!("http://me:{SECRET}@x y:z"), "the url is none");
    let generate = ["generate", "--partners", "1", "--events", "10", "--kafka", &address];
    run_without_leak(command(&project(UNREACHABLE_BROKER), &generate))
        .expect_error(2, &["--kafka holds a user"]);
}

#[test]
fn a_registry_error_that_quotes_the_request_is_masked() {
    let address = start_echo_server("401 Unauthorized");
    let project =
        project(&format!("{UNREACHABLE_BROKER}[kafka.schema_registry]\nurl = \"{address}\"\n"));
    let mut command = command(&project, &["doctor"]);
    command.env("RAPPORT_SCHEMA_REGISTRY_USER", SECRET);
    command.env("RAPPORT_SCHEMA_REGISTRY_PASSWORD", SECRET);
    let result = run_without_leak(command);
    assert!(result.stdout_text().contains("it answers 401"), "{result}");
}

#[test]
fn errors_of_the_toml_parser_quote_no_secret() {
    let check = |config: &str, message: &[&str]| {
        let project = project(config);
        run_without_leak(command(&project, &["lake", "status"])).expect_error(2, message);
        run_without_leak(command(&project, &["doctor"]));
    };
    check(
        &format!("[kafka]\nproperties = \"{SECRET}\""),
        &["rapport.toml:2:14: invalid type: text, expected a map"],
    );
    check(&format!("[kafka.properties]\n\"sasl.password\" = {SECRET}"), &["rapport.toml:2:"]);
    check(&format!("[kafka.properties]\n\"sasl.password\" = \"{SECRET}"), &["rapport.toml:2:"]);
    check(&format!("[kafka.schema_registry]\nurl = [\"{SECRET}\"]"), &["rapport.toml:2:7"]);
}
