//! The calls of 14 days beside those of two usual weeks, which collapse and decline both look at.

use crate::columns::{ColumnMath, Numbers};
use crate::gates::GatePolicy;

/// What a fall of calls is told from.
#[derive(Clone, Copy)]
pub(crate) struct RecentCalls<'a> {
    /// Calls of the last 14 days, scaled to 14 where calm days are left out.
    pub calls: &'a Numbers,
    /// The median weekly calls of the baseline.
    pub baseline_week: &'a Numbers,
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

impl RecentCalls<'_> {
    /// Returns the ratio with the fall of the segment taken out: 0.3 where that of the segment is
    /// 0.6 counts as 0.5, and a segment that does not call at all explains every fall. NULL for a
    /// partner that is not judged: it calls too little, or less than about weekly.
    pub(crate) fn own_ratio(&self, policy: &GatePolicy) -> Numbers {
        let ratio = calls_ratio(self.calls, self.baseline_week);
        let is_large = self.baseline_week.is(|calls| calls >= policy.collapse_min_week_calls);
        let is_weekly = self.cadence.is(|days| days <= policy.collapse_max_cadence_days);
        let own = ratio.over(&self.peers_ratio.or(1.0).clip(0.0, 1.0));
        own.only_where(&(is_large & is_weekly))
    }
}
