//! Training rows for tests: partners whose errors and dormancy say whether they leave.

use domain::Day;
use polars::prelude::Float64Chunked;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::features::FeatureColumns;
use super::logistic::probability;
use super::walk_forward::TrainingRows;

/// Returns rows of `partners` at each origin. Low scores of `errors` make leaving likely; `growth`
/// says nothing and is missing every third time; the baselines say a little.
pub(crate) fn training_rows(partners: u32, origins: &[i32]) -> TrainingRows {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut errors, mut growth, mut dormancy) = (Vec::new(), Vec::new(), Vec::new());
    let features = FeatureColumns::of_columns([], 0);
    let mut rows = TrainingRows {
        features,
        origin: Vec::new(),
        label_end: Vec::new(),
        partner: Vec::new(),
        left: Vec::new(),
        weight: Vec::new(),
        days_since_last_call: Vec::new(),
        call_frequency: Vec::new(),
    };
    for origin in origins {
        for partner in 0..partners {
            let score: f64 = random.random_range(0.0..100.0);
            let left = random.random_bool(probability(2.0 - 0.08 * score));
            errors.push(Some(score));
            growth.push(Some(random.random_range(0.0..100.0)).filter(|_| partner % 3 > 0));
            dormancy.push(Some(if left { 60.0 } else { 70.0 } + random.random_range(0.0..30.0)));
            rows.origin.push(Day(*origin));
            rows.label_end.push(Day(*origin + 28));
            rows.partner.push(partner);
            rows.left.push(left);
            rows.weight.push(1.0);
            let lately = if left { 3.0 } else { 2.0 };
            rows.days_since_last_call.push(random.random_range(0.0..10.0) * lately);
            rows.call_frequency.push(random.random_range(0.0..10.0) / lately);
        }
    }
    let [errors, growth, dormancy] =
        [errors, growth, dormancy].map(|scores| scores.into_iter().collect::<Float64Chunked>());
    let signals = [("errors", &errors), ("growth", &growth), ("dormancy", &dormancy)];
    rows.features = FeatureColumns::of_signals(signals, &dormancy);
    rows
}
