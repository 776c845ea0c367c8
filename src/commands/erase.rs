//! `rapport lake erase`: a partner leaves the lake, and a scan of every file shows that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal};

use anyhow::Context;
use lake::{Erased, Erasure, Lake, Place, Scan, Trace};

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
    let erasure = Erasure::new(&tokens);
    for id in erasure.ordinary() {
        note(&format!(
            "\"{id}\" may be a word or a number like others: it is erased wherever it is a partner's id, not in the free text of other partners' events."
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
    confirm(options)?;
    let project = Project::with(config, lake, quiet)?;
    let left = erase(&project, &erasure, &mut done).await?;
    done.show()?;
    report(&done, &left.traces, &left.scan)
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

struct Left {
    traces: Vec<Trace>,
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
    let mut scan = Scan::default();
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
        if traces.is_empty() || round >= rounds {
            return Ok(Left { traces, scan });
        }
        let mut live: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for trace in traces.iter().filter(|t| t.place == Place::Live) {
            live.entry(&trace.table).or_default().insert(trace.path.clone());
        }
        for (table, files) in &live {
            erase_table(project, erasure, table, Some(files), done).await?;
        }
        if live.keys().any(|table| table.starts_with("raw/")) {
            project.refresh().await?;
        }
        lake.forget(&traces).await?;
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

fn report(done: &Tally, left: &[Trace], scan: &Scan) -> anyhow::Result<()> {
    let looked = format!("{} files, {} MB", count(scan.files), count(scan.bytes.div_ceil(1 << 20)));
    if left.is_empty() {
        let what = if done.files() == 0 { "was ever in" } else { "is left in" };
        line(&format!("Nothing of it {what} the lake's files: looked through {looked}."))?;
        note(
            "Topics, reports, plans and exports lie outside the lake and may still hold it; events that still arrive are taken in again.",
        );
        return Ok(());
    }
    for trace in left {
        line(&format!("{}: {}, {}", trace.path, trace.what, advice(trace)))?;
    }
    Err(Found(format!("{} files still hold a partner that was to be erased", left.len())).into())
}

fn advice(trace: &Trace) -> &'static str {
    match trace.place {
        Place::Live if trace.what.contains("another key") => {
            "in use: restore the key they were sealed with and erase again"
        }
        Place::Live => "in use: its events still arrive, stop them at their source and erase again",
        Place::Dead => "no longer in use: could not be deleted, erase again",
        Place::Pending => {
            "not committed: erase again once workers have committed; what a killed one left goes after an hour"
        }
        Place::Log => "of the log: erase again",
        Place::Other => "no file of the lake's own: look at it and delete it yourself",
    }
}
