//! The checks of the lake: key, disk, tables, clock and exchange rates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use domain::{Day, ExchangeRates, PAYMENT_KINDS, Stream, counted, format_instant, thousands};
use lake::{
    FORMAT_VERSION, IntegrityFinding, Lake, LakeError, LakeKey, LakeOptions, Transactions, schema,
};

use super::checks::CheckList;
use crate::action_plans::Mapping;
use crate::config::Config;

/// With less free space than this the next commits fail, bytes.
const DISK_FULL: u64 = 512 << 20;
/// With less free space than this there is a warning, bytes.
const DISK_LOW: u64 = 5 << 30;
/// How far the clocks of producers may be ahead, µs.
const CLOCK_SLACK: i64 = 60_000_000;
/// The largest lake whose files are read as a whole, bytes: that takes seconds.
const MAX_FULL_CHECK_BYTES: u64 = 1 << 30;

/// The transaction ids of each raw table.
pub(super) type Positions = BTreeMap<Stream, Transactions>;

/// Checks the lake, where there is one, and returns the positions of its raw tables.
pub(super) async fn check_lake(
    config: &Config,
    rates: Option<&ExchangeRates>,
    checks: &mut CheckList,
) -> Positions {
    let Some(lake) = open(config, checks).await else { return Positions::new() };
    check_tables(&lake, checks).await;
    let positions = read_positions(&lake, checks).await;
    check_clock(&positions, chrono::Utc::now().timestamp_micros(), checks);
    if let Some(rates) = rates {
        match billed_currencies(&lake).await {
            Ok(billed) => check_rates(rates, config.reporting_currency(), &billed, checks),
            Err(error) => checks.fail("rates", error.to_string(), ""),
        }
    }
    if let Ok(mapping) = Mapping::read(config.actions_mapping().as_deref()) {
        match known_partners(&lake, &mapping).await {
            Ok(known) => check_mapping(&mapping, &known, checks),
            Err(error) => checks.fail("mapping", error.to_string(), ""),
        }
    }
    positions
}

/// Returns the ids of the partners that registered or called; none where there is no mapping.
async fn known_partners(lake: &Lake, mapping: &Mapping) -> Result<BTreeSet<String>, LakeError> {
    let mut known = BTreeSet::new();
    if mapping.is_empty() {
        return Ok(known);
    }
    for table in [schema::raw(Stream::PartnerEvents).name, "rollup/partner_day".to_owned()] {
        let Some(snapshot) = lake.snapshot(&table, None).await? else { continue };
        for file in snapshot.files.iter() {
            for batch in lake.read_file(&file.path, &["partner_id"]).await? {
                known.extend(text_column(&batch, "partner_id").map(str::to_owned));
            }
        }
    }
    Ok(known)
}

/// Compares the mapping with the partners of the lake, both ways.
fn check_mapping(mapping: &Mapping, known: &BTreeSet<String>, checks: &mut CheckList) {
    if mapping.is_empty() {
        return;
    }
    let unknown = mapping.unknown(|id| known.contains(id));
    let unmapped = known.iter().filter(|id| mapping.unmapped(id).is_some()).count();
    if let Some(first) = unknown.first() {
        let found = format!("{} of no partner, such as \"{first}\"", counted(unknown.len(), "row"));
        checks.warn("mapping", found, "mend the ids, or load the partners' events");
    } else if unmapped > 0 {
        let found = format!("{} without a row", counted(unmapped, "partner"));
        checks.warn("mapping", found, "they are neither changed nor told anything: add their rows");
    } else {
        checks.ok("mapping", format!("{} named", counted(known.len(), "partner")));
    }
}

async fn open(config: &Config, checks: &mut CheckList) -> Option<Lake> {
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

/// Checks the log of every table and the sizes of its files. The contents of the files are read
/// only where the lake is small.
async fn check_tables(lake: &Lake, checks: &mut CheckList) {
    match read_tables(lake).await {
        Err(error) => checks.fail("tables", error.to_string(), ""),
        Ok(TablesCheck { findings, found }) => match findings.as_slice() {
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

/// What the tables were found to be.
struct TablesCheck {
    findings: Vec<IntegrityFinding>,
    /// How much was read.
    found: String,
}

async fn read_tables(lake: &Lake) -> Result<TablesCheck, LakeError> {
    let quick = lake.quick_check().await?;
    let found = format!("{} with {}", counted(quick.tables, "table"), counted(quick.files, "file"));
    if !quick.findings.is_empty() {
        return Ok(TablesCheck { findings: quick.findings, found });
    }
    let mut bytes = 0;
    for name in lake.tables().await? {
        let snapshot = lake.snapshot(&name, None).await?;
        bytes += snapshot.iter().flat_map(|s| s.files.iter()).map(|file| file.size).sum::<u64>();
    }
    if bytes > MAX_FULL_CHECK_BYTES {
        let unread = format!("{} MB in them were not read", thousands(bytes >> 20));
        let found = format!("{found} are there; {unread}: `rapport lake verify` reads all");
        return Ok(TablesCheck { findings: Vec::new(), found });
    }
    let findings = lake.verify().await?.findings;
    Ok(TablesCheck { findings, found: format!("{found} were read") })
}

/// Checks that the key file can be read, and only by its owner.
pub(super) fn check_key(options: &LakeOptions, checks: &mut CheckList) {
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
        Ok(key) => match mode_open_to_others(path) {
            Some(mode) => checks.warn(
                "key",
                format!("others may read {} (mode {mode:o})", path.display()),
                format!("chmod 600 {}", path.display()),
            ),
            None => checks.ok("key", format!("{}, fingerprint {}", path.display(), key.id())),
        },
    }
}

/// Returns the file's mode where others than its owner have access.
#[cfg(unix)]
fn mode_open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn mode_open_to_others(_path: &Path) -> Option<u32> {
    None
}

/// Checks the free space of the lake's disk.
pub(super) fn check_disk(options: &LakeOptions, checks: &mut CheckList) {
    if options.root.contains("://") {
        return checks.ok("disk", "the lake is not on a local disk");
    }
    // The lake may not exist yet, so the nearest folder above it that exists counts.
    let Some(folder) = Path::new(&options.root).ancestors().find(|f| f.is_dir()) else { return };
    match fs4::available_space(folder) {
        Err(error) => checks.warn("disk", format!("{}: {error}", folder.display()), ""),
        Ok(free) => {
            let found = format!("{} MB free at {}", thousands(free >> 20), folder.display());
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

/// Returns the transaction ids of each raw table.
async fn read_positions(lake: &Lake, checks: &mut CheckList) -> Positions {
    let mut positions = Positions::new();
    for stream in Stream::ALL {
        match lake.transactions(&schema::raw(stream).name).await {
            Ok(txns) => drop(positions.insert(stream, txns)),
            Err(error) => checks.fail("lake", error.to_string(), ""),
        }
    }
    positions
}

/// Compares the clock with the arrivals that the lake has read, which lie in the past.
fn check_clock(positions: &Positions, now: i64, checks: &mut CheckList) {
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

/// Returns the currencies that were billed, with the first day of each; payments bill nothing. It
/// reads the events, because rollups may be stale.
async fn billed_currencies(lake: &Lake) -> Result<BTreeMap<String, Day>, LakeError> {
    let mut seen = BTreeMap::new();
    let events = schema::raw(Stream::BillingEvents).name;
    let Some(snapshot) = lake.snapshot(&events, None).await? else { return Ok(seen) };
    for file in snapshot.files.iter() {
        let Some(day) = file.day else { continue };
        for batch in lake.read_file(&file.path, &["kind", "currency"]).await? {
            let (kinds, currencies) =
                (text_column(&batch, "kind"), text_column(&batch, "currency"));
            let charges = kinds.zip(currencies).filter(|(kind, _)| !PAYMENT_KINDS.contains(kind));
            for (_, currency) in charges {
                match seen.get_mut(currency) {
                    Some(first) => *first = day.min(*first),
                    None => drop(seen.insert(currency.to_owned(), day)),
                }
            }
        }
    }
    Ok(seen)
}

/// Returns the texts of a column; of a column that is absent or holds no text there are none.
fn text_column<'b>(batch: &'b RecordBatch, name: &str) -> impl Iterator<Item = &'b str> {
    let texts = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    texts.into_iter().flat_map(|texts| texts.iter().map(Option::unwrap_or_default))
}

/// Checks that there is a rate for each billed currency from its first day on.
fn check_rates(
    rates: &ExchangeRates,
    reporting: &str,
    billed: &BTreeMap<String, Day>,
    checks: &mut CheckList,
) {
    let missing: Vec<String> = billed
        .iter()
        .filter(|(currency, _)| currency.as_str() != reporting)
        .filter(|(currency, first)| rates.on(currency, **first).is_none())
        .map(|(currency, first)| format!("{currency} on {first}"))
        .collect();
    if missing.is_empty() {
        let covered = match billed.len() {
            0 => "nothing was billed yet".to_owned(),
            1 => "the one currency that was billed is covered".to_owned(),
            n => format!("the {n} currencies that were billed are covered"),
        };
        return checks.ok("rates", covered);
    }
    let found = format!("no rate for {}", missing.join(", "));
    checks.fail("rates", found, "add rows to rates.csv: revenue can't be computed without them");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::checks::CheckState;

    #[test]
    fn every_billed_currency_needs_a_rate() {
        let check = |billed: &[(&str, &str)], expected: Option<&str>| {
            let mut rates = ExchangeRates::default();
            rates.add("2026-01-01", "EUR", "1.1").expect("a rate");
            let billed = billed
                .iter()
                .map(|(currency, day)| ((*currency).to_owned(), day.parse().expect("a day")))
                .collect();
            let mut checks = CheckList::default();
            check_rates(&rates, "USD", &billed, &mut checks);
            let failed = checks.0.iter().find(|c| c.state == CheckState::Fail);
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
    fn a_clock_behind_the_records_is_a_warning() {
        let check = |reached: i64, expected: CheckState| {
            let txns = [("c/t/i/0", 1), ("c/t/i/0#reached", reached)];
            let txns = txns.map(|(id, v)| (id.to_owned(), v)).into();
            let mut checks = CheckList::default();
            check_clock(&[(Stream::ApiCalls, txns)].into(), 1_000_000_000, &mut checks);
            assert_eq!(checks.0[0].state, expected);
        };
        check(999_000_000, CheckState::Ok);
        check(1_059_000_000, CheckState::Ok);
        check(1_061_000_000, CheckState::Warn);
    }
}
