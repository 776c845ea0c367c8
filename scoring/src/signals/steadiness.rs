//! Steadiness: the days a partner called of those its weekday pattern expects, and how even its
//! daily calls are.

use domain::counted;
use domain::format::plain_percent_with_places;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// A share of missed days, or a factor of uneven calls, above which it is not worth a sentence.
const NEARLY_ALL: f64 = 0.95;

/// The signal `steadiness`: 100 · min(1, active / expected) · exp(−max(0, cv − cv of the segment)).
///
/// A day is active if it has a production success; the query says how many days of W the weekday
/// pattern of B expects. The cv is 1.4826 · MAD / median of daily calls over the weekday's usual
/// calls, without the noise of counting. Calm days count nowhere. It does not apply to a partner of
/// which four weeks hold fewer than two expected days. Its value is active / expected, at
/// most 1; its n is the number of days of B that the pattern rests on.
pub(crate) struct Steadiness;

/// The table `[steadiness]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Days since go-live from which the signal applies.
    min_live_days: f64,
    /// The longest cadence, in days, with which the signal applies.
    max_cadence_days: f64,
    /// Days with calls that a cv needs.
    min_days: i64,
}

impl Signal for Steadiness {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_steadiness";
    const BY_WEEK: bool = true;

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { min_live_days: live, min_days: days, max_cadence_days: cadence } =
            *parameters;
        let is_cv = (2..=28).contains(&days);
        vec![
            value_check("steadiness.min_live_days", &live, "more than 0", is_positive(live)),
            value_check(
                "steadiness.max_cadence_days",
                &cadence,
                "more than 0",
                is_positive(cadence),
            ),
            value_check("steadiness.min_days", &days, "2 to 28", is_cv),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let needed = parameters.min_live_days;
        let is_old = input.partners.live_days.is(|days| days >= needed);
        let longest = parameters.max_cadence_days;
        let applies = is_old & input.partners.cadence.is(|days| days <= longest);
        let Variation { own, usual } = variation(input, parameters)?;
        let evenness = own.zip(&usual, evenness).or(1.0);
        let active = input.rows.count("active_days")?;
        let ratio = active.over(input.rows.f64("expected_days")?).clip(0.0, 1.0);
        let ratio = ratio.only_where(&applies);
        Ok(Measured {
            score: (&ratio * &evenness) * 100.0,
            value: ratio,
            n: input.rows.i64("baseline_days")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let Variation { own, usual } = variation(input, parameters)?;
        let active = input.rows.i64("active_days")?;
        let expected = input.rows.f64("expected_days")?;
        Ok(measured.sentences(|row, ratio| {
            let known = ratio.zip(active.get(row)).zip(expected.get(row));
            let Some(((ratio, active), expected)) = known else {
                return "No day was expected to have calls".to_owned();
            };
            let variation = own.get(row).zip(usual.get(row));
            match variation.filter(|(own, usual)| evenness(*own, *usual) < ratio.min(NEARLY_ALL)) {
                Some((own, usual)) => uneven_calls(own, usual),
                None => active_days(active, expected),
            }
        }))
    }
}

/// How much daily calls vary.
struct Variation {
    /// The cv of each partner; NULL with too few days with calls.
    own: Numbers,
    /// The median cv of its segment.
    usual: Numbers,
}

fn variation(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Variation, ScoreError> {
    let least = parameters.min_days as f64;
    let is_enough = input.rows.count("days_with_calls")?.is(|days| days >= least);
    // Calls that arrive at random vary by the root of their number: that is no unsteadiness.
    let without_noise = |cv: f64, calls: f64| (cv * cv - 1.0 / calls).max(0.0).sqrt();
    let calls = input.rows.f64("mean_daily_calls")?;
    let own = input.rows.f64("deviation")?.zip(calls, without_noise).only_where(&is_enough);
    let usual = input.peers.median(&own.only_where(&input.partners.is_live));
    Ok(Variation { own, usual })
}

/// Returns the factor that uneven calls cost, 1 for calls as even as those of the segment.
fn evenness(own: f64, usual: f64) -> f64 {
    (-(own - usual).max(0.0)).exp()
}

fn uneven_calls(own: f64, usual: f64) -> String {
    let varies = format!("Daily calls vary by {}", plain_percent_with_places(own, 0));
    // The median of the peers: where it rounds to nothing, half of them vary by that little.
    match (usual * 100.0).round() {
        0.0 => format!("{varies}, half of its peers' hardly"),
        _ => format!("{varies}, its peers' by {}", plain_percent_with_places(usual, 0)),
    }
}

fn active_days(active: i64, expected: f64) -> String {
    let expected = expected.round().max(1.0);
    if active as f64 >= expected {
        return "Called on every expected day".to_owned();
    }
    format!("Called on {active} of {}", counted(expected as i64, "expected day"))
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, TestPartner, default_policy, live, live_for, measure};

    /// One partner's row: active and expected days, deviation, median daily calls, days with calls.
    type Row = (i64, f64, Option<f64>, f64, i64);

    fn answers(rows: &[(TestPartner, Row)]) -> Vec<Answer> {
        let frame = df!(
            "active_days" => rows.iter().map(|r| r.1.0).collect::<Vec<_>>(),
            "expected_days" => rows.iter().map(|r| r.1.1).collect::<Vec<_>>(),
            "baseline_days" => vec![84_i64; rows.len()],
            "deviation" => rows.iter().map(|r| r.1.2).collect::<Vec<_>>(),
            "mean_daily_calls" => rows.iter().map(|r| r.1.3).collect::<Vec<_>>(),
            "days_with_calls" => rows.iter().map(|r| r.1.4).collect::<Vec<_>>(),
        );
        let partners: Vec<TestPartner> = rows.iter().map(|r| r.0.clone()).collect();
        let parameters = default_policy().signals.steadiness;
        let found = measure::<Steadiness>(&partners, &frame.expect("a frame"), &parameters);
        (0..rows.len()).map(|row| found.of(row)).collect()
    }

    #[test]
    fn active_of_expected_days() {
        #[track_caller]
        fn check(active: i64, expected: f64, score: f64, reason: &str) {
            let row = (active, expected, Some(0.0), 50.0, active);
            answers(&[(live(), row)])[0].check(Some(score), reason);
        }
        check(28, 28.0, 100.0, "Called on every expected day");
        check(20, 19.6, 100.0, "Called on every expected day");
        check(15, 20.0, 75.0, "Called on 15 of 20 expected days");
        check(0, 28.0, 0.0, "Called on 0 of 28 expected days");
        check(1, 28.0, 100.0 / 28.0, "Called on 1 of 28 expected days");
        // A single expected day, on which it called and on which it did not.
        check(1, 1.0, 100.0, "Called on every expected day");
        check(0, 1.0, 0.0, "Called on 0 of 1 expected day");
        check(0, 0.3, 0.0, "Called on 0 of 1 expected day");
        // Half a call a day: 39 % of its days are active.
        check(9, 11.0, 900.0 / 11.0, "Called on 9 of 11 expected days");
    }

    #[test]
    fn uneven_calls_cost_against_the_segment() {
        #[track_caller]
        fn check(own: Row, peer: f64, score: f64, reason: &str) {
            let peer = (live(), (28, 28.0, Some(peer), 1e12, 28));
            let rows = [(live(), own), peer.clone(), peer];
            answers(&rows)[0].check(Some(score), reason);
        }
        let varies = |calls| (28, 28.0, Some(0.7413), calls, 28);
        let reason = "Daily calls vary by 74 %, half of its peers' hardly";
        check(varies(1e12), 0.0, 100.0 * (-0.7413f64).exp(), reason);
        let reason = "Daily calls vary by 74 %, its peers' by 50 %";
        check(varies(1e12), 0.5, 100.0 * (-0.2413f64).exp(), reason);
        check(varies(1e12), 0.9, 100.0, "Called on every expected day");
        // Four calls a day vary by half of themselves: √(0.7413² − 1/4).
        let reason = "Daily calls vary by 55 %, half of its peers' hardly";
        check(varies(4.0), 0.0, 100.0 * (-0.547_289_402f64).exp(), reason);
        // One call a day varies by all of itself.
        check(varies(1.0), 0.0, 100.0, "Called on every expected day");
        // Under 14 days with calls nothing is said of them.
        check((13, 13.0, Some(3.0), 1e12, 13), 0.0, 100.0, "Called on every expected day");
        check((14, 14.0, Some(0.0), 1e12, 14), 0.0, 100.0, "Called on every expected day");
        check((28, 28.0, None, 1e12, 28), 0.0, 100.0, "Called on every expected day");
    }

    #[test]
    fn the_segments_cv_is_the_median_of_live_partners_with_enough_days() {
        let row = |cv, days| (28, 28.0, Some(cv), 1e12, days);
        let churned = TestPartner { last_success: None, live_at: None, ..live() };
        let few = (live(), row(0.0, 13));
        let rows = [
            (live(), row(1.0, 28)),
            (live(), row(0.5, 28)),
            (live(), row(0.25, 28)),
            few.clone(),
            few.clone(),
            few,
            (churned, row(0.0, 28)),
        ];
        let reason = "Daily calls vary by 100 %, its peers' by 50 %";
        answers(&rows)[0].check(Some(100.0 * (-0.5f64).exp()), reason);
    }

    #[test]
    fn four_weeks_say_nothing_of_a_monthly_caller() {
        let every = |days| TestPartner { cadence: Some(days), ..live() };
        let silent = (0, 1.0, None, 50.0, 0);
        let answers = answers(&[(every(14.0), silent), (every(30.0), silent)]);
        answers[0].check(Some(0.0), "Called on 0 of 1 expected day");
        answers[1].check_not_applicable();
    }

    #[test]
    fn a_pattern_needs_42_days_and_an_expected_one() {
        let row = (28, 28.0, None, 50.0, 28);
        answers(&[(TestPartner::default(), row)])[0].check_not_applicable();
        answers(&[(live_for(41.99), row)])[0].check_not_applicable();
        let every = "Called on every expected day";
        answers(&[(live_for(42.0), row)])[0].check(Some(100.0), every);
        let none = "No day was expected to have calls";
        answers(&[(live(), (0, 0.0, None, 50.0, 0))])[0].check(None, none);
    }
}
