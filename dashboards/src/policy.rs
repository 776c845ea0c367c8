//! The lines, windows and limits that pages draw and say: those of the policies in force.

/// What the scores and the plan of a report were made under. No page knows such a number by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyInForce {
    /// Scores at which a tier is entered, 0–100.
    pub at_risk_below: f64,
    pub healthy_above: f64,
    /// Share of the applicable weights that a score needs, 0–1.
    pub min_coverage: f64,
    /// Days live that a score needs.
    pub min_live_days: i64,
    /// Days without a production success after which a live partner counts as churned.
    pub churned_after_days: i64,
    /// Days in one stage before go-live after which a partner counts as stuck.
    pub stuck_after_days: i64,
    /// Hours that the watermark may lie before the report.
    pub stale_hours: i64,
}

impl PolicyInForce {
    /// The two lines, from below.
    pub(crate) fn lines(&self) -> [f64; 2] {
        [self.at_risk_below, self.healthy_above]
    }

    /// `healthy above 75, at risk below 40`.
    pub(crate) fn bands(&self) -> String {
        format!("healthy above {}, at risk below {}", self.healthy_above, self.at_risk_below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_in_words() {
        let policy =
            PolicyInForce { at_risk_below: 33.5, healthy_above: 81.0, ..PolicyInForce::default() };
        assert_eq!(policy.bands(), "healthy above 81, at risk below 33.5");
    }
}
