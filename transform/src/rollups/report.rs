//! The progress and the result of a refresh.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Day;

use crate::data_checks::Violation;

/// How many days of a rollup are computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshProgress {
    pub rollup: String,
    pub days_done: usize,
    pub days: usize,
}

/// The result of a refresh.
#[derive(Debug, Clone, Default)]
pub struct RefreshReport {
    /// In the order of their names.
    pub rollups: Vec<RollupReport>,
    /// Rollups whose query is wrong, each with the reason. Their stored rows stay and are not read.
    pub failed: BTreeMap<String, String>,
}

/// What a refresh did to one rollup.
#[derive(Debug, Clone, Default)]
pub struct RollupReport {
    pub name: String,
    /// The number of days that were computed and committed.
    pub days: usize,
    /// The number of days that were removed because they have no input any more.
    pub removed: usize,
    /// The number of rows written.
    pub rows: u64,
    /// The violations of the header's checks in the computed days.
    pub violations: Vec<Violation>,
    /// Days that violate a check of severity error. Their rows from before stay.
    pub blocked: Vec<Day>,
    pub took: Duration,
}
