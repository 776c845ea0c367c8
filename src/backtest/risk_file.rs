//! The file of a proposed risk model: the model, its test, and what it was fitted to.

use std::path::{Path, PathBuf};

use anyhow::Context;
use domain::Day;
use polars::prelude::Float64Chunked;
use scoring::risk::WeightsTest;
use scoring::{FeatureColumns, RiskModel, signal_names};
use serde::{Deserialize, Serialize};

use crate::atomic_file::write_file;
use crate::errors::usage_error;

/// A proposed risk model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RiskFile {
    /// The end of the data it was fitted to, as an ISO date.
    pub(crate) as_of: String,
    /// µs.
    pub(crate) fitted_at: i64,
    /// The version of the policy that computed its features.
    pub(crate) policy_version: String,
    pub(crate) model: RiskModel,
    /// How the weights proposed with it did on later origins.
    pub(crate) weights_tested: Option<WeightsTest>,
}

/// Returns the path of the risk model beside a policy: `scoring.risk.json` beside `scoring.toml`.
pub(crate) fn path_beside(policy: &Path) -> PathBuf {
    policy.with_extension("risk.json")
}

impl RiskFile {
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        write_file(path, (serde_json::to_string_pretty(self)? + "\n").as_bytes())
    }

    /// Reads a file and checks that the program computes what the model looks at.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let refused = |why: String| usage_error(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))?;
        let file: Self = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
        file.as_of.parse::<Day>().map_err(|_| refused(format!("as_of = \"{}\"", file.as_of)))?;
        check_features(&file.model).map_err(|why| refused(format!("{why:#}")))?;
        Ok(file)
    }
}

/// Checks a model against the features that the program computes.
fn check_features(model: &RiskModel) -> anyhow::Result<()> {
    let model = &model.model;
    let lengths = [model.mean.len(), model.scale.len(), model.coefficients.len()];
    anyhow::ensure!(
        lengths.iter().all(|length| *length == model.features.len()),
        "mean, scale and coefficients must have a value for each of the {} features",
        model.features.len()
    );
    let numbers = model.mean.iter().chain(&model.scale).chain(&model.coefficients);
    let are_finite = numbers.chain([&model.intercept]).all(|number| number.is_finite());
    anyhow::ensure!(
        are_finite && model.scale.iter().all(|scale| *scale > 0.0),
        "every number must be finite, and every scale above 0"
    );
    model.predict(&no_rows()).map(drop).context("the model can't be used")
}

/// Returns the features that the program computes, without rows.
fn no_rows() -> FeatureColumns {
    let names: Vec<String> = signal_names().map(|name| name.to_string()).collect();
    let empty: Float64Chunked = std::iter::empty::<Option<f64>>().collect();
    let signals = names.iter().map(|name| (name.as_str(), &empty));
    FeatureColumns::of_risk(signals, &empty, &empty, &empty)
}
