//! `rapport metrics list | show | functions | run | test`.

mod functions;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use transform::{Catalog, Kind, QueryResult, TransformError};

use crate::args::{Format, Metrics, Slice};
use crate::commands::{diff, docs};
use crate::config::Config;
use crate::failure::{Found, usage};
use crate::output::{self, Rows, Table, line, note};
use crate::progress::count;
use crate::project::{Project, severity};
use crate::slices::Slices;

pub(crate) fn run(
    command: Metrics,
    config: &dyn Fn() -> anyhow::Result<Config>,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    match command {
        Metrics::List { format } => list(&catalog(config)?, format),
        Metrics::Show { name } => show(&catalog(config)?, &name),
        Metrics::Functions { format } => functions::list(format),
        Metrics::Diff(options) => runtime.block_on(async {
            let project = Project::open(config()?, quiet).await?;
            diff::run(&project, &options).await
        }),
        Metrics::Docs { out } => docs::run(&catalog(config)?, &out),
        Metrics::Test { names } => runtime.block_on(test(&Arc::new(catalog(config)?), &names)),
        Metrics::Run { names, as_of, format, out, slice } => runtime.block_on(async {
            let project = Project::open(config()?, quiet).await?;
            let wanted = Wanted { names: &names, format, out: out.as_deref(), slice: &slice };
            compute(&project, &wanted, as_of.as_deref()).await
        }),
    }
}

/// The built-in queries, with the project's where there is one.
fn catalog(config: &dyn Fn() -> anyhow::Result<Config>) -> anyhow::Result<Catalog> {
    let built_in = Catalog::built_in()?;
    // Without a project the built-in queries are all there are.
    let Some(folder) = config().ok().and_then(|c| c.queries()) else { return Ok(built_in) };
    built_in.with_project(&folder).map_err(|e| usage(e.to_string()))
}

fn list(catalog: &Catalog, format: Format) -> anyhow::Result<()> {
    let field = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![
        field("name"),
        field("kind"),
        field("grain"),
        field("description"),
    ]));
    let kinds = [Kind::Metric, Kind::View, Kind::Rollup];
    let queries: Vec<_> = kinds.iter().flat_map(|kind| catalog.of_kind(*kind)).collect();
    let kind = |query: &transform::Query| query.kind.folder().trim_end_matches('s').to_owned();
    if format == Format::Table {
        let mut table = Table::new(["name", "kind", "description"], &[]);
        for query in &queries {
            table.row([query.name.clone(), kind(query), query.header.description.clone()]);
        }
        output::show(&table)?;
        note("\n`rapport metrics show NAME` prints one with its columns and SQL.");
        return Ok(());
    }
    let column = |of: &dyn Fn(&transform::Query) -> String| {
        Arc::new(StringArray::from_iter_values(queries.iter().map(|q| of(q)))) as _
    };
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            column(&|q| q.name.clone()),
            column(&kind),
            column(&|q| q.header.grain.join(", ")),
            column(&|q| q.header.description.clone()),
        ],
    )?;
    output::print(&Rows { schema: &schema, batches: &[batch] }, format)
}

fn show(catalog: &Catalog, name: &str) -> anyhow::Result<()> {
    let query = catalog.find(name).map_err(|e| usage(e.to_string()))?;
    // Beside the text, so that the text can go into a file of one's own.
    note(&query.file);
    line(query.sql.trim_end())
}

async fn test(catalog: &Arc<Catalog>, names: &[String]) -> anyhow::Result<()> {
    for name in names {
        catalog.find(name).map_err(|e| usage(e.to_string()))?;
    }
    let results =
        transform::run_tests(catalog, |name| names.is_empty() || names.iter().any(|n| n == name))
            .await;
    let mut failed = 0;
    for result in &results {
        match &result.failure {
            None => line(&format!("ok    {} · {}", result.query, result.case))?,
            Some(why) => {
                failed += 1;
                line(&format!(
                    "FAIL  {} · {} ({})\n{why}",
                    result.query, result.case, result.place
                ))?;
            }
        }
    }
    line(&format!("{} passed, {failed} failed", results.len() - failed))?;
    if failed > 0 {
        return Err(Found(format!("{failed} cases of {} failed", results.len())).into());
    }
    Ok(())
}

struct Wanted<'a> {
    names: &'a [String],
    format: Option<Format>,
    out: Option<&'a Path>,
    slice: &'a Slice,
}

async fn compute(
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
    let mut failures = Vec::new();
    let mut held = Vec::new();
    for name in &names {
        // A broken metric never stops the others.
        match slices.metric(name, &verdict).await {
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
        let done = names.len() - failures.len() - held.len();
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
    anyhow::bail!("{} of {} metrics failed: {}", failures.len(), names.len(), failures.join(", "))
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
