//! The features of the risk model, as columns with a row per partner and day.

use polars::prelude::{ChunkFullNull, Float64Chunked, PlSmallStr};

use super::logistic::log_odds;
use crate::columns::ColumnMath;

/// The bounds of the dormancy probability before its log-odds are taken.
const DORMANCY_BOUNDS: (f64, f64) = (0.001, 0.999);
/// The feature that holds the log-odds of the dormancy probability.
const DORMANCY_FEATURE: &str = "dormancy_log_odds";
/// The features that hold ln(1 + silent days / cadence), and ln(calls a day + 1/28).
const SILENCE_FEATURE: &str = "silence";
const FREQUENCY_FEATURE: &str = "call_frequency";
/// Added to calls a day before the logarithm: one call in 28 days.
const ONE_CALL: f64 = 1.0 / 28.0;

/// The features of a model, all columns with the same rows.
#[derive(Debug, Clone)]
pub struct FeatureColumns {
    names: Vec<String>,
    columns: Vec<Float64Chunked>,
    /// The dormancy score, 0–100, NULL where it is not available.
    dormancy: Float64Chunked,
    rows: usize,
}

impl FeatureColumns {
    /// Makes features of signals: for each its score, NULL where it is not
    /// available, and a column `…_available` of 0 and 1; and the log-odds of the dormancy
    /// probability. `signals` holds names and scores; `dormancy` is the score of that signal. All
    /// columns have the same rows.
    pub fn of_signals<'a>(
        signals: impl IntoIterator<Item = (&'a str, &'a Float64Chunked)>,
        dormancy: &Float64Chunked,
    ) -> Self {
        let mut features = Self {
            names: Vec::new(),
            columns: Vec::new(),
            dormancy: dormancy.clone(),
            rows: dormancy.len(),
        };
        for (signal, score) in signals {
            features.push(signal.to_owned(), score.clone());
            features.push(format!("{signal}_available"), score.map(|_| 1.0).or(0.0));
        }
        let (low, high) = DORMANCY_BOUNDS;
        let dormancy = dormancy.map(|score| log_odds((score / 100.0).clamp(low, high)));
        features.push(DORMANCY_FEATURE.to_owned(), dormancy);
        features
    }

    /// Makes the features of the risk model from the signals and from both baselines that it has to
    /// beat. Signals see neither: an opportunity of a week hides up to six silent days. `silence`
    /// holds days without success over the cadence, `call_frequency` calls a day in W.
    pub fn of_risk<'a>(
        signals: impl IntoIterator<Item = (&'a str, &'a Float64Chunked)>,
        dormancy: &Float64Chunked,
        silence: &Float64Chunked,
        call_frequency: &Float64Chunked,
    ) -> Self {
        let mut features = Self::of_signals(signals, dormancy);
        features.push(SILENCE_FEATURE.to_owned(), silence.map(f64::ln_1p));
        let frequency = call_frequency.map(|calls| (calls + ONE_CALL).ln());
        features.push(FREQUENCY_FEATURE.to_owned(), frequency);
        features
    }

    /// Makes features of any columns with the same rows.
    pub fn of_columns<'a>(
        columns: impl IntoIterator<Item = (&'a str, &'a Float64Chunked)>,
        rows: usize,
    ) -> Self {
        let dormancy = Float64Chunked::full_null(PlSmallStr::from_static(DORMANCY_FEATURE), rows);
        let mut features = Self { names: Vec::new(), columns: Vec::new(), dormancy, rows };
        for (name, column) in columns {
            features.push(name.to_owned(), column.clone());
        }
        features
    }

    fn push(&mut self, name: String, column: Float64Chunked) {
        self.names.push(name);
        self.columns.push(column);
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns a column by the name of its feature.
    pub fn column(&self, name: &str) -> Option<&Float64Chunked> {
        let at = self.names.iter().position(|known| known == name)?;
        self.columns.get(at)
    }

    /// Returns the risk while no model is adopted: 1 − dormancy / 100, NULL where the dormancy
    /// signal is not available.
    pub fn risk_without_model(&self) -> Float64Chunked {
        self.dormancy.map(|score| 1.0 - score / 100.0)
    }

    /// Returns every column as plain values, NULL as `None`.
    pub(crate) fn values(&self) -> Vec<Vec<Option<f64>>> {
        self.columns.iter().map(|column| column.iter().collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_become_features() {
        let errors: Float64Chunked = [Some(80.0), None].into_iter().collect();
        let dormancy: Float64Chunked = [Some(100.0), None].into_iter().collect();
        let features = FeatureColumns::of_signals([("errors", &errors)], &dormancy);
        assert_eq!(features.names(), ["errors", "errors_available", "dormancy_log_odds"]);
        assert_eq!(features.rows(), 2);
        let highest = log_odds(0.999);
        let expected =
            [vec![Some(80.0), None], vec![Some(1.0), Some(0.0)], vec![Some(highest), None]];
        assert_eq!(features.values(), expected);
        let risk: Vec<_> = features.risk_without_model().iter().collect();
        assert_eq!(risk, [Some(0.0), None]);
    }
}
