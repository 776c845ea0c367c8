//! Throttling: the share of a partner's calls that its quota stopped.

use domain::format::plain_percent;
use domain::thousands;
use serde::Deserialize;

use super::signal::{Measured, NO_CALLS, Signal, SignalInput};
use crate::columns::{ColumnMath, numbers};
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, value_check};

/// The signal `throttling`: 100 · (1 − min(1, throttled rate / 1 %)). It applies where the quota is
/// known and above 0.
///
/// Its value is throttled calls over calls in W; its n is the number of calls.
pub(crate) struct Throttling;

/// The table `[throttling]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// The share of throttled calls at which the score is 0.
    zero_rate: f64,
}

impl Signal for Throttling {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_throttling";
    const BY_WEEK: bool = true;

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let rate = parameters.zero_rate;
        let is_rate = rate > 0.0 && rate <= 1.0;
        vec![value_check("throttling.zero_rate", &rate, "more than 0, at most 1", is_rate)]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let applies = numbers(&input.partners.quota_per_minute).is(|quota| quota > 0.0);
        let rate = input.rows.count("throttled")?.over(&input.rows.count("calls")?);
        let rate = rate.only_where(&applies);
        let zero = parameters.zero_rate;
        Ok(Measured {
            score: rate.map(|rate| 100.0 * (1.0 - (rate / zero).min(1.0))),
            value: rate,
            n: input.rows.i64("calls")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        _parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let quotas = &input.partners.quota_per_minute;
        Ok(measured.sentences(|row, rate| {
            let Some(rate) = rate else { return NO_CALLS.to_owned() };
            let quota = thousands(quotas.get(row).unwrap_or_default());
            if rate == 0.0 {
                return format!("No call throttled at a quota of {quota} a minute");
            }
            format!("{} of calls throttled at {quota} a minute", plain_percent(rate))
        }))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, TestPartner, default_policy, live, measure};

    fn answer(quota: Option<i64>, counts: Option<(i64, i64)>) -> Answer {
        let frame = df!("throttled" => [counts.map(|c| c.0)], "calls" => [counts.map(|c| c.1)]);
        let partner = TestPartner { quota_per_minute: quota, ..live() };
        let parameters = default_policy().signals.throttling;
        measure::<Throttling>(&[partner], &frame.expect("a frame"), &parameters).of(0)
    }

    #[test]
    fn one_percent_throttled_takes_all_points() {
        #[track_caller]
        fn check(throttled: i64, calls: i64, score: f64, reason: &str) {
            let answer = answer(Some(1_200), Some((throttled, calls)));
            answer.check(Some(score), reason);
            assert_eq!(answer.n, calls);
        }
        check(0, 1_000, 100.0, "No call throttled at a quota of 1,200 a minute");
        check(5, 2_000, 75.0, "0.2 % of calls throttled at 1,200 a minute");
        check(10, 1_000, 0.0, "1.0 % of calls throttled at 1,200 a minute");
        check(1_000, 1_000, 0.0, "100 % of calls throttled at 1,200 a minute");
        check(0, 1, 100.0, "No call throttled at a quota of 1,200 a minute");
        check(1, 1, 0.0, "100 % of calls throttled at 1,200 a minute");
    }

    #[test]
    fn it_needs_a_quota_and_calls() {
        answer(None, Some((1, 1_000))).check_not_applicable();
        answer(Some(0), Some((1, 1_000))).check_not_applicable();
        answer(Some(600), None).check(None, NO_CALLS);
        answer(Some(600), Some((0, 0))).check(None, NO_CALLS);
    }
}
