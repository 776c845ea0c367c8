//! The thresholds, windows and limits of the policies, as the pages show them.

/// The numbers of the scoring and action policies with which the scores and the plan of a report
/// were made. The pages take every such number from here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyInForce {
    /// A partner with a score below this one is at risk, 0–100.
    pub at_risk_below: f64,
    /// A partner with a score above this one is healthy, 0–100.
    pub healthy_above: f64,
    /// The share of the applicable weights that a score needs, 0–1.
    pub min_coverage: f64,
    /// The days after go-live that a score needs.
    pub min_live_days: i64,
    /// A live partner counts as churned after so many days without a production success, or after
    /// three times its cadence where that is longer.
    pub churned_after_days: i64,
    /// A partner counts as stuck after so many days in one stage before go-live.
    pub stuck_after_days: i64,
    /// A report is stale when its watermark is older than so many hours.
    pub stale_hours: i64,
}

impl PolicyInForce {
    /// Returns the two thresholds, the lower first.
    pub(crate) fn thresholds(&self) -> [f64; 2] {
        [self.at_risk_below, self.healthy_above]
    }

    /// Returns `healthy above 75, at risk below 40`.
    pub(crate) fn thresholds_text(&self) -> String {
        format!("healthy above {}, at risk below {}", self.healthy_above, self.at_risk_below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_written_out() {
        let policy =
            PolicyInForce { at_risk_below: 33.5, healthy_above: 81.0, ..PolicyInForce::default() };
        assert_eq!(policy.thresholds_text(), "healthy above 81, at risk below 33.5");
    }
}
