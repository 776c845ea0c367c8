//! Ridge logistic regression by L-BFGS with its analytic gradient.

use argmin::core::{CostFunction, Error, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

/// How many steps L-BFGS remembers (Nocedal & Wright 2006, section 7.2, advise 3 to 20).
const HISTORY: usize = 10;
const MAX_ITERATIONS: u64 = 500;
/// The norm of the gradient of the mean loss at which the fit has converged.
const GRADIENT_TOLERANCE: f64 = 1e-8;
/// The square root of a coefficient that must not be negative, before the first step. At 0 its
/// gradient would be 0 too.
const FIRST_ROOT: f64 = 0.5;

/// The values that coefficients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Any,
    NonNegative,
}

/// The rows of a regression, column by column.
pub(crate) struct LogisticData<'a> {
    /// A column per feature, without missing values.
    pub columns: &'a [Vec<f64>],
    /// The probability of each row, 0–1; labels are 0 and 1.
    pub targets: &'a [f64],
    /// What each row counts.
    pub weights: &'a [f64],
}

/// A linear score: the intercept plus the sum of coefficients times features.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LinearScore {
    pub intercept: f64,
    pub coefficients: Vec<f64>,
}

impl LinearScore {
    /// Returns the score of each row, which is the log-odds of its probability.
    pub(crate) fn log_odds(&self, columns: &[Vec<f64>], rows: usize) -> Vec<f64> {
        let mut scores = vec![self.intercept; rows];
        for (coefficient, column) in self.coefficients.iter().zip(columns) {
            for (score, value) in scores.iter_mut().zip(column) {
                *score += coefficient * value;
            }
        }
        scores
    }
}

/// Returns the probability that belongs to log-odds.
pub(crate) fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Returns the log-odds of a probability within (0, 1).
pub(crate) fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// Returns −ln of the likelihood of a target, computed without overflow.
pub(crate) fn log_loss(log_odds: f64, target: f64) -> f64 {
    log_odds.max(0.0) + (-log_odds.abs()).exp().ln_1p() - target * log_odds
}

/// Fits coefficients that minimise Σ weight · log loss + ridge/2 · Σ coefficient². The intercept is
/// not penalised. Returns `None` without rows of both outcomes, or if the fit does not stay finite.
pub(crate) fn fit_logistic(data: &LogisticData<'_>, ridge: f64, sign: Sign) -> Option<LinearScore> {
    let total: f64 = data.weights.iter().sum();
    let positive: f64 = data.weights.iter().zip(data.targets).map(|(w, y)| w * y).sum();
    if positive <= 0.0 || positive >= total {
        return None;
    }
    let objective = Objective { data, ridge: ridge / total, total, sign };
    let mut start = vec![if sign == Sign::Any { 0.0 } else { FIRST_ROOT }; data.columns.len() + 1];
    start[0] = log_odds(positive / total);

    let line_search = MoreThuenteLineSearch::new();
    let solver = LBFGS::new(line_search, HISTORY).with_tolerance_grad(GRADIENT_TOLERANCE).ok()?;
    let executor = Executor::new(objective, solver)
        .configure(|state| state.param(start).max_iters(MAX_ITERATIONS))
        .ctrlc(false);
    let result = executor.run().ok()?;
    let parameters = result.state.get_best_param()?;
    let is_finite = parameters.iter().all(|value| value.is_finite());
    is_finite.then(|| linear_score(parameters, sign))
}

fn linear_score(parameters: &[f64], sign: Sign) -> LinearScore {
    let (intercept, rest) = parameters.split_first().map_or((0.0, &[][..]), |(i, r)| (*i, r));
    let coefficients = match sign {
        Sign::Any => rest.to_vec(),
        Sign::NonNegative => rest.iter().map(|root| root * root).collect(),
    };
    LinearScore { intercept, coefficients }
}

/// The mean penalised loss as a function of the intercept and the coefficients. A coefficient that
/// must not be negative is the square of its parameter.
struct Objective<'a> {
    data: &'a LogisticData<'a>,
    ridge: f64,
    total: f64,
    sign: Sign,
}

impl CostFunction for Objective<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, parameters: &Vec<f64>) -> Result<f64, Error> {
        let LogisticData { columns, targets, weights } = self.data;
        let score = linear_score(parameters, self.sign);
        let scores = score.log_odds(columns, targets.len());
        let rows = scores.iter().zip(*targets).zip(*weights);
        let loss: f64 =
            rows.map(|((score, target), weight)| weight * log_loss(*score, *target)).sum();
        let squares: f64 = score.coefficients.iter().map(|c| c * c).sum();
        Ok(loss / self.total + self.ridge / 2.0 * squares)
    }
}

impl Gradient for Objective<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, parameters: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let LogisticData { columns, targets, weights } = self.data;
        let score = linear_score(parameters, self.sign);
        let mut residuals = score.log_odds(columns, targets.len());
        for ((residual, target), weight) in residuals.iter_mut().zip(*targets).zip(*weights) {
            *residual = weight * (probability(*residual) - target) / self.total;
        }
        let mut gradient = Vec::with_capacity(parameters.len());
        gradient.push(residuals.iter().sum());
        for (column, coefficient) in columns.iter().zip(&score.coefficients) {
            let slope: f64 = column.iter().zip(&residuals).map(|(value, r)| value * r).sum();
            gradient.push(slope + self.ridge * coefficient);
        }
        if self.sign == Sign::NonNegative {
            for (slope, root) in gradient.iter_mut().zip(parameters).skip(1) {
                *slope *= 2.0 * root;
            }
        }
        Ok(gradient)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Returns rows with two uniform features and labels drawn from log-odds of
    /// −1 + first·x + second·y.
    fn drawn(rows: usize, first: f64, second: f64) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut columns = vec![Vec::new(), Vec::new()];
        let mut labels = Vec::new();
        for _ in 0..rows {
            let (x, y) = (random.random_range(-2.0..2.0), random.random_range(-2.0..2.0));
            columns[0].push(x);
            columns[1].push(y);
            let is_left = random.random_bool(probability(-1.0 + first * x + second * y));
            labels.push(f64::from(u8::from(is_left)));
        }
        (columns, labels)
    }

    fn fitted(columns: &[Vec<f64>], targets: &[f64], ridge: f64, sign: Sign) -> LinearScore {
        let weights = vec![1.0; targets.len()];
        fit_logistic(&LogisticData { columns, targets, weights: &weights }, ridge, sign)
            .expect("a fit")
    }

    #[test]
    fn coefficients_of_simulated_rows_are_recovered() {
        #[track_caller]
        fn check(first: f64, second: f64, sign: Sign, expected: [f64; 3]) {
            let (columns, labels) = drawn(40_000, first, second);
            let LinearScore { intercept, coefficients } = fitted(&columns, &labels, 0.01, sign);
            let found = [intercept, coefficients[0], coefficients[1]];
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 0.06, "{found} for {expected}");
            }
        }
        check(1.5, -0.8, Sign::Any, [-1.0, 1.5, -0.8]);
        check(0.0, 0.4, Sign::Any, [-1.0, 0.0, 0.4]);
        check(1.5, 0.8, Sign::NonNegative, [-1.0, 1.5, 0.8]);
        // A negative effect becomes 0; the rest is the fit without this feature.
        let (columns, labels) = drawn(40_000, 1.5, -0.8);
        let alone = fitted(&columns[..1], &labels, 0.01, Sign::NonNegative);
        check(1.5, -0.8, Sign::NonNegative, [alone.intercept, alone.coefficients[0], 0.0]);
    }

    #[test]
    fn one_binary_feature_gives_the_log_odds_of_each_half() {
        // Of the rows with 0, one in four is positive; of those with 1, three in four.
        let columns = vec![vec![0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]];
        let labels = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let found = fitted(&columns, &labels, 0.0, Sign::Any);
        assert!((found.intercept + 3f64.ln()).abs() < 1e-6);
        assert!((found.coefficients[0] - 2.0 * 3f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_row_of_weight_two_counts_as_two_rows() {
        let columns = vec![vec![0.0, 1.0, 2.0, 3.0]];
        let targets = [0.0, 1.0, 0.0, 1.0];
        let weights = [1.0, 2.0, 1.0, 1.0];
        let data = LogisticData { columns: &columns, targets: &targets, weights: &weights };
        let weighted = fit_logistic(&data, 0.5, Sign::Any).expect("a fit");
        let doubled =
            fitted(&[vec![0.0, 1.0, 1.0, 2.0, 3.0]], &[0.0, 1.0, 1.0, 0.0, 1.0], 0.5, Sign::Any);
        assert!((weighted.intercept - doubled.intercept).abs() < 1e-6);
        assert!((weighted.coefficients[0] - doubled.coefficients[0]).abs() < 1e-6);
    }

    #[test]
    fn separable_rows_stay_finite_and_a_stronger_ridge_shrinks() {
        let columns = vec![vec![-2.0, -1.0, 1.0, 2.0]];
        let labels = [0.0, 0.0, 1.0, 1.0];
        let weak = fitted(&columns, &labels, 0.1, Sign::Any).coefficients[0];
        let strong = fitted(&columns, &labels, 10.0, Sign::Any).coefficients[0];
        assert!(weak.is_finite() && weak > strong && strong > 0.0, "{weak} and {strong}");
    }

    #[test]
    fn one_outcome_alone_has_no_fit() {
        #[track_caller]
        fn check(targets: &[f64]) {
            let columns = vec![vec![1.0; targets.len()]];
            let weights = vec![1.0; targets.len()];
            let data = LogisticData { columns: &columns, targets, weights: &weights };
            assert_eq!(fit_logistic(&data, 1.0, Sign::Any), None);
        }
        check(&[]);
        check(&[0.0, 0.0]);
        check(&[1.0, 1.0, 1.0]);
    }
}
