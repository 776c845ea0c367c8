//! Effective weights: how much of the spread of the scores over the portfolio goes with each signal,
//! beside the weight that the policy declares.

use domain::Stage;
use polars::prelude::{BooleanChunked, ChunkCompareEq, ChunkFilter, Float64Chunked};

use crate::frames::{InputFrame, ScoreError};
use crate::output::ScoreOutput;

/// Groups of about equally many partners, by their score of a signal.
const GROUPS: usize = 10;

/// The least number of partners: two in each group. In smaller groups each partner would be its
/// own mean, and any signal would seem to decide everything.
const MIN_PARTNERS: usize = 2 * GROUPS;

/// A difference of scores that is nothing but rounding.
const ROUNDING: f64 = 1e-9;

/// Returns the effective weight of each signal over the live partners of the last day that was
/// scored, in the order of the signals.
///
/// It is the correlation ratio η² of the score over deciles of the signal (Paruolo, Saisana &
/// Saltelli 2013): the share of the variance of the score that lies between the deciles, 0–1. `None`
/// where the signal or the score does not vary, or with fewer than 20 partners.
///
/// # Errors
/// Polars' checks, which pass.
pub fn effective_weights(
    scored: &ScoreOutput,
) -> Result<Vec<(&'static str, Option<f64>)>, ScoreError> {
    let health = InputFrame::new("partner_health", scored.health.clone());
    let (days, stages, scores) = (health.i64("as_of")?, health.str("stage")?, health.f64("score")?);
    let Some(last) = days.iter().flatten().max() else { return Ok(Vec::new()) };
    let counts: BooleanChunked = days.equal(last) & stages.equal(Stage::Live.name());
    let scores = scores.filter(&counts)?;
    let of_signal = |(name, signal): &(&'static str, Float64Chunked)| {
        Ok((*name, correlation_ratio(&signal.filter(&counts)?, &scores)))
    };
    scored.scores.iter().map(of_signal).collect()
}

/// Returns the share of the variance of `scores` that lies between groups of equal or neighbouring
/// values of `signal`. Equal values are always in the same group.
fn correlation_ratio(signal: &Float64Chunked, scores: &Float64Chunked) -> Option<f64> {
    let known = signal.iter().zip(scores.iter());
    let mut rows: Vec<(f64, f64)> = known.filter_map(|(x, y)| x.zip(y)).collect();
    if rows.len() < MIN_PARTNERS {
        return None;
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (first, last) = (rows.first()?.0, rows.last()?.0);
    if last - first <= ROUNDING {
        return None;
    }
    let n = rows.len() as f64;
    let mean = rows.iter().map(|row| row.1).sum::<f64>() / n;
    let total: f64 = rows.iter().map(|row| (row.1 - mean).powi(2)).sum();
    if total <= ROUNDING * n {
        return None;
    }
    let between: f64 = groups(&rows)
        .into_iter()
        .map(|group| {
            let count = group.len() as f64;
            let of_group = group.iter().map(|row| row.1).sum::<f64>() / count;
            count * (of_group - mean).powi(2)
        })
        .sum();
    Some((between / total).clamp(0.0, 1.0))
}

/// Splits sorted rows into groups: each value goes to the group of the middle of its ranks.
fn groups(rows: &[(f64, f64)]) -> Vec<&[(f64, f64)]> {
    let mut found: Vec<(usize, usize, usize)> = Vec::new();
    let mut start = 0;
    for same in rows.chunk_by(|a, b| b.0 - a.0 <= ROUNDING) {
        let end = start + same.len();
        let group = (start + end) * GROUPS / (2 * rows.len());
        match found.last_mut().filter(|open| open.0 == group) {
            Some(open) => open.2 = end,
            None => found.push((group, start, end)),
        }
        start = end;
    }
    found.into_iter().map(|(_, start, end)| &rows[start..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: impl Iterator<Item = (f64, f64)>, expected: Option<f64>) {
        let (signal, scores): (Vec<Option<f64>>, Vec<Option<f64>>) =
            rows.map(|(x, y)| (Some(x), Some(y))).unzip();
        let found = correlation_ratio(&signal.into_iter().collect(), &scores.into_iter().collect());
        match (found, expected) {
            (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-9, "{found}"),
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn the_spread_between_deciles_counts() {
        let hundred = || (0..100).map(f64::from);
        // Of 0..100 the deciles' means are 4.5, 14.5 …: (10² − 1)·10² of 100² − 1, each over 12.
        let even = 9_900.0 / 9_999.0;
        check(hundred().map(|x| (x, x)), Some(even));
        check(hundred().map(|x| (x, 100.0 - x)), Some(even));
        // Two values make two groups, and all of the spread lies between them.
        let halves = |x: f64| if x < 50.0 { 0.0 } else { 100.0 };
        check(hundred().map(|x| (halves(x), halves(x))), Some(1.0));
        // In each of two equal groups the score takes both values alike.
        check(hundred().map(|x| (halves(x), x % 2.0)), Some(0.0));
        // Few values that differ from most are a group of their own.
        let rare = |x: f64| if x < 3.0 { 0.0 } else { 100.0 };
        check(hundred().map(|x| (rare(x), rare(x))), Some(1.0));
    }

    #[test]
    fn without_variation_there_is_none() {
        check((0..100).map(|x| (100.0, f64::from(x))), None);
        check((0..100).map(|x| (f64::from(x), 80.0)), None);
        check((0..19).map(|x| (f64::from(x), f64::from(x))), None);
        check((0..20).map(|x| (f64::from(x), f64::from(x))), Some((400.0 - 4.0) / (400.0 - 1.0)));
    }
}
