//! How well an order of partners finds those that leave: AUC, average precision, precision.

/// A row that is ranked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ranked {
    /// The number of the partner; the resamples count by it.
    pub partner: u32,
    pub left: bool,
    /// Higher is riskier; never NaN.
    pub value: f64,
}

/// Rows sorted by value, the riskiest first. Sorting once serves every resample.
#[derive(Debug, Clone)]
pub(crate) struct Ranking {
    rows: Vec<Ranked>,
}

/// What rows of one value count.
#[derive(Debug, Clone, Copy, Default)]
struct Tie {
    leavers: f64,
    stayers: f64,
}

impl Ranking {
    pub(crate) fn new(mut rows: Vec<Ranked>) -> Self {
        rows.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.partner.cmp(&b.partner)));
        Self { rows }
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns what the rows of each value count, from the riskiest on.
    fn ties<'a>(&'a self, counts: &'a [u16]) -> impl Iterator<Item = Tie> + 'a {
        self.rows.chunk_by(|a, b| a.value == b.value).map(|rows| {
            let mut tie = Tie::default();
            for row in rows {
                let count = f64::from(counts[row.partner as usize]);
                *(if row.left { &mut tie.leavers } else { &mut tie.stayers }) += count;
            }
            tie
        })
    }

    /// Returns the area under the ROC curve, which is the probability that a leaver ranks above a
    /// stayer, ties counting half; `None` without leavers or without stayers.
    pub(crate) fn auc(&self, counts: &[u16]) -> Option<f64> {
        let (mut leavers, mut stayers, mut pairs) = (0.0, 0.0, 0.0);
        for tie in self.ties(counts) {
            pairs += tie.stayers * (leavers + tie.leavers / 2.0);
            leavers += tie.leavers;
            stayers += tie.stayers;
        }
        let all = leavers * stayers;
        (all > 0.0).then(|| pairs / all)
    }

    /// Returns the mean over leavers of the precision among the rows ranked as high as they are;
    /// `None` without leavers.
    pub(crate) fn average_precision(&self, counts: &[u16]) -> Option<f64> {
        let (mut leavers, mut rows, mut sum) = (0.0, 0.0, 0.0);
        for tie in self.ties(counts) {
            leavers += tie.leavers;
            rows += tie.leavers + tie.stayers;
            if rows > 0.0 {
                sum += tie.leavers * leavers / rows;
            }
        }
        (leavers > 0.0).then(|| sum / leavers)
    }

    /// Returns how many leavers are expected among the `capacity` riskiest rows, and how many rows
    /// these are. Of rows with the same value any may be looked at, so they share evenly.
    fn found_among_worst(&self, counts: &[u16], capacity: f64) -> (f64, f64) {
        let (mut found, mut looked) = (0.0, 0.0);
        for tie in self.ties(counts) {
            let rows = tie.leavers + tie.stayers;
            let taken = rows.min(capacity - looked);
            if rows > 0.0 {
                found += tie.leavers * taken / rows;
                looked += taken;
            }
            if looked >= capacity {
                break;
            }
        }
        (found, looked)
    }
}

/// Returns the share of leavers among the `capacity` riskiest rows of each origin; `None` without
/// rows.
pub(crate) fn precision_among_worst(
    origins: &[Ranking],
    capacity: usize,
    counts: &[u16],
) -> Option<f64> {
    let (mut found, mut looked) = (0.0, 0.0);
    for ranking in origins {
        let (leavers, rows) = ranking.found_among_worst(counts, capacity as f64);
        found += leavers;
        looked += rows;
    }
    (looked > 0.0).then(|| found / looked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a ranking with a partner per row.
    fn ranking(rows: &[(f64, bool)]) -> Ranking {
        let rows = rows.iter().zip(0..);
        Ranking::new(
            rows.map(|(&(value, left), partner)| Ranked { partner, left, value }).collect(),
        )
    }

    const ONCE: [u16; 6] = [1; 6];

    #[track_caller]
    fn close(found: Option<f64>, expected: Option<f64>) {
        let is_close = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            (found, expected) => found == expected,
        };
        assert!(is_close, "{found:?} for {expected:?}");
    }

    #[test]
    fn auc_and_average_precision_by_hand() {
        #[track_caller]
        fn check(rows: &[(f64, bool)], auc: Option<f64>, average_precision: Option<f64>) {
            close(ranking(rows).auc(&ONCE), auc);
            close(ranking(rows).average_precision(&ONCE), average_precision);
        }
        check(&[], None, None);
        check(&[(0.5, true)], None, Some(1.0));
        check(&[(0.5, false)], None, None);
        check(&[(0.1, false), (0.9, true)], Some(1.0), Some(1.0));
        check(&[(0.9, false), (0.1, true)], Some(0.0), Some(0.5));
        check(&[(0.5, false), (0.5, true)], Some(0.5), Some(0.5));
        // Leavers at 4 and 2, stayers at 3 and 1: three of four pairs are right; the precision is
        // 1 at the first leaver and 2/3 at the second.
        let alternating = [(4.0, true), (3.0, false), (2.0, true), (1.0, false)];
        check(&alternating, Some(0.75), Some(5.0 / 6.0));
        // The leaver at 2 ties with a stayer: (1 + 1 + 0.5 + 1) / 4; its precision is 2/3.
        let tied = [(4.0, true), (2.0, false), (2.0, true), (1.0, false)];
        check(&tied, Some(0.875), Some(5.0 / 6.0));
    }

    #[test]
    fn auc_agrees_with_counting_all_pairs() {
        let rows: Vec<(f64, bool)> =
            (0..200u32).map(|i| (f64::from(i * 7919 % 23), i * 31 % 10 < 3)).collect();
        let mut pairs = Vec::new();
        for (leaver, _) in rows.iter().filter(|row| row.1) {
            for (stayer, _) in rows.iter().filter(|row| !row.1) {
                pairs.push(if leaver > stayer { 1.0 } else { 0.0 });
                if leaver == stayer {
                    *pairs.last_mut().expect("a value") = 0.5;
                }
            }
        }
        let expected = pairs.iter().sum::<f64>() / pairs.len() as f64;
        close(ranking(&rows).auc(&[1; 200]), Some(expected));
    }

    #[test]
    fn a_partner_that_counts_twice_is_two_rows() {
        let rows = [(4.0, true), (3.0, false), (2.0, true), (1.0, false)];
        let counts = [1, 2, 0, 1];
        let doubled = [(4.0, true), (3.0, false), (3.0, false), (1.0, false)];
        close(ranking(&rows).auc(&counts), ranking(&doubled).auc(&ONCE));
        let expected = ranking(&doubled).average_precision(&ONCE);
        close(ranking(&rows).average_precision(&counts), expected);
    }

    #[test]
    fn precision_among_the_worst() {
        #[track_caller]
        fn check(origins: &[&[(f64, bool)]], capacity: usize, expected: Option<f64>) {
            let origins: Vec<Ranking> = origins.iter().map(|rows| ranking(rows)).collect();
            close(precision_among_worst(&origins, capacity, &ONCE), expected);
        }
        let first = [(9.0, true), (8.0, false), (7.0, true), (1.0, false)];
        let second = [(5.0, false), (4.0, false)];
        check(&[&first], 1, Some(1.0));
        check(&[&first], 3, Some(2.0 / 3.0));
        check(&[&first], 50, Some(0.5));
        // Two of four, of which the first origin finds one.
        check(&[&first, &second], 2, Some(0.25));
        // One of three rows with the same value: a third of the leaver among them.
        check(&[&[(9.0, true), (9.0, false), (9.0, false)]], 1, Some(1.0 / 3.0));
        check(&[], 3, None);
    }
}
