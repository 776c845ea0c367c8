//! Gates: conditions that the mean of the signals cannot see, computed as columns.
//!
//! - `policy`: the thresholds
//! - `conditions`: the conditions of one partner on one day, and their text
//! - `gate`: the gates, and the tier that each allows
//! - `recent_calls`: the calls that collapse and decline both look at
//! - `collapse`, `decline`, `dead`, `silence`, `revenue_gone`: a condition each
//!
//! How many days a condition needs and how long a gate then holds is in the room `tier`.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers};
use crate::frames::{InputFrame, ScoreError};
use crate::partner_columns::PartnerColumns;
use crate::peers::Peers;

mod collapse;
mod conditions;
mod dead;
mod decline;
mod gate;
mod policy;
mod recent_calls;
mod revenue_gone;
mod silence;

pub(crate) use conditions::{Condition, GateConditions};
pub use gate::Gate;
pub(crate) use policy::GatePolicy;
#[cfg(test)]
pub(crate) use policy::default_gates;

use collapse::Collapse;
use decline::Decline;
use recent_calls::{RecentCalls, calls_ratio};
use revenue_gone::{RevenueGone, gross_ratio};
use silence::Silence;

/// What the conditions are computed from. Every column and frame has a row for each partner and day.
pub(crate) struct GateInput<'a> {
    pub partners: &'a PartnerColumns,
    pub peers: &'a Peers,
    /// Rows of `scoring_activity`.
    pub activity: &'a InputFrame,
    /// Rows of `scoring_growth`.
    pub growth: &'a InputFrame,
    /// Rows of `scoring_revenue`.
    pub revenue: &'a InputFrame,
    /// Rows of `scoring_dormancy`.
    pub dormancy: &'a InputFrame,
    /// 0–100; NULL where the signal is not available.
    pub errors_score: &'a Numbers,
    pub growth_score: &'a Numbers,
    pub revenue_score: &'a Numbers,
    /// The probability that the partner leaves.
    pub risk: &'a Numbers,
    /// A person adopted the model of the risk, and in its test it beat both baselines.
    pub risk_is_adopted: bool,
}

/// The least number of partners with gross from which their fall says something of each of them.
const MIN_PAYING_PEERS: f64 = 3.0;

/// Returns the conditions that hold, for each partner and day.
pub(crate) fn gate_conditions(
    input: &GateInput<'_>,
    policy: &GatePolicy,
) -> Result<Vec<GateConditions>, ScoreError> {
    let mut rows = vec![GateConditions::NONE; input.partners.len()];
    for (condition, holds) in columns(input, policy)? {
        for (row, holds) in rows.iter_mut().zip(holds.iter()) {
            if holds == Some(true) {
                row.insert(condition);
            }
        }
    }
    Ok(rows)
}

/// Returns for each condition a column that says where it holds.
fn columns(
    input: &GateInput<'_>,
    policy: &GatePolicy,
) -> Result<Vec<(Condition, BooleanChunked)>, ScoreError> {
    let (activity, growth, revenue) = (input.activity, input.growth, input.revenue);
    let (calls, baseline_week) = (growth.f64("calls_14d")?, growth.f64("baseline_week_median")?);
    let ratio = calls_ratio(calls, baseline_week).only_where(&input.partners.is_live);
    let peers_ratio = input.peers.median(&ratio);
    let recent = RecentCalls {
        calls,
        baseline_week,
        cadence: &input.partners.cadence,
        peers_ratio: &peers_ratio,
    };
    let collapse = Collapse { recent, former_week: growth.f64("former_week_median")? };
    let decline = Decline { recent, lowest_week: growth.f64("baseline_week_lowest")? };
    let silence = Silence {
        silent_days: &activity.count("silent_days")?,
        calm_days: &activity.count("silent_calm_days")?,
        cadence: &input.partners.cadence,
        longest_gap: &activity.count("longest_gap_180")?,
        active_days: &activity.count("active_days_baseline")?,
    };
    let (gross, usual_gross) = (revenue.f64("last_month_gross")?, revenue.f64("median_before")?);
    let gross_ratio = gross_ratio(gross, usual_gross);
    let of_live = gross_ratio.only_where(&input.partners.is_live);
    // A partner is no peer of its own, and the fall of one of two is none of their segment's.
    let has_peers = input.peers.known(&of_live).is(|partners| partners >= MIN_PAYING_PEERS);
    let gone = RevenueGone {
        gross_ratio: &gross_ratio,
        peers_ratio: &input.peers.median(&of_live).only_where(&has_peers),
        calls: &revenue.count("last_month_calls")?,
        usual_calls: revenue.f64("median_calls_before")?,
    };
    let (calls_3d, successes_3d) = (activity.count("calls_3d")?, activity.count("successes_3d")?);
    let is_low = |score: &Numbers| score.is(|score| score < policy.low_signal_below);
    let forecast = forecast_risk(input, policy)?;
    Ok(vec![
        (Condition::Collapse, collapse.condition(policy)),
        (Condition::BelowHalf, collapse.below_half(policy)),
        (Condition::Decline, decline.condition(policy)),
        (Condition::Dead, dead::dead(&calls_3d, &successes_3d, policy)),
        (Condition::Silence, silence.condition(policy)),
        (Condition::LowErrors, is_low(input.errors_score)),
        (Condition::LowGrowth, is_low(input.growth_score)),
        (Condition::LowRevenue, is_low(input.revenue_score)),
        (Condition::RevenueGone, gone.condition(policy)),
        (Condition::ForecastWatch, forecast.is(|risk| risk >= policy.forecast_watch_risk)),
        (Condition::ForecastAtRisk, forecast.is(|risk| risk >= policy.forecast_at_risk_risk)),
    ])
}

/// Returns the risk of the partners whose forecast counts; NULL for others.
fn forecast_risk(input: &GateInput<'_>, policy: &GatePolicy) -> Result<Numbers, ScoreError> {
    let length = input.dormancy.count("length")?;
    let max_days = policy.forecast_max_opportunity_days;
    let counts = length.is(|days| input.risk_is_adopted && days <= max_days);
    Ok(input.risk.only_where(&counts))
}

/// Returns where two columns satisfy a condition; false where nothing is known of either.
fn holds_for(
    first: &Numbers,
    second: &Numbers,
    condition: impl Fn(f64, f64) -> bool,
) -> BooleanChunked {
    let rows = first.iter().zip(second.iter());
    rows.map(|(a, b)| Some(a.zip(b).is_some_and(|(a, b)| condition(a, b)))).collect()
}

#[cfg(test)]
mod tests;
