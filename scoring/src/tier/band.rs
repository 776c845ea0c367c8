//! The tier by the score alone: two bands, each left at another score than it is entered at.

use domain::Tier;

use crate::tier::{DailyRow, TierPolicy};

/// On how many evaluations in a row the score has been beyond each threshold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BandRuns {
    below_at_risk: u32,
    below_healthy: u32,
    above_at_risk: u32,
    above_healthy: u32,
}

impl BandRuns {
    /// Counts one evaluation. An evaluation is beyond a threshold if it is so with any one week of W
    /// left out too. Without a score nothing is counted and every run ends.
    pub(crate) fn count(&mut self, row: &DailyRow, policy: &TierPolicy) {
        let Some(score) = row.score else {
            *self = Self::default();
            return;
        };
        let high = row.score_high.unwrap_or(score).max(score);
        let low = row.score_low.unwrap_or(score).min(score);
        let counted = |run: u32, is_beyond: bool| if is_beyond { run.saturating_add(1) } else { 0 };
        *self = Self {
            below_at_risk: counted(self.below_at_risk, high < policy.at_risk_below),
            below_healthy: counted(self.below_healthy, high < policy.healthy_left_below),
            above_at_risk: counted(self.above_at_risk, low > policy.at_risk_left_above),
            above_healthy: counted(self.above_healthy, low > policy.healthy_above),
        };
    }

    /// Starts anew to count the evaluations that lead to `healthy`.
    pub(crate) fn restart_healthy(&mut self) {
        self.above_healthy = 0;
    }

    /// Returns the tier that follows a tier of the day before.
    pub(crate) fn next(&self, before: Tier, policy: &TierPolicy) -> Tier {
        let (down, up) = (policy.downgrade_evaluations, policy.upgrade_evaluations);
        if self.enters_at_risk(policy) {
            return Tier::AtRisk;
        }
        match before {
            Tier::Healthy if self.below_healthy >= down => Tier::Watch,
            Tier::AtRisk | Tier::Watch if self.above_healthy >= up => Tier::Healthy,
            Tier::AtRisk if self.leaves_at_risk(policy) => Tier::Watch,
            _ => before,
        }
    }

    /// Returns whether the score has been low for long enough to be `at_risk`.
    pub(crate) fn enters_at_risk(&self, policy: &TierPolicy) -> bool {
        self.below_at_risk >= policy.downgrade_evaluations
    }

    /// Returns whether the score has been high for long enough not to be `at_risk` any more.
    pub(crate) fn leaves_at_risk(&self, policy: &TierPolicy) -> bool {
        self.above_at_risk >= policy.upgrade_evaluations
    }
}

/// Returns the tier of a score that no evaluation precedes.
pub(crate) fn first_tier(score: f64, policy: &TierPolicy) -> Tier {
    if score < policy.at_risk_below {
        Tier::AtRisk
    } else if score > policy.healthy_above {
        Tier::Healthy
    } else {
        Tier::Watch
    }
}
