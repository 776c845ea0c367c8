//! The order in which the changes of a plan are sent: one, then a twentieth, then the rest.

use crate::document::{Change, Plan};
use crate::log::History;

/// One change in so many belongs to the second wave.
const SECOND_WAVE: usize = 20;

/// Returns the waves of a plan: a mistake in it should meet few partners first. Changes that wait for
/// a person are in the last wave.
pub(super) fn waves<'a>(plan: &'a Plan, history: &History) -> Vec<Vec<&'a Change>> {
    let is_waiting = |change: &Change| {
        let approved = history.change(&change.key).and_then(|found| found.approved_by.as_ref());
        change.needs_approval && approved.is_none()
    };
    let (waiting, due): (Vec<&Change>, Vec<&Change>) =
        plan.changes.iter().partition(|change| is_waiting(change));
    let second = due.len().saturating_sub(1).min(due.len().div_ceil(SECOND_WAVE));
    let (first, rest) = due.split_at(due.len().min(1));
    let (second, rest) = rest.split_at(second);
    let last = rest.iter().copied().chain(waiting).collect();
    let waves = [first.to_vec(), second.to_vec(), last];
    waves.into_iter().filter(|wave| !wave.is_empty()).collect()
}
