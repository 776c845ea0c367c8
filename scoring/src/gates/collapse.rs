//! Collapse: the calls of 14 days against those of two usual weeks.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers};
use crate::gates::{GatePolicy, holds_for};

/// What a collapse is told from.
pub(crate) struct Collapse<'a> {
    /// Calls of the last 14 days, scaled to 14 where calm days are left out.
    pub calls: &'a Numbers,
    /// The median weekly calls of the baseline.
    pub baseline_week: &'a Numbers,
    /// The median weekly calls of the 12 weeks before the baseline. A baseline that already holds
    /// the collapse is lower than the former level; these weeks are not.
    pub former_week: &'a Numbers,
    /// The median gap between active days, in days. A partner that calls once in two weeks has no
    /// call in one of them, and now and then none in 14 days.
    pub cadence: &'a Numbers,
    /// The median of [`calls_ratio`] in the partner's segment.
    pub peers_ratio: &'a Numbers,
}

/// Returns the calls of 14 days over those of two weeks of the baseline; NULL where the baseline has
/// no calls.
pub(crate) fn calls_ratio(calls: &Numbers, baseline_week: &Numbers) -> Numbers {
    calls.over(&(baseline_week * 2.0))
}

impl Collapse<'_> {
    /// Returns where calls have collapsed. The fall of the segment is taken out: a ratio of 0.3
    /// where that of the segment is 0.6 counts as 0.5. A segment that does not call at all explains
    /// every fall. A partner that calls less than about weekly is not judged.
    pub(crate) fn condition(&self, policy: &GatePolicy) -> BooleanChunked {
        let ratio = calls_ratio(self.calls, self.baseline_week);
        let own = ratio.over(&self.peers_ratio.or(1.0).clip(0.0, 1.0));
        let is_large = self.baseline_week.is(|calls| calls >= policy.collapse_min_week_calls);
        let is_weekly = self.cadence.is(|days| days <= policy.collapse_max_cadence_days);
        own.is(|ratio| ratio <= policy.collapse_ratio) & is_large & is_weekly
    }

    /// Returns where calls are below half of the former level, or not known to be above it. The
    /// former level is the greater one of the baseline and of the weeks before it.
    pub(crate) fn below_half(&self, policy: &GatePolicy) -> BooleanChunked {
        let former = self.baseline_week.or(0.0).greater(&self.former_week.or(0.0));
        let is_large = former.is(|calls| calls >= policy.collapse_min_week_calls);
        let wanted = former * (2.0 * policy.collapse_recovered_ratio);
        is_large & !holds_for(self.calls, &wanted, |calls, wanted| calls >= wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::policy::default_gates;

    fn column(value: Option<f64>) -> Numbers {
        [value].into_iter().collect()
    }

    #[test]
    fn a_partner_that_calls_less_than_weekly_is_not_judged() {
        #[track_caller]
        fn check(cadence: f64, condition: bool) {
            let (silent, week) = (column(Some(0.0)), column(Some(50.0)));
            let collapse = Collapse {
                calls: &silent,
                baseline_week: &week,
                former_week: &week,
                cadence: &column(Some(cadence)),
                peers_ratio: &column(None),
            };
            assert_eq!(collapse.condition(&default_gates()).get(0), Some(condition));
        }
        check(1.0, true);
        check(8.0, true);
        check(8.5, false);
        check(14.0, false);
    }

    #[test]
    fn a_fall_is_measured_against_two_weeks_of_the_baseline() {
        #[track_caller]
        fn check(
            calls: Option<f64>,
            weeks: [Option<f64>; 2],
            peers: Option<f64>,
            condition: bool,
            below_half: bool,
        ) {
            let [baseline, former] = weeks.map(column);
            let collapse = Collapse {
                calls: &column(calls),
                baseline_week: &baseline,
                former_week: &former,
                cadence: &column(Some(1.0)),
                peers_ratio: &column(peers),
            };
            let policy = default_gates();
            let found = [collapse.condition(&policy), collapse.below_half(&policy)];
            assert_eq!(found.map(|column| column.get(0)), [Some(condition), Some(below_half)]);
        }
        let steady = [Some(100.0), Some(100.0)];
        check(Some(200.0), steady, None, false, false);
        check(Some(70.0), steady, None, true, true);
        check(Some(71.0), steady, None, false, true);
        check(Some(99.0), steady, None, false, true);
        check(Some(100.0), steady, None, false, false);
        check(Some(0.0), steady, None, true, true);
        // A week of 25 calls is enough, one of 24 is not.
        check(Some(0.0), [Some(25.0), None], None, true, true);
        check(Some(0.0), [Some(24.0), None], None, false, false);
        // The fall of the segment is taken out; its rise is not.
        check(Some(60.0), steady, Some(0.6), false, true);
        check(Some(40.0), steady, Some(0.6), true, true);
        check(Some(71.0), steady, Some(3.0), false, true);
        check(Some(70.0), steady, Some(3.0), true, true);
        check(Some(0.0), steady, Some(0.0), false, true);
        // The baseline has moved on to the low level, the weeks before it have not.
        check(Some(60.0), [Some(30.0), Some(100.0)], None, false, true);
        check(Some(60.0), [Some(30.0), None], None, false, false);
        // Nothing is known of the last 14 days, or of the time before them.
        check(None, steady, None, false, true);
        check(Some(70.0), [None, None], None, false, false);
        check(Some(0.0), [Some(0.0), None], None, false, false);
    }
}
