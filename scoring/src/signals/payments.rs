//! Payments: failed payments that none has followed.

use domain::counted;
use domain::format::whole_days;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::ColumnMath;
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// The signal `payments`, a candidate: 100 · (1 − min(1, days / 28)), days since the first failed
/// payment of 90 days that no payment of any invoice has followed; 100 without one. It applies to
/// partners that paid, or failed to, in these 90 days.
///
/// Its value is these days, 0 without one; its n is the number of payments.
pub(crate) struct Payments;

/// The table `[payments]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Days for which a failed payment is open at which the score is 0.
    zero_days: f64,
}

impl Signal for Payments {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_payments";
    const CANDIDATE: bool = true;

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let days = parameters.zero_days;
        vec![value_check("payments.zero_days", &days, "more than 0", is_positive(days))]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let applies = input.rows.count("payments")?.is(|payments| payments > 0.0);
        let days = input.rows.count("open_days")?.or(0.0).only_where(&applies);
        let zero = parameters.zero_days;
        Ok(Measured {
            score: days.map(|days| 100.0 * (1.0 - (days / zero).min(1.0))),
            value: days,
            n: input.rows.i64("payments")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        _parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let (failed, open) = (input.rows.i64("failed")?, input.rows.i64("open")?);
        Ok(measured.sentences(|row, days| {
            let ago = whole_days(days.unwrap_or_default() as i64);
            let failed = failed.get(row).unwrap_or_default();
            match open.get(row).unwrap_or_default() {
                0 if failed == 0 => "No failed payment in 90 days".to_owned(),
                0 => format!("{} failed in 90 days, all made up", counted(failed, "payment")),
                1 => format!("A payment failed {ago} ago, and none has come since"),
                n => format!("{n} payments failed, the first {ago} ago; none has come"),
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, default_policy, live, measure};

    /// Payments, failed ones, open ones, days of the first open one.
    type Row = (i64, i64, i64, Option<i64>);

    fn answer(row: Option<Row>) -> Answer {
        let frame = df!(
            "payments" => [row.map(|r| r.0)],
            "failed" => [row.map(|r| r.1)],
            "open" => [row.map(|r| r.2)],
            "open_days" => [row.and_then(|r| r.3)],
        );
        let parameters = default_policy().signals.payments;
        measure::<Payments>(&[live()], &frame.expect("a frame"), &parameters).of(0)
    }

    #[test]
    fn each_day_that_a_failure_is_open_takes_points() {
        #[track_caller]
        fn check(row: Row, value: f64, score: f64, reason: &str) {
            let answer = answer(Some(row));
            answer.check(Some(score), reason);
            assert_eq!((answer.value, answer.n), (Some(value), row.0));
        }
        check((3, 0, 0, None), 0.0, 100.0, "No failed payment in 90 days");
        check((3, 1, 0, None), 0.0, 100.0, "1 payment failed in 90 days, all made up");
        check((3, 2, 0, None), 0.0, 100.0, "2 payments failed in 90 days, all made up");
        let one = "A payment failed 1 day ago, and none has come since";
        check((1, 1, 1, Some(1)), 1.0, 100.0 * 27.0 / 28.0, one);
        let two = "2 payments failed, the first 14 days ago; none has come";
        check((5, 3, 2, Some(14)), 14.0, 50.0, two);
        let long = "A payment failed 28 days ago, and none has come since";
        check((1, 1, 1, Some(28)), 28.0, 0.0, long);
        let longer = "A payment failed 90 days ago, and none has come since";
        check((1, 1, 1, Some(90)), 90.0, 0.0, longer);
    }

    #[test]
    fn without_a_payment_nothing_is_said() {
        answer(None).check_not_applicable();
        answer(Some((0, 0, 0, None))).check_not_applicable();
    }
}
