//! Records in other formats become events by recipes and by a project's own programs, from files
//! as from topics.

use domain::Stream;
use serde_json::Value;

use crate::support::program::{Project, rapport_command, run};

const LOAD: [&str; 3] = ["ingest", "load", "--quiet"];

/// A project's own mapping.
const GATEWAY: &str = r##"#---
# description = "our gateway"
# stream = "api-calls"
#---
if .health then empty else
  {
    event_id: .id, occurred_at: .at, status: .code, credential_id: .key,
    partner_id: (.who // error("no who in the record"))
  }
end
"##;

/// A record of the gateway that [`GATEWAY`] reads; `who` is a member with its comma, or nothing.
fn record(id: usize, who: &str) -> String {
    format!(
        r#"{{"id":"g-{id}",{who}"at":"2026-02-01T00:00:0{id}Z","code":200,"key":"ck_hunter2"}}"#
    )
}

/// A project whose calls go through its own mapping, and a log of four records: two calls, one
/// without a partner, one of the health check.
fn gateway_project() -> Project {
    let project = Project::new();
    project.write("gateway.jq", GATEWAY);
    project.write("rapport.toml", "[ingest.mapping]\napi_calls = \"gateway.jq\"\n");
    let who = |name: &str| format!(r#""who":"{name}","#);
    let lines = [
        record(1, &who("p-1")),
        record(2, r#""account":"p-2","#),
        r#"{"health":true}"#.to_owned(),
        record(3, &who("p-3")),
    ];
    project.write("gateway.log", lines.join("\n"));
    project
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn recipes_are_listed_and_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    // No project is needed.
    let rapport = |arguments: &[&str]| {
        let mut command = rapport_command();
        command.current_dir(folder.path()).args(arguments);
        run(command)
    };
    let table = rapport(&["ingest", "mappings"]).expect_success().stdout_text();
    for name in ["kong-http-log", "nginx-combined", "aws-api-gateway", "stripe-events"] {
        assert!(table.contains(name), "{table}");
    }
    let list = rapport(&["ingest", "mappings", "--format", "json"]).expect_success().stdout_text();
    let list = json(&list);
    let recipes = list.as_array().expect("rows");
    let streams = Stream::ALL.map(Stream::name);
    for recipe in recipes {
        let name = recipe["recipe"].as_str().expect("a name");
        assert!(streams.contains(&recipe["stream"].as_str().expect("a stream")), "{recipe}");
        assert!(!recipe["description"].as_str().expect("text").is_empty(), "{recipe}");
        let source = rapport(&["ingest", "mappings", name]).expect_success().stdout_text();
        assert!(source.starts_with("#---\n"), "{source}");
        // What is printed can be used as a program of one's own.
        std::fs::write(folder.path().join("own.jq"), source).expect("written");
        std::fs::write(folder.path().join("empty"), "").expect("written");
        rapport(&["ingest", "try", "--mapping", "own.jq", "empty"]).expect_success();
    }
    let unknown = rapport(&["ingest", "mappings", "kong-http-logs"]);
    unknown.expect_error(2, &["no recipe \"kong-http-logs\"", "did you mean \"kong-http-log\"?"]);
}

#[test]
fn a_file_is_tried_and_nothing_is_written() {
    let project = gateway_project();
    let before = crate::support::files::relative_files(&project.path("."));
    let output = project.run_ok(&["ingest", "try", "--stream", "api-calls", "gateway.log"]);
    for part in [
        "line 1: accepted",
        "partner_id=p-1",
        "credential_id=(stored as a keyed hash)",
        "line 2: rejected as mapping_failed",
        "line 3: left out by the mapping",
        "of 4 records 2 would be accepted, 1 rejected, 1 left out by the mapping",
        "gateway.log, line 2",
    ] {
        assert!(output.contains(part), "no \"{part}\" in {output}");
    }
    let after: Vec<&str> = output.lines().filter(|line| !line.contains("  before")).collect();
    assert!(after.iter().all(|line| !line.contains("hunter2")), "{output}");
    let arguments =
        ["ingest", "try", "--mapping", "gateway.jq", "--format", "json", "--limit", "1"];
    let found = json(&project.run_ok(&[&arguments[..], &["gateway.log"]].concat()));
    assert_eq!(found["stream"], "api-calls");
    assert_eq!((&found["accepted"], &found["skipped"]), (&2.into(), &1.into()));
    // The first record, and the first that would be rejected after it.
    let shown = found["shown"].as_array().expect("records");
    assert_eq!(shown.iter().map(|r| &r["line"]).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(shown[0]["before"]["key"], "ck_hunter2");
    assert_eq!(shown[0]["mapped"]["credential_id"], "(stored as a keyed hash)");
    assert_eq!(shown[0]["stored"]["partner_id"], "p-1");
    assert_eq!(shown[1]["reason"], "mapping_failed");
    assert_eq!(found["rejections"][0]["first"][0]["line"], 2);
    assert_eq!(crate::support::files::relative_files(&project.path(".")), before);

    // Without a mapping the records are events, or not.
    let plain = ["ingest", "try", "--stream", "api-calls", "--mapping", "none", "gateway.log"];
    let output = project.run(&plain);
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stdout_text().contains("4  event_id: absent or null"), "{output}");
    let conflict = ["ingest", "try", "--mapping", "gateway.jq", "--stream", "billing-events", "x"];
    project.run(&conflict).expect_error(2, &["gateway.jq gives api-calls"]);
    project.write("bare.jq", ".");
    let bare = ["ingest", "try", "--mapping", "bare.jq", "gateway.log"];
    project.run(&bare).expect_error(2, &["which stream?", "--stream"]);
}

/// A name in a 401 is what the client claims: whoever guesses one could spoil a partner's health.
#[test]
fn try_says_why_a_recipe_leaves_a_call_out() {
    let project = Project::new();
    let line = |user: &str, status: u16| {
        format!(
            "203.0.113.9 - {user} [01/Mar/2026:09:12:44 +0000] \"GET /v1/o HTTP/1.1\" {status} 17 \"-\" \"curl/8.5.0\"\n"
        )
    };
    project.write("access.log", [line("acme", 401), line("acme", 403), line("acme", 200)].concat());
    let arguments = ["ingest", "try", "--mapping", "nginx-combined", "access.log"];
    let output = project.run_ok(&arguments);
    let why = "it was refused (4xx), and nothing in it proves who called";
    assert!(output.contains(&format!("line 1: left out by the mapping: {why}")), "{output}");
    assert!(output.contains("line 2: accepted") && output.contains("line 3: accepted"), "{output}");
    let found = json(&project.run_ok(&[&arguments[..], &["--format", "json"]].concat()));
    assert_eq!(found["shown"][0]["outcome"], "skipped");
    assert_eq!(found["shown"][0]["message"], why);
}

#[test]
fn a_mapping_that_cannot_be_used_is_refused_with_its_position() {
    let project = gateway_project();
    let load = [&LOAD[..], &["--stream", "api-calls", "gateway.log"]].concat();
    let check = |config: &str, mapping: &str, messages: &[&str]| {
        project.write("rapport.toml", config);
        project.write("gateway.jq", mapping);
        project.run(&load).expect_error(2, messages);
    };
    let config = "[ingest.mapping]\napi_calls = \"gateway.jq\"\n";
    let here = "rapport.toml:2:13: [ingest.mapping] api_calls";
    check(config, "#---\n#---\n{a: .b} | frob", &[here, "gateway.jq:3:", "frob"]);
    check(config, "{a: .b", &[here, "gateway.jq:1:"]);
    check(config, "#---\n# stream = \"calls\"\n#---\n.", &[here, "gateway.jq:2:"]);
    check(config, "env.HOME", &[here, "gateway.jq:1:1", "env"]);
    let billing = GATEWAY.replace("api-calls", "billing-events");
    check(config, &billing, &[here, "this mapping gives billing-events"]);
    check("[ingest.mapping]\napi_calls = \"gone.jq\"\n", ".", &[here, "gone.jq can't be read"]);
    let recipe = "[ingest.mapping]\napi_calls = \"kong-http-logs\"\n";
    check(recipe, ".", &[here, "no such recipe", "did you mean \"kong-http-log\"?"]);
    let stream = "[ingest.mapping]\ncalls = \"kong-http-log\"\n";
    check(stream, ".", &["rapport.toml:2:1: ", "calls", "api_calls"]);
    // What needs no mapping goes on.
    project.write("rapport.toml", config);
    project.write("gateway.jq", "{a: .b");
    let call =
        r#"{"event_id":"1","partner_id":"p","occurred_at":"2026-03-01T10:00:00Z","status":200}"#;
    project.write("one.ndjson", format!("{call}\n"));
    let load = ["ingest", "load", "--stream", "api-calls", "--mapping", "none", "one.ndjson"];
    project.run_ok(&load);
    project.run_ok(&["sql", "SELECT count(*) FROM api_calls"]);
    let doctor = project.run(&["doctor", "--format", "json"]);
    assert_eq!(doctor.code, Some(3), "{doctor}");
    let checks = json(&doctor.stdout_text());
    let checks = checks.as_array().expect("rows");
    let of_mappings = checks.iter().find(|check| check["check"] == "mappings").expect("a check");
    assert_eq!(of_mappings["state"], "fail");
    let given = [&LOAD[..], &["--mapping", "kong-http-log.jq", "gateway.log"]].concat();
    let messages = ["kong-http-log.jq can't be read", "called \"kong-http-log\", without .jq"];
    project.run(&given).expect_error(2, &messages);
}

/// Loads, loads again, looks at the dead letters, corrects the mapping, replays.
#[test]
fn a_corrected_mapping_takes_the_dead_letters() {
    let project = gateway_project();
    let load = [&LOAD[..], &["--stream", "api-calls", "gateway.log"]].concat();
    let output = project.run_ok(&load);
    let summary = "2 accepted (0 late), 1 rejected (mapping_failed 1), 1 left out by the mapping";
    assert!(output.lines().next().is_some_and(|line| line.ends_with(summary)), "{output}");
    assert!(output.contains("gateway.log, line 2"), "{output}");
    assert!(output.contains("no who in the record") && !output.contains("hunter2"), "{output}");
    assert!(project.run_ok(&load).starts_with("Nothing new"));
    let partners = || project.query_rows("SELECT partner_id FROM api_calls ORDER BY 1");
    assert_eq!(partners(), ["p-1", "p-3"]);
    let letters = json(&project.run_ok(&["ingest", "dead-letters", "--format", "json"]));
    assert_eq!(letters[0]["mapping"], "gateway.jq");
    assert!(letters[0]["detail"].as_str().is_some_and(|text| text.contains("no who")), "{letters}");
    // The mapping as it is rejects it again.
    let output = project.run_ok(&["ingest", "replay"]);
    assert!(output.contains("0 dead letters accepted, 1 still rejected"), "{output}");
    project.write("gateway.jq", GATEWAY.replace(".who //", ".who // .account //"));
    let output = project.run_ok(&["ingest", "replay"]);
    assert!(output.contains("1 dead letter accepted, 0 still rejected"), "{output}");
    assert_eq!(partners(), ["p-1", "p-2", "p-3"]);
    // A corrected mapping of the same name changes nothing that was read.
    assert!(project.run_ok(&load).starts_with("Nothing new"));
    assert_eq!(project.query_number("SELECT count(*) FROM dead_letters"), 0);
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn a_file_can_be_loaded_plain_first_and_through_two_mappings() {
    let project = Project::new();
    let kong = |n: usize| {
        format!(
            r#"{{"started_at":176990400012{n},"consumer":{{"username":"p-{n}"}},"request":{{"id":"r-{n}","method":"GET","uri":"/v1/pay?api_key=hunter2"}},"response":{{"status":200}}}}"#
        ) + "\n"
    };
    project.write("kong.log", (0..4).map(kong).collect::<String>());
    // The first try without a mapping does not bar the second.
    let plain = project.run(&[&LOAD[..], &["--stream", "api-calls", "kong.log"]].concat());
    assert_eq!(plain.code, Some(3), "{plain}");
    assert!(plain.stderr.contains("--mapping kong-http-log kong.log"), "{plain}");
    let mapped = [&LOAD[..], &["--mapping", "kong-http-log", "kong.log"]].concat();
    assert!(project.run_ok(&mapped).contains("4 accepted"));
    assert!(project.run_ok(&mapped).starts_with("Nothing new"));
    let endpoints = project.query_rows("SELECT DISTINCT endpoint FROM api_calls");
    assert_eq!(endpoints, ["/v1/pay"]);
    // The same file through another mapping is another partition, and its events may be the same.
    project.write("copy.jq", project.run_ok(&["ingest", "mappings", "kong-http-log"]));
    let copied = [&LOAD[..], &["--mapping", "copy.jq", "kong.log"]].concat();
    assert!(project.run_ok(&copied).contains("4 accepted"));
    assert_eq!(project.query_number("SELECT count(*) FROM raw.api_calls"), 8);
    assert_eq!(project.query_number("SELECT count(*) FROM api_calls"), 4);
    // A mapping of another name replays what was rejected without one.
    assert_eq!(project.query_number("SELECT count(*) FROM dead_letters"), 4);
    let replay = ["ingest", "replay", "--mapping", "kong-http-log"];
    assert!(project.run_ok(&replay).contains("4 dead letters accepted"));
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn lines_of_text_go_through_a_recipe() {
    let project = Project::new();
    let line = |user: &str, second: usize| {
        format!(
            "192.0.2.7 - {user} [01/Feb/2026:00:00:0{second} +0000] \"GET /v1/pay?api_key=hunter2 HTTP/1.1\" 200 512 \"-\" \"curl/8.5\"\n"
        )
    };
    let text = line("p-1", 1) + &line("p-2", 2) + "no line of a log\n";
    project.write("access.log", text);
    let load = [&LOAD[..], &["--mapping", "nginx-combined", "access.log"]].concat();
    let output = project.run_ok(&load);
    assert!(output.contains("2 accepted") && output.contains("access.log, line 3"), "{output}");
    // The position makes the events distinct.
    assert_eq!(project.query_number("SELECT count(*) FROM api_calls"), 2);
    let rows = project.query_rows("SELECT * FROM raw.api_calls");
    assert!(rows.iter().all(|row| !row.contains("hunter2")), "{rows:?}");
}
