//! `rapport metrics run`: computes metrics, to stdout or into a file each.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::Context;
use domain::{counted, thousands};
use futures::StreamExt;
use transform::{Catalog, QueryKind, QueryResult, TransformError};

use crate::args::{BreakdownArgs, Format};
use crate::breakdown::Breakdown;
use crate::errors::{CheckFailed, UsageError, usage_error};
use crate::event_days::{MetricsWithoutRows, Viewpoint};
use crate::metric_pipeline::{HeldBack, MetricPipeline, OutcomePrinter};
use crate::output::{self, print_line, print_note};
use crate::project::Project;
use crate::rows::{Rows, first_rows};

/// The options of `rapport metrics run`.
pub(super) struct MetricsRunOptions<'a> {
    pub(super) names: &'a [String],
    pub(super) format: Option<Format>,
    pub(super) out: Option<&'a Path>,
    pub(super) breakdown: &'a BreakdownArgs,
}

/// Computes the metrics and writes those that are not held back.
///
/// # Errors
/// [`CheckFailed`] where a check held a metric back; another error where one could not be computed.
pub(super) async fn run(
    project: &Project,
    options: &MetricsRunOptions<'_>,
    as_of: Option<&str>,
) -> anyhow::Result<()> {
    let catalog = project.engine.catalog();
    let names = names(catalog, options.names)?;
    let default = if options.out.is_some() { Format::Csv } else { Format::Table };
    let format = options.format.unwrap_or(default);
    if options.out.is_none() && names.len() > 1 && format != Format::Table {
        return Err(usage_error("several metrics in one stream: name one, or give --out DIR"));
    }
    let is_default = as_of.is_none();
    let as_of = project.as_of(as_of).await?;
    let session = project.session(as_of).await?;
    let metrics = MetricPipeline::of(Breakdown::new(session, options.breakdown).await?).await;
    let writer = MetricWriter { format, out: options.out, has_titles: names.len() > 1 };
    let mut summary = RunSummary { total: names.len(), ..RunSummary::default() };
    if options.names.is_empty() {
        let left_out = catalog.unreadable_of(QueryKind::Metric).map(|(name, _)| name.to_owned());
        summary.failed.extend(left_out);
        summary.total += summary.failed.len();
    }
    write_all(project, &metrics, names, &writer, &mut summary).await?;
    for name in summary.held_back.iter().chain(&summary.failed) {
        summary.has_renamed |= writer.set_aside(name)?;
    }
    if let Some(dir) = options.out {
        print_note(&format!(
            "{} as of {as_of} in {}",
            counted(summary.shown, "metric"),
            dir.display()
        ));
    }
    let viewpoint = Viewpoint { as_of, is_default, now: project.now };
    for sentence in summary.without_rows.explain(project, viewpoint).await? {
        print_note(&sentence);
    }
    summary.into_result()
}

/// Returns the metrics of the command line; without names, all.
fn names(catalog: &Catalog, given: &[String]) -> anyhow::Result<Vec<String>> {
    for name in given {
        let query = catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
        if query.kind != QueryKind::Metric {
            return Err(usage_error(format!(
                "{name} is no metric; `rapport sql \"SELECT * FROM {name}\"` reads it"
            )));
        }
    }
    if given.is_empty() {
        return Ok(catalog.names(QueryKind::Metric).into_iter().map(str::to_owned).collect());
    }
    Ok(given.to_vec())
}

/// Writes each metric as soon as it is computed, and counts the others in `summary`.
async fn write_all(
    project: &Project,
    metrics: &MetricPipeline,
    names: Vec<String>,
    writer: &MetricWriter<'_>,
    summary: &mut RunSummary,
) -> anyhow::Result<()> {
    let mut printer = OutcomePrinter::default();
    let mut outcomes = pin!(metrics.compute_all(names));
    while let Some(outcome) = outcomes.next().await {
        let alone = !writer.has_titles;
        if !(alone && matches!(outcome.rows, Err(HeldBack::Failed { .. }))) {
            printer.print_outcome(&outcome, "");
        }
        match outcome.rows {
            Ok(rows) => {
                // A run is recorded once a metric of it is shown.
                if summary.shown == 0 {
                    project.record_run(metrics.session()).await?;
                }
                writer.write(&outcome.name, &rows)?;
                let catalog = project.engine.catalog();
                summary.without_rows.add_if_blank(catalog, &outcome.name, &rows);
                summary.shown += 1;
            }
            Err(HeldBack::Check(_)) => summary.held_back.push(outcome.name),
            // A failed metric never stops the others. The error of a single one is that of the
            // command.
            Err(HeldBack::Failed { metric, error }) if alone => {
                if let Some(TransformError::BypassesViews { .. }) = error.downcast_ref() {
                    return Err(usage_error(format!("{metric}: {error}")));
                }
                if error.downcast_ref::<UsageError>().is_none() {
                    writer.set_aside(&metric)?;
                }
                return Err(error);
            }
            Err(HeldBack::Failed { metric, .. }) => summary.failed.push(metric),
        }
    }
    let others = metrics.of_no_metric();
    others.0.iter().for_each(|violation| printer.print_violation(violation));
    summary.held_back.extend(others.blocking().map(|violation| violation.query.clone()));
    Ok(())
}

/// How many metrics were shown, and which were not.
#[derive(Default)]
struct RunSummary {
    total: usize,
    shown: usize,
    /// Held back by a check.
    held_back: Vec<String>,
    failed: Vec<String>,
    /// Shown without anything in them.
    without_rows: MetricsWithoutRows,
    /// Whether files of an earlier run were renamed.
    has_renamed: bool,
}

impl RunSummary {
    /// Returns an error where a check held a metric back, or one could not be computed.
    fn into_result(self) -> anyhow::Result<()> {
        let aside = match self.has_renamed {
            true => format!("; what an earlier run wrote of them ends in .{HELD_SUFFIX} now"),
            false => String::new(),
        };
        let (held_back, failed) = (self.held_back.join(", "), self.failed.join(", "));
        if self.failed.is_empty() {
            return match self.held_back.is_empty() {
                true => Ok(()),
                false => {
                    Err(CheckFailed(format!("held back by a check: {held_back}{aside}")).into())
                }
            };
        }
        let held_back = match self.held_back.is_empty() {
            true => String::new(),
            false => format!("; held back by a check: {held_back}"),
        };
        anyhow::bail!(
            "{} of {} failed: {failed}{held_back}{aside}",
            self.failed.len(),
            counted(self.total, "metric")
        )
    }
}

/// How many rows of each of several metrics are shown on a terminal.
const ROWS_EACH: usize = 20;

/// The suffix of files of an earlier run whose metric is held back now, so that nobody takes them
/// for new ones.
const HELD_SUFFIX: &str = "held";

/// Writes the rows of metrics to stdout or into files.
struct MetricWriter<'a> {
    format: Format,
    out: Option<&'a Path>,
    /// Whether there are several, each below its name.
    has_titles: bool,
}

impl MetricWriter<'_> {
    fn write(&self, name: &str, result: &QueryResult) -> anyhow::Result<()> {
        let rows = Rows { schema: &result.schema, batches: &result.batches };
        if let Some(dir) = self.out {
            output::write_rows_file(&rows, self.format, dir, name)?;
            return remove_if_there(&self.held_file(dir, name));
        }
        if !self.has_titles {
            return output::print_rows(&rows, self.format);
        }
        print_line(&format!("{name}\n"))?;
        let all = result.rows();
        if all > ROWS_EACH && output::stdout_is_terminal() {
            let first = [first_rows(&rows, ROWS_EACH)?];
            output::print_rows(&Rows { schema: &result.schema, batches: &first }, self.format)?;
            let more = thousands((all - ROWS_EACH) as u64);
            return print_line(&format!("and {more} more: rapport metrics run {name}\n"));
        }
        output::print_rows(&rows, self.format)?;
        print_line("")
    }

    /// Renames the file of a metric from an earlier run, and returns whether there was one.
    fn set_aside(&self, name: &str) -> anyhow::Result<bool> {
        let Some(dir) = self.out else { return Ok(false) };
        let file = output::rows_file(self.format, dir, name);
        match std::fs::rename(&file, self.held_file(dir, name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("{} can't be set aside", file.display()))
            }
        }
    }

    fn held_file(&self, dir: &Path, name: &str) -> PathBuf {
        let mut file = output::rows_file(self.format, dir, name).into_os_string();
        file.push(".");
        file.push(HELD_SUFFIX);
        file.into()
    }
}

fn remove_if_there(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", file.display()))
        }
        _ => Ok(()),
    }
}
