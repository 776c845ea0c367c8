//! `rapport metrics run`: metrics computed, to stdout or a file each.

use lake_types::counted;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::Context;
use futures::StreamExt;
use transform::{Catalog, Kind, QueryResult, TransformError};

use crate::args::{Format, Slice};
use crate::failure::{Found, Usage, usage};
use crate::output::{self, Rows, line, note};
use crate::progress::count;
use crate::project::Project;
use crate::published::{Held, Metrics, Told};
use crate::slices::Slices;

pub(super) struct Wanted<'a> {
    pub(super) names: &'a [String],
    pub(super) format: Option<Format>,
    pub(super) out: Option<&'a Path>,
    pub(super) slice: &'a Slice,
}

pub(super) async fn run(
    project: &Project,
    wanted: &Wanted<'_>,
    as_of: Option<&str>,
) -> anyhow::Result<()> {
    let catalog = project.engine.catalog();
    let names = names(catalog, wanted.names)?;
    let default = if wanted.out.is_some() { Format::Csv } else { Format::Table };
    let format = wanted.format.unwrap_or(default);
    if wanted.out.is_none() && names.len() > 1 && format != Format::Table {
        return Err(usage("several metrics in one stream: name one, or give --out DIR"));
    }
    let as_of = project.as_of(as_of).await?;
    let session = project.session(as_of).await?;
    let metrics = Metrics::of(Slices::of(session, wanted.slice).await?).await;
    let show = Show { format, out: wanted.out, titled: names.len() > 1 };
    let mut done = Done { total: names.len(), ..Done::default() };
    if wanted.names.is_empty() {
        let left_out = catalog.left_out_of(Kind::Metric).map(|(name, _)| name.to_owned());
        done.failed.extend(left_out);
        done.total += done.failed.len();
    }
    show_all(project, &metrics, names, &show, &mut done).await?;
    for name in done.held.iter().chain(&done.failed) {
        done.aside |= show.set_aside(name)?;
    }
    if let Some(dir) = wanted.out {
        note(&format!("{} as of {as_of} in {}", counted(done.shown, "metric"), dir.display()));
    }
    done.ended()
}

/// The metrics that are meant, all without names.
fn names(catalog: &Catalog, given: &[String]) -> anyhow::Result<Vec<String>> {
    for name in given {
        let query = catalog.find(name).map_err(|e| usage(e.to_string()))?;
        if query.kind != Kind::Metric {
            return Err(usage(format!(
                "{name} is no metric; `rapport sql \"SELECT * FROM {name}\"` reads it"
            )));
        }
    }
    if given.is_empty() {
        return Ok(catalog.names(Kind::Metric).into_iter().map(str::to_owned).collect());
    }
    Ok(given.to_vec())
}

/// Computes the metrics and shows those that may be shown.
async fn show_all(
    project: &Project,
    metrics: &Metrics,
    names: Vec<String>,
    show: &Show<'_>,
    done: &mut Done,
) -> anyhow::Result<()> {
    let mut told = Told::default();
    let mut outcomes = pin!(metrics.outcomes(names));
    while let Some(outcome) = outcomes.next().await {
        let alone = !show.titled;
        if !(alone && matches!(outcome.rows, Err(Held::Failed { .. }))) {
            told.tell(&outcome, "");
        }
        match outcome.rows {
            Ok(rows) => {
                // What is refused or held back answers nothing, and is no run.
                if done.shown == 0 {
                    project.note_run(metrics.session()).await?;
                }
                show.rows(&outcome.name, &rows)?;
                done.shown += 1;
            }
            Err(Held::Check(_)) => done.held.push(outcome.name),
            // A broken metric never stops the others; alone, it is all there is to say.
            Err(Held::Failed { metric, error }) if alone => {
                if let Some(TransformError::PastTheViews { .. }) = error.downcast_ref() {
                    return Err(usage(format!("{metric}: {error}")));
                }
                if error.downcast_ref::<Usage>().is_none() {
                    show.set_aside(&metric)?;
                }
                return Err(error);
            }
            Err(Held::Failed { metric, .. }) => done.failed.push(metric),
        }
    }
    let others = metrics.of_no_metric();
    others.0.iter().for_each(|finding| told.finding(finding));
    done.held.extend(others.holding().map(|finding| finding.query.clone()));
    Ok(())
}

/// What became of the metrics.
#[derive(Default)]
struct Done {
    total: usize,
    shown: usize,
    /// By a check.
    held: Vec<String>,
    failed: Vec<String>,
    /// Files of an earlier run were renamed.
    aside: bool,
}

impl Done {
    /// 3 where checks held something back, 1 where something could not be computed.
    fn ended(&self) -> anyhow::Result<()> {
        let aside = match self.aside {
            true => format!("; what an earlier run wrote of them ends in .{ASIDE} now"),
            false => String::new(),
        };
        let (held, failed) = (self.held.join(", "), self.failed.join(", "));
        if self.failed.is_empty() {
            return match self.held.is_empty() {
                true => Ok(()),
                false => Err(Found(format!("held back by a check: {held}{aside}")).into()),
            };
        }
        let held = match self.held.is_empty() {
            true => String::new(),
            false => format!("; held back by a check: {held}"),
        };
        anyhow::bail!(
            "{} of {} failed: {failed}{held}{aside}",
            self.failed.len(),
            counted(self.total, "metric")
        )
    }
}

/// Of several metrics on a terminal this many rows each are shown.
const ROWS_EACH: usize = 20;

/// The ending of the files of an earlier run whose metric is held back: nobody who collects files
/// takes them for new ones.
const ASIDE: &str = "held";

/// How the rows of metrics are shown.
struct Show<'a> {
    format: Format,
    out: Option<&'a Path>,
    /// There are several.
    titled: bool,
}

impl Show<'_> {
    fn rows(&self, name: &str, result: &QueryResult) -> anyhow::Result<()> {
        let rows = Rows { schema: &result.schema, batches: &result.batches };
        if let Some(dir) = self.out {
            output::write(&rows, self.format, dir, name)?;
            return remove(&self.aside(dir, name));
        }
        if !self.titled {
            return output::print(&rows, self.format);
        }
        line(&format!("{name}\n"))?;
        let all = result.rows();
        if all > ROWS_EACH && output::on_terminal() {
            let first = arrow::compute::concat_batches(&result.schema, &result.batches)?;
            let first = [first.slice(0, ROWS_EACH)];
            output::print(&Rows { schema: &result.schema, batches: &first }, self.format)?;
            let more = count((all - ROWS_EACH) as u64);
            return line(&format!("and {more} more: rapport metrics run {name}\n"));
        }
        output::print(&rows, self.format)?;
        line("")
    }

    /// Renames the file that an earlier run wrote of a metric; whether there was one.
    fn set_aside(&self, name: &str) -> anyhow::Result<bool> {
        let Some(dir) = self.out else { return Ok(false) };
        let file = output::file_of(self.format, dir, name);
        match std::fs::rename(&file, self.aside(dir, name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("{} can't be set aside", file.display()))
            }
        }
    }

    fn aside(&self, dir: &Path, name: &str) -> PathBuf {
        let mut file = output::file_of(self.format, dir, name).into_os_string();
        file.push(".");
        file.push(ASIDE);
        file.into()
    }
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", file.display()))
        }
        _ => Ok(()),
    }
}
