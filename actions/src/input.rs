//! The input of a plan: the state of the partners, the age of the data, the clock.

use std::collections::BTreeMap;

use domain::{AsOf, SupportRoute, Tier};

use crate::document::Contribution;

/// What a plan is made from. Instants are µs UTC.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// The end of the window that scores and metrics look at, exclusive.
    pub as_of: AsOf,
    /// The `as_of` of the newest scores; `None` before the first scores.
    pub scored_as_of: Option<AsOf>,
    /// Now, by the clock.
    pub created_at: i64,
    /// The lake's watermark; `None` while nothing has been ingested.
    pub watermark: Option<i64>,
    /// The version of every table that was read.
    pub versions: BTreeMap<String, u64>,
    /// Every partner. Conditions may match no other ids.
    pub partners: Vec<PartnerState>,
}

/// The present state of one partner.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerState {
    pub partner_id: String,
    pub name: Option<String>,
    pub plan: Option<String>,
    pub tier: Tier,
    pub top_reason: String,
    /// What the signals add to the score, in points.
    pub contributions: Vec<Contribution>,
    pub impact_rank: Option<i64>,
    /// The present quota, calls a minute.
    pub quota_per_minute: Option<i64>,
    /// The highest calls a minute in the last 28 days, which is the p99 of 28 daily peaks.
    pub peak_per_minute: Option<i64>,
    /// Throttled calls over all calls, 0–1.
    pub throttled_rate: Option<f64>,
    /// The peak over the quota, 0 or more.
    pub utilisation: Option<f64>,
    /// The usage of the window is known to be incomplete for this partner.
    pub usage_late: bool,
    /// Its `quota_changed` events before `created_at`, in any order.
    pub quota_changes: Vec<QuotaChange>,
    /// Where its support requests go now; `None`: the common queue.
    pub support: Option<SupportRoute>,
    /// Who has a notice about the partner that was not taken back.
    pub notified: Vec<String>,
}

#[cfg(test)]
impl PartnerState {
    /// A partner of which no more is known than its id and tier.
    pub(crate) fn of_tier(partner_id: &str, tier: Tier) -> Self {
        Self {
            partner_id: partner_id.to_owned(),
            name: None,
            plan: None,
            tier,
            top_reason: String::new(),
            contributions: Vec::new(),
            impact_rank: None,
            quota_per_minute: None,
            peak_per_minute: None,
            throttled_rate: None,
            utilisation: None,
            usage_late: false,
            quota_changes: Vec::new(),
            support: None,
            notified: Vec::new(),
        }
    }
}

/// A quota that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaChange {
    /// µs.
    pub at: i64,
    /// Calls a minute.
    pub per_minute: i64,
}
