//! Revenue: the gross of the last three complete months beside that of the three before.

use domain::format::{multiple, plain_signed_percent};
use polars::prelude::Int64Chunked;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers, choose};
use crate::formulas::{change_beside_peers, fall_score, mixed_change};
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// The months of both means.
const MONTHS: i64 = 6;

/// The signal `revenue`: as `growth`, of g = (a + 1) / (b + 1) − 1 with a the mean gross of the last
/// three complete months and b of the three before. A failed payment that no success followed halves
/// the score.
///
/// Its value is g before that of the segment is taken out; its n is the number of months compared.
pub(crate) struct Revenue;

/// The table `[revenue]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Complete months since the first charge from which the signal applies.
    min_months: i64,
    /// Gross a month, in the reporting currency, that is mixed into both means.
    mixed_gross: f64,
    /// The fall, a ratio, at which the score is 0.
    zero_fall: f64,
    /// The part of the score that a failed payment leaves.
    failed_payment_factor: f64,
}

impl Signal for Revenue {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_revenue";

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { min_months: months, mixed_gross: mixed, zero_fall: zero, .. } =
            *parameters;
        let factor = parameters.failed_payment_factor;
        let is_fall = zero > 0.0 && zero <= 1.0;
        let is_factor = (0.0..=1.0).contains(&factor);
        vec![
            value_check("revenue.min_months", &months, "6 or more", months >= MONTHS),
            value_check("revenue.mixed_gross", &mixed, "more than 0", is_positive(mixed)),
            value_check("revenue.zero_fall", &zero, "more than 0, at most 1", is_fall),
            value_check("revenue.failed_payment_factor", &factor, "0 to 1", is_factor),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let least = parameters.min_months as f64;
        let applies = input.rows.count("months_since_first_charge")?.is(|months| months >= least);
        let (before, after) = monthly_gross(input)?;
        let change = mixed_change(&before, &after, parameters.mixed_gross).only_where(&applies);
        let of_peers = input.peers.median(&change.only_where(&input.partners.is_live));
        let score = fall_score(&change_beside_peers(&change, &of_peers), parameters.zero_fall);
        let halved = &score * parameters.failed_payment_factor;
        let n: Int64Chunked = change.iter().map(|change| change.map(|_| MONTHS)).collect();
        Ok(Measured {
            score: choose(input.rows.bool("payment_failed")?, &halved, &score),
            value: change,
            n,
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        _parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let (before, after) = monthly_gross(input)?;
        let failed = input.rows.bool("payment_failed")?;
        Ok(measured.sentences(|row, _| {
            let Some((before, after)) = before.get(row).zip(after.get(row)) else {
                return "Gross of the last six months is not known".to_owned();
            };
            let change = gross_change(before, after);
            match failed.get(row) {
                Some(true) => format!("{change}, a payment failed"),
                _ => change,
            }
        }))
    }
}

/// Returns the mean monthly gross of the three months before, and of the last three. Refunds beyond
/// the charges of three months count as no gross.
fn monthly_gross(input: &SignalInput<'_>) -> Result<(Numbers, Numbers), ScoreError> {
    let mean = |column| -> Result<Numbers, ScoreError> {
        Ok(input.rows.f64(column)?.map(|gross| gross.max(0.0)))
    };
    Ok((mean("before_mean")?, mean("recent_mean")?))
}

fn gross_change(before: f64, after: f64) -> String {
    if before == 0.0 {
        return match after {
            0.0 => "No gross in six months".to_owned(),
            _ => "Gross again, after three months without".to_owned(),
        };
    }
    let change = after / before - 1.0;
    let percent = (change * 100.0).round();
    if percent == 0.0 {
        return "Gross level over six months".to_owned();
    }
    if percent >= 100.0 {
        return format!("Gross {} as high in three months", multiple(1.0 + change));
    }
    format!("Gross {} in three months", plain_signed_percent(percent / 100.0))
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, default_policy, live, measure};

    /// One partner's row: months since its first charge, mean gross before and of late, whether a
    /// payment failed.
    type Row = (Option<i64>, Option<f64>, Option<f64>, Option<bool>);

    fn answers(rows: &[Row]) -> Vec<Answer> {
        let frame = df!(
            "months_since_first_charge" => rows.iter().map(|r| r.0).collect::<Vec<_>>(),
            "before_mean" => rows.iter().map(|r| r.1).collect::<Vec<_>>(),
            "recent_mean" => rows.iter().map(|r| r.2).collect::<Vec<_>>(),
            "payment_failed" => rows.iter().map(|r| r.3).collect::<Vec<_>>(),
        );
        let parameters = default_policy().signals.revenue;
        let partners = vec![live(); rows.len()];
        let found = measure::<Revenue>(&partners, &frame.expect("a frame"), &parameters);
        (0..rows.len()).map(|row| found.of(row)).collect()
    }

    fn means(before: f64, after: f64, failed: bool) -> Row {
        (Some(6), Some(before), Some(after), Some(failed))
    }

    #[test]
    fn a_fall_of_gross_takes_points() {
        #[track_caller]
        fn check(before: f64, after: f64, failed: bool, score: f64, reason: &str) {
            let peer = means(50.0, 50.0, false);
            let answer = &answers(&[means(before, after, failed), peer, peer])[0];
            answer.check(Some(score), reason);
            assert_eq!(answer.n, 6);
        }
        check(999.0, 999.0, false, 100.0, "Gross level over six months");
        check(999.0, 749.0, false, 50.0, "Gross −25 % in three months");
        check(999.0, 499.0, false, 0.0, "Gross −50 % in three months");
        check(999.0, 1_299.0, false, 100.0, "Gross +30 % in three months");
        check(999.0, 1_998.0, false, 100.0, "Gross twice as high in three months");
        check(0.0, 0.0, false, 100.0, "No gross in six months");
        check(0.0, 80.0, false, 100.0, "Gross again, after three months without");
        // (0 + 1) / (1 + 1) − 1: a small amount is no collapse.
        check(0.5, 0.2, false, 60.0, "Gross −60 % in three months");
        // More was refunded than charged.
        check(999.0, -40.0, false, 0.0, "Gross −100 % in three months");
        check(-40.0, -10.0, false, 100.0, "No gross in six months");
        check(999.0, 999.0, true, 50.0, "Gross level over six months, a payment failed");
        check(999.0, 749.0, true, 25.0, "Gross −25 % in three months, a payment failed");
    }

    #[test]
    fn the_fall_of_the_segment_is_taken_out() {
        let peer = means(999.0, 799.0, false);
        let found = &answers(&[means(999.0, 599.0, false), peer, peer])[0];
        found.check(Some(60.0), "Gross −40 % in three months");
    }

    #[test]
    fn six_complete_months_are_needed() {
        answers(&[(None, None, None, None)])[0].check_not_applicable();
        answers(&[(Some(5), None, Some(9.0), Some(false))])[0].check_not_applicable();
        let unknown = "Gross of the last six months is not known";
        answers(&[(Some(6), None, Some(9.0), Some(false))])[0].check(None, unknown);
    }
}
