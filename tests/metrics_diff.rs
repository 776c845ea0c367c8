//! `rapport metrics diff`: metrics of two revisions of their queries, or of the tables of two runs.

use std::process::Command;

use crate::support::program::{BUSY_METRIC, Project};
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

fn git(project: &Project, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(project.path("")).args(["-c", "user.name=a", "-c", "user.email=a@b"]);
    let result = command.args(arguments).output().expect("git can be run");
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
}

#[test]
fn a_changed_query_is_shown_by_its_changed_rows() {
    let world = SimulatedWorld::new(WorldSize { seed: 37, partners: 20, events: 2_000, days: 50 });
    let project = Project::new();
    world.load(&project);
    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    let file = "queries/metrics/busy.sql";
    project.write(file, BUSY_METRIC);
    project.run(&["metrics", "diff", "HEAD"]).expect_error(2, &["git"]);
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "queries"]);
    git(&project, &["commit", "--quiet", "--message", "busy"]);

    let diff = |arguments: &[&str]| {
        let mut all = vec!["metrics", "diff", "HEAD"];
        all.extend(arguments);
        project.run(&all)
    };
    let same = diff(&["busy", "growth"]).expect_success().stdout_text();
    assert!(same.contains("busy: the same ") && same.contains("growth: the same "), "{same}");

    // The calls of one partner change, and one partner is left out.
    let ids = project.query_rows("SELECT partner_id FROM busy ORDER BY calls DESC, partner_id");
    let (busiest, second) = (&ids[0], &ids[1]);
    let calls =
        project.query_number(&format!("SELECT calls FROM busy WHERE partner_id = '{busiest}'"));
    let changed = BUSY_METRIC
        .replace(
            "sum(calls) AS",
            &format!("sum(calls + CASE WHEN partner_id = '{busiest}' THEN calls ELSE 0 END) AS"),
        )
        .replace("'production'", &format!("'production' AND partner_id <> '{second}'"));
    project.write(file, changed);
    let new = "queries/metrics/idle.sql";
    project.write(new, BUSY_METRIC);
    let result = diff(&[]);
    assert_eq!(result.code, Some(3), "{result}");
    assert!(
        result.stderr.contains("2 of ") && result.stderr.contains("metrics differ from HEAD"),
        "{result}"
    );
    let text = result.stdout_text();
    let rows = ids.len();
    for text_part in [
        format!("busy: {} rows, before {rows}; rows gone 1: partner_id = {second}", rows - 1),
        format!("partner_id = {busiest}: calls was {calls}, is {}", calls * 2),
        "idle: new".to_owned(),
        "funnel: the same ".to_owned(),
    ] {
        assert!(text.contains(&text_part), "{text_part}\n{text}");
    }

    let markdown = diff(&["busy", "growth", "--format", "markdown"]).stdout_text();
    assert!(
        markdown.starts_with("### Metrics beside HEAD\n\nBefore: the queries of HEAD. Now: "),
        "{markdown}"
    );
    assert!(markdown.contains("\n\n1 the same: growth\n"), "{markdown}");
    let share = (rows - 2) as f64 / (rows - 1) as f64;
    let share = format!("| calls | {:.1} % |", (share * 1000.0).floor() / 10.0);
    assert!(markdown.contains(&share), "{share}\n{markdown}");
    let json: serde_json::Value =
        serde_json::from_str(&diff(&["busy", "--format", "json"]).stdout_text()).expect("JSON");
    assert_eq!(json["before"]["queries"], "HEAD");
    assert!(json["before"]["run"].is_null() && json["now"]["queries"].is_null(), "{json}");
    assert_eq!(json["metrics"][0]["rows_joined"], rows - 1);
    assert_eq!(json["metrics"][0]["columns"][0]["same"], rows - 2);

    project.run(&["metrics", "diff", "no-such", "busy"]).expect_error(2, &["no-such"]);
    project.run(&["metrics", "diff", "HEAD", "bsy"]).expect_error(2, &["bsy"]);
}

#[test]
fn a_rollup_with_another_query_is_computed_again() {
    let world = SimulatedWorld::new(WorldSize { seed: 41, partners: 20, events: 2_000, days: 50 });
    let project = Project::new();
    world.load(&project);
    std::fs::create_dir_all(project.path("queries/rollups")).expect("a folder");
    let original = project.run_ok(&["metrics", "show", "billing_day"]);
    let file = "queries/rollups/billing_day.sql";
    project.write(file, &original);
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "queries"]);
    git(&project, &["commit", "--quiet", "--message", "as built in"]);
    project.run_ok(&["metrics", "run", "growth", "--format", "csv"]);
    let from_clause = "FROM billing_events";
    assert!(original.contains(from_clause));
    let filtered = format!("{from_clause}\nWHERE partner_id < 'p-000010'");
    project.write(file, original.replace(from_clause, &filtered));
    let result = project.run(&["metrics", "diff", "HEAD", "revenue_summary", "growth"]);
    assert_eq!(result.code, Some(3), "{result}");
    let text = result.stdout_text();
    assert!(text.contains("growth: the same ") && text.contains("paying_partners"), "{text}");

    // The run stored the rollup of another query; the same queries on the same events agree.
    let metrics = ["revenue_summary", "growth"];
    let same = project.run_ok(&[&["metrics", "diff", "--run", "1"], &metrics[..]].concat());
    assert!(same.contains("revenue_summary: the same "), "{same}");
    let both = project.run(&[&["metrics", "diff", "HEAD", "--run", "1"], &metrics[..]].concat());
    assert_eq!(both.code, Some(3), "{both}");
    assert!(both.stdout_text().contains("paying_partners"), "{both}");
}

#[test]
fn the_tables_of_a_run_are_compared_with_the_newest() {
    let project = Project::new();
    let load = |partner: &str, day: &str, arrival: &str| {
        let call = format!(
            r#"{{"event_id":"{partner}","partner_id":"{partner}","occurred_at":"{day}T04:05:06Z","environment":"production","status":200}}"#
        );
        project.write("calls.ndjson", call + "\n");
        let load = ["ingest", "load", "--stream", "api-calls", "--arrival", arrival];
        project.run_ok(&[&load[..], &["calls.ndjson"]].concat());
    };
    let diff = |arguments: &[&str]| project.run(&[&["metrics", "diff"], arguments].concat());
    load("p1", "2026-02-03", "2026-02-05");
    diff(&["--run", "1"]).expect_error(2, &["--run: the lake has recorded no run yet"]);
    project.run_ok(&["metrics", "run", "growth", "--as-of", "2026-02-04", "--format", "csv"]);
    let run = project.query_rows("SELECT run_id FROM runs").remove(0);
    // A late event, and an event after the instant of the run.
    load("p2", "2026-02-03", "2026-02-06");
    load("p3", "2026-02-25", "2026-02-26");

    let result = diff(&["--run", &run, "growth", "funnel"]);
    assert_eq!(result.code, Some(3), "{result}");
    assert!(
        result.stderr.contains(&format!("1 of 2 metrics differs from run {run} of ")),
        "{result}"
    );
    let text = result.stdout_text();
    for text_part in [
        &format!("Before: the tables of run {run} of "),
        "Now: the newest. Both with the queries of the working tree, as of 2026-02-04T00:00:00Z.",
        "month = 2026-02-01: active was 1, is 2",
        "funnel: the same ",
    ] {
        assert!(text.contains(text_part), "{text_part}\n{text}");
    }
    let later = diff(&["--run", &run, "growth", "--as-of", "2026-02-26"]).stdout_text();
    assert!(later.contains("active was 1, is 3"), "{later}");
    let markdown = diff(&["--run", "2099-01-01", "growth", "--format", "markdown"]).stdout_text();
    assert!(markdown.starts_with(&format!("### Metrics beside run {run} of ")), "{markdown}");
    let json = diff(&["--run", "1", "growth", "--format", "json"]).stdout_text();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["before"]["run"], run);
    assert!(json["before"]["queries"].is_null() && json["now"]["run"].is_null(), "{json}");
    assert_eq!(json["as_of"], "2026-02-04T00:00:00Z");

    diff(&[]).expect_error(2, &["--run"]);
    diff(&["--run", "ffffffff"]).expect_error(2, &["--run: there is no run \"ffffffff\"", &run]);
    diff(&["--run", "77"]).expect_error(2, &["--run: there is no run of number 77", &run]);
    diff(&["--run", "1", "grwth"]).expect_error(2, &["git", "did you mean growth?"]);
    // The old files are deleted, as a vacuum does a week later.
    let day = project.path("lake/rollup/partner_day/event_date=2026-02-03");
    let entries = std::fs::read_dir(&day).expect("a day");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    // The names of files begin with their instant.
    files.sort();
    files.pop();
    assert!(!files.is_empty());
    files.iter().for_each(|file| std::fs::remove_file(file).expect("a file"));
    diff(&["--run", "1", "growth"])
        .expect_error(1, &["`rapport lake vacuum` has deleted", "younger"]);
}
