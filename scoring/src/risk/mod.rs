//! The risk that a partner leaves: logistic regression on its signals, calibrated.
//!
//! - `features`: the columns a model looks at
//! - `logistic`: ridge logistic regression
//! - `calibration`: scores become observed probabilities
//! - `model`: a fitted model, as it predicts and as it is stored
//! - `walk_forward`: fits at every origin from what was known there
//! - `risk_model`: the model of risk with its test
//! - `weights`: proposed weights of the score H

mod calibration;
mod features;
mod logistic;
mod model;
mod risk_model;
#[cfg(test)]
mod test_rows;
mod walk_forward;
mod weights;

pub use calibration::Calibration;
pub use features::FeatureColumns;
pub use model::{LogisticModel, ModelError};
pub use risk_model::{RiskModel, TestOptions, TestResult, TrainedOn};
pub use walk_forward::{TrainingRows, WalkForward, fit_model, walk_forward};
pub use weights::{ProposedWeight, WeightsProposal, WeightsTest, propose_weights};
