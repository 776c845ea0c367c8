//! Metrics as they may be shown: computed, checked, and held back where something is wrong.
//!
//! The one way from a session to the rows of its metrics: `metrics run`, `report`, `score run`,
//! `actions plan` and `run` go through here. A metric that is held back never stops the others.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt};
use transform::{Finding, Findings, QueryResult, Session, Verdict};

use crate::ahead;
use crate::output::message;
use crate::project::severity;
use crate::slices::Slices;

/// The metrics of a session, with what the files in `checks/` find in its tables.
#[derive(Clone)]
pub(crate) struct Metrics {
    slices: Arc<Slices>,
    verdict: Arc<Verdict>,
}

/// What became of a metric.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) findings: Findings,
    pub(crate) rows: Result<QueryResult, Held>,
}

/// Why the rows of a metric may not be shown.
#[derive(Debug)]
pub(crate) enum Held {
    /// A check found them wrong, or could not be run.
    Check(Finding),
    /// They could not be computed.
    Failed { metric: String, error: anyhow::Error },
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(finding) => write!(f, "{finding}"),
            Self::Failed { metric, error } => write!(f, "{metric}: {error}"),
        }
    }
}

impl Metrics {
    pub(crate) async fn of(slices: Slices) -> Self {
        let verdict = Arc::new(slices.verdict().await);
        Self { slices: Arc::new(slices), verdict }
    }

    /// Those of all partners.
    pub(crate) async fn of_all(session: &Arc<Session>) -> Self {
        Self::of(Slices::of_all(session)).await
    }

    /// The session that they are of.
    pub(crate) fn session(&self) -> &Session {
        self.slices.session()
    }

    /// What files in `checks/` find that is about no metric.
    pub(crate) fn of_no_metric(&self) -> Findings {
        self.verdict.of_no_metric()
    }

    /// Computes and checks metrics, some at a time; outcomes come in the order of the names.
    pub(crate) fn outcomes(&self, names: Vec<String>) -> impl Stream<Item = Outcome> + use<> {
        let metrics = self.clone();
        let asked = names.clone();
        let outcome = move |name: String| {
            let metrics = metrics.clone();
            async move { metrics.outcome(&name).await }
        };
        let computed = ahead::in_order(names.into_iter().map(outcome));
        computed.zip(futures::stream::iter(asked)).map(|(computed, name)| {
            computed.unwrap_or_else(|panicked| Outcome::failed(&name, panicked.into()))
        })
    }

    pub(crate) async fn outcome(&self, name: &str) -> Outcome {
        match self.slices.metric(name, &self.verdict).await {
            Err(error) => Outcome::failed(name, error),
            Ok((rows, findings)) => {
                let held = findings.holding().cloned().map(Held::Check);
                Outcome { name: name.to_owned(), findings, rows: held.map_or(Ok(rows), Err) }
            }
        }
    }
}

impl Outcome {
    fn failed(name: &str, error: anyhow::Error) -> Self {
        let held = Held::Failed { metric: name.to_owned(), error };
        Self { name: name.to_owned(), findings: Findings::default(), rows: Err(held) }
    }
}

/// Says on stderr what checks found and what is held back; what is about several metrics once.
#[derive(Default)]
pub(crate) struct Told(BTreeSet<String>);

impl Told {
    /// `instead` is what becomes of the metric when it is held back.
    pub(crate) fn tell(&mut self, outcome: &Outcome, instead: &str) {
        let held = outcome.rows.as_ref().err();
        let first = outcome.findings.holding();
        for finding in outcome.findings.0.iter().filter(|finding| Some(*finding) != first) {
            self.finding(finding);
        }
        let Some(held) = held else { return };
        let why = held.to_string();
        let separator = if instead.is_empty() { "" } else { "; " };
        if self.0.insert(why.clone()) {
            message(&format!("rapport: {why}{separator}{instead}"));
        } else if !instead.is_empty() {
            message(&format!(
                "rapport: {} is held back for the same{separator}{instead}",
                outcome.name
            ));
        }
    }

    pub(crate) fn finding(&mut self, finding: &Finding) {
        let text = format!("{}: {finding}", severity(finding));
        if self.0.insert(text.clone()) {
            message(&text);
        }
    }
}
