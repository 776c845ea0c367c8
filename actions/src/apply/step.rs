//! What is to be done with one change next, from what the log says of it.

use domain::{ActionKind, MICROS_PER_DAY, format_instant};

use super::backoff::next_attempt;
use crate::document::{Change, Plan};
use crate::log::{History, Progress};

/// The next step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is to be done: it was acknowledged.
    Over,
    /// It ended without being sent, and why.
    Ended(String),
    /// A person has to decide first.
    NeedsApproval,
    Rejected,
    /// Another program sends it now.
    NotYet(String),
    /// It failed, and the next attempt is not due yet.
    FailedBefore(String),
    /// It waited too long: a new plan has to propose it again.
    Lapse,
    /// Another change of the partner may be in force without our knowing.
    Blocked(String),
    /// The attempt of this number is to be sent.
    Send(u32),
    /// An attempt of this number was sent, perhaps: the receiver has to be asked.
    Recover(u32),
}

/// Returns whether nothing more happens to a change of a plan.
pub(super) fn is_over(plan: &Plan, change: &Change, history: &History) -> bool {
    history.change(&change.key).is_some_and(|found| {
        matches!(found.progress, Progress::Acknowledged | Progress::Rejected)
            || found.ended_in.contains_key(&plan.plan_id)
    })
}

/// Returns whether a quota change of a plan is too old to be sent.
pub(super) fn has_lapsed(plan: &Plan, change: &Change, now: i64) -> bool {
    change.action == ActionKind::SetQuota && now - plan.created_at > MICROS_PER_DAY
}

/// Decides on the next step of a change. `lease` is the time after which an attempt without an
/// outcome was killed, µs.
pub(super) fn next_step(
    plan: &Plan,
    change: &Change,
    history: &History,
    now: i64,
    lease: i64,
) -> Step {
    let found = history.change(&change.key);
    let progress = found.map_or(Progress::Waiting, |found| found.progress);
    let attempts = found.map_or(0, |found| found.attempts);
    let ended = found.and_then(|found| found.ended_in.get(&plan.plan_id));
    match (progress, ended) {
        (Progress::Acknowledged, _) => return Step::Over,
        (Progress::Open { at, .. }, _) if now < at + lease => {
            let at = format_instant(at);
            return Step::NotYet(format!("another program sends it since {at}"));
        }
        (Progress::Ambiguous { attempt, at }, _)
            if now < next_attempt(&change.key, attempt, at, None) =>
        {
            let at = format_instant(next_attempt(&change.key, attempt, at, None));
            return Step::FailedBefore(format!("unconfirmed; the receiver is asked at {at}"));
        }
        (Progress::Open { attempt, .. } | Progress::Ambiguous { attempt, .. }, _) => {
            return Step::Recover(attempt);
        }
        (_, Some(why)) => return Step::Ended(why.clone()),
        (Progress::Rejected, _) => return Step::Rejected,
        // What ended in another plan, this one may bring again.
        (Progress::Ended(_) | Progress::Failed { .. } | Progress::Waiting, None) => {}
    }
    if found.is_some_and(|found| found.is_rejected) {
        return Step::Rejected;
    }
    // What waited for a day is too old, whether it waited for a person or for its receiver.
    if has_lapsed(plan, change, now) {
        return Step::Lapse;
    }
    if let Progress::Failed { next_at, .. } = progress
        && now < next_at
    {
        let at = format_instant(next_at);
        return Step::FailedBefore(format!("the next attempt is due at {at}"));
    }
    if change.needs_approval && found.is_none_or(|found| found.approved_by.is_none()) {
        return Step::NeedsApproval;
    }
    // One notice does not depend on another.
    if change.action != ActionKind::Notify
        && let Some(key) = history.unconfirmed(&change.partner_id, &change.key)
    {
        return Step::Blocked(key.to_owned());
    }
    Step::Send(attempts + 1)
}
