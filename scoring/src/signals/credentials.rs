//! Credentials: the calls that a partner makes with old credentials.

use domain::format::plain_percent;
use domain::thousands;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::ColumnMath;
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, value_check};

/// The signal `credentials`, a candidate: 100 · (1 − Σ share of calls of a credential · clip((its
/// days − 365) / 365, 0, 1)), days since it was first seen. It applies to partners whose calls in W
/// carry a credential.
///
/// Its value is the sum; its n is the number of calls in W that carry a credential.
pub(crate) struct Credentials;

/// The table `[credentials]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// The sum at which the score is 0.
    zero_share: f64,
}

impl Signal for Credentials {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_credentials";
    const CANDIDATE: bool = true;

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let share = parameters.zero_share;
        let is_share = share > 0.0 && share <= 1.0;
        vec![value_check("credentials.zero_share", &share, "more than 0, at most 1", is_share)]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let calls = input.rows.count("calls")?;
        let share = input.rows.f64("exposure")?.over(&calls);
        let zero = parameters.zero_share;
        Ok(Measured {
            applies: calls.is(|calls| calls > 0.0),
            score: share.map(|share| 100.0 * (1.0 - (share / zero).min(1.0))),
            value: share,
            n: input.rows.i64("calls")?.clone(),
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        _parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let old_calls = input.rows.count("old_calls")?.over(&input.rows.count("calls")?);
        let (old, oldest) = (input.rows.i64("old_credentials")?, input.rows.i64("oldest_days")?);
        Ok(measured.sentences(|row, _| {
            let Some(share) = old_calls.get(row) else {
                return "Age of its credentials is not known".to_owned();
            };
            let days = thousands(oldest.get(row).unwrap_or_default());
            match old.get(row).unwrap_or_default() {
                0 => "No call with a credential that is a year old".to_owned(),
                1 => format!("{} of calls with a credential of {days} days", plain_percent(share)),
                n => {
                    let share = plain_percent(share);
                    format!("{share} of calls with {n} old credentials, up to {days} days")
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, default_policy, live, measure};

    /// Calls, old calls, old credentials, days of the oldest, exposure.
    type Row = (i64, i64, i64, i64, f64);

    fn answer(row: Option<Row>) -> Answer {
        let frame = df!(
            "calls" => [row.map(|r| r.0)],
            "old_calls" => [row.map(|r| r.1)],
            "old_credentials" => [row.map(|r| r.2)],
            "oldest_days" => [row.map(|r| r.3)],
            "exposure" => [row.map(|r| r.4)],
        );
        let parameters = default_policy().signals.credentials;
        measure::<Credentials>(&[live()], &frame.expect("a frame"), &parameters).of(0)
    }

    #[test]
    fn calls_with_old_credentials_take_points() {
        #[track_caller]
        fn check(row: Row, score: f64, reason: &str) {
            let answer = answer(Some(row));
            answer.check(Some(score), reason);
            assert_eq!(answer.n, row.0);
        }
        let none = "No call with a credential that is a year old";
        check((1, 0, 0, 0, 0.0), 100.0, none);
        check((40, 0, 0, 364, 0.0), 100.0, none);
        // On the day on which it is a year old nothing of its second year has passed.
        check((40, 40, 1, 365, 0.0), 100.0, "100 % of calls with a credential of 365 days");
        // 73 of 365 days: 0.2 · 10 / 40.
        check((40, 10, 1, 438, 2.0), 95.0, "25 % of calls with a credential of 438 days");
        let several = "62 % of calls with 3 old credentials, up to 1,100 days";
        check((40, 25, 3, 1_100, 20.0), 50.0, several);
        check((40, 40, 1, 730, 40.0), 0.0, "100 % of calls with a credential of 730 days");
    }

    #[test]
    fn calls_without_credentials_say_nothing() {
        answer(None).check_not_applicable();
        answer(Some((0, 0, 0, 0, 0.0))).check_not_applicable();
    }
}
