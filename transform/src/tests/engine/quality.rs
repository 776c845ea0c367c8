//! Tests of `quality_day` and `error_detail`: copies in several files, compaction, erasure, sealed
//! days.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Day, Stream};
use lake::Erasure;
use proptest::prelude::*;
use toml::{Table, Value};

use super::{ApiCall, TestProject, calls, event, row};

const QUALITY: &str = "SELECT stream || ' ' || CAST(event_date AS VARCHAR) || ': ' || rows || ' ' || copies || ' ' || late AS line \
    FROM quality_day ORDER BY stream, event_date";

const ERRORS: &str = "SELECT CAST(event_date AS VARCHAR) || ' ' || partner_id || ' ' || status || ': ' || calls AS line \
    FROM error_detail ORDER BY event_date, partner_id, status";

impl TestProject {
    /// Returns the lines of a query with one column of text.
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

/// Returns a project with three files of two days. The call of partner a on the 1st is there three
/// times, and the copy that counts is in the last file.
async fn project_with_copies() -> TestProject {
    let project = TestProject::new().await;
    let (first, second) = ("2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z");
    project
        .add(
            Stream::ApiCalls,
            &[
                call("a", first, 5, 200, false),
                call("b", first, 6, 500, false),
                call("b", second, 7, 404, true),
            ],
        )
        .await;
    project
        .add(Stream::ApiCalls, &[call("a", first, 4, 200, false), call("b", first, 8, 500, true)])
        .await;
    project.add(Stream::ApiCalls, &[call("a", first, 3, 503, true)]).await;
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
    project.add(Stream::SupportEvents, &[ticket(1), ticket(2)]).await;
    project
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
    let project = project_with_copies().await;
    // First computed from the events at the read, then stored as a rollup.
    assert_eq!(project.lines(QUALITY).await, BEFORE);
    assert_eq!(project.refresh().await["quality_day"], 2);
    assert_eq!(project.lines(QUALITY).await, BEFORE);
    assert_eq!(project.lines(ERRORS).await, FAILED);
    for day in days() {
        project.compact(Stream::ApiCalls, day).await;
        project.compact(Stream::SupportEvents, day).await;
    }
    let left = project.rows("SELECT count(*) AS n FROM raw.api_calls").await;
    assert!(left.contains("| 3 |"), "{left}");
    assert_eq!(project.lines(QUALITY).await, BEFORE);
    project.refresh().await;
    assert_eq!(project.lines(QUALITY).await, BEFORE);
    assert_eq!(project.lines(ERRORS).await, FAILED);
    // A copy is added after compaction, and then compacted.
    project.add(Stream::ApiCalls, &[call("a", "2026-01-01T10:00:00Z", 9, 200, false)]).await;
    let after = ["api-calls 2026-01-01: 2 4 1", BEFORE[1], BEFORE[2]];
    assert_eq!(project.refresh().await["quality_day"], 1);
    assert_eq!(project.lines(QUALITY).await, after);
    project.compact(Stream::ApiCalls, days()[0]).await;
    project.refresh().await;
    assert_eq!(project.lines(QUALITY).await, after);
    assert_eq!(project.lines(ERRORS).await, FAILED);
}

#[tokio::test]
async fn compacted_before_the_first_refresh() {
    let project = project_with_copies().await;
    for day in days() {
        project.compact(Stream::ApiCalls, day).await;
    }
    assert_eq!(project.refresh().await["quality_day"], 2);
    assert_eq!(project.lines(QUALITY).await, BEFORE);
    assert_eq!(project.lines(ERRORS).await, FAILED);
}

#[tokio::test]
async fn an_erased_partner_is_not_counted() {
    let project = project_with_copies().await;
    project.compact(Stream::SupportEvents, days()[1]).await;
    project.refresh().await;
    let erasure = Erasure::new(&BTreeMap::from([("b".to_owned(), "erased-1".to_owned())]), false);
    project.lake.erase(&erasure, "raw/api_calls", None, false).await.expect("an erasure");
    project.refresh().await;
    assert_eq!(project.lines(QUALITY).await, ["api-calls 2026-01-01: 1 2 1", BEFORE[2]]);
    assert_eq!(project.lines(ERRORS).await, [FAILED[0]]);
}

#[tokio::test]
async fn sealed_days_stay_as_computed() {
    let project = project_with_copies().await;
    project.compact(Stream::ApiCalls, days()[0]).await;
    project.refresh().await;
    let def = lake::schema::raw(Stream::ApiCalls);
    let base = project.lake.snapshot(&def.name, None).await.expect("the lake").expect("a table");
    project.lake.seal(&def, &base, days()[1], false).await.expect("sealed");
    project.refresh().await;
    assert_eq!(project.lines(QUALITY).await, BEFORE);
    assert_eq!(project.lines(ERRORS).await, FAILED);
}

/// A change of a lake.
#[derive(Debug, Clone)]
enum LakeChange {
    Arrive(Vec<ApiCall>),
    Compact(i32),
    Refresh,
}

fn changes() -> impl Strategy<Value = Vec<LakeChange>> {
    let arrive = || calls().prop_map(|pieces| LakeChange::Arrive(pieces.concat()));
    let change = prop_oneof![
        3 => arrive(),
        3 => (0..3).prop_map(LakeChange::Compact),
        1 => Just(LakeChange::Refresh),
    ];
    (arrive(), proptest::collection::vec(change, 1..8))
        .prop_map(|(first, rest)| [vec![first], rest].concat())
}

/// Whether a call is late. The copies of an event can differ in it.
fn is_late(call: &ApiCall) -> bool {
    call.second % 1200 == 0
}

/// Returns the expected lines of `quality_day`. The last copy of an event counts, because offsets
/// fall.
fn expected(arrived: &[ApiCall]) -> Vec<String> {
    let mut events: BTreeMap<(i32, u8, u8), &ApiCall> = BTreeMap::new();
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
    fn compaction_at_any_time_changes_no_count(changes in changes()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let project = TestProject::new().await;
            let mut arrived: Vec<ApiCall> = Vec::new();
            for change in &changes {
                match change {
                    LakeChange::Arrive(calls) => {
                        let rows = calls.iter().enumerate().map(|(i, c)| {
                            with(row(c, arrived.len() + i), &[("late", is_late(c).into())])
                        });
                        project.add(Stream::ApiCalls, &rows.collect::<Vec<_>>()).await;
                        arrived.extend(calls.iter().cloned());
                    }
                    LakeChange::Compact(day) => project.compact(Stream::ApiCalls, Day(20_000 + day)).await,
                    LakeChange::Refresh => {
                        project.refresh().await;
                    }
                }
            }
            project.refresh().await;
            assert_eq!(project.lines(QUALITY).await, expected(&arrived));
        });
    }
}

/// The beginning of a project's rollup, without `reads` and the query.
const HEADER_START: &str = "/*---
description = \"records up to and with a day\"
grain = [\"event_date\"]
[columns]
event_date = { type = \"Date32\" }
records = { type = \"Int64\" }
[reads]
";

#[tokio::test]
async fn a_rollup_of_arrivals_follows_earlier_days() {
    let query = "arrivals = \"upto\"\n---*/
        SELECT event_date, sum(sum(records)) OVER (ORDER BY event_date) AS records
        FROM arrivals GROUP BY event_date";
    let project =
        TestProject::with_queries(&[("rollups/so_far.sql", &format!("{HEADER_START}{query}"))])
            .await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z"];
    project.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    assert_eq!(project.refresh().await["so_far"], 2);
    project
        .add(
            Stream::SupportEvents,
            &[with(
                event("a", "2026-01-01T10:00:00Z"),
                &[("type", "opened".into()), ("ticket_id", "t".into())],
            )],
        )
        .await;
    assert_eq!(project.refresh().await["so_far"], 3);
    project.add(Stream::ApiCalls, &[event("b", "2026-01-03T11:00:00Z")]).await;
    assert_eq!(project.refresh().await["so_far"], 1);
    let lines = "SELECT 'n: ' || records AS line FROM so_far ORDER BY event_date";
    assert_eq!(project.lines(lines).await, ["n: 1", "n: 2", "n: 4"]);
}

#[tokio::test]
async fn a_rollup_must_declare_the_days_it_reads() {
    for (rest, part) in [
        ("---*/\nSELECT event_date, records FROM arrivals", "reads = { arrivals = \"same\" }"),
        (
            "partner_day = \"same\"\n---*/\nSELECT event_date, sum(calls) AS records FROM partner_day GROUP BY event_date",
            "reads tables of events and arrivals only, not partner_day",
        ),
    ] {
        let query = format!("{HEADER_START}{rest}");
        let project = TestProject::with_queries(&[("rollups/own.sql", &query)]).await;
        let report = project.engine.refresh(&mut |_| {}).await.expect("the other rollups");
        let error = &report.failed["own"];
        assert!(error.contains("own.sql") && error.contains(part), "{error}");
    }
}
