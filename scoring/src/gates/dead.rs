//! Dead: every call of the last three days failed.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers};
use crate::gates::GatePolicy;

/// Returns where there were enough calls on the last three days, and none of them succeeded.
pub(crate) fn dead(calls: &Numbers, successes: &Numbers, policy: &GatePolicy) -> BooleanChunked {
    calls.is(|calls| calls >= policy.dead_min_calls) & successes.is(|successes| successes <= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::policy::default_gates;

    #[test]
    fn all_of_at_least_ten_calls_fail() {
        #[track_caller]
        fn check(calls: Option<f64>, successes: Option<f64>, expected: bool) {
            let column = |value: Option<f64>| [value].into_iter().collect::<Numbers>();
            let found = dead(&column(calls), &column(successes), &default_gates());
            assert_eq!(found.get(0), Some(expected));
        }
        check(Some(10.0), Some(0.0), true);
        check(Some(9.0), Some(0.0), false);
        check(Some(5_000.0), Some(1.0), false);
        check(Some(0.0), Some(0.0), false);
        check(None, None, false);
        check(Some(10.0), None, false);
    }
}
