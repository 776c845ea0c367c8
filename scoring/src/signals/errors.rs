//! Errors: days in W on which the partner's own errors raised the alarm of `error_trend`.

use lake_types::{Day, counted};

use super::{Measured, Question, Reading, TREND_DAYS, between};
use crate::incident::{incidents, rate, sentence, told_of};
use crate::input::ErrorDay;
use crate::words;

/// The value is the number of alarm days; n the days with calls and a baseline to hold them against.
pub(super) fn read(question: &Question<'_>) -> Reading {
    let from = question.recent_from();
    let all = &question.partner.errors;
    let recent = between(all, |d| d.day, from, question.day);
    let n = recent.iter().filter(|d| d.baseline_rate.is_some()).count();
    if n == 0 {
        let days = question.policy.windows.recent_days;
        let days = counted(i64::from(days), "day");
        return Reading::Missing(format!("No production call in {days}"));
    }
    let alarms = recent.iter().filter(|d| d.alarm).count();
    let share = alarms as f64 / f64::from(question.policy.errors.alarm_days);
    Reading::Measured(Measured {
        value: alarms as f64,
        score: 100.0 * (1.0 - share.min(1.0)),
        n: n as i64,
        reason: reason(between(all, |d| d.day, Day(i32::MIN), question.day), recent, question),
    })
}

/// The incident there is to tell of, or that there is none.
fn reason(known: &[ErrorDay], recent: &[ErrorDay], question: &Question<'_>) -> String {
    let (day, seen_from) = (question.day, question.run_day);
    let known_from = seen_from.plus(-TREND_DAYS);
    let found = incidents(known, known_from);
    match told_of(&found, question.recent_from(), day) {
        Some(incident) => sentence(incident, known, day, seen_from),
        None => {
            let recent: Vec<&ErrorDay> = recent.iter().collect();
            format!("4xx as usual, {} of calls", words::percent(rate(&recent).unwrap_or(0.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asked, day, measured, partner};

    /// Days that end before 15 September, oldest first: `.` calm, `!` alarm, ` ` no calls,
    /// `?` no baseline.
    fn trend(pattern: &str) -> Vec<ErrorDay> {
        let first = day("2026-09-15").plus(-(pattern.len() as i32));
        let days = pattern.bytes().enumerate().filter(|(_, b)| *b != b' ');
        days.map(|(i, b)| ErrorDay {
            day: first.plus(i as i32),
            calls: 1_000,
            client_error_rate: Some(if b == b'!' { 0.026 } else { 0.009 }),
            baseline_rate: (b != b'?').then_some(0.008),
            alarm: b == b'!',
        })
        .collect()
    }

    #[test]
    fn alarm_days_take_points() {
        #[track_caller]
        fn check(pattern: &str, value: f64, score: f64, n: i64, reason: &str) {
            let mut p = partner("p");
            p.errors = trend(pattern);
            let answer = measured(asked(&p, "2026-09-15", read));
            assert!((answer.score - score).abs() < 1e-9, "{}", answer.score);
            assert_eq!((answer.value, answer.n, answer.reason.as_str()), (value, n, reason));
        }
        let tripled = |day: &str| format!("4xx tripled on {day}: 0.8 % → 2.6 %");
        check("....", 0.0, 100.0, 4, "4xx as usual, 0.9 % of calls");
        check("..!!", 2.0, 100.0 * 5.0 / 7.0, 4, &tripled("13 Sep"));
        check("!!!!!!!!!!", 10.0, 0.0, 10, &tripled("5 Sep"));
        let quiet = "4xx 2.6 % from 10 to 12 Sep, 0.9 % in the 2 days since";
        check("!!!..", 3.0, 100.0 * 4.0 / 7.0, 5, quiet);
        let over = "4xx 2.6 % from 4 to 6 Sep, back to 0.9 %";
        check("!!!........", 3.0, 100.0 * 4.0 / 7.0, 11, over);
        check("! !", 2.0, 100.0 * 5.0 / 7.0, 2, &tripled("12 Sep"));
        check("??.", 0.0, 100.0, 1, "4xx as usual, 0.9 % of calls");
        // It began before W, 28 days; only the alarms within take points.
        let long = format!(".{}", "!".repeat(30));
        check(&long, 28.0, 0.0, 28, &tripled("16 Aug"));
        // An alarm before W is forgotten.
        check(&format!("!{}", ".".repeat(28)), 0.0, 100.0, 28, "4xx as usual, 0.9 % of calls");
    }

    #[test]
    fn silence_is_no_evidence() {
        for pattern in ["", "????", &format!(".{}", " ".repeat(28))] {
            let mut p = partner("p");
            p.errors = trend(pattern);
            let reading = asked(&p, "2026-09-15", read);
            let reason = "No production call in 28 days".to_owned();
            assert_eq!(reading, Reading::Missing(reason), "{pattern:?}");
        }
    }
}
