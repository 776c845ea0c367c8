//! Secrets in every part of an event: none reaches a file or a log in clear text.

use std::fs;
use std::io::Read;
use std::net::TcpStream;

use crate::kafka_authentication;
use crate::support::files::all_files;
use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, project_with_topics};
use crate::support::program::{Project, RunningProgram, run, wait_until};

const TOPIC: &str = "with-secrets";

/// Returns an API call with more fields.
fn call(id: &str, more: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200,{more}}}"#
    )
}

/// Returns records: headers, value, and whether it is accepted. Each secret begins with `planted-`.
fn records_with_secrets() -> Vec<(Vec<&'static str>, String, bool)> {
    let event = |id: &str, more: &str| (Vec::new(), call(id, more), true);
    let rejected = |value: &str| (Vec::new(), value.to_owned(), false);
    vec![
        event("query", r#""endpoint":"/v1/pay?key=planted-in-query""#),
        event("fragment", r#""endpoint":"/v1/pay#planted-in-fragment""#),
        event("credential", r#""credential_id":"planted-as-credential""#),
        event("again", r#""credential_id":"planted-as-credential""#),
        event("extra", r#""api_key":"planted-in-extra","note":"kept""#),
        event("cased", r#""X-Auth-Token":"planted-in-cased-name""#),
        event("deep", r#""http":{"headers":[{"Authorization":"planted-in-depth"}],"kept":1}"#),
        event("object", r#""client_secret":{"id":"planted-in-object"}"#),
        (vec!["authorization=planted-in-header"], call("header", r#""product":"a""#), true),
        rejected("planted-in-no-json"),
        rejected(r#"{"event_id":"x","credential_id":"planted-in-rejected"}"#),
        rejected(&call("y", r#""status":"planted-as-status""#)),
        rejected(&call("z", r#""environment":"planted-as-environment""#)),
        rejected(r#"{"event_id":"t","partner_id":"p","occurred_at":"planted-as-time"}"#),
        (vec!["cookie=planted-in-rejected-header"], "[]".to_owned(), false),
    ]
}

fn produce(broker: &KafkaBroker) {
    broker.create_topic(TOPIC, 1);
    for (headers, value, _) in records_with_secrets() {
        broker.produce_record((TOPIC, 0), &headers, value.as_bytes());
    }
}

/// Returns the answer of `--metrics` while the worker runs.
fn metrics_page(address: &str) -> Option<String> {
    let mut connection = TcpStream::connect(address).ok()?;
    std::io::Write::write_all(&mut connection, b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn secrets_in_records_reach_no_file_log_or_metrics_page() {
    let Some(broker) = &*kafka_authentication::BROKER else { return };
    produce(broker);
    let project =
        project_with_topics(broker, &format!("api_calls = \"{TOPIC}\"\n{OTHER_STREAMS_OFF}"));
    let log = project.path("worker.log");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let arguments = ["ingest", "run", "-vvv", "--flush-rows", "2", "--metrics", &address];
    let mut command = project.command(&arguments);
    command.env("RAPPORT_LOG", "trace");
    let running = RunningProgram::start_logging(command, &log);
    let mut last_page = String::new();
    let done = format!("rapport_ingest_records_total {}", records_with_secrets().len());
    wait_until(&done, std::time::Duration::from_secs(60), || {
        last_page = metrics_page(&address).unwrap_or_default();
        last_page.contains(&done)
    });
    running.terminate();
    running.finish().expect_success();

    let mut output = readable_output(&project);
    output.push(("the page of --metrics", last_page));
    for (what, text) in &output {
        assert!(!text.contains("planted-"), "{what} tells a secret:\n{text}");
    }
    for file in all_files(&project.path(".")) {
        let bytes = fs::read(&file).expect("a file");
        let found = bytes.windows(8).position(|w| w == b"planted-");
        assert_eq!(found, None, "{} holds a secret", file.display());
    }
    check_stored(&project);
}

/// Returns everything that can be read from the lake without opening a dead letter. Parquet is
/// compressed, so a search in its bytes does not suffice.
fn readable_output(project: &Project) -> Vec<(&'static str, String)> {
    let mut output = Vec::new();
    for query in ["SELECT * FROM raw.api_calls", "SELECT * EXCLUDE (sealed) FROM dead_letters"] {
        output.push((query, project.run_ok(&["sql", query, "--format", "csv"])));
    }
    let dead_letters = project.run_ok(&["ingest", "dead-letters", "--format", "json"]);
    output.push(("dead-letters", dead_letters));
    for command in [&["lake", "status"], &["lake", "verify"]] {
        let result = run({
            let mut command = project.command(command);
            command.env("RAPPORT_LOG", "trace");
            command
        });
        output.push(("a look at the lake", result.expect_success().to_string()));
    }
    output
}

/// Checks that other fields are stored, and that the key opens the rejected records.
fn check_stored(project: &Project) {
    let accepted = records_with_secrets().iter().filter(|record| record.2).count();
    let rejected = records_with_secrets().len() - accepted;
    let count = |query: &str| usize::try_from(project.query_number(query)).expect("a count");
    assert_eq!(count("SELECT count(*) FROM raw.api_calls"), accepted);
    assert_eq!(count("SELECT count(*) FROM dead_letters"), rejected);
    let extra =
        project.query_rows("SELECT extra FROM raw.api_calls WHERE event_id IN ('extra', 'deep')");
    assert!(extra.iter().all(|row| row.contains("kept")), "{extra:?}");
    let same = "SELECT count(DISTINCT credential_id) FROM raw.api_calls";
    assert_eq!(count(same), 1, "the same credential has the same hash");
    let opened = project.run_ok(&["ingest", "dead-letters", "--open", "--format", "json"]);
    assert_eq!(opened.matches("planted-").count(), rejected, "{opened}");
}

#[test]
fn secrets_in_unknown_fields_are_not_stored() {
    let project = Project::new();
    // Unknown fields as gateways write them: headers in several forms, addresses, bodies.
    let fields = [
        r#""request":{"uri":"/v1/pay?apikey=planted-1","headers":{"cookie":"planted-2","Host":"kept"}}"#,
        r#""url":"https://user:planted-3@host/x?planted-4","note":"kept""#,
        r#""line":"GET \/v1\/x?key=planted-5 HTTP/1.1 kept""#,
        r#""set-cookie":"planted-6","X-Api-Key":"planted-7","apiKey":"planted-8","note":"kept""#,
        r#""oauth":{"client_secret":"planted-9","Access_Token":"planted-10"},"note":"kept""#,
        r#""tls":[{"privateKey":"planted-11","kept":1}],"Bearer":"planted-12""#,
        r#""headers":[{"name":"Authorization","value":"planted-13"},{"name":"kept","value":"x"}]"#,
        r#""rawHeaders":["Cookie","planted-14","Host","kept"]"#,
        r#""pairs":[["x-auth-token","planted-15"],["host","kept"]]"#,
        r#""body":"{\"password\":\"planted-16\",\"x\":\"kept\"}""#,
        r#""form":"grant=kept&client_secret=planted-17&x=1""#,
        r#""sent":"kept Bearer planted-18""#,
        r#""dump":"Host: kept\r\nCookie: a=planted-19; b=planted-20""#,
        r#""to":"postgres://u:planted-21@host:5432/kept""#,
        r#""p\u0061ssword":"planted-22","note":"kept""#,
        r#""again":{"token":"planted-23","token":"planted-24","kept":1}"#,
        r#""back":"/cb#access_token=planted-25","note":"kept""#,
        r#""encoded":"/kept?next=%2Fx%3Fapikey%3Dplanted-26""#,
    ];
    let lines: Vec<String> =
        fields.iter().enumerate().map(|(n, more)| call(&format!("e-{n}"), more) + "\n").collect();
    project.write("calls.ndjson", lines.concat());
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let extra = project.query_rows("SELECT extra FROM raw.api_calls ORDER BY kafka_offset");
    assert_eq!(extra.len(), fields.len());
    for (row, sent) in extra.iter().zip(fields) {
        assert!(!row.contains("planted-"), "{sent} is stored as {row}");
        assert!(row.contains("kept"), "{sent} is stored as {row}");
    }
    for (what, text) in readable_output(&project) {
        assert!(!text.contains("planted-"), "{what} tells a secret:\n{text}");
    }
}

#[test]
fn a_rotated_key_hashes_anew_and_opens_old_records() {
    let project = Project::new();
    let load = |name: &str| {
        let good = call(name, r#""credential_id":"ck_1""#);
        project.write("events.ndjson", format!("{good}\nrejected {name}\n"));
        project.run_ok(&["ingest", "load", "--stream", "api-calls", "events.ndjson"]);
    };
    load("before");
    let first = fs::read(project.path("lake.key")).expect("a key");
    let output = project.run_ok(&["lake", "rotate-key"]);
    load("after");
    let hashes =
        project.query_rows("SELECT DISTINCT split_part(credential_id, ':', 2) FROM api_calls");
    assert_eq!(hashes.len(), 2, "{hashes:?}");
    assert!(hashes.iter().any(|id| output.contains(id.as_str())), "{output}: {hashes:?}");
    let opened = project.run_ok(&["ingest", "dead-letters", "--open", "--format", "json"]);
    assert!(opened.contains("rejected before") && opened.contains("rejected after"), "{opened}");
    // A key from before the rotation cannot open what was sealed later.
    fs::write(project.path("lake.key"), first).expect("written");
    project.run(&["lake", "status"]).expect_error(1, &["lake.key", "restore"]);
}
