//! What a backtest is computed from: what was said of partners, and what they did afterwards.

use std::collections::BTreeMap;

use domain::{Day, Tier};

/// A partner as it was scored at an origin, and what happened afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct BacktestRow {
    /// The day as of which the partner was scored.
    pub origin: Day,
    /// The day as of which the label is known: the origin plus max(28 d, 2 · cadence).
    pub label_end: Day,
    /// The number of the partner, below [`BacktestInput::partners`].
    pub partner: u32,
    /// The label: no production success between `origin` and `label_end`.
    pub left: bool,
    /// The risk R, 0–1; `None` where it could not be computed.
    pub risk: Option<f64>,
    /// Whether a fitted model gave the risk, and not dormancy alone.
    pub is_risk_fitted: bool,
    /// The health H, 0–100.
    pub health: Option<f64>,
    pub tier: Tier,
    /// The first baseline: days from the last production call to the origin.
    pub days_since_last_call: f64,
    /// The second baseline: production calls a day in the 28 days before the origin.
    pub call_frequency: f64,
    /// The partner's share of gross in the last complete month, 0–1.
    pub gross_share: f64,
    /// The median gap in days between active days.
    pub cadence: f64,
    /// The date of the last production success before the origin.
    pub last_success: Day,
    /// Of a leaver, the first day on which calls had halved or errors alarmed before the last
    /// success; `None` if neither happened, which makes it an abrupt leaver.
    pub warned_on: Option<Day>,
    /// Whether an action was delivered to the partner between `origin` and `label_end`.
    pub has_action: bool,
    /// The names of its groups.
    pub size: String,
    pub plan: String,
    pub region: String,
}

/// A partner as it stood on a day: the tier as of that day and both baselines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DailyRow {
    pub day: Day,
    pub partner: u32,
    pub tier: Tier,
    pub days_since_last_call: f32,
    pub call_frequency: f32,
}

/// What a backtest is computed from.
#[derive(Debug, Clone, Copy)]
pub struct BacktestInput<'a> {
    /// The rows of all origins, sorted by origin and partner so that sums are always the same.
    pub rows: &'a [BacktestRow],
    /// Every partner that had a tier on a day, for every day from 84 days before the first origin
    /// up to the last origin, sorted by day. Days that are missing count as days without a flag.
    pub daily: &'a [DailyRow],
    /// How many partners there are; their numbers are below.
    pub partners: usize,
    /// What was left out, by reason, in rows: `suspended`, `merged_away` …
    pub excluded: &'a BTreeMap<String, u64>,
    pub options: BacktestOptions,
}

/// The choices of a backtest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacktestOptions {
    /// How many partners the managers can look at in a week.
    pub capacity: usize,
    pub resamples: usize,
    pub seed: u64,
}

impl Default for BacktestOptions {
    fn default() -> Self {
        Self { capacity: 20, resamples: 500, seed: 1 }
    }
}

/// Whether a tier tells a manager to look.
pub(crate) fn is_flag(tier: Tier) -> bool {
    matches!(tier, Tier::Watch | Tier::AtRisk)
}

/// Whether a tier says how a partner does, which the others do not.
pub(crate) fn is_scored(tier: Tier) -> bool {
    tier == Tier::Healthy || is_flag(tier)
}
