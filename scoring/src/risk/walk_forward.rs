//! Fits at every origin what could be fitted there: earlier origins train, later ones validate.

use domain::Day;

use super::calibration::{Calibration, MIN_OF_EACH_OUTCOME};
use super::features::FeatureColumns;
use super::logistic::{LinearScore, log_loss};
use super::model::{LogisticModel, Standardisation, fit_standardised};

/// The ridge strengths tried, the strongest first: of equals the simpler model is taken. At 1 the
/// prior of a coefficient has the standard deviation 1.
const RIDGES: [f64; 6] = [1_000.0, 100.0, 30.0, 10.0, 1.0, 0.1];

/// Labelled rows, a row per partner and origin. The vectors have the rows of `features`.
#[derive(Debug, Clone)]
pub struct TrainingRows {
    pub features: FeatureColumns,
    /// The day as of which the features were computed.
    pub origin: Vec<Day>,
    /// The day as of which the label is known: the origin plus the length of the label's window.
    pub label_end: Vec<Day>,
    /// The number of the partner; its rows are resampled together.
    pub partner: Vec<u32>,
    /// The label: the partner left.
    pub left: Vec<bool>,
    /// What a row counts in a fit, usually 1.
    pub weight: Vec<f64>,
    /// The baselines that a model has to beat: days from the last production call to the origin …
    pub days_since_last_call: Vec<f64>,
    /// … and production calls a day in the 28 days before the origin.
    pub call_frequency: Vec<f64>,
}

/// What was predicted at each origin from labels known there.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkForward {
    /// The risk of each row. Without a model it is 1 − dormancy / 100, or `None` where the dormancy
    /// signal is not available.
    pub risk: Vec<Option<f64>>,
    /// Whether a model gave it.
    pub is_fitted: Vec<bool>,
}

/// The fits at every origin; a fit with the number `i` has the ridge `RIDGES[i]`.
pub(crate) struct OriginFits {
    columns: Vec<Vec<Option<f64>>>,
    origins: Vec<OriginFit>,
}

/// What was fitted at one origin, and what that says of the rows of the origin.
struct OriginFit {
    origin: Day,
    rows: Vec<usize>,
    /// The log-odds of the rows per ridge; empty where too few labels were known.
    log_odds: Vec<Vec<f64>>,
}

/// Predicts every row by the model that could be fitted at its origin.
pub fn walk_forward(rows: &TrainingRows) -> WalkForward {
    OriginFits::new(rows).predictions(rows)
}

/// Fits a model to all rows whose labels are known as of a day. Its ridge and its calibration come
/// from predictions of models that were fitted on earlier origins. Returns `None` with fewer than
/// ten partners that left or stayed before these origins, or at them.
pub fn fit_model(rows: &TrainingRows, as_of: Day) -> Option<LogisticModel> {
    OriginFits::new(rows).model(rows, as_of)
}

/// Returns the rows of origins before a day whose labels are known as of the day.
pub(crate) fn known_rows(rows: &TrainingRows, as_of: Day) -> Vec<usize> {
    let is_known = |row: &usize| rows.origin[*row] < as_of && rows.label_end[*row] <= as_of;
    (0..rows.left.len()).filter(is_known).collect()
}

fn fit_rows(
    rows: &TrainingRows,
    columns: &[Vec<Option<f64>>],
    train: &[usize],
    ridges: &[f64],
) -> Option<(Standardisation, Vec<LinearScore>)> {
    let labels: Vec<bool> = train.iter().map(|row| rows.left[*row]).collect();
    let leavers = labels.iter().filter(|left| **left).count();
    if leavers.min(labels.len() - leavers) < MIN_OF_EACH_OUTCOME {
        return None;
    }
    let weights: Vec<f64> = train.iter().map(|row| rows.weight[*row]).collect();
    let standardisation = Standardisation::of(columns, train);
    let standardised = standardisation.apply(columns, train);
    let fits =
        ridges.iter().map(|ridge| fit_standardised(&standardised, &labels, &weights, *ridge));
    Some((standardisation, fits.collect::<Option<_>>()?))
}

impl OriginFits {
    pub(crate) fn new(rows: &TrainingRows) -> Self {
        let columns = rows.features.values();
        let mut days = rows.origin.clone();
        days.sort_unstable();
        days.dedup();
        let origins =
            days.into_iter().map(|origin| OriginFit::at(origin, rows, &columns)).collect();
        Self { columns, origins }
    }

    /// Predicts every row; see [`walk_forward`].
    pub(crate) fn predictions(&self, rows: &TrainingRows) -> WalkForward {
        let mut risk: Vec<Option<f64>> = rows.features.risk_without_model().iter().collect();
        let mut is_fitted = vec![false; risk.len()];
        for fit in &self.origins {
            let selected = self.selected(rows, fit.origin);
            let fitted = selected.and_then(|(at, c)| Some((fit.log_odds.get(at)?, c)));
            let Some((log_odds, calibration)) = fitted else { continue };
            for (row, score) in fit.rows.iter().zip(log_odds) {
                risk[*row] = Some(calibration.apply(*score));
                is_fitted[*row] = true;
            }
        }
        WalkForward { risk, is_fitted }
    }

    /// Fits a model to what is known as of a day; see [`fit_model`].
    pub(crate) fn model(&self, rows: &TrainingRows, as_of: Day) -> Option<LogisticModel> {
        let known = known_rows(rows, as_of);
        let (at, calibration) = self.selected(rows, as_of)?;
        let ridge = RIDGES[at];
        let (Standardisation { mean, scale }, mut scores) =
            fit_rows(rows, &self.columns, &known, &[ridge])?;
        let LinearScore { intercept, coefficients } = scores.pop()?;
        let features = rows.features.names().to_vec();
        let model =
            LogisticModel { features, mean, scale, coefficients, intercept, ridge, calibration };
        Some(model.rounded())
    }

    /// Selects the ridge with the least log loss over the origins whose labels are known as of a
    /// day, and calibrates its predictions there. Returns `None` where they are too few for that:
    /// a model that was never compared with what happened claims far too much.
    fn selected(&self, rows: &TrainingRows, as_of: Day) -> Option<(usize, Calibration)> {
        let mut losses = [0.0; RIDGES.len()];
        let mut labels = Vec::new();
        let mut scores = vec![Vec::new(); RIDGES.len()];
        for fit in self.origins.iter().filter(|fit| !fit.log_odds.is_empty()) {
            for (at, row) in fit.rows.iter().enumerate() {
                if fit.origin >= as_of || rows.label_end[*row] > as_of {
                    continue;
                }
                let (left, weight) = (rows.left[*row], rows.weight[*row]);
                labels.push(left);
                for (ridge, log_odds) in fit.log_odds.iter().enumerate() {
                    losses[ridge] += weight * log_loss(log_odds[at], f64::from(u8::from(left)));
                    scores[ridge].push(log_odds[at]);
                }
            }
        }
        let ridge = (0..RIDGES.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b]))?;
        let calibration = Calibration::fit(&scores[ridge], &labels);
        (calibration != Calibration::None).then_some((ridge, calibration))
    }
}

impl OriginFit {
    fn at(origin: Day, rows: &TrainingRows, columns: &[Vec<Option<f64>>]) -> Self {
        let own: Vec<usize> =
            (0..rows.left.len()).filter(|row| rows.origin[*row] == origin).collect();
        let fitted = fit_rows(rows, columns, &known_rows(rows, origin), &RIDGES);
        let Some((standardisation, scores)) = fitted else {
            return Self { origin, rows: own, log_odds: Vec::new() };
        };
        let standardised = standardisation.apply(columns, &own);
        let log_odds = scores.iter().map(|s| s.log_odds(&standardised, own.len())).collect();
        Self { origin, rows: own, log_odds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::test_rows::training_rows;

    #[test]
    fn origins_without_known_labels_take_dormancy() {
        let rows = training_rows(200, &[100, 130, 160, 190]);
        let found = walk_forward(&rows);
        for at in 0..rows.left.len() {
            // Those of day 130 are predicted by a model that nothing has calibrated yet.
            assert_eq!(found.is_fitted[at], rows.origin[at] > Day(130));
        }
        let without: Vec<_> = rows.features.risk_without_model().iter().collect();
        assert_eq!(found.risk[..400], without[..400]);
        assert!(found.risk.iter().flatten().all(|risk| (0.0..=1.0).contains(risk)));
    }

    #[test]
    fn later_labels_change_nothing_earlier() {
        let rows = training_rows(200, &[100, 130, 160, 190]);
        let mut changed = rows.clone();
        for at in 400..800 {
            changed.left[at] = !changed.left[at];
        }
        let (before, after) = (walk_forward(&rows), walk_forward(&changed));
        assert_eq!(before.risk[..600], after.risk[..600]);
        assert_ne!(before.risk[600..], after.risk[600..]);
    }

    #[test]
    fn labels_that_are_not_known_yet_do_not_train() {
        let mut rows = training_rows(200, &[100, 130, 160, 190]);
        for end in &mut rows.label_end[..200] {
            *end = Day(161);
        }
        let found = walk_forward(&rows);
        let fitted = |origin: usize| found.is_fitted[origin * 200];
        assert_eq!([0, 1, 2, 3].map(fitted), [false, false, false, true]);
        assert_eq!(known_rows(&rows, Day(160)), (200..400).collect::<Vec<_>>());
        assert_eq!(known_rows(&rows, Day(161)).len(), 400);
    }

    #[test]
    fn the_model_predicts_as_the_walk_does() {
        let rows = training_rows(200, &[100, 130, 160, 190]);
        let model = fit_model(&rows, Day(190)).expect("a fit");
        let predicted: Vec<_> =
            model.predict(&rows.features).expect("predictions").iter().collect();
        let walked = walk_forward(&rows).risk;
        for at in 600..800 {
            let (predicted, walked) =
                (predicted[at].expect("a value"), walked[at].expect("a value"));
            assert!((predicted - walked).abs() < 1e-9, "{predicted} and {walked}");
        }
    }

    #[test]
    fn too_few_leavers_have_no_model() {
        let mut rows = training_rows(200, &[100, 130, 160]);
        let mut leavers = 0;
        for left in &mut rows.left {
            leavers += i32::from(*left);
            *left = *left && leavers < 10;
        }
        assert_eq!(fit_model(&rows, Day(500)), None);
        assert!(walk_forward(&rows).is_fitted.iter().all(|fitted| !fitted));
        let empty = training_rows(0, &[100]);
        assert_eq!(fit_model(&empty, Day(500)), None);
        assert_eq!(walk_forward(&empty), WalkForward { risk: vec![], is_fitted: vec![] });
    }
}
