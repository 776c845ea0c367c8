//! Whether probabilities are right: Brier score, and CORP reliability (Dimitriadis, Gneiting &
//! Jordan 2021).

use serde::{Deserialize, Serialize};

use super::bootstrap::Resamples;
use crate::isotonic::{WeightedPoint, isotonic_regression};

/// A row with its forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Forecast {
    /// The number of the partner; the resamples count by it.
    pub partner: u32,
    pub left: bool,
    /// The forecast probability of leaving, 0–1.
    pub probability: f64,
}

/// Forecasts sorted by probability. Sorting once serves every resample.
#[derive(Debug, Clone)]
pub(crate) struct Forecasts {
    rows: Vec<Forecast>,
}

/// The Brier score and its exact parts: score = miscalibration − discrimination + uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BrierParts {
    /// The mean of (probability − outcome)².
    pub score: f64,
    /// What recalibrating the forecasts would save; 0 is best.
    pub miscalibration: f64,
    /// What recalibrated forecasts save against the base rate; more is better.
    pub discrimination: f64,
    /// The score of the base rate.
    pub uncertainty: f64,
}

impl BrierParts {
    /// Returns 1 − score / uncertainty: 0 is as good as the base rate, 1 is perfect. `None` where
    /// all leave or nobody.
    pub(crate) fn skill(&self) -> Option<f64> {
        skill(self.score, self.uncertainty)
    }
}

fn skill(score: f64, uncertainty: f64) -> Option<f64> {
    (uncertainty > 0.0).then(|| 1.0 - score / uncertainty)
}

/// A step of the reliability curve: rows whose forecasts were pooled, and what happened to them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityPoint {
    /// The mean forecast, 0–1.
    pub forecast: f64,
    /// The share that left.
    pub observed: f64,
    /// Its 95 % interval: the share at this forecast in resamples.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub rows: f64,
}

impl Forecasts {
    pub(crate) fn new(mut rows: Vec<Forecast>) -> Self {
        let order = |a: &Forecast, b: &Forecast| a.probability.total_cmp(&b.probability);
        rows.sort_by(|a, b| order(a, b).then(a.partner.cmp(&b.partner)));
        Self { rows }
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the mean squared error; `None` without rows.
    pub(crate) fn brier(&self, counts: &[u16]) -> Option<f64> {
        self.score_and_uncertainty(counts).map(|(score, _)| score)
    }

    /// Returns 1 − the Brier score / that of the base rate of these rows; see [`BrierParts::skill`].
    pub(crate) fn brier_skill(&self, counts: &[u16]) -> Option<f64> {
        let (score, uncertainty) = self.score_and_uncertainty(counts)?;
        skill(score, uncertainty)
    }

    /// Returns the Brier scores of the forecasts and of the base rate; `None` without rows.
    fn score_and_uncertainty(&self, counts: &[u16]) -> Option<(f64, f64)> {
        let (mut error, mut leavers, mut rows) = (0.0, 0.0, 0.0);
        for row in &self.rows {
            let count = f64::from(counts[row.partner as usize]);
            let outcome = f64::from(u8::from(row.left));
            error += count * (row.probability - outcome).powi(2);
            leavers += count * outcome;
            rows += count;
        }
        let rate = leavers / rows;
        (rows > 0.0).then(|| (error / rows, rate * (1.0 - rate)))
    }

    /// Returns the steps of the isotonic regression of outcomes on forecasts, ascending.
    pub(crate) fn curve(&self, counts: &[u16]) -> Vec<ReliabilityPoint> {
        let pooled = self.rows.chunk_by(|a, b| a.probability == b.probability);
        let mut points = Vec::new();
        for rows in pooled {
            let (mut leavers, mut all) = (0.0, 0.0);
            for row in rows {
                let count = f64::from(counts[row.partner as usize]);
                leavers += count * f64::from(u8::from(row.left));
                all += count;
            }
            if let Some(row) = rows.first().filter(|_| all > 0.0) {
                points.push(WeightedPoint { x: row.probability, y: leavers / all, weight: all });
            }
        }
        let step = |block: &WeightedPoint| ReliabilityPoint {
            forecast: block.x,
            observed: block.y,
            low: None,
            high: None,
            rows: block.weight,
        };
        isotonic_regression(points).iter().map(step).collect()
    }

    /// Returns the curve of all rows with the interval of every step.
    pub(crate) fn curve_with_intervals(&self, resamples: &Resamples) -> Vec<ReliabilityPoint> {
        let mut curve = self.curve(resamples.original());
        let forecasts: Vec<f64> = curve.iter().map(|step| step.forecast).collect();
        let shares = resamples.estimate_many(forecasts.len(), |counts| {
            let resampled = self.curve(counts);
            forecasts.iter().map(|forecast| share_at(&resampled, *forecast)).collect()
        });
        for (step, share) in curve.iter_mut().zip(shares) {
            (step.low, step.high) = (share.low, share.high);
        }
        curve
    }

    /// Returns the Brier score with its parts; `None` without rows.
    pub(crate) fn parts(&self, counts: &[u16]) -> Option<BrierParts> {
        let (score, uncertainty) = self.score_and_uncertainty(counts)?;
        let (mut error, mut rows) = (0.0, 0.0);
        for step in self.curve(counts) {
            error += step.rows * step.observed * (1.0 - step.observed);
            rows += step.rows;
        }
        let recalibrated = error / rows;
        Some(BrierParts {
            score,
            miscalibration: score - recalibrated,
            discrimination: uncertainty - recalibrated,
            uncertainty,
        })
    }
}

/// Returns the share that left at a forecast, on the line through the steps of a curve; beyond its
/// ends it is level.
fn share_at(curve: &[ReliabilityPoint], forecast: f64) -> Option<f64> {
    let next = curve.partition_point(|step| step.forecast < forecast);
    let before = next.checked_sub(1).and_then(|before| curve.get(before));
    match (before, curve.get(next)) {
        (Some(left), Some(right)) => {
            let way = (forecast - left.forecast) / (right.forecast - left.forecast);
            Some(left.observed + way * (right.observed - left.observed))
        }
        (Some(end), None) | (None, Some(end)) => Some(end.observed),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn forecasts(rows: &[(f64, bool)]) -> Forecasts {
        let rows = rows.iter().zip(0..);
        let row = |(&(probability, left), partner)| Forecast { partner, left, probability };
        Forecasts::new(rows.map(row).collect())
    }

    const ONCE: [u16; 8] = [1; 8];

    #[test]
    fn parts_by_hand() {
        #[track_caller]
        fn check(rows: &[(f64, bool)], expected: [f64; 4]) {
            let found = forecasts(rows).parts(&ONCE).expect("parts");
            let found =
                [found.score, found.miscalibration, found.discrimination, found.uncertainty];
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
            }
        }
        // Perfect forecasts.
        check(&[(0.0, false), (1.0, true)], [0.0, 0.0, 0.25, 0.25]);
        // The base rate: neither wrong nor of use.
        check(&[(0.5, false), (0.5, true)], [0.25, 0.0, 0.0, 0.25]);
        // Forecasts 0.2 (nobody of two leaves) and 0.6 (one of two leaves): the score is
        // (0.04 + 0.04 + 0.36 + 0.16) / 4; recalibrated to 0 and 0.5 it is 0.5 · 0.25.
        let rows = [(0.2, false), (0.2, false), (0.6, false), (0.6, true)];
        check(&rows, [0.15, 0.025, 0.0625, 0.1875]);
        // The wrong way round: pooled to the base rate, so all of it is miscalibration.
        check(&[(0.0, true), (1.0, false)], [1.0, 0.75, 0.0, 0.25]);
        // Nobody leaves, all leave.
        check(&[(0.1, false), (0.3, false)], [0.05, 0.05, 0.0, 0.0]);
        check(&[(1.0, true), (1.0, true)], [0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn skill_against_the_base_rate() {
        #[track_caller]
        fn check(rows: &[(f64, bool)], expected: Option<f64>) {
            assert_eq!(forecasts(rows).brier_skill(&ONCE), expected);
            let parts = forecasts(rows).parts(&ONCE);
            assert_eq!(parts.and_then(|parts| parts.skill()), expected);
        }
        check(&[(0.0, false), (1.0, true)], Some(1.0));
        check(&[(0.5, false), (0.5, true)], Some(0.0));
        check(&[(1.0, false), (0.0, true)], Some(-3.0));
        check(&[(0.1, false), (0.3, false)], None);
        check(&[(0.9, true)], None);
        check(&[], None);
    }

    #[test]
    fn the_curve_pools_what_goes_down() {
        // The outcomes 1, 0 at 0.2 and 0.4 are pooled at their mean forecast.
        let rows = [(0.1, false), (0.2, true), (0.4, false), (0.9, true)];
        let steps = [(0.1, 0.0, 1.0), (0.3, 0.5, 2.0), (0.9, 1.0, 1.0)];
        let found = forecasts(&rows).curve(&ONCE);
        assert_eq!(found.len(), steps.len());
        for (step, (forecast, observed, rows)) in found.iter().zip(steps) {
            assert!((step.forecast - forecast).abs() < 1e-12);
            assert_eq!((step.observed, step.rows), (observed, rows));
        }
    }

    #[test]
    fn the_parts_add_up_in_every_resample() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let rows: Vec<(f64, bool)> = (0..500)
            .map(|_| {
                let probability: f64 = random.random_range(0.0..1.0);
                (probability, random.random_bool(probability.powi(2)))
            })
            .collect();
        let forecasts = forecasts(&rows);
        for _ in 0..20 {
            let counts: Vec<u16> = (0..500).map(|_| random.random_range(0..4)).collect();
            let parts = forecasts.parts(&counts).expect("parts");
            let sum = parts.miscalibration - parts.discrimination + parts.uncertainty;
            assert!((parts.score - sum).abs() < 1e-12);
            // An isotonic fit is no worse than the forecasts or than the base rate.
            assert!(parts.miscalibration > 0.0 && parts.discrimination > 0.0, "{parts:?}");
        }
    }

    #[test]
    fn the_intervals_of_the_curve_hold_it() {
        let rows = [(0.1, false), (0.2, true), (0.4, false), (0.9, true)];
        let resamples = Resamples::draw(4, 200, 1);
        let curve = forecasts(&rows).curve_with_intervals(&resamples);
        assert_eq!(curve.len(), 3);
        for step in &curve {
            let (low, high) = (step.low.expect("an interval"), step.high.expect("an interval"));
            assert!(low <= step.observed && step.observed <= high, "{step:?}");
        }
        assert!(curve[1].low.expect("an interval") < curve[1].high.expect("an interval"));
        assert_eq!(forecasts(&[]).curve_with_intervals(&resamples), []);
    }

    #[test]
    fn shares_between_steps() {
        #[track_caller]
        fn check(curve: &[ReliabilityPoint], forecast: f64, expected: Option<f64>) {
            let found = share_at(curve, forecast);
            assert_eq!(found.map(|share| (share * 1e9).round() / 1e9), expected);
        }
        let curve = forecasts(&[(0.1, false), (0.5, true)]).curve(&ONCE);
        check(&curve, 0.0, Some(0.0));
        check(&curve, 0.3, Some(0.5));
        check(&curve, 0.5, Some(1.0));
        check(&curve, 0.9, Some(1.0));
        check(&[], 0.9, None);
    }

    #[test]
    fn no_rows_have_no_parts() {
        assert_eq!(forecasts(&[]).parts(&ONCE), None);
        assert_eq!(forecasts(&[(0.5, true)]).parts(&[0; 8]), None);
        assert_eq!(forecasts(&[]).curve(&ONCE), []);
    }
}
