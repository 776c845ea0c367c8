//! Silence: no success for longer than is usual for the partner.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers};
use crate::gates::{GatePolicy, holds_for};

/// What silence is told from. All columns but the last are in days.
pub(crate) struct Silence<'a> {
    /// Whole days since the last success.
    pub silent_days: &'a Numbers,
    /// Of these, the calm ones.
    pub calm_days: &'a Numbers,
    pub cadence: &'a Numbers,
    /// The longest gap between active days of the last 180.
    pub longest_gap: &'a Numbers,
    /// The number of active days in the baseline.
    pub active_days: &'a Numbers,
}

impl Silence<'_> {
    /// Returns where a partner that used to be active has been silent for too long.
    pub(crate) fn condition(&self, policy: &GatePolicy) -> BooleanChunked {
        let silent = self.silent_days - &self.calm_days.or(0.0);
        let by_cadence = self.cadence.or(1.0) * policy.silence_cadences;
        let by_gap = self.longest_gap.or(0.0) * policy.silence_longest_gaps;
        let allowed = by_cadence.greater(&by_gap).map(|days| days.max(policy.silence_days));
        let was_active = self.active_days.is(|days| days >= policy.silence_min_active_days);
        holds_for(&silent, &allowed, |silent, allowed| silent >= allowed) & was_active
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::policy::default_gates;

    #[test]
    fn silence_depends_on_what_is_usual() {
        #[track_caller]
        fn check([silent, calm, cadence, gap, active]: [Option<f64>; 5], expected: bool) {
            let column = |value: Option<f64>| [value].into_iter().collect::<Numbers>();
            let silence = Silence {
                silent_days: &column(silent),
                calm_days: &column(calm),
                cadence: &column(cadence),
                longest_gap: &column(gap),
                active_days: &column(active),
            };
            assert_eq!(silence.condition(&default_gates()).get(0), Some(expected));
        }
        let daily = |silent, calm| [Some(silent), Some(calm), Some(1.0), Some(3.0), Some(84.0)];
        check(daily(13.0, 0.0), false);
        check(daily(14.0, 0.0), true);
        check(daily(20.0, 7.0), false);
        check(daily(21.0, 7.0), true);
        // A weekly caller: three of its gaps.
        let weekly = |silent| [Some(silent), Some(0.0), Some(7.0), Some(8.0), Some(12.0)];
        check(weekly(20.0), false);
        check(weekly(21.0), true);
        // A daily caller that paused for 20 days before.
        check([Some(29.0), Some(0.0), Some(1.0), Some(20.0), Some(60.0)], false);
        check([Some(30.0), Some(0.0), Some(1.0), Some(20.0), Some(60.0)], true);
        // Too few active days, as of a fortnightly caller.
        check([Some(60.0), Some(0.0), Some(1.0), Some(3.0), Some(7.0)], false);
        check([Some(60.0), Some(0.0), Some(1.0), Some(3.0), Some(8.0)], true);
        // Nothing is known of its rhythm, or of the partner.
        check([Some(14.0), None, None, None, Some(8.0)], true);
        check([None, None, None, None, None], false);
    }
}
