//! The beta-geometric/beta-Bernoulli model of Fader, Hardie & Shang (2010).

use serde::{Deserialize, Serialize};
use statrs::function::beta::ln_beta;

use super::history::RepeatHistory;

/// The parameters of the model, each above 0. The probability of a success at an opportunity is
/// distributed over the partners as beta(`alpha`, `beta`), the probability of leaving before one
/// as beta(`gamma`, `delta`), independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetaGeometric {
    pub alpha: f64,
    pub beta: f64,
    pub gamma: f64,
    pub delta: f64,
}

/// How likely the silence at the end of a history is, relative to the history up to its last
/// success, at which the partner was still there.
struct Silence {
    /// With the partner still there at the end.
    there: f64,
    /// With the partner gone at some time in it.
    gone: f64,
}

impl BetaGeometric {
    /// Returns the logarithm of the likelihood of a history: the probability of one sequence of
    /// successes and failures that has these numbers.
    pub fn log_likelihood(&self, history: RepeatHistory) -> f64 {
        let Self { alpha, beta, gamma, delta } = *self;
        let x = f64::from(history.x());
        let t_x = f64::from(history.t_x());
        let successes = ln_beta(alpha + x, beta + t_x - x) - ln_beta(alpha, beta);
        let stays = ln_beta(gamma, delta + t_x) - ln_beta(gamma, delta);
        let silence = self.silence(history);
        successes + stays + (silence.there + silence.gone).ln()
    }

    /// Returns the probability of at least one success in the next `m` opportunities after a
    /// history, 0–1.
    ///
    /// It is 1 − L(x, t_x, n + m) / L(x, t_x, n), because L(x, t_x, n + m) is the probability of
    /// the same sequence with `m` failures after it. It is computed as the sum over the opportunity
    /// of the first success, whose terms are all positive, so that no digits cancel out.
    pub fn probability_of_a_success(&self, history: RepeatHistory, m: u32) -> f64 {
        let Silence { there, gone } = self.silence(history);
        let x = f64::from(history.x());
        let mut silent_and_there = there / (there + gone);
        let mut total = 0.0;
        for ahead in 0..m {
            let t = f64::from(history.n()) + f64::from(ahead);
            let stays = silent_and_there * self.stay(t);
            total += stays * self.success(x, t);
            silent_and_there = stays * self.failure(x, t);
        }
        total.clamp(0.0, 1.0)
    }

    /// The parameters in the order alpha, beta, gamma, delta.
    pub(super) fn to_array(self) -> [f64; 4] {
        [self.alpha, self.beta, self.gamma, self.delta]
    }

    pub(super) fn from_array([alpha, beta, gamma, delta]: [f64; 4]) -> Self {
        Self { alpha, beta, gamma, delta }
    }

    fn silence(&self, history: RepeatHistory) -> Silence {
        let x = f64::from(history.x());
        let mut silence = Silence { there: 1.0, gone: 0.0 };
        for t in history.t_x()..history.n() {
            let t = f64::from(t);
            silence.gone += silence.there * self.leave(t);
            silence.there *= self.stay(t) * self.failure(x, t);
        }
        silence
    }

    /// The probability that a partner still there after `t` opportunities leaves before the next.
    fn leave(&self, t: f64) -> f64 {
        self.gamma / (self.gamma + self.delta + t)
    }

    fn stay(&self, t: f64) -> f64 {
        (self.delta + t) / (self.gamma + self.delta + t)
    }

    /// The probability of a success at the opportunity after `t` of them with `x` successes, of a
    /// partner that is still there.
    fn success(&self, x: f64, t: f64) -> f64 {
        (self.alpha + x) / (self.alpha + self.beta + t)
    }

    fn failure(&self, x: f64, t: f64) -> f64 {
        (self.beta + t - x) / (self.alpha + self.beta + t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's parameters, and others far from them.
    const PARAMETERS: [BetaGeometric; 4] = [
        BetaGeometric { alpha: 1.204, beta: 0.750, gamma: 0.657, delta: 2.783 },
        BetaGeometric { alpha: 1.0, beta: 1.0, gamma: 1.0, delta: 1.0 },
        BetaGeometric { alpha: 0.02, beta: 6.0, gamma: 0.01, delta: 40.0 },
        BetaGeometric { alpha: 900.0, beta: 30.0, gamma: 5.0, delta: 0.5 },
    ];

    fn history(x: u32, t_x: u32, n: u32) -> RepeatHistory {
        RepeatHistory::new(x.into(), t_x.into(), n.into()).expect("a possible history")
    }

    /// All histories of `n` opportunities.
    fn histories(n: u32) -> Vec<RepeatHistory> {
        let repeats = (1..=n).flat_map(|t_x| (1..=t_x).map(move |x| history(x, t_x, n)));
        std::iter::once(history(0, 0, n)).chain(repeats).collect()
    }

    /// The likelihood written as in the paper, each term by beta functions.
    fn likelihood_of_the_paper(p: &BetaGeometric, history: RepeatHistory) -> f64 {
        let [x, t_x, n] = [history.x(), history.t_x(), history.n()].map(f64::from);
        let term = |failures: f64, leaves: f64, stays: f64| {
            let transactions = ln_beta(p.alpha + x, p.beta + failures) - ln_beta(p.alpha, p.beta);
            let attrition = ln_beta(p.gamma + leaves, p.delta + stays) - ln_beta(p.gamma, p.delta);
            (transactions + attrition).exp()
        };
        let gone: f64 = (0..history.silent())
            .map(f64::from)
            .map(|silent| term(t_x - x + silent, 1.0, t_x + silent))
            .sum();
        term(n - x, 0.0, n) + gone
    }

    #[test]
    fn the_likelihood_is_that_of_the_paper() {
        for (parameters, n) in PARAMETERS.iter().flat_map(|p| [0, 1, 2, 6, 30].map(|n| (p, n))) {
            for history in histories(n) {
                let expected = likelihood_of_the_paper(parameters, history).ln();
                let log_likelihood = parameters.log_likelihood(history);
                let error = (log_likelihood - expected).abs();
                assert!(error < 1e-9 * expected.abs().max(1.0), "{parameters:?} {history:?}");
            }
        }
    }

    /// A sequence whose last success is at `t_x` has its other x − 1 successes anywhere before.
    #[test]
    fn the_likelihoods_of_all_sequences_sum_to_1() {
        let ways = |history: RepeatHistory| match history.x() {
            0 => 1.0,
            x => {
                (1..x).fold(1.0, |product, i| product * f64::from(history.t_x() - i) / f64::from(i))
            }
        };
        for (parameters, n) in PARAMETERS.iter().flat_map(|p| [0, 1, 6, 20].map(|n| (p, n))) {
            let probability = |h| ways(h) * parameters.log_likelihood(h).exp();
            let total: f64 = histories(n).into_iter().map(probability).sum();
            assert!((total - 1.0).abs() < 1e-9, "{parameters:?} {n}: {total}");
        }
    }

    #[test]
    fn a_prediction_is_the_ratio_of_two_likelihoods() {
        for (parameters, m) in PARAMETERS.iter().flat_map(|p| [0, 1, 4, 13].map(|m| (p, m))) {
            for before in histories(6) {
                let after = history(before.x(), before.t_x(), 6 + m);
                let none = likelihood_of_the_paper(parameters, after)
                    / likelihood_of_the_paper(parameters, before);
                let probability = parameters.probability_of_a_success(before, m);
                assert!((1.0 - none - probability).abs() < 1e-9, "{parameters:?} {before:?} {m}");
            }
        }
    }

    /// Of a partner with no opportunity yet, the next success needs to stay and to transact, whose
    /// probabilities are the means of the two beta distributions.
    #[test]
    fn without_opportunities_the_prediction_is_that_of_the_portfolio() {
        for parameters in PARAMETERS {
            let BetaGeometric { alpha, beta, gamma, delta } = parameters;
            let expected = alpha / (alpha + beta) * delta / (gamma + delta);
            let probability = parameters.probability_of_a_success(history(0, 0, 0), 1);
            assert!((probability - expected).abs() < 1e-12, "{parameters:?}");
            assert_eq!(parameters.log_likelihood(history(0, 0, 0)), 0.0);
        }
    }

    /// In frequency the probability rises only while there is no silence: a partner that called
    /// often and fell silent is gone more likely than one that called seldom.
    #[test]
    fn predictions_are_monotone_in_recency_frequency_and_horizon() {
        for parameters in PARAMETERS {
            let predict = |x, t_x, n, m| parameters.probability_of_a_success(history(x, t_x, n), m);
            for (n, m) in [1, 2, 6, 25].into_iter().flat_map(|n| [1, 2, 4, 52].map(|m| (n, m))) {
                for t_x in 1..=n {
                    for x in 1..=t_x {
                        let probability = predict(x, t_x, n, m);
                        assert!((0.0..=1.0).contains(&probability));
                        assert!(probability <= predict(x, t_x, n, m + 1), "horizon");
                        let is_last = t_x == n;
                        assert!(is_last || probability < predict(x, t_x + 1, n, m), "recency");
                    }
                }
                let frequent: Vec<f64> = (1..=n).map(|x| predict(x, n, n, m)).collect();
                assert!(frequent.is_sorted(), "frequency: {frequent:?}");
            }
        }
    }

    #[test]
    fn long_silences_and_extreme_parameters_give_probabilities() {
        #[track_caller]
        fn check(parameters: BetaGeometric, history: RepeatHistory) {
            let probability = parameters.probability_of_a_success(history, 4);
            assert!((0.0..1e-6).contains(&probability), "{probability}");
            assert!(parameters.log_likelihood(history) < 0.0);
        }
        let [paper, _, _, certain] = PARAMETERS;
        check(paper, history(200, 200, 3_000));
        check(certain, history(500, 500, 3_000));
        let largest = BetaGeometric { alpha: 1e4, beta: 1e-4, gamma: 1e-4, delta: 1e4 };
        check(largest, history(40, 40, 80));
    }
}
