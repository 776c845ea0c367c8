//! `rapport metrics diff`: the metrics of now beside those of another revision of the queries, of
//! the tables of a run of before, or of both.

mod show;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use lake_types::{AsOf, agree, counted};
use transform::{Catalog, Engine, Kind, Query, ResultDiff, Session, diff_results};

use crate::args::Diff;
use crate::failure::{Found, usage};
use crate::project::Project;
use crate::runs::{self, Run};

/// Rows and cells that are shown of what differs.
const EXAMPLES: usize = 5;

/// The metrics of now beside others.
struct Comparison {
    before: Before,
    as_of: AsOf,
    changes: Vec<(String, Change)>,
}

/// What is not as it is now.
enum Before {
    Queries(String),
    Tables(Run),
    Both(String, Run),
}

/// What became of a metric.
enum Change {
    Added,
    Removed,
    /// One side fails, with what it says.
    Broken(String),
    Rows(ResultDiff),
}

impl Before {
    fn revision(&self) -> Option<&str> {
        match self {
            Self::Queries(revision) | Self::Both(revision, _) => Some(revision),
            Self::Tables(_) => None,
        }
    }

    fn run(&self) -> Option<&Run> {
        match self {
            Self::Tables(run) | Self::Both(_, run) => Some(run),
            Self::Queries(_) => None,
        }
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queries(revision) => f.write_str(revision),
            Self::Tables(run) => write!(f, "run {run}"),
            Self::Both(revision, run) => write!(f, "{revision} on the tables of run {run}"),
        }
    }
}

pub(crate) async fn run(project: &Project, options: &Diff) -> anyhow::Result<()> {
    let (revision, names) = meant(options, project.engine.catalog());
    let with_run = options.run.is_some();
    let catalog = revision.as_deref().map(|r| catalog_of(project, r, with_run)).transpose()?;
    let run = match &options.run {
        Some(text) => Some(runs::find(project, "--run", text).await?),
        None => None,
    };
    let before = match (revision, run) {
        (Some(revision), None) => Before::Queries(revision),
        (None, Some(run)) => Before::Tables(run),
        (Some(revision), Some(run)) => Before::Both(revision, run),
        (None, None) => return Err(nothing()),
    };
    let as_of = match (&options.as_of, before.run()) {
        (None, Some(run)) => run.as_of,
        (given, _) => project.as_of(given.as_deref()).await?,
    };
    let now = project.session(as_of).await?;
    let mut engine = project.answers().clone();
    if let Some(catalog) = catalog {
        engine = engine.with_catalog(catalog);
    }
    let then = match before.run() {
        Some(run) => {
            let stored = engine.for_versions(&run.versions).await;
            engine = stored.map_err(|error| run.explained(error))?;
            run.session(&engine, as_of).await?
        }
        None => engine.at(as_of, Some(now.versions())).await?,
    };
    let run = before.run();
    let sides = Sides { after: project.answers(), now: &now, before: &engine, then: &then, run };
    let changes = sides.changes(&names).await?;
    let comparison = Comparison { before, as_of, changes };
    show::show(&comparison, options.format)?;
    let Comparison { before, changes, .. } = &comparison;
    let different = changes.iter().filter(|(_, change)| !is_same(change)).count();
    if different == 0 {
        return Ok(());
    }
    Err(Found(format!(
        "{different} of {} {} from {before}",
        counted(changes.len(), "metric"),
        agree(different, "differs", "differ")
    ))
    .into())
}

fn nothing() -> anyhow::Error {
    usage("metrics diff: say with what: a revision of the queries (main, HEAD~1), --run, or both")
}

/// The revision and the metrics. With `--run` the queries may be those of now: then a first word
/// that is the name of a metric is one.
fn meant(options: &Diff, catalog: &Catalog) -> (Option<String>, Vec<String>) {
    let is_metric = |name: &String| catalog.get(name).is_some_and(|q| q.kind == Kind::Metric);
    match &options.revision {
        Some(name) if options.run.is_some() && is_metric(name) => {
            (None, [std::slice::from_ref(name), &options.names].concat())
        }
        revision => (revision.clone(), options.names.clone()),
    }
}

/// The queries of a revision over the built-in ones.
fn catalog_of(project: &Project, revision: &str, or_metric: bool) -> anyhow::Result<Catalog> {
    let folder = project.config.queries().ok_or_else(|| {
        usage("the project has no queries/ folder, so there is no other revision of its queries")
    })?;
    let files = files_of(&folder, revision).map_err(|error| match or_metric {
        true => match project.engine.catalog().find(revision) {
            Err(unknown) => usage(format!("{error}; and {unknown}")),
            Ok(_) => error,
        },
        false => error,
    })?;
    Ok(Catalog::built_in()?.with_files(&format!("{revision}:queries"), files))
}

fn is_same(change: &Change) -> bool {
    matches!(change, Change::Rows(diff) if diff.is_empty())
}

/// Queries and tables of both.
struct Sides<'a> {
    after: &'a Engine,
    now: &'a Session,
    before: &'a Engine,
    then: &'a Session,
    /// Whose tables `then` reads.
    run: Option<&'a Run>,
}

impl Sides<'_> {
    async fn changes(&self, names: &[String]) -> anyhow::Result<Vec<(String, Change)>> {
        let (new, old) = (self.after.catalog(), self.before.catalog());
        for name in names {
            let known = |c: &Catalog| c.get(name).is_some_and(|q| q.kind == Kind::Metric);
            if !known(new) && !known(old) {
                new.find(name).map_err(|e| usage(e.to_string()))?;
                return Err(usage(format!("{name} is no metric")));
            }
        }
        let mut all: Vec<&str> = new.names(Kind::Metric);
        all.extend(old.names(Kind::Metric));
        all.sort_unstable();
        all.dedup();
        let wanted = |name: &&str| names.is_empty() || names.iter().any(|n| n == name);
        let mut changes = Vec::new();
        for name in all.into_iter().filter(wanted) {
            let change = match (old.get(name), new.get(name)) {
                (None, _) => Change::Added,
                (_, None) => Change::Removed,
                (Some(_), Some(query)) => self.compared(query).await?,
            };
            changes.push((name.to_owned(), change));
        }
        Ok(changes)
    }

    /// # Errors
    /// A run whose tables can't be read again.
    async fn compared(&self, query: &Query) -> anyhow::Result<Change> {
        let before = match self.then.metric(&query.name).await {
            Ok(rows) => rows,
            Err(error) => match self.run.and_then(|run| run.gone(&error)) {
                Some(gone) => return Err(gone),
                None => return Ok(Change::Broken(format!("before: {error}"))),
            },
        };
        let after = match self.now.metric(&query.name).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Change::Broken(format!("now: {error}"))),
        };
        let diff = diff_results(&query.header.grain, &before, &after, EXAMPLES);
        Ok(diff.map_or_else(|error| Change::Broken(error.to_string()), Change::Rows))
    }
}

/// The query files of a revision, by their paths below `queries/`.
fn files_of(folder: &Path, revision: &str) -> anyhow::Result<Vec<(String, String)>> {
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
    let ran = Command::new("git").arg("-C").arg(folder).args(arguments).output();
    let ran = ran.context("git can't be run; it is needed to read another revision")?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        return Err(usage(format!("git in {}: {said}", folder.display())));
    }
    String::from_utf8(ran.stdout).context("a query file that is not UTF-8")
}
