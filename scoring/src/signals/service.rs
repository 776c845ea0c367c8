//! Service: what the platform does to a partner, as the use of the error budget that its plan
//! leaves: server errors, and calls slower than promised.

use domain::format::{plain_percent, plain_percent_as_given};
use domain::thousands;
use serde::Deserialize;

use super::signal::{Measured, NO_CALLS, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::formulas::excess_score;
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// The signal `service`: 100 · clip(1 − log2(max(burn, 1)) / 3, 0, 1). It applies where the partner's
/// plan promises something.
///
/// The burn is the greater of slow calls over those that may be slow, 1 % of calls, and server
/// errors over those that the availability target allows. Its value is the burn; its n is the number
/// of calls.
pub(crate) struct Service;

/// The table `[service]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// The share of calls that must be within the latency target.
    latency_share: f64,
    /// An availability target above this counts as this.
    max_target: f64,
    /// Doublings of the burn at which the score is 0.
    doublings: f64,
}

impl Signal for Service {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_service";
    const BY_WEEK: bool = true;

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { latency_share: share, max_target: target, doublings } = *parameters;
        let leaves_a_budget = |target: f64| (0.0..1.0).contains(&target);
        let below_1 = "0 or more, less than 1";
        vec![
            value_check("service.latency_share", &share, below_1, leaves_a_budget(share)),
            value_check("service.max_target", &target, below_1, leaves_a_budget(target)),
            value_check("service.doublings", &doublings, "more than 0", is_positive(doublings)),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let target = input.rows.f64("target")?;
        let applies = target.is_not_null() | input.rows.f64("latency_target_ms")?.is_not_null();
        let service = service(input, parameters)?;
        let (errors, slow) = (service.error_burn(), service.slow_burn(parameters));
        let is_known = errors.is_not_null() | slow.is_not_null();
        let burn = errors.or(0.0).greater(&slow.or(0.0)).only_where(&is_known);
        Ok(Measured {
            score: excess_score(&burn.map(|burn| burn.max(1.0)), parameters.doublings),
            value: burn,
            n: input.rows.i64("calls")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let service = service(input, parameters)?;
        let (error_burn, slow_burn) = (service.error_burn(), service.slow_burn(parameters));
        let latency_targets = input.rows.f64("latency_target_ms")?;
        let allowed_slow = plain_percent_as_given(1.0 - parameters.latency_share);
        Ok(measured.sentences(|row, burn| {
            let Some(burn) = burn else { return NO_CALLS.to_owned() };
            if burn <= 1.0 {
                return "Our service keeps its targets".to_owned();
            }
            if slow_burn.get(row) > error_burn.get(row) {
                let slow = plain_percent(service.slow_rate.get(row).unwrap_or_default());
                let target = latency_targets.get(row).unwrap_or_default();
                let target = thousands(target.round() as i64);
                return format!(
                    "Our fault, not theirs: {slow} above {target} ms, {allowed_slow} allowed"
                );
            }
            let errors = plain_percent(service.error_rate.get(row).unwrap_or_default());
            let allowed = plain_percent(service.allowed_errors.get(row).unwrap_or_default());
            format!("Our fault, not theirs: {errors} server errors, {allowed} allowed")
        }))
    }
}

/// What was promised and what was done, as ratios of calls.
struct ServiceRates {
    error_rate: Numbers,
    /// NULL without an availability target.
    allowed_errors: Numbers,
    /// NULL without a latency target.
    slow_rate: Numbers,
}

impl ServiceRates {
    fn error_burn(&self) -> Numbers {
        self.error_rate.over(&self.allowed_errors)
    }

    fn slow_burn(&self, parameters: &Parameters) -> Numbers {
        self.slow_rate.map(|rate| rate / (1.0 - parameters.latency_share))
    }
}

fn service(input: &SignalInput<'_>, parameters: &Parameters) -> Result<ServiceRates, ScoreError> {
    let rows = input.rows;
    let slow_rate = rows.count("slow_calls")?.over(&rows.count("latency_calls")?);
    Ok(ServiceRates {
        error_rate: rows.count("server_errors")?.over(&rows.count("calls")?),
        allowed_errors: rows.f64("target")?.map(|target| 1.0 - target.min(parameters.max_target)),
        slow_rate: slow_rate.only_where(&rows.f64("latency_target_ms")?.is_not_null()),
    })
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, default_policy, live, measure};

    /// Measures a partner from its targets, its calls and server errors, and its calls with a
    /// latency and slow ones.
    fn answer(
        targets: (Option<f64>, Option<f64>),
        [calls, errors, timed, slow]: [i64; 4],
    ) -> Answer {
        let frame = df!(
            "target" => [targets.0],
            "latency_target_ms" => [targets.1],
            "calls" => [calls],
            "server_errors" => [errors],
            "latency_calls" => [timed],
            "slow_calls" => [slow],
        );
        let parameters = default_policy().signals.service;
        measure::<Service>(&[live()], &frame.expect("a frame"), &parameters).of(0)
    }

    #[test]
    fn the_greater_burn_takes_points() {
        #[track_caller]
        fn check(counts: [i64; 4], burn: f64, score: f64, reason: &str) {
            let answer = answer((Some(0.999), Some(250.0)), counts);
            answer.check(Some(score), reason);
            let value = answer.value.expect("a value");
            assert!((value - burn).abs() < 1e-9, "{value}");
        }
        check([10_000, 0, 10_000, 0], 0.0, 100.0, "Our service keeps its targets");
        check([10_000, 10, 10_000, 100], 1.0, 100.0, "Our service keeps its targets");
        let errors = "Our fault, not theirs: 0.2 % server errors, 0.1 % allowed";
        check([10_000, 20, 10_000, 100], 2.0, 200.0 / 3.0, errors);
        let slow = "Our fault, not theirs: 4.0 % above 250 ms, 1 % allowed";
        check([10_000, 20, 10_000, 400], 4.0, 100.0 / 3.0, slow);
        let failing = "Our fault, not theirs: 100 % server errors, 0.1 % allowed";
        check([1, 1, 1, 0], 1_000.0, 0.0, failing);
        // Calls without a latency leave the errors.
        check([10_000, 0, 0, 0], 0.0, 100.0, "Our service keeps its targets");
    }

    #[test]
    fn one_target_is_enough() {
        #[track_caller]
        fn check(targets: (Option<f64>, Option<f64>), score: Option<f64>, reason: &str) {
            answer(targets, [10_000, 40, 10_000, 200]).check(score, reason);
        }
        let errors = "Our fault, not theirs: 0.4 % server errors, 0.1 % allowed";
        check((Some(0.999), None), Some(100.0 / 3.0), errors);
        let slow = "Our fault, not theirs: 2.0 % above 1,500 ms, 1 % allowed";
        check((None, Some(1_500.0)), Some(200.0 / 3.0), slow);
        // A target of 100 % counts as 99.99 %: the budget is never empty.
        let perfect = "Our fault, not theirs: 0.4 % server errors, 0.01 % allowed";
        check((Some(1.0), None), Some(0.0), perfect);
        answer((None, None), [10_000, 40, 10_000, 200]).check_not_applicable();
        answer((Some(0.999), Some(250.0)), [0, 0, 0, 0]).check(None, NO_CALLS);
        answer((None, Some(250.0)), [9, 0, 0, 0]).check(None, NO_CALLS);
    }
}
