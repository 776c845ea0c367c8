//! `rapport metrics diff`: compares the metrics with those of another revision of the queries, of
//! the tables of an earlier run, or of both.
//!
//! - `comparison`: the baseline and what changed
//! - `render`: a comparison as text, Markdown and JSON

mod comparison;
mod render;

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use domain::{agree, counted};
use transform::{Catalog, Engine, Query, QueryKind, Session, diff_results};

use crate::args::DiffArgs;
use crate::errors::{CheckFailed, usage_error};
use crate::project::Project;
use crate::runs::{self, Run};
use comparison::{Baseline, Comparison, MetricChange};

/// How many differing rows and cells are shown.
const EXAMPLES: usize = 5;

/// Compares the metrics and prints the differences.
///
/// # Errors
/// [`CheckFailed`] where something differs.
pub(crate) async fn run(project: &Project, options: &DiffArgs) -> anyhow::Result<()> {
    let (revision, names) = revision_and_metrics(options, project.engine.catalog());
    let with_run = options.run.is_some();
    let catalog =
        revision.as_deref().map(|r| catalog_at_revision(project, r, with_run)).transpose()?;
    let run = match &options.run {
        Some(text) => Some(runs::find(project, "--run", text).await?),
        None => None,
    };
    let baseline = match (revision, run) {
        (Some(revision), None) => Baseline::Queries(revision),
        (None, Some(run)) => Baseline::Tables(run),
        (Some(revision), Some(run)) => Baseline::Both(revision, run),
        (None, None) => return Err(no_baseline()),
    };
    let as_of = match (&options.as_of, baseline.run()) {
        (None, Some(run)) => run.as_of,
        (given, _) => project.as_of(given.as_deref()).await?,
    };
    let now = project.session(as_of).await?;
    let mut engine = project.reading_engine().clone();
    if let Some(catalog) = catalog {
        engine = engine.with_catalog(catalog);
    }
    let then = match baseline.run() {
        Some(run) => {
            let stored = engine.for_versions(&run.versions).await;
            engine = stored.map_err(|error| run.explained(error))?;
            run.session(&engine, as_of).await?
        }
        None => engine.open_session(as_of, Some(now.versions())).await?,
    };
    let run = baseline.run();
    let sides =
        Sides { after: project.reading_engine(), now: &now, before: &engine, then: &then, run };
    let changes = sides.changes(&names).await?;
    let comparison = Comparison { baseline, as_of, changes };
    render::print(&comparison, options.format)?;
    let Comparison { baseline, changes, .. } = &comparison;
    let different = changes.iter().filter(|(_, change)| !change.is_same()).count();
    if different == 0 {
        return Ok(());
    }
    Err(CheckFailed(format!(
        "{different} of {} {} from {baseline}",
        counted(changes.len(), "metric"),
        agree(different, "differs", "differ")
    ))
    .into())
}

fn no_baseline() -> anyhow::Error {
    usage_error(
        "metrics diff: say with what: a revision of the queries (main, HEAD~1), --run, or both",
    )
}

/// Returns the revision and the metrics of the command line. With `--run` there need be no
/// revision: then a first word that is the name of a metric is one.
fn revision_and_metrics(options: &DiffArgs, catalog: &Catalog) -> (Option<String>, Vec<String>) {
    let is_metric = |name: &String| catalog.get(name).is_some_and(|q| q.kind == QueryKind::Metric);
    match &options.revision {
        Some(name) if options.run.is_some() && is_metric(name) => {
            (None, [std::slice::from_ref(name), &options.names].concat())
        }
        revision => (revision.clone(), options.names.clone()),
    }
}

/// Returns the queries of a revision over the built-in ones. `or_metric` says that the revision may
/// have been meant as the name of a metric.
fn catalog_at_revision(
    project: &Project,
    revision: &str,
    or_metric: bool,
) -> anyhow::Result<Catalog> {
    let folder = project.config.queries().ok_or_else(|| {
        usage_error(
            "the project has no queries/ folder, so there is no other revision of its queries",
        )
    })?;
    let files = files_at_revision(&folder, revision).map_err(|error| match or_metric {
        true => match project.engine.catalog().find(revision) {
            Err(unknown) => usage_error(format!("{error}; and {unknown}")),
            Ok(_) => error,
        },
        false => error,
    })?;
    Ok(Catalog::built_in()?.with_files(&format!("{revision}:queries"), files))
}

/// The engines and sessions of both sides.
struct Sides<'a> {
    after: &'a Engine,
    now: &'a Session,
    before: &'a Engine,
    then: &'a Session,
    /// The run whose tables `then` reads.
    run: Option<&'a Run>,
}

impl Sides<'_> {
    /// Compares the metrics of these names, or all without names.
    async fn changes(&self, names: &[String]) -> anyhow::Result<Vec<(String, MetricChange)>> {
        let (new, old) = (self.after.catalog(), self.before.catalog());
        for name in names {
            let known = |c: &Catalog| c.get(name).is_some_and(|q| q.kind == QueryKind::Metric);
            if !known(new) && !known(old) {
                new.find(name).map_err(|e| usage_error(e.to_string()))?;
                return Err(usage_error(format!("{name} is no metric")));
            }
        }
        let mut all: Vec<&str> = new.names(QueryKind::Metric);
        all.extend(old.names(QueryKind::Metric));
        all.sort_unstable();
        all.dedup();
        let wanted = |name: &&str| names.is_empty() || names.iter().any(|n| n == name);
        let mut changes = Vec::new();
        for name in all.into_iter().filter(wanted) {
            let change = match (old.get(name), new.get(name)) {
                (None, _) => MetricChange::Added,
                (_, None) => MetricChange::Removed,
                (Some(_), Some(query)) => self.compare(query).await?,
            };
            changes.push((name.to_owned(), change));
        }
        Ok(changes)
    }

    /// Compares the rows of a metric.
    ///
    /// # Errors
    /// The tables of the run can't be read any longer.
    async fn compare(&self, query: &Query) -> anyhow::Result<MetricChange> {
        let before = match self.then.metric(&query.name).await {
            Ok(rows) => rows,
            Err(error) => match self.run.and_then(|run| run.gone(&error)) {
                Some(gone) => return Err(gone),
                None => return Ok(MetricChange::Failed(format!("before: {error}"))),
            },
        };
        let after = match self.now.metric(&query.name).await {
            Ok(rows) => rows,
            Err(error) => return Ok(MetricChange::Failed(format!("now: {error}"))),
        };
        let diff = diff_results(&query.header.grain, &before, &after, EXAMPLES);
        Ok(diff.map_or_else(|error| MetricChange::Failed(error.to_string()), MetricChange::Rows))
    }
}

/// Returns the query files of a revision with their paths below `queries/`.
fn files_at_revision(folder: &Path, revision: &str) -> anyhow::Result<Vec<(String, String)>> {
    let list =
        git(folder, &["ls-tree", "-r", "-z", "--name-only", "--end-of-options", revision, "."])?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|p| p.ends_with(".sql") || p.ends_with(".test.toml")) {
        let text = git(folder, &["show", "--end-of-options", &format!("{revision}:./{path}")])?;
        files.push((path.to_owned(), text));
    }
    Ok(files)
}

fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output();
    let output = output.context("git can't be run; it is needed to read another revision")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(usage_error(format!("git in {}: {message}", folder.display())));
    }
    String::from_utf8(output.stdout).context("a query file that is not UTF-8")
}
