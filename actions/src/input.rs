//! What a plan is made from: the partners as they are, the age of what is known, the clock.

use std::collections::BTreeMap;

use lake_types::AsOf;

use crate::document::{Contribution, SupportRoute};

/// The state of the world a plan is made from. Instants are µs UTC.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// The end of the window the scores and metrics look at, exclusive.
    pub as_of: AsOf,
    /// As of when the partners were scored last; `None` before the first scores.
    pub scored_as_of: Option<AsOf>,
    /// The clock.
    pub created_at: i64,
    /// The lake's watermark; `None` while nothing has been ingested.
    pub watermark: Option<i64>,
    /// The version of every table read.
    pub versions: BTreeMap<String, u64>,
    /// Every partner; their ids are what conditions may match.
    pub partners: Vec<PartnerState>,
}

/// One partner as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartnerState {
    pub partner_id: String,
    pub name: Option<String>,
    pub plan: Option<String>,
    /// As in `partner_health`.
    pub tier: String,
    pub top_reason: String,
    /// What the signals add to the score, in points.
    pub contributions: Vec<Contribution>,
    pub impact_rank: Option<i64>,
    /// The present quota, calls a minute.
    pub quota_per_minute: Option<i64>,
    /// The greatest peak minute of the last 28 days, which is the p99 of 28 daily peaks.
    pub peak_per_minute: Option<i64>,
    /// Calls that were throttled over all, and that peak over the quota; 0–1 and 0 or more.
    pub throttled_rate: Option<f64>,
    pub utilisation: Option<f64>,
    /// Usage of the window is known to be incomplete for this partner.
    pub usage_late: bool,
    /// Its `quota_changed` events before `created_at`, in any order.
    pub quota_changes: Vec<QuotaChange>,
    /// Where its support goes now; `None`: the common queue.
    pub support: Option<SupportRoute>,
    /// Who has been told and not untold.
    pub notified: Vec<String>,
}

/// A quota that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaChange {
    /// µs.
    pub at: i64,
    pub per_minute: i64,
}
