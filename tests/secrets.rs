//! Secrets in events, planted wherever one may come: none reaches a file or a log in the clear.

use std::fs;
use std::io::Read;
use std::net::TcpStream;

use crate::crash::{ONLY_CALLS, project_on};
use crate::kafka::Broker;
use crate::program::{Project, Running, run, wait_until};
use crate::secure::{self, files};

const TOPIC: &str = "with-secrets";

/// A call with more fields.
fn call(id: &str, more: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200,{more}}}"#
    )
}

/// Headers, record and whether it is accepted. Each secret begins with `planted-`.
fn records() -> Vec<(Vec<&'static str>, String, bool)> {
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

fn produce(broker: &Broker) {
    broker.create_topic(TOPIC, 1);
    for (headers, value, _) in records() {
        broker.produce_record((TOPIC, 0), &headers, value.as_bytes());
    }
}

/// What `--metrics` answers while the worker runs.
fn page(address: &str) -> Option<String> {
    let mut connection = TcpStream::connect(address).ok()?;
    std::io::Write::write_all(&mut connection, b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn what_is_planted_is_found_nowhere() {
    let Some(broker) = &*secure::BROKER else { return };
    produce(broker);
    let project = project_on(broker, &format!("api_calls = \"{TOPIC}\"\n{ONLY_CALLS}"));
    let log = project.path("worker.log");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let arguments = ["ingest", "run", "-vvv", "--flush-rows", "2", "--metrics", &address];
    let mut command = project.command(&arguments);
    command.env("RAPPORT_LOG", "trace");
    let running = Running::start_logging(command, &log);
    let mut seen = String::new();
    let done = format!("rapport_ingest_records_total {}", records().len());
    wait_until(&done, std::time::Duration::from_secs(60), || {
        seen = page(&address).unwrap_or_default();
        seen.contains(&done)
    });
    running.terminate();
    running.finish().succeeded();

    let mut said = said(&project);
    said.push(("the page of --metrics", seen));
    for (what, text) in &said {
        assert!(!text.contains("planted-"), "{what} tells a secret:\n{text}");
    }
    for file in files(&project.path(".")) {
        let bytes = fs::read(&file).expect("a file");
        let found = bytes.windows(8).position(|w| w == b"planted-");
        assert_eq!(found, None, "{} holds a secret", file.display());
    }
    kept(&project);
}

/// Everything that can be read of the lake without opening a dead letter: Parquet is compressed,
/// so that a look at its bytes would not do.
fn said(project: &Project) -> Vec<(&'static str, String)> {
    let mut said = Vec::new();
    for query in ["SELECT * FROM raw.api_calls", "SELECT * EXCLUDE (sealed) FROM dead_letters"] {
        said.push((query, project.ok(&["sql", query, "--format", "csv"])));
    }
    let letters = project.ok(&["ingest", "dead-letters", "--format", "json"]);
    said.push(("dead-letters", letters));
    for command in [&["lake", "status"], &["lake", "verify"]] {
        let ran = run({
            let mut command = project.command(command);
            command.env("RAPPORT_LOG", "trace");
            command
        });
        said.push(("a look at the lake", ran.succeeded().to_string()));
    }
    said
}

/// What stands beside the secrets is kept, and the rejected records can be opened with the key.
fn kept(project: &Project) {
    let accepted = records().iter().filter(|record| record.2).count();
    let rejected = records().len() - accepted;
    let count = |query: &str| usize::try_from(project.number(query)).expect("a count");
    assert_eq!(count("SELECT count(*) FROM raw.api_calls"), accepted);
    assert_eq!(count("SELECT count(*) FROM dead_letters"), rejected);
    let extra = project.rows("SELECT extra FROM raw.api_calls WHERE event_id IN ('extra', 'deep')");
    assert!(extra.iter().all(|row| row.contains("kept")), "{extra:?}");
    let same = "SELECT count(DISTINCT credential_id) FROM raw.api_calls";
    assert_eq!(count(same), 1, "the same credential has the same hash");
    let opened = project.ok(&["ingest", "dead-letters", "--open", "--format", "json"]);
    assert_eq!(opened.matches("planted-").count(), rejected, "{opened}");
}

#[test]
fn secrets_in_unknown_fields_are_nowhere() {
    let project = Project::new();
    // As gateways write them: headers in each of the ways there are, addresses, bodies.
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
    project.ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let extra = project.rows("SELECT extra FROM raw.api_calls ORDER BY kafka_offset");
    assert_eq!(extra.len(), fields.len());
    for (row, sent) in extra.iter().zip(fields) {
        assert!(!row.contains("planted-"), "{sent} is stored as {row}");
        assert!(row.contains("kept"), "{sent} is stored as {row}");
    }
    for (what, text) in said(&project) {
        assert!(!text.contains("planted-"), "{what} tells a secret:\n{text}");
    }
}

#[test]
fn a_key_is_rotated() {
    let project = Project::new();
    let load = |name: &str| {
        let good = call(name, r#""credential_id":"ck_1""#);
        project.write("events.ndjson", format!("{good}\nrejected {name}\n"));
        project.ok(&["ingest", "load", "--stream", "api-calls", "events.ndjson"]);
    };
    load("before");
    let first = fs::read(project.path("lake.key")).expect("a key");
    let said = project.ok(&["lake", "rotate-key"]);
    load("after");
    let hashes = project.rows("SELECT DISTINCT split_part(credential_id, ':', 2) FROM api_calls");
    assert_eq!(hashes.len(), 2, "{hashes:?}");
    assert!(hashes.iter().any(|id| said.contains(id.as_str())), "{said}: {hashes:?}");
    let opened = project.ok(&["ingest", "dead-letters", "--open", "--format", "json"]);
    assert!(opened.contains("rejected before") && opened.contains("rejected after"), "{opened}");
    // A backup from before the rotation could not open what came since.
    fs::write(project.path("lake.key"), first).expect("written");
    project.run(&["lake", "status"]).refused(1, &["lake.key", "restore"]);
}
