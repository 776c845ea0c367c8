//! A logistic model with its calibration: what `predict` needs, as it is stored.

use polars::prelude::{ChunkFull, Float64Chunked, PlSmallStr};
use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::features::FeatureColumns;
use super::logistic::{LinearScore, LogisticData, Sign, fit_logistic};
use crate::columns::ColumnMath;

/// A logistic regression on standardised features, calibrated. The vectors have an entry per
/// feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogisticModel {
    pub features: Vec<String>,
    /// The mean of a feature's known values; it also stands in for a missing one.
    pub mean: Vec<f64>,
    /// The standard deviation of the feature after that.
    pub scale: Vec<f64>,
    pub coefficients: Vec<f64>,
    pub intercept: f64,
    pub ridge: f64,
    pub calibration: Calibration,
}

/// Why a model cannot predict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("the model looks at `{0}`, which is not computed; fit and adopt a new model")]
    MissingFeature(String),
}

impl LogisticModel {
    /// Rounds every number so that the model read back from its JSON is the same to the last bit.
    pub(crate) fn rounded(self) -> Self {
        let all = |values: Vec<f64>| values.into_iter().map(rounded).collect();
        Self {
            mean: all(self.mean),
            scale: all(self.scale),
            coefficients: all(self.coefficients),
            intercept: rounded(self.intercept),
            calibration: self.calibration.rounded(),
            ..self
        }
    }

    /// Returns whether a feature has this name.
    pub fn looks_at(&self, name: &str) -> bool {
        self.features.iter().any(|feature| feature == name)
    }

    /// Returns the calibrated probability of each row; every row gets one.
    ///
    /// # Errors
    /// A feature of the model is missing.
    pub fn predict(&self, features: &FeatureColumns) -> Result<Float64Chunked, ModelError> {
        let name = PlSmallStr::from_static("probability");
        let mut scores = Float64Chunked::full(name, self.intercept, features.rows());
        let terms = self.features.iter().zip(&self.mean).zip(&self.scale).zip(&self.coefficients);
        for (((feature, mean), scale), coefficient) in terms {
            let Some(column) = features.column(feature) else {
                return Err(ModelError::MissingFeature(feature.clone()));
            };
            let term = column.or(*mean).map(|value| coefficient * (value - mean) / scale);
            scores = scores.zip(&term, |sum, term| sum + term);
        }
        Ok(scores.map(|score| self.calibration.apply(score)))
    }
}

/// Rounds to ten decimals in scientific notation, which are more than a fit knows, and short enough for
/// a reader of the log.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.10e}").parse().unwrap_or(value)
}

/// The mean and the scale of every feature over the rows of a fit.
pub(crate) struct Standardisation {
    pub mean: Vec<f64>,
    pub scale: Vec<f64>,
}

impl Standardisation {
    /// Computes it over some rows of the columns. A feature without a known value has mean 0, and
    /// one that does not vary has scale 1.
    pub(crate) fn of(columns: &[Vec<Option<f64>>], rows: &[usize]) -> Self {
        let moments = columns.iter().map(|column| {
            let known: Vec<f64> = rows.iter().filter_map(|row| column[*row]).collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let squares: f64 = known.iter().map(|value| (value - mean).powi(2)).sum();
            let deviation = (squares / rows.len().max(1) as f64).sqrt();
            (mean, if deviation > 1e-9 { deviation } else { 1.0 })
        });
        let (mean, scale) = moments.unzip();
        Self { mean, scale }
    }

    /// Returns the standardised features of some rows; a missing value is 0, the mean.
    pub(crate) fn apply(&self, columns: &[Vec<Option<f64>>], rows: &[usize]) -> Vec<Vec<f64>> {
        let moments = columns.iter().zip(&self.mean).zip(&self.scale);
        let standardised = moments.map(|((column, mean), scale)| {
            let values = rows.iter().map(|row| column[*row].map_or(0.0, |x| (x - mean) / scale));
            values.collect()
        });
        standardised.collect()
    }
}

/// Fits the linear score on rows that are standardised.
pub(crate) fn fit_standardised(
    columns: &[Vec<f64>],
    labels: &[bool],
    weights: &[f64],
    ridge: f64,
) -> Option<LinearScore> {
    let targets: Vec<f64> = labels.iter().map(|left| f64::from(u8::from(*left))).collect();
    let data = LogisticData { columns, targets: &targets, weights };
    fit_logistic(&data, ridge, Sign::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> LogisticModel {
        LogisticModel {
            features: vec!["errors".into(), "growth".into()],
            mean: vec![50.0, 10.0],
            scale: vec![10.0, 2.0],
            coefficients: vec![-1.0, 0.5],
            intercept: 0.25,
            ridge: 1.0,
            calibration: Calibration::Platt { intercept: 0.5, slope: 2.0 },
        }
    }

    #[test]
    fn predictions_by_hand() {
        let errors: Float64Chunked = [Some(60.0), None].into_iter().collect();
        let growth: Float64Chunked = [Some(12.0), Some(6.0)].into_iter().collect();
        let features = FeatureColumns::of_columns([("growth", &growth), ("errors", &errors)], 2);
        let found: Vec<_> =
            model().predict(&features).expect("predictions").iter().flatten().collect();
        // 0.25 − 1 + 0.5 = −0.25, doubled plus 0.5 is 0; 0.25 + 0 − 1 = −0.75 gives −1.
        let expected = [0.5, 1.0 / (1.0 + 1f64.exp())];
        assert_eq!(found.len(), 2);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
    }

    #[test]
    fn a_missing_feature_is_named() {
        let growth: Float64Chunked = [Some(1.0)].into_iter().collect();
        let features = FeatureColumns::of_columns([("growth", &growth)], 1);
        let error = model().predict(&features).expect_err("no model");
        assert_eq!(error, ModelError::MissingFeature("errors".into()));
    }

    #[test]
    fn missing_values_take_the_mean_of_the_known() {
        let columns = [vec![Some(1.0), None, Some(3.0), None], vec![None; 4], vec![Some(7.0); 4]];
        let rows = [0, 1, 2, 3];
        let standardisation = Standardisation::of(&columns, &rows);
        assert_eq!(standardisation.mean, [2.0, 0.0, 7.0]);
        assert_eq!(standardisation.scale, [0.5_f64.sqrt(), 1.0, 1.0]);
        let applied = standardisation.apply(&columns, &[0, 1]);
        assert_eq!(applied, [vec![-1.0 / 0.5_f64.sqrt(), 0.0], vec![0.0; 2], vec![0.0; 2]]);
    }

    #[test]
    fn json_round_trips() {
        let json = serde_json::to_string(&model()).expect("JSON");
        assert_eq!(serde_json::from_str::<LogisticModel>(&json).expect("JSON"), model());
    }
}
