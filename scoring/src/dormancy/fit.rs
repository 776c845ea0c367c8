//! The fit of the beta-geometric/beta-Bernoulli model by maximum likelihood.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use serde::{Deserialize, Serialize};

use super::beta_geometric::BetaGeometric;
use super::history::RepeatHistory;
use super::likelihood::PortfolioLikelihood;
use super::stored_number::stored_number;

/// Below this many partners the parameters are too uncertain.
const MIN_PARTNERS: u64 = 200;

/// A parameter that runs out of this range has no maximum: partners are all alike, or never leave,
/// or never transact.
const BOUNDS: [f64; 2] = [1e-4, 1e4];

/// A parameter counts as at its bound as well if the log-likelihood there is lower by less than
/// this: a search stops early where the likelihood is flat.
const FLAT_LOG_LIKELIHOOD: f64 = 0.001;

/// Where the search starts: undecided partners, partners of two kinds that leave seldom, frequent
/// callers that leave seldom, and rare callers that leave soon.
const STARTS: [[f64; 4]; 4] =
    [[1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 10.0], [5.0, 1.0, 1.0, 50.0], [0.5, 3.0, 1.0, 3.0]];

/// A change of the mean log-likelihood of a partner, and a norm of its gradient, that end the
/// search. They are tight, because the likelihood is flat around its maximum.
const COST_TOLERANCE: f64 = 1e-15;
const GRADIENT_TOLERANCE: f64 = 1e-10;
const MAX_ITERATIONS: u64 = 500;

/// The largest gradient of the mean log-likelihood, in the logarithms of the parameters, that still
/// counts as a maximum.
const CONVERGED_GRADIENT: f64 = 1e-5;

/// A fitted model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedModel {
    pub parameters: BetaGeometric,
    pub log_likelihood: f64,
    /// Partners that the fit rests on, those with at least one opportunity.
    pub partners: u64,
}

/// Why a portfolio has no fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NotFitted {
    #[error("{partners} partners, fewer than the {MIN_PARTNERS} that a fit needs")]
    TooFewPartners { partners: u64 },
    #[error("the likelihood has no maximum: {parameter} ran to its bound")]
    ParameterAtBound { parameter: String },
    #[error("the search for the maximum of the likelihood did not converge")]
    NotConverged,
}

/// Fits the model to the histories of a portfolio, each with how many partners have it.
///
/// # Errors
/// Says why there is no fit; the observed rates stand in then.
pub fn fit(cells: &[(RepeatHistory, u64)]) -> Result<FittedModel, NotFitted> {
    let portfolio = PortfolioLikelihood::new(cells);
    let partners = portfolio.partners;
    if partners < MIN_PARTNERS {
        return Err(NotFitted::TooFewPartners { partners });
    }
    let mut best: Option<Maximum> = None;
    for start in STARTS {
        let Some(found) = maximise(&portfolio, start) else { continue };
        let is_better = best.as_ref().is_none_or(|b| found.log_likelihood > b.log_likelihood);
        if is_better {
            best = Some(found);
        }
    }
    let best = best.ok_or(NotFitted::NotConverged)?;
    if let Some(parameter) = parameter_at_bound(&portfolio, &best) {
        return Err(NotFitted::ParameterAtBound { parameter: parameter.to_owned() });
    }
    if best.gradient_norm > CONVERGED_GRADIENT {
        return Err(NotFitted::NotConverged);
    }
    let parameters = BetaGeometric::from_array(best.parameters.to_array().map(stored_number));
    let log_likelihood = stored_number(best.log_likelihood);
    Ok(FittedModel { parameters, log_likelihood, partners })
}

/// The best parameters that a search found.
struct Maximum {
    parameters: BetaGeometric,
    log_likelihood: f64,
    /// Of the mean log-likelihood of a partner, in the logarithms of the parameters.
    gradient_norm: f64,
}

/// Searches from a start; returns `None` if the search breaks down.
fn maximise(portfolio: &PortfolioLikelihood, start: [f64; 4]) -> Option<Maximum> {
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 8)
        .with_tolerance_cost(COST_TOLERANCE)
        .and_then(|solver| solver.with_tolerance_grad(GRADIENT_TOLERANCE))
        .ok()?;
    let start: Vec<f64> = start.iter().map(|value| value.ln()).collect();
    let result = Executor::new(MeanLoss::new(portfolio), solver)
        .configure(|state| state.param(start).max_iters(MAX_ITERATIONS))
        .timer(false)
        .run()
        .ok()?;
    let found = result.state().get_best_param()?;
    let parameters = parameters_of(found)?;
    let Evaluation { loss, gradient, .. } = MeanLoss::new(portfolio).evaluate(found).ok()?;
    let log_likelihood = -loss * portfolio.partners as f64;
    let gradient_norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let is_finite = log_likelihood.is_finite() && gradient_norm.is_finite();
    is_finite.then_some(Maximum { parameters, log_likelihood, gradient_norm })
}

/// Returns the name of the first parameter that has no maximum within the bounds.
fn parameter_at_bound(portfolio: &PortfolioLikelihood, best: &Maximum) -> Option<&'static str> {
    let [lowest, highest] = BOUNDS;
    let values = best.parameters.to_array();
    let is_at_bound = |i: usize| {
        let is_outside = values[i] <= lowest || values[i] >= highest;
        let is_flat = |bound: f64| {
            let mut moved = values;
            moved[i] = bound;
            let (log_likelihood, _) = portfolio.evaluate(&BetaGeometric::from_array(moved));
            log_likelihood > best.log_likelihood - FLAT_LOG_LIKELIHOOD
        };
        is_outside || BOUNDS.into_iter().any(is_flat)
    };
    ["alpha", "beta", "gamma", "delta"]
        .into_iter()
        .enumerate()
        .find(|(i, _)| is_at_bound(*i))
        .map(|(_, name)| name)
}

/// What the search makes small: the negative mean log-likelihood of a partner, a function of the
/// logarithms of the parameters.
struct MeanLoss<'a> {
    portfolio: &'a PortfolioLikelihood,
    /// The last evaluation: the search asks for the gradient where it has just asked for the loss.
    last: RefCell<Option<Evaluation>>,
}

#[derive(Clone)]
struct Evaluation {
    logarithms: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

impl<'a> MeanLoss<'a> {
    fn new(portfolio: &'a PortfolioLikelihood) -> Self {
        Self { portfolio, last: RefCell::new(None) }
    }

    fn evaluate(&self, logarithms: &[f64]) -> Result<Evaluation, Error> {
        let last = self.last.borrow().clone();
        if let Some(last) = last.filter(|last| last.logarithms == logarithms) {
            return Ok(last);
        }
        let parameters =
            parameters_of(logarithms).ok_or_else(|| Error::msg("parameters overflow"))?;
        let (log_likelihood, gradient) = self.portfolio.evaluate(&parameters);
        let scale = -1.0 / self.portfolio.partners as f64;
        // By the chain rule: d/d ln p = p · d/dp.
        let chained = gradient.iter().zip(parameters.to_array());
        let evaluation = Evaluation {
            logarithms: logarithms.to_vec(),
            loss: scale * log_likelihood,
            gradient: chained.map(|(derivative, value)| scale * derivative * value).collect(),
        };
        self.last.replace(Some(evaluation.clone()));
        Ok(evaluation)
    }
}

impl CostFunction for MeanLoss<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, logarithms: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.evaluate(logarithms)?.loss)
    }
}

impl Gradient for MeanLoss<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, logarithms: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.evaluate(logarithms)?.gradient)
    }
}

/// Returns the parameters of their logarithms, or `None` where one is too large or small to compute
/// with.
fn parameters_of(logarithms: &[f64]) -> Option<BetaGeometric> {
    let logarithms = <[f64; 4]>::try_from(logarithms).ok()?;
    let are_usable = logarithms.into_iter().all(|logarithm| logarithm.abs() < 100.0);
    are_usable.then(|| BetaGeometric::from_array(logarithms.map(f64::exp)))
}
