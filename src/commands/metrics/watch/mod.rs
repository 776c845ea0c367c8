//! `rapport metrics watch`: when a query is saved, checks and tests it again, and then the queries
//! that read it.
//!
//! - `file_changes`: waits for changes below `queries/`
//! - `pass`: one round of checks and tests

mod file_changes;
mod pass;

use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use domain::printable_lines;
use serde::Serialize;
use tokio::task::{JoinError, JoinHandle};
use transform::{Catalog, ChangedFile};

use super::check::errors_and_warnings;
use super::test::describe_failure;
use crate::args::TextFormat;
use crate::config::Config;
use crate::errors::usage_error;
use crate::exit_code::print_error;
use crate::output::{print_note, print_verbatim, stdout_is_terminal};
use crate::shutdown;
use file_changes::FileChanges;
use pass::Pass;

/// How many files of one save are named.
const MAX_NAMED_FILES: usize = 5;

/// Watches the queries of these names, or all without names, until SIGTERM or Ctrl-C.
pub(super) async fn run(
    config: &Config,
    names: &[String],
    format: TextFormat,
) -> anyhow::Result<()> {
    let folder = config.queries_folder();
    let watched = || format!("{} can't be watched", folder.display());
    // The watcher starts before the queries are read, so that it misses no save.
    let mut changes = FileChanges::below(&folder).with_context(watched)?;
    let mut watcher = QueryWatcher::new(folder.clone(), names)?;
    print_note(&format!("Watching {}; Ctrl-C ends it.\n", folder.display()));
    let first = WatchJob { names: watcher.all(), saved: Vec::new(), is_followup: false };
    let mut running = Some(watcher.start(first));
    // The queries that read what was saved. They are checked after it.
    let mut dependents = BTreeSet::new();
    let end = shutdown::wait_for_signal();
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            changed = changes.next() => {
                changed.with_context(watched)?;
                let Some((mut job, readers)) = watcher.saved_since() else { continue };
                dependents.extend(readers);
                if let Some(before) = running.take() {
                    before.pass.abort();
                    job.supersede(before.job, &mut dependents);
                }
                dependents.retain(|name| !job.names.contains(name));
                running = Some(watcher.start(job));
            }
            (pass, seconds) = finished(&mut running) => {
                let job = running.take().map(|running| running.job);
                match (pass.context("a pass")?, job) {
                    (Ok(pass), Some(job)) => watcher.print(&job, &pass, seconds, format)?,
                    (Err(error), _) => print_error(&error.into()),
                    (Ok(_), None) => {}
                }
                if !dependents.is_empty() {
                    let names = std::mem::take(&mut dependents);
                    let job = WatchJob { names, saved: Vec::new(), is_followup: true };
                    running = Some(watcher.start(job));
                }
            }
        }
    }
}

/// The queries of a pass, and the files that were saved; the first pass has no files.
#[derive(Serialize)]
struct WatchJob {
    #[serde(skip)]
    names: BTreeSet<String>,
    saved: Vec<ChangedFile>,
    /// Whether it follows another pass, of which it checks the dependents.
    #[serde(skip)]
    is_followup: bool,
}

impl WatchJob {
    /// Takes the place of a pass that was stopped. The queries of the first pass are checked later;
    /// those of an earlier save are checked together with these.
    fn supersede(&mut self, mut before: Self, dependents: &mut BTreeSet<String>) {
        if before.saved.is_empty() {
            dependents.extend(before.names.difference(&self.names).cloned());
            return;
        }
        before.saved.retain(|saved| self.saved.iter().all(|again| again.file != saved.file));
        before.saved.append(&mut self.saved);
        self.saved = before.saved;
        self.names.append(&mut before.names);
    }
}

/// A pass that runs.
struct RunningPass {
    job: WatchJob,
    began: Instant,
    pass: JoinHandle<transform::Result<Pass>>,
}

/// Waits for the end of the running pass; without one, for ever.
async fn finished(
    running: &mut Option<RunningPass>,
) -> (Result<transform::Result<Pass>, JoinError>, f64) {
    match running {
        Some(running) => {
            let pass = (&mut running.pass).await;
            (pass, running.began.elapsed().as_secs_f64())
        }
        None => pending().await,
    }
}

/// The queries as they were read last, and those that fail.
struct QueryWatcher<'a> {
    folder: PathBuf,
    built_in: Catalog,
    catalog: Arc<Catalog>,
    /// The queries to watch; all where it is empty.
    names: &'a [String],
    /// Queries with an error or a failed case, or that could not be tested.
    failing: BTreeSet<String>,
    /// Those of them that can't be computed.
    uncomputable: BTreeSet<String>,
}

impl<'a> QueryWatcher<'a> {
    fn new(folder: PathBuf, names: &'a [String]) -> anyhow::Result<Self> {
        let built_in = Catalog::built_in()?;
        let catalog = Arc::default();
        let (failing, uncomputable) = Default::default();
        let mut watcher = Self { folder, built_in, catalog, names, failing, uncomputable };
        watcher.catalog = Arc::new(watcher.read()?);
        for name in names {
            if !watcher.catalog.unreadable().contains_key(name) {
                watcher.catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
            }
        }
        Ok(watcher)
    }

    fn read(&self) -> transform::Result<Catalog> {
        let built_in = self.built_in.clone();
        if self.folder.is_dir() { built_in.with_project(&self.folder) } else { Ok(built_in) }
    }

    /// Returns every query to watch.
    fn all(&self) -> BTreeSet<String> {
        if !self.names.is_empty() {
            return self.names.iter().cloned().collect();
        }
        let queries = self.catalog.queries().map(|query| &query.name);
        let left_out = self.catalog.diagnostics().iter().map(|diagnostic| &diagnostic.query);
        queries.chain(left_out).cloned().collect()
    }

    /// Starts a pass.
    fn start(&self, job: WatchJob) -> RunningPass {
        let pass = tokio::spawn(Pass::over(
            Arc::clone(&self.catalog),
            job.names.clone(),
            self.uncomputable.clone(),
        ));
        RunningPass { job, began: Instant::now(), pass }
    }

    /// Reads the queries again. Returns the pass over what was saved, where that is watched, and
    /// the queries to check after it because they read that.
    fn saved_since(&mut self) -> Option<(WatchJob, BTreeSet<String>)> {
        let catalog = match self.read() {
            Ok(catalog) => catalog,
            Err(error) => {
                print_error(&error.into());
                return None;
            }
        };
        let saved = catalog.changed_files_since(&self.catalog);
        let (cases, queries): (Vec<_>, Vec<_>) = saved.iter().partition(|saved| saved.is_cases());
        let names = |saved: Vec<&ChangedFile>| saved.into_iter().map(|s| s.query.clone()).collect();
        let queries: BTreeSet<String> = names(queries);
        let mut affected: BTreeSet<String> = names(cases);
        affected.extend(transform::affected_queries(&self.catalog, &queries));
        affected.extend(transform::affected_queries(&catalog, &queries));
        affected.retain(|name| self.names.is_empty() || self.names.contains(name));
        let is_saved = |name: &String| saved.iter().any(|s| s.query == *name);
        let exists = |name: &String| {
            catalog.get(name).is_some() || catalog.unreadable().contains_key(name.as_str())
        };
        let (mut names, mut readers): (BTreeSet<String>, _) =
            affected.into_iter().partition(|name| is_saved(name) && exists(name));
        if names.is_empty() {
            // Only files were deleted: the pass is about the queries that read them.
            std::mem::swap(&mut names, &mut readers);
        }
        self.catalog = Arc::new(catalog);
        (!names.is_empty()).then_some((WatchJob { names, saved, is_followup: false }, readers))
    }

    /// Prints the results of a pass.
    fn print(
        &mut self,
        job: &WatchJob,
        pass: &Pass,
        seconds: f64,
        format: TextFormat,
    ) -> anyhow::Result<()> {
        self.failing.retain(|name| !job.names.contains(name));
        let still_wrong: Vec<String> = self.failing.iter().cloned().collect();
        self.failing.extend(pass.failing().cloned());
        self.uncomputable.retain(|name| !job.names.contains(name));
        self.uncomputable.extend(pass.uncomputable.iter().cloned());
        let report = PassReport {
            at: chrono::Local::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
            job,
            ok: pass.is_ok(),
            pass,
            still_wrong,
            seconds: (seconds * 1e3).round() / 1e3,
        };
        match format {
            TextFormat::Json => print_verbatim(&serde_json::to_string(&report)?),
            TextFormat::Text => print_verbatim(&report.text(stdout_is_terminal())),
        }
    }
}

/// What is printed of a pass.
#[derive(Serialize)]
struct PassReport<'a> {
    at: String,
    #[serde(flatten)]
    job: &'a WatchJob,
    ok: bool,
    #[serde(flatten)]
    pass: &'a Pass,
    /// Failing queries that the pass did not check.
    still_wrong: Vec<String>,
    seconds: f64,
}

impl PassReport<'_> {
    fn text(&self, colour: bool) -> String {
        let pass = self.pass;
        let time = self.at.get(11..19).unwrap_or_default();
        let mut text = format!("{time}  {}\n", subject(self.job, pass.checked.len()));
        for diagnostic in &pass.findings {
            text.push_str(&format!("{}\n\n", diagnostic.render(colour)));
        }
        for result in &pass.failures {
            text.push_str(&format!("{}\n", printable_lines(&describe_failure(result))));
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
        let state = if self.ok { "ok    " } else { "FAIL  " };
        text.push_str(&format!("{state}{}\n", parts.join(", ")));
        if !self.still_wrong.is_empty() {
            text.push_str(&format!("      still wrong: {}\n", self.still_wrong.join(", ")));
        }
        text
    }
}

/// Returns what the pass is about.
fn subject(job: &WatchJob, queries: usize) -> String {
    let saved = &job.saved;
    if saved.is_empty() {
        let [one, many] =
            if job.is_followup { ["more query", "more queries"] } else { ["query", "queries"] };
        return plural(queries, one, many);
    }
    let named =
        saved.iter().take(MAX_NAMED_FILES).map(|s| format!("{} {}", s.file, s.change.as_str()));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if saved.len() > MAX_NAMED_FILES {
        text.push_str(&format!(" and {} more", saved.len() - MAX_NAMED_FILES));
    }
    text
}

fn plural(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
