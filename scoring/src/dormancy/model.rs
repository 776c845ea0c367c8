//! The dormancy model that scores: the fitted one, or the observed rates with the reason for them.

use std::collections::HashMap;

use polars::prelude::{Float64Chunked, Int64Chunked, NewChunkedArray};
use serde::{Deserialize, Serialize};

use super::empirical::{EmpiricalRate, Outcome};
use super::fit::{FittedModel, NotFitted, fit};
use super::history::RepeatHistory;

/// A dormancy model as it is stored, by serde, in the table `models`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum DormancyModel {
    BetaGeometric(FittedModel),
    EmpiricalRate {
        rate: EmpiricalRate,
        /// Why there is no fitted model.
        reason: NotFitted,
    },
}

impl DormancyModel {
    /// Fits the beta-geometric model to a portfolio, or else measures the observed rates of the
    /// outcomes. Returns `None` where neither is possible.
    pub fn fit(cells: &[(RepeatHistory, u64)], outcomes: &[Outcome]) -> Option<Self> {
        match fit(cells) {
            Ok(fitted) => Some(Self::BetaGeometric(fitted)),
            Err(reason) => {
                EmpiricalRate::fit(outcomes).map(|rate| Self::EmpiricalRate { rate, reason })
            }
        }
    }

    /// Returns the log-likelihood of a fitted model.
    pub fn log_likelihood(&self) -> Option<f64> {
        match self {
            Self::BetaGeometric(fitted) => Some(fitted.log_likelihood),
            Self::EmpiricalRate { .. } => None,
        }
    }

    /// Returns how many partners, or outcomes of partners, the model rests on.
    pub fn n(&self) -> u64 {
        match self {
            Self::BetaGeometric(fitted) => fitted.partners,
            Self::EmpiricalRate { rate, .. } => rate.outcomes,
        }
    }

    /// Returns the probability of at least one success in the `m` opportunities after a history,
    /// 0–1.
    pub fn predict(&self, history: RepeatHistory, m: u32) -> f64 {
        match self {
            Self::BetaGeometric(fitted) => fitted.parameters.probability_of_a_success(history, m),
            Self::EmpiricalRate { rate, .. } => rate.probability_of_a_success(history, m),
        }
    }

    /// Returns the predictions for columns of equal length, a row being a partner. A row with a
    /// NULL, or with numbers that no history can have, is NULL. Equal rows are computed once.
    pub fn predict_columns(
        &self,
        x: &Int64Chunked,
        t_x: &Int64Chunked,
        n: &Int64Chunked,
        m: &Int64Chunked,
    ) -> Float64Chunked {
        let mut known: HashMap<(RepeatHistory, u32), f64> = HashMap::new();
        let rows = x.iter().zip(t_x.iter()).zip(n.iter()).zip(m.iter());
        let predictions = rows.map(|(((x, t_x), n), m)| {
            let history = RepeatHistory::new(x?, t_x?, n?)?;
            let m = u32::try_from(m?).ok()?;
            Some(*known.entry((history, m)).or_insert_with(|| self.predict(history, m)))
        });
        Float64Chunked::from_iter_options("dormancy".into(), predictions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dormancy::BetaGeometric;

    fn history(x: i64, t_x: i64, n: i64) -> RepeatHistory {
        RepeatHistory::new(x, t_x, n).expect("a possible history")
    }

    fn fitted() -> DormancyModel {
        let parameters = BetaGeometric { alpha: 1.204, beta: 0.750, gamma: 0.657, delta: 2.783 };
        let model = FittedModel { parameters, log_likelihood: -33_225.6, partners: 11_104 };
        DormancyModel::BetaGeometric(model)
    }

    /// Too few partners for a fit, with an outcome each.
    fn fall_back() -> DormancyModel {
        let cells = [(history(3, 4, 6), 80), (history(0, 0, 6), 40)];
        let outcomes =
            cells.map(|(history, _)| Outcome { history, m: 4, has_success: history.x() > 0 });
        DormancyModel::fit(&cells, &outcomes).expect("observed rates")
    }

    #[test]
    fn too_few_partners_have_observed_rates_or_no_model() {
        let model = fall_back();
        let DormancyModel::EmpiricalRate { rate, reason } = &model else { panic!("{model:?}") };
        assert_eq!(*reason, NotFitted::TooFewPartners { partners: 120 });
        let sentence = "120 partners, fewer than the 200 that a fit needs";
        assert_eq!(reason.to_string(), sentence);
        assert_eq!((model.n(), model.log_likelihood(), rate.outcomes), (2, None, 2));
        assert!(model.predict(history(3, 4, 6), 4) > model.predict(history(0, 0, 6), 4));
        assert_eq!(DormancyModel::fit(&[(history(3, 4, 6), 80)], &[]), None);
    }

    #[test]
    fn a_stored_model_predicts_the_same() {
        for model in [fitted(), fall_back()] {
            let json = serde_json::to_string(&model).expect("JSON");
            let stored: DormancyModel = serde_json::from_str(&json).expect(&json);
            assert_eq!(stored, model, "{json}");
        }
        let json = serde_json::to_value(fitted()).expect("JSON");
        assert_eq!(json["model"], "beta_geometric");
        assert_eq!(json["parameters"]["delta"], 2.783);
    }

    #[test]
    fn columns_have_the_predictions_of_their_rows() {
        let column = |values: &[Option<i64>]| {
            Int64Chunked::from_iter_options("column".into(), values.iter().copied())
        };
        let x = column(&[Some(3), Some(3), None, Some(5), Some(0)]);
        let t_x = column(&[Some(4), Some(4), Some(1), Some(2), Some(0)]);
        let n = column(&[Some(6), Some(6), Some(1), Some(9), Some(0)]);
        let m = column(&[Some(4), Some(4), Some(1), Some(1), Some(-1)]);
        for model in [fitted(), fall_back()] {
            let known = Some(model.predict(history(3, 4, 6), 4));
            let predictions: Vec<_> = model.predict_columns(&x, &t_x, &n, &m).iter().collect();
            assert_eq!(predictions, [known, known, None, None, None]);
        }
    }
}
