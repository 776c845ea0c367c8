//! Onboarding: how long from registration to the first production success, on a log scale.

use domain::MICROS_PER_DAY;
use domain::format::duration_in_words;
use polars::prelude::Int64Chunked;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::frames::ScoreError;
use crate::partner_columns::PartnerColumns;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

const MICROS_PER_SECOND: f64 = 1e6;
const MINUTES_PER_DAY: f64 = 1_440.0;
const SECONDS_PER_MINUTE: f64 = 60.0;

/// The signal `onboarding`: 100 · clip(ln(slow / t) / ln(slow / fast), 0, 1), t from registration to
/// go-live, or until now.
///
/// Its value is t in seconds; its n is 1, the registration it rests on. Its weight fades to nothing
/// after go-live, and from then on it does not apply.
pub(crate) struct Onboarding;

/// The table `[onboarding]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Minutes up to which the score is 100.
    fast_minutes: f64,
    /// Days from which the score is 0.
    slow_days: f64,
    /// Days after go-live over which the weight fades.
    fades_days: f64,
}

impl Signal for Onboarding {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_partner";

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { fast_minutes: fast, slow_days: slow, fades_days: fades } = *parameters;
        let is_slower = is_positive(slow) && slow * MINUTES_PER_DAY > fast;
        vec![
            value_check("onboarding.fast_minutes", &fast, "more than 0", is_positive(fast)),
            value_check("onboarding.slow_days", &slow, "longer than fast_minutes", is_slower),
            value_check("onboarding.fades_days", &fades, "more than 0", is_positive(fades)),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let partners = input.partners;
        let fast = parameters.fast_minutes * SECONDS_PER_MINUTE;
        let slow = parameters.slow_days * MINUTES_PER_DAY * SECONDS_PER_MINUTE;
        let fades = parameters.fades_days;
        let weight_share = partners.live_days.map(|days| (1.0 - days / fades).clamp(0.0, 1.0));
        let weight_share = weight_share.or(1.0);
        let delay = delays(partners).only_where(&weight_share.is(|share| share > 0.0));
        // Without any delay the logarithm is infinite, and the score 100.
        let score =
            delay.map(|delay| 100.0 * ((slow / delay).ln() / (slow / fast).ln()).clamp(0.0, 1.0));
        let n: Int64Chunked = delay.iter().map(|delay| delay.map(|_| 1)).collect();
        Ok(Measured {
            applies: delay.is_not_null(),
            value: delay,
            score,
            n,
            weight_share: Some(weight_share),
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        _parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let live_at = &input.partners.live_at;
        Ok(measured.sentences(|row, delay| {
            let delay = delay.unwrap_or_default();
            let after = || duration_in_words((delay * MICROS_PER_SECOND) as i64);
            match live_at.get(row) {
                Some(_) if delay == 0.0 => "Live from its registration on".to_owned(),
                Some(_) => format!("Live {} after registration", after()),
                None => format!("Not live {} after registration", after()),
            }
        }))
    }
}

/// Returns the seconds from registration to go-live, or to the evaluated day. A first success before
/// the registration has a delay of 0 (metrics.md).
fn delays(partners: &PartnerColumns) -> Numbers {
    let days = partners.keys.days().iter();
    let dates = partners.registered_at.iter().zip(partners.live_at.iter());
    days.zip(dates)
        .map(|(day, (registered, live))| {
            let end = live.or(day.map(|day| i64::from(day) * MICROS_PER_DAY))?;
            Some((end - registered?).max(0) as f64 / MICROS_PER_SECOND)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::DataFrame;

    use super::*;
    use crate::test_input::{Answer, TestPartner, at, default_policy, measure};

    /// Measures a partner as of 15 September.
    fn answer(registered: &str, live: &str) -> Answer {
        let instant = |text: &str| (!text.is_empty()).then(|| at(text));
        let partner = TestPartner {
            registered_at: instant(registered),
            live_at: instant(live),
            ..TestPartner::default()
        };
        let parameters = default_policy().signals.onboarding;
        measure::<Onboarding>(&[partner], &DataFrame::empty_with_height(1), &parameters).of(0)
    }

    #[test]
    fn time_to_live_on_a_log_scale() {
        #[track_caller]
        fn check(registered: &str, live: &str, score: f64, reason: &str) {
            let answer = answer(registered, live);
            let found = answer.score.expect("a score");
            assert!((found - score).abs() < 5e-4, "{found}");
            assert_eq!((answer.n, answer.reason.as_deref()), (1, Some(reason)));
        }
        let registered = "2026-09-01T00:00:00Z";
        check(registered, "2026-09-01T00:30:00Z", 100.0, "Live 30 minutes after registration");
        check(registered, "2026-09-01T00:05:00Z", 100.0, "Live 5 minutes after registration");
        check("2026-09-02", "2026-09-01", 100.0, "Live from its registration on");
        check("2026-09-01", "2026-09-01", 100.0, "Live from its registration on");
        // ln(14 d / 1 d) / ln(14 d / 30 min) = 2.639057 / 6.510258
        check("2026-09-01", "2026-09-02", 40.5369, "Live 24 hours after registration");
        // ln(14 / 7) / ln(672) = 0.693147 / 6.510258
        check("2026-09-01", "2026-09-08", 10.6470, "Live 7 days after registration");
        check("2026-08-01", "2026-09-01", 0.0, "Live 31 days after registration");
        check("2026-09-08", "", 10.6470, "Not live 7 days after registration");
    }

    #[test]
    fn the_weight_fades_in_90_days_after_go_live() {
        #[track_caller]
        fn check(live: &str, weight_share: f64) {
            let answer = answer("2026-06-01", live);
            assert!((answer.weight_share - weight_share).abs() < 1e-12, "{answer:?}");
            assert_eq!(answer.applies, weight_share > 0.0);
        }
        check("", 1.0);
        check("2026-09-15", 1.0);
        check("2026-08-01", 0.5);
        check("2026-06-18", 1.0 / 90.0);
        check("2026-06-17", 0.0);
        check("2026-06-01", 0.0);
        answer("2026-06-01", "2026-06-17").check_not_applicable();
        answer("", "2026-09-01").check_not_applicable();
    }
}
