//! `rapport metrics plan` lists the stale days of each rollup with the reason, and computes
//! nothing.

use serde_json::Value;

use crate::support::program::Project;

/// A rollup whose days also read the day before.
const PAIRS_ROLLUP: &str = "/*---
description = \"calls of a day and the one before\"
grain = [\"event_date\"]
reads = { api_calls = \"lookback 1\" }
[columns]
event_date = { type = \"Date32\" }
calls = { type = \"Int64\" }
---*/
SELECT
    event_date,
    CAST(sum(calls) OVER (ORDER BY day RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS BIGINT) AS calls
FROM (
    SELECT event_date, CAST(event_date AS INT) AS day, count(*) AS calls
    FROM api_calls
    GROUP BY event_date
)
";

/// Loads a call on each of these days of February 2026.
fn load(project: &Project, file: &str, expected_days: &[u8]) {
    let call = |day: &u8| {
        format!(
            "{{\"event_id\":\"{file}-{day}\",\"partner_id\":\"p\",\"occurred_at\":\"2026-02-{day:02}T10:00:00Z\",\"status\":200}}\n"
        )
    };
    project.write(file, expected_days.iter().map(call).collect::<String>());
    let load = ["ingest", "load", "--stream", "api-calls", "--arrival", "2026-02-10"];
    project.run_ok(&[&load[..], &[file]].concat());
}

fn refresh(project: &Project) {
    project.run_ok(&["metrics", "run", "growth", "--as-of", "2026-02-08"]);
}

/// A stale day, the reason, and the days of input that changed.
type StaleDay = (String, String, Vec<String>);

fn stale_days(project: &Project, rollup: &str) -> Vec<StaleDay> {
    let plans = project.run_ok(&["metrics", "plan", "--format", "json"]);
    let plans: Value = serde_json::from_str(&plans).expect("JSON");
    let plan = plans.as_array().and_then(|all| all.iter().find(|plan| plan["rollup"] == rollup));
    let plan = plan.expect("the rollup");
    assert_eq!(plan["error"], Value::Null, "{plan}");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let texts = |value: &Value| value.as_array().expect("a list").iter().map(text).collect();
    let expected_days = plan["stale"].as_array().expect("days").iter();
    expected_days
        .map(|day| (text(&day["day"]), text(&day["reason"]), texts(&day["input_days"])))
        .collect()
}

fn expected_days(expected_days: &[u8], reason: &str, input: &[u8]) -> Vec<StaleDay> {
    let text = |day: &u8| format!("2026-02-{day:02}");
    let input: Vec<String> = input.iter().map(text).collect();
    expected_days.iter().map(|day| (text(day), reason.to_owned(), input.clone())).collect()
}

/// Returns the line of a rollup, with one space between its cells.
fn plan_line(project: &Project, rollup: &str) -> String {
    let table = project.run_ok(&["metrics", "plan"]);
    let plan_line =
        table.lines().find(|plan_line| plan_line.starts_with(rollup)).expect("the rollup");
    plan_line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_plan_lists_stale_days_with_their_reason() {
    let project = Project::new();
    std::fs::create_dir_all(project.path("queries/rollups")).expect("a folder");
    project.write("queries/rollups/pairs.sql", PAIRS_ROLLUP);
    load(&project, "first.ndjson", &[1, 2, 5]);
    assert_eq!(stale_days(&project, "pairs"), expected_days(&[1, 2, 5], "never_built", &[]));
    assert_eq!(
        plan_line(&project, "pairs"),
        "pairs 3 3 2026-02-01 to 2026-02-02, 2026-02-05: never built"
    );
    assert!(!project.path("lake/rollup").exists(), "a plan computes nothing");

    refresh(&project);
    assert_eq!(plan_line(&project, "pairs"), "pairs 3 0 up to date");
    assert_eq!(plan_line(&project, "partner_day"), "partner_day 3 0 up to date");

    // A late event makes both days stale that read its day, and no day of another stream.
    load(&project, "late.ndjson", &[1]);
    assert_eq!(stale_days(&project, "partner_day"), expected_days(&[1], "input_changed", &[1]));
    assert_eq!(stale_days(&project, "pairs"), expected_days(&[1, 2], "input_changed", &[1]));
    assert_eq!(
        plan_line(&project, "pairs"),
        "pairs 3 2 2026-02-01 to 2026-02-02: api_calls changed on 2026-02-01"
    );
    assert_eq!(plan_line(&project, "partner_day"), "partner_day 3 1 2026-02-01: api_calls changed");
    assert_eq!(stale_days(&project, "billing_day"), []);

    refresh(&project);
    let sql = PAIRS_ROLLUP.replace("FROM api_calls", "FROM api_calls WHERE status < 500");
    project.write("queries/rollups/pairs.sql", sql);
    assert_eq!(stale_days(&project, "pairs"), expected_days(&[1, 2, 5], "sql_changed", &[]));
    assert_eq!(stale_days(&project, "partner_day"), []);

    // After a compaction the same events are in other files.
    refresh(&project);
    let output = project.run_ok(&["lake", "compact", "--before", "2026-02-03"]);
    assert!(!output.starts_with("0 days"), "{output}");
    for rollup in ["pairs", "partner_day", "quality_day"] {
        assert_eq!(stale_days(&project, rollup), [], "{rollup}");
    }
}
