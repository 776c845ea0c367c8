//! What is usual among a partner's peers: statistics of its segment, shrunk to the whole portfolio.

use std::collections::HashMap;

use polars::prelude::{Int32Chunked, StringChunked};

use crate::columns::Numbers;
use crate::robust_statistics::median_of;

/// Partners of the whole portfolio that a segment's statistic is mixed with.
const SHRINKAGE: f64 = 20.0;

/// The segment of each row, and the evaluated day.
pub(crate) struct Peers {
    /// The group of each row: one for each day and segment; `None` without a segment.
    segment: Vec<Option<usize>>,
    /// The group of each row: one for each day.
    day: Vec<usize>,
    segments: usize,
    days: usize,
    /// A row that is compared with the peers of another row instead of its own.
    compared_as: Option<(usize, usize)>,
}

impl Peers {
    /// Groups rows by day and segment.
    pub(crate) fn of(days: &Int32Chunked, segments: &StringChunked) -> Self {
        let mut by_day: HashMap<i32, usize> = HashMap::new();
        let mut by_segment: HashMap<(usize, &str), usize> = HashMap::new();
        let (mut day, mut segment) = (Vec::new(), Vec::new());
        for (of_day, of_segment) in days.iter().zip(segments.iter()) {
            let next = by_day.len();
            let group = *by_day.entry(of_day.unwrap_or_default()).or_insert(next);
            day.push(group);
            segment.push(of_segment.map(|name| {
                let next = by_segment.len();
                *by_segment.entry((group, name)).or_insert(next)
            }));
        }
        let (segments, days) = (by_segment.len(), by_day.len());
        Self { segment, day, segments, days, compared_as: None }
    }

    /// Compares a row with the peers of another one, for example of an earlier day. The row still
    /// counts among its own peers.
    pub(crate) fn comparing(self, row: usize, as_row: usize) -> Self {
        Self { compared_as: Some((row, as_row)), ..self }
    }

    /// Returns for each row the median of the known values of its segment on its day, shrunk to
    /// that of all partners: (n · segment + 20 · all) / (n + 20). NULL where no partner has a
    /// value.
    pub(crate) fn median(&self, values: &Numbers) -> Numbers {
        let mut of_segment: Vec<Vec<f64>> = vec![Vec::new(); self.segments];
        let mut of_day: Vec<Vec<f64>> = vec![Vec::new(); self.days];
        for (row, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            of_day[self.day[row]].push(value);
            if let Some(group) = self.segment[row] {
                of_segment[group].push(value);
            }
        }
        let counts: Vec<usize> = of_segment.iter().map(Vec::len).collect();
        let segments: Vec<Option<f64>> = of_segment.iter_mut().map(|v| median_of(v)).collect();
        let days: Vec<Option<f64>> = of_day.iter_mut().map(|v| median_of(v)).collect();
        self.shrunk(&segments, &counts, &days)
    }

    /// Returns for each row how many partners have a value on its day.
    pub(crate) fn known(&self, values: &Numbers) -> Numbers {
        let mut of_day = vec![0_u32; self.days];
        for (row, _) in values.iter().enumerate().filter(|(_, value)| value.is_some()) {
            of_day[self.day[row]] += 1;
        }
        self.day.iter().map(|day| Some(f64::from(of_day[*day]))).collect()
    }

    /// Returns for each row Σ numerator / Σ denominator of its segment on its day, shrunk to that of
    /// all partners as in [`Self::median`]. A partner counts where both values are known; NULL where
    /// the denominators of all add up to 0.
    pub(crate) fn ratio(&self, numerator: &Numbers, denominator: &Numbers) -> Numbers {
        let mut of_segment = vec![(0.0, 0.0, 0_usize); self.segments];
        let mut of_day = vec![(0.0, 0.0, 0_usize); self.days];
        for (row, (above, below)) in numerator.iter().zip(denominator.iter()).enumerate() {
            let Some((above, below)) = above.zip(below) else { continue };
            let segment = self.segment[row].map(|group| &mut of_segment[group]);
            for sums in [Some(&mut of_day[self.day[row]]), segment].into_iter().flatten() {
                *sums = (sums.0 + above, sums.1 + below, sums.2 + 1);
            }
        }
        let ratios = |sums: &[(f64, f64, usize)]| -> Vec<Option<f64>> {
            sums.iter().map(|(above, below, _)| (*below > 0.0).then(|| above / below)).collect()
        };
        let counts: Vec<usize> = of_segment.iter().map(|sums| sums.2).collect();
        self.shrunk(&ratios(&of_segment), &counts, &ratios(&of_day))
    }

    fn shrunk(&self, of_segment: &[Option<f64>], n: &[usize], of_day: &[Option<f64>]) -> Numbers {
        let rows = 0..self.day.len();
        rows.map(|row| {
            let row = self.compared_as.filter(|(of, _)| *of == row).map_or(row, |(_, other)| other);
            let all = of_day[self.day[row]]?;
            let Some(group) = self.segment[row] else { return Some(all) };
            let Some(own) = of_segment[group] else { return Some(all) };
            let n = n[group] as f64;
            Some((n * own + SHRINKAGE * all) / (n + SHRINKAGE))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::NewChunkedArray;

    use super::*;

    fn peers(rows: &[(i32, Option<&str>)]) -> Peers {
        let days: Vec<i32> = rows.iter().map(|r| r.0).collect();
        let segments: Vec<Option<&str>> = rows.iter().map(|r| r.1).collect();
        Peers::of(
            &Int32Chunked::from_slice("day".into(), &days),
            &StringChunked::from_iter_options("segment".into(), segments.into_iter()),
        )
    }

    fn close(found: &Numbers, expected: &[Option<f64>]) {
        let found: Vec<Option<f64>> = found.iter().collect();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            match (found, expected) {
                (Some(found), Some(expected)) => {
                    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
                }
                _ => assert_eq!(found, expected),
            }
        }
    }

    #[test]
    fn a_segment_is_shrunk_to_the_portfolio_of_its_day() {
        let peers = peers(&[(1, Some("a")), (1, Some("a")), (1, Some("b")), (1, None), (2, None)]);
        let values: Numbers = [Some(1.0), Some(3.0), Some(9.0), None, None].into_iter().collect();
        // Of a: (2 · 2 + 20 · 3) / 22; of b: (9 + 20 · 3) / 21; the median of all is 3.
        let a = Some(64.0 / 22.0);
        close(&peers.median(&values), &[a, a, Some(69.0 / 21.0), Some(3.0), None]);
    }

    #[test]
    fn a_row_may_be_compared_with_the_peers_of_another_day() {
        let rows = [(1, Some("a")), (1, None), (2, None), (2, None)];
        let values: Numbers = [Some(1.0), Some(3.0), Some(5.0), Some(9.0)].into_iter().collect();
        let first = Some((1.0 + 20.0 * 2.0) / 21.0);
        close(&peers(&rows).median(&values), &[first, Some(2.0), Some(7.0), Some(7.0)]);
        let compared = peers(&rows).comparing(2, 0);
        close(&compared.median(&values), &[first, Some(2.0), first, Some(7.0)]);
    }

    #[test]
    fn a_ratio_of_sums_is_shrunk_alike() {
        let peers = peers(&[(1, Some("a")), (1, Some("b")), (1, Some("c"))]);
        let above: Numbers = [Some(1.0), Some(3.0), Some(0.0)].into_iter().collect();
        let below: Numbers = [Some(10.0), Some(10.0), Some(0.0)].into_iter().collect();
        // All: 4 / 20. A segment without a denominator is as all are.
        let expected = |own: f64| Some((own + 20.0 * 0.2) / 21.0);
        close(&peers.ratio(&above, &below), &[expected(0.1), expected(0.3), Some(0.2)]);
    }

    #[test]
    fn values_are_counted_by_day() {
        let peers = peers(&[(1, Some("x")), (1, None), (1, Some("y")), (2, Some("x"))]);
        let values: Numbers = [Some(0.0), None, Some(3.0), Some(1.0)].into_iter().collect();
        close(&peers.known(&values), &[Some(2.0), Some(2.0), Some(2.0), Some(1.0)]);
    }
}
