//! The model of risk, with what it was trained on and how its test went.

use domain::Day;
use polars::prelude::Float64Chunked;
use serde::{Deserialize, Serialize};

use super::features::FeatureColumns;
use super::model::{LogisticModel, ModelError};
use super::walk_forward::{OriginFits, TrainingRows, WalkForward, known_rows};
use crate::backtest::{
    BaselineRow, Better, Comparison, Forecast, Forecasts, Ranked, Ranker, Ranking, Resamples,
    baseline_probabilities, baseline_value,
};

/// The risk model, as the table `models` holds it in its column `parameters`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskModel {
    #[serde(flatten)]
    pub model: LogisticModel,
    pub trained_on: TrainedOn,
    /// `None` where too few origins were known for a test.
    pub tested: Option<TestResult>,
}

/// The rows of a fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    pub rows: usize,
    pub leavers: usize,
    /// ISO dates of the first and the last origin.
    pub first_origin: String,
    pub last_origin: String,
}

/// How models that were fitted on earlier origins did on later ones, beside both baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    pub rows: usize,
    pub leavers: usize,
    pub auc: Comparison,
    pub average_precision: Comparison,
    pub brier: Comparison,
    pub brier_skill: Comparison,
    /// Whether the risk has the higher AUC and the lower Brier score than either baseline.
    pub beats_baselines: bool,
}

/// The choices of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestOptions {
    pub resamples: usize,
    pub seed: u64,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self { resamples: 500, seed: 1 }
    }
}

impl RiskModel {
    /// Fits and tests a model on all rows whose labels are known as of a day. Returns `None` with
    /// fewer than ten partners that left or stayed at the first origins, or at later ones, which
    /// calibrate it.
    pub fn fit(rows: &TrainingRows, as_of: Day, options: TestOptions) -> Option<Self> {
        let fits = OriginFits::new(rows);
        let model = fits.model(rows, as_of)?;
        let known = known_rows(rows, as_of);
        let trained_on = TrainedOn::new(rows, &known);
        let tested = test(rows, &known, &fits.predictions(rows), options);
        Some(Self { model, trained_on, tested })
    }

    /// Returns the risk of each row.
    ///
    /// # Errors
    /// A feature of the model is missing.
    pub fn predict(&self, features: &FeatureColumns) -> Result<Float64Chunked, ModelError> {
        self.model.predict(features)
    }

    /// Whether the risk may decide a tier.
    pub fn beats_baselines(&self) -> bool {
        self.tested.as_ref().is_some_and(|tested| tested.beats_baselines)
    }
}

impl TrainedOn {
    pub(crate) fn new(rows: &TrainingRows, train: &[usize]) -> Self {
        let origins = || train.iter().map(|row| rows.origin[*row]);
        let date = |day: Option<Day>| day.map_or_else(String::new, |day| day.to_string());
        Self {
            rows: train.len(),
            leavers: train.iter().filter(|row| rows.left[**row]).count(),
            first_origin: date(origins().min()),
            last_origin: date(origins().max()),
        }
    }
}

/// Returns how many partners the rows number.
pub(crate) fn partner_count(rows: &TrainingRows) -> usize {
    rows.partner.iter().max().map_or(0, |last| *last as usize + 1)
}

/// Compares the risk with both baselines on the known rows for which all three give a probability.
fn test(
    rows: &TrainingRows,
    known: &[usize],
    walked: &WalkForward,
    options: TestOptions,
) -> Option<TestResult> {
    let baseline_rows: Vec<BaselineRow> =
        (0..rows.left.len()).map(|at| baseline(rows, at)).collect();
    let recency = baseline_probabilities(Ranker::Recency, &baseline_rows);
    let frequency = baseline_probabilities(Ranker::Frequency, &baseline_rows);
    let probabilities = |at: usize| {
        let risk = walked.risk[at].filter(|_| walked.is_fitted[at])?;
        Some((at, [risk, recency[at]?, frequency[at]?]))
    };
    let tested: Vec<(usize, [f64; 3])> = known.iter().filter_map(|at| probabilities(*at)).collect();
    if tested.is_empty() {
        return None;
    }
    let rankings = Ranker::ALL.map(|ranker| {
        let ranked = tested.iter().map(|(at, probabilities)| {
            let value = match ranker {
                Ranker::Score => probabilities[ranker.at()],
                baseline => baseline_value(baseline, &baseline_rows[*at]),
            };
            Ranked { partner: rows.partner[*at], left: rows.left[*at], value }
        });
        Ranking::new(ranked.collect())
    });
    let forecasts = Ranker::ALL.map(|ranker| {
        let forecasts = tested.iter().map(|(at, probabilities)| Forecast {
            partner: rows.partner[*at],
            left: rows.left[*at],
            probability: probabilities[ranker.at()],
        });
        Forecasts::new(forecasts.collect())
    });
    let resamples = Resamples::draw(partner_count(rows), options.resamples, options.seed);
    let better = [Better::Higher, Better::Higher, Better::Lower, Better::Higher];
    let [auc, average_precision, brier, brier_skill] =
        resamples.compare_all(better, |ranker, counts| {
            let (ranking, forecasts) = (&rankings[ranker.at()], &forecasts[ranker.at()]);
            let brier = forecasts.brier(counts);
            let skill = forecasts.brier_skill(counts);
            [ranking.auc(counts), ranking.average_precision(counts), brier, skill]
        });
    let beats_baselines = auc.is_ahead_of_both() && brier.is_ahead_of_both();
    let leavers = tested.iter().filter(|(at, _)| rows.left[*at]).count();
    let rows = tested.len();
    Some(TestResult { rows, leavers, auc, average_precision, brier, brier_skill, beats_baselines })
}

fn baseline(rows: &TrainingRows, at: usize) -> BaselineRow {
    BaselineRow {
        origin: rows.origin[at],
        label_end: rows.label_end[at],
        left: rows.left[at],
        days_since_last_call: rows.days_since_last_call[at],
        call_frequency: rows.call_frequency[at],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::test_rows::training_rows;

    const FEW: TestOptions = TestOptions { resamples: 50, seed: 1 };

    #[test]
    fn a_model_with_better_features_beats_the_baselines() {
        let rows = training_rows(300, &[100, 130, 160, 190]);
        let fitted = RiskModel::fit(&rows, Day(300), FEW).expect("a fit");
        let tested = fitted.tested.as_ref().expect("a test");
        assert!(fitted.beats_baselines(), "{tested:?}");
        assert_eq!(tested.rows, 600);
        assert!(tested.auc.score.value.expect("a test") > 0.85);
        let expected = TrainedOn {
            rows: 1200,
            leavers: rows.left.iter().filter(|left| **left).count(),
            first_origin: Day(100).to_string(),
            last_origin: Day(190).to_string(),
        };
        assert_eq!(fitted.trained_on, expected);
        let errors =
            fitted.model.features.iter().position(|name| name == "errors").expect("a feature");
        assert!(fitted.model.coefficients[errors] < 0.0);
    }

    #[test]
    fn a_model_that_knows_nothing_more_does_not() {
        let mut rows = training_rows(300, &[100, 130, 160, 190]);
        // The label follows recency alone, which the model does not see.
        for (left, days) in rows.left.iter_mut().zip(&rows.days_since_last_call) {
            *left = *days > 20.0;
        }
        assert!(!RiskModel::fit(&rows, Day(300), FEW).expect("a fit").beats_baselines());
    }

    #[test]
    fn two_origins_train_and_calibrate_but_test_nothing() {
        assert_eq!(RiskModel::fit(&training_rows(300, &[100]), Day(300), FEW), None);
        let rows = training_rows(300, &[100, 130]);
        let fitted = RiskModel::fit(&rows, Day(300), FEW).expect("a fit");
        assert_eq!(fitted.tested, None);
        assert!(!fitted.beats_baselines());
    }

    #[test]
    fn the_same_rows_give_the_same_bytes_and_json_round_trips() {
        let rows = training_rows(150, &[100, 130, 160]);
        let [first, second] =
            [(); 2].map(|()| RiskModel::fit(&rows, Day(300), FEW).expect("a fit"));
        let json = serde_json::to_string(&first).expect("JSON");
        assert_eq!(json, serde_json::to_string(&second).expect("JSON"));
        let read: RiskModel = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read.model, first.model);
        assert_eq!(read.trained_on, first.trained_on);
    }
}
