//! One pass of `metrics watch`: checks queries, and runs the cases of those whose inputs have no
//! error.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use transform::{CaseResult, Catalog, Diagnostic, Severity};

/// What a pass found.
#[derive(Debug, Serialize)]
pub(super) struct Pass {
    pub(super) checked: Vec<String>,
    pub(super) findings: Vec<Diagnostic>,
    /// How many cases were run.
    pub(super) cases: usize,
    pub(super) failures: Vec<CaseResult>,
    /// Queries whose cases were not run because they read a query with an error.
    pub(super) untested: Vec<String>,
    /// Queries with an error, which can't be computed.
    #[serde(skip)]
    pub(super) uncomputable: BTreeSet<String>,
}

impl Pass {
    /// Checks and tests queries. `known` are those in which earlier passes found an error.
    pub(super) async fn over(
        catalog: Arc<Catalog>,
        names: BTreeSet<String>,
        known: BTreeSet<String>,
    ) -> transform::Result<Self> {
        let exists = |name: &&String| {
            catalog.get(name).is_some() || catalog.unreadable().contains_key(name.as_str())
        };
        let checked: Vec<String> = names.iter().filter(exists).cloned().collect();
        let all: Vec<String> = names.iter().cloned().collect();
        let findings = transform::lint_queries(&catalog, &all).await?;
        let errors = findings.iter().filter(|f| f.severity == Severity::Error);
        // An error in a file of cases does not concern the queries that read the query.
        let errors = errors.filter(|f| !f.file.ends_with(".test.toml"));
        let uncomputable: BTreeSet<String> = errors.map(|f| f.query.clone()).collect();
        let mut with_error = uncomputable.clone();
        with_error.extend(catalog.unreadable().keys().cloned());
        with_error.extend(known.difference(&names).filter(|name| exists(name)).cloned());
        let dependents = transform::affected_queries(&catalog, &with_error);
        let wanted = |name: &str| names.contains(name) && !dependents.contains(name);
        let results = transform::run_tests(&catalog, wanted).await;
        let is_untested =
            |name: &&String| dependents.contains(*name) && !with_error.contains(*name);
        let untested = checked.iter().filter(is_untested).cloned().collect();
        let cases = results.len();
        let failures = results.into_iter().filter(|result| result.failure.is_some()).collect();
        Ok(Self { checked, findings, cases, failures, untested, uncomputable })
    }

    /// Returns the number of errors; warnings do not count.
    pub(super) fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.severity == Severity::Error).count()
    }

    pub(super) fn is_ok(&self) -> bool {
        self.errors() == 0 && self.failures.is_empty() && self.untested.is_empty()
    }

    /// Returns the queries with an error or a failed case, and those that were not tested.
    pub(super) fn failing(&self) -> impl Iterator<Item = &String> {
        let errors = self.findings.iter().filter(|f| f.severity == Severity::Error);
        let failures = self.failures.iter().map(|result| &result.query);
        errors.map(|f| &f.query).chain(failures).chain(&self.untested)
    }
}
