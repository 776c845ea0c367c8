//! The fit against the published example, simulated portfolios, and portfolios without a maximum.

use std::collections::BTreeMap;
use std::time::Instant;

use polars::prelude::{Int64Chunked, NewChunkedArray};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// The donations of Fader, Hardie & Shang (2010): 11,104 donors of the year 1995, by how
/// many of the 6 years after it they donated in (x), and in which of them last (t_x).
const DONATIONS: [(i64, i64, u64); 22] = [
    (0, 0, 3464),
    (1, 1, 1091),
    (1, 2, 277),
    (1, 3, 129),
    (1, 4, 78),
    (1, 5, 119),
    (1, 6, 129),
    (2, 2, 613),
    (2, 3, 255),
    (2, 4, 155),
    (2, 5, 173),
    (2, 6, 234),
    (3, 3, 322),
    (3, 4, 181),
    (3, 5, 225),
    (3, 6, 357),
    (4, 4, 240),
    (4, 5, 284),
    (4, 6, 512),
    (5, 5, 335),
    (5, 6, 728),
    (6, 6, 1203),
];

fn history(x: i64, t_x: i64, n: i64) -> RepeatHistory {
    RepeatHistory::new(x, t_x, n).expect("a possible history")
}

#[test]
fn reproduces_the_published_donations() {
    let cells = DONATIONS.map(|(x, t_x, donors)| (history(x, t_x, 6), donors));
    let fitted = fit(&cells).expect("a maximum");
    let published = [1.204, 0.750, 0.657, 2.783];
    for (found, published) in fitted.parameters.to_array().into_iter().zip(published) {
        assert!((found - published).abs() < 0.000_5, "{found} {published}");
    }
    assert!((fitted.log_likelihood + 33_225.6).abs() < 0.1, "{}", fitted.log_likelihood);
    assert_eq!(fitted.partners, 11_104);
    let json = serde_json::to_string(&fitted).expect("JSON");
    assert_eq!(serde_json::from_str::<FittedModel>(&json).expect(&json), fitted);
}

/// Draws from a beta distribution (Jöhnk 1964).
fn draw_beta(rng: &mut ChaCha8Rng, a: f64, b: f64) -> f64 {
    loop {
        let x = rng.random::<f64>().powf(1.0 / a);
        let y = rng.random::<f64>().powf(1.0 / b);
        if x + y <= 1.0 && x + y > 0.0 {
            return x / (x + y);
        }
    }
}

/// Simulates partners of 0 to 52 opportunities.
fn simulate(truth: &BetaGeometric, partners: u64, seed: u64) -> Vec<(RepeatHistory, u64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut counts = BTreeMap::new();
    for _ in 0..partners {
        let success = draw_beta(&mut rng, truth.alpha, truth.beta);
        let leave = draw_beta(&mut rng, truth.gamma, truth.delta);
        let n = rng.random_range(0..=52);
        let (mut x, mut t_x) = (0, 0);
        for t in 1..=n {
            if rng.random::<f64>() < leave {
                break;
            }
            if rng.random::<f64>() < success {
                (x, t_x) = (x + 1, t);
            }
        }
        *counts.entry(history(x, t_x, n)).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// Twice the difference of the log-likelihoods is distributed as chi-squared with 4 degrees of
/// freedom, above 20 once in 2,000 portfolios.
#[test]
fn recovers_the_parameters_of_a_simulated_portfolio() {
    #[track_caller]
    fn check(truth: [f64; 4], seed: u64) {
        let parameters = BetaGeometric::from_array(truth);
        let cells = simulate(&parameters, 20_000, seed);
        let fitted = fit(&cells).expect("a maximum");
        let sum = |p: &BetaGeometric| -> f64 {
            cells.iter().map(|(history, count)| *count as f64 * p.log_likelihood(*history)).sum()
        };
        let better_by = sum(&fitted.parameters) - sum(&parameters);
        assert!((0.0..10.0).contains(&better_by), "{better_by} {fitted:?}");
        for (found, truth) in fitted.parameters.to_array().into_iter().zip(truth) {
            assert!((found / truth).ln().abs() < 0.15, "{found} {truth}");
        }
    }
    check([1.204, 0.750, 0.657, 2.783], 1);
    check([0.8, 1.5, 0.7, 6.0], 2);
    check([3.0, 0.5, 0.6, 12.0], 3);
}

#[test]
fn says_why_there_is_no_fit() {
    #[track_caller]
    fn check(cells: &[(i64, i64, i64, u64)], expected: &str) {
        let cells: Vec<_> =
            cells.iter().map(|&(x, t_x, n, count)| (history(x, t_x, n), count)).collect();
        let reason = fit(&cells).expect_err("no fit").to_string();
        assert!(reason.contains(expected), "{reason}");
    }
    check(&[], "0 partners, fewer than the 200");
    check(&[(1, 1, 2, 199), (0, 0, 0, 5_000)], "199 partners, fewer than the 200");
    // Every partner was active at every opportunity.
    check(&[(6, 6, 6, 500)], "to its bound");
    // No partner was ever active again.
    check(&[(0, 0, 6, 500), (0, 0, 12, 500)], "to its bound");
}

/// Prints how long the fit and the predictions for 100,000 partners take:
/// `cargo test -p scoring -- --nocapture dormancy_of_a_large`.
#[test]
#[expect(clippy::print_stdout, reason = "the test prints its measurements")]
fn dormancy_of_a_large_portfolio() {
    let truth = BetaGeometric { alpha: 1.204, beta: 0.750, gamma: 0.657, delta: 2.783 };
    let cells = simulate(&truth, 100_000, 4);
    let rows = || cells.iter().flat_map(|(h, count)| std::iter::repeat_n(h, *count as usize));
    let column = |value: fn(&RepeatHistory) -> u32| {
        let values = rows().map(|history| i64::from(value(history)));
        Int64Chunked::from_iter_values("column".into(), values)
    };
    let [x, t_x, n] = [RepeatHistory::x, RepeatHistory::t_x, RepeatHistory::n].map(column);
    let start = Instant::now();
    let counted = count_histories(&x, &t_x, &n);
    let fitted = fit(&counted).expect("a maximum");
    println!("fit of 100,000 partners in {:?}: {fitted:?}", start.elapsed());
    assert_eq!(counted, cells);
    let start = Instant::now();
    let model = DormancyModel::BetaGeometric(fitted);
    let predictions = model.predict_columns(&x, &t_x, &n, &n);
    println!("predictions for 100,000 partners in {:?}", start.elapsed());
    assert_eq!((predictions.len(), predictions.null_count()), (100_000, 0));
}
