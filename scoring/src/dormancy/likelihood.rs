//! The log-likelihood of a portfolio under the beta-geometric/beta-Bernoulli model, with its
//! gradient.

use std::collections::BTreeMap;

use super::beta_geometric::BetaGeometric;
use super::history::RepeatHistory;

/// Derivatives with respect to alpha, beta, gamma and delta.
pub(super) type Gradient = [f64; 4];

/// The histories of a portfolio, ready for being evaluated at many parameters.
///
/// Histories that differ only in `n` share one walk over their silence, so that an evaluation costs
/// as much as there are different pairs of `x` and `t_x`, however many partners there are.
pub(super) struct PortfolioLikelihood {
    groups: Vec<Group>,
    /// Partners with at least one opportunity; the others say nothing about the parameters.
    pub(super) partners: u64,
    most_opportunities: u32,
}

/// Partners with the same number of successes and the same last one.
struct Group {
    x: u32,
    t_x: u32,
    partners: f64,
    /// How many have which `n`, ascending.
    lengths: Vec<(u32, f64)>,
}

impl PortfolioLikelihood {
    pub(super) fn new(cells: &[(RepeatHistory, u64)]) -> Self {
        let mut groups: BTreeMap<(u32, u32), BTreeMap<u32, u64>> = BTreeMap::new();
        for (history, count) in
            cells.iter().filter(|(history, count)| history.n() > 0 && *count > 0)
        {
            let lengths = groups.entry((history.x(), history.t_x())).or_default();
            *lengths.entry(history.n()).or_default() += count;
        }
        let lengths = groups.values().flatten();
        let partners = lengths.clone().map(|(_, count)| count).sum();
        let most_opportunities = lengths.map(|(n, _)| *n).max().unwrap_or_default();
        let groups = groups.into_iter().map(|((x, t_x), lengths)| Group {
            x,
            t_x,
            partners: lengths.values().map(|count| *count as f64).sum(),
            lengths: lengths.into_iter().map(|(n, count)| (n, count as f64)).collect(),
        });
        Self { groups: groups.collect(), partners, most_opportunities }
    }

    /// Returns the log-likelihood of the portfolio and its gradient.
    pub(super) fn evaluate(&self, parameters: &BetaGeometric) -> (f64, Gradient) {
        let BetaGeometric { alpha, beta, gamma, delta } = *parameters;
        let [successes, failures, opportunities, stays, chances_to_stay] =
            [alpha, beta, alpha + beta, delta, gamma + delta]
                .map(|base| RisingFactorials::new(base, self.most_opportunities));
        let mut total = 0.0;
        let mut gradient = [0.0; 4];
        for group in &self.groups {
            let (x, t_x) = (group.x as usize, group.t_x as usize);
            total += group.partners
                * (successes.ln[x] + failures.ln[t_x - x] - opportunities.ln[t_x] + stays.ln[t_x]
                    - chances_to_stay.ln[t_x]);
            let of_opportunities = opportunities.derivative[t_x];
            let of_chances = chances_to_stay.derivative[t_x];
            let until_last_success = [
                successes.derivative[x] - of_opportunities,
                failures.derivative[t_x - x] - of_opportunities,
                -of_chances,
                stays.derivative[t_x] - of_chances,
            ];
            add_scaled(&mut gradient, group.partners, &until_last_success);
            total += group.add_silence(parameters, &mut gradient);
        }
        (total, gradient)
    }
}

impl Group {
    /// Returns what the silences after the last success contribute to the log-likelihood, and adds
    /// their part of the gradient. The walk is that of `BetaGeometric::silence`.
    fn add_silence(&self, parameters: &BetaGeometric, gradient: &mut Gradient) -> f64 {
        let BetaGeometric { alpha, beta, gamma, delta } = *parameters;
        let x = f64::from(self.x);
        let (mut there, mut gone) = (1.0, 0.0);
        // The derivatives of the logarithm of `there`, and of `gone` itself.
        let (mut ln_there_gradient, mut gone_gradient) = ([0.0; 4], [0.0; 4]);
        let mut total = 0.0;
        let mut t = self.t_x;
        for &(n, partners) in &self.lengths {
            while t < n {
                let before = f64::from(t);
                let per_opportunity = 1.0 / (alpha + beta + before);
                let per_chance = 1.0 / (gamma + delta + before);
                let leaves = there * gamma * per_chance;
                gone += leaves;
                add_scaled(&mut gone_gradient, leaves, &ln_there_gradient);
                gone_gradient[2] += leaves * (1.0 / gamma - per_chance);
                gone_gradient[3] -= leaves * per_chance;
                let (failures, stays) = (beta + before - x, delta + before);
                there *= failures * per_opportunity * stays * per_chance;
                let step = [
                    -per_opportunity,
                    1.0 / failures - per_opportunity,
                    -per_chance,
                    1.0 / stays - per_chance,
                ];
                add_scaled(&mut ln_there_gradient, 1.0, &step);
                t += 1;
            }
            let silence = there + gone;
            total += partners * silence.ln();
            add_scaled(gradient, partners / silence, &gone_gradient);
            add_scaled(gradient, partners * there / silence, &ln_there_gradient);
        }
        total
    }
}

/// The logarithms of the rising factorials a(a + 1)…(a + k − 1) for k = 0, 1, …, with their
/// derivatives with respect to a. The ratios of beta functions in the likelihood are made of them;
/// unlike differences of ln Γ they lose no digits where the parameters are large.
struct RisingFactorials {
    ln: Vec<f64>,
    derivative: Vec<f64>,
}

impl RisingFactorials {
    fn new(base: f64, most_factors: u32) -> Self {
        let cumulated = |term: fn(f64) -> f64| {
            let mut sum = 0.0;
            let sums = (0..most_factors).map(|i| {
                sum += term(base + f64::from(i));
                sum
            });
            std::iter::once(0.0).chain(sums).collect()
        };
        Self { ln: cumulated(f64::ln), derivative: cumulated(f64::recip) }
    }
}

fn add_scaled(gradient: &mut Gradient, scale: f64, addend: &Gradient) {
    for (sum, value) in gradient.iter_mut().zip(addend) {
        *sum += scale * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells of several lengths, with a partner that had no opportunity yet.
    fn cells() -> Vec<(RepeatHistory, u64)> {
        let numbers = [(0, 0, 0, 9), (0, 0, 3, 20), (0, 0, 40, 4), (2, 5, 5, 7), (2, 5, 9, 3)]
            .into_iter()
            .chain([(1, 1, 1, 5), (30, 31, 52, 2), (52, 52, 52, 1)]);
        let cell = |(x, t_x, n, count)| {
            (RepeatHistory::new(x, t_x, n).expect("a possible history"), count)
        };
        numbers.map(cell).collect()
    }

    const PARAMETERS: [BetaGeometric; 3] = [
        BetaGeometric { alpha: 1.204, beta: 0.750, gamma: 0.657, delta: 2.783 },
        BetaGeometric { alpha: 0.05, beta: 9.0, gamma: 0.02, delta: 60.0 },
        BetaGeometric { alpha: 500.0, beta: 20.0, gamma: 8.0, delta: 0.3 },
    ];

    #[test]
    fn a_portfolio_has_the_sum_of_its_partners_log_likelihoods() {
        let portfolio = PortfolioLikelihood::new(&cells());
        assert_eq!(portfolio.partners, 42);
        for parameters in PARAMETERS {
            let partners = cells().into_iter();
            let sum: f64 =
                partners.map(|(h, count)| count as f64 * parameters.log_likelihood(h)).sum();
            let (total, _) = portfolio.evaluate(&parameters);
            assert!((total - sum).abs() < 1e-9 * sum.abs(), "{total} {sum}");
        }
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        let portfolio = PortfolioLikelihood::new(&cells());
        for parameters in PARAMETERS {
            let values = parameters.to_array();
            let (_, gradient) = portfolio.evaluate(&parameters);
            for (i, value) in values.into_iter().enumerate() {
                let width = 1e-5 * value;
                let moved_by = |width: f64| {
                    let mut moved = values;
                    moved[i] += width;
                    portfolio.evaluate(&BetaGeometric::from_array(moved)).0
                };
                let difference = (moved_by(width) - moved_by(-width)) / (2.0 * width);
                let error = (gradient[i] - difference).abs();
                assert!(error < 1e-6 * (1.0 + difference.abs()), "{i}: {gradient:?} {difference}");
            }
        }
    }
}
