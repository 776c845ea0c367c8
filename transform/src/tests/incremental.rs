//! A property test: after any sequence of events, compactions, erasures, crashes and changed
//! queries, refreshed rollups and their metrics equal those of a rebuild, byte for byte.
//!
//! `PROPTEST_CASES=1000 cargo test -p transform --lib incremental_equals_rebuild` runs a thousand
//! sequences.

use std::collections::BTreeMap;

use arrow::util::pretty::pretty_format_batches;
use domain::{Day, Stream, format_instant};
use lake::{Erasure, Lake, LakeOptions};
use proptest::prelude::*;
use toml::{Table, Value};

use crate::catalog::QueryKind;
use crate::engine::{Engine, EngineOptions};
use crate::tests::engine::{TestProject, as_of};

/// A step in the history of a lake.
#[derive(Debug, Clone)]
enum HistoryStep {
    /// A commit of a stream's events, some of them late or copies of earlier ones.
    Arrive(Stream, Vec<RandomEvent>),
    Compact(Stream, i32),
    /// An erasure of a partner from the events and then from the rollups, with or without a refresh
    /// between.
    Erase(u8, bool),
    Refresh,
    /// A refresh that is cancelled after a number of days.
    Crash(usize),
    /// A change of the project's own rollup.
    Query(u8),
    /// Another reporting currency and other rates, which rollups do not depend on.
    Settings(u8),
}

#[derive(Debug, Clone)]
struct RandomEvent {
    day: i32,
    millis: i64,
    partner: u8,
    id: u8,
    what: u8,
}

const PARTNERS: u8 = 4;
const DAYS: i32 = 5;
const FIRST_DAY: i32 = 20_500;

/// Returns a rollup whose days read earlier days. The versions differ in the days that they read,
/// and the last version in its columns too.
fn project_query(version: u8) -> String {
    let (day_range, window) = match version {
        0 => ("upto", "RANGE UNBOUNDED PRECEDING"),
        _ => ("lookback 1", "RANGE BETWEEN 1 PRECEDING AND CURRENT ROW"),
    };
    let (column, kind) = if version == 2 { ("seen", "Int32") } else { ("calls", "Int64") };
    let cast = if version == 2 { "INT" } else { "BIGINT" };
    format!(
        "/*---
description = \"calls of a partner up to and with a day it called on\"
grain = [\"event_date\", \"partner_id\"]
reads = {{ api_calls = \"{day_range}\" }}
[columns]
event_date = {{ type = \"Date32\" }}
partner_id = {{ type = \"Utf8\" }}
{column} = {{ type = \"{kind}\" }}
[[checks]]
unique = [\"event_date\", \"partner_id\"]
---*/
SELECT event_date, partner_id, CAST(sum(calls) OVER (PARTITION BY partner_id ORDER BY day {window}) AS {cast}) AS {column}
FROM (SELECT event_date, CAST(event_date AS INT) AS day, partner_id, count(*) AS calls FROM api_calls GROUP BY event_date, partner_id)"
    )
}

fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

impl RandomEvent {
    fn row(&self, stream: Stream, offset: i64) -> Table {
        let micros = Day(FIRST_DAY + self.day).start_micros() + self.millis * 1_000;
        let at = format_instant(micros);
        let mut row = Table::new();
        let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
        put("partner_id", text(format!("partner-{}", self.partner)));
        put("event_id", text(format!("event-{}", self.id)));
        put("kafka_offset", Value::Integer(offset));
        put("late", Value::Boolean(self.what.is_multiple_of(3)));
        match stream {
            Stream::ApiCalls => {
                put("status", Value::Integer([200, 404, 429, 500][usize::from(self.what % 4)]));
                put("environment", text(["production", "sandbox"][usize::from(self.what % 2)]));
                put("latency_us", Value::Integer(i64::from(self.id) * 1_000));
                let optional = [
                    ("product", ["payments", "identity", ""][usize::from(self.id % 3)]),
                    ("method", ["GET", "POST", ""][usize::from(self.what / 4)]),
                    ("endpoint", ["/v1/items", "", "/v1/items/{id}"][usize::from(self.id / 4)]),
                    ("credential_id", ["key-1", "key-2", "key-3", ""][usize::from(self.id % 4)]),
                ];
                for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
                    put(name, text(value));
                }
            }
            Stream::BillingEvents => {
                let kinds = [
                    "usage",
                    "subscription",
                    "credit",
                    "refund",
                    "payment_failed",
                    "payment_succeeded",
                ];
                put("kind", text(kinds[usize::from(self.what % 6)]));
                if self.what == 0 {
                    put("units", Value::Integer(i64::from(self.id)));
                    put("product", text("payments"));
                }
                put("currency", text(["USD", "JPY", "KWD"][usize::from(self.id % 3)]));
                put("amount_minor", Value::Integer(i64::from(self.id) * 100));
            }
            Stream::PartnerEvents if self.what < 6 => {
                put("type", text("merged"));
                put("merged_into", text(format!("partner-{}", self.what % PARTNERS)));
            }
            Stream::PartnerEvents => {
                let types = ["registered", "registered", "terms_signed", "sandbox_key_issued"];
                let more = ["production_approved", "payment_method_added"];
                let kind = types.iter().chain(&more).nth(usize::from(self.what - 6));
                put("type", text(*kind.unwrap_or(&"registered")));
                put("segment", text(["retail", "travel"][usize::from(self.what % 2)]));
            }
            Stream::SupportEvents => {
                let types = ["opened", "first_response", "resolved"];
                put("type", text(types[usize::from(self.what % 3)]));
                put("ticket_id", text(format!("ticket-{}", self.id % 3)));
            }
        }
        put("occurred_at", text(at));
        row
    }
}

fn steps() -> impl Strategy<Value = Vec<HistoryStep>> {
    let stream = || (0..Stream::ALL.len()).prop_map(|i| Stream::ALL[i]);
    // Half of the events crowd into a few seconds, in steps of half a second, so that some calls come
    // within a second after a throttled one, some exactly a second, and some at the same instant.
    let millis = prop_oneof![0..86_400_000_i64, (0..12_i64).prop_map(|n| 43_200_000 + 500 * n)];
    let event = (0..DAYS, millis, 0..PARTNERS, 0..12_u8, 0..12_u8).prop_map(
        |(day, millis, partner, id, what)| RandomEvent { day, millis, partner, id, what },
    );
    let calls = proptest::collection::vec(event.clone(), 1..20)
        .prop_map(|events| HistoryStep::Arrive(Stream::ApiCalls, events));
    let others = (stream(), proptest::collection::vec(event, 1..8))
        .prop_map(|(stream, events)| HistoryStep::Arrive(stream, events));
    let step = prop_oneof![
        4 => calls,
        4 => others,
        3 => (stream(), 0..DAYS).prop_map(|(stream, day)| HistoryStep::Compact(stream, day)),
        1 => (0..PARTNERS, any::<bool>()).prop_map(|(partner, between)| HistoryStep::Erase(partner, between)),
        4 => Just(HistoryStep::Refresh),
        2 => (0..12_usize).prop_map(HistoryStep::Crash),
        1 => (0..3_u8).prop_map(HistoryStep::Query),
        1 => (0..2_u8).prop_map(HistoryStep::Settings),
    ];
    proptest::collection::vec(step, 4..16)
}

/// A lake that goes through the steps.
struct LakeHistory {
    project: TestProject,
    settings: u8,
    offset: i64,
}

impl LakeHistory {
    async fn new() -> Self {
        let query = project_query(0);
        let project = TestProject::with_queries(&[("rollups/calls_lately.sql", &query)]).await;
        let mut history = Self { project, settings: 0, offset: 100_000 };
        history.project.engine = history.engine(history.project.lake.clone());
        history
    }

    fn engine(&self, lake: Lake) -> Engine {
        let mut options = EngineOptions {
            reporting_currency: ["USD", "JPY"][usize::from(self.settings)].to_owned(),
            project_queries: Some(self.project.folder.path().join("queries")),
            ..EngineOptions::default()
        };
        for currency in ["USD", "JPY", "KWD"] {
            let rate = ["1.5", "0.25"][usize::from(self.settings)];
            options.rates.add("2020-01-01", currency, rate).expect("a rate");
        }
        Engine::new(lake, options).expect("the queries")
    }

    async fn take(&mut self, step: &HistoryStep) {
        let project = &self.project;
        match step {
            HistoryStep::Arrive(stream, events) => {
                // Offsets fall, so the copy with the lowest offset often comes last.
                let from = self.offset;
                self.offset -= events.len() as i64;
                let rows: Vec<Table> =
                    events.iter().zip(0..).map(|(e, i)| e.row(*stream, from - i)).collect();
                project.add(*stream, &rows).await;
            }
            HistoryStep::Compact(stream, day) => {
                project.compact(*stream, Day(FIRST_DAY + day)).await;
            }
            HistoryStep::Erase(partner, between) => {
                let token = BTreeMap::from([(format!("partner-{partner}"), "token".to_owned())]);
                let erasure = Erasure::new(&token, false);
                for table in self.tables("raw/").await {
                    project.lake.erase(&erasure, &table, None, false).await.expect("an erasure");
                }
                if *between {
                    self.refresh().await;
                }
                for table in self.tables("rollup/").await {
                    project.lake.erase(&erasure, &table, None, false).await.expect("an erasure");
                }
            }
            HistoryStep::Refresh => self.refresh().await,
            HistoryStep::Crash(days) => self.crash(*days).await,
            HistoryStep::Query(version) => {
                let file = project.folder.path().join("queries/rollups/calls_lately.sql");
                std::fs::write(file, project_query(*version)).expect("a query");
                self.project.engine = self.engine(self.project.lake.clone());
            }
            HistoryStep::Settings(version) => {
                self.settings = *version;
                self.project.engine = self.engine(self.project.lake.clone());
            }
        }
    }

    async fn tables(&self, prefix: &str) -> Vec<String> {
        let tables = self.project.lake.tables().await.expect("tables");
        tables.into_iter().filter(|table| table.starts_with(prefix)).collect()
    }

    async fn refresh(&self) {
        let report = self.project.engine.refresh(&mut |_| {}).await.expect("a refresh");
        assert!(report.rollups.iter().all(|r| r.violations.is_empty()), "{report:?}");
        assert!(report.failed.is_empty(), "{report:?}");
    }

    /// Cancels a refresh after a number of its days are done.
    async fn crash(&self, days: usize) {
        let done = tokio::sync::Notify::new();
        let mut seen = 0;
        let mut progress = |_| {
            seen += 1;
            if seen > days {
                done.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = done.notified() => {}
            report = self.project.engine.refresh(&mut progress) => { report.expect("a refresh"); }
        }
    }

    /// Returns the rows of every rollup and every metric as text.
    async fn figures(engine: &Engine) -> String {
        let session = engine.open_session(as_of("2026-03-01"), None).await.expect("a session");
        let mut all = String::new();
        for query in engine.catalog().queries().filter(|q| q.kind != QueryKind::View) {
            let name = &query.name;
            let rows = match query.kind {
                QueryKind::Rollup => {
                    let grain = query.header.grain.join(", ");
                    session.sql(&format!("SELECT * FROM {name} ORDER BY {grain}")).await
                }
                _ => session.metric(name).await,
            };
            let rows = rows.unwrap_or_else(|e| panic!("{name}: {e}"));
            let table = pretty_format_batches(&rows.batches).expect("text");
            all.push_str(&format!("{name}\n{table}\n"));
        }
        all
    }

    /// Deletes the rollups, and returns another engine that rebuilds them.
    async fn rebuilt(&self) -> Engine {
        let root = self.project.folder.path().join("lake");
        std::fs::remove_dir_all(root.join("rollup")).expect("rollups to remove");
        let options = LakeOptions {
            root: root.display().to_string(),
            key_file: self.project.folder.path().join("lake.key"),
            store: lake::StoreOptions::default(),
        };
        let engine = self.engine(Lake::open(&options).await.expect("the lake"));
        engine.refresh(&mut |_| {}).await.expect("a rebuild");
        engine
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..crate::tests::engine::cases(12) })]

    #[test]
    fn incremental_equals_rebuild(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let mut history = LakeHistory::new().await;
            for step in &steps {
                history.take(step).await;
            }
            history.refresh().await;
            let incremental = LakeHistory::figures(&history.project.engine).await;
            let again = history.project.engine.refresh(&mut |_| {}).await.expect("a refresh");
            assert!(again.rollups.iter().all(|r| r.days == 0), "nothing changed: {again:?}");
            if history.tables("rollup/").await.is_empty() {
                return;
            }
            let rebuilt = LakeHistory::figures(&history.rebuilt().await).await;
            assert_same(&incremental, &rebuilt);
        });
    }
}

/// Panics with the first line that differs.
#[track_caller]
fn assert_same(incremental: &str, rebuilt: &str) {
    if incremental != rebuilt {
        let mut lines = incremental.lines().zip(rebuilt.lines());
        let first = lines.find(|(a, b)| a != b);
        panic!("incremental and rebuilt differ at {first:?}\n{incremental}\n---\n{rebuilt}");
    }
}
