//! The only way from a session to the rows of its metrics: compute, check, hold back.
//!
//! `metrics run`, `report`, `score run`, `actions plan` and `run` go through here. A metric that is
//! held back never stops the others.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt};
use transform::{CheckOutcome, QueryResult, Session, TransformError, Violation, Violations};

use crate::breakdown::Breakdown;
use crate::ordered_tasks;
use crate::output::print_message;
use crate::project::message_prefix;

/// Computes the metrics of a session and checks them, together with the checks of its tables.
#[derive(Clone)]
pub(crate) struct MetricPipeline {
    breakdown: Arc<Breakdown>,
    check_outcome: Arc<CheckOutcome>,
}

/// The rows of a metric, or why they are held back, with the violations that its checks found.
pub(crate) struct MetricOutcome {
    pub(crate) name: String,
    pub(crate) violations: Violations,
    pub(crate) rows: Result<QueryResult, HeldBack>,
}

/// Why the rows of a metric may not be shown.
#[derive(Debug)]
pub(crate) enum HeldBack {
    /// A check found them wrong, or could not be run.
    Check(Violation),
    /// They could not be computed.
    Failed { metric: String, error: anyhow::Error },
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(violation) => write!(f, "{violation}"),
            Self::Failed { metric, error } => write!(f, "{metric}: {error}"),
        }
    }
}

impl HeldBack {
    /// Returns whether the metric looks at the whole lake, and so has no rows of some partners.
    pub(crate) fn has_no_part(&self) -> bool {
        let Self::Failed { error, .. } = self else { return false };
        matches!(error.downcast_ref(), Some(TransformError::BypassesViews { .. }))
    }
}

impl MetricPipeline {
    /// Runs the checks of the tables and returns a pipeline over the partners of a breakdown.
    pub(crate) async fn of(breakdown: Breakdown) -> Self {
        let check_outcome = Arc::new(breakdown.check_tables().await);
        Self { breakdown: Arc::new(breakdown), check_outcome }
    }

    /// Returns a pipeline over all partners.
    pub(crate) async fn of_all_partners(session: &Arc<Session>) -> Self {
        Self::of(Breakdown::all_partners(session)).await
    }

    /// Returns the session that the metrics are computed in.
    pub(crate) fn session(&self) -> &Session {
        self.breakdown.session()
    }

    /// Returns what the files in `checks/` found that concerns no metric.
    pub(crate) fn of_no_metric(&self) -> Violations {
        self.check_outcome.of_no_metric()
    }

    /// Computes and checks metrics, several at a time. Outcomes come in the order of the names.
    pub(crate) fn compute_all(
        &self,
        names: Vec<String>,
    ) -> impl Stream<Item = MetricOutcome> + use<> {
        let pipeline = self.clone();
        let requested = names.clone();
        let compute = move |name: String| {
            let pipeline = pipeline.clone();
            async move { pipeline.compute(&name).await }
        };
        let computed = ordered_tasks::spawn_in_order(names.into_iter().map(compute));
        computed.zip(futures::stream::iter(requested)).map(|(computed, name)| {
            computed.unwrap_or_else(|panicked| MetricOutcome::failed(&name, panicked.into()))
        })
    }

    /// Computes and checks one metric.
    pub(crate) async fn compute(&self, name: &str) -> MetricOutcome {
        match self.breakdown.metric(name, &self.check_outcome).await {
            Err(error) => MetricOutcome::failed(name, error),
            Ok((rows, violations)) => {
                let held_back = violations.blocking().cloned().map(HeldBack::Check);
                let rows = held_back.map_or(Ok(rows), Err);
                MetricOutcome { name: name.to_owned(), violations, rows }
            }
        }
    }
}

impl MetricOutcome {
    fn failed(name: &str, error: anyhow::Error) -> Self {
        let held_back = HeldBack::Failed { metric: name.to_owned(), error };
        Self { name: name.to_owned(), violations: Violations::default(), rows: Err(held_back) }
    }
}

/// Prints on stderr what checks found and which metrics are held back. It prints what concerns
/// several metrics once.
#[derive(Default)]
pub(crate) struct OutcomePrinter {
    printed: BTreeSet<String>,
}

impl OutcomePrinter {
    /// Prints the violations of an outcome and why it is held back. `instead` says what happens
    /// without the metric.
    pub(crate) fn print_outcome(&mut self, outcome: &MetricOutcome, instead: &str) {
        let held_back = outcome.rows.as_ref().err();
        let blocking = outcome.violations.blocking();
        for violation in
            outcome.violations.0.iter().filter(|violation| Some(*violation) != blocking)
        {
            self.print_violation(violation);
        }
        let Some(held_back) = held_back else { return };
        let why = held_back.to_string();
        let separator = if instead.is_empty() { "" } else { "; " };
        if self.printed.insert(why.clone()) {
            print_message(&format!("rapport: {why}{separator}{instead}"));
        } else if !instead.is_empty() {
            print_message(&format!(
                "rapport: {} is held back for the same{separator}{instead}",
                outcome.name
            ));
        }
    }

    /// Prints what a check found.
    pub(crate) fn print_violation(&mut self, violation: &Violation) {
        let text = format!("{}: {violation}", message_prefix(violation));
        if self.printed.insert(text.clone()) {
            print_message(&text);
        }
    }
}
