//! The parts that add up to a score, and rounding that keeps the sum.

use crate::scored_partners::PartnerScore;

/// The parts of a score: Σ w·reference / Σ w, the contributions of the signals, and what the cap for
/// partial coverage takes. They add up to the score.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreSum {
    pub reference: f64,
    /// One for each signal of the partner, in their order; `None` where it has no contribution.
    pub contributions: Vec<Option<f64>>,
    /// 0 or less.
    pub cap: f64,
    pub score: f64,
}

/// Returns the parts of a partner's score; `None` for a partner without a score of this day.
pub fn score_sum(partner: &PartnerScore) -> Option<ScoreSum> {
    let (mean, reference) = partner.mean.zip(partner.reference)?;
    let score = partner.score?;
    Some(ScoreSum {
        reference,
        contributions: partner.signals.iter().map(|signal| signal.contribution).collect(),
        cap: score - mean,
        score,
    })
}

impl ScoreSum {
    /// Rounds all parts to so many decimal places so that they still add up to the rounded score.
    #[must_use]
    pub fn rounded(&self, places: i32) -> Self {
        let known = self.contributions.iter().flatten().copied();
        let parts: Vec<f64> = known.chain([self.reference, self.cap]).collect();
        let mut rounded = add_up(&parts, self.score, places).into_iter();
        let contributions = self.contributions.iter();
        Self {
            contributions: contributions.map(|c| c.and_then(|_| rounded.next())).collect(),
            reference: rounded.next().unwrap_or(self.reference),
            cap: rounded.next().unwrap_or(self.cap),
            score: to_places(self.score, places),
        }
    }
}

/// Rounds parts to so many decimal places so that they add up to their rounded total. The parts
/// whose rounding is the narrowest are rounded the other way; a part of 0 stays 0 where another one
/// can be moved.
pub fn add_up(parts: &[f64], total: f64, places: i32) -> Vec<f64> {
    let unit = 10_f64.powi(-places);
    let units: Vec<f64> = parts.iter().map(|part| (part / unit).round()).collect();
    let missing = (total / unit).round() - units.iter().sum::<f64>();
    let step = missing.signum();
    // How much nearer each part lies to the neighbour in the direction of the missing units.
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let gain = |at: usize| (parts[at] / unit - units[at]) * step;
    let is_zero = |at: usize| parts[at].abs() < 1e-9;
    order.sort_by(|a, b| {
        is_zero(*a).cmp(&is_zero(*b)).then(gain(*b).total_cmp(&gain(*a))).then(a.cmp(b))
    });
    let mut rounded = units;
    for at in order.into_iter().take(missing.abs() as usize) {
        rounded[at] += step;
    }
    // Adding 0 makes 0 of −0.
    rounded.into_iter().map(|units| to_places(units * unit, places) + 0.0).collect()
}

fn to_places(value: f64, places: i32) -> f64 {
    let factor = 10_f64.powi(places);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_parts_add_up() {
        #[track_caller]
        fn check(parts: &[f64], expected: &[f64]) {
            let total: f64 = parts.iter().sum();
            let found = add_up(parts, total, 1);
            assert_eq!(found, expected);
            let tenths: f64 = found.iter().map(|part| (part * 10.0).round()).sum();
            assert_eq!(tenths, (total * 10.0).round());
        }
        check(&[], &[]);
        check(&[1.0, -2.5], &[1.0, -2.5]);
        // 0.14 + 0.14 + 0.14 is 0.4: one of them is rounded up.
        check(&[0.14, 0.14, 0.14], &[0.2, 0.1, 0.1]);
        check(&[0.16, 0.16, 0.17, 0.0], &[0.1, 0.2, 0.2, 0.0]);
        check(&[-3.96, -0.04, 99.06, 0.0], &[-4.0, 0.0, 99.1, 0.0]);
        check(&[-3.94, -0.04, 99.04, 0.0], &[-3.9, 0.0, 99.0, 0.0]);
    }

    #[test]
    fn a_score_is_the_sum_of_its_rounded_parts() {
        let sum = ScoreSum {
            reference: 88.44,
            contributions: vec![Some(-3.24), None, Some(-0.14), Some(2.34)],
            cap: -1.26,
            score: 86.14,
        };
        let rounded = sum.rounded(1);
        assert_eq!(rounded.score, 86.1);
        assert_eq!(rounded.contributions[1], None);
        let parts = rounded.contributions.iter().flatten().sum::<f64>();
        let total = parts + rounded.reference + rounded.cap;
        assert!((total - rounded.score).abs() < 1e-9, "{rounded:?}");
    }
}
