//! A first run says why it shows nothing, and which instant shows something.

use chrono::{Duration, Utc};

use crate::support::program::Project;

fn call(id: &str, occurred_at: &str) -> String {
    format!(
        "{{\"event_id\":\"{id}\",\"partner_id\":\"p\",\"occurred_at\":\"{occurred_at}\",\"status\":200}}\n"
    )
}

fn load(project: &Project, stream: &str, lines: &str) {
    project.write("events.ndjson", lines);
    project.run_ok(&["ingest", "load", "--stream", stream, "events.ndjson"]);
}

#[test]
fn one_day_of_calls_is_seen_from_the_next_midnight_on() {
    let project = Project::new();
    load(
        &project,
        "api-calls",
        &[call("1", "2026-03-01T00:10:00Z"), call("2", "2026-03-01T23:59:00Z")].concat(),
    );
    let report = ["report", "--out", "report"];
    for arguments in [&["metrics", "run", "growth"][..], &["sql", "SELECT 1"], &report] {
        let run = project.run(arguments).expect_success();
        let note = "As of 2026-03-01 nothing is seen yet: the lake's events are of 2026-03-01. --as-of 2026-03-02 shows them.";
        assert!(run.stderr.contains(note), "{run}");
    }
    let run = project.run(&["metrics", "run", "growth"]).expect_success();
    assert!(
        run.stderr.contains(
            "growth has nothing to show as of 2026-03-01: the lake has api-calls of 2026-03-01."
        ),
        "{run}"
    );
    let run = project
        .run(&["metrics", "run", "growth", "--as-of", "2026-03-02", "--format", "csv"])
        .expect_success();
    assert!(run.stdout_text().contains("2026-03-01,1,1,"), "{run}");
    assert!(!run.stderr.contains("nothing"), "{run}");
}

#[test]
fn calls_that_ended_long_ago_are_named() {
    let project = Project::new();
    load(
        &project,
        "api-calls",
        &[call("1", "2026-03-01T00:10:00Z"), call("2", "2026-03-20T12:00:00Z")].concat(),
    );
    let run = project.run(&["metrics", "run", "support_load", "funnel"]).expect_success();
    assert!(
        run.stderr.contains("support_load has nothing to show as of 2026-03-20: of what is read for it the lake has no partner-events and support-events."),
        "{run}"
    );
    let run = project.run(&["metrics", "run", "growth", "--as-of", "2026-03-01"]).expect_success();
    assert!(run.stderr.contains("of 2026-03-01 to 2026-03-20. --as-of 2026-03-21"), "{run}");
}

#[test]
fn the_events_of_today_are_seen_once_the_day_is_over() {
    let project = Project::new();
    let now = Utc::now();
    load(&project, "api-calls", &call("1", &now.to_rfc3339()));
    let run = project.run(&["metrics", "run", "growth"]).expect_success();
    // The day may change while the program runs.
    let tomorrow = (now + Duration::days(1)).date_naive();
    let later = (now + Duration::days(2)).date_naive();
    let is_named = |day| run.stderr.contains(&format!("from {day} 00:00 UTC on"));
    assert!(is_named(tomorrow) || is_named(later) || run.stderr.contains("--as-of"), "{run}");
}

#[test]
fn a_lake_without_calls_is_seen_up_to_its_newest_event() {
    let project = Project::new();
    let charge = r#"{"event_id":"1","partner_id":"p","occurred_at":"2026-03-01T10:00:00Z","kind":"usage","amount_minor":100,"currency":"USD"}"#;
    load(&project, "billing-events", &format!("{charge}\n"));
    let arguments = ["metrics", "run", "revenue_summary", "--format", "csv"];
    let run = project.run(&arguments).expect_success();
    assert!(run.stdout_text().contains("2026-03-01,1"), "{run}");
    assert!(
        run.stderr.contains("no API calls; its other events are seen up to 2026-03-02"),
        "{run}"
    );
    project.run_ok(&["report", "--out", "report"]);
    let page = std::fs::read_to_string(project.path("report/index.html")).expect("a page");
    assert!(!page.contains("No data yet"), "the report has data");
    Project::new().run(&["metrics", "run"]).expect_error(1, &["run `rapport ingest` first"]);
}
