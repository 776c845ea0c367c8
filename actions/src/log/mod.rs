//! The log of actions: every approval, attempt, answer and end, append-only.
//!
//! - `entry`: one row
//! - `history`: what the rows add up to
//!
//! There is no other state of actions. What was sent, what waits, what is in force by us and until
//! when, and which episodes are open are folds over these rows.

mod entry;
mod history;
#[cfg(test)]
mod history_tests;

pub use entry::{EntryKind, LogEntry, Origin};
pub use history::{
    ChangeHistory, Grant, History, NoticeSubject, Progress, RouteInForce, SentNotice,
};
