//! The input of a plan: the state of the partners, the log, the age of the data, the clock.

use std::collections::BTreeMap;

use domain::{ActionKind, AsOf, Setting, SupportRoute, Tier};

use crate::alerts::Snoozes;
use crate::document::{Contribution, GuardrailOverride};
use crate::episodes::Episodes;
use crate::log::History;

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
    /// Why a person stopped all deliveries, where one did.
    pub stopped: Option<String>,
    /// The version of every table that was read.
    pub versions: BTreeMap<String, u64>,
    /// Every partner. Conditions may match no other ids.
    pub partners: Vec<PartnerState>,
    /// What the log says, without grants that somebody else ended.
    pub history: History,
    /// The episodes of the rules, this evaluation included.
    pub episodes: Episodes,
    /// Guardrails that a person passes over.
    pub overrides: Vec<GuardrailOverride>,
    /// The channel of each kind of action, and whether it can tell what is in force.
    pub channels: ChannelsInForce,
    /// Alerts that nobody is told of for some time.
    pub snoozes: Snoozes,
}

/// Where actions go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelsInForce {
    /// By kind of action: the name of the channel, and whether it can be read.
    pub by_action: BTreeMap<ActionKind, (String, bool)>,
    /// The channel of a recipient of notices, where it has one of its own.
    pub by_recipient: BTreeMap<String, (String, bool)>,
}

impl ChannelsInForce {
    /// Returns the channel of an action, and whether it can tell what is in force.
    pub(crate) fn of(
        &self,
        action: ActionKind,
        setting: Option<&Setting>,
    ) -> Option<&(String, bool)> {
        let of_recipient = match setting {
            Some(Setting::Notify { who, .. }) => self.by_recipient.get(who),
            _ => None,
        };
        of_recipient.or_else(|| self.by_action.get(&action))
    }
}

/// The present state of one partner.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerState {
    pub partner_id: String,
    pub name: Option<String>,
    pub plan: Option<String>,
    pub segment: Option<String>,
    /// Who looks after it.
    pub manager: Option<String>,
    pub tier: Tier,
    pub top_reason: String,
    /// What the signals add to the score, in points.
    pub contributions: Vec<Contribution>,
    pub impact_rank: Option<i64>,
    /// The present quota, calls a minute: by events and by our log.
    pub quota_per_minute: Option<i64>,
    /// What the gateway said when it was asked.
    pub live_quota: LiveQuota,
    /// The highest calls a minute in the last 28 days; of merged partners the sum of their own
    /// highest.
    pub highest_minute: Option<i64>,
    /// The 99th percentile of 28 daily peaks, calls a minute, as the rules see it.
    pub peak_per_minute: Option<i64>,
    /// Throttled calls over all calls, 0–1.
    pub throttled_rate: Option<f64>,
    /// The peak over the quota, 0 or more.
    pub utilisation: Option<f64>,
    /// Why the usage of the window can't be relied on for a decrease.
    pub usage_gap: Option<String>,
    /// The quota that it registered with; no change of it.
    pub registered_quota: Option<QuotaChange>,
    /// Its changes of quota before `created_at`, by events and by our log, in any order.
    pub quota_changes: Vec<QuotaChange>,
    /// Where its support requests go now; `None`: the common queue.
    pub support: Option<SupportRoute>,
    /// Why nothing can be delivered about the partner: the mapping lacks it.
    pub unmapped: Option<String>,
    /// Why nothing is set for the partner: it is suspended or offboarded.
    pub inactive: Option<String>,
}

/// A quota as the gateway tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LiveQuota {
    #[default]
    NotAsked,
    /// Calls a minute; `None`: it has no quota there.
    Is(Option<i64>),
    /// The gateway could not be asked, and why.
    Unknown(String),
}

#[cfg(test)]
impl PartnerState {
    /// A partner of which no more is known than its id and tier.
    pub(crate) fn of_tier(partner_id: &str, tier: Tier) -> Self {
        Self {
            partner_id: partner_id.to_owned(),
            name: None,
            plan: None,
            segment: None,
            manager: None,
            tier,
            top_reason: String::new(),
            contributions: Vec::new(),
            impact_rank: None,
            quota_per_minute: None,
            live_quota: LiveQuota::NotAsked,
            highest_minute: None,
            peak_per_minute: None,
            throttled_rate: None,
            utilisation: None,
            usage_gap: None,
            registered_quota: None,
            quota_changes: Vec::new(),
            support: None,
            unmapped: None,
            inactive: None,
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
