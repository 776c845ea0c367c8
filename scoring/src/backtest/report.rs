//! The report of a backtest, as it is stored and shown.

use std::collections::{BTreeMap, BTreeSet};

use domain::Day;
use serde::{Deserialize, Serialize};

use super::bootstrap::Resamples;
use super::figures::{Figures, Part};
use super::input::{BacktestInput, BacktestRow};
use super::leavers::LeaverOutcome;
use super::prepared::Prepared;
use super::reliability::ReliabilityPoint;

/// Partners with a longer cadence, in days, are also reported apart.
const SLOW_CADENCE: f64 = 14.0;

/// How well the score told who leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BacktestReport {
    /// The days as of which partners were scored, as ISO dates.
    pub origins: Vec<String>,
    /// Those at which too few labels were known for a model. While others have one, the risk of
    /// these is not tested.
    pub origins_without_model: Vec<String>,
    pub partners: usize,
    /// How many partners the managers can look at in a week: the k of the k worst.
    pub capacity: usize,
    pub resamples: usize,
    pub seed: u64,
    /// All rows; silent churn, lead time and delay over the leavers with a sign of trouble.
    pub all: Figures,
    /// Partners whose cadence is longer than 14 days.
    pub slow_callers: Figures,
    /// All that stayed and the leavers without a sign of trouble.
    pub abrupt: Figures,
    /// Partners to which an action was delivered before the label was known, and the others.
    pub with_action: Figures,
    pub without_action: Figures,
    /// By size, plan and region.
    pub groups: Vec<GroupFigures>,
    /// The CORP reliability curve of the risk.
    pub reliability: Vec<ReliabilityPoint>,
    /// What was left out, by reason, in rows.
    pub excluded: BTreeMap<String, u64>,
}

/// The figures of a group of partners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupFigures {
    /// `size`, `plan` or `region`.
    pub dimension: String,
    pub group: String,
    pub figures: Figures,
}

/// Computes the report. It depends on nothing but its input; the same input gives the same report.
pub fn backtest(input: &BacktestInput<'_>) -> BacktestReport {
    let options = input.options;
    let prepared = Prepared::new(input);
    let resamples = Resamples::draw(input.partners, options.resamples, options.seed);
    let is_warned = |row: &BacktestRow| row.warned_on.is_some();
    let figures = |keep: &dyn Fn(&BacktestRow) -> bool| {
        part(&prepared, keep, is_warned).figures(&resamples, options.capacity)
    };
    let is_abrupt = |row: &BacktestRow| row.warned_on.is_none();
    let abrupt = part(&prepared, |row| !row.left || is_abrupt(row), is_abrupt);
    let [forecasts, ..] = part(&prepared, |_| true, is_warned).forecasts();
    BacktestReport {
        origins: dates(prepared.origins()),
        origins_without_model: dates(origins_without_model(&prepared)),
        partners: input.partners,
        capacity: options.capacity,
        resamples: options.resamples,
        seed: options.seed,
        all: figures(&|_| true),
        slow_callers: figures(&|row| row.cadence > SLOW_CADENCE),
        abrupt: abrupt.figures(&resamples, options.capacity),
        with_action: figures(&|row| row.has_action),
        without_action: figures(&|row| !row.has_action),
        groups: groups(input.rows, figures),
        reliability: forecasts.curve_with_intervals(&resamples),
        excluded: input.excluded.clone(),
    }
}

/// Returns the part of the rows to keep, and of its leavers those to follow.
fn part<'a>(
    prepared: &'a Prepared<'a>,
    keep: impl Fn(&BacktestRow) -> bool,
    follow: impl Fn(&BacktestRow) -> bool,
) -> Part<'a> {
    let rows = (0..prepared.rows.len()).filter(|at| keep(&prepared.rows[*at])).collect();
    let is_followed = |at: usize| keep(&prepared.rows[at]) && follow(&prepared.rows[at]);
    let leavers = prepared.leavers.iter().filter(|(at, _)| is_followed(*at));
    let leavers: Vec<LeaverOutcome> = leavers.map(|(_, outcome)| outcome.clone()).collect();
    Part { prepared, rows, leavers }
}

/// Returns the name of a row's group.
type GroupName = fn(&BacktestRow) -> &str;

fn groups(
    rows: &[BacktestRow],
    figures: impl Fn(&dyn Fn(&BacktestRow) -> bool) -> Figures,
) -> Vec<GroupFigures> {
    let dimensions: [(&str, GroupName); 3] =
        [("size", |row| &row.size), ("plan", |row| &row.plan), ("region", |row| &row.region)];
    let mut groups = Vec::new();
    for (dimension, name) in dimensions {
        let names: BTreeSet<&str> = rows.iter().map(name).collect();
        groups.extend(names.into_iter().map(|group| GroupFigures {
            dimension: dimension.to_owned(),
            group: group.to_owned(),
            figures: figures(&|row| name(row) == group),
        }));
    }
    groups
}

fn origins_without_model(prepared: &Prepared<'_>) -> BTreeSet<Day> {
    let fitted: BTreeSet<Day> =
        prepared.rows.iter().filter(|row| row.is_risk_fitted).map(|row| row.origin).collect();
    prepared.origins().difference(&fitted).copied().collect()
}

fn dates(days: BTreeSet<Day>) -> Vec<String> {
    days.into_iter().map(|day| day.to_string()).collect()
}
