//! Whatever happens to a lake, in whatever order: rollups brought up to date as it goes are those
//! of a rebuild, byte for byte, and so are the metrics.
//!
//! `PROPTEST_CASES=1000 cargo test -p transform --lib whatever_happens` runs a thousand lives.

use std::collections::BTreeMap;

use arrow::util::pretty::pretty_format_batches;
use lake::{Erasure, Lake, LakeOptions};
use lake_types::{Day, Stream, format_instant};
use proptest::prelude::*;
use toml::{Table, Value};

use crate::catalog::Kind;
use crate::engine::{Engine, EngineOptions};
use crate::world::{World, as_of};

/// What happens to a lake.
#[derive(Debug, Clone)]
enum Step {
    /// A commit of a stream's events, late ones and copies of earlier ones among them.
    Arrive(Stream, Vec<Event>),
    Compact(Stream, i32),
    /// Erased from the events, then from the rollups, with a refresh between or not.
    Erase(u8, bool),
    Refresh,
    /// A refresh that dies after so many days.
    Crash(usize),
    /// The project's own rollup is changed.
    Query(u8),
    /// Another reporting currency and other rates: rollups know nothing of them.
    Settings(u8),
}

#[derive(Debug, Clone)]
struct Event {
    day: i32,
    second: i64,
    partner: u8,
    id: u8,
    what: u8,
}

const PARTNERS: u8 = 4;
const DAYS: i32 = 5;
const FIRST_DAY: i32 = 20_500;

/// A rollup whose days read the days before them; the versions differ in what they read, the last
/// in its columns too.
fn project_query(version: u8) -> String {
    let (reach, window) = match version {
        0 => ("upto", "RANGE UNBOUNDED PRECEDING"),
        _ => ("lookback 1", "RANGE BETWEEN 1 PRECEDING AND CURRENT ROW"),
    };
    let (column, kind) = if version == 2 { ("seen", "Int32") } else { ("calls", "Int64") };
    let cast = if version == 2 { "INT" } else { "BIGINT" };
    format!(
        "/*---
description = \"calls of a partner up to and with a day it called on\"
grain = [\"event_date\", \"partner_id\"]
reads = {{ api_calls = \"{reach}\" }}
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

impl Event {
    fn row(&self, stream: Stream, offset: i64) -> Table {
        let micros = Day(FIRST_DAY + self.day).start_micros() + self.second * 1_000_000;
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
            }
            Stream::BillingEvents => {
                let kinds = ["usage", "subscription", "credit", "refund"];
                put("kind", text(kinds[usize::from(self.what % 4)]));
                put("currency", text(["USD", "JPY", "KWD"][usize::from(self.what % 3)]));
                put("amount_minor", Value::Integer(i64::from(self.id) * 100));
            }
            Stream::PartnerEvents if self.what < 6 => {
                put("type", text("merged"));
                put("merged_into", text(format!("partner-{}", self.what % PARTNERS)));
            }
            Stream::PartnerEvents => {
                put("type", text("registered"));
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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stream = || (0..Stream::ALL.len()).prop_map(|i| Stream::ALL[i]);
    let event = (0..DAYS, 0..86_400_i64, 0..PARTNERS, 0..12_u8, 0..12_u8)
        .prop_map(|(day, second, partner, id, what)| Event { day, second, partner, id, what });
    let calls = proptest::collection::vec(event.clone(), 1..20)
        .prop_map(|events| Step::Arrive(Stream::ApiCalls, events));
    let others = (stream(), proptest::collection::vec(event, 1..8))
        .prop_map(|(stream, events)| Step::Arrive(stream, events));
    let step = prop_oneof![
        4 => calls,
        4 => others,
        3 => (stream(), 0..DAYS).prop_map(|(stream, day)| Step::Compact(stream, day)),
        1 => (0..PARTNERS, any::<bool>()).prop_map(|(partner, between)| Step::Erase(partner, between)),
        4 => Just(Step::Refresh),
        2 => (0..12_usize).prop_map(Step::Crash),
        1 => (0..3_u8).prop_map(Step::Query),
        1 => (0..2_u8).prop_map(Step::Settings),
    ];
    proptest::collection::vec(step, 4..16)
}

/// One life of a lake.
struct Life {
    world: World,
    settings: u8,
    offset: i64,
}

impl Life {
    async fn new() -> Self {
        let query = project_query(0);
        let world = World::with_queries(&[("rollups/calls_lately.sql", &query)]).await;
        let mut life = Self { world, settings: 0, offset: 100_000 };
        life.world.engine = life.engine(life.world.lake.clone());
        life
    }

    fn engine(&self, lake: Lake) -> Engine {
        let mut options = EngineOptions {
            reporting_currency: ["USD", "JPY"][usize::from(self.settings)].to_owned(),
            project_queries: Some(self.world.folder.path().join("queries")),
            ..EngineOptions::default()
        };
        for currency in ["USD", "JPY", "KWD"] {
            let rate = ["1.5", "0.25"][usize::from(self.settings)];
            options.rates.add("2020-01-01", currency, rate).expect("a rate");
        }
        Engine::new(lake, options).expect("the queries")
    }

    async fn take(&mut self, step: &Step) {
        let world = &self.world;
        match step {
            Step::Arrive(stream, events) => {
                // Offsets fall, so that the copy that counts often comes later.
                let from = self.offset;
                self.offset -= events.len() as i64;
                let rows: Vec<Table> =
                    events.iter().zip(0..).map(|(e, i)| e.row(*stream, from - i)).collect();
                world.add(*stream, &rows).await;
            }
            Step::Compact(stream, day) => world.compact(*stream, Day(FIRST_DAY + day)).await,
            Step::Erase(partner, between) => {
                let token = BTreeMap::from([(format!("partner-{partner}"), "token".to_owned())]);
                let erasure = Erasure::new(&token, false);
                for table in self.tables("raw/").await {
                    world.lake.erase(&erasure, &table, None, false).await.expect("an erasure");
                }
                if *between {
                    self.refresh().await;
                }
                for table in self.tables("rollup/").await {
                    world.lake.erase(&erasure, &table, None, false).await.expect("an erasure");
                }
            }
            Step::Refresh => self.refresh().await,
            Step::Crash(days) => self.crash(*days).await,
            Step::Query(version) => {
                let file = world.folder.path().join("queries/rollups/calls_lately.sql");
                std::fs::write(file, project_query(*version)).expect("a query");
                self.world.engine = self.engine(self.world.lake.clone());
            }
            Step::Settings(version) => {
                self.settings = *version;
                self.world.engine = self.engine(self.world.lake.clone());
            }
        }
    }

    async fn tables(&self, prefix: &str) -> Vec<String> {
        let tables = self.world.lake.tables().await.expect("tables");
        tables.into_iter().filter(|table| table.starts_with(prefix)).collect()
    }

    async fn refresh(&self) {
        let report = self.world.engine.refresh(&mut |_| {}).await.expect("a refresh");
        assert!(report.rollups.iter().all(|r| r.findings.is_empty()), "{report:?}");
        assert!(report.failed.is_empty(), "{report:?}");
    }

    /// Drops a refresh at the first chance after so many of its days are done.
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
            report = self.world.engine.refresh(&mut progress) => { report.expect("a refresh"); }
        }
    }

    /// Every rollup and every metric as text.
    async fn figures(engine: &Engine) -> String {
        let session = engine.at(as_of("2026-03-01"), None).await.expect("a session");
        let mut all = String::new();
        for query in engine.catalog().queries().filter(|q| q.kind != Kind::View) {
            let name = &query.name;
            let rows = match query.kind {
                Kind::Rollup => {
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

    /// The same lake with its rollups gone, as another process opens it.
    async fn rebuilt(&self) -> Engine {
        let root = self.world.folder.path().join("lake");
        std::fs::remove_dir_all(root.join("rollup")).expect("rollups to remove");
        let options = LakeOptions {
            root: root.display().to_string(),
            key_file: self.world.folder.path().join("lake.key"),
            store: lake::StoreOptions::default(),
        };
        let engine = self.engine(Lake::open(&options).await.expect("the lake"));
        engine.refresh(&mut |_| {}).await.expect("a rebuild");
        engine
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..crate::world::cases(12) })]

    #[test]
    fn whatever_happens_incremental_equals_rebuild(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let mut life = Life::new().await;
            for step in &steps {
                life.take(step).await;
            }
            life.refresh().await;
            let incremental = Life::figures(&life.world.engine).await;
            let again = life.world.engine.refresh(&mut |_| {}).await.expect("a refresh");
            assert!(again.rollups.iter().all(|r| r.days == 0), "nothing changed: {again:?}");
            if life.tables("rollup/").await.is_empty() {
                return;
            }
            let rebuilt = Life::figures(&life.rebuilt().await).await;
            assert_same(&incremental, &rebuilt);
        });
    }
}

/// The first line that differs, with the query it belongs to.
#[track_caller]
fn assert_same(incremental: &str, rebuilt: &str) {
    if incremental != rebuilt {
        let mut lines = incremental.lines().zip(rebuilt.lines());
        let first = lines.find(|(a, b)| a != b);
        panic!("incremental and rebuilt differ at {first:?}\n{incremental}\n---\n{rebuilt}");
    }
}
