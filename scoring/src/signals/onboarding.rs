//! Onboarding: how long from registration to the first production success, on a log scale.

use lake_types::MICROS_PER_DAY;

use super::{Measured, Question, Reading};
use crate::words;

const MICROS_PER_MINUTE: f64 = 60_000_000.0;

/// The value is in seconds; n is 1, the one registration it rests on.
pub(super) fn read(question: &Question<'_>) -> Reading {
    let (partner, policy) = (question.partner, &question.policy.onboarding);
    let now = question.day.start_micros();
    let Some(registered) = partner.registered_at else { return Reading::NotApplicable };
    let counts = i64::from(policy.counts_days) * MICROS_PER_DAY;
    if partner.live_at.is_some_and(|live| now - live >= counts) {
        return Reading::NotApplicable;
    }
    // A first success before the registration has a delay of 0 (metrics.md).
    let waited = (partner.live_at.unwrap_or(now) - registered).max(0);
    let slow = policy.slow_days * MICROS_PER_DAY as f64;
    let fast = policy.fast_minutes * MICROS_PER_MINUTE;
    let share = if waited == 0 { 1.0 } else { (slow / waited as f64).ln() / (slow / fast).ln() };
    let reason = match partner.live_at {
        Some(_) if waited == 0 => "Live from its registration on".to_owned(),
        Some(_) => format!("Live {} after registration", words::span(waited)),
        None => format!("Not live {} after registration", words::span(waited)),
    };
    Reading::Measured(Measured {
        value: waited as f64 / 1e6,
        score: 100.0 * share.clamp(0.0, 1.0),
        n: 1,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asked, at, measured, partner};

    #[test]
    fn time_to_live_on_a_log_scale() {
        #[track_caller]
        fn check(registered: &str, live: &str, score: f64, reason: &str) {
            let mut p = partner("p");
            p.registered_at = Some(at(registered));
            p.live_at = (!live.is_empty()).then(|| at(live));
            let answer = measured(asked(&p, "2026-09-15", read));
            assert!((answer.score - score).abs() < 5e-4, "{}", answer.score);
            assert_eq!((answer.n, answer.reason.as_str()), (1, reason));
        }
        check(
            "2026-09-01T00:00:00Z",
            "2026-09-01T00:30:00Z",
            100.0,
            "Live 30 minutes after registration",
        );
        check(
            "2026-09-01T00:00:00Z",
            "2026-09-01T00:05:00Z",
            100.0,
            "Live 5 minutes after registration",
        );
        check("2026-09-02", "2026-09-01", 100.0, "Live from its registration on");
        // ln(14 d / 1 d) / ln(14 d / 30 min) = 2.639057 / 6.510258
        check("2026-09-01", "2026-09-02", 40.5369, "Live 24 hours after registration");
        // ln(14 / 7) / ln(672) = 0.693147 / 6.510258
        check("2026-09-01", "2026-09-08", 10.6470, "Live 7 days after registration");
        check("2026-08-01", "2026-09-01", 0.0, "Live 31 days after registration");
        check("2026-09-08", "", 10.6470, "Not live 7 days after registration");
    }

    #[test]
    fn it_counts_until_90_days_after_go_live() {
        let mut p = partner("p");
        p.live_at = Some(at("2026-06-17"));
        assert_eq!(asked(&p, "2026-09-15", read), Reading::NotApplicable, "never registered");
        p.registered_at = Some(at("2026-06-16"));
        assert_eq!(asked(&p, "2026-09-15", read), Reading::NotApplicable);
        assert!(matches!(asked(&p, "2026-09-14", read), Reading::Measured(_)));
    }
}
