//! Decline: the calls of 14 days against the lowest that two weeks were before.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers};
use crate::gates::GatePolicy;
use crate::gates::recent_calls::RecentCalls;

/// What a decline is told from.
pub(crate) struct Decline<'a> {
    pub recent: RecentCalls<'a>,
    /// The least weekly calls of the baseline: what is usual for this partner now and then.
    pub lowest_week: &'a Numbers,
}

impl Decline<'_> {
    /// Returns where calls decline by more than chance and more than they ever did in the baseline.
    pub(crate) fn condition(&self, policy: &GatePolicy) -> BooleanChunked {
        let usual = self.recent.baseline_week * 2.0;
        let own = self.recent.own_ratio(policy);
        let calls = own.clone() * usual.clone();
        let missing = (usual.clone() - calls.clone()).over(&usual.map(f64::sqrt));
        let below_lowest = calls - self.lowest_week * 2.0;
        own.is(|ratio| ratio <= policy.decline_ratio)
            & missing.is(|deviations| deviations >= policy.decline_deviations)
            & below_lowest.is(|calls| calls < 0.0)
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
    fn a_decline_is_more_than_chance_and_more_than_ever_before() {
        #[track_caller]
        fn check(calls: f64, [median, lowest]: [f64; 2], peers: Option<f64>, expected: bool) {
            let decline = Decline {
                recent: RecentCalls {
                    calls: &column(Some(calls)),
                    baseline_week: &column(Some(median)),
                    cadence: &column(Some(1.0)),
                    peers_ratio: &column(peers),
                },
                lowest_week: &column(Some(lowest)),
            };
            assert_eq!(decline.condition(&default_gates()).get(0), Some(expected));
        }
        // Usually 1,000 in two weeks: 750 are three quarters, 7.9 deviations less.
        check(750.0, [500.0, 400.0], None, true);
        check(751.0, [500.0, 400.0], None, false);
        // One of the twelve weeks was as low.
        check(750.0, [500.0, 375.0], None, false);
        check(749.0, [500.0, 375.0], None, true);
        // Usually 100: chance reaches down to 55.
        check(54.0, [50.0, 40.0], None, true);
        check(56.0, [50.0, 40.0], None, false);
        // Fewer calls a week than 25 are not judged.
        check(0.0, [25.0, 20.0], None, true);
        check(0.0, [24.0, 20.0], None, false);
        // The segment fell to the same share, or rose.
        check(700.0, [500.0, 400.0], Some(0.7), false);
        check(500.0, [500.0, 400.0], Some(0.7), true);
        check(750.0, [500.0, 400.0], Some(2.0), true);
    }

    #[test]
    fn what_is_not_known_is_no_decline() {
        let known = column(Some(500.0));
        let decline = |calls: Option<f64>, lowest: Option<f64>, cadence: f64| {
            let decline = Decline {
                recent: RecentCalls {
                    calls: &column(calls),
                    baseline_week: &known,
                    cadence: &column(Some(cadence)),
                    peers_ratio: &column(None),
                },
                lowest_week: &column(lowest),
            };
            decline.condition(&default_gates()).get(0)
        };
        assert_eq!(decline(Some(100.0), Some(400.0), 8.0), Some(true));
        assert_ne!(decline(None, Some(400.0), 1.0), Some(true));
        assert_ne!(decline(Some(100.0), None, 1.0), Some(true));
        assert_ne!(decline(Some(100.0), Some(400.0), 8.5), Some(true));
    }
}
