//! One pass of `metrics watch`: queries checked, and tested where what they read is right.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use transform::{CaseResult, Catalog, Level, Mistake};

/// What a pass found.
#[derive(Debug, Serialize)]
pub(super) struct Pass {
    pub(super) checked: Vec<String>,
    pub(super) findings: Vec<Mistake>,
    /// How many cases were run.
    pub(super) cases: usize,
    pub(super) failures: Vec<CaseResult>,
    /// They read a query with an error, which their cases would only say again.
    pub(super) untested: Vec<String>,
    /// Those with an error.
    #[serde(skip)]
    pub(super) broken: BTreeSet<String>,
}

impl Pass {
    /// `known` are queries that an earlier pass found an error in.
    pub(super) async fn over(
        catalog: Arc<Catalog>,
        names: BTreeSet<String>,
        known: BTreeSet<String>,
    ) -> transform::Result<Self> {
        let there = |name: &&String| {
            catalog.get(name).is_some() || catalog.left_out().contains_key(name.as_str())
        };
        let checked: Vec<String> = names.iter().filter(there).cloned().collect();
        let all: Vec<String> = names.iter().cloned().collect();
        let findings = transform::check(&catalog, &all).await?;
        let errors = findings.iter().filter(|f| f.severity == Level::Error);
        // A mistake in a file of cases is no matter of those who read the query.
        let errors = errors.filter(|f| !f.file.ends_with(".test.toml"));
        let broken: BTreeSet<String> = errors.map(|f| f.query.clone()).collect();
        let mut wrong = broken.clone();
        wrong.extend(catalog.left_out().keys().cloned());
        wrong.extend(known.difference(&names).filter(|name| there(name)).cloned());
        let barred = transform::reached(&catalog, &wrong);
        let wanted = |name: &str| names.contains(name) && !barred.contains(name);
        let results = transform::run_tests(&catalog, wanted).await;
        let waits = |name: &&String| barred.contains(*name) && !wrong.contains(*name);
        let untested = checked.iter().filter(waits).cloned().collect();
        let cases = results.len();
        let failures = results.into_iter().filter(|result| result.failure.is_some()).collect();
        Ok(Self { checked, findings, cases, failures, untested, broken })
    }

    pub(super) fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.severity == Level::Error).count()
    }

    pub(super) fn is_ok(&self) -> bool {
        self.errors() == 0 && self.failures.is_empty() && self.untested.is_empty()
    }

    /// The queries that are not as they should be.
    pub(super) fn wrong(&self) -> impl Iterator<Item = &String> {
        let errors = self.findings.iter().filter(|f| f.severity == Level::Error);
        let failures = self.failures.iter().map(|result| &result.query);
        errors.map(|f| &f.query).chain(failures).chain(&self.untested)
    }
}
