//! `rapport lake erase`: a partner leaves the lake, and a scan of every file shows that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal};

use anyhow::Context;
use lake::{Doubt, Erased, Erasure, Lake, Place, Scan, Trace};
use lake_types::{agree, counted};

use super::outside;
use crate::args::Erase;
use crate::config::Config;
use crate::failure::{Found, usage};
use crate::output::{self, Table, line, note};
use crate::progress::{Stage, count};
use crate::project::Project;

/// How often the lake is looked through: what workers bring meanwhile is erased too.
const ROUNDS: usize = 5;

pub(crate) async fn run(
    config: Config,
    lake: Lake,
    options: &Erase,
    quiet: bool,
) -> anyhow::Result<()> {
    let tokens: BTreeMap<String, String> = options
        .partner
        .iter()
        .map(|id| (id.clone(), format!("erased-{}", uuid::Uuid::new_v4().simple())))
        .collect();
    if tokens.contains_key("") {
        return Err(usage("--partner is empty: give the id as the events have it"));
    }
    let erasure = Erasure::new(&tokens, options.everywhere);
    for id in erasure.ordinary() {
        note(&format!(
            "\"{id}\" may be a word or a number like others: it is erased wherever an id stands; in free text it stays, and is named at the end. --everywhere takes it out there too."
        ));
    }
    let mut done = Tally::default();
    if options.dry_run {
        for table in lake.tables().await? {
            done.add(&lake.erase(&erasure, &table, None, true).await?);
        }
        done.show()?;
        note(
            "Nothing was changed. Names of the partner in other partners' events are found by the erasure itself.",
        );
        return Ok(());
    }
    outside::check_gone(&lake, &options.report_gone).await?;
    confirm(options)?;
    outside::forget_gone(&lake, &options.report_gone).await?;
    let project = Project::with(config, lake, quiet)?;
    let unended = project.lake.begin_erasure().await?;
    let mut left = erase(&project, &erasure, &mut done).await?;
    let took_away = done.files() > 0 || unended;
    let now = chrono::Utc::now().timestamp_micros();
    project.lake.end_erasure(took_away.then_some(now)).await?;
    left.reports = outside::outdated_reports(&project.lake).await?;
    done.show()?;
    report(&done, &left)
}

/// Nothing brings an erased partner back, so a person or a flag says yes.
fn confirm(options: &Erase) -> anyhow::Result<()> {
    if options.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage(
            "an erasure can't be undone: give --yes, or --dry-run to see what would go",
        ));
    }
    note(&format!("This erases {} for good. Type yes to go on:", options.partner.join(", ")));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("the answer")?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(usage("nothing was erased"))
}

/// What may still hold the partner.
struct Left {
    traces: Vec<Trace>,
    doubts: Vec<Doubt>,
    /// What to do about each report that is older than an erasure.
    reports: Vec<String>,
    scan: Scan,
}

/// The dead letters before the events, as ingest commits them; then the rollups of the days that
/// changed, the rest, and whatever a scan of all files finds.
async fn erase(project: &Project, erasure: &Erasure, done: &mut Tally) -> anyhow::Result<Left> {
    let lake = &project.lake;
    let tables = lake.tables().await?;
    let (mut events, rest): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| table.starts_with("raw/"));
    events.sort_by_key(|table| *table != lake::schema::dead_letters().name);
    for table in &events {
        erase_table(project, erasure, table, None, done).await?;
    }
    if !events.is_empty() {
        project.refresh().await?;
    }
    for table in &rest {
        erase_table(project, erasure, table, None, done).await?;
    }
    let (traces, scan) = look_through(project, erasure, done).await?;
    let doubts = lake.doubts(erasure).await?;
    Ok(Left { traces, doubts, reports: Vec::new(), scan })
}

/// Looks through every file, and erases what it finds, until nothing is left or nothing changes.
async fn look_through(
    project: &Project,
    erasure: &Erasure,
    done: &mut Tally,
) -> anyhow::Result<(Vec<Trace>, Scan)> {
    let lake = &project.lake;
    let mut scan = Scan::default();
    let mut before = Vec::new();
    let mut round = 0;
    loop {
        round += 1;
        let stage = Stage::begin("scan", project.quiet);
        stage.say(format!("every file of the lake, for the {} time", ordinal(round)));
        let now = chrono::Utc::now().timestamp_micros();
        let traces = lake.traces(erasure, &mut scan, now).await?;
        drop(stage);
        // What was in use and is erased by the round before only needs to be deleted.
        let rounds =
            if traces.iter().all(|t| t.place == Place::Dead) { ROUNDS + 1 } else { ROUNDS };
        if traces.is_empty() || round >= rounds || traces == before {
            return Ok((traces, scan));
        }
        let mut live: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for trace in traces.iter().filter(|t| t.place == Place::Live && !t.is_unread) {
            live.entry(&trace.table).or_default().insert(trace.path.clone());
        }
        for (table, files) in &live {
            erase_table(project, erasure, table, Some(files), done).await?;
        }
        if live.keys().any(|table| table.starts_with("raw/")) {
            project.refresh().await?;
        }
        lake.forget(&traces).await?;
        before = traces;
    }
}

async fn erase_table(
    project: &Project,
    erasure: &Erasure,
    table: &str,
    only: Option<&BTreeSet<String>>,
    done: &mut Tally,
) -> anyhow::Result<()> {
    let stage = Stage::begin("erase", project.quiet);
    stage.say(table.to_owned());
    done.add(&project.lake.erase(erasure, table, only, false).await?);
    Ok(())
}

fn ordinal(round: usize) -> &'static str {
    ["first", "second", "third", "fourth", "last"].get(round - 1).copied().unwrap_or("next")
}

/// What was done, a line a table.
#[derive(Default)]
struct Tally {
    tables: BTreeMap<String, Erased>,
}

impl Tally {
    fn add(&mut self, erased: &Erased) {
        let sum = self.tables.entry(erased.table.clone()).or_default();
        sum.dropped += erased.dropped;
        sum.replaced += erased.replaced;
        sum.files += erased.files;
    }

    fn show(&self) -> anyhow::Result<()> {
        let mut table = Table::new(["table", "rows_gone", "rows_with_token", "files"], &[1, 2, 3]);
        for (name, erased) in self.tables.iter().filter(|(_, e)| e.files > 0) {
            let figures = [erased.dropped, erased.replaced, erased.files].map(count);
            table.row(std::iter::once(name.clone()).chain(figures));
        }
        output::show(&table)
    }

    fn files(&self) -> u64 {
        self.tables.values().map(|e| e.files).sum()
    }
}

/// Says what is gone, what may not be and what was not looked at.
fn report(done: &Tally, left: &Left) -> anyhow::Result<()> {
    let Left { traces, doubts, reports, scan } = left;
    let looked =
        format!("{}, {} MB", counted(scan.files, "file"), count(scan.bytes.div_ceil(1 << 20)));
    if traces.is_empty() && doubts.is_empty() {
        let what = if done.files() == 0 { "was ever in" } else { "is left in" };
        line(&format!("Nothing of it {what} the lake's files: looked through {looked}."))?;
    }
    for trace in traces {
        line(&format!("{}: {}, {}", trace.path, trace.what, advice(trace)))?;
    }
    for doubt in doubts {
        line(&in_doubt(doubt))?;
    }
    for report in reports {
        line(report)?;
    }
    note(outside::NOT_LOOKED_AT);
    let mut said = Vec::new();
    if !traces.is_empty() {
        let (files, hold) = (counted(traces.len(), "file"), agree(traces.len(), "holds", "hold"));
        said.push(format!("{files} still {hold} a partner that was to be erased"));
    }
    if !doubts.is_empty() {
        let columns = counted(doubts.len(), "column");
        said.push(format!("{columns} may hold a partner that was to be erased"));
    }
    if !reports.is_empty() {
        let (n, are) = (counted(reports.len(), "report"), agree(reports.len(), "is", "are"));
        said.push(format!("{n} {are} older than an erasure"));
    }
    if said.is_empty() { Ok(()) } else { Err(Found(said.join("; ")).into()) }
}

fn in_doubt(doubt: &Doubt) -> String {
    let Doubt { table, column, word, rows } = doubt;
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

fn advice(trace: &Trace) -> &'static str {
    match trace.place {
        Place::Live if trace.what.contains("another key") => {
            "in use: restore the key they were sealed with and erase again"
        }
        Place::Live if trace.what.contains("damaged") => {
            "in use: `rapport lake verify` says what to do, then erase again"
        }
        Place::Live if trace.what.contains("compressed") => {
            "in use: see `rapport ingest dead-letters --open`; they go with the retention of dead letters"
        }
        Place::Live => "in use: its events still arrive, stop them at their source and erase again",
        Place::Dead => "no longer in use: could not be deleted, erase again",
        Place::Pending => {
            "not committed: erase again once workers have committed; what a killed one left goes after an hour"
        }
        Place::Log => "of the log: erase again",
        Place::Note => {
            "notes a report whose folder is named so: write it elsewhere, delete the old one, and erase again"
        }
        Place::Other => "no file of the lake's own: look at it and delete it yourself",
    }
}
