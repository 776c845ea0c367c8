//! The table `[tiers]` of the scoring policy.

use serde::Deserialize;

use crate::value_check::{ValueCheck, value_check};

/// How scores become tiers. Scores are 0–100.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierPolicy {
    pub at_risk_below: f64,
    pub at_risk_left_above: f64,
    pub healthy_above: f64,
    pub healthy_left_below: f64,
    /// Evaluations in a row that a worse tier by the score needs.
    pub downgrade_evaluations: u32,
    /// Evaluations in a row that a better tier by the score needs.
    pub upgrade_evaluations: u32,
}

impl TierPolicy {
    /// Checks every value of the table.
    pub(crate) fn checks(&self) -> Vec<ValueCheck> {
        let between = |key: &str, given: f64, expected: &'static str, least: f64, most: f64| {
            let is_allowed = (least..=most).contains(&given);
            value_check(&format!("tiers.{key}"), &given, expected, is_allowed)
        };
        let evaluations = |key: &str, given: u32| {
            let key = format!("tiers.{key}");
            value_check(&key, &given, "1 to 28", (1..=28).contains(&given))
        };
        let (low, low_left) = (self.at_risk_below, self.at_risk_left_above);
        let (high, high_left) = (self.healthy_above, self.healthy_left_below);
        vec![
            between("at_risk_below", low, "0 to 100", 0.0, 100.0),
            between("healthy_above", high, "at_risk_below to 100", low, 100.0),
            between("at_risk_left_above", low_left, "at_risk_below to healthy_above", low, high),
            between("healthy_left_below", high_left, "at_risk_below to healthy_above", low, high),
            evaluations("downgrade_evaluations", self.downgrade_evaluations),
            evaluations("upgrade_evaluations", self.upgrade_evaluations),
        ]
    }
}

/// Returns the table `[tiers]` of the default policy.
#[cfg(test)]
pub(crate) fn default_tiers() -> TierPolicy {
    #[derive(Deserialize)]
    struct Tables {
        tiers: TierPolicy,
    }
    toml::from_str::<Tables>(crate::policy::DEFAULT_POLICY).expect("the shipped policy").tiers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_its_range_is_refused() {
        #[track_caller]
        fn check(change: fn(&mut TierPolicy), refused: &[&str]) {
            let mut policy = default_tiers();
            change(&mut policy);
            let checks = policy.checks().into_iter().filter(|check| !check.is_allowed);
            let keys: Vec<String> = checks.map(|check| check.key).collect();
            assert_eq!(keys, refused);
        }
        check(|_| {}, &[]);
        check(|p| p.at_risk_below = -1.0, &["tiers.at_risk_below"]);
        check(|p| p.at_risk_left_above = 39.0, &["tiers.at_risk_left_above"]);
        check(|p| p.healthy_above = 100.5, &["tiers.healthy_above"]);
        check(|p| p.healthy_left_below = 76.0, &["tiers.healthy_left_below"]);
        check(|p| p.downgrade_evaluations = 0, &["tiers.downgrade_evaluations"]);
        check(|p| p.upgrade_evaluations = 29, &["tiers.upgrade_evaluations"]);
    }
}
