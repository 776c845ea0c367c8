//! From the signals' columns to a score: coverage, the weighted mean, its cap, and the scores with
//! one week left out.

use polars::prelude::BooleanChunked;

use crate::columns::{ColumnMath, Numbers, choose, constant};
use crate::policy::MinimumEvidence;

/// One signal as the score weighs it, a partner a row.
pub(crate) struct WeighedSignal<'a> {
    /// The weight of the policy, as far as it counts for each partner.
    pub weight: &'a Numbers,
    pub applies: &'a BooleanChunked,
    /// 0–100; NULL where it is not available.
    pub score: &'a Numbers,
    /// The scores with one week of W left out; empty for a signal that does not look at single
    /// weeks.
    pub without_week: &'a [Numbers],
}

/// The number of weeks in W, each of which the jackknife leaves out once.
pub(crate) const WEEKS: i64 = 4;

/// Scores before any gate, a partner a row.
pub(crate) struct WeightedScore {
    /// Σ weights of available signals.
    pub weight: Numbers,
    /// Σ available weights / Σ applicable weights, 0–1; 0 where no signal applies.
    pub coverage: Numbers,
    /// Σ wᵢsᵢ / Σ wᵢ over the available signals; NULL where none is.
    pub mean: Numbers,
    /// The greatest score that this coverage allows.
    pub cap: Numbers,
    /// The lesser of mean and cap; NULL where the coverage is below the minimum.
    pub score: Numbers,
    /// The least and the greatest score with any one week left out.
    pub low: Numbers,
    pub high: Numbers,
}

/// Weighs the signals.
pub(crate) fn weighted_score(
    signals: &[WeighedSignal<'_>],
    evidence: &MinimumEvidence,
    rows: usize,
) -> WeightedScore {
    let mut applicable = constant(0.0, rows);
    for signal in signals {
        applicable = applicable + signal.weight.only_where(signal.applies).or(0.0);
    }
    let (points, weight) = sums(signals, rows, |signal| signal.score);
    let coverage = weight.over(&applicable).or(0.0);
    let least = evidence.min_coverage;
    let lowest_cap = evidence.cap_at_min_coverage;
    let span = (1.0 - least).max(f64::EPSILON);
    let cap = coverage.map(|c| lowest_cap + (100.0 - lowest_cap) * ((c - least) / span).min(1.0));
    let mean = points.over(&weight);
    let is_enough = coverage.is(|coverage| coverage >= least);
    let capped = |mean: &Numbers| mean.lesser(&cap).only_where(&is_enough);
    let score = capped(&mean);
    let (mut low, mut high) = (score.clone(), score.clone());
    for week in 0..WEEKS as usize {
        let (points, weight) =
            sums(signals, rows, |signal| signal.without_week.get(week).unwrap_or(signal.score));
        let without = capped(&points.over(&weight));
        let known = without.is(|_| true);
        low = choose(&known, &low.lesser(&without), &low);
        high = choose(&known, &high.greater(&without), &high);
    }
    WeightedScore { weight, coverage, mean, cap, score, low, high }
}

/// Returns Σ wᵢsᵢ and Σ wᵢ over the signals whose score is known.
fn sums<'a>(
    signals: &'a [WeighedSignal<'a>],
    rows: usize,
    score: impl Fn(&'a WeighedSignal<'a>) -> &'a Numbers,
) -> (Numbers, Numbers) {
    let (mut points, mut weights) = (constant(0.0, rows), constant(0.0, rows));
    for signal in signals {
        let score = score(signal);
        points = points + (signal.weight * score).or(0.0);
        weights = weights + signal.weight.zip(score, |weight, _| weight).or(0.0);
    }
    (points, weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::everywhere;

    const EVIDENCE: MinimumEvidence =
        MinimumEvidence { min_coverage: 0.6, min_live_days: 28, cap_at_min_coverage: 70.0 };

    /// Weighs signals of (weight, applies, score) for one partner.
    fn weigh(signals: &[(f64, bool, Option<f64>)]) -> WeightedScore {
        let columns: Vec<_> = signals
            .iter()
            .map(|(weight, applies, score)| {
                let score: Numbers = [*score].into_iter().collect();
                (constant(*weight, 1), everywhere(*applies, 1), score)
            })
            .collect();
        let weighed: Vec<_> = columns
            .iter()
            .map(|(weight, applies, score)| WeighedSignal {
                weight,
                applies,
                score,
                without_week: &[],
            })
            .collect();
        weighted_score(&weighed, &EVIDENCE, 1)
    }

    #[test]
    fn coverage_caps_the_score() {
        #[track_caller]
        fn check(signals: &[(f64, bool, Option<f64>)], coverage: f64, score: Option<f64>) {
            let found = weigh(signals);
            assert!((found.coverage.get(0).unwrap_or(-1.0) - coverage).abs() < 1e-12);
            match (found.score.get(0), score) {
                (Some(found), Some(score)) => assert!((found - score).abs() < 1e-9, "{found}"),
                (found, score) => assert_eq!(found, score),
            }
        }
        let full = Some(100.0);
        check(&[(20.0, true, full), (20.0, true, Some(50.0))], 1.0, Some(75.0));
        // A signal that does not apply neither raises nor lowers, one that is missing caps.
        check(&[(20.0, true, full), (80.0, false, None)], 1.0, full);
        check(&[(80.0, true, full), (20.0, true, None)], 0.8, Some(85.0));
        check(&[(60.0, true, full), (40.0, true, None)], 0.6, Some(70.0));
        check(&[(60.0, true, Some(30.0)), (40.0, true, None)], 0.6, Some(30.0));
        check(&[(59.0, true, full), (41.0, true, None)], 0.59, None);
        check(&[(20.0, false, None)], 0.0, None);
        check(&[], 0.0, None);
    }

    #[test]
    fn one_week_left_out_moves_the_range() {
        let (weight, applies) = (constant(10.0, 1), everywhere(true, 1));
        let score = |value: Option<f64>| -> Numbers { [value].into_iter().collect() };
        let (whole, steady) = (score(Some(60.0)), score(Some(80.0)));
        let weeks = [90.0, 50.0, 60.0].map(|value| score(Some(value)));
        let weeks: Vec<Numbers> = weeks.into_iter().chain([score(None)]).collect();
        let signals = [
            WeighedSignal {
                weight: &weight,
                applies: &applies,
                score: &whole,
                without_week: &weeks,
            },
            WeighedSignal { weight: &weight, applies: &applies, score: &steady, without_week: &[] },
        ];
        let found = weighted_score(&signals, &EVIDENCE, 1);
        assert_eq!(found.score.get(0), Some(70.0));
        // Without the fourth week the first signal is unknown, and the second stands alone.
        assert_eq!((found.low.get(0), found.high.get(0)), (Some(65.0), Some(85.0)));
    }
}
