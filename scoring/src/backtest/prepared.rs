//! The rows of a backtest with what the statistics share: flags, baselines and leavers.

use std::collections::BTreeSet;

use domain::Day;

use super::baselines::{BaselineRow, baseline_probabilities};
use super::bootstrap::Ranker;
use super::daily_flags::{Flags, Flaps, Leaver, daily_flags, worst};
use super::input::{BacktestInput, BacktestRow, is_flag};
use super::leavers::LeaverOutcome;

pub(crate) struct Prepared<'a> {
    pub rows: &'a [BacktestRow],
    /// Whether each ranker flags a row at its origin.
    pub flags: Vec<Flags>,
    /// By the number of the partner.
    pub flaps: Vec<Flaps>,
    /// The leavers, each with the place of its row.
    pub leavers: Vec<(usize, LeaverOutcome)>,
    /// The probabilities of the baselines, by row.
    recency: Vec<Option<f64>>,
    frequency: Vec<Option<f64>>,
    /// Whether any risk was given by a fitted model; if so only these are tested.
    has_model: bool,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(input: &BacktestInput<'a>) -> Self {
        let rows = input.rows;
        let baselines: Vec<BaselineRow> = rows.iter().map(BaselineRow::from).collect();
        let leaving = leaver_rows(rows);
        let leavers: Vec<Leaver> = leaving.iter().map(|at| leaver(&rows[*at])).collect();
        let daily = daily_flags(input.daily, &leavers, input.partners);
        let outcomes = leaving.into_iter().zip(&daily.leavers).map(|(at, days)| {
            let row = &rows[at];
            (at, LeaverOutcome::new(row.partner, row.last_success, row.warned_on, days))
        });
        Self {
            rows,
            flags: flags_at_origins(rows),
            leavers: outcomes.collect(),
            flaps: daily.flaps,
            recency: baseline_probabilities(Ranker::Recency, &baselines),
            frequency: baseline_probabilities(Ranker::Frequency, &baselines),
            has_model: rows.iter().any(|row| row.is_risk_fitted),
        }
    }

    pub(crate) fn origins(&self) -> BTreeSet<Day> {
        self.rows.iter().map(|row| row.origin).collect()
    }

    /// Returns the risk of a row that is tested: of origins with a model, or of all if none has.
    pub(crate) fn risk(&self, at: usize) -> Option<f64> {
        let row = &self.rows[at];
        row.risk.filter(|_| row.is_risk_fitted || !self.has_model)
    }

    /// Returns the probabilities of leaving of the score and of both baselines.
    pub(crate) fn probabilities(&self, at: usize) -> Option<[f64; 3]> {
        Some([self.risk(at)?, self.recency[at]?, self.frequency[at]?])
    }
}

fn leaver(row: &BacktestRow) -> Leaver {
    Leaver { partner: row.partner, last_success: row.last_success }
}

/// Returns the places of the rows that left. A partner that left is told once, even if two origins
/// lie close enough to see it leave.
fn leaver_rows(rows: &[BacktestRow]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let places = (0..rows.len()).filter(|at| {
        let row = &rows[*at];
        row.left && seen.insert((row.partner, row.last_success))
    });
    places.collect()
}

/// Returns what is flagged at each origin: by the tiers, and by each baseline as many.
fn flags_at_origins(rows: &[BacktestRow]) -> Vec<Flags> {
    let mut flags: Vec<Flags> = rows.iter().map(|row| [is_flag(row.tier), false, false]).collect();
    let origins: BTreeSet<Day> = rows.iter().map(|row| row.origin).collect();
    for origin in origins {
        let places: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].origin == origin).collect();
        let values =
            places.iter().map(|at| (rows[*at].days_since_last_call, rows[*at].call_frequency));
        let values: Vec<(f64, f64)> = values.collect();
        let flagged = places.iter().filter(|at| flags[**at][Ranker::Score.at()]).count();
        for ranker in [Ranker::Recency, Ranker::Frequency] {
            for place in worst(ranker, &values, |place| rows[places[place]].partner, flagged) {
                flags[places[place]][ranker.at()] = true;
            }
        }
    }
    flags
}
