//! Revenue gone: the gross of the last complete month against that of the months before, while the
//! partner still calls.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers};
use crate::gates::{GatePolicy, holds_for};

/// What it is told from that revenue is gone.
pub(crate) struct RevenueGone<'a> {
    /// As [`gross_ratio`].
    pub gross_ratio: &'a Numbers,
    /// The median of [`gross_ratio`] in the partner's segment.
    pub peers_ratio: &'a Numbers,
    /// Calls of the last complete month.
    pub calls: &'a Numbers,
    /// The median of the three months before.
    pub usual_calls: &'a Numbers,
}

/// Returns the gross of the last complete month over the median of the three months before; NULL where
/// that is not above 0, or one of them is unknown.
pub(crate) fn gross_ratio(gross: &Numbers, usual_gross: &Numbers) -> Numbers {
    gross.over(&usual_gross.only_where(&usual_gross.is(|usual| usual > 0.0)))
}

impl RevenueGone<'_> {
    /// Returns where gross fell to the policy's share of what is usual, and calls did not. A partner
    /// that did not call before has no calls to lose.
    ///
    /// The fall of the segment is taken out: where nobody was billed, the bills have not arrived.
    pub(crate) fn condition(&self, policy: &GatePolicy) -> BooleanChunked {
        let ratio = policy.revenue_gone_ratio;
        let own = self.gross_ratio.over(&self.peers_ratio.or(1.0).clip(0.0, 1.0));
        let still_calls = holds_for(self.calls, self.usual_calls, |calls, usual| {
            usual <= 0.0 || calls > ratio * usual
        });
        own.is(|own| own <= ratio) & still_calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::policy::default_gates;

    #[track_caller]
    fn check(
        gross: [Option<f64>; 2],
        peers_ratio: Option<f64>,
        calls: [Option<f64>; 2],
        expected: bool,
    ) {
        let column = |value: Option<f64>| [value].into_iter().collect::<Numbers>();
        let ([gross, usual_gross], [calls, usual_calls]) = (gross.map(column), calls.map(column));
        let gone = RevenueGone {
            gross_ratio: &gross_ratio(&gross, &usual_gross),
            peers_ratio: &column(peers_ratio),
            calls: &calls,
            usual_calls: &usual_calls,
        };
        assert_eq!(gone.condition(&default_gates()).get(0), Some(expected));
    }

    const STEADY: [Option<f64>; 2] = [Some(900.0), Some(1_000.0)];

    #[test]
    fn gross_falls_and_calls_do_not() {
        let check = |gross, calls, expected| check(gross, None, calls, expected);
        check([Some(30.0), Some(100.0)], STEADY, true);
        check([Some(30.01), Some(100.0)], STEADY, false);
        check([Some(0.0), Some(100.0)], STEADY, true);
        check([Some(-5.0), Some(100.0)], STEADY, true);
        // Calls went down alike, to the same share at most.
        check([Some(0.0), Some(100.0)], [Some(300.0), Some(1_000.0)], false);
        check([Some(0.0), Some(100.0)], [Some(301.0), Some(1_000.0)], true);
        // It pays without calls.
        check([Some(0.0), Some(100.0)], [Some(0.0), Some(0.0)], true);
        // There was no revenue to lose, or too little is known.
        check([Some(0.0), Some(0.0)], STEADY, false);
        check([Some(0.0), None], STEADY, false);
        check([Some(0.0), Some(100.0)], [Some(900.0), None], false);
    }

    #[test]
    fn the_fall_of_the_segment_is_taken_out() {
        let check = |gross, peers, expected| {
            check([Some(gross), Some(100.0)], Some(peers), STEADY, expected);
        };
        // Nobody was billed, or everybody for a few days only.
        check(0.0, 0.0, false);
        check(15.0, 0.15, false);
        check(0.0, 0.15, true);
        check(15.0, 0.6, true);
        check(20.0, 0.6, false);
        // A rise of the segment excuses nothing and blames nobody.
        check(31.0, 3.0, false);
        check(30.0, 3.0, true);
    }
}
