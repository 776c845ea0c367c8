//! The table `[gates]` of the scoring policy.

use serde::Deserialize;

use crate::value_check::{ValueCheck, is_positive, value_check};

/// The thresholds of the gates.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatePolicy {
    /// Evaluations in a row without its condition after which a gate for `at_risk` ends.
    pub hold_evaluations: u32,
    /// Likewise of a gate for `watch`.
    pub watch_hold_evaluations: u32,
    /// 0–100.
    pub low_signal_below: f64,
    pub low_signal_evaluations: u32,
    /// Calls of 14 days over two median weeks of the baseline.
    pub collapse_ratio: f64,
    pub collapse_min_week_calls: f64,
    pub collapse_max_cadence_days: f64,
    /// Share of the former calls from which a collapse can end.
    pub collapse_recovered_ratio: f64,
    pub collapse_max_days: i32,
    /// Calls of 14 days over two median weeks of the baseline.
    pub decline_ratio: f64,
    /// Standard deviations of a Poisson count.
    pub decline_deviations: f64,
    pub decline_evaluations: u32,
    /// Calls of three days.
    pub dead_min_calls: f64,
    pub silence_days: f64,
    pub silence_cadences: f64,
    pub silence_longest_gaps: f64,
    pub silence_min_active_days: f64,
    /// Gross of a month over the median of the three before.
    pub revenue_gone_ratio: f64,
    /// 0–1.
    pub forecast_watch_risk: f64,
    /// 0–1.
    pub forecast_at_risk_risk: f64,
    pub forecast_evaluations: u32,
    pub forecast_max_opportunity_days: f64,
}

impl GatePolicy {
    /// Checks every value of the table.
    pub(crate) fn checks(&self) -> Vec<ValueCheck> {
        let evaluations = |key: &str, given: u32| {
            let key = format!("gates.{key}");
            value_check(&key, &given, "1 to 28", (1..=28).contains(&given))
        };
        let share = |key: &str, given: f64| {
            let is_share = is_positive(given) && given <= 1.0;
            value_check(&format!("gates.{key}"), &given, "more than 0, and 1 at most", is_share)
        };
        let positive = |key: &str, given: f64| {
            value_check(&format!("gates.{key}"), &given, "more than 0", is_positive(given))
        };
        let low = self.low_signal_below;
        let (recovered, days) = (self.collapse_recovered_ratio, self.collapse_max_days);
        let (watch, at_risk) = (self.forecast_watch_risk, self.forecast_at_risk_risk);
        let is_recovered = recovered >= self.collapse_ratio && recovered <= 1.0;
        let is_ordered = at_risk >= watch && at_risk <= 1.0;
        vec![
            evaluations("hold_evaluations", self.hold_evaluations),
            evaluations("watch_hold_evaluations", self.watch_hold_evaluations),
            value_check("gates.low_signal_below", &low, "0 to 100", (0.0..=100.0).contains(&low)),
            evaluations("low_signal_evaluations", self.low_signal_evaluations),
            share("collapse_ratio", self.collapse_ratio),
            positive("collapse_min_week_calls", self.collapse_min_week_calls),
            positive("collapse_max_cadence_days", self.collapse_max_cadence_days),
            value_check(
                "gates.collapse_recovered_ratio",
                &recovered,
                "collapse_ratio to 1",
                is_recovered,
            ),
            // Longer than this, and the rows that a fold over days reads would not show its start.
            value_check("gates.collapse_max_days", &days, "1 to 90", (1..=90).contains(&days)),
            share("decline_ratio", self.decline_ratio),
            positive("decline_deviations", self.decline_deviations),
            evaluations("decline_evaluations", self.decline_evaluations),
            positive("dead_min_calls", self.dead_min_calls),
            positive("silence_days", self.silence_days),
            positive("silence_cadences", self.silence_cadences),
            positive("silence_longest_gaps", self.silence_longest_gaps),
            positive("silence_min_active_days", self.silence_min_active_days),
            share("revenue_gone_ratio", self.revenue_gone_ratio),
            share("forecast_watch_risk", watch),
            value_check(
                "gates.forecast_at_risk_risk",
                &at_risk,
                "forecast_watch_risk to 1",
                is_ordered,
            ),
            evaluations("forecast_evaluations", self.forecast_evaluations),
            positive("forecast_max_opportunity_days", self.forecast_max_opportunity_days),
        ]
    }
}

/// Returns the table `[gates]` of the default policy.
#[cfg(test)]
pub(crate) fn default_gates() -> GatePolicy {
    #[derive(Deserialize)]
    struct Tables {
        gates: GatePolicy,
    }
    toml::from_str::<Tables>(crate::policy::DEFAULT_POLICY).expect("the shipped policy").gates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_its_range_is_refused() {
        #[track_caller]
        fn check(change: fn(&mut GatePolicy), refused: &[&str]) {
            let mut policy = default_gates();
            change(&mut policy);
            let checks = policy.checks().into_iter().filter(|check| !check.is_allowed);
            let keys: Vec<String> = checks.map(|check| check.key).collect();
            assert_eq!(keys, refused);
        }
        check(|_| {}, &[]);
        check(|p| p.hold_evaluations = 0, &["gates.hold_evaluations"]);
        check(|p| p.hold_evaluations = 29, &["gates.hold_evaluations"]);
        check(|p| p.watch_hold_evaluations = 0, &["gates.watch_hold_evaluations"]);
        check(|p| p.watch_hold_evaluations = 29, &["gates.watch_hold_evaluations"]);
        check(|p| p.low_signal_below = 100.5, &["gates.low_signal_below"]);
        check(|p| p.low_signal_evaluations = 0, &["gates.low_signal_evaluations"]);
        check(|p| p.collapse_ratio = 0.0, &["gates.collapse_ratio"]);
        check(|p| p.collapse_ratio = 0.6, &["gates.collapse_recovered_ratio"]);
        check(|p| p.collapse_recovered_ratio = 1.1, &["gates.collapse_recovered_ratio"]);
        check(|p| p.collapse_max_days = 91, &["gates.collapse_max_days"]);
        check(|p| p.collapse_min_week_calls = f64::NAN, &["gates.collapse_min_week_calls"]);
        check(|p| p.collapse_max_cadence_days = 0.0, &["gates.collapse_max_cadence_days"]);
        check(|p| p.decline_ratio = 1.1, &["gates.decline_ratio"]);
        check(|p| p.decline_deviations = 0.0, &["gates.decline_deviations"]);
        check(|p| p.decline_evaluations = 0, &["gates.decline_evaluations"]);
        check(|p| p.dead_min_calls = 0.0, &["gates.dead_min_calls"]);
        check(|p| p.silence_days = -1.0, &["gates.silence_days"]);
        check(|p| p.silence_cadences = 0.0, &["gates.silence_cadences"]);
        check(|p| p.silence_longest_gaps = f64::INFINITY, &["gates.silence_longest_gaps"]);
        check(|p| p.silence_min_active_days = 0.0, &["gates.silence_min_active_days"]);
        check(|p| p.revenue_gone_ratio = 2.0, &["gates.revenue_gone_ratio"]);
        check(|p| p.forecast_watch_risk = 0.9, &["gates.forecast_at_risk_risk"]);
        check(|p| p.forecast_at_risk_risk = 1.5, &["gates.forecast_at_risk_risk"]);
        check(|p| p.forecast_evaluations = 0, &["gates.forecast_evaluations"]);
        check(|p| p.forecast_max_opportunity_days = 0.0, &["gates.forecast_max_opportunity_days"]);
    }
}
