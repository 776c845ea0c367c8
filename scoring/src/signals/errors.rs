//! Errors: days in W on which the partner's own errors raised the alarm of `error_trend`.

use lake_types::Day;

use super::{Measured, Question, Reading, between};
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
        return Reading::Missing(format!("No production call in {days} days"));
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

/// What happened last: an alarm that holds, one that is over, or nothing.
fn reason(known: &[ErrorDay], recent: &[ErrorDay], question: &Question<'_>) -> String {
    let Some(last) = recent.iter().rposition(|d| d.alarm) else {
        return format!("4xx as usual, {} of calls", words::percent(rate(recent)));
    };
    let after = recent.get(last + 1..).unwrap_or_default();
    if let Some(first_calm) = after.first() {
        let day = words::date(first_calm.day, question.run_day);
        return format!("4xx back to {} since {day}", words::percent(rate(after)));
    }
    // The run of alarms may have begun before W.
    let calm = known.iter().rposition(|d| !d.alarm).map_or(0, |at| at + 1);
    let run = known.get(calm..).unwrap_or_default();
    let Some(first) = run.first() else { return String::new() };
    let (before, now) = (first.baseline_rate.unwrap_or(0.0), rate(run));
    let day = words::date(first.day, question.run_day);
    let (from, to) = (words::percent(before), words::percent(now));
    format!("4xx {} on {day}: {from} → {to}", grown(now / before))
}

fn grown(times: f64) -> String {
    match times {
        t if !t.is_finite() || t < 1.75 => "up".to_owned(),
        t if t < 2.5 => "doubled".to_owned(),
        t if t < 3.5 => "tripled".to_owned(),
        t => format!("up {t:.0}-fold"),
    }
}

/// Client errors over calls; 0 without calls.
fn rate(days: &[ErrorDay]) -> f64 {
    let calls: i64 = days.iter().map(|d| d.calls).sum();
    let errors: f64 =
        days.iter().map(|d| d.client_error_rate.unwrap_or(0.0) * d.calls as f64).sum();
    if calls == 0 { 0.0 } else { errors / calls as f64 }
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
        check("....", 0.0, 100.0, 4, "4xx as usual, 0.9 % of calls");
        check("..!!", 2.0, 100.0 * 5.0 / 7.0, 4, "4xx tripled on 13 Sep: 0.8 % → 2.6 %");
        check("!!!!!!!!!!", 10.0, 0.0, 10, "4xx tripled on 5 Sep: 0.8 % → 2.6 %");
        check("!!!..", 3.0, 100.0 * 4.0 / 7.0, 5, "4xx back to 0.9 % since 13 Sep");
        check("! !", 2.0, 100.0 * 5.0 / 7.0, 2, "4xx tripled on 12 Sep: 0.8 % → 2.6 %");
        check("??.", 0.0, 100.0, 1, "4xx as usual, 0.9 % of calls");
        // The run began before W, 28 days; only those within count.
        let long = format!(".{}", "!".repeat(30));
        check(&long, 28.0, 0.0, 28, "4xx tripled on 16 Aug: 0.8 % → 2.6 %");
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

    #[test]
    fn growth_in_words() {
        let words = [0.9, 1.74, 1.75, 2.49, 2.5, 3.49, 3.5, 12.4, f64::INFINITY].map(grown);
        let expected = [
            "up",
            "up",
            "doubled",
            "doubled",
            "tripled",
            "tripled",
            "up 4-fold",
            "up 12-fold",
            "up",
        ];
        assert_eq!(words, expected);
    }
}
