//! `quality_day` and `error_detail` over real lakes: copies in several files, compaction, erasure,
//! sealed days.

use std::collections::{BTreeMap, BTreeSet};

use lake::Erasure;
use lake_types::{Day, Stream};
use proptest::prelude::*;
use toml::{Table, Value};

use super::{Call, World, calls, event, row};

const QUALITY: &str = "SELECT stream || ' ' || CAST(event_date AS VARCHAR) || ': ' || rows || ' ' || copies || ' ' || late AS line \
    FROM quality_day ORDER BY stream, event_date";

const ERRORS: &str = "SELECT CAST(event_date AS VARCHAR) || ' ' || partner_id || ' ' || status || ': ' || calls AS line \
    FROM error_detail ORDER BY event_date, partner_id, status";

impl World {
    /// The lines of a query that gives text.
    async fn lines(&self, sql: &str) -> Vec<String> {
        let text = self.rows(sql).await;
        let cells = text.lines().filter(|l| l.contains(": "));
        cells.map(|l| l.trim_matches(['|', ' ']).to_owned()).collect()
    }
}

fn with(mut row: Table, values: &[(&str, Value)]) -> Table {
    for (name, value) in values {
        row.insert((*name).to_owned(), value.clone());
    }
    row
}

fn call(partner: &str, at: &str, offset: i64, status: i64, late: bool) -> Table {
    with(
        event(partner, at),
        &[("kafka_offset", offset.into()), ("status", status.into()), ("late", late.into())],
    )
}

/// Three files of two days: a's call of the 1st three times, the copy that counts in the last file.
async fn world() -> World {
    let world = World::new().await;
    let (first, second) = ("2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z");
    world
        .add(
            Stream::ApiCalls,
            &[
                call("a", first, 5, 200, false),
                call("b", first, 6, 500, false),
                call("b", second, 7, 404, true),
            ],
        )
        .await;
    world
        .add(Stream::ApiCalls, &[call("a", first, 4, 200, false), call("b", first, 8, 500, true)])
        .await;
    world.add(Stream::ApiCalls, &[call("a", first, 3, 503, true)]).await;
    let ticket = |offset: i64| {
        with(
            event("a", second),
            &[
                ("kafka_offset", offset.into()),
                ("type", "opened".into()),
                ("ticket_id", "t".into()),
            ],
        )
    };
    world.add(Stream::SupportEvents, &[ticket(1), ticket(2)]).await;
    world
}

const BEFORE: [&str; 3] = [
    "api-calls 2026-01-01: 2 3 1",
    "api-calls 2026-01-02: 1 0 1",
    "support-events 2026-01-02: 1 1 0",
];
const FAILED: [&str; 3] = ["2026-01-01 a 503: 1", "2026-01-01 b 500: 1", "2026-01-02 b 404: 1"];

fn days() -> [Day; 2] {
    ["2026-01-01", "2026-01-02"].map(|day| day.parse().expect("a day"))
}

#[tokio::test]
async fn compaction_changes_no_cell() {
    let world = world().await;
    // Computed where it is read, then from the rollup.
    assert_eq!(world.lines(QUALITY).await, BEFORE);
    assert_eq!(world.refresh().await["quality_day"], 2);
    assert_eq!(world.lines(QUALITY).await, BEFORE);
    assert_eq!(world.lines(ERRORS).await, FAILED);
    for day in days() {
        world.compact(Stream::ApiCalls, day).await;
        world.compact(Stream::SupportEvents, day).await;
    }
    let left = world.rows("SELECT count(*) AS n FROM raw.api_calls").await;
    assert!(left.contains("| 3 |"), "{left}");
    assert_eq!(world.lines(QUALITY).await, BEFORE);
    world.refresh().await;
    assert_eq!(world.lines(QUALITY).await, BEFORE);
    assert_eq!(world.lines(ERRORS).await, FAILED);
    // A copy that comes after compaction, and the next compaction.
    world.add(Stream::ApiCalls, &[call("a", "2026-01-01T10:00:00Z", 9, 200, false)]).await;
    let after = ["api-calls 2026-01-01: 2 4 1", BEFORE[1], BEFORE[2]];
    assert_eq!(world.refresh().await["quality_day"], 1);
    assert_eq!(world.lines(QUALITY).await, after);
    world.compact(Stream::ApiCalls, days()[0]).await;
    world.refresh().await;
    assert_eq!(world.lines(QUALITY).await, after);
    assert_eq!(world.lines(ERRORS).await, FAILED);
}

#[tokio::test]
async fn compacted_before_the_first_refresh() {
    let world = world().await;
    for day in days() {
        world.compact(Stream::ApiCalls, day).await;
    }
    assert_eq!(world.refresh().await["quality_day"], 2);
    assert_eq!(world.lines(QUALITY).await, BEFORE);
    assert_eq!(world.lines(ERRORS).await, FAILED);
}

#[tokio::test]
async fn an_erased_partner_is_not_counted() {
    let world = world().await;
    world.compact(Stream::SupportEvents, days()[1]).await;
    world.refresh().await;
    let erasure = Erasure::new(&BTreeMap::from([("b".to_owned(), "erased-1".to_owned())]), false);
    world.lake.erase(&erasure, "raw/api_calls", None, false).await.expect("an erasure");
    world.refresh().await;
    assert_eq!(world.lines(QUALITY).await, ["api-calls 2026-01-01: 1 2 1", BEFORE[2]]);
    assert_eq!(world.lines(ERRORS).await, [FAILED[0]]);
}

#[tokio::test]
async fn sealed_days_stay_as_computed() {
    let world = world().await;
    world.compact(Stream::ApiCalls, days()[0]).await;
    world.refresh().await;
    let def = lake::schema::raw(Stream::ApiCalls);
    let base = world.lake.snapshot(&def.name, None).await.expect("the lake").expect("a table");
    world.lake.seal(&def, &base, days()[1], false).await.expect("sealed");
    world.refresh().await;
    assert_eq!(world.lines(QUALITY).await, BEFORE);
    assert_eq!(world.lines(ERRORS).await, FAILED);
}

/// What happens to a lake.
#[derive(Debug, Clone)]
enum Step {
    Arrive(Vec<Call>),
    Compact(i32),
    Refresh,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let arrive = || calls().prop_map(|pieces| Step::Arrive(pieces.concat()));
    let step = prop_oneof![
        3 => arrive(),
        3 => (0..3).prop_map(Step::Compact),
        1 => Just(Step::Refresh),
    ];
    (arrive(), proptest::collection::vec(step, 1..8))
        .prop_map(|(first, rest)| [vec![first], rest].concat())
}

/// Whether a call came late, so that copies of one event differ in it.
fn is_late(call: &Call) -> bool {
    call.second % 1200 == 0
}

/// The lines of `quality_day`: of copies the one that came last counts, for offsets fall.
fn expected(arrived: &[Call]) -> Vec<String> {
    let mut events: BTreeMap<(i32, u8, u8), &Call> = BTreeMap::new();
    for call in arrived {
        events.insert((call.day, call.partner, call.event), call);
    }
    let days: BTreeSet<i32> = arrived.iter().map(|c| c.day).collect();
    let line = |day: i32| {
        let here = || events.values().filter(|c| c.day == day);
        let rows = here().count();
        let copies = arrived.iter().filter(|c| c.day == day).count() - rows;
        let late = here().filter(|c| is_late(c)).count();
        format!("api-calls {}: {rows} {copies} {late}", Day(20_000 + day))
    };
    days.into_iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn compaction_at_any_time_changes_no_count(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let world = World::new().await;
            let mut arrived: Vec<Call> = Vec::new();
            for step in &steps {
                match step {
                    Step::Arrive(calls) => {
                        let rows = calls.iter().enumerate().map(|(i, c)| {
                            with(row(c, arrived.len() + i), &[("late", is_late(c).into())])
                        });
                        world.add(Stream::ApiCalls, &rows.collect::<Vec<_>>()).await;
                        arrived.extend(calls.iter().cloned());
                    }
                    Step::Compact(day) => world.compact(Stream::ApiCalls, Day(20_000 + day)).await,
                    Step::Refresh => {
                        world.refresh().await;
                    }
                }
            }
            world.refresh().await;
            assert_eq!(world.lines(QUALITY).await, expected(&arrived));
        });
    }
}

/// A project's rollup; `reads` and the query are to follow.
const OWN: &str = "/*---
description = \"records up to and with a day\"
grain = [\"event_date\"]
[columns]
event_date = { type = \"Date32\" }
records = { type = \"Int64\" }
[reads]
";

#[tokio::test]
async fn a_rollup_of_arrivals_follows_the_days_it_may_read() {
    let query = "arrivals = \"upto\"\n---*/
        SELECT event_date, sum(sum(records)) OVER (ORDER BY event_date) AS records
        FROM arrivals GROUP BY event_date";
    let world = World::with_queries(&[("rollups/so_far.sql", &format!("{OWN}{query}"))]).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z"];
    world.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    assert_eq!(world.refresh().await["so_far"], 2);
    world
        .add(
            Stream::SupportEvents,
            &[with(
                event("a", "2026-01-01T10:00:00Z"),
                &[("type", "opened".into()), ("ticket_id", "t".into())],
            )],
        )
        .await;
    assert_eq!(world.refresh().await["so_far"], 3);
    world.add(Stream::ApiCalls, &[event("b", "2026-01-03T11:00:00Z")]).await;
    assert_eq!(world.refresh().await["so_far"], 1);
    let lines = "SELECT 'n: ' || records AS line FROM so_far ORDER BY event_date";
    assert_eq!(world.lines(lines).await, ["n: 1", "n: 2", "n: 4"]);
}

#[tokio::test]
async fn a_rollup_says_what_it_reads() {
    for (rest, part) in [
        ("---*/\nSELECT event_date, records FROM arrivals", "reads = { arrivals = \"same\" }"),
        (
            "partner_day = \"same\"\n---*/\nSELECT event_date, sum(calls) AS records FROM partner_day GROUP BY event_date",
            "reads tables of events and arrivals only, not partner_day",
        ),
    ] {
        let query = format!("{OWN}{rest}");
        let world = World::with_queries(&[("rollups/own.sql", &query)]).await;
        let report = world.engine.refresh(&mut |_| {}).await.expect("the other rollups");
        let error = &report.failed["own"];
        assert!(error.contains("own.sql") && error.contains(part), "{error}");
    }
}
