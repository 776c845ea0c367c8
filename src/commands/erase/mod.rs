//! `rapport lake erase`: erases partners, and proves it by a scan of every file of the lake.
//!
//! - `outdated_reports`: reports from before an erasure, which lie outside the lake

mod outdated_reports;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal};

use anyhow::Context;
use domain::{agree, counted, thousands};
use lake::{
    AmbiguousValue, Erasure, ErasureScan, FileMatch, FileRole, Lake, TableErasure, UnreadReason,
};

use crate::args::EraseArgs;
use crate::config::Config;
use crate::errors::{CheckFailed, usage_error};
use crate::output::{self, print_line, print_note};
use crate::progress::Spinner;
use crate::project::Project;
use crate::table::Table;

/// How often the lake is scanned at most: what workers commit meanwhile is erased too.
const MAX_ROUNDS: usize = 5;

/// Erases the partners, prints what was done, and what may still hold them.
///
/// # Errors
/// [`CheckFailed`] where anything is left, or may be.
pub(crate) async fn run(
    config: Config,
    lake: Lake,
    options: &EraseArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let tokens: BTreeMap<String, String> = options
        .partner
        .iter()
        .map(|id| (id.clone(), format!("erased-{}", uuid::Uuid::new_v4().simple())))
        .collect();
    if tokens.contains_key("") {
        return Err(usage_error("--partner is empty: give the id as the events have it"));
    }
    let erasure = Erasure::new(&tokens, options.everywhere);
    for id in erasure.ambiguous_ids() {
        print_note(&format!(
            "\"{id}\" may be a word or a number like others: it is erased wherever an id stands; in free text it stays, and is named at the end. --everywhere takes it out there too."
        ));
    }
    let mut totals = ErasureTotals::default();
    if options.dry_run {
        for table in lake.tables().await? {
            totals.add(&lake.erase(&erasure, &table, None, true).await?);
        }
        totals.show()?;
        print_note(
            "Nothing was changed. Names of the partner in other partners' events are found by the erasure itself.",
        );
        return Ok(());
    }
    outdated_reports::check_gone(&lake, &options.report_gone).await?;
    confirm(options)?;
    outdated_reports::forget_gone(&lake, &options.report_gone).await?;
    let project = Project::with_lake(config, lake, quiet)?;
    let unended = project.lake.begin_erasure().await?;
    let mut remains = erase(&project, &erasure, &mut totals).await?;
    let took_away = totals.files() > 0 || unended;
    let now = chrono::Utc::now().timestamp_micros();
    project.lake.end_erasure(took_away.then_some(now)).await?;
    remains.reports = outdated_reports::outdated_reports(&project.lake).await?;
    totals.show()?;
    report(&totals, &remains)
}

/// Asks for a confirmation: an erasure can't be undone.
fn confirm(options: &EraseArgs) -> anyhow::Result<()> {
    if options.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage_error(
            "an erasure can't be undone: give --yes, or --dry-run to see what would go",
        ));
    }
    print_note(&format!("This erases {} for good. Type yes to go on:", options.partner.join(", ")));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("the answer")?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(usage_error("nothing was erased"))
}

/// What may still hold the partner after an erasure.
struct Remains {
    matches: Vec<FileMatch>,
    ambiguous: Vec<AmbiguousValue>,
    /// What to do about each report from before an erasure, a sentence each.
    reports: Vec<String>,
    scan: ErasureScan,
}

/// Erases the partner from every table. The dead letters come before the events, as ingest commits
/// them in that order. Then the rollups are refreshed, and the other tables follow. In the end it
/// erases what a scan of all files still finds.
async fn erase(
    project: &Project,
    erasure: &Erasure,
    totals: &mut ErasureTotals,
) -> anyhow::Result<Remains> {
    let lake = &project.lake;
    let tables = lake.tables().await?;
    let (mut events, rest): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| table.starts_with("raw/"));
    events.sort_by_key(|table| *table != lake::schema::dead_letters().name);
    for table in &events {
        erase_table(project, erasure, table, None, totals).await?;
    }
    if !events.is_empty() {
        project.refresh().await?;
    }
    for table in &rest {
        erase_table(project, erasure, table, None, totals).await?;
    }
    let (matches, scan) = scan_and_erase(project, erasure, totals).await?;
    let ambiguous = lake.ambiguous_values(erasure).await?;
    Ok(Remains { matches, ambiguous, reports: Vec::new(), scan })
}

/// Scans every file and erases what it finds, until nothing is left or nothing changes. The rollups are
/// refreshed when a scan finds no more events to erase, or for the last scan where events arrive as fast as they
/// are erased: a refresh after each scan would take longer than both, and leave time for as many new ones.
async fn scan_and_erase(
    project: &Project,
    erasure: &Erasure,
    totals: &mut ErasureTotals,
) -> anyhow::Result<(Vec<FileMatch>, ErasureScan)> {
    let lake = &project.lake;
    let mut scan = ErasureScan::default();
    let mut before = Vec::new();
    let mut are_rollups_outdated = false;
    let mut round = 0;
    loop {
        round += 1;
        let spinner = Spinner::start("scan", project.quiet);
        spinner.set_message(format!("every file of the lake, for the {} time", ordinal(round)));
        let now = chrono::Utc::now().timestamp_micros();
        let matches = lake.scan_for_ids(erasure, &mut scan, now).await?;
        drop(spinner);
        // Files that the round before has rewritten only need to be deleted.
        let rounds = if matches.iter().all(|t| t.role == FileRole::Unreferenced) {
            MAX_ROUNDS + 1
        } else {
            MAX_ROUNDS
        };
        let is_end = matches.is_empty() || matches == before;
        if round >= rounds || is_end && !are_rollups_outdated {
            return Ok((matches, scan));
        }
        let mut live: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for file_match in matches.iter().filter(|t| t.role == FileRole::Live && t.unread.is_none())
        {
            live.entry(&file_match.table).or_default().insert(file_match.path.clone());
        }
        let mut erased_events = false;
        for (table, files) in &live {
            let rewritten = erase_table(project, erasure, table, Some(files), totals).await?;
            erased_events |= rewritten > 0 && table.starts_with("raw/");
        }
        are_rollups_outdated |= erased_events;
        if are_rollups_outdated && (!erased_events || round + 1 >= MAX_ROUNDS) {
            project.refresh().await?;
            are_rollups_outdated = false;
        }
        lake.purge(&matches).await?;
        before = matches;
    }
}

/// Erases the partner from a table, and returns the number of files that were rewritten.
async fn erase_table(
    project: &Project,
    erasure: &Erasure,
    table: &str,
    only: Option<&BTreeSet<String>>,
    totals: &mut ErasureTotals,
) -> anyhow::Result<u64> {
    let spinner = Spinner::start("erase", project.quiet);
    spinner.set_message(table.to_owned());
    let erased = project.lake.erase(erasure, table, only, false).await?;
    totals.add(&erased);
    Ok(erased.files)
}

fn ordinal(round: usize) -> &'static str {
    ["first", "second", "third", "fourth", "last"].get(round - 1).copied().unwrap_or("next")
}

/// What was erased, by table.
#[derive(Default)]
struct ErasureTotals {
    tables: BTreeMap<String, TableErasure>,
}

impl ErasureTotals {
    fn add(&mut self, erased: &TableErasure) {
        let sum = self.tables.entry(erased.table.clone()).or_default();
        sum.dropped += erased.dropped;
        sum.replaced += erased.replaced;
        sum.files += erased.files;
    }

    fn show(&self) -> anyhow::Result<()> {
        let mut table = Table::new(["table", "rows_gone", "rows_with_token", "files"], &[1, 2, 3]);
        for (name, erased) in self.tables.iter().filter(|(_, e)| e.files > 0) {
            let figures = [erased.dropped, erased.replaced, erased.files].map(thousands);
            table.row(std::iter::once(name.clone()).chain(figures));
        }
        output::print_table(&table)
    }

    fn files(&self) -> u64 {
        self.tables.values().map(|e| e.files).sum()
    }
}

/// Prints what is erased, what may be left, and what was not looked at.
fn report(totals: &ErasureTotals, remains: &Remains) -> anyhow::Result<()> {
    let Remains { matches, ambiguous, reports, scan } = remains;
    let scanned =
        format!("{}, {} MB", counted(scan.files, "file"), thousands(scan.bytes.div_ceil(1 << 20)));
    if matches.is_empty() && ambiguous.is_empty() {
        let what = if totals.files() == 0 { "was ever in" } else { "is left in" };
        print_line(&format!("Nothing of it {what} the lake's files: looked through {scanned}."))?;
    }
    for file_match in matches {
        print_line(&format!("{}: {}, {}", file_match.path, file_match.what, advice(file_match)))?;
    }
    for value in ambiguous {
        print_line(&describe_ambiguous(value))?;
    }
    for report in reports {
        print_line(report)?;
    }
    print_note(outdated_reports::NOT_SCANNED);
    let mut problems = Vec::new();
    if !matches.is_empty() {
        let (files, hold) = (counted(matches.len(), "file"), agree(matches.len(), "holds", "hold"));
        problems.push(format!("{files} still {hold} a partner that was to be erased"));
    }
    if !ambiguous.is_empty() {
        let columns = counted(ambiguous.len(), "column");
        problems.push(format!("{columns} may hold a partner that was to be erased"));
    }
    if !reports.is_empty() {
        let (n, are) = (counted(reports.len(), "report"), agree(reports.len(), "is", "are"));
        problems.push(format!("{n} {are} older than an erasure"));
    }
    if problems.is_empty() { Ok(()) } else { Err(CheckFailed(problems.join("; ")).into()) }
}

fn describe_ambiguous(value: &AmbiguousValue) -> String {
    let AmbiguousValue { table, column, word, rows } = value;
    let rows = counted(*rows, "row");
    let name = table.rsplit('/').next().unwrap_or(table);
    match word {
        None => format!(
            "{table}: {rows} came from a Kafka topic whose name holds an id: the name stays, it says where a record came from"
        ),
        Some(word) if column == "sealed" => format!(
            "{table}: \"{word}\" stands in {rows} of rejected records, where it may be an ordinary word: see `rapport ingest dead-letters --open`; if it is the partner, erase again with --everywhere"
        ),
        Some(word) => format!(
            "{table}: \"{word}\" stands in {column} of {rows}, where it may be an ordinary word: see `rapport sql \"SELECT {column} FROM {name}\"`; if it is the partner, erase again with --everywhere"
        ),
    }
}

fn advice(file_match: &FileMatch) -> &'static str {
    match file_match.role {
        FileRole::Live if file_match.unread == Some(UnreadReason::SealedWithOtherKey) => {
            "in use: restore the key they were sealed with and erase again"
        }
        FileRole::Live if file_match.unread == Some(UnreadReason::Damaged) => {
            "in use: `rapport lake verify` says what to do, then erase again"
        }
        FileRole::Live if file_match.unread == Some(UnreadReason::Compressed) => {
            "in use: see `rapport ingest dead-letters --open`; they go with the retention of dead letters"
        }
        FileRole::Live => {
            "in use: its events still arrive, stop them at their source and erase again"
        }
        FileRole::Unreferenced => "no longer in use: could not be deleted, erase again",
        FileRole::Uncommitted => {
            "not committed: erase again once workers have committed; what a killed one left goes after an hour"
        }
        FileRole::Log => "of the log: erase again",
        FileRole::ReportRecord => {
            "notes a report whose folder is named so: write it elsewhere, delete the old one, and erase again"
        }
        FileRole::Other => "no file of the lake's own: look at it and delete it yourself",
    }
}
