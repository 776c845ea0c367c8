//! Tests of the plan of a refresh: stale days with their reasons, and rollups that are refused.

use domain::{Day, Stream};

use super::{CALLS_SO_FAR, TestProject, event};
use crate::engine::{Engine, EngineOptions};
use crate::rollups::stale::{StaleDay, StaleReason};

async fn stale(engine: &Engine, rollup: &str) -> Vec<StaleDay> {
    let plans = engine.plan_refresh().await.expect("a plan");
    let plan = plans.into_iter().find(|plan| plan.name == rollup).expect("the rollup");
    assert_eq!(plan.error, None);
    plan.stale
}

fn day(text: &str) -> Day {
    text.parse().expect("a day")
}

/// Writes a rollup of the project, and returns an engine that reads it.
fn with_query(project: &TestProject, rollup: &str, text: &str) -> Engine {
    let folder = project.folder.path().join("queries");
    std::fs::write(folder.join(format!("rollups/{rollup}.sql")), text).expect("a query");
    let options = EngineOptions {
        reporting_currency: "USD".to_owned(),
        project_queries: Some(folder),
        ..EngineOptions::default()
    };
    Engine::new(project.lake.clone(), options).expect("the queries")
}

#[tokio::test]
async fn a_plan_has_reasons_and_changes_nothing() {
    let queries = [("rollups/calls_so_far.sql", CALLS_SO_FAR)];
    let project = TestProject::with_queries(&queries).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-04T10:00:00Z"];
    project.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    let expected = |text: &str, reason: StaleReason, input_days: &[&str]| StaleDay {
        day: day(text),
        reason,
        input_days: input_days.iter().map(|text| day(text)).collect(),
    };
    for _ in 0..2 {
        assert_eq!(
            stale(&project.engine, "partner_day").await,
            [
                expected("2026-01-02", StaleReason::NeverBuilt, &[]),
                expected("2026-01-04", StaleReason::NeverBuilt, &[]),
            ]
        );
    }
    project.refresh().await;
    assert_eq!(stale(&project.engine, "partner_day").await, []);

    project.add(Stream::ApiCalls, &[event("a", "2026-01-02T11:00:00Z")]).await;
    let changed = || StaleReason::InputChanged(vec!["api_calls".to_owned()]);
    assert_eq!(
        stale(&project.engine, "partner_day").await,
        [expected("2026-01-02", changed(), &["2026-01-02"])]
    );
    // A rollup with a lookback is stale on every day that reads the changed one.
    assert_eq!(
        stale(&project.engine, "calls_so_far").await,
        [
            expected("2026-01-02", changed(), &["2026-01-02"]),
            expected("2026-01-04", changed(), &["2026-01-02"]),
        ]
    );
    project.refresh().await;

    // The same lake with another query of the same name.
    let other = CALLS_SO_FAR.replace("FROM api_calls", "FROM api_calls WHERE status < 500");
    let engine = with_query(&project, "calls_so_far", &other);
    let reasons: Vec<StaleReason> =
        stale(&engine, "calls_so_far").await.into_iter().map(|stale| stale.reason).collect();
    assert_eq!(reasons, [StaleReason::SqlChanged, StaleReason::SqlChanged]);
    assert_eq!(stale(&engine, "partner_day").await, []);
}

#[tokio::test]
async fn a_wrong_header_is_refused_before_anything_is_written() {
    let wrong = CALLS_SO_FAR.replace("\"upto\"", "\"same\"");
    let project = TestProject::with_queries(&[("rollups/calls_so_far.sql", &wrong)]).await;
    project.add(Stream::ApiCalls, &[event("a", "2026-01-02T10:00:00Z")]).await;
    let report = project.engine.refresh(&mut |_| {}).await.expect("the other rollups");
    let why = &report.failed["calls_so_far"];
    assert!(why.contains("may read every day before it too of api_calls"), "{why}");
    assert!(project.lake.snapshot("rollup/calls_so_far", None).await.expect("the lake").is_none());
    // The other rollups are refreshed, and this one can't be read.
    assert_eq!(stale(&project.engine, "partner_day").await, []);
    let as_of = super::as_of("2026-02-01");
    let session = project.engine.open_session(as_of, None).await.expect("a session");
    assert!(session.metric("growth").await.is_ok());
    let error = session.sql("SELECT * FROM calls_so_far").await.expect_err("left out").to_string();
    assert!(error.starts_with("calls_so_far is left out: "), "{error}");
}

#[tokio::test]
async fn changed_columns_cause_a_rebuild() {
    let mut project =
        TestProject::with_queries(&[("rollups/calls_so_far.sql", CALLS_SO_FAR)]).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-04T10:00:00Z"];
    project.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    project.refresh().await;
    let as_of = super::as_of("2026-02-01");
    let session = project.engine.open_session(as_of, None).await.expect("a session");
    let before = session.versions().clone();

    let other = CALLS_SO_FAR.replace("calls = {", "seen = {").replace("AS calls", "AS seen");
    project.engine = with_query(&project, "calls_so_far", &other);
    let reasons = stale(&project.engine, "calls_so_far").await;
    let reasons: Vec<StaleReason> = reasons.into_iter().map(|stale| stale.reason).collect();
    assert_eq!(reasons, [StaleReason::SchemaChanged, StaleReason::SchemaChanged]);
    assert_eq!(project.refresh().await["calls_so_far"], 2);
    assert_eq!(stale(&project.engine, "calls_so_far").await, []);
    let sum = "SELECT sum(seen) AS n FROM calls_so_far";
    assert!(project.rows(sum).await.contains("| 3 |"), "{}", project.rows(sum).await);

    // An earlier version has the columns of its time.
    let session = project.engine.open_session(as_of, Some(&before)).await.expect("a session");
    let then = session.sql("SELECT calls FROM calls_so_far").await.expect("rows");
    assert_eq!(then.rows(), 2);
    assert!(session.sql("SELECT seen FROM calls_so_far").await.is_err());
}

const CALLS_OF_DAYS: &str = "/*---
description = \"calls of a day\"
grain = [\"event_date\"]
reads = { api_calls = \"same\" }
[columns]
event_date = { type = \"Date32\" }
calls = { type = \"Int64\" }
---*/
SELECT event_date, count(*) AS calls FROM api_calls GROUP BY event_date";

/// Returns a project with three days of calls and fresh rollups, of which the first two are sealed.
async fn sealed(rollup: &str, text: &str) -> TestProject {
    let project = TestProject::with_queries(&[(&format!("rollups/{rollup}.sql"), text)]).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z", "2026-01-04T10:00:00Z"];
    project.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    project.refresh().await;
    let raw = lake::schema::raw(Stream::ApiCalls);
    let base = project.lake.snapshot(&raw.name, None).await.expect("the lake").expect("a table");
    project.lake.seal(&raw, &base, day("2026-01-04"), false).await.expect("sealed");
    project
}

/// Returns why a rollup can't be refreshed. Its plan has the same reason.
async fn refusal(engine: &Engine, rollup: &str) -> String {
    let report = engine.refresh(&mut |_| {}).await.expect("the other rollups");
    let plans = engine.plan_refresh().await.expect("a plan");
    let plan = plans.into_iter().find(|plan| plan.name == rollup).expect("the rollup");
    assert_eq!(plan.error.as_ref(), report.failed.get(rollup));
    plan.error.expect("a refusal")
}

#[tokio::test]
async fn changed_columns_are_refused_where_events_are_deleted() {
    let project = sealed("calls_of_days", CALLS_OF_DAYS).await;
    let other = CALLS_OF_DAYS.replace("calls = {", "seen = {").replace("AS calls", "AS seen");
    let why = refusal(&with_query(&project, "calls_of_days", &other), "calls_of_days").await;
    let expected = "calls_of_days.sql:6: its columns changed, and the days that are stored can't be computed anew: 2 days from 2026-01-02 to 2026-01-03 are sealed by retention";
    assert!(why.contains(expected), "{why}");
    let stored = project.lake.snapshot("rollup/calls_of_days", None).await.expect("the lake");
    assert_eq!(stored.expect("the table").files.len(), 3, "what is stored stays");
}

#[tokio::test]
async fn days_that_read_a_sealed_day_are_not_recomputed() {
    let day_after = "SELECT CAST(CAST(event_date AS INT) + 1 AS DATE) AS event_date, count(*)";
    let yesterday = CALLS_OF_DAYS
        .replace("same", "lookback 1")
        .replace("SELECT event_date, count(*)", day_after);
    let project = sealed("yesterday", &yesterday).await;
    let calls = "SELECT event_date, calls FROM yesterday ORDER BY event_date";
    let before = project.rows(calls).await;
    assert!(before.contains("| 2026-01-04 | 1     |"), "{before}");
    project.add(Stream::ApiCalls, &[event("a", "2026-01-04T11:00:00Z")]).await;
    project.refresh().await;
    assert_eq!(project.rows(calls).await, before);

    let project = sealed("calls_so_far", CALLS_SO_FAR).await;
    let why = refusal(&project.engine, "calls_so_far").await;
    let expected = "calls_so_far.sql:4: it reads every day of api_calls (\"upto\"), and retention has sealed those before 2026-01-04";
    assert!(why.contains(expected), "{why}");
}

#[tokio::test]
async fn a_violated_check_stops_a_rebuild() {
    let mut project =
        TestProject::with_queries(&[("rollups/calls_so_far.sql", CALLS_SO_FAR)]).await;
    project.add(Stream::ApiCalls, &[event("a", "2026-01-02T10:00:00Z")]).await;
    project.refresh().await;
    let other = CALLS_SO_FAR.replace("calls = {", "seen = {").replace("AS calls", "AS seen");
    let checked =
        other.replace("---*/", "[[checks]]\nsql = \"SELECT * FROM this WHERE seen > 0\"\n---*/");
    project.engine = with_query(&project, "calls_so_far", &checked);
    let report = project.engine.refresh(&mut |_| {}).await.expect("the other rollups");
    let why = &report.failed["calls_so_far"];
    assert!(why.contains("a check fails on them: calls_so_far: a row fails"), "{why}");
    project.engine = with_query(&project, "calls_so_far", &other);
    assert_eq!(project.refresh().await["calls_so_far"], 1);
}
