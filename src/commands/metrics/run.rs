//! `rapport metrics run`: metrics computed, to stdout or a file each.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use transform::{Catalog, Kind, QueryResult, TransformError};

use crate::ahead;
use crate::args::{Format, Slice};
use crate::failure::{Found, usage};
use crate::output::{self, Rows, line, note};
use crate::progress::count;
use crate::project::{Project, severity};
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
    for name in wanted.names {
        let query = catalog.find(name).map_err(|e| usage(e.to_string()))?;
        if query.kind != Kind::Metric {
            return Err(usage(format!(
                "{name} is no metric; `rapport sql \"SELECT * FROM {name}\"` reads it"
            )));
        }
    }
    let names: Vec<String> = if wanted.names.is_empty() {
        catalog.names(Kind::Metric).into_iter().map(str::to_owned).collect()
    } else {
        wanted.names.to_vec()
    };
    let default = if wanted.out.is_some() { Format::Csv } else { Format::Table };
    let format = wanted.format.unwrap_or(default);
    if wanted.out.is_none() && names.len() > 1 && format != Format::Table {
        return Err(usage("several metrics in one stream: name one, or give --out DIR"));
    }
    let as_of = project.as_of(as_of).await?;
    let session = project.session(as_of).await?;
    project.note_run(&session).await?;
    let slices = Slices::of(session, wanted.slice).await?;
    let verdict = slices.verdict().await;
    let mut failures: Vec<&str> = Vec::new();
    if wanted.names.is_empty() {
        failures.extend(left_out_metrics(catalog));
    }
    let total = names.len() + failures.len();
    let mut held = Vec::new();
    let (slices, verdict) = (Arc::new(slices), Arc::new(verdict));
    let computed = |name: &String| {
        let (slices, verdict) = (Arc::clone(&slices), Arc::clone(&verdict));
        let name = name.clone();
        async move { slices.metric(&name, &verdict).await }
    };
    let mut results = pin!(ahead::in_order(names.iter().map(computed)));
    for name in &names {
        let Some(result) = results.next().await else { break };
        // A broken metric never stops the others.
        match result? {
            Ok((result, findings)) => {
                for finding in &findings.0 {
                    note(&format!("{}: {finding}", severity(finding)));
                }
                if findings.holding().is_some() {
                    held.push(name.as_str());
                } else {
                    emit(name, &result, format, wanted.out, names.len() > 1)?;
                }
            }
            Err(error) if names.len() == 1 => {
                return Err(match error.downcast_ref() {
                    Some(TransformError::PastTheViews { .. }) => usage(format!("{name}: {error}")),
                    _ => error,
                });
            }
            Err(error) => {
                note(&format!("rapport: {name}: {error}"));
                failures.push(name.as_str());
            }
        }
    }
    if let Some(dir) = wanted.out {
        let done = total - failures.len() - held.len();
        note(&format!("{done} metrics as of {as_of} in {}", dir.display()));
    }
    if failures.is_empty() && held.is_empty() {
        return Ok(());
    }
    if failures.is_empty() {
        let stays =
            if wanted.out.is_some() { "; files of an earlier run stay as they are" } else { "" };
        return Err(Found(format!("held back by a check: {}{stays}", held.join(", "))).into());
    }
    anyhow::bail!("{} of {total} metrics failed: {}", failures.len(), failures.join(", "))
}

/// The metrics whose files can't be read; what is wrong with them has been said.
fn left_out_metrics(catalog: &Catalog) -> impl Iterator<Item = &str> {
    let folder = format!("/{}/", Kind::Metric.folder());
    let metrics = catalog.left_out().iter().filter(move |(_, fault)| fault.file.contains(&folder));
    metrics.map(|(name, _)| name.as_str())
}

/// Of several metrics on a terminal this many rows each are shown.
const ROWS_EACH: usize = 20;

fn emit(
    name: &str,
    result: &QueryResult,
    format: Format,
    out: Option<&Path>,
    titled: bool,
) -> anyhow::Result<()> {
    let rows = Rows { schema: &result.schema, batches: &result.batches };
    if let Some(dir) = out {
        return output::write(&rows, format, dir, name);
    }
    if !titled {
        return output::print(&rows, format);
    }
    line(&format!("{name}\n"))?;
    let all: usize = result.batches.iter().map(RecordBatch::num_rows).sum();
    if all > ROWS_EACH && output::on_terminal() {
        let first = arrow::compute::concat_batches(&result.schema, &result.batches)?;
        let first = [first.slice(0, ROWS_EACH)];
        output::print(&Rows { schema: &result.schema, batches: &first }, format)?;
        let more = count((all - ROWS_EACH) as u64);
        return line(&format!("and {more} more: rapport metrics run {name}\n"));
    }
    output::print(&rows, format)?;
    line("")
}
