//! The doctor's look at the lake: its key, its disk, what its tables hold, and the clock.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::AsArray;
use lake::{FORMAT_VERSION, Finding, Lake, LakeError, LakeKey, LakeOptions, Transactions, schema};
use lake_types::{Day, Rates, Stream, counted, format_instant};

use super::Checks;
use crate::config::Config;
use crate::progress::count;

/// Less free space than this stops the next commits.
const DISK_FULL: u64 = 512 << 20;
const DISK_LOW: u64 = 5 << 30;
/// Records may come from clocks that are this much ahead, µs.
const CLOCK_SLACK: i64 = 60_000_000;
/// So many bytes are read in a moment; of a larger lake the logs alone.
const READ_WHOLE: u64 = 1 << 30;

/// The transaction ids of each raw table.
pub(super) type Positions = BTreeMap<Stream, Transactions>;

/// Looks at the lake, if there is one; where its raw tables stand.
pub(super) async fn look(config: &Config, rates: Option<&Rates>, checks: &mut Checks) -> Positions {
    let Some(lake) = open(config, checks).await else { return Positions::new() };
    tables(&lake, checks).await;
    let positions = positions_of(&lake, checks).await;
    clock(&positions, chrono::Utc::now().timestamp_micros(), checks);
    if let Some(rates) = rates {
        match currencies(&lake).await {
            Ok(seen) => covers(rates, config.reporting_currency(), &seen, checks),
            Err(error) => checks.fail("rates", error.to_string(), ""),
        }
    }
    positions
}

async fn open(config: &Config, checks: &mut Checks) -> Option<Lake> {
    match Lake::open(&config.lake()).await {
        Ok(lake) => {
            checks.ok("lake", format!("{}, format {FORMAT_VERSION}", config.lake().root));
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

/// Reads every table: its log and the sizes of its files, and where that takes a moment only what they
/// hold.
async fn tables(lake: &Lake, checks: &mut Checks) {
    match read(lake).await {
        Err(error) => checks.fail("tables", error.to_string(), ""),
        Ok(Reading { findings, found }) => match findings.as_slice() {
            [] => checks.ok("tables", found),
            [first, rest @ ..] => {
                let more = match rest.len() {
                    0 => String::new(),
                    n => format!(", and {n} more"),
                };
                let found = format!("{}: {}{more}", first.table, first.what);
                checks.fail("tables", found, "`rapport lake verify` says all there is to say");
            }
        },
    }
}

/// What came of reading the tables.
struct Reading {
    findings: Vec<Finding>,
    /// What was read.
    found: String,
}

async fn read(lake: &Lake) -> Result<Reading, LakeError> {
    let over = lake.look_over().await?;
    let found = format!("{} with {}", counted(over.tables, "table"), counted(over.files, "file"));
    if !over.findings.is_empty() {
        return Ok(Reading { findings: over.findings, found });
    }
    let mut bytes = 0;
    for name in lake.tables().await? {
        let snapshot = lake.snapshot(&name, None).await?;
        bytes += snapshot.iter().flat_map(|s| &s.files).map(|file| file.size).sum::<u64>();
    }
    if bytes > READ_WHOLE {
        let unread = format!("{} MB in them were not read", count(bytes >> 20));
        let found = format!("{found} are there; {unread}: `rapport lake verify` reads all");
        return Ok(Reading { findings: Vec::new(), found });
    }
    let findings = lake.verify().await?.findings;
    Ok(Reading { findings, found: format!("{found} were read") })
}

pub(super) fn key(options: &LakeOptions, checks: &mut Checks) {
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

pub(super) fn disk(options: &LakeOptions, checks: &mut Checks) {
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

/// The transaction ids of each raw table.
async fn positions_of(lake: &Lake, checks: &mut Checks) -> Positions {
    let mut positions = Positions::new();
    for stream in Stream::ALL {
        match lake.transactions(&schema::raw(stream).name).await {
            Ok(txns) => drop(positions.insert(stream, txns)),
            Err(error) => checks.fail("lake", error.to_string(), ""),
        }
    }
    positions
}

/// The clock against what has arrived: an instant that was reached lies in the past.
fn clock(positions: &Positions, now: i64, checks: &mut Checks) {
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

/// The currencies that were billed, with the first day of each: from the events, for a rollup may be
/// older than they are.
async fn currencies(lake: &Lake) -> Result<BTreeMap<String, Day>, LakeError> {
    let mut seen = BTreeMap::new();
    let events = schema::raw(Stream::BillingEvents).name;
    let Some(snapshot) = lake.snapshot(&events, None).await? else { return Ok(seen) };
    for file in &snapshot.files {
        let Some(day) = file.day else { continue };
        for batch in lake.read_file(&file.path, &["currency"]).await? {
            for currency in batch.column(0).as_string::<i32>().iter().flatten() {
                match seen.get_mut(currency) {
                    Some(first) => *first = day.min(*first),
                    None => drop(seen.insert(currency.to_owned(), day)),
                }
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
        let covered = match seen.len() {
            0 => "nothing was billed yet".to_owned(),
            1 => "the one currency that was billed is covered".to_owned(),
            n => format!("the {n} currencies that were billed are covered"),
        };
        return checks.ok("rates", covered);
    }
    let found = format!("no rate for {}", missing.join(", "));
    checks.fail("rates", found, "add rows to rates.csv: revenue can't be told without them");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

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
