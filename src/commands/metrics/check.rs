//! `rapport metrics check`: prints the errors and warnings of queries, with position and fix.

use std::sync::Arc;

use domain::counted;
use transform::{Catalog, Diagnostic, Severity};

use crate::args::TextFormat;
use crate::errors::{CheckFailed, usage_error};
use crate::output::{print_line, print_verbatim, stdout_is_terminal};

/// Checks the queries of these names, or all without names, and prints what is wrong.
///
/// # Errors
/// [`CheckFailed`] where there is an error.
pub(super) async fn run(
    catalog: &Arc<Catalog>,
    names: &[String],
    format: TextFormat,
) -> anyhow::Result<()> {
    for name in names {
        if !catalog.unreadable().contains_key(name) {
            catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
        }
    }
    let diagnostics = transform::lint_queries(catalog, names).await?;
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    match format {
        TextFormat::Json => print_verbatim(&serde_json::to_string_pretty(&diagnostics)?)?,
        TextFormat::Text => print_text(catalog, names, &diagnostics, errors)?,
    }
    if errors > 0 {
        return Err(CheckFailed(format!(
            "{} found",
            errors_and_warnings(errors, diagnostics.len())
        ))
        .into());
    }
    Ok(())
}

fn print_text(
    catalog: &Catalog,
    names: &[String],
    diagnostics: &[Diagnostic],
    errors: usize,
) -> anyhow::Result<()> {
    let colour = stdout_is_terminal();
    for diagnostic in diagnostics {
        print_verbatim(&format!("{}\n", diagnostic.render(colour)))?;
    }
    let all = catalog.queries().count() + catalog.unreadable().len();
    let queries = if names.is_empty() { all } else { names.len() };
    let queries = counted(queries, "query");
    print_line(&format!("{queries} checked, {}", errors_and_warnings(errors, diagnostics.len())))
}

/// Returns "2 errors, 1 warning".
pub(super) fn errors_and_warnings(errors: usize, all: usize) -> String {
    format!("{}, {}", counted(errors, "error"), counted(all - errors, "warning"))
}
