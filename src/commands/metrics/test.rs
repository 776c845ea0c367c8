//! `rapport metrics test`: runs the test cases beside the queries, or records what they expect.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use domain::counted;
use transform::{CaseResult, Catalog, Query};

use crate::atomic_file::write_file;
use crate::errors::{CheckFailed, usage_error};
use crate::output::{print_line, print_note};
use crate::text_file::without_bom;

/// Runs the cases of the queries of these names, or all without names.
///
/// # Errors
/// [`CheckFailed`] where a case fails, or a query that is named has none.
pub(super) async fn run(catalog: &Arc<Catalog>, names: &[String]) -> anyhow::Result<()> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    for name in names {
        // The error of a query that is left out is printed below.
        if !catalog.unreadable().contains_key(name) {
            catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
        }
    }
    let mut failures = 0;
    let mut failing = BTreeSet::new();
    let checks = transform::lint_header_checks(catalog, wanted).await?;
    let diagnostics = catalog.diagnostics().iter().filter(|diagnostic| wanted(&diagnostic.query));
    for diagnostic in diagnostics.chain(&checks) {
        failures += 1;
        print_line(&format!("FAIL  {}\n{}", diagnostic.query, diagnostic.render(false)))?;
    }
    let results = transform::run_tests(catalog, wanted).await;
    let total = results.len() + failures;
    for result in &results {
        if result.failure.is_none() {
            print_line(&format!("ok    {} · {}", result.query, result.case))?;
        } else {
            failures += 1;
            failing.insert(result.query.as_str());
            print_line(&describe_failure(result))?;
        }
    }
    let untested = untested(catalog, names);
    for query in &untested {
        print_line(&format!(
            "none  {} · no cases: write them in {}",
            query.name,
            query.file.replace(".sql", ".test.toml")
        ))?;
    }
    print_line(&format!("{} passed, {failures} failed", total - failures))?;
    if failures > 0 {
        if !failing.is_empty() {
            let failing = failing.into_iter().collect::<Vec<_>>().join(" ");
            print_note(&format!(
                "Mend the query; or, where it is right: rapport metrics test {failing} --record"
            ));
        }
        return Err(CheckFailed(format!("{failures} of {} failed", counted(total, "case"))).into());
    }
    if !untested.is_empty() {
        print_note(
            "A case is a [[case]] with name, as_of, rows given and expected; `rapport metrics new` writes one to begin with",
        );
        // A query that is named must have cases.
        if !names.is_empty() {
            let untested: Vec<&str> = untested.iter().map(|query| query.name.as_str()).collect();
            return Err(CheckFailed(format!("no cases: {}", untested.join(", "))).into());
        }
    }
    Ok(())
}

/// Returns the queries without cases: of those named, else of the project.
fn untested<'a>(catalog: &'a Catalog, names: &[String]) -> Vec<&'a Query> {
    let asked = |query: &&Query| match names.is_empty() {
        true => query.path.is_some(),
        false => names.contains(&query.name),
    };
    let without = |query: &&Query| {
        let has_error =
            catalog.diagnostics().iter().any(|diagnostic| diagnostic.query == query.name);
        query.cases().is_empty() && !has_error
    };
    catalog.queries().filter(asked).filter(without).collect()
}

/// Describes a failed case: its name, its position, and what differs.
pub(super) fn describe_failure(result: &CaseResult) -> String {
    let why = result.failure.as_deref().unwrap_or_default();
    format!("FAIL  {} · {} ({})\n{why}", result.query, result.case, result.location)
}

/// Records the results of the project's queries as what their cases expect.
pub(super) async fn record(catalog: &Arc<Catalog>, names: &[String]) -> anyhow::Result<()> {
    for name in names {
        let query = catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
        if query.path.is_none() {
            return Err(usage_error(format!(
                "{name} is built in; only a project's own cases are written"
            )));
        }
    }
    let wanted = |query: &&Query| names.is_empty() || names.contains(&query.name);
    let (mut recorded, mut failed) = (0, 0);
    for query in catalog.queries().filter(wanted) {
        let Some(path) = query.path.as_ref().map(|path| path.with_extension("test.toml")) else {
            continue;
        };
        if query.cases().is_empty() {
            print_note(&format!(
                "{} has no cases; `rapport metrics new` shows how they look",
                query.name
            ));
            continue;
        }
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(shown)?;
        let recording = transform::record(catalog, query, without_bom(&text)).await;
        let recording = recording.map_err(anyhow::Error::msg).with_context(shown)?;
        for change in &recording.changes {
            recorded += 1;
            print_line(&format!(
                "written  {} · {} ({})\n{}",
                query.name, change.case, change.location, change.text
            ))?;
        }
        for change in &recording.failures {
            failed += 1;
            print_line(&format!(
                "FAIL  {} · {} ({})\n{}",
                query.name, change.case, change.location, change.text
            ))?;
        }
        if !recording.changes.is_empty() {
            write_file(&path, recording.text.as_bytes())?;
        }
    }
    print_line(&format!("{recorded} written, {failed} failed"))?;
    if failed > 0 {
        return Err(CheckFailed(format!("not recorded: {failed} of the cases")).into());
    }
    Ok(())
}
