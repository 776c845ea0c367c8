//! What a refresh would do, said before it does it.

use lake_types::{Day, Stream};

use super::{CALLS_SO_FAR, World, event};
use crate::engine::{Engine, EngineOptions};
use crate::stale::{Reason, StaleDay};

async fn stale(engine: &Engine, rollup: &str) -> Vec<StaleDay> {
    let plans = engine.plan().await.expect("a plan");
    let plan = plans.into_iter().find(|plan| plan.name == rollup).expect("the rollup");
    assert_eq!(plan.error, None);
    plan.stale
}

fn day(text: &str) -> Day {
    text.parse().expect("a day")
}

/// The same lake after a rollup of the project was written anew.
fn with_query(world: &World, rollup: &str, text: &str) -> Engine {
    let folder = world.folder.path().join("queries");
    std::fs::write(folder.join(format!("rollups/{rollup}.sql")), text).expect("a query");
    let options = EngineOptions {
        reporting_currency: "USD".to_owned(),
        project_queries: Some(folder),
        ..EngineOptions::default()
    };
    Engine::new(world.lake.clone(), options).expect("the queries")
}

#[tokio::test]
async fn a_plan_says_why_and_changes_nothing() {
    let queries = [("rollups/calls_so_far.sql", CALLS_SO_FAR)];
    let world = World::with_queries(&queries).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-04T10:00:00Z"];
    world.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    let expected = |text: &str, reason: Reason, input_days: &[&str]| StaleDay {
        day: day(text),
        reason,
        input_days: input_days.iter().map(|text| day(text)).collect(),
    };
    for _ in 0..2 {
        assert_eq!(
            stale(&world.engine, "partner_day").await,
            [
                expected("2026-01-02", Reason::NeverBuilt, &[]),
                expected("2026-01-04", Reason::NeverBuilt, &[]),
            ]
        );
    }
    world.refresh().await;
    assert_eq!(stale(&world.engine, "partner_day").await, []);

    world.add(Stream::ApiCalls, &[event("a", "2026-01-02T11:00:00Z")]).await;
    let changed = || Reason::InputChanged(vec!["api_calls".to_owned()]);
    assert_eq!(
        stale(&world.engine, "partner_day").await,
        [expected("2026-01-02", changed(), &["2026-01-02"])]
    );
    // One that looks back is stale on every day that reads the one that changed.
    assert_eq!(
        stale(&world.engine, "calls_so_far").await,
        [
            expected("2026-01-02", changed(), &["2026-01-02"]),
            expected("2026-01-04", changed(), &["2026-01-02"]),
        ]
    );
    world.refresh().await;

    // The same lake, and another query of the name.
    let other = CALLS_SO_FAR.replace("FROM api_calls", "FROM api_calls WHERE status < 500");
    let engine = with_query(&world, "calls_so_far", &other);
    let reasons: Vec<Reason> =
        stale(&engine, "calls_so_far").await.into_iter().map(|stale| stale.reason).collect();
    assert_eq!(reasons, [Reason::SqlChanged, Reason::SqlChanged]);
    assert_eq!(stale(&engine, "partner_day").await, []);
}

#[tokio::test]
async fn a_header_that_is_wrong_is_refused_before_anything_is_written() {
    let wrong = CALLS_SO_FAR.replace("\"upto\"", "\"same\"");
    let world = World::with_queries(&[("rollups/calls_so_far.sql", &wrong)]).await;
    world.add(Stream::ApiCalls, &[event("a", "2026-01-02T10:00:00Z")]).await;
    let report = world.engine.refresh(&mut |_| {}).await.expect("the other rollups");
    let why = &report.failed["calls_so_far"];
    assert!(why.contains("may read every day before it too of api_calls"), "{why}");
    assert!(world.lake.snapshot("rollup/calls_so_far", None).await.expect("the lake").is_none());
    // The others are up to date, and nobody reads this one.
    assert_eq!(stale(&world.engine, "partner_day").await, []);
    let as_of = super::as_of("2026-02-01");
    let session = world.engine.at(as_of, None).await.expect("a session");
    assert!(session.metric("growth").await.is_ok());
    let error = session.sql("SELECT * FROM calls_so_far").await.expect_err("left out").to_string();
    assert!(error.starts_with("calls_so_far is left out: "), "{error}");
}

#[tokio::test]
async fn other_columns_are_a_rebuild() {
    let mut world = World::with_queries(&[("rollups/calls_so_far.sql", CALLS_SO_FAR)]).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-04T10:00:00Z"];
    world.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    world.refresh().await;
    let as_of = super::as_of("2026-02-01");
    let session = world.engine.at(as_of, None).await.expect("a session");
    let before = session.versions().clone();

    let other = CALLS_SO_FAR.replace("calls = {", "seen = {").replace("AS calls", "AS seen");
    world.engine = with_query(&world, "calls_so_far", &other);
    let reasons = stale(&world.engine, "calls_so_far").await;
    let reasons: Vec<Reason> = reasons.into_iter().map(|stale| stale.reason).collect();
    assert_eq!(reasons, [Reason::SchemaChanged, Reason::SchemaChanged]);
    assert_eq!(world.refresh().await["calls_so_far"], 2);
    assert_eq!(stale(&world.engine, "calls_so_far").await, []);
    let sum = "SELECT sum(seen) AS n FROM calls_so_far";
    assert!(world.rows(sum).await.contains("| 3 |"), "{}", world.rows(sum).await);

    // A version of before has the columns of then.
    let session = world.engine.at(as_of, Some(&before)).await.expect("a session");
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

/// Three days of calls, the rollups of which are up to date, and the first two sealed.
async fn sealed(rollup: &str, text: &str) -> World {
    let world = World::with_queries(&[(&format!("rollups/{rollup}.sql"), text)]).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z", "2026-01-04T10:00:00Z"];
    world.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    world.refresh().await;
    let raw = lake::schema::raw(Stream::ApiCalls);
    let base = world.lake.snapshot(&raw.name, None).await.expect("the lake").expect("a table");
    world.lake.seal(&raw, &base, day("2026-01-04"), false).await.expect("sealed");
    world
}

/// Why a rollup can't be brought up to date, which its plan says too.
async fn refusal(engine: &Engine, rollup: &str) -> String {
    let report = engine.refresh(&mut |_| {}).await.expect("the other rollups");
    let plans = engine.plan().await.expect("a plan");
    let plan = plans.into_iter().find(|plan| plan.name == rollup).expect("the rollup");
    assert_eq!(plan.error.as_ref(), report.failed.get(rollup));
    plan.error.expect("a refusal")
}

#[tokio::test]
async fn other_columns_are_refused_where_events_are_gone() {
    let world = sealed("calls_of_days", CALLS_OF_DAYS).await;
    let other = CALLS_OF_DAYS.replace("calls = {", "seen = {").replace("AS calls", "AS seen");
    let why = refusal(&with_query(&world, "calls_of_days", &other), "calls_of_days").await;
    let due = "calls_of_days.sql:6: its columns changed, and the days that are stored can't be computed anew: 2 days from 2026-01-02 to 2026-01-03 are sealed by retention";
    assert!(why.contains(due), "{why}");
    let stored = world.lake.snapshot("rollup/calls_of_days", None).await.expect("the lake");
    assert_eq!(stored.expect("the table").files.len(), 3, "what is stored stays");
}

#[tokio::test]
async fn days_that_read_a_sealed_one_stay_as_computed() {
    let day_after = "SELECT CAST(CAST(event_date AS INT) + 1 AS DATE) AS event_date, count(*)";
    let yesterday = CALLS_OF_DAYS
        .replace("same", "lookback 1")
        .replace("SELECT event_date, count(*)", day_after);
    let world = sealed("yesterday", &yesterday).await;
    let calls = "SELECT event_date, calls FROM yesterday ORDER BY event_date";
    let before = world.rows(calls).await;
    assert!(before.contains("| 2026-01-04 | 1     |"), "{before}");
    world.add(Stream::ApiCalls, &[event("a", "2026-01-04T11:00:00Z")]).await;
    world.refresh().await;
    assert_eq!(world.rows(calls).await, before);

    let world = sealed("calls_so_far", CALLS_SO_FAR).await;
    let why = refusal(&world.engine, "calls_so_far").await;
    let due = "calls_so_far.sql:4: it reads every day of api_calls (\"upto\"), and retention has sealed those before 2026-01-04";
    assert!(why.contains(due), "{why}");
}

#[tokio::test]
async fn other_columns_wait_for_a_check() {
    let mut world = World::with_queries(&[("rollups/calls_so_far.sql", CALLS_SO_FAR)]).await;
    world.add(Stream::ApiCalls, &[event("a", "2026-01-02T10:00:00Z")]).await;
    world.refresh().await;
    let other = CALLS_SO_FAR.replace("calls = {", "seen = {").replace("AS calls", "AS seen");
    let checked =
        other.replace("---*/", "[[checks]]\nsql = \"SELECT * FROM this WHERE seen > 0\"\n---*/");
    world.engine = with_query(&world, "calls_so_far", &checked);
    let report = world.engine.refresh(&mut |_| {}).await.expect("the other rollups");
    let why = &report.failed["calls_so_far"];
    assert!(why.contains("a check fails on them: calls_so_far: a row fails"), "{why}");
    world.engine = with_query(&world, "calls_so_far", &other);
    assert_eq!(world.refresh().await["calls_so_far"], 1);
}
