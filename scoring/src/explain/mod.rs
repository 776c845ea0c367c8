//! Why a partner has its score, and what made it change. It is pure.
//!
//! - `score_sum`: the parts that add up to a score, and rounding that keeps the sum
//! - `effective_weight`: how much each signal decides over the portfolio
//! - `change`: the split of a change of the score between two days
//! - `recent_incidents`: the incidents of the last 90 days
//! - `opportunity`: what a partner may be ready for
//! - `event_query`: the SQL that shows the events behind a signal or a gate

mod change;
#[cfg(test)]
mod change_tests;
mod effective_weight;
mod event_query;
mod opportunity;
mod recent_incidents;
mod score_sum;

pub use change::{DayInput, ScoreChange, ScoreSplit, SignalChange, Unscored, split_change};
pub use effective_weight::effective_weights;
pub use event_query::{EventSource, gate_query, signal_query};
pub use opportunity::Opportunity;
pub use recent_incidents::{ERROR_DAYS, RecentIncident, recent_incidents};
pub use score_sum::{ScoreSum, add_up, score_sum};
