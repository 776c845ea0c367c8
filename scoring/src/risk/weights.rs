//! Proposed weights of the score H: what each signal says of who stays, never less than nothing.

use std::collections::BTreeSet;

use domain::Day;
use serde::{Deserialize, Serialize};

use super::calibration::MIN_OF_EACH_OUTCOME;
use super::logistic::{LogisticData, Sign, fit_logistic};
use super::risk_model::{TestOptions, TrainedOn, partner_count};
use super::walk_forward::{TrainingRows, known_rows};
use crate::backtest::{Estimate, Ranked, Ranking, Resamples};

/// The ridge on coefficients of scores between 0 and 1; a signal that hardly varies gets little.
const RIDGE: f64 = 0.1;
/// A signal available in a smaller share of the rows keeps its present weight.
const MIN_AVAILABLE: f64 = 0.05;
/// What the weights add up to.
const TOTAL: f64 = 100.0;

/// Weights for the score H beside the present ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightsProposal {
    pub weights: Vec<ProposedWeight>,
    pub trained_on: TrainedOn,
    pub tested: Option<WeightsTest>,
}

/// The weight of a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposedWeight {
    pub signal: String,
    pub present: f64,
    /// A whole number; all add up to 100.
    pub proposed: f64,
    /// The share of the training rows in which the signal was available.
    pub available: f64,
}

/// The AUC of H on later origins with either weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightsTest {
    pub rows: usize,
    pub leavers: usize,
    pub present_auc: Estimate,
    pub proposed_auc: Estimate,
    /// Proposed less present.
    pub gain: Estimate,
}

/// Proposes weights from rows whose features are the scores of signals, 0–100 and NULL where not
/// available. `present` holds the present weights in the order of the features. The first two
/// thirds of the known origins train, as far as their labels were known at the first of the others,
/// which test. Returns `None` with fewer than ten partners that left or stayed, or if no signal
/// says anything.
pub fn propose_weights(
    rows: &TrainingRows,
    present: &[f64],
    as_of: Day,
    options: TestOptions,
) -> Option<WeightsProposal> {
    let scores = rows.features.values();
    let known = known_rows(rows, as_of);
    let split = first_test_origin(rows, &known).unwrap_or(as_of);
    let train: Vec<usize> =
        known_rows(rows, split).into_iter().filter(|row| rows.label_end[*row] <= as_of).collect();
    let test: Vec<usize> = known.into_iter().filter(|row| rows.origin[*row] >= split).collect();

    let available: Vec<f64> = scores.iter().map(|column| available_share(column, &train)).collect();
    let coefficients = fitted_coefficients(rows, &scores, &train)?;
    let proposed = scaled_weights(&coefficients, present, &available)?;
    let tested = test_weights(rows, &scores, &test, present, &proposed, options);
    let signals = rows.features.names().iter().zip(present).zip(proposed).zip(available);
    let weights = signals.map(|(((signal, present), proposed), available)| ProposedWeight {
        signal: signal.clone(),
        present: *present,
        proposed,
        available,
    });
    let trained_on = TrainedOn::new(rows, &train);
    Some(WeightsProposal { weights: weights.collect(), trained_on, tested })
}

/// Returns the origin that begins the last third of the known ones; `None` of a single origin.
fn first_test_origin(rows: &TrainingRows, known: &[usize]) -> Option<Day> {
    let origins: BTreeSet<Day> = known.iter().map(|row| rows.origin[*row]).collect();
    let train = (origins.len() * 2).div_ceil(3);
    origins.into_iter().nth(train)
}

fn available_share(column: &[Option<f64>], rows: &[usize]) -> f64 {
    let available = rows.iter().filter(|row| column[**row].is_some()).count();
    available as f64 / rows.len().max(1) as f64
}

/// Fits staying on the scores with coefficients of at least 0. A missing score is the mean.
fn fitted_coefficients(
    rows: &TrainingRows,
    scores: &[Vec<Option<f64>>],
    train: &[usize],
) -> Option<Vec<f64>> {
    let stayed = train.iter().filter(|row| !rows.left[**row]).count();
    if stayed.min(train.len() - stayed) < MIN_OF_EACH_OUTCOME {
        return None;
    }
    let centred = scores.iter().map(|column| {
        let known: Vec<f64> = train.iter().filter_map(|row| column[*row]).collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let score = |row: &usize| column[*row].map_or(0.0, |score| (score - mean) / 100.0);
        train.iter().map(score).collect()
    });
    let columns: Vec<Vec<f64>> = centred.collect();
    let targets: Vec<f64> = train.iter().map(|row| f64::from(u8::from(!rows.left[*row]))).collect();
    let weights: Vec<f64> = train.iter().map(|row| rows.weight[*row]).collect();
    let data = LogisticData { columns: &columns, targets: &targets, weights: &weights };
    Some(fit_logistic(&data, RIDGE, Sign::NonNegative)?.coefficients)
}

/// Returns whole weights that add up to 100. Signals that are hardly ever available keep their
/// share of the present weights; the others divide the rest by their coefficients.
fn scaled_weights(coefficients: &[f64], present: &[f64], available: &[f64]) -> Option<Vec<f64>> {
    let is_kept = |at: usize| available[at] < MIN_AVAILABLE;
    let all_present: f64 = present.iter().sum();
    let of = |at: usize| if is_kept(at) { present[at] } else { coefficients[at] };
    let sum = |kept: bool| (0..present.len()).filter(|at| is_kept(*at) == kept).map(of).sum();
    let (kept, fitted): (f64, f64) = (sum(true), sum(false));
    if fitted < 1e-6 {
        return None;
    }
    let kept_total = if kept > 0.0 { TOTAL * kept / all_present } else { 0.0 };
    let exact = (0..present.len()).map(|at| match is_kept(at) {
        true if kept > 0.0 => of(at) / kept * kept_total,
        true => 0.0,
        false => of(at) / fitted * (TOTAL - kept_total),
    });
    Some(rounded(&exact.collect::<Vec<f64>>()))
}

/// Rounds to whole numbers with the same sum: those with the largest remainders are rounded up.
fn rounded(exact: &[f64]) -> Vec<f64> {
    let mut whole: Vec<f64> = exact.iter().map(|weight| weight.floor()).collect();
    let missing = (exact.iter().sum::<f64>() - whole.iter().sum::<f64>()).round();
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by(|a, b| (exact[*b] - whole[*b]).total_cmp(&(exact[*a] - whole[*a])));
    for at in order.into_iter().take(missing as usize) {
        whole[at] += 1.0;
    }
    whole
}

fn test_weights(
    rows: &TrainingRows,
    scores: &[Vec<Option<f64>>],
    test: &[usize],
    present: &[f64],
    proposed: &[f64],
    options: TestOptions,
) -> Option<WeightsTest> {
    let both = |row: usize| {
        let health = [present, proposed].map(|weights| weighted_mean(scores, weights, row));
        Some((row, [health[0]?, health[1]?]))
    };
    let tested: Vec<(usize, [f64; 2])> = test.iter().filter_map(|row| both(*row)).collect();
    if tested.is_empty() {
        return None;
    }
    let rankings = [0, 1].map(|which| {
        let ranked = tested.iter().map(|(row, health)| Ranked {
            partner: rows.partner[*row],
            left: rows.left[*row],
            value: -health[which],
        });
        Ranking::new(ranked.collect())
    });
    let resamples = Resamples::draw(partner_count(rows), options.resamples, options.seed);
    let [present_auc, proposed_auc, gain] = resamples.estimate_all(|counts| {
        let [present, proposed] = rankings.each_ref().map(|ranking| ranking.auc(counts));
        [present, proposed, present.zip(proposed).map(|(present, proposed)| proposed - present)]
    });
    let leavers = tested.iter().filter(|(row, _)| rows.left[*row]).count();
    Some(WeightsTest { rows: tested.len(), leavers, present_auc, proposed_auc, gain })
}

/// Returns Σ weight · score / Σ weight over the available scores; coverage does not cap it here.
fn weighted_mean(scores: &[Vec<Option<f64>>], weights: &[f64], row: usize) -> Option<f64> {
    let (mut points, mut total) = (0.0, 0.0);
    for (column, weight) in scores.iter().zip(weights) {
        if let Some(score) = column[row] {
            points += weight * score;
            total += weight;
        }
    }
    (total > 0.0).then(|| points / total)
}

#[cfg(test)]
mod tests {
    use polars::prelude::Float64Chunked;

    use super::*;
    use crate::risk::FeatureColumns;
    use crate::risk::test_rows::training_rows;

    const FEW: TestOptions = TestOptions { resamples: 50, seed: 1 };

    /// Returns rows with the scores of `errors`, of its opposite, of `growth` which says nothing,
    /// and of a signal that is never available.
    fn rows() -> TrainingRows {
        let mut rows = training_rows(300, &[100, 130, 160, 190]);
        let column = |name| rows.features.column(name).expect("a column").clone();
        let (errors, growth) = (column("errors"), column("growth"));
        let opposite: Float64Chunked = errors.iter().map(|s| s.map(|s| 100.0 - s)).collect();
        let never: Float64Chunked = errors.iter().map(|_| None::<f64>).collect();
        let columns =
            [("errors", &errors), ("growth", &growth), ("opposite", &opposite), ("never", &never)];
        rows.features = FeatureColumns::of_columns(columns, rows.left.len());
        rows
    }

    #[test]
    fn the_signal_that_tells_gets_the_weight() {
        let found =
            propose_weights(&rows(), &[20.0, 20.0, 20.0, 15.0], Day(300), FEW).expect("a proposal");
        let proposed: Vec<f64> = found.weights.iter().map(|weight| weight.proposed).collect();
        // The signal without data keeps its share: 15 of 75 become 20 of 100.
        assert_eq!(proposed.iter().sum::<f64>(), 100.0);
        assert_eq!((proposed[2], proposed[3]), (0.0, 20.0));
        assert!(proposed[0] > 70.0, "{proposed:?}");
        assert_eq!(found.weights[3].available, 0.0);
        assert_eq!(found.trained_on.rows, 900);
        let tested = found.tested.expect("a test");
        assert_eq!(tested.rows, 300);
        assert!(tested.gain.low.expect("an interval") > 0.0, "{tested:?}");
    }

    #[test]
    fn nothing_to_learn_proposes_nothing() {
        let mut none_leaves = rows();
        none_leaves.left.fill(false);
        assert_eq!(propose_weights(&none_leaves, &[1.0; 4], Day(300), FEW), None);
        assert_eq!(propose_weights(&rows(), &[1.0; 4], Day(100), FEW), None);
    }

    #[test]
    fn weights_are_whole_and_add_up() {
        #[track_caller]
        fn check(coefficients: &[f64], present: &[f64], available: &[f64], expected: &[f64]) {
            assert_eq!(
                scaled_weights(coefficients, present, available).expect("weights"),
                expected
            );
        }
        check(&[1.0, 1.0, 1.0], &[1.0; 3], &[1.0; 3], &[34.0, 33.0, 33.0]);
        check(&[3.0, 1.0], &[50.0, 50.0], &[1.0, 0.0], &[50.0, 50.0]);
        check(&[3.0, 1.0, 9.0], &[5.0, 5.0, 0.0], &[1.0, 1.0, 0.01], &[75.0, 25.0, 0.0]);
        assert_eq!(scaled_weights(&[0.0, 0.0], &[50.0, 50.0], &[1.0, 1.0]), None);
    }
}
