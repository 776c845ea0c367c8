//! Growth: the trend of weekly calls, as the change in four weeks, shrunk towards none.

use domain::counted;
use domain::format::{multiple, plain_signed_percent};
use serde::Deserialize;

use super::signal::{Measurement, Reading, Signal, SignalContext};
use crate::robust_statistics::theil_sen;
use crate::value_check::{ValueCheck, is_positive, value_check};
use crate::windows::Windows;

/// The signal `growth`: the Theil–Sen slope of ln(1 + calls) over complete weeks.
///
/// Its value is the change in four weeks before shrinking, a ratio; its n is the number of weeks. A
/// week is seven days that end with a day before `as_of`, so that each holds every weekday once.
pub(crate) struct Growth;

/// The table `[growth]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    min_weeks: i32,
    max_weeks: i32,
    /// Weeks of a flat line that the trend is mixed with.
    shrink_weeks: f64,
    /// Change in four weeks that moves the score by 50 · tanh(1).
    scale: f64,
}

impl Signal for Growth {
    type Parameters = Parameters;
    type Data = ();

    fn checks(parameters: &Parameters, windows: &Windows) -> Vec<ValueCheck> {
        let (fewest, most) = (parameters.min_weeks, parameters.max_weeks);
        let both_windows = (windows.recent_days + windows.baseline_days) / 7;
        let is_in_windows = (fewest..=both_windows).contains(&most);
        let (shrink, scale) = (parameters.shrink_weeks, parameters.scale);
        let is_shrinking = shrink.is_finite() && shrink >= 0.0;
        let max_weeks = "min_weeks to the weeks of both windows";
        vec![
            value_check("growth.min_weeks", &fewest, "2 or more", fewest >= 2),
            value_check("growth.max_weeks", &most, max_weeks, is_in_windows),
            value_check("growth.shrink_weeks", &shrink, "0 or more", is_shrinking),
            value_check("growth.scale", &scale, "more than 0", is_positive(scale)),
        ]
    }

    fn read(context: &SignalContext<'_>, parameters: &Parameters, (): &()) -> Reading {
        let Some(live) = context.first_live_day() else { return Reading::NotApplicable };
        let live_weeks = (context.day.0 - live.0).div_euclid(7);
        let weeks = live_weeks.min(parameters.max_weeks);
        if weeks < parameters.min_weeks {
            let seen = match live_weeks.max(0) {
                0 => "less than a week".to_owned(),
                weeks => counted(weeks, "whole week"),
            };
            let needed = parameters.min_weeks;
            return Reading::Missing(format!("Live for {seen}; a trend needs {needed}"));
        }
        let logs: Vec<f64> = (0..weeks)
            .map(|week| {
                let from = context.day.plus(7 * (week - weeks));
                let calls: i64 = context.calls(from, from.plus(7)).iter().map(|d| d.calls).sum();
                (calls as f64).ln_1p()
            })
            .collect();
        let slope = theil_sen(&logs).unwrap_or(0.0);
        let change = (4.0 * slope).exp_m1();
        let n = f64::from(weeks);
        let shrunk = change * n / (n + parameters.shrink_weeks);
        Reading::Measured(Measurement {
            value: change,
            score: 50.0 + 50.0 * (shrunk / parameters.scale).tanh(),
            n: i64::from(weeks),
            reason: reason(change, weeks),
        })
    }
}

fn reason(change: f64, weeks: i32) -> String {
    let percent = (change * 100.0).round();
    if percent == 0.0 {
        return format!("Calls level over {weeks} weeks");
    }
    if percent >= 100.0 {
        return format!("Calls {} as many in four weeks", multiple(1.0 + change));
    }
    format!("Calls {} in four weeks", plain_signed_percent(percent / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Partner;
    use crate::test_input::{at, day, default_policy, measured, partner, read_signal, traffic};

    fn read(partner: &Partner, as_of: &str) -> Reading {
        read_signal::<Growth>(partner, as_of, &default_policy().signals.growth, &())
    }

    #[test]
    fn the_slope_in_four_weeks() {
        /// `weekly` calls, oldest first, each week's on its first day.
        #[track_caller]
        fn check(live: &str, weekly: &[i64], value: f64, score: f64, n: i64, reason: &str) {
            let mut p = partner("p");
            p.live_at = Some(at(live));
            let first = day("2026-09-15").plus(-7 * weekly.len() as i32);
            let days = weekly.iter().enumerate();
            p.days = traffic(days.map(|(i, calls)| (first.plus(7 * i as i32), *calls)));
            let answer = measured(read(&p, "2026-09-15"));
            assert!((answer.value - value).abs() < 1e-6, "{}", answer.value);
            assert!((answer.score - score).abs() < 1e-4, "{}", answer.score);
            assert_eq!((answer.n, answer.reason.as_str()), (n, reason));
        }
        check("2026-01-01", &[99; 12], 0.0, 50.0, 12, "Calls level over 12 weeks");
        // ln(1 + calls) rises by ln 2 a week: e^{4 ln 2} − 1 = 15, far beyond the scale.
        let doubling: Vec<i64> = (1..=12).map(|i| (1 << i) - 1).collect();
        check("2026-01-01", &doubling, 15.0, 100.0, 12, "Calls 16 times as many in four weeks");
        // Halving every four weeks: −1/2, shrunk by 12/16 to −0.375; 50 + 50·tanh(−1.5).
        let halving: Vec<i64> =
            (0..12).map(|i| (1e12 * 0.5f64.powf(f64::from(i) / 4.0)) as i64).collect();
        check("2026-01-01", &halving, -0.5, 4.742587, 12, "Calls −50 % in four weeks");
        // No calls at all: a flat line at 0.
        check("2026-01-01", &[0; 12], 0.0, 50.0, 12, "Calls level over 12 weeks");
        // Eight whole weeks since go-live; the shrinkage is 8/12.
        check("2026-07-21", &[99; 8], 0.0, 50.0, 8, "Calls level over 8 weeks");
        check(
            "2026-07-13T09:00:00Z",
            &halving[..9],
            -0.5,
            100.0 / (1.0 + (36.0f64 / 13.0).exp()),
            9,
            "Calls −50 % in four weeks",
        );
    }

    #[test]
    fn fewer_than_eight_weeks_are_no_trend() {
        let mut p = partner("p");
        assert_eq!(read(&p, "2026-09-15"), Reading::NotApplicable);
        p.live_at = Some(at("2026-07-21T00:00:00.000001Z"));
        let missing = |reason: &str| Reading::Missing(reason.to_owned());
        let read_at = |as_of: &str| read(&p, as_of);
        assert_eq!(read_at("2026-09-15"), missing("Live for 7 whole weeks; a trend needs 8"));
        assert_eq!(read_at("2026-08-05"), missing("Live for 2 whole weeks; a trend needs 8"));
        assert_eq!(read_at("2026-07-30"), missing("Live for 1 whole week; a trend needs 8"));
        assert_eq!(read_at("2026-07-23"), missing("Live for less than a week; a trend needs 8"));
    }

    #[test]
    fn changes_as_sentences() {
        #[track_caller]
        fn check(change: f64, weeks: i32, expected: &str) {
            assert_eq!(reason(change, weeks), expected);
        }
        check(0.0, 12, "Calls level over 12 weeks");
        check(0.004, 2, "Calls level over 2 weeks");
        check(-0.5, 12, "Calls −50 % in four weeks");
        check(0.994, 12, "Calls +99 % in four weeks");
        check(0.996, 12, "Calls twice as many in four weeks");
        check(1.5, 12, "Calls 2.5 times as many in four weeks");
        check(2.0, 12, "Calls 3 times as many in four weeks");
        check(25.0, 12, "Calls 26 times as many in four weeks");
        check(12_345.6, 12, "Calls over 1,000 times as many in four weeks");
    }
}
