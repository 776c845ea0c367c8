//! The repeat history of a partner: how often and how lately it had successes since go-live.

use std::collections::BTreeMap;

use polars::prelude::Int64Chunked;

/// The opportunities of a partner after the one that holds its go-live; [`RepeatHistory::new`]
/// makes it. The model needs to know no more than these three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepeatHistory {
    x: u32,
    t_x: u32,
    n: u32,
}

impl RepeatHistory {
    /// Returns the history of `x` opportunities with a success out of `n`, the last one of them
    /// being number `t_x`, counted from 1; 0 stands for none. Returns `None` of numbers that no
    /// history can have.
    pub fn new(x: i64, t_x: i64, n: i64) -> Option<Self> {
        let [x, t_x, n] = [x, t_x, n].map(u32::try_from);
        let (x, t_x, n) = (x.ok()?, t_x.ok()?, n.ok()?);
        let is_possible = x <= t_x && t_x <= n && (x == 0) == (t_x == 0);
        is_possible.then_some(Self { x, t_x, n })
    }

    /// Opportunities with a success.
    pub fn x(&self) -> u32 {
        self.x
    }

    /// The last opportunity with a success, counted from 1, or 0.
    pub fn t_x(&self) -> u32 {
        self.t_x
    }

    /// All opportunities.
    pub fn n(&self) -> u32 {
        self.n
    }

    /// Returns how many opportunities without a success the history ends in.
    pub fn silent(&self) -> u32 {
        self.n - self.t_x
    }
}

/// Counts the partners of each history, a row being a partner. Rows with a NULL, or with numbers
/// that no history can have, are left out. The histories come sorted.
pub fn count_histories(
    x: &Int64Chunked,
    t_x: &Int64Chunked,
    n: &Int64Chunked,
) -> Vec<(RepeatHistory, u64)> {
    let mut counts: BTreeMap<RepeatHistory, u64> = BTreeMap::new();
    for ((x, t_x), n) in x.iter().zip(t_x.iter()).zip(n.iter()) {
        let (Some(x), Some(t_x), Some(n)) = (x, t_x, n) else { continue };
        if let Some(history) = RepeatHistory::new(x, t_x, n) {
            *counts.entry(history).or_default() += 1;
        }
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::NewChunkedArray;

    use super::*;

    #[test]
    fn only_possible_histories_are_made() {
        #[track_caller]
        fn check(x: i64, t_x: i64, n: i64, is_possible: bool) {
            assert_eq!(RepeatHistory::new(x, t_x, n).is_some(), is_possible, "{x} {t_x} {n}");
        }
        check(0, 0, 0, true);
        check(0, 0, 6, true);
        check(1, 6, 6, true);
        check(3, 2, 6, false);
        check(3, 7, 6, false);
        check(0, 2, 6, false);
        check(-1, 0, 6, false);
        check(0, 0, i64::MAX, false);
    }

    #[test]
    fn equal_histories_are_counted_together() {
        let column = |values: &[Option<i64>]| {
            Int64Chunked::from_iter_options("column".into(), values.iter().copied())
        };
        let x = column(&[Some(1), Some(0), Some(1), None, Some(5)]);
        let t_x = column(&[Some(2), Some(0), Some(2), Some(1), Some(1)]);
        let n = column(&[Some(3), Some(3), Some(3), Some(3), Some(9)]);
        let silent = RepeatHistory::new(0, 0, 3).expect("a history");
        let active = RepeatHistory::new(1, 2, 3).expect("a history");
        assert_eq!(count_histories(&x, &t_x, &n), [(silent, 1), (active, 2)]);
        assert_eq!((active.silent(), silent.silent()), (1, 3));
    }
}
