//! Dormancy: the probability that a partner calls again within four weeks.

use domain::format::plain_percent;
use polars::prelude::{ChunkFullNull, Int64Chunked};
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// The days of an opportunity of partners that call at least weekly.
const WEEK: i64 = 7;

/// The signal `dormancy`: 100 · P(a production success in the next m opportunities), m as many as
/// four weeks have, at least one. The model is [`crate::dormancy::DormancyModel`].
///
/// Its value is the probability; its n is the number of opportunities that it rests on.
pub(crate) struct Dormancy;

/// The table `[dormancy]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Days since go-live from which the signal applies.
    min_live_days: f64,
    /// The days ahead that the probability looks at, rounded up to whole opportunities.
    horizon_days: i64,
}

impl Parameters {
    /// Returns how many opportunities of a length the horizon holds.
    fn ahead(&self, length: i64) -> i64 {
        let length = length.max(1);
        ((self.horizon_days + length - 1) / length).max(1)
    }
}

impl Signal for Dormancy {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_dormancy";

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { min_live_days: live, horizon_days: horizon } = *parameters;
        let is_horizon = (1..=365).contains(&horizon);
        vec![
            value_check("dormancy.min_live_days", &live, "more than 0", is_positive(live)),
            value_check("dormancy.horizon_days", &horizon, "1 to 365", is_horizon),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let rows = input.rows;
        let (x, t_x, n) = (rows.i64("x")?, rows.i64("t_x")?, rows.i64("n")?);
        let lengths = rows.i64("length")?.iter();
        let ahead: Int64Chunked = lengths.map(|l| l.map(|l| parameters.ahead(l))).collect();
        let least = parameters.min_live_days;
        let applies = input.partners.live_days.is(|days| days >= least);
        let is_evidence = rows.count("n")?.is(|n| n >= 1.0);
        let probability = match input.dormancy {
            Some(model) => model.predict_columns(x, t_x, n, &ahead),
            None => Numbers::full_null("dormancy".into(), x.len()),
        };
        let probability = probability.only_where(&applies).only_where(&is_evidence);
        Ok(Measured {
            score: &probability * 100.0,
            value: probability,
            n: n.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let (lengths, active) = (input.rows.i64("length")?, input.rows.i64("x")?);
        let is_fitted = input.dormancy.is_some();
        Ok(measured.sentences(|row, probability| {
            if !is_fitted {
                return "Too few partners to say who calls again".to_owned();
            }
            let length = lengths.get(row).unwrap_or(WEEK);
            let known = probability.zip(active.get(row)).zip(measured.n.get(row));
            let Some(((probability, active), n)) = known else {
                return format!("No whole span of {length} days since go-live yet");
            };
            let probability = plain_percent(probability);
            let horizon = parameters.ahead(length) * length;
            let horizon = match horizon {
                28 => "four weeks".to_owned(),
                days => format!("{days} days"),
            };
            let spans = match (length, n) {
                (WEEK, 1) => "1 week active".to_owned(),
                (WEEK, _) => format!("{n} weeks active"),
                (_, 1) => format!("1 {length}-day span"),
                _ => format!("{n} {length}-day spans"),
            };
            format!("Calls again in {horizon} with {probability}: {active} of {spans}")
        }))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;
    use polars::prelude::DataFrame;

    use super::*;
    use crate::test_input::{
        Answer, TestPartner, default_policy, live, live_for, measure, measure_without_model,
    };

    /// Measures a partner from the length of its opportunities, and x, t_x and n of them.
    fn answer(partner: TestPartner, row: [i64; 4]) -> Answer {
        let parameters = default_policy().signals.dormancy;
        measure::<Dormancy>(&[partner], &frame(row), &parameters).of(0)
    }

    fn frame([length, x, t_x, n]: [i64; 4]) -> DataFrame {
        let frame = df!("length" => [length], "x" => [x], "t_x" => [t_x], "n" => [n]);
        frame.expect("a frame")
    }

    #[test]
    fn the_probability_to_call_again() {
        /// The model is that of the paper's donations; the percentages were summed apart, over the
        /// opportunity of the first success.
        #[track_caller]
        fn check(row: [i64; 4], percent: f64, reason: &str) {
            let answer = answer(live(), row);
            answer.check(Some(percent), reason);
            let value = answer.value.expect("a value");
            assert!((100.0 * value - percent).abs() < 1e-6, "{value}");
            assert_eq!(answer.n, row[3]);
        }
        let weekly = |words: &str| format!("Calls again in four weeks with {words}");
        check([7, 12, 12, 12], 95.493_508_650, &weekly("95 %: 12 of 12 weeks active"));
        check([7, 9, 12, 12], 93.279_100_950, &weekly("93 %: 9 of 12 weeks active"));
        // As many weeks, the last three of them silent.
        check([7, 9, 9, 12], 2.931_350_187, &weekly("2.9 %: 9 of 12 weeks active"));
        check([7, 0, 0, 12], 1.027_570_112, &weekly("1.0 %: 0 of 12 weeks active"));
        check([7, 1, 1, 1], 78.951_305_832, &weekly("79 %: 1 of 1 week active"));
        // A partner that calls every ten days, and a monthly one: three spans ahead, and one.
        let spans = |words: &str| format!("Calls again in 30 days with {words}");
        check([10, 6, 6, 6], 91.977_492_270, &spans("92 %: 6 of 6 10-day spans"));
        check([30, 6, 6, 6], 84.267_285_834, &spans("84 %: 6 of 6 30-day spans"));
        check([30, 1, 1, 1], 63.570_330_656, &spans("64 %: 1 of 1 30-day span"));
    }

    #[test]
    fn the_horizon_is_four_weeks_in_whole_opportunities() {
        let parameters = default_policy().signals.dormancy;
        let found = [7, 8, 14, 27, 28, 29, 90].map(|length| parameters.ahead(length));
        assert_eq!(found, [4, 4, 2, 2, 1, 1, 1]);
    }

    #[test]
    fn it_needs_four_weeks_and_an_opportunity() {
        answer(TestPartner::default(), [7, 0, 0, 0]).check_not_applicable();
        answer(live_for(27.99), [7, 2, 2, 2]).check_not_applicable();
        assert!(answer(live_for(28.0), [7, 2, 2, 3]).score.is_some());
        let none = "No whole span of 20 days since go-live yet";
        answer(live_for(35.0), [20, 0, 0, 0]).check(None, none);
        let parameters = default_policy().signals.dormancy;
        let found = measure_without_model::<Dormancy>(&[live()], &frame([7, 9, 9, 9]), &parameters);
        found.of(0).check(None, "Too few partners to say who calls again");
    }
}
