//! Alerts on the lake: which rows of metrics and tables somebody should know of.
//!
//! - `evaluation`: evaluates the alerts of the policy
//! - `alert_tables`: the tables that only alerts have: freshness, checks held back, unanswered tickets

mod alert_tables;
mod evaluation;

pub(crate) use evaluation::{AlertFindings, evaluate_alerts};
