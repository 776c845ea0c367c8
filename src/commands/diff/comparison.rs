//! A comparison of metrics: the baseline, and what changed.

use std::fmt;

use domain::AsOf;
use transform::ResultDiff;

use crate::runs::Run;

/// The metrics of now compared with those of a baseline.
pub(super) struct Comparison {
    pub(super) baseline: Baseline,
    pub(super) as_of: AsOf,
    /// What changed, by metric.
    pub(super) changes: Vec<(String, MetricChange)>,
}

/// What the present is compared with.
pub(super) enum Baseline {
    /// The queries of a revision.
    Queries(String),
    /// The tables of a run.
    Tables(Run),
    /// The queries of a revision on the tables of a run.
    Both(String, Run),
}

/// How a metric changed.
pub(super) enum MetricChange {
    Added,
    Removed,
    /// One side fails, with its error.
    Failed(String),
    Rows(ResultDiff),
}

impl Baseline {
    pub(super) fn revision(&self) -> Option<&str> {
        match self {
            Self::Queries(revision) | Self::Both(revision, _) => Some(revision),
            Self::Tables(_) => None,
        }
    }

    pub(super) fn run(&self) -> Option<&Run> {
        match self {
            Self::Tables(run) | Self::Both(_, run) => Some(run),
            Self::Queries(_) => None,
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queries(revision) => f.write_str(revision),
            Self::Tables(run) => write!(f, "run {run}"),
            Self::Both(revision, run) => write!(f, "{revision} on the tables of run {run}"),
        }
    }
}

impl MetricChange {
    /// Returns whether nothing changed.
    pub(super) fn is_same(&self) -> bool {
        matches!(self, Self::Rows(diff) if diff.is_empty())
    }
}
