//! All statistics over a part of the rows, each of the score and of both baselines.

use serde::{Deserialize, Serialize};

use super::baselines::{BaselineRow, baseline_value};
use super::bootstrap::{Comparison, Ranker, Resamples, Verdict};
use super::input::BacktestRow;
use super::leavers::{LeaverOutcome, median_days, silent_churn};
use super::prepared::Prepared;
use super::ranking::{Ranked, Ranking, precision_among_worst};
use super::reliability::{Forecast, Forecasts};
use super::statistic::Statistic;

/// The statistics of a part of the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub rows: usize,
    pub leavers: usize,
    /// The leavers that silent churn, lead time and detection delay are computed from. Of the abrupt
    /// part these are the abrupt leavers, of every other part those with a sign of trouble.
    pub leavers_followed: usize,
    /// The share that left; `None` without rows.
    pub base_rate: Option<f64>,
    pub figures: Vec<Figure>,
}

/// A statistic beside its baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub statistic: Statistic,
    /// The rows it was computed from; of a statistic over leavers, these.
    pub rows: usize,
    pub comparison: Comparison,
    pub verdict: Verdict,
}

impl Figures {
    /// Returns a figure by its statistic.
    pub fn get(&self, statistic: Statistic) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.statistic == statistic)
    }
}

impl Figure {
    fn new(statistic: Statistic, rows: usize, comparison: Comparison) -> Self {
        let verdict = comparison.verdict();
        let verdict = if statistic.is_compared() { verdict } else { Verdict::NotComparable };
        Self { statistic, rows, comparison, verdict }
    }
}

/// A part of the rows, by their places, and of the leavers among them.
pub(crate) struct Part<'a> {
    pub prepared: &'a Prepared<'a>,
    pub rows: Vec<usize>,
    pub leavers: Vec<LeaverOutcome>,
}

impl Part<'_> {
    pub(crate) fn figures(&self, resamples: &Resamples, capacity: usize) -> Figures {
        let leavers = self.rows().filter(|(_, row)| row.left).count();
        let mut figures = self.ranking_figures(resamples);
        figures.extend(self.probability_figures(resamples));
        figures.extend(self.precision_figures(resamples, capacity));
        figures.extend(self.recall_figures(resamples));
        figures.extend(self.leaver_figures(resamples));
        figures.push(self.flap_figure(resamples));
        let rows = self.rows.len();
        Figures {
            rows,
            leavers,
            leavers_followed: self.leavers.len(),
            base_rate: (rows > 0).then(|| leavers as f64 / rows as f64),
            figures,
        }
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &BacktestRow)> {
        self.rows.iter().map(|at| (*at, &self.prepared.rows[*at]))
    }

    /// Returns the rankings of the score and of both baselines over the rows that have a score.
    fn rankings(&self, score: impl Fn(usize, &BacktestRow) -> Option<f64>) -> [Ranking; 3] {
        Ranker::ALL.map(|ranker| {
            let ranked = self.rows().filter_map(|(at, row)| {
                let score = score(at, row)?;
                let value = match ranker {
                    Ranker::Score => score,
                    baseline => baseline_value(baseline, &BaselineRow::from(row)),
                };
                Some(Ranked { partner: row.partner, left: row.left, value })
            });
            Ranking::new(ranked.collect())
        })
    }

    fn ranking_figures(&self, resamples: &Resamples) -> Vec<Figure> {
        let by_risk = self.rankings(|at, _| self.prepared.risk(at));
        let by_health = self.rankings(|_, row| row.health.map(|health| -health));
        let figure = |statistic: Statistic, rankings: &[Ranking; 3]| {
            let comparison = resamples.compare(statistic.better(), |ranker, counts| {
                let ranking = &rankings[ranker.at()];
                match statistic {
                    Statistic::AveragePrecision => ranking.average_precision(counts),
                    _ => ranking.auc(counts),
                }
            });
            Figure::new(statistic, rankings[0].len(), comparison)
        };
        vec![
            figure(Statistic::Auc, &by_risk),
            figure(Statistic::HealthAuc, &by_health),
            figure(Statistic::AveragePrecision, &by_risk),
        ]
    }

    /// Returns the forecasts of R and of both baselines over the rows that have all three.
    pub(crate) fn forecasts(&self) -> [Forecasts; 3] {
        Ranker::ALL.map(|ranker| {
            let forecasts = self.rows().filter_map(|(at, row)| {
                let probability = self.prepared.probabilities(at)?[ranker.at()];
                Some(Forecast { partner: row.partner, left: row.left, probability })
            });
            Forecasts::new(forecasts.collect())
        })
    }

    fn probability_figures(&self, resamples: &Resamples) -> Vec<Figure> {
        const STATISTICS: [Statistic; 5] = [
            Statistic::BrierSkill,
            Statistic::Brier,
            Statistic::Miscalibration,
            Statistic::Discrimination,
            Statistic::Uncertainty,
        ];
        let forecasts = self.forecasts();
        let comparisons = resamples.compare_all(STATISTICS.map(Statistic::better), |ranker, c| {
            let Some(parts) = forecasts[ranker.at()].parts(c) else {
                return [None; 5];
            };
            let values =
                [parts.score, parts.miscalibration, parts.discrimination, parts.uncertainty];
            let [score, miscalibration, discrimination, uncertainty] = values.map(Some);
            [parts.skill(), score, miscalibration, discrimination, uncertainty]
        });
        let rows = forecasts[0].len();
        let figures = STATISTICS.into_iter().zip(comparisons);
        figures.map(|(statistic, comparison)| Figure::new(statistic, rows, comparison)).collect()
    }

    fn precision_figures(&self, resamples: &Resamples, capacity: usize) -> Vec<Figure> {
        let figure = |statistic: Statistic, score: &dyn Fn(usize, &BacktestRow) -> Option<f64>| {
            let mut rankings: [Vec<Ranking>; 3] = [const { Vec::new() }; 3];
            for origin in self.prepared.origins() {
                let of_origin =
                    self.rankings(|at, row| score(at, row).filter(|_| row.origin == origin));
                for (ranker, ranking) in rankings.iter_mut().zip(of_origin) {
                    ranker.push(ranking);
                }
            }
            let comparison = resamples.compare(statistic.better(), |ranker, counts| {
                precision_among_worst(&rankings[ranker.at()], capacity, counts)
            });
            let rows = rankings[0].iter().map(Ranking::len).sum();
            Figure::new(statistic, rows, comparison)
        };
        vec![
            figure(Statistic::RiskPrecision, &|at, _| self.prepared.risk(at)),
            figure(Statistic::TierPrecision, &|_, row| Some(tier_order(row))),
        ]
    }

    fn recall_figures(&self, resamples: &Resamples) -> Vec<Figure> {
        let leavers: Vec<(usize, &BacktestRow)> = self.rows().filter(|(_, row)| row.left).collect();
        let figure = |statistic: Statistic, gross: &dyn Fn(&BacktestRow) -> f64| {
            let comparison = resamples.compare(statistic.better(), |ranker, counts| {
                let (mut found, mut all) = (0.0, 0.0);
                for (at, row) in &leavers {
                    let weight = f64::from(counts[row.partner as usize]) * gross(row);
                    let is_flagged = self.prepared.flags[*at][ranker.at()];
                    found += weight * f64::from(u8::from(is_flagged));
                    all += weight;
                }
                (all > 0.0).then(|| found / all)
            });
            Figure::new(statistic, leavers.len(), comparison)
        };
        vec![
            figure(Statistic::Recall, &|_| 1.0),
            figure(Statistic::GrossRecall, &|row| row.gross_share),
        ]
    }

    fn leaver_figures(&self, resamples: &Resamples) -> Vec<Figure> {
        let figure = |statistic: Statistic, value: &dyn Fn(Ranker, &[u16]) -> Option<f64>| {
            let comparison = resamples.compare(statistic.better(), value);
            Figure::new(statistic, self.leavers.len(), comparison)
        };
        let leavers = &self.leavers;
        vec![
            figure(Statistic::SilentChurn, &|ranker, c| silent_churn(leavers, ranker, c)),
            figure(Statistic::LeadTime, &|ranker, c| {
                median_days(leavers, c, |leaver| Some(leaver.lead_days[ranker.at()]))
            }),
            figure(Statistic::HeldLeadTime, &|ranker, c| {
                median_days(leavers, c, |leaver| Some(leaver.held_lead_days[ranker.at()]))
            }),
            figure(Statistic::DetectionDelay, &|ranker, c| {
                median_days(leavers, c, |leaver| Some(leaver.delay_days?[ranker.at()]))
            }),
        ]
    }

    /// Returns the flaps of the partners that have a row here.
    fn flap_figure(&self, resamples: &Resamples) -> Figure {
        let mut partners: Vec<usize> = self.rows().map(|(_, row)| row.partner as usize).collect();
        partners.sort_unstable();
        partners.dedup();
        let comparison = resamples.compare(Statistic::FlapRate.better(), |ranker, counts| {
            let (mut undone, mut months) = (0.0, 0.0);
            for partner in &partners {
                let (count, flaps) = (f64::from(counts[*partner]), self.prepared.flaps[*partner]);
                undone += count * flaps.undone[ranker.at()];
                months += count * flaps.months;
            }
            (months > 0.0).then(|| undone / months)
        });
        Figure::new(Statistic::FlapRate, partners.len(), comparison)
    }
}

/// Orders rows by how bad their tier is, and within a tier by health; higher is worse. A row
/// without a health comes last of its tier.
fn tier_order(row: &BacktestRow) -> f64 {
    let severity = match row.tier {
        domain::Tier::AtRisk => 3.0,
        domain::Tier::Watch => 2.0,
        domain::Tier::Healthy => 1.0,
        _ => 0.0,
    };
    severity * 1_000.0 + row.health.map_or(0.0, |health| 100.0 - health)
}
