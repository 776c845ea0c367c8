//! Deprecated: the calls to versions of the API that end.

use domain::format::plain_percent;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::ColumnMath;
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, value_check};

/// The signal `deprecated`: 100 · (1 − Σ share of calls of a version · clip(1 − days to its sunset /
/// 365, 0, 1)). It applies to partners that send versions.
///
/// Its value is the sum; its n is the number of calls in W that carry a version.
pub(crate) struct Deprecated;

/// The table `[deprecated]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// The sum at which the score is 0.
    zero_share: f64,
}

impl Signal for Deprecated {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_deprecated";
    const BY_WEEK: bool = true;

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let share = parameters.zero_share;
        let is_share = share > 0.0 && share <= 1.0;
        vec![value_check("deprecated.zero_share", &share, "more than 0, at most 1", is_share)]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let applies = input.rows.count("versioned_calls")?.is(|calls| calls > 0.0);
        let share = input.rows.f64("exposure")?.over(&input.rows.count("calls")?);
        let share = share.only_where(&applies);
        let zero = parameters.zero_share;
        Ok(Measured {
            score: share.map(|share| 100.0 * (1.0 - (share / zero).min(1.0))),
            value: share,
            n: input.rows.i64("versioned_calls")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        _input: &SignalInput<'_>,
        measured: &Measured,
        _parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        Ok(measured.sentences(|_, share| match share {
            Some(share) if share > 0.0 => {
                format!("Calls versions that end within a year: {} at stake", plain_percent(share))
            }
            Some(_) => "No call to a version that ends within a year".to_owned(),
            None => "Share of versions in its calls is not known".to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, default_policy, live, measure};

    fn answer(row: Option<(i64, i64, f64)>) -> Answer {
        let frame = df!(
            "calls" => [row.map(|r| r.0)],
            "versioned_calls" => [row.map(|r| r.1)],
            "exposure" => [row.map(|r| r.2)],
        );
        let parameters = default_policy().signals.deprecated;
        measure::<Deprecated>(&[live()], &frame.expect("a frame"), &parameters).of(0)
    }

    #[test]
    fn the_share_of_ending_versions_takes_points() {
        #[track_caller]
        fn check(calls: i64, versioned: i64, exposure: f64, score: f64, reason: &str) {
            let answer = answer(Some((calls, versioned, exposure)));
            answer.check(Some(score), reason);
            assert_eq!(answer.n, versioned);
        }
        let none = "No call to a version that ends within a year";
        check(1_000, 1_000, 0.0, 100.0, none);
        check(1, 1, 0.0, 100.0, none);
        let stake =
            |share: &str| format!("Calls versions that end within a year: {share} at stake");
        // All calls to a version that has ended, and half of them to one that ends in 73 days.
        check(1_000, 1_000, 1_000.0, 0.0, &stake("100 %"));
        check(1_000, 1_000, 500.0 * (1.0 - 73.0 / 365.0), 60.0, &stake("40 %"));
        // The share is one of all calls, those without a version included.
        check(1_000, 100, 100.0, 90.0, &stake("10 %"));
    }

    #[test]
    fn it_applies_to_partners_that_send_versions() {
        answer(None).check_not_applicable();
        answer(Some((1_000, 0, 0.0))).check_not_applicable();
    }
}
