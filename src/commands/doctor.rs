//! `rapport doctor`: is everything there that Rapport needs, and what to do where it is not.

mod broker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use lake::{FORMAT_VERSION, Lake, LakeError, LakeKey, LakeOptions, Transactions, schema};
use lake_types::{Day, Rates, Stream, counted, format_instant, printable};
use transform::Catalog;

use crate::config::Config;
use crate::failure::Found;
use crate::output::{self, Format, Rows, line};
use crate::progress::{Stage, count};
use crate::setting::hidden;

/// Less free space than this stops the next commits.
const DISK_FULL: u64 = 512 << 20;
const DISK_LOW: u64 = 5 << 30;
/// Records may come from clocks that are this much ahead, µs.
const CLOCK_SLACK: i64 = 60_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the answer.
#[derive(Debug)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    /// What to do; empty where all is well.
    advice: String,
}

/// The lines so far.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn ok(&mut self, name: &'static str, found: impl Into<String>) {
        self.add(name, State::Ok, found, "");
    }

    fn warn(&mut self, name: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(name, State::Warn, found, advice);
    }

    fn fail(&mut self, name: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(name, State::Fail, found, advice);
    }

    fn add(
        &mut self,
        name: &'static str,
        state: State,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        // A server may quote what it was sent.
        let (found, advice) = (hidden(&found.into()), hidden(&advice.into()));
        self.0.push(Check { name, state, found, advice });
    }

    /// An error says itself what to do.
    fn result<T>(
        &mut self,
        name: &'static str,
        result: anyhow::Result<T>,
        found: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(name, found(&value));
                Some(value)
            }
            Err(error) => {
                self.fail(name, format!("{error:#}"), "");
                None
            }
        }
    }

    fn any(&self, state: State) -> bool {
        self.0.iter().any(|check| check.state == state)
    }
}

pub(crate) fn run(
    config: anyhow::Result<Config>,
    format: Format,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let mut checks = Checks::default();
    let stage = Stage::begin("doctor", quiet);
    let config = checks.result("configuration", config, |c| {
        format!("the project in {} parses", c.folder.display())
    });
    if let Some(config) = config {
        let rates = files(&config, &mut checks);
        key(&config.lake(), &mut checks);
        disk(&config.lake(), &mut checks);
        stage.say("the lake".to_owned());
        let lake = runtime.block_on(lake(&config, &mut checks));
        let mut positions = BTreeMap::new();
        if let Some(lake) = &lake {
            positions = runtime.block_on(positions_of(lake, &mut checks));
            clock(&positions, chrono::Utc::now().timestamp_micros(), &mut checks);
            if let Some(rates) = rates {
                let reporting = config.reporting_currency();
                let covered = runtime.block_on(currencies(lake));
                match covered {
                    Ok(seen) => covers(&rates, reporting, &seen, &mut checks),
                    Err(error) => checks.fail("rates", format!("{error:#}"), ""),
                }
            }
        }
        stage.say("the broker".to_owned());
        broker::look(&config, &positions, runtime, &mut checks);
        if let Some(registry) = config.registry() {
            let answer = runtime.block_on(ingest::check_registry(&registry));
            checks.result("schema registry", answer.map_err(Into::into), |kinds| {
                format!("{} answers: {}", registry.url, kinds.join(", "))
            });
        }
    }
    drop(stage);
    print(&checks, format)?;
    if checks.any(State::Fail) {
        let failed = checks.0.iter().filter(|c| c.state == State::Fail).count();
        return Err(Found(format!("{failed} of {} checks failed", checks.0.len())).into());
    }
    Ok(())
}

/// The files beside the configuration: CSV, policies, queries.
fn files(config: &Config, checks: &mut Checks) -> Option<Rates> {
    let rates = config.rates();
    let rates = checks.result("rates.csv", rates, |r| counted(r.rows().count(), "rate"));
    checks.result("sla.csv", config.sla(), |rows| format!("{} plans", rows.len()));
    checks.result("sunsets.csv", config.sunsets(), |rows| counted(rows.len(), "version"));
    let scoring = policy(config.scoring_policy(), |text| {
        scoring::Policy::parse(text).map(drop).map_err(|e| e.to_string())
    });
    checks.result("scoring policy", scoring, Clone::clone);
    let actions = policy(config.actions_policy(), |text| {
        actions::Policy::parse(text).map(drop).map_err(|e| e.to_string())
    });
    checks.result("actions policy", actions, Clone::clone);
    let queries = Catalog::built_in().and_then(|built_in| match config.queries() {
        Some(folder) => built_in.with_project(&folder),
        None => Ok(built_in),
    });
    let queries = queries.map_err(anyhow::Error::from).and_then(|catalog| match catalog.faults() {
        [] => Ok(catalog),
        [fault, ..] => {
            Err(anyhow::anyhow!("{}; `rapport metrics check` shows all", fault.headline()))
        }
    });
    checks.result("queries", queries, |catalog| counted(catalog.queries().count(), "query"));
    rates
}

fn policy(
    given: anyhow::Result<Option<(PathBuf, String)>>,
    parse: impl Fn(&str) -> Result<(), String>,
) -> anyhow::Result<String> {
    match given? {
        None => Ok("the built-in one".to_owned()),
        Some((path, text)) => match parse(&text) {
            Ok(()) => Ok(path.display().to_string()),
            Err(error) => Err(anyhow::anyhow!("{}:{error}", path.display())),
        },
    }
}

fn key(options: &LakeOptions, checks: &mut Checks) {
    let path = &options.key_file;
    if !path.exists() {
        return checks.warn(
            "key",
            format!("there is no key file {}", path.display()),
            "the first write to a new lake makes it; for a lake that exists restore its backup",
        );
    }
    match LakeKey::read(path) {
        Err(error) => checks.fail("key", error.to_string(), ""),
        Ok(key) => match open_to_others(path) {
            Some(mode) => checks.warn(
                "key",
                format!("others may read {} (mode {mode:o})", path.display()),
                format!("chmod 600 {}", path.display()),
            ),
            None => checks.ok("key", format!("{}, fingerprint {}", path.display(), key.id())),
        },
    }
}

/// The file's mode where it lets others than its owner in.
#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_path: &Path) -> Option<u32> {
    None
}

fn disk(options: &LakeOptions, checks: &mut Checks) {
    if options.root.contains("://") {
        return checks.ok("disk", "the lake is not on a local disk");
    }
    // The nearest folder that exists: the lake may still have to be made.
    let Some(folder) = Path::new(&options.root).ancestors().find(|f| f.is_dir()) else { return };
    match fs4::available_space(folder) {
        Err(error) => checks.warn("disk", format!("{}: {error}", folder.display()), ""),
        Ok(free) => {
            let found = format!("{} MB free at {}", count(free >> 20), folder.display());
            match free {
                ..DISK_FULL => checks.fail("disk", found, "make room: the next commits will fail"),
                DISK_FULL..DISK_LOW => checks.warn(
                    "disk",
                    found,
                    "make room, or run `rapport lake compact` and `rapport lake vacuum`",
                ),
                _ => checks.ok("disk", found),
            }
        }
    }
}

async fn lake(config: &Config, checks: &mut Checks) -> Option<Lake> {
    match Lake::open(&config.lake()).await {
        Ok(lake) => {
            let tables = lake.tables().await.map_or(0, |tables| tables.len());
            let root = config.lake().root;
            checks.ok(
                "lake",
                format!("{root}, format {FORMAT_VERSION}, {}", counted(tables, "table")),
            );
            if let Err(error) = lake.probe().await {
                checks.fail("lake", error.to_string(), "");
            }
            Some(lake)
        }
        Err(LakeError::Missing { root }) => {
            let found = format!("there is no lake at {root} yet");
            checks.warn("lake", found, "the first `rapport ingest` makes it");
            None
        }
        Err(error) => {
            checks.fail("lake", error.to_string(), "");
            None
        }
    }
}

/// The transaction ids of each raw table.
async fn positions_of(lake: &Lake, checks: &mut Checks) -> BTreeMap<Stream, Transactions> {
    let mut positions = BTreeMap::new();
    for stream in Stream::ALL {
        match lake.transactions(&schema::raw(stream).name).await {
            Ok(txns) => drop(positions.insert(stream, txns)),
            Err(error) => checks.fail("lake", error.to_string(), ""),
        }
    }
    positions
}

/// The clock against what has arrived: an instant that was reached lies in the past.
fn clock(positions: &BTreeMap<Stream, Transactions>, now: i64, checks: &mut Checks) {
    let reached = positions
        .values()
        .flat_map(|txns| lake::partitions(txns).filter_map(|(_, p)| p.reached).collect::<Vec<_>>())
        .max();
    match reached {
        Some(reached) if reached > now + CLOCK_SLACK => checks.warn(
            "clock",
            format!(
                "records have arrived at {}, the clock says {}",
                format_instant(reached),
                format_instant(now)
            ),
            "set this machine's clock, or that of the producers: late events and the watermark go by both",
        ),
        _ => checks.ok("clock", format_instant(now)),
    }
}

/// The currencies that were billed, with the first day of each.
async fn currencies(lake: &Lake) -> anyhow::Result<BTreeMap<String, Day>> {
    let mut seen = BTreeMap::new();
    // Before the first metrics there is no rollup; the events say the same.
    let events = schema::raw(Stream::BillingEvents).name;
    let snapshot = match lake.snapshot("rollup/billing_day", None).await? {
        Some(rollup) => Some(rollup),
        None => lake.snapshot(&events, None).await?,
    };
    let Some(snapshot) = snapshot else { return Ok(seen) };
    for file in &snapshot.files {
        let Some(day) = file.day else { continue };
        for batch in lake.read_file(&file.path, &["currency"]).await? {
            for currency in batch.column(0).as_string::<i32>().iter().flatten() {
                let first = seen.entry(currency.to_owned()).or_insert(day);
                *first = day.min(*first);
            }
        }
    }
    Ok(seen)
}

fn covers(rates: &Rates, reporting: &str, seen: &BTreeMap<String, Day>, checks: &mut Checks) {
    let missing: Vec<String> = seen
        .iter()
        .filter(|(currency, _)| currency.as_str() != reporting)
        .filter(|(currency, first)| rates.on(currency, **first).is_none())
        .map(|(currency, first)| format!("{currency} on {first}"))
        .collect();
    if missing.is_empty() {
        return checks.ok("rates", format!("{} currencies covered", seen.len()));
    }
    let found = format!("no rate for {}", missing.join(", "));
    checks.fail("rates", found, "add rows to rates.csv: revenue can't be told without them");
}

fn print(checks: &Checks, format: Format) -> anyhow::Result<()> {
    if format != Format::Table {
        let column = |of: &dyn Fn(&Check) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(checks.0.iter().map(of)))
        };
        let names = ["check", "state", "found", "advice"];
        let fields: Vec<Field> =
            names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
        let columns = vec![
            column(&|c| c.name.to_owned()),
            column(&|c| c.state.name().to_owned()),
            column(&|c| c.found.clone()),
            column(&|c| c.advice.clone()),
        ];
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        return output::print(&Rows { schema: &rows.schema(), batches: &[rows] }, format);
    }
    for check in &checks.0 {
        let (found, advice) = (printable(&check.found), printable(&check.advice));
        line(&format!("{:<5} {:<15} {found}", check.state.name(), check.name))?;
        if !check.advice.is_empty() {
            line(&format!("{:<21} → {advice}", ""))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_cover_what_was_billed() {
        let check = |seen: &[(&str, &str)], expected: Option<&str>| {
            let mut rates = Rates::default();
            rates.add("2026-01-01", "EUR", "1.1").expect("a rate");
            let seen = seen
                .iter()
                .map(|(currency, day)| ((*currency).to_owned(), day.parse().expect("a day")))
                .collect();
            let mut checks = Checks::default();
            covers(&rates, "USD", &seen, &mut checks);
            let failed = checks.0.iter().find(|c| c.state == State::Fail);
            assert_eq!(failed.map(|c| c.found.as_str()), expected);
        };
        check(&[], None);
        check(&[("USD", "2020-01-01"), ("EUR", "2026-01-01")], None);
        check(
            &[("EUR", "2025-12-31"), ("GBP", "2026-01-01")],
            Some("no rate for EUR on 2025-12-31, GBP on 2026-01-01"),
        );
    }

    #[test]
    fn a_clock_behind_the_records_is_told() {
        let check = |reached: i64, expected: State| {
            let txns = [("c/t/i/0", 1), ("c/t/i/0#reached", reached)];
            let txns = txns.map(|(id, v)| (id.to_owned(), v)).into();
            let mut checks = Checks::default();
            clock(&[(Stream::ApiCalls, txns)].into(), 1_000_000_000, &mut checks);
            assert_eq!(checks.0[0].state, expected);
        };
        check(999_000_000, State::Ok);
        check(1_059_000_000, State::Ok);
        check(1_061_000_000, State::Warn);
    }
}
