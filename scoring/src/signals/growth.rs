//! Growth: the Theil–Sen slope of the log of weekly calls, in four weeks' change, shrunk.

use lake_types::counted;

use super::{Measured, Question, Reading};
use crate::robust::theil_sen;
use crate::words;

/// The value is the change in four weeks before shrinking, a ratio; n the complete weeks.
///
/// A week is seven days that end with a day before `as_of`, so that each holds every weekday once.
pub(super) fn read(question: &Question<'_>) -> Reading {
    let policy = &question.policy.growth;
    let Some(live) = question.first_live_day() else { return Reading::NotApplicable };
    let lived = (question.day.0 - live.0).div_euclid(7);
    let weeks = lived.min(policy.max_weeks);
    if weeks < policy.min_weeks {
        let seen = match lived.max(0) {
            0 => "less than a week".to_owned(),
            weeks => counted(i64::from(weeks), "whole week"),
        };
        return Reading::Missing(format!("Live for {seen}; a trend needs {}", policy.min_weeks));
    }
    let logs: Vec<f64> = (0..weeks)
        .map(|week| {
            let from = question.day.plus(7 * (week - weeks));
            let calls: i64 = question.calls(from, from.plus(7)).iter().map(|d| d.calls).sum();
            (calls as f64).ln_1p()
        })
        .collect();
    let slope = theil_sen(&logs).unwrap_or(0.0);
    let change = (4.0 * slope).exp_m1();
    let n = f64::from(weeks);
    let shrunk = change * n / (n + policy.shrink_weeks);
    Reading::Measured(Measured {
        value: change,
        score: 50.0 + 50.0 * (shrunk / policy.scale).tanh(),
        n: i64::from(weeks),
        reason: reason(change, weeks),
    })
}

fn reason(change: f64, weeks: i32) -> String {
    let percent = (change * 100.0).round();
    if percent == 0.0 {
        return format!("Calls level over {weeks} weeks");
    }
    if percent >= 100.0 {
        return format!("Calls {} as many in four weeks", words::times(1.0 + change));
    }
    let sign = if percent < 0.0 { "−" } else { "+" };
    format!("Calls {sign}{:.0} % in four weeks", percent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asked, at, day, measured, partner, traffic};

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
            let answer = measured(asked(&p, "2026-09-15", read));
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
        assert_eq!(asked(&p, "2026-09-15", read), Reading::NotApplicable);
        p.live_at = Some(at("2026-07-21T00:00:00.000001Z"));
        let missing = |reason: &str| Reading::Missing(reason.to_owned());
        let read_at = |as_of: &str| asked(&p, as_of, read);
        assert_eq!(read_at("2026-09-15"), missing("Live for 7 whole weeks; a trend needs 8"));
        assert_eq!(read_at("2026-08-05"), missing("Live for 2 whole weeks; a trend needs 8"));
        assert_eq!(read_at("2026-07-30"), missing("Live for 1 whole week; a trend needs 8"));
        assert_eq!(read_at("2026-07-23"), missing("Live for less than a week; a trend needs 8"));
    }

    #[test]
    fn the_change_in_words() {
        #[track_caller]
        fn check(change: f64, weeks: i32, due: &str) {
            assert_eq!(reason(change, weeks), due);
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
