//! Onboarding: how long from registration to the first production success, on a log scale.

use domain::MICROS_PER_DAY;
use domain::format::duration_in_words;
use serde::Deserialize;

use super::signal::{Measurement, Reading, Signal, SignalContext};
use crate::value_check::{ValueCheck, is_positive, value_check};
use crate::windows::Windows;

const MICROS_PER_MINUTE: f64 = 60_000_000.0;

/// The signal `onboarding`. Its value is in seconds; its n is 1, the registration it rests on.
pub(crate) struct Onboarding;

/// The table `[onboarding]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Minutes up to which the score is 100.
    fast_minutes: f64,
    /// Days from which the score is 0.
    slow_days: f64,
    /// Days after go-live for which the signal applies.
    counts_days: i32,
}

impl Signal for Onboarding {
    type Parameters = Parameters;
    type Data = ();

    fn checks(parameters: &Parameters, _windows: &Windows) -> Vec<ValueCheck> {
        let (fast, slow) = (parameters.fast_minutes, parameters.slow_days);
        let counts = parameters.counts_days;
        let is_slower = is_positive(slow) && slow * 1_440.0 > fast;
        vec![
            value_check("onboarding.fast_minutes", &fast, "more than 0", is_positive(fast)),
            value_check("onboarding.slow_days", &slow, "longer than fast_minutes", is_slower),
            value_check("onboarding.counts_days", &counts, "0 or more", counts >= 0),
        ]
    }

    fn read(context: &SignalContext<'_>, parameters: &Parameters, (): &()) -> Reading {
        let partner = context.partner;
        let now = context.day.start_micros();
        let Some(registered) = partner.registered_at else { return Reading::NotApplicable };
        let counts = i64::from(parameters.counts_days) * MICROS_PER_DAY;
        if partner.live_at.is_some_and(|live| now - live >= counts) {
            return Reading::NotApplicable;
        }
        // A first success before the registration has a delay of 0 (metrics.md).
        let delay = (partner.live_at.unwrap_or(now) - registered).max(0);
        let slow = parameters.slow_days * MICROS_PER_DAY as f64;
        let fast = parameters.fast_minutes * MICROS_PER_MINUTE;
        let share = if delay == 0 { 1.0 } else { (slow / delay as f64).ln() / (slow / fast).ln() };
        let reason = match partner.live_at {
            Some(_) if delay == 0 => "Live from its registration on".to_owned(),
            Some(_) => format!("Live {} after registration", duration_in_words(delay)),
            None => format!("Not live {} after registration", duration_in_words(delay)),
        };
        Reading::Measured(Measurement {
            value: delay as f64 / 1e6,
            score: 100.0 * share.clamp(0.0, 1.0),
            n: 1,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Partner;
    use crate::test_input::{at, default_policy, measured, partner, read_signal};

    fn read(partner: &Partner, as_of: &str) -> Reading {
        read_signal::<Onboarding>(partner, as_of, &default_policy().signals.onboarding, &())
    }

    #[test]
    fn time_to_live_on_a_log_scale() {
        #[track_caller]
        fn check(registered: &str, live: &str, score: f64, reason: &str) {
            let mut p = partner("p");
            p.registered_at = Some(at(registered));
            p.live_at = (!live.is_empty()).then(|| at(live));
            let answer = measured(read(&p, "2026-09-15"));
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
        assert_eq!(read(&p, "2026-09-15"), Reading::NotApplicable, "never registered");
        p.registered_at = Some(at("2026-06-16"));
        assert_eq!(read(&p, "2026-09-15"), Reading::NotApplicable);
        assert!(matches!(read(&p, "2026-09-14"), Reading::Measured(_)));
    }
}
