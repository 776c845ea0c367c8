//! The backtest: how well the score told who leaves, beside two baselines.
//!
//! - `input`: what a backtest is computed from
//! - `prepared`: the rows with what the statistics share
//! - `baselines`: days since the last call, and calls a day
//! - `daily_flags`: what was flagged on each day, and what changed in vain
//! - `leavers`: silent churn, lead time and detection delay
//! - `ranking`: AUC, average precision, precision among the worst
//! - `reliability`: Brier score and CORP reliability
//! - `bootstrap`: intervals that resample partners, and comparisons
//! - `statistic`: the names of the statistics
//! - `figures`: all statistics over a part of the rows
//! - `report`: the whole report
//! - `table`: the report as rows of text

mod baselines;
mod bootstrap;
mod daily_flags;
mod figures;
mod input;
mod leavers;
mod prepared;
mod ranking;
mod reliability;
mod report;
#[cfg(test)]
mod report_tests;
mod statistic;
mod table;

pub(crate) use baselines::{BaselineRow, baseline_probabilities, baseline_value};
pub(crate) use bootstrap::{Better, Ranker, Resamples};
pub use bootstrap::{Comparison, Estimate, Verdict};
pub use figures::{Figure, Figures};
pub use input::{BacktestInput, BacktestOptions, BacktestRow, DailyRow};
pub(crate) use ranking::{Ranked, Ranking};
pub use reliability::ReliabilityPoint;
pub(crate) use reliability::{Forecast, Forecasts};
pub use report::{BacktestReport, GroupFigures, backtest};
pub use statistic::Statistic;
pub use table::{TableRow, table};
