//! Bootstrap intervals: whole partners are drawn, all their rows together.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The probability below and above an interval.
const TAIL: f64 = 0.025;

/// How often each partner counts, in the sample itself and in every resample.
#[derive(Debug, Clone)]
pub(crate) struct Resamples {
    original: Vec<u16>,
    resamples: Vec<Vec<u16>>,
}

impl Resamples {
    /// Draws resamples of as many partners with replacement. The same seed draws the same.
    pub(crate) fn draw(partners: usize, count: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let one = |random: &mut ChaCha8Rng| {
            let mut counts = vec![0u16; partners];
            for _ in 0..partners {
                let drawn = &mut counts[random.random_range(0..partners)];
                *drawn = drawn.saturating_add(1);
            }
            counts
        };
        let resamples = (0..count).map(|_| one(&mut random)).collect();
        Self { original: vec![1; partners], resamples }
    }

    /// Returns several statistics of the sample, each with its 95 % interval. They are computed
    /// together from how often each partner counts, `None` where one is not defined.
    pub(crate) fn estimate_many(
        &self,
        count: usize,
        statistics: impl Fn(&[u16]) -> Vec<Option<f64>>,
    ) -> Vec<Estimate> {
        let original = statistics(&self.original);
        let resampled: Vec<_> = self.resamples.iter().map(|counts| statistics(counts)).collect();
        let pick = |values: &Vec<Option<f64>>, at: usize| values.get(at).copied().flatten();
        let one = |at| {
            let replicates = resampled.iter().filter_map(|values| pick(values, at));
            self.interval(pick(&original, at), replicates.collect())
        };
        (0..count).map(one).collect()
    }

    /// Returns a few statistics that are computed together, as `estimate_many` does.
    pub(crate) fn estimate_all<const N: usize>(
        &self,
        statistics: impl Fn(&[u16]) -> [Option<f64>; N],
    ) -> [Estimate; N] {
        let estimates = self.estimate_many(N, |counts| statistics(counts).to_vec());
        std::array::from_fn(|at| estimates.get(at).copied().unwrap_or_default())
    }

    /// How often each partner counts in the sample itself: once.
    pub(crate) fn original(&self) -> &[u16] {
        &self.original
    }

    /// Returns a statistic of the score beside that of both baselines, and how far the score is
    /// ahead of each; the differences are taken within each resample.
    pub(crate) fn compare(
        &self,
        better: Better,
        statistic: impl Fn(Ranker, &[u16]) -> Option<f64>,
    ) -> Comparison {
        let [comparison] = self.compare_all([better], |ranker, c| [statistic(ranker, c)]);
        comparison
    }

    /// Returns the comparisons of several statistics that are computed together.
    pub(crate) fn compare_all<const N: usize>(
        &self,
        better: [Better; N],
        statistics: impl Fn(Ranker, &[u16]) -> [Option<f64>; N],
    ) -> [Comparison; N] {
        let of = |counts: &[u16]| Ranker::ALL.map(|ranker| statistics(ranker, counts));
        let original = of(&self.original);
        let resampled: Vec<[[Option<f64>; N]; 3]> = self.resamples.iter().map(|c| of(c)).collect();
        std::array::from_fn(|at| {
            let values =
                |all: &[[Option<f64>; N]; 3]| all.each_ref().map(|of_ranker| of_ranker[at]);
            let resampled: Vec<[Option<f64>; 3]> = resampled.iter().map(values).collect();
            self.comparison(better[at], &values(&original), &resampled)
        })
    }

    fn comparison(
        &self,
        better: Better,
        original: &[Option<f64>; 3],
        resampled: &[[Option<f64>; 3]],
    ) -> Comparison {
        let value_of = |ranker: Ranker| {
            let replicates = resampled.iter().filter_map(|values| values[ranker.at()]);
            self.interval(original[ranker.at()], replicates.collect())
        };
        let lead = |values: &[Option<f64>; 3], baseline: Ranker| {
            let difference = values[Ranker::Score.at()]? - values[baseline.at()]?;
            Some(if better == Better::Lower { -difference } else { difference })
        };
        let lead_over = |baseline: Ranker| {
            let replicates = resampled.iter().filter_map(|values| lead(values, baseline));
            self.interval(lead(original, baseline), replicates.collect())
        };
        Comparison {
            score: value_of(Ranker::Score),
            recency: value_of(Ranker::Recency),
            frequency: value_of(Ranker::Frequency),
            lead_over_recency: lead_over(Ranker::Recency),
            lead_over_frequency: lead_over(Ranker::Frequency),
        }
    }

    /// Returns a value with the percentiles of its replicates. There are none where most resamples
    /// leave the statistic undefined.
    fn interval(&self, value: Option<f64>, mut replicates: Vec<f64>) -> Estimate {
        if value.is_none() || replicates.len() * 2 < self.resamples.len() {
            return Estimate { value, low: None, high: None };
        }
        replicates.sort_by(f64::total_cmp);
        let [low, high] = [TAIL, 1.0 - TAIL].map(|share| quantile(&replicates, share));
        Estimate { value, low, high }
    }
}

/// Returns the quantile of sorted values, interpolated between neighbours.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (position.floor(), position.ceil());
    let (low, high) = (sorted.get(below as usize)?, sorted.get(above as usize)?);
    Some(low + (high - low) * (position - below))
}

/// What ranks partners by how likely they leave: the score, or a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranker {
    Score,
    /// Days since the last call; more is riskier.
    Recency,
    /// Calls a day; fewer is riskier.
    Frequency,
}

impl Ranker {
    pub(crate) const ALL: [Self; 3] = [Self::Score, Self::Recency, Self::Frequency];

    /// The place of its value in an array of three.
    pub(crate) const fn at(self) -> usize {
        self as usize
    }
}

/// Which values of a statistic are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// A statistic with its 95 % interval; `None` where it is not defined.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Estimate {
    pub value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// A statistic of the score, of both baselines, and how far the score is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    pub score: Estimate,
    /// Of the baseline "days since the last call".
    pub recency: Estimate,
    /// Of the baseline "calls a day".
    pub frequency: Estimate,
    /// Above 0 where the score is better, whichever direction is better.
    pub lead_over_recency: Estimate,
    pub lead_over_frequency: Estimate,
}

/// How the score does against both baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better than both, and both intervals of the difference lie above 0.
    BeatsBoth,
    /// Better than both, but an interval of a difference holds 0.
    AheadOfBoth,
    BeatsOnlyRecency,
    BeatsOnlyFrequency,
    BeatsNeither,
    /// The score or a baseline has no value.
    NotComparable,
}

impl Comparison {
    pub fn verdict(&self) -> Verdict {
        let leads = [self.lead_over_recency, self.lead_over_frequency];
        let [Some(recency), Some(frequency)] = leads.map(|lead| lead.value) else {
            return Verdict::NotComparable;
        };
        let is_certain = leads.iter().all(|lead| lead.low.is_some_and(|low| low > 0.0));
        match (recency > 0.0, frequency > 0.0) {
            (true, true) if is_certain => Verdict::BeatsBoth,
            (true, true) => Verdict::AheadOfBoth,
            (true, false) => Verdict::BeatsOnlyRecency,
            (false, true) => Verdict::BeatsOnlyFrequency,
            (false, false) => Verdict::BeatsNeither,
        }
    }

    /// Whether the value of the score is better than those of both baselines.
    pub fn is_ahead_of_both(&self) -> bool {
        matches!(self.verdict(), Verdict::BeatsBoth | Verdict::AheadOfBoth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(resamples: &Resamples, statistic: impl Fn(&[u16]) -> Option<f64>) -> Estimate {
        resamples.estimate_all(|counts| [statistic(counts)])[0]
    }

    /// Returns the mean of values, one per partner.
    fn mean(values: &[f64], counts: &[u16]) -> Option<f64> {
        let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        let sum: f64 = values.iter().zip(counts).map(|(v, count)| v * f64::from(*count)).sum();
        (total > 0.0).then(|| sum / total)
    }

    #[test]
    fn every_resample_holds_as_many_partners() {
        let resamples = Resamples::draw(50, 20, 1);
        for counts in &resamples.resamples {
            assert_eq!(counts.iter().map(|count| usize::from(*count)).sum::<usize>(), 50);
        }
        assert_ne!(resamples.resamples[0], resamples.resamples[1]);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let [first, second, other] = [1, 1, 2].map(|seed| Resamples::draw(30, 5, seed).resamples);
        assert_eq!(first, second);
        assert_ne!(first, other);
    }

    #[test]
    fn intervals_cover_the_truth_about_as_often_as_they_say() {
        // 200 samples of 60 uniform values; the mean of the distribution is 0.5.
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut covered = 0;
        for sample in 0..200 {
            let values: Vec<f64> = (0..60).map(|_| random.random_range(0.0..1.0)).collect();
            let found = estimate(&Resamples::draw(60, 300, sample), |counts| mean(&values, counts));
            covered += usize::from(
                found.low.expect("an interval") < 0.5 && 0.5 < found.high.expect("an interval"),
            );
        }
        assert!((180..=198).contains(&covered), "{covered} of 200");
    }

    #[test]
    fn a_statistic_that_is_mostly_undefined_has_no_interval() {
        let resamples = Resamples::draw(10, 40, 1);
        let undefined = estimate(&resamples, |_| None);
        assert_eq!(undefined, Estimate::default());
        let only_original = estimate(&resamples, |c| c.iter().all(|n| *n == 1).then_some(2.0));
        assert_eq!(only_original, Estimate { value: Some(2.0), low: None, high: None });
        let one_partner = estimate(&Resamples::draw(1, 40, 1), |counts| mean(&[4.0], counts));
        assert_eq!(one_partner, Estimate { value: Some(4.0), low: Some(4.0), high: Some(4.0) });
        let nobody = estimate(&Resamples::draw(0, 40, 1), |counts| mean(&[], counts));
        assert_eq!(nobody, Estimate::default());
    }

    #[test]
    fn quantiles_are_interpolated() {
        #[track_caller]
        fn check(sorted: &[f64], share: f64, expected: Option<f64>) {
            assert_eq!(quantile(sorted, share), expected);
        }
        check(&[], 0.5, None);
        check(&[3.0], 0.975, Some(3.0));
        check(&[1.0, 2.0, 4.0], 0.5, Some(2.0));
        check(&[1.0, 2.0, 4.0], 0.75, Some(3.0));
    }

    #[test]
    fn verdicts() {
        #[track_caller]
        fn check(better: Better, values: [[f64; 4]; 3], expected: Verdict) {
            let resamples = Resamples::draw(4, 200, 1);
            let found = resamples.compare(better, |ranker, c| mean(&values[ranker.at()], c));
            assert_eq!(found.verdict(), expected);
        }
        let (high, low, mixed) = ([9.0, 8.0, 9.0, 8.0], [1.0, 2.0, 1.0, 2.0], [9.5, 8.5, 8.0, 7.0]);
        check(Better::Higher, [high, low, low], Verdict::BeatsBoth);
        check(Better::Lower, [high, low, low], Verdict::BeatsNeither);
        check(Better::Lower, [low, high, high], Verdict::BeatsBoth);
        check(Better::Higher, [high, low, mixed], Verdict::AheadOfBoth);
        check(Better::Higher, [low, [0.0; 4], high], Verdict::BeatsOnlyRecency);
        check(Better::Higher, [low, high, [0.0; 4]], Verdict::BeatsOnlyFrequency);
        check(Better::Higher, [low, low, low], Verdict::BeatsNeither);
        let undefined = Resamples::draw(4, 9, 1).compare(Better::Higher, |_, _| None);
        assert_eq!(undefined.verdict(), Verdict::NotComparable);
    }
}
