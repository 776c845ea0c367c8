//! The Kaplan–Meier estimate of how long partners take.

use super::Cell;

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const DAY: i64 = 86_400 * SECOND;

/// How long each partner took, or has been waiting.
pub(super) struct Waits {
    /// (time until the event or `as_of`, whether there was an event)
    waits: Vec<(i64, bool)>,
    longest_observed: Option<i64>,
}

impl Waits {
    /// Collects starts and ends. An end before its start took no time.
    pub(super) fn new(pairs: impl Iterator<Item = (i64, Option<i64>)>, as_of: i64) -> Self {
        let pairs: Vec<(i64, Option<i64>)> = pairs.collect();
        let wait =
            |(from, to): &(i64, Option<i64>)| ((to.unwrap_or(as_of) - from).max(0), to.is_some());
        let mut waits: Vec<(i64, bool)> = pairs.iter().map(wait).collect();
        waits.sort_by_key(|(t, happened)| (*t, !happened));
        Self { waits, longest_observed: pairs.iter().map(|(from, _)| as_of - from).max() }
    }

    /// Returns the share to whom it happens within a time, NULL while nobody was observed so long.
    pub(super) fn within(&self, time: i64) -> Cell {
        let known = self.longest_observed.is_some_and(|longest| longest >= time);
        Cell::float(known.then(|| 1.0 - survival(&self.waits, time)))
    }

    /// Returns the time within which it happens to a share.
    pub(super) fn quantile(&self, share: f64) -> Option<i64> {
        let mut times = self.waits.iter().filter(|(_, happened)| *happened).map(|(t, _)| *t);
        times.find(|t| survival(&self.waits, *t) <= 1.0 - share + 1e-12)
    }

    /// Returns the same in seconds.
    pub(super) fn quantile_seconds(&self, share: f64) -> Cell {
        Cell::float(self.quantile(share).map(|t| t as f64 / SECOND as f64))
    }
}

/// Returns the Kaplan–Meier estimate, one partner at a time, events before censored partners at the
/// same time. Each event removes 1/(partners left) of the estimate, which for d of n events at one
/// time multiplies to 1 − d/n.
fn survival(waits: &[(i64, bool)], until: i64) -> f64 {
    let mut survival = 1.0;
    for (gone, (_, happened)) in waits.iter().take_while(|(t, _)| *t <= until).enumerate() {
        if *happened {
            let left = waits.len() - gone;
            survival *= (left - 1) as f64 / left as f64;
        }
    }
    survival
}

#[test]
fn survival_matches_a_worked_example() {
    // Events at 1 and 3 (two), censored at 3 and 5: 4/5, then 4/5 · 3/4 · 2/3 = 2/5.
    let waits = [(1, true), (3, true), (3, true), (3, false), (5, false)];
    assert_eq!(survival(&waits, 0), 1.0);
    assert_eq!(survival(&waits, 1), 0.8);
    assert!((survival(&waits, 3) - 0.4).abs() < 1e-15);
    assert!((survival(&waits, 9) - 0.4).abs() < 1e-15);
}
