//! Revenue gone: the gross of the last complete month against that of the months before, while the
//! partner still calls.

use polars::prelude::BooleanChunked;

use crate::columns::Numbers;
use crate::gates::{GatePolicy, holds_for};

/// What it is told from that revenue is gone.
pub(crate) struct RevenueGone<'a> {
    /// Of the last complete month.
    pub gross: &'a Numbers,
    /// The median of the three months before.
    pub usual_gross: &'a Numbers,
    /// Calls of the last complete month.
    pub calls: &'a Numbers,
    /// The median of the three months before.
    pub usual_calls: &'a Numbers,
}

impl RevenueGone<'_> {
    /// Returns where gross fell to the policy's share of what is usual, and calls did not. A partner
    /// that did not call before has no calls to lose.
    pub(crate) fn condition(&self, policy: &GatePolicy) -> BooleanChunked {
        let ratio = policy.revenue_gone_ratio;
        let is_gone = holds_for(self.gross, self.usual_gross, |gross, usual| {
            usual > 0.0 && gross <= ratio * usual
        });
        let still_calls = holds_for(self.calls, self.usual_calls, |calls, usual| {
            usual <= 0.0 || calls > ratio * usual
        });
        is_gone & still_calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::policy::default_gates;

    #[test]
    fn gross_falls_and_calls_do_not() {
        #[track_caller]
        fn check(gross: [Option<f64>; 2], calls: [Option<f64>; 2], expected: bool) {
            let column = |value: Option<f64>| [value].into_iter().collect::<Numbers>();
            let ([gross, usual_gross], [calls, usual_calls]) =
                (gross.map(column), calls.map(column));
            let gone = RevenueGone {
                gross: &gross,
                usual_gross: &usual_gross,
                calls: &calls,
                usual_calls: &usual_calls,
            };
            assert_eq!(gone.condition(&default_gates()).get(0), Some(expected));
        }
        let steady = [Some(900.0), Some(1_000.0)];
        check([Some(30.0), Some(100.0)], steady, true);
        check([Some(30.01), Some(100.0)], steady, false);
        check([Some(0.0), Some(100.0)], steady, true);
        check([Some(-5.0), Some(100.0)], steady, true);
        // Calls went down alike, to the same share at most.
        check([Some(0.0), Some(100.0)], [Some(300.0), Some(1_000.0)], false);
        check([Some(0.0), Some(100.0)], [Some(301.0), Some(1_000.0)], true);
        // It pays without calls.
        check([Some(0.0), Some(100.0)], [Some(0.0), Some(0.0)], true);
        // There was no revenue to lose, or too little is known.
        check([Some(0.0), Some(0.0)], steady, false);
        check([Some(0.0), None], steady, false);
        check([Some(0.0), Some(100.0)], [Some(900.0), None], false);
    }
}
