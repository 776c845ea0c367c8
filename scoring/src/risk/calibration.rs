//! Calibration: a score becomes the probability that was observed at such scores.

use serde::{Deserialize, Serialize};

use super::logistic::{LogisticData, Sign, fit_logistic, probability};
use super::model::rounded;
use crate::isotonic::{WeightedPoint, isotonic_regression};

/// From this many labels on the isotonic curve is fitted; with fewer it follows chance.
const MIN_ISOTONIC_LABELS: usize = 1_000;
/// Leavers and stayers needed, of each as many, before anything is fitted.
pub(crate) const MIN_OF_EACH_OUTCOME: usize = 10;
/// The bounds of an isotonic probability: a handful of equal outcomes is no certainty.
const ISOTONIC_BOUNDS: (f64, f64) = (0.001, 0.999);

/// How a score, for a model its log-odds, becomes a probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// The score is taken for log-odds as it is; too few labels were known.
    None,
    /// The log-odds are intercept + slope · score (Platt 1999).
    Platt { intercept: f64, slope: f64 },
    /// The probability is interpolated between points (score, probability), ascending in both.
    Isotonic { points: Vec<(f64, f64)> },
}

impl Calibration {
    /// Fits a calibration to scores and what happened: isotonic from 1,000 labels on, else Platt,
    /// else none with fewer than ten of either outcome.
    pub fn fit(scores: &[f64], labels: &[bool]) -> Self {
        let leavers = labels.iter().filter(|left| **left).count();
        if leavers.min(labels.len() - leavers) < MIN_OF_EACH_OUTCOME {
            return Self::None;
        }
        if labels.len() >= MIN_ISOTONIC_LABELS {
            return isotonic(scores, labels);
        }
        platt(scores, labels).unwrap_or(Self::None)
    }

    /// Rounds every number; see [`rounded`].
    pub(crate) fn rounded(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Platt { intercept, slope } => {
                Self::Platt { intercept: rounded(intercept), slope: rounded(slope) }
            }
            Self::Isotonic { points } => {
                let points = points.into_iter().map(|(x, y)| (rounded(x), rounded(y)));
                Self::Isotonic { points: points.collect() }
            }
        }
    }

    /// Returns the calibrated probability of a score.
    pub fn apply(&self, score: f64) -> f64 {
        match self {
            Self::None => probability(score),
            Self::Platt { intercept, slope } => probability(intercept + slope * score),
            Self::Isotonic { points } => interpolated(points, score),
        }
    }
}

/// Fits Platt's sigmoid with his smoothed targets. A slope below 0 would turn the score around; it
/// becomes 0, and every score gets the base rate.
fn platt(scores: &[f64], labels: &[bool]) -> Option<Calibration> {
    let leavers = labels.iter().filter(|left| **left).count() as f64;
    let stayers = labels.len() as f64 - leavers;
    let (high, low) = ((leavers + 1.0) / (leavers + 2.0), 1.0 / (stayers + 2.0));
    let targets: Vec<f64> = labels.iter().map(|left| if *left { high } else { low }).collect();
    let weights = vec![1.0; targets.len()];

    // The fit runs on standardised scores, or else a score in thousands stops short of its optimum.
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / scores.len() as f64;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let columns = [scores.iter().map(|score| (score - mean) / deviation).collect()];
    let data = LogisticData { columns: &columns, targets: &targets, weights: &weights };
    let fit = fit_logistic(&data, 0.0, Sign::Any)?;
    let slope = fit.coefficients.first()? / deviation;
    if slope >= 0.0 {
        return Some(Calibration::Platt { intercept: fit.intercept - slope * mean, slope });
    }
    let constant = LogisticData { columns: &[], targets: &targets, weights: &weights };
    let intercept = fit_logistic(&constant, 0.0, Sign::Any)?.intercept;
    Some(Calibration::Platt { intercept, slope: 0.0 })
}

fn isotonic(scores: &[f64], labels: &[bool]) -> Calibration {
    let label_points = scores.iter().zip(labels);
    let point = |(x, left): (&f64, &bool)| WeightedPoint {
        x: *x,
        y: f64::from(u8::from(*left)),
        weight: 1.0,
    };
    let blocks = isotonic_regression(label_points.map(point).collect());
    let (low, high) = ISOTONIC_BOUNDS;
    let points = blocks.iter().map(|block| (block.x, block.y.clamp(low, high))).collect();
    Calibration::Isotonic { points }
}

/// Returns the value at `x` of the line through the points; beyond its ends it is level.
fn interpolated(points: &[(f64, f64)], x: f64) -> f64 {
    let next = points.partition_point(|point| point.0 < x);
    let Some(&(right_x, right_y)) = points.get(next) else {
        return points.last().map_or(f64::NAN, |last| last.1);
    };
    let Some(&(left_x, left_y)) = next.checked_sub(1).and_then(|before| points.get(before)) else {
        return right_y;
    };
    left_y + (right_y - left_y) * (x - left_x) / (right_x - left_x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the labels of one score: so many leavers among so many rows.
    fn outcomes(score: f64, leavers: usize, rows: usize) -> Vec<(f64, bool)> {
        (0..rows).map(|row| (score, row < leavers)).collect()
    }

    fn calibrated(rows: &[Vec<(f64, bool)>]) -> Calibration {
        let (scores, labels): (Vec<f64>, Vec<bool>) = rows.concat().into_iter().unzip();
        Calibration::fit(&scores, &labels)
    }

    #[test]
    fn platt_meets_the_smoothed_rates_of_two_scores() {
        // Two scores leave the sigmoid two equations, so it passes through the mean target of each:
        // targets are 41/42 for the 40 leavers and 1/62 for the 60 stayers.
        let found = calibrated(&[outcomes(-1.0, 10, 50), outcomes(2.0, 30, 50)]);
        assert!(matches!(found, Calibration::Platt { .. }), "{found:?}");
        let (high, low) = (41.0 / 42.0, 1.0 / 62.0);
        assert!((found.apply(-1.0) - (10.0 * high + 40.0 * low) / 50.0).abs() < 1e-6);
        assert!((found.apply(2.0) - (30.0 * high + 20.0 * low) / 50.0).abs() < 1e-6);
    }

    #[test]
    fn a_score_that_points_the_wrong_way_gets_the_base_rate() {
        let found = calibrated(&[outcomes(-1.0, 30, 50), outcomes(2.0, 10, 50)]);
        assert!((found.apply(-1.0) - 0.4).abs() < 0.01);
        assert!((found.apply(-1.0) - found.apply(2.0)).abs() < 1e-12);
    }

    #[test]
    fn isotonic_pools_what_goes_down() {
        #[track_caller]
        fn check(found: &Calibration, score: f64, expected: f64) {
            let got = found.apply(score);
            assert!((got - expected).abs() < 1e-9, "{got} for {expected} at {score}");
        }
        // Rates 0.1, 0.4, 0.2 and 0.6: the middle two are pooled to 0.3 at their mean score 2.5.
        let found = calibrated(&[
            outcomes(1.0, 30, 300),
            outcomes(2.0, 120, 300),
            outcomes(3.0, 60, 300),
            outcomes(5.0, 180, 300),
        ]);
        check(&found, 1.0, 0.1);
        check(&found, 2.5, 0.3);
        check(&found, 1.75, 0.2);
        check(&found, 3.75, 0.45);
        check(&found, -9.0, 0.1);
        check(&found, 9.0, 0.6);
    }

    #[test]
    fn isotonic_never_says_never() {
        let found = calibrated(&[outcomes(0.0, 0, 900), outcomes(1.0, 200, 200)]);
        assert_eq!((found.apply(0.0), found.apply(1.0)), (0.001, 0.999));
    }

    #[test]
    fn few_outcomes_leave_the_log_odds_as_they_are() {
        #[track_caller]
        fn check(rows: &[Vec<(f64, bool)>]) {
            let found = calibrated(rows);
            assert_eq!(found, Calibration::None);
            assert!((found.apply(3f64.ln()) - 0.75).abs() < 1e-12);
        }
        check(&[]);
        check(&[outcomes(0.0, 9, 500)]);
        check(&[outcomes(0.0, 500, 509)]);
    }

    #[test]
    fn json_round_trips() {
        #[track_caller]
        fn check(calibration: &Calibration, json: &str) {
            assert_eq!(serde_json::to_string(calibration).expect("JSON"), json);
            assert_eq!(&serde_json::from_str::<Calibration>(json).expect("JSON"), calibration);
        }
        check(&Calibration::None, r#"{"method":"none"}"#);
        let platt = Calibration::Platt { intercept: -1.5, slope: 0.5 };
        check(&platt, r#"{"method":"platt","intercept":-1.5,"slope":0.5}"#);
        let isotonic = Calibration::Isotonic { points: vec![(-2.0, 0.1), (1.0, 0.5)] };
        check(&isotonic, r#"{"method":"isotonic","points":[[-2.0,0.1],[1.0,0.5]]}"#);
    }
}
