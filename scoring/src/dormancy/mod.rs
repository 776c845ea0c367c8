//! The chance that a partner calls again: the dormancy model, its fit and its fall-back.
//!
//! Time is counted in opportunities, periods in which a partner can have a success or not. A
//! partner transacts at each with a probability of its own until it leaves for good, unseen
//! (Fader, Hardie & Shang 2010, "Customer-Base Analysis in a Discrete-Time Noncontractual Setting",
//! Marketing Science 29(6)).
//!
//! - `history`: what the model needs to know of a partner, and its reading from columns
//! - `beta_geometric`: the beta-geometric/beta-Bernoulli model and its predictions
//! - `likelihood`: the log-likelihood of many partners with its gradient
//! - `fit`: the fit by maximum likelihood, or the reason why there is none
//! - `empirical`: observed rates, which stand in where the model has no fit
//! - `model`: the one of the two that is stored and scores
//! - `portfolio`: the fit to the rows of a query
//! - `stored_number`: the numbers of a stored model, to 12 digits

mod beta_geometric;
mod empirical;
mod fit;
#[cfg(test)]
mod fit_tests;
mod history;
mod likelihood;
mod model;
mod portfolio;
mod stored_number;

pub use beta_geometric::BetaGeometric;
pub use empirical::{EmpiricalRate, Outcome};
pub use fit::{FittedModel, NotFitted, fit};
pub use history::{RepeatHistory, count_histories};
pub use model::DormancyModel;
pub use portfolio::fit_dormancy;
