//! Tests of the engine over lakes in temporary folders: incremental refreshes, duplicates,
//! sessions.

mod compaction;
mod quality;
mod stale;
mod units;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use arrow::util::pretty::pretty_format_batches;
use domain::{AsOf, Day, Stream, format_instant};
use lake::{Appender, Lake, LakeOptions};
use proptest::prelude::*;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::catalog::QueryKind;
use crate::engine::{Engine, EngineOptions};
use crate::error::TransformError;
use crate::testing::rows::{batch_of, fill_event, split_by_day};

/// A project in a temporary folder: its lake and the engine over it.
pub(crate) struct TestProject {
    pub(crate) folder: TempDir,
    pub(crate) lake: Lake,
    pub(crate) engine: Engine,
}

/// Returns a configuration with a number of cases, which `PROPTEST_CASES` overrides.
pub(crate) fn cases(default: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = default;
    }
    config
}

impl TestProject {
    async fn new() -> Self {
        Self::with_queries(&[]).await
    }

    /// Creates a project with its own queries, each with its path below `queries/` and its text.
    pub(crate) async fn with_queries(queries: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let queries_folder = folder.path().join("queries");
        for (path, text) in queries {
            let path = queries_folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a query");
        }
        let options = LakeOptions {
            root: folder.path().join("lake").display().to_string(),
            key_file: folder.path().join("lake.key"),
            store: lake::StoreOptions::default(),
        };
        let lake = Lake::open_or_create(&options).await.expect("a lake");
        let settings = EngineOptions {
            reporting_currency: "USD".to_owned(),
            project_queries: queries_folder.is_dir().then_some(queries_folder),
            ..EngineOptions::default()
        };
        let engine = Engine::new(lake.clone(), settings).expect("the queries");
        Self { folder, lake, engine }
    }

    /// Adds events as ingest does: one file for each day, all in one commit.
    pub(crate) async fn add(&self, stream: Stream, rows: &[Table]) {
        let def = lake::schema::raw(stream);
        let mut filled = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let mut row = row.clone();
            fill_event(&mut row, i, &def.schema).expect("an event");
            filled.push(row);
        }
        let batch = batch_of(&def.schema, &filled).expect("rows");
        let mut files = Vec::new();
        for (day, rows) in split_by_day(&batch).expect("days") {
            let columns: Vec<usize> = (0..def.file_schema().fields().len()).collect();
            let rows = rows.project(&columns).expect("the columns of a file");
            let file = self.lake.write_file(&def, Some(day), &[rows], BTreeMap::new()).await;
            files.push(file.expect("a file"));
        }
        let mut appender = Appender::open(&self.lake, def).await.expect("the table");
        appender.append(&[], &files).await.expect("a commit");
    }

    /// Compacts a day as `rapport lake compact` does. A day without events is skipped.
    pub(crate) async fn compact(&self, stream: Stream, day: Day) {
        let def = lake::schema::raw(stream);
        let base = self.lake.snapshot(&def.name, None).await.expect("the lake");
        let Some(base) = base.filter(|base| base.of_day(day).next().is_some()) else { return };
        let days = self.engine.compact_days(stream, &base, &[day], 1).await.expect("the files");
        let days = days.into_iter().map(|(day, _)| day).collect();
        self.lake.compact_days(&def, &base, days).await.expect("a commit");
    }

    /// Refreshes all rollups, and returns the number of computed days of each.
    async fn refresh(&self) -> BTreeMap<String, usize> {
        let report = self.engine.refresh(&mut |_| {}).await.expect("a refresh");
        report.rollups.into_iter().map(|r| (r.name, r.days)).collect()
    }

    /// Returns the rows of a query as a printed table.
    pub(crate) async fn rows(&self, sql: &str) -> String {
        let session = self.engine.open_session(as_of("2030-01-01"), None).await.expect("a session");
        let result = session.sql(sql).await.expect("rows");
        pretty_format_batches(&result.batches).expect("text").to_string()
    }

    /// Returns all rows of all rollups as text.
    async fn rollups(&self) -> String {
        let mut text = String::new();
        for query in self.engine.catalog().of_kind(QueryKind::Rollup) {
            let grain = query.header.grain.join(", ");
            let sql = format!("SELECT * FROM {} ORDER BY {grain}", query.name);
            text.push_str(&format!("{}\n{}\n", query.name, self.rows(&sql).await));
        }
        text
    }
}

pub(crate) fn as_of(day: &str) -> AsOf {
    day.parse().expect("a midnight")
}

/// An API call as it was delivered.
#[derive(Debug, Clone)]
struct ApiCall {
    day: i32,
    second: i64,
    partner: u8,
    event: u8,
    status: i64,
    latency: Option<i64>,
}

fn row(call: &ApiCall, offset: usize) -> Table {
    let micros = Day(20_000 + call.day).start_micros() + call.second * 1_000_000;
    let mut row = Table::new();
    row.insert("partner_id".to_owned(), Value::String(format!("partner-{}", call.partner)));
    row.insert("event_id".to_owned(), Value::String(format!("event-{}", call.event)));
    row.insert("occurred_at".to_owned(), Value::String(format_instant(micros)));
    row.insert("status".to_owned(), Value::Integer(call.status));
    if let Some(latency) = call.latency {
        row.insert("latency_us".to_owned(), Value::Integer(latency));
    }
    // Offsets fall, so the copy with the lowest offset often comes last.
    let offset = 1000 - i64::try_from(offset).expect("few rows");
    row.insert("kafka_offset".to_owned(), Value::Integer(offset));
    row
}

fn calls() -> impl Strategy<Value = Vec<Vec<ApiCall>>> {
    let call = (0..3, 0..200_i64, 0..3_u8, 0..8_u8, 0..3_usize, proptest::option::of(0..5000_i64))
        .prop_map(|(day, second, partner, event, status, latency)| ApiCall {
            day,
            second: second * 400,
            partner,
            event,
            status: [200, 404, 500][status],
            latency,
        });
    proptest::collection::vec(proptest::collection::vec(call, 1..30), 1..4)
}

/// Counts the events of each day and partner, without duplicates.
fn counted(pieces: &[Vec<ApiCall>]) -> BTreeMap<(i32, u8), usize> {
    let events: BTreeSet<(i32, u8, u8)> =
        pieces.iter().flatten().map(|c| (c.day, c.partner, c.event)).collect();
    let mut counts = BTreeMap::new();
    for (day, partner, _) in events {
        *counts.entry((day, partner)).or_insert(0) += 1;
    }
    counts
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn many_refreshes_equal_one_refresh(pieces in calls()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let piecewise = TestProject::new().await;
            let whole = TestProject::new().await;
            let mut offset = 0;
            for piece in &pieces {
                let rows: Vec<Table> =
                    piece.iter().enumerate().map(|(i, c)| row(c, offset + i)).collect();
                offset += piece.len();
                piecewise.add(Stream::ApiCalls, &rows).await;
                piecewise.refresh().await;
                whole.add(Stream::ApiCalls, &rows).await;
            }
            whole.refresh().await;
            assert_eq!(piecewise.rollups().await, whole.rollups().await);
            let session = whole.engine.open_session(as_of("2030-01-01"), None).await.expect("a session");
            let result = session
                .sql("SELECT count(*) AS groups, sum(calls) AS calls FROM (SELECT event_date, partner_id, CAST(sum(calls) AS BIGINT) AS calls FROM partner_day GROUP BY 1, 2)")
                .await
                .expect("counts");
            let counts = counted(&pieces);
            let expected = format!(
                "groups: {}, calls: {}",
                counts.len(),
                counts.values().sum::<usize>()
            );
            let batch = &result.batches[0];
            let cell = |i: usize| {
                arrow::util::display::array_value_to_string(batch.column(i), 0).expect("a cell")
            };
            assert_eq!(format!("groups: {}, calls: {}", cell(0), cell(1)), expected);
        });
    }
}

pub(crate) fn event(partner: &str, at: &str) -> Table {
    let mut row = Table::new();
    row.insert("partner_id".to_owned(), Value::String(partner.to_owned()));
    row.insert("occurred_at".to_owned(), Value::String(at.to_owned()));
    row.insert("event_id".to_owned(), Value::String(format!("{partner} {at}")));
    row
}

#[tokio::test]
async fn only_changed_days_are_computed() {
    let project = TestProject::new().await;
    project
        .add(
            Stream::ApiCalls,
            &[event("a", "2026-01-01T10:00:00Z"), event("a", "2026-01-02T10:00:00Z")],
        )
        .await;
    assert_eq!(project.refresh().await["partner_day"], 2);
    assert_eq!(project.refresh().await["partner_day"], 0);
    project.add(Stream::ApiCalls, &[event("b", "2026-01-02T11:00:00Z")]).await;
    let days = project.refresh().await;
    assert_eq!(days["partner_day"], 1);
    // These calls have no latency and so no histogram, but the day is still not computed again.
    assert_eq!(days["latency_histogram"], 1);
    assert_eq!(project.refresh().await["latency_histogram"], 0);
    let text = project
        .rows("SELECT partner_id, calls FROM partner_day ORDER BY event_date, partner_id")
        .await;
    assert_eq!(text.matches("| 1 ").count(), 3, "{text}");
}

#[tokio::test]
async fn a_day_without_input_is_removed() {
    let project = TestProject::new().await;
    let days = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"];
    project.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    project.refresh().await;
    for (day, left) in [("2026-01-01", "| 1 |"), ("2026-01-02", "| 0 |")] {
        let def = lake::schema::raw(Stream::ApiCalls);
        let base = project.lake.snapshot(&def.name, None).await.expect("a table").expect("a table");
        let day: Day = day.parse().expect("a day");
        project.lake.replace_days(&def, &base, vec![(day, Vec::new())]).await.expect("a commit");
        assert_eq!(project.refresh().await["partner_day"], 0);
        check(&project.rows("SELECT count(*) AS n FROM partner_day").await, left);
    }
}

/// A rollup whose days read all days before them.
const CALLS_SO_FAR: &str = "/*---
description = \"calls of a partner up to and with a day it called on\"
grain = [\"event_date\", \"partner_id\"]
reads = { api_calls = \"upto\" }
[columns]
event_date = { type = \"Date32\" }
partner_id = { type = \"Utf8\" }
calls = { type = \"Int64\" }
---*/
SELECT DISTINCT event_date, partner_id, count(*) OVER (PARTITION BY partner_id ORDER BY event_date) AS calls
FROM api_calls";

#[tokio::test]
async fn a_rollup_with_a_lookback_follows_earlier_days() {
    let project = TestProject::with_queries(&[("rollups/calls_so_far.sql", CALLS_SO_FAR)]).await;
    let days = ["2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z"];
    project.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    assert_eq!(project.refresh().await["calls_so_far"], 2);
    project.add(Stream::ApiCalls, &[event("a", "2026-01-01T10:00:00Z")]).await;
    assert_eq!(project.refresh().await["calls_so_far"], 3);
    project.add(Stream::ApiCalls, &[event("a", "2026-01-03T11:00:00Z")]).await;
    assert_eq!(project.refresh().await["calls_so_far"], 1);
    let text = project.rows("SELECT calls FROM calls_so_far ORDER BY event_date").await;
    let calls: Vec<&str> = text.lines().filter(|l| l.starts_with("| ")).skip(1).collect();
    assert_eq!(calls, ["| 1     |", "| 2     |", "| 4     |"]);
}

#[tokio::test]
async fn a_circle_of_queries_is_an_error() {
    let head = "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Int64\" }\n---*/\n";
    let one = format!("{head}SELECT a FROM two");
    let two = format!("{head}SELECT a FROM one");
    let project =
        TestProject::with_queries(&[("metrics/one.sql", &one), ("views/two.sql", &two)]).await;
    let session = project.engine.open_session(as_of("2026-02-01"), None).await.expect("a session");
    let error = session.sql("SELECT * FROM one").await.expect_err("a circle").to_string();
    assert!(error.starts_with("one → two → one: "), "{error}");
}

#[tokio::test]
async fn every_query_runs_over_an_empty_lake() {
    let project = TestProject::new().await;
    assert_eq!(project.refresh().await["partner_day"], 0);
    let session = project.engine.open_session(as_of("2026-01-01"), None).await.expect("a session");
    for query in project.engine.catalog().queries() {
        let result = session.metric(&query.name).await;
        let result = result.unwrap_or_else(|e| panic!("{}: {e}", query.name));
        assert_eq!(result.schema.fields().len(), query.header.columns.len());
    }
    for table in
        ["raw.api_calls", "api_calls", "dead_letters", "runs", "partner_health", "partner_signals"]
    {
        let result = session.sql(&format!("SELECT * FROM {table}")).await.expect(table);
        assert_eq!(result.rows(), 0);
    }
}

#[track_caller]
fn check(text: &str, part: &str) {
    assert!(text.contains(part), "{text}");
}

#[tokio::test]
async fn duplicates_are_dropped_under_any_projection() {
    let project = TestProject::new().await;
    let copy = |offset: i64, status: i64, at: &str| {
        let mut row = event("a", at);
        row.insert("event_id".to_owned(), Value::String("1".to_owned()));
        row.insert("kafka_offset".to_owned(), Value::Integer(offset));
        row.insert("status".to_owned(), Value::Integer(status));
        row
    };
    project
        .add(
            Stream::ApiCalls,
            &[copy(5, 500, "2026-01-01T09:00:00Z"), event("b", "2026-01-01T08:00:00Z")],
        )
        .await;
    project
        .add(
            Stream::ApiCalls,
            &[copy(3, 200, "2026-01-01T12:00:00Z"), copy(4, 404, "2026-01-01T01:00:00Z")],
        )
        .await;
    check(&project.rows("SELECT count(*) AS n FROM raw.api_calls").await, "| 4 |");
    check(&project.rows("SELECT count(*) AS n FROM api_calls").await, "| 2 |");
    check(&project.rows("SELECT status FROM api_calls WHERE partner_id = 'a'").await, "| 200    |");
    // A filter on a column in which copies differ is applied after the duplicates are dropped.
    check(&project.rows("SELECT count(*) AS n FROM api_calls WHERE status = 404").await, "| 0 |");
    check(
        &project.rows("SELECT count(*) AS n FROM raw.api_calls WHERE status = 404").await,
        "| 1 |",
    );
    check(
        &project.rows("SELECT count(*) AS n FROM api_calls WHERE event_date = '2026-01-01'").await,
        "| 2 |",
    );
    check(
        &project.rows("SELECT count(*) AS n FROM api_calls WHERE event_date > '2026-01-01'").await,
        "| 0 |",
    );
}

#[tokio::test]
async fn metrics_run_before_the_first_event() {
    let project = TestProject::new().await;
    project.add(Stream::ApiCalls, &[event("a", "2026-01-01T10:00:00Z")]).await;
    project.refresh().await;
    let session = project.engine.open_session(as_of("2025-01-01"), None).await.expect("a session");
    for name in ["usage_day", "partners", "growth", "funnel"] {
        session.metric(name).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[tokio::test]
async fn sql_is_read_only_and_errors_have_positions() {
    let project = TestProject::new().await;
    let session = project.engine.open_session(as_of("2026-02-01"), None).await.expect("a session");
    let error = session.sql("DROP TABLE partner_day").await.expect_err("a refusal");
    assert!(matches!(error, TransformError::ReadOnly(_)), "{error}");
    let error = session.sql("SELECT * FROM nowhere").await.expect_err("no table").to_string();
    assert!(error.starts_with("your query: there is no table \"nowhere\"; there are"), "{error}");
    let error = session.sql("SELECT\n  nothing FROM api_calls").await.expect_err("no column");
    assert!(error.to_string().starts_with("your query, line 2: "), "{error}");
    let error = session.metric("fnnel").await.expect_err("no metric").to_string();
    assert!(error.contains("no query is called \"fnnel\""), "{error}");
    let error = session.sql("SELECT $as_of + 'x' FROM").await.expect_err("no SQL").to_string();
    assert!(error.starts_with("your query: Expected"), "{error}");
    assert!(session.sql("SELECT * FROM generate_series(1, 3)").await.is_ok());
}

#[tokio::test]
async fn an_error_names_a_damaged_file() {
    let project = TestProject::new().await;
    project.add(Stream::ApiCalls, &[event("a", "2026-01-01T10:00:00Z")]).await;
    let snapshot = project.lake.snapshot("raw/api_calls", None).await.expect("a table");
    let path = snapshot.expect("a table").files[0].path.clone();
    let file = project.folder.path().join("lake").join(&path);
    let bytes = std::fs::read(&file).expect("a file");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("half of it");
    let session = project.engine.open_session(as_of("2026-02-01"), None).await.expect("a session");
    for table in ["api_calls", "raw.api_calls"] {
        let sql = format!("SELECT max(status) FROM {table}");
        let error = session.sql(&sql).await.expect_err("a broken file").to_string();
        assert!(error.contains(&path), "{table}: {error}");
    }
    let error = project.engine.refresh(&mut |_| {}).await.expect_err("a broken file").to_string();
    assert!(error.contains(&path), "{error}");
}

#[tokio::test]
async fn concurrent_refreshes_store_each_day_once() {
    let project = TestProject::new().await;
    let days = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z"];
    project.add(Stream::ApiCalls, &days.map(|at| event("a", at))).await;
    let other = project.engine.clone();
    let (mut quiet, mut silent) = (|_| {}, |_| {});
    let (one, two) = tokio::join!(project.engine.refresh(&mut quiet), other.refresh(&mut silent));
    one.expect("a refresh");
    two.expect("a refresh");
    let text = project.rows("SELECT count(*) AS n FROM partner_day").await;
    assert!(text.contains("| 3 |"), "{text}");
}

/// Returns the survivor of each merged partner. The latest merge of a partner counts, merges into
/// itself and circles are ignored, and chains are followed to their end.
fn survivors(merges: &[(u8, u8)]) -> BTreeMap<u8, u8> {
    let latest: BTreeMap<u8, u8> = merges.iter().filter(|(from, to)| from != to).copied().collect();
    let on_circle = |start: u8| {
        let mut at = start;
        (0..=latest.len()).any(|_| {
            at = latest.get(&at).copied().unwrap_or(at);
            at == start && latest.contains_key(&start)
        })
    };
    let valid: BTreeMap<u8, u8> =
        latest.iter().filter(|(from, _)| !on_circle(**from)).map(|(f, t)| (*f, *t)).collect();
    let end = |mut at: u8| {
        while let Some(next) = valid.get(&at) {
            at = *next;
        }
        at
    };
    valid.keys().map(|from| (*from, end(*from))).collect()
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn merges_resolve_to_survivors(merges in proptest::collection::vec((0..6_u8, 0..6_u8), 1..10)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let project = TestProject::new().await;
            let rows: Vec<Table> = merges
                .iter()
                .enumerate()
                .map(|(i, (from, to))| {
                    let mut row = event(&from.to_string(), &format!("2026-01-01T00:00:{i:02}Z"));
                    row.insert("type".to_owned(), Value::String("merged".to_owned()));
                    row.insert("merged_into".to_owned(), Value::String(to.to_string()));
                    row
                })
                .collect();
            project.add(Stream::PartnerEvents, &rows).await;
            let text = project.rows("SELECT partner_id || '>' || survivor AS m FROM merge_map ORDER BY 1").await;
            let got: Vec<&str> =
                text.lines().filter(|l| l.contains('>')).map(|l| l.trim_matches(['|', ' '])).collect();
            let expected: Vec<String> =
                survivors(&merges).iter().map(|(from, to)| format!("{from}>{to}")).collect();
            assert_eq!(got, expected);
        });
    }
}
