//! Observed rates of a further success by recency and frequency, which stand in where the dormancy
//! model has no fit.

use serde::{Deserialize, Serialize};

use super::history::RepeatHistory;
use super::stored_number::stored_number;

/// The upper ends of the bins of recency: the opportunities without a success at the end of a
/// history, as a multiple of the opportunities looked ahead. A last bin takes what is above.
const RECENCY_BINS: [f64; 5] = [0.0, 0.5, 1.0, 2.0, 4.0];

/// The upper ends of the bins of frequency: the share of opportunities with a success, the one that
/// holds go-live included. A last bin takes what is above.
const FREQUENCY_BINS: [f64; 3] = [0.25, 0.5, 0.75];

/// How many outcomes the rate that a bin is shrunk to counts for.
const PRIOR_OUTCOMES: f64 = 5.0;

/// A history, and whether a success followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub history: RepeatHistory,
    /// The opportunities looked ahead.
    pub m: u32,
    /// Whether one of these `m` opportunities held a success.
    pub has_success: bool,
}

/// The share of histories that a success followed, by recency and frequency; each rate is shrunk
/// to that of its recency, and this to the overall rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmpiricalRate {
    /// Outcomes that the rates rest on.
    pub outcomes: u64,
    /// A row for each bin of recency, a column for each bin of frequency; 0–1.
    pub rates: [[f64; FREQUENCY_BINS.len() + 1]; RECENCY_BINS.len() + 1],
}

/// Successes among outcomes.
#[derive(Clone, Copy, Default)]
struct Tally {
    successes: f64,
    outcomes: f64,
}

impl Tally {
    fn add(&mut self, has_success: bool) {
        self.outcomes += 1.0;
        self.successes += f64::from(u8::from(has_success));
    }

    /// Returns the rate, moved towards another one the more, the fewer outcomes there are.
    fn shrunk_to(self, rate: f64) -> f64 {
        (self.successes + PRIOR_OUTCOMES * rate) / (self.outcomes + PRIOR_OUTCOMES)
    }
}

impl EmpiricalRate {
    /// Measures the rates. Returns `None` of no outcomes.
    ///
    /// A bin of recency is shrunk to the overall rate, or to the rate of the next shorter silence
    /// if that is lower: a silence longer than any observed one is not taken for a good sign.
    pub fn fit(outcomes: &[Outcome]) -> Option<Self> {
        if outcomes.is_empty() {
            return None;
        }
        let mut overall = Tally::default();
        let mut by_recency = [Tally::default(); RECENCY_BINS.len() + 1];
        let mut by_both = [[Tally::default(); FREQUENCY_BINS.len() + 1]; RECENCY_BINS.len() + 1];
        for outcome in outcomes {
            let (recency, frequency) = bins(outcome.history, outcome.m);
            overall.add(outcome.has_success);
            by_recency[recency].add(outcome.has_success);
            by_both[recency][frequency].add(outcome.has_success);
        }
        let overall = overall.successes / overall.outcomes;
        let mut expected = overall;
        let mut rates = [[0.0; FREQUENCY_BINS.len() + 1]; RECENCY_BINS.len() + 1];
        for (recency, row) in rates.iter_mut().enumerate() {
            let rate = by_recency[recency].shrunk_to(expected);
            *row = by_both[recency].map(|tally| stored_number(tally.shrunk_to(rate)));
            expected = rate.min(overall);
        }
        Some(Self { outcomes: outcomes.len() as u64, rates })
    }

    /// Returns the rate at which a success follows such a history within `m` opportunities, 0–1.
    pub fn probability_of_a_success(&self, history: RepeatHistory, m: u32) -> f64 {
        if m == 0 {
            return 0.0;
        }
        let (recency, frequency) = bins(history, m);
        self.rates[recency][frequency]
    }
}

/// Returns the numbers of the bins of recency and frequency that a history falls into.
fn bins(history: RepeatHistory, m: u32) -> (usize, usize) {
    let silence = f64::from(history.silent()) / f64::from(m.max(1));
    let share = (f64::from(history.x()) + 1.0) / (f64::from(history.n()) + 1.0);
    let bin = |ends: &[f64], value: f64| ends.iter().filter(|end| value > **end).count();
    (bin(&RECENCY_BINS, silence), bin(&FREQUENCY_BINS, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(x: i64, t_x: i64, n: i64, m: u32, has_success: bool) -> Outcome {
        Outcome { history: RepeatHistory::new(x, t_x, n).expect("a history"), m, has_success }
    }

    #[test]
    fn histories_fall_into_bins() {
        #[track_caller]
        fn check(x: i64, t_x: i64, n: i64, m: u32, expected: (usize, usize)) {
            assert_eq!(bins(outcome(x, t_x, n, m, true).history, m), expected);
        }
        check(0, 0, 0, 4, (0, 3));
        check(9, 9, 9, 4, (0, 3));
        check(8, 8, 10, 4, (1, 3));
        check(3, 6, 10, 4, (2, 1));
        check(1, 2, 10, 4, (3, 0));
        check(1, 2, 11, 1, (5, 0));
        check(0, 0, 1, 1, (2, 1));
    }

    #[test]
    fn rates_are_shrunk_to_their_recency_and_to_the_overall_rate() {
        assert_eq!(EmpiricalRate::fit(&[]), None);
        let mut outcomes = vec![outcome(9, 9, 9, 4, true); 15];
        outcomes.extend(vec![outcome(4, 4, 20, 4, false); 5]);
        let rate = EmpiricalRate::fit(&outcomes).expect("rates");
        assert_eq!(rate.outcomes, 20);
        let check = |x, t_x, n, m, expected: f64| {
            let history = outcome(x, t_x, n, m, true).history;
            let found = rate.probability_of_a_success(history, m);
            assert!((found - expected).abs() < 1e-11, "{x} {t_x} {n} {m}: {found}");
        };
        // Overall 15 of 20. Recency 0: (15 + 5 · 0.75) / 20 = 0.9375.
        let recent = 0.9375;
        check(9, 9, 9, 4, (15.0 + 5.0 * recent) / 20.0);
        check(0, 0, 0, 4, (15.0 + 5.0 * recent) / 20.0);
        // No partner of this recency was seldom active.
        check(1, 9, 9, 4, recent);
        // Bins 1 to 3 are empty, so that bin 4 is shrunk to the overall rate.
        check(8, 8, 10, 4, 0.75);
        let silent = (5.0 * 0.75) / 10.0;
        check(4, 4, 20, 4, (5.0 * silent) / 10.0);
        // A longer silence than any observed has the rate of the longest observed one.
        check(4, 4, 40, 4, silent);
        check(9, 9, 9, 0, 0.0);
    }
}
