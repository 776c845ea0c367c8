//! `rapport metrics check`: what is wrong with the queries, each with its place and the fix.

use lake_types::counted;
use std::sync::Arc;

use transform::{Catalog, Level, Mistake};

use crate::args::TextFormat;
use crate::failure::{Found, usage};
use crate::output::{exact, line, on_terminal};

pub(super) async fn run(
    catalog: &Arc<Catalog>,
    names: &[String],
    format: TextFormat,
) -> anyhow::Result<()> {
    for name in names {
        if !catalog.left_out().contains_key(name) {
            catalog.find(name).map_err(|e| usage(e.to_string()))?;
        }
    }
    let findings = transform::check(catalog, names).await?;
    let errors = findings.iter().filter(|f| f.severity == Level::Error).count();
    match format {
        TextFormat::Json => exact(&serde_json::to_string_pretty(&findings)?)?,
        TextFormat::Text => show(catalog, names, &findings, errors)?,
    }
    if errors > 0 {
        return Err(Found(format!("{} found", errors_and_warnings(errors, findings.len()))).into());
    }
    Ok(())
}

fn show(
    catalog: &Catalog,
    names: &[String],
    findings: &[Mistake],
    errors: usize,
) -> anyhow::Result<()> {
    let colour = on_terminal();
    for finding in findings {
        exact(&format!("{}\n", finding.render(colour)))?;
    }
    let all = catalog.queries().count() + catalog.left_out().len();
    let queries = if names.is_empty() { all } else { names.len() };
    let queries = counted(queries, "query");
    line(&format!("{queries} checked, {}", errors_and_warnings(errors, findings.len())))
}

pub(super) fn errors_and_warnings(errors: usize, all: usize) -> String {
    format!("{}, {}", counted(errors, "error"), counted(all - errors, "warning"))
}
