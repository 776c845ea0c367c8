//! The two windows before `as_of`: the recent days that signals look at, 28 by default, and the
//! baseline before them, which says what is usual.

use domain::Day;
use serde::Deserialize;

/// The lengths of the windows, in days. The recent window W ends with the day before the day that
/// is looked from; the baseline window B ends with the day before W.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Length of W.
    pub recent_days: i32,
    /// Length of B.
    pub baseline_days: i32,
}

impl Windows {
    /// Returns the first day of W, seen from `day`, the first day after W.
    pub(crate) fn recent_start(&self, day: Day) -> Day {
        day.plus(-self.recent_days)
    }

    /// Returns the first day of B, seen from `day`, the first day after W.
    pub(crate) fn baseline_start(&self, day: Day) -> Day {
        self.recent_start(day).plus(-self.baseline_days)
    }
}
