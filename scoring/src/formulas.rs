//! Formulas that several signals share.

use crate::columns::{ColumnMath, Numbers};

/// Returns 100 where a value is at most as high as it may be, and 0 from where it has doubled so
/// many times: 100 · clip(1 − log2(ratio) / doublings, 0, 1). `ratio` is the value over what it may
/// be.
pub(crate) fn excess_score(ratio: &Numbers, doublings: f64) -> Numbers {
    ratio.map(|ratio| 100.0 * (1.0 - ratio.log2() / doublings).clamp(0.0, 1.0))
}

/// Returns 100 without a fall, and 0 from a fall by `zero_fall`, a ratio:
/// 100 · clip(1 + change / zero_fall, 0, 1). A rise is 100 too.
pub(crate) fn fall_score(change: &Numbers, zero_fall: f64) -> Numbers {
    change.map(|change| 100.0 * (1.0 + change / zero_fall).clamp(0.0, 1.0))
}

/// Returns the change from one value to another, a ratio: (after + mixed) / (before + mixed) − 1.
/// What is mixed in keeps small values from large changes.
pub(crate) fn mixed_change(before: &Numbers, after: &Numbers, mixed: f64) -> Numbers {
    after.zip(before, |after, before| (after + mixed) / (before + mixed) - 1.0)
}

/// Returns the changes without the fall that a partner shares with its peers. A rise of the peers
/// is not taken out.
pub(crate) fn change_beside_peers(change: &Numbers, peers: &Numbers) -> Numbers {
    change - &peers.or(0.0).map(|peers| peers.min(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(column: &Numbers) -> Option<f64> {
        column.get(0)
    }

    fn column(value: Option<f64>) -> Numbers {
        [value].into_iter().collect()
    }

    #[test]
    fn doublings_take_points() {
        #[track_caller]
        fn check(ratio: f64, score: f64) {
            let found = only(&excess_score(&column(Some(ratio)), 3.0)).expect("a score");
            assert!((found - score).abs() < 1e-9, "{found}");
        }
        check(0.0, 100.0);
        check(0.5, 100.0);
        check(1.0, 100.0);
        check(2.0, 200.0 / 3.0);
        check(4.0, 100.0 / 3.0);
        check(8.0, 0.0);
        check(f64::INFINITY, 0.0);
        assert_eq!(only(&excess_score(&column(None), 3.0)), None);
    }

    #[test]
    fn falls_take_points_beyond_those_of_the_peers() {
        #[track_caller]
        fn check(before: f64, after: f64, peers: Option<f64>, score: f64) {
            let change = mixed_change(&column(Some(before)), &column(Some(after)), 5.0);
            let own = change_beside_peers(&change, &column(peers));
            let found = only(&fall_score(&own, 0.5)).expect("a score");
            assert!((found - score).abs() < 1e-9, "{found}");
        }
        check(95.0, 95.0, None, 100.0);
        check(95.0, 195.0, None, 100.0);
        check(95.0, 70.0, None, 50.0);
        check(95.0, 45.0, None, 0.0);
        check(95.0, 0.0, None, 0.0);
        check(0.0, 0.0, None, 100.0);
        // Peers that fell by a tenth take a tenth out; peers that rose take nothing out.
        check(95.0, 70.0, Some(-0.1), 70.0);
        check(95.0, 70.0, Some(0.3), 50.0);
    }
}
