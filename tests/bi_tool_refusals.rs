//! What `rapport serve --postgres` refuses: writes and files on every way, bytes that are no messages,
//! strangers, and plain text where there is a certificate.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::action_project::project_with_gaps;
use crate::support::bi_tool_server::{BiToolServer, clients, has_clients, new_database_user};
use crate::support::program::{Project, RunningProgram, run, wait_until};

/// The codes by which a write or a file is refused: read only, no such statement, table, function or
/// right, and what reads the catalog and something else.
const REFUSED: [&str; 6] = ["25006", "42601", "42P01", "42883", "42501", "0A000"];

/// So many KiB more than before are none that somebody has asked for by a length.
const SOME_MEMORY: u64 = 256 << 10;

#[test]
fn nothing_is_written_and_no_file_is_read() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    std::fs::create_dir(project.path("target")).expect("a folder");
    let door = BiToolServer::start(&project);
    let found = door.attack("writes", &project.path("target"));
    let answers = found["answers"].as_object().expect("answers");
    assert!(answers.len() > 40, "{answers:?}");
    for (text, codes) in answers {
        let codes = codes.as_array().expect("codes");
        assert_eq!(codes.len(), 3, "simple, extended and prepared");
        for code in codes {
            assert!(REFUSED.iter().any(|known| code == known), "{text}: {codes:?}");
        }
    }
    for text in ["INSERT INTO partners VALUES (1)", "DROP TABLE partners", "VACUUM"] {
        assert_eq!(answers[text], json!(["25006", "25006", "25006"]), "{text}");
    }
    for (text, codes) in found["several"].as_object().expect("answers") {
        assert_eq!(codes, &json!(["25006", "42601"]), "{text}");
    }
    assert_eq!(found["unlocked"], "25006");
    assert_eq!(found["unchanged"], true);
    assert_eq!(found["files"], json!([]));
}

#[test]
fn bytes_that_are_no_messages_end_a_connection() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let door = BiToolServer::start(&project);
    let found = door.attack("messages", Path::new("."));
    for (name, answer) in found["answers"].as_object().expect("answers") {
        let expected = json!({ "refused": true, "closed": true, "rows": false });
        assert_eq!(answer, &expected, "{name}");
    }
    let rest = (&found["alive"], &found["many"], &found["columns"]);
    assert_eq!(rest, (&json!(1), &json!("42P02"), &json!("54011")));
    let log = door.program.messages_so_far();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn only_the_own_query_is_given_up() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let door = BiToolServer::start(&project);
    let found = door.attack("cancels", Path::new("."));
    let seconds = |answer: &Value| answer["seconds"].as_f64().expect("a number");
    let right = &found["right"];
    assert_eq!((&right["code"], &right["again"]), (&json!("57014"), &json!(1)));
    assert_eq!(right["message"], "the query was given up by the client");
    assert!(seconds(right) < 25.0, "{right}");
    // Another secret gives up nothing: the query goes on to its limit.
    let wrong = &found["wrong"];
    assert_eq!((&wrong["code"], &wrong["again"]), (&json!("57014"), &json!(1)));
    assert!(wrong["message"].as_str().is_some_and(|m| m.contains("more than 5 s")), "{wrong}");
    assert!(seconds(wrong) > 4.5, "{wrong}");
    assert_eq!((&found["idle"], &found["told"]), (&json!(1), &json!([["", true]])));
}

#[test]
fn strangers_take_neither_memory_nor_places() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let door = BiToolServer::start(&project);
    let before = door.program.peak_memory();
    let found = door.attack("strangers", Path::new("."));
    for (name, answer) in found["answers"].as_object().expect("answers") {
        assert_eq!(answer["closed"], true, "{name}: {answer}");
        let told = answer["found"].as_str().expect("a text");
        // An authentication that is done has the number 0, and a row begins with D.
        assert!(!told.contains("R\0\0\0\u{8}\0\0\0\0"), "{name}: {told}");
        assert!(!told.starts_with('D'), "{name}: {told}");
    }
    let early = found["early"].as_u64().expect("a number");
    assert!((20..90).contains(&early), "{early} of 90 were closed at once");
    assert_eq!((&found["late"], &found["alive"]), (&json!(90), &json!(1)));
    let more = door.program.peak_memory().saturating_sub(before);
    assert!(more < SOME_MEMORY, "{more} KiB more");
}

/// Names a certificate and a key in the project's configuration.
fn name_certificate(project: &Project, certificate: &Path, key: &Path) {
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    let lines = toml.lines().map(|line| match line.trim_start_matches("# ").split(" = ").next() {
        Some("certificate") => format!("certificate = {certificate:?}"),
        Some("key") => format!("key = {key:?}"),
        _ => line.to_owned(),
    });
    let text: Vec<String> = lines.collect();
    project.write("rapport.toml", text.join("\n"));
}

#[test]
fn with_a_certificate_nothing_is_plain() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| clients().join(name));
    name_certificate(&project, &certificate, &key);
    let door = BiToolServer::start(&project);
    for mode in ["require", "prefer", "allow"] {
        let shown = run(door.psql(&format!("sslmode={mode}"), &["-c", "\\conninfo"]));
        let shown = shown.expect_success().stdout_text();
        assert!(shown.contains("SSL connection (protocol: TLSv1."), "{mode}: {shown}");
    }
    // A name or a chain that can't be checked ends the connection, and plain text is no way out.
    let trusted = format!("sslmode=verify-full sslrootcert={}", certificate.display());
    for unsafe_parameters in [trusted.as_str(), "sslmode=verify-full sslrootcert=system"] {
        let refused = run(door.psql(unsafe_parameters, &["-c", "SELECT 1"]));
        assert!(refused.code != Some(0), "{refused}");
    }
    let found = door.attack("plain", Path::new("."));
    for (name, answer) in found.as_object().expect("answers") {
        assert_eq!(answer["closed"], true, "{name}: {answer}");
        let told = answer["found"].as_str().expect("a text");
        // Nobody is asked for a password, nor let in.
        assert!(!told.contains("SCRAM") && !told.contains("server_version"), "{name}: {told}");
    }
    assert!(found["at once"]["found"].as_str().is_some_and(|text| text.contains("C28000\0")));
    assert_eq!(found["after the offer of TLS"]["answer"], "S");
    assert_eq!(found["after GSS"]["answer"], "N");
}

#[test]
fn without_a_certificate_only_this_machine_is_answered() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let (entry, _) = new_database_user(&project, "ada");
    project.write("access.toml", entry);
    let beyond = ["serve", "--listen", "127.0.0.1:0", "--postgres", "0.0.0.0:0"];
    project.run(&beyond).expect_error(2, &["needs TLS", "certificate"]);
    // A certificate that can't be used ends the program; there is no plain text instead.
    let door = ["serve", "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0"];
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| clients().join(name));
    name_certificate(&project, Path::new("missing.pem"), &key);
    project.run(&door).expect_error(2, &["certificate", "missing.pem"]);
    name_certificate(&project, &certificate, &certificate);
    project.run(&door).expect_error(2, &["key", "cert.pem"]);
    let other = project.path("other.pem");
    let mut make = Command::new("openssl");
    make.args(["genpkey", "-algorithm", "RSA", "-out"]).arg(&other);
    run(make).expect_success();
    name_certificate(&project, &certificate, &other);
    project.run(&door).expect_error(2, &["key", "other.pem"]);
}

#[test]
fn an_entry_that_is_over_lets_nobody_in() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let door = BiToolServer::start(&project);
    let one = &["-At", "-c", "SELECT 1"][..];
    assert_eq!(door.ask_ok(one), "1\n");
    let entry = std::fs::read_to_string(project.path("access.toml")).expect("people");
    let waiting = ["-c", "SELECT 1", "-c", "\\! sleep 20", "-c", "SELECT 2"];
    let open = RunningProgram::start(door.psql("", &waiting));
    project.write("access.toml", format!("{entry}until = \"2020-01-01\"\n"));
    let ended = open.finish();
    assert!(ended.code != Some(0) && ended.stderr.contains("no longer let in"), "{ended}");
    let refused = door.ask(one);
    let expected = "password authentication failed for user \"ada\"";
    assert!(refused.code != Some(0) && refused.stderr.contains(expected), "{refused}");
    project.write("access.toml", entry);
    wait_until("the entry", Duration::from_secs(30), || door.ask(one).code == Some(0));
}
