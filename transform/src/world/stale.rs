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

#[tokio::test]
async fn a_plan_says_why_and_changes_nothing() {
    let queries = [("rollups/calls_so_far.sql", CALLS_SO_FAR)];
    let world = World::with_queries(&queries).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-04T10:00:00Z"];
    world.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    let expected = |text: &str, reason: Reason, input_days: Option<(&str, &str)>| StaleDay {
        day: day(text),
        reason,
        input_days: input_days.map(|(from, to)| (day(from), day(to))),
    };
    for _ in 0..2 {
        assert_eq!(
            stale(&world.engine, "partner_day").await,
            [
                expected("2026-01-02", Reason::NeverBuilt, None),
                expected("2026-01-04", Reason::NeverBuilt, None),
            ]
        );
    }
    world.refresh().await;
    assert_eq!(stale(&world.engine, "partner_day").await, []);

    world.add(Stream::ApiCalls, &[event("a", "2026-01-02T11:00:00Z")]).await;
    let changed = || Reason::InputChanged(vec!["api_calls".to_owned()]);
    assert_eq!(
        stale(&world.engine, "partner_day").await,
        [expected("2026-01-02", changed(), Some(("2026-01-02", "2026-01-02")))]
    );
    // One that looks back reads the days before, too.
    assert_eq!(
        stale(&world.engine, "calls_so_far").await,
        [
            expected("2026-01-02", changed(), Some(("2026-01-02", "2026-01-02"))),
            expected("2026-01-04", changed(), Some(("2026-01-02", "2026-01-04"))),
        ]
    );
    world.refresh().await;

    // The same lake, and another query of the name.
    let other = CALLS_SO_FAR.replace("FROM api_calls", "FROM api_calls WHERE status < 500");
    let folder = world.folder.path().join("queries");
    std::fs::write(folder.join("rollups/calls_so_far.sql"), other).expect("a query");
    let options = EngineOptions {
        reporting_currency: "USD".to_owned(),
        project_queries: Some(folder),
        ..EngineOptions::default()
    };
    let engine = Engine::new(world.lake.clone(), options).expect("the queries");
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
