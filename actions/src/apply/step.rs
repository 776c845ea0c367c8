//! What is to be done with one change next, from what the log says of it.

use domain::{ActionKind, MICROS_PER_DAY, format_instant};

use crate::document::Change;
use crate::log::{EntryKind, History, Progress};

/// The next step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is to be done.
    Over,
    /// A person has to decide first.
    NeedsApproval,
    Rejected,
    /// Another program sends it now, or the next attempt is not due yet.
    NotYet(String),
    /// It waited too long: a new plan has to propose it again.
    Lapse,
    /// Another change of the partner may be in force without our knowing.
    Blocked(String),
    /// The attempt of this number is to be sent.
    Send(u32),
    /// An attempt of this number was sent, perhaps: the receiver has to be asked.
    Recover(u32),
}

/// Returns whether nothing more happens to a change.
pub(super) fn is_over(change: &Change, history: &History) -> bool {
    let progress = history.change(&change.key).map(|change| change.progress);
    matches!(progress, Some(Progress::Acknowledged | Progress::Ended(_) | Progress::Rejected))
}

/// Decides on the next step of a change. `created_at` is the instant of its plan, `lease` the time
/// after which an attempt without an outcome was killed, both µs.
pub(super) fn next_step(
    change: &Change,
    history: &History,
    created_at: i64,
    now: i64,
    lease: i64,
) -> Step {
    let found = history.change(&change.key);
    let progress = found.map_or(Progress::Waiting, |found| found.progress);
    let attempts = found.map_or(0, |found| found.attempts);
    match progress {
        Progress::Acknowledged | Progress::Ended(EntryKind::Refused) => return Step::Over,
        Progress::Ended(_) => return Step::Over,
        Progress::Rejected => return Step::Rejected,
        Progress::Open { at, .. } if now < at + lease => {
            let at = format_instant(at);
            return Step::NotYet(format!("another program sends it since {at}"));
        }
        Progress::Open { attempt, .. } | Progress::Ambiguous { attempt, .. } => {
            return Step::Recover(attempt);
        }
        Progress::Failed { next_at, .. } if now < next_at => {
            let at = format_instant(next_at);
            return Step::NotYet(format!("the next attempt is due at {at}"));
        }
        Progress::Failed { .. } | Progress::Waiting => {}
    }
    if change.needs_approval && found.is_none_or(|found| found.approved_by.is_none()) {
        return Step::NeedsApproval;
    }
    if change.action == ActionKind::SetQuota && now - created_at > MICROS_PER_DAY {
        return Step::Lapse;
    }
    if let Some(key) = history.unconfirmed(&change.partner_id, change.action, &change.key) {
        return Step::Blocked(key.to_owned());
    }
    Step::Send(attempts + 1)
}
