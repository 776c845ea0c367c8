//! `rapport metrics test`: the cases beside the queries, run or written anew.

use lake_types::counted;
use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use transform::{CaseResult, Catalog, Query};

use crate::failure::{Found, usage};
use crate::output::{line, note, write_file};

pub(super) async fn run(catalog: &Arc<Catalog>, names: &[String]) -> anyhow::Result<()> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    for name in names {
        // A query that is left out is said below, with its place.
        if !catalog.left_out().contains_key(name) {
            catalog.find(name).map_err(|e| usage(e.to_string()))?;
        }
    }
    let mut failures = 0;
    let mut wrong = BTreeSet::new();
    let checks = transform::check_header_checks(catalog, wanted).await?;
    let faults = catalog.faults().iter().filter(|fault| wanted(&fault.query));
    for fault in faults.chain(&checks) {
        failures += 1;
        line(&format!("FAIL  {}\n{}", fault.query, fault.render(false)))?;
    }
    let results = transform::run_tests(catalog, wanted).await;
    let total = results.len() + failures;
    for result in &results {
        if result.failure.is_none() {
            line(&format!("ok    {} · {}", result.query, result.case))?;
        } else {
            failures += 1;
            wrong.insert(result.query.as_str());
            line(&failed(result))?;
        }
    }
    let untested = untested(catalog, names);
    for query in &untested {
        line(&format!(
            "none  {} · no cases: write them in {}",
            query.name,
            query.file.replace(".sql", ".test.toml")
        ))?;
    }
    line(&format!("{} passed, {failures} failed", total - failures))?;
    if failures > 0 {
        if !wrong.is_empty() {
            let wrong = wrong.into_iter().collect::<Vec<_>>().join(" ");
            note(&format!(
                "Mend the query; or, where it is right: rapport metrics test {wrong} --record"
            ));
        }
        return Err(Found(format!("{failures} of {} failed", counted(total, "case"))).into());
    }
    if !untested.is_empty() {
        note(
            "A case is a [[case]] with name, as_of, rows given and expected; `rapport metrics new` writes one to begin with",
        );
        // Who names a query wants it tested.
        if !names.is_empty() {
            let untested: Vec<&str> = untested.iter().map(|query| query.name.as_str()).collect();
            return Err(Found(format!("no cases: {}", untested.join(", "))).into());
        }
    }
    Ok(())
}

/// Queries without cases: those named, else those of the project.
fn untested<'a>(catalog: &'a Catalog, names: &[String]) -> Vec<&'a Query> {
    let asked = |query: &&Query| match names.is_empty() {
        true => query.path.is_some(),
        false => names.contains(&query.name),
    };
    let without = |query: &&Query| {
        let broken = catalog.faults().iter().any(|fault| fault.query == query.name);
        query.cases.is_empty() && !broken
    };
    catalog.queries().filter(asked).filter(without).collect()
}

/// A case that failed: which, where, and what differs.
pub(super) fn failed(result: &CaseResult) -> String {
    let why = result.failure.as_deref().unwrap_or_default();
    format!("FAIL  {} · {} ({})\n{why}", result.query, result.case, result.place)
}

/// Writes what the queries of the project give into their cases.
pub(super) async fn record(catalog: &Arc<Catalog>, names: &[String]) -> anyhow::Result<()> {
    for name in names {
        let query = catalog.find(name).map_err(|e| usage(e.to_string()))?;
        if query.path.is_none() {
            return Err(usage(format!(
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
        if query.cases.is_empty() {
            note(&format!(
                "{} has no cases; `rapport metrics new` shows how they look",
                query.name
            ));
            continue;
        }
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(shown)?;
        let plain = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let recording = transform::record(catalog, query, plain).await;
        let recording = recording.map_err(anyhow::Error::msg).with_context(shown)?;
        for change in &recording.changes {
            recorded += 1;
            line(&format!(
                "written  {} · {} ({})\n{}",
                query.name, change.case, change.place, change.text
            ))?;
        }
        for change in &recording.failures {
            failed += 1;
            line(&format!(
                "FAIL  {} · {} ({})\n{}",
                query.name, change.case, change.place, change.text
            ))?;
        }
        if !recording.changes.is_empty() {
            write_file(&path, recording.text.as_bytes())?;
        }
    }
    line(&format!("{recorded} written, {failed} failed"))?;
    if failed > 0 {
        return Err(Found(format!("not recorded: {failed} of the cases")).into());
    }
    Ok(())
}
