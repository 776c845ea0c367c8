//! `rapport metrics watch`: what is saved is checked and tested again, with what reads it.
//!
//! Reading order: `saves` (when to look), `pass` (what is wrong).

mod pass;
mod saves;

use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use lake_types::printable_lines;
use serde::Serialize;
use tokio::task::{JoinError, JoinHandle};
use transform::{Catalog, Saved};

use super::check::errors_and_warnings;
use super::test::failed;
use crate::args::TextFormat;
use crate::commands::ingest::wait_for_signal;
use crate::config::Config;
use crate::failure::{say, usage};
use crate::output::{exact, note, on_terminal};
use pass::Pass;
use saves::Saves;

/// Files of one save that are named.
const NAMED: usize = 5;

pub(super) async fn run(
    config: &Config,
    names: &[String],
    format: TextFormat,
) -> anyhow::Result<()> {
    let folder = config.queries_folder();
    let watched = || format!("{} can't be watched", folder.display());
    // What is saved after this is told, also before it is read.
    let mut saves = Saves::below(&folder).with_context(watched)?;
    let mut watch = Watch::begin(folder.clone(), names)?;
    note(&format!("Watching {}; Ctrl-C ends it.\n", folder.display()));
    let mut running = Some(watch.start(Job { names: watch.all(), saved: Vec::new(), more: false }));
    let mut later = BTreeSet::new();
    let end = wait_for_signal();
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            told = saves.next() => {
                told.with_context(watched)?;
                let Some((mut job, readers)) = watch.look() else { continue };
                later.extend(readers);
                if let Some(before) = running.take() {
                    before.pass.abort();
                    job.goes_before(before.job, &mut later);
                }
                later.retain(|name| !job.names.contains(name));
                running = Some(watch.start(job));
            }
            (pass, seconds) = end_of(&mut running) => {
                let job = running.take().map(|running| running.job);
                match (pass.context("a pass")?, job) {
                    (Ok(pass), Some(job)) => watch.show(&job, &pass, seconds, format)?,
                    (Err(error), _) => say(&error.into()),
                    (Ok(_), None) => {}
                }
                if !later.is_empty() {
                    let names = std::mem::take(&mut later);
                    running = Some(watch.start(Job { names, saved: Vec::new(), more: true }));
                }
            }
        }
    }
}

/// Queries to look at, and the files that were saved; none of the first pass.
#[derive(Serialize)]
struct Job {
    #[serde(skip)]
    names: BTreeSet<String>,
    saved: Vec<Saved>,
    /// After another pass: what reads that, or what was left when a save came first.
    #[serde(skip)]
    more: bool,
}

impl Job {
    /// What was saved last comes first: the first pass goes on later, another save is joined.
    fn goes_before(&mut self, mut before: Self, later: &mut BTreeSet<String>) {
        if before.saved.is_empty() {
            later.extend(before.names.difference(&self.names).cloned());
            return;
        }
        before.saved.retain(|saved| self.saved.iter().all(|again| again.file != saved.file));
        before.saved.append(&mut self.saved);
        self.saved = before.saved;
        self.names.append(&mut before.names);
    }
}

struct Running {
    job: Job,
    began: Instant,
    pass: JoinHandle<transform::Result<Pass>>,
}

/// Waits for the pass that runs, if one does.
async fn end_of(
    running: &mut Option<Running>,
) -> (Result<transform::Result<Pass>, JoinError>, f64) {
    match running {
        Some(running) => {
            let pass = (&mut running.pass).await;
            (pass, running.began.elapsed().as_secs_f64())
        }
        None => pending().await,
    }
}

/// The queries as they were read last, and those that are not right.
struct Watch<'a> {
    folder: PathBuf,
    built_in: Catalog,
    catalog: Arc<Catalog>,
    /// Those to look at; all if there are none.
    names: &'a [String],
    wrong: BTreeSet<String>,
    /// Those of them that can't be computed.
    broken: BTreeSet<String>,
}

impl<'a> Watch<'a> {
    fn begin(folder: PathBuf, names: &'a [String]) -> anyhow::Result<Self> {
        let built_in = Catalog::built_in()?;
        let catalog = Arc::default();
        let (wrong, broken) = Default::default();
        let mut watch = Self { folder, built_in, catalog, names, wrong, broken };
        watch.catalog = Arc::new(watch.read()?);
        for name in names {
            if !watch.catalog.left_out().contains_key(name) {
                watch.catalog.find(name).map_err(|e| usage(e.to_string()))?;
            }
        }
        Ok(watch)
    }

    fn read(&self) -> transform::Result<Catalog> {
        let built_in = self.built_in.clone();
        if self.folder.is_dir() { built_in.with_project(&self.folder) } else { Ok(built_in) }
    }

    /// Everything there is to look at.
    fn all(&self) -> BTreeSet<String> {
        if !self.names.is_empty() {
            return self.names.iter().cloned().collect();
        }
        let queries = self.catalog.queries().map(|query| &query.name);
        let faults = self.catalog.faults().iter().map(|fault| &fault.query);
        queries.chain(faults).cloned().collect()
    }

    fn start(&self, job: Job) -> Running {
        let pass = tokio::spawn(Pass::over(
            Arc::clone(&self.catalog),
            job.names.clone(),
            self.broken.clone(),
        ));
        Running { job, began: Instant::now(), pass }
    }

    /// What was saved since the queries were read last, if it is to be looked at, and what is to
    /// be looked at after it because it reads that.
    fn look(&mut self) -> Option<(Job, BTreeSet<String>)> {
        let catalog = match self.read() {
            Ok(catalog) => catalog,
            Err(error) => {
                say(&error.into());
                return None;
            }
        };
        let saved = catalog.saved_since(&self.catalog);
        let (cases, queries): (Vec<_>, Vec<_>) = saved.iter().partition(|saved| saved.is_cases());
        let names = |saved: Vec<&Saved>| saved.into_iter().map(|s| s.query.clone()).collect();
        let queries: BTreeSet<String> = names(queries);
        let mut due: BTreeSet<String> = names(cases);
        due.extend(transform::reached(&self.catalog, &queries));
        due.extend(transform::reached(&catalog, &queries));
        due.retain(|name| self.names.is_empty() || self.names.contains(name));
        let is_saved = |name: &String| saved.iter().any(|s| s.query == *name);
        let there = |name: &String| {
            catalog.get(name).is_some() || catalog.left_out().contains_key(name.as_str())
        };
        let (mut names, mut readers): (BTreeSet<String>, _) =
            due.into_iter().partition(|name| is_saved(name) && there(name));
        if names.is_empty() {
            // Only files that are gone: what read them is what the save is about.
            std::mem::swap(&mut names, &mut readers);
        }
        self.catalog = Arc::new(catalog);
        (!names.is_empty()).then_some((Job { names, saved, more: false }, readers))
    }

    fn show(
        &mut self,
        job: &Job,
        pass: &Pass,
        seconds: f64,
        format: TextFormat,
    ) -> anyhow::Result<()> {
        self.wrong.retain(|name| !job.names.contains(name));
        let still_wrong: Vec<String> = self.wrong.iter().cloned().collect();
        self.wrong.extend(pass.wrong().cloned());
        self.broken.retain(|name| !job.names.contains(name));
        self.broken.extend(pass.broken.iter().cloned());
        let block = Block {
            at: chrono::Local::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
            job,
            ok: pass.is_ok(),
            pass,
            still_wrong,
            seconds: (seconds * 1e3).round() / 1e3,
        };
        match format {
            TextFormat::Json => exact(&serde_json::to_string(&block)?),
            TextFormat::Text => exact(&block.text(on_terminal())),
        }
    }
}

/// What is said of a pass.
#[derive(Serialize)]
struct Block<'a> {
    at: String,
    #[serde(flatten)]
    job: &'a Job,
    ok: bool,
    #[serde(flatten)]
    pass: &'a Pass,
    /// Queries that the pass was not about.
    still_wrong: Vec<String>,
    seconds: f64,
}

impl Block<'_> {
    fn text(&self, colour: bool) -> String {
        let pass = self.pass;
        let time = self.at.get(11..19).unwrap_or_default();
        let mut text = format!("{time}  {}\n", what(self.job, pass.checked.len()));
        for finding in &pass.findings {
            text.push_str(&format!("{}\n\n", finding.render(colour)));
        }
        for result in &pass.failures {
            text.push_str(&format!("{}\n", printable_lines(&failed(result))));
        }
        let queries = plural(pass.checked.len(), "query", "queries");
        let mut parts = vec![format!("{queries} checked")];
        if !pass.findings.is_empty() {
            parts.push(errors_and_warnings(pass.errors(), pass.findings.len()));
        }
        let failures = pass.failures.len();
        parts.push(format!("{} passed", plural(pass.cases - failures, "case", "cases")));
        if failures > 0 {
            parts.push(format!("{failures} failed"));
        }
        if !pass.untested.is_empty() {
            let untested = plural(pass.untested.len(), "query", "queries");
            parts.push(format!("{untested} not tested until that is mended"));
        }
        parts.push(format!("{:.2} s", self.seconds));
        let verdict = if self.ok { "ok    " } else { "FAIL  " };
        text.push_str(&format!("{verdict}{}\n", parts.join(", ")));
        if !self.still_wrong.is_empty() {
            text.push_str(&format!("      still wrong: {}\n", self.still_wrong.join(", ")));
        }
        text
    }
}

/// What the pass is about.
fn what(job: &Job, queries: usize) -> String {
    let saved = &job.saved;
    if saved.is_empty() {
        let [one, many] =
            if job.more { ["more query", "more queries"] } else { ["query", "queries"] };
        return plural(queries, one, many);
    }
    let named = saved.iter().take(NAMED).map(|s| format!("{} {}", s.file, s.change.word()));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if saved.len() > NAMED {
        text.push_str(&format!(" and {} more", saved.len() - NAMED));
    }
    text
}

fn plural(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
