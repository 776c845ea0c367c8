//! Collapse: the calls of 14 days against those of two usual weeks.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers};
use crate::gates::recent_calls::RecentCalls;
use crate::gates::{GatePolicy, holds_for};

/// What a collapse is told from.
pub(crate) struct Collapse<'a> {
    pub recent: RecentCalls<'a>,
    /// The median weekly calls of the 12 weeks before the baseline. A baseline that already holds
    /// the collapse is lower than the former level; these weeks are not.
    pub former_week: &'a Numbers,
}

impl Collapse<'_> {
    /// Returns where calls have collapsed.
    pub(crate) fn condition(&self, policy: &GatePolicy) -> BooleanChunked {
        self.recent.own_ratio(policy).is(|ratio| ratio <= policy.collapse_ratio)
    }

    /// Returns where calls are below half of the former level, or not known to be above it. The
    /// former level is the greater one of the baseline and of the weeks before it.
    pub(crate) fn below_half(&self, policy: &GatePolicy) -> BooleanChunked {
        let former = self.recent.baseline_week.or(0.0).greater(&self.former_week.or(0.0));
        let is_large = former.is(|calls| calls >= policy.collapse_min_week_calls);
        let wanted = former * (2.0 * policy.collapse_recovered_ratio);
        is_large & !holds_for(self.recent.calls, &wanted, |calls, wanted| calls >= wanted)
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
                recent: RecentCalls {
                    calls: &silent,
                    baseline_week: &week,
                    cadence: &column(Some(cadence)),
                    peers_ratio: &column(None),
                },
                former_week: &week,
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
                recent: RecentCalls {
                    calls: &column(calls),
                    baseline_week: &baseline,
                    cadence: &column(Some(1.0)),
                    peers_ratio: &column(peers),
                },
                former_week: &former,
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
