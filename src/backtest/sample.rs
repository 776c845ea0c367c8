//! Observations at origins with their labels, as rows of a backtest and of a fit.

use std::collections::BTreeMap;

use domain::SignalName;
use polars::prelude::Float64Chunked;
use scoring::backtest::BacktestRow;
use scoring::{FeatureColumns, Policy, TrainingRows, signal_names};

use super::labels::Label;
use super::observations::Observations;

/// Days before its last success in which a leaver's first sign of trouble is looked for.
const TROUBLE_DAYS: i32 = 84;
/// The group of partners whose plan or region is unknown.
const UNKNOWN: &str = "unknown";

/// The rows with a label, by origin and partner.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) rows: Vec<BacktestRow>,
    /// The names of what risk models look at.
    pub(crate) feature_names: Vec<String>,
    /// What they look at, per row.
    pub(crate) features: Vec<Vec<Option<f64>>>,
    /// What was left out, by reason, in rows.
    pub(crate) excluded: BTreeMap<String, u64>,
}

impl Sample {
    /// Puts labels to the observations. Only partners that called in the 28 days before count.
    pub(crate) fn of<'a>(
        labels: impl IntoIterator<Item = &'a Label>,
        observations: &Observations,
    ) -> Self {
        let feature_names = observations.features.clone();
        let mut sample = Self { feature_names, ..Self::default() };
        for label in labels.into_iter().filter(|label| label.was_active) {
            if let Err(reason) = sample.add(label, observations) {
                *sample.excluded.entry(reason).or_default() += 1;
            }
        }
        sample
    }

    /// Adds a row, or returns why it is left out.
    fn add(&mut self, label: &Label, observations: &Observations) -> Result<(), String> {
        if let Some(reason) = &label.excluded {
            return Err(reason.clone());
        }
        let left = label.left.ok_or("label not over")?;
        let origin = label.origin();
        let partner = observations.number(&label.partner_id).ok_or("not scored")?;
        let seen = observations.at_origin(origin, partner).ok_or("not scored")?;
        let last_success = seen.last_success.ok_or("not scored")?;
        let from = last_success.plus(-TROUBLE_DAYS);
        let trouble = || observations.first_trouble(partner, from, last_success);
        let group = |name: &Option<String>| name.clone().unwrap_or_else(|| UNKNOWN.to_owned());
        self.rows.push(BacktestRow {
            origin,
            label_end: origin.plus(label.label_days),
            partner,
            left,
            risk: seen.risk,
            is_risk_fitted: seen.is_risk_fitted,
            health: seen.health,
            tier: seen.tier,
            days_since_last_call: seen.days_since_last_call,
            call_frequency: seen.call_frequency,
            gross_share: seen.gross_share,
            cadence: label.cadence.unwrap_or(1.0),
            last_success,
            warned_on: left.then(trouble).flatten(),
            has_action: label.has_action,
            size: group(&label.size),
            plan: group(&label.plan),
            region: group(&label.region),
        });
        self.features.push(seen.features.clone());
        Ok(())
    }

    /// Returns the rows that the risk model is fitted to. Candidates that the policy does not weigh
    /// are no features.
    pub(crate) fn risk_rows(&self, policy: &Policy) -> TrainingRows {
        let left_out: Vec<SignalName> =
            signal_names().filter(|signal| !policy.has_signal(signal)).collect();
        let keep = |name: &str| {
            let signal = name.strip_suffix("_available").unwrap_or(name);
            !left_out.iter().any(|candidate| candidate.as_str() == signal)
        };
        self.training_rows(self.columns(keep))
    }

    /// Returns the rows that the weights of the score are fitted to: the scores of the signals.
    pub(crate) fn weight_rows(&self) -> TrainingRows {
        self.training_rows(
            self.columns(|name| signal_names().any(|signal| signal.as_str() == name)),
        )
    }

    /// Returns some of the features as columns.
    fn columns(&self, keep: impl Fn(&str) -> bool) -> FeatureColumns {
        let kept = self.feature_names.iter().enumerate().filter(|(_, name)| keep(name));
        let columns: Vec<(&str, Float64Chunked)> =
            kept.map(|(at, name)| (name.as_str(), self.column(at))).collect();
        let columns = columns.iter().map(|(name, column)| (*name, column));
        FeatureColumns::of_columns(columns, self.rows.len())
    }

    fn column(&self, at: usize) -> Float64Chunked {
        self.features.iter().map(|row| row.get(at).copied().flatten()).collect()
    }

    fn training_rows(&self, features: FeatureColumns) -> TrainingRows {
        fn of<T>(rows: &[BacktestRow], value: impl Fn(&BacktestRow) -> T) -> Vec<T> {
            rows.iter().map(value).collect()
        }
        let rows = &self.rows;
        TrainingRows {
            features,
            origin: of(rows, |row| row.origin),
            label_end: of(rows, |row| row.label_end),
            partner: of(rows, |row| row.partner),
            left: of(rows, |row| row.left),
            weight: vec![1.0; rows.len()],
            days_since_last_call: of(rows, |row| row.days_since_last_call),
            call_frequency: of(rows, |row| row.call_frequency),
        }
    }

    /// Returns the mean score of a signal over the rows that left, and over those that stayed, where
    /// it was available.
    pub(crate) fn mean_scores(&self, signal: &str) -> Option<(f64, f64)> {
        let at = self.feature_names.iter().position(|name| name == signal)?;
        let mean = |left: bool| {
            let rows = self.rows.iter().zip(&self.features).filter(|(row, _)| row.left == left);
            let known: Vec<f64> = rows.filter_map(|(_, row)| *row.get(at)?).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        mean(true).zip(mean(false))
    }
}
