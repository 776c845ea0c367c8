//! Whether a plan may be applied at all.

use std::collections::BTreeSet;

use domain::{MICROS_PER_DAY, format_instant};

use super::store::ActionStore;
use super::{ApplyError, Plan};
use crate::digest::partner_digest;
use crate::limits::CLOCK_TOLERANCE;
use crate::log::EntryKind;

/// Days after which a plan can't be applied any more. Its quota changes lapse sooner.
pub const PLAN_DAYS: i64 = 7;

/// Why a plan is refused as a whole. Nothing of it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyRefusal {
    #[error(
        "the plan {0} was edited: its digest does not fit its content. Change the policy and make a \
         new plan"
    )]
    Edited(String),
    #[error("the plan {plan_id} is blocked: {reason}")]
    Blocked { plan_id: String, reason: String },
    #[error("{plan_id}: {why}")]
    OtherPolicy { plan_id: String, why: String },
    #[error("the plan {plan_id} is of {created}, more than {PLAN_DAYS} days ago. Make a new plan")]
    TooOld { plan_id: String, created: String },
    #[error(
        "the plan {plan_id} is of {created}, which lies ahead of the clock. One of the two clocks is \
         wrong"
    )]
    FromTheFuture { plan_id: String, created: String },
    #[error(
        "the log of actions has rows of {newest}, which lies ahead of the clock. One of the two clocks \
         is wrong"
    )]
    ClockBehind { newest: String },
    #[error(
        "the partner \"{partner_id}\" has changed since the plan {plan_id} was made: its quota, its \
         route, or the partner itself. Make a new plan"
    )]
    Drifted { plan_id: String, partner_id: String },
    #[error("deliveries are stopped: {0}. `rapport actions go` resumes them")]
    Stopped(String),
}

/// Checks a plan against its digest, the clock, the policy, the kill switch and the present state
/// of its partners. What the plan itself has changed already is no drift.
pub(super) async fn check(plan: &Plan, store: &dyn ActionStore) -> Result<(), ApplyError> {
    let plan_id = plan.plan_id.clone();
    let created = format_instant(plan.created_at);
    if plan.content_digest()? != plan.digest {
        return Err(ApplyRefusal::Edited(plan_id).into());
    }
    if let Some(reason) = plan.blocked.first().cloned() {
        return Err(ApplyRefusal::Blocked { plan_id, reason }.into());
    }
    let now = store.now();
    if plan.created_at > now + CLOCK_TOLERANCE {
        return Err(ApplyRefusal::FromTheFuture { plan_id, created }.into());
    }
    if now - plan.created_at > PLAN_DAYS * MICROS_PER_DAY {
        return Err(ApplyRefusal::TooOld { plan_id, created }.into());
    }
    if let Some(why) = store.other_policy(plan).await? {
        return Err(ApplyRefusal::OtherPolicy { plan_id, why }.into());
    }
    let state = store.read().await?;
    if let Some(why) = state.stopped {
        return Err(ApplyRefusal::Stopped(why).into());
    }
    let newest = state.entries.iter().map(|entry| entry.at).max();
    if let Some(newest) = newest.filter(|newest| *newest > now + CLOCK_TOLERANCE) {
        return Err(ApplyRefusal::ClockBehind { newest: format_instant(newest) }.into());
    }
    let begun: BTreeSet<&str> = state
        .entries
        .iter()
        .filter(|entry| entry.plan_id == plan_id && entry.kind == EntryKind::Attempted)
        .map(|entry| entry.partner_id.as_str())
        .collect();
    let ids: Vec<String> =
        plan.states.keys().filter(|id| !begun.contains(id.as_str())).cloned().collect();
    let partners = store.partners(&ids).await?;
    for id in ids {
        let digest = partners.get(&id).map(partner_digest).transpose()?;
        if digest.as_ref() != plan.states.get(&id) {
            return Err(ApplyRefusal::Drifted { plan_id, partner_id: id }.into());
        }
    }
    Ok(())
}
