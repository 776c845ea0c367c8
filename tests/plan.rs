//! `rapport metrics plan`: which days of a rollup are stale and why, before anything is computed.

use serde_json::Value;

use crate::program::Project;

/// A day of it reads the day before, too.
const PAIRS: &str = "/*---
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
fn load(project: &Project, file: &str, days: &[u8]) {
    let call = |day: &u8| {
        format!(
            "{{\"event_id\":\"{file}-{day}\",\"partner_id\":\"p\",\"occurred_at\":\"2026-02-{day:02}T10:00:00Z\",\"status\":200}}\n"
        )
    };
    project.write(file, days.iter().map(call).collect::<String>());
    let load = ["ingest", "load", "--stream", "api-calls", "--arrival", "2026-02-10"];
    project.ok(&[&load[..], &[file]].concat());
}

fn refresh(project: &Project) {
    project.ok(&["metrics", "run", "growth", "--as-of", "2026-02-08"]);
}

/// A stale day, why, and the days of input that changed.
type Stale = (String, String, Vec<String>);

fn stale(project: &Project, rollup: &str) -> Vec<Stale> {
    let plans = project.ok(&["metrics", "plan", "--format", "json"]);
    let plans: Value = serde_json::from_str(&plans).expect("JSON");
    let plan = plans.as_array().and_then(|all| all.iter().find(|plan| plan["rollup"] == rollup));
    let plan = plan.expect("the rollup");
    assert_eq!(plan["error"], Value::Null, "{plan}");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let texts = |value: &Value| value.as_array().expect("a list").iter().map(text).collect();
    let days = plan["stale"].as_array().expect("days").iter();
    days.map(|day| (text(&day["day"]), text(&day["reason"]), texts(&day["input_days"]))).collect()
}

fn days(days: &[u8], reason: &str, input: &[u8]) -> Vec<Stale> {
    let text = |day: &u8| format!("2026-02-{day:02}");
    let input: Vec<String> = input.iter().map(text).collect();
    days.iter().map(|day| (text(day), reason.to_owned(), input.clone())).collect()
}

/// The line of a rollup, its cells apart by one space.
fn line(project: &Project, rollup: &str) -> String {
    let table = project.ok(&["metrics", "plan"]);
    let line = table.lines().find(|line| line.starts_with(rollup)).expect("the rollup");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_plan_names_the_days_and_what_changed() {
    let project = Project::new();
    std::fs::create_dir_all(project.path("queries/rollups")).expect("a folder");
    project.write("queries/rollups/pairs.sql", PAIRS);
    load(&project, "first.ndjson", &[1, 2, 5]);
    assert_eq!(stale(&project, "pairs"), days(&[1, 2, 5], "never_built", &[]));
    assert_eq!(
        line(&project, "pairs"),
        "pairs 3 3 2026-02-01 to 2026-02-02, 2026-02-05: never built"
    );
    assert!(!project.path("lake/rollup").exists(), "a plan computes nothing");

    refresh(&project);
    assert_eq!(line(&project, "pairs"), "pairs 3 0 up to date");
    assert_eq!(line(&project, "partner_day"), "partner_day 3 0 up to date");

    // Of two days that look at the one a late event came for, both; of another stream's none.
    load(&project, "late.ndjson", &[1]);
    assert_eq!(stale(&project, "partner_day"), days(&[1], "input_changed", &[1]));
    assert_eq!(stale(&project, "pairs"), days(&[1, 2], "input_changed", &[1]));
    assert_eq!(
        line(&project, "pairs"),
        "pairs 3 2 2026-02-01 to 2026-02-02: api_calls changed on 2026-02-01"
    );
    assert_eq!(line(&project, "partner_day"), "partner_day 3 1 2026-02-01: api_calls changed");
    assert_eq!(stale(&project, "billing_day"), []);

    refresh(&project);
    let sql = PAIRS.replace("FROM api_calls", "FROM api_calls WHERE status < 500");
    project.write("queries/rollups/pairs.sql", sql);
    assert_eq!(stale(&project, "pairs"), days(&[1, 2, 5], "sql_changed", &[]));
    assert_eq!(stale(&project, "partner_day"), []);

    // The same events in other files.
    refresh(&project);
    let said = project.ok(&["lake", "compact", "--before", "2026-02-03"]);
    assert!(!said.starts_with("0 days"), "{said}");
    for rollup in ["pairs", "partner_day", "quality_day"] {
        assert_eq!(stale(&project, rollup), [], "{rollup}");
    }
}
