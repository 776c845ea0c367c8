//! The guardrails of a whole plan: stale inputs, the kill switch, its reach, its capacity.

use std::collections::BTreeMap;

use domain::format::plain_percent_as_given;
use domain::{ActionKind, AsOf, Setting, counted, format_instant, thousands};

use crate::document::{Change, Outcome, StoppedChange};
use crate::guardrails::guardrail_check;
use crate::input::{PartnerState, PlanInput};
use crate::policy::Policy;

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// A plan that is being made.
#[derive(Default)]
pub(crate) struct DraftPlan {
    pub changes: Vec<Change>,
    pub stopped: Vec<StoppedChange>,
}

/// Returns why nothing may be changed now, or nothing if changes may be made.
pub(crate) fn blocking_reasons(input: &PlanInput, policy: &Policy) -> Vec<String> {
    let mut reasons = Vec::new();
    if policy.guardrails.kill_switch {
        reasons.push("The kill switch of the policy is on".to_owned());
    }
    let Some(watermark) = input.watermark else {
        reasons.push("Nothing has been ingested: the lake has no watermark".to_owned());
        return reasons;
    };
    let limit = policy.guardrails.stale_hours;
    let age = input.created_at - watermark;
    if age > limit * MICROS_PER_HOUR {
        let (hours, at) = (age / MICROS_PER_HOUR, format_instant(watermark));
        reasons.push(format!(
            "The data end {} before now, at {at}; the limit is {limit}. Ingest first",
            counted(hours, "hour")
        ));
    }
    let expected = AsOf::at_or_before(watermark);
    match input.scored_as_of {
        None => reasons.push("No partner has been scored yet. Run `rapport score run`".to_owned()),
        Some(scored) if scored < expected => reasons.push(format!(
            "Scores are as of {}, the lake reaches {}. Run `rapport score run`",
            scored.day(),
            expected.day()
        )),
        Some(_) => {}
    }
    reasons
}

/// Returns the sort key by which a limited number of changes is given out: the largest partners
/// first.
fn by_impact(partners: &BTreeMap<&str, &PartnerState>, change: &Change) -> (i64, String) {
    let rank = partners.get(change.partner_id.as_str()).and_then(|p| p.impact_rank);
    (rank.unwrap_or(i64::MAX), change.partner_id.clone())
}

/// Leaves changes beyond a share of all partners to a person. Support and quotas are counted apart.
pub(crate) fn limit_reach(
    draft: &mut DraftPlan,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
) {
    let all = partners.len();
    let limit = ((all as f64 * policy.guardrails.reach).floor() as usize).max(1);
    draft.changes.sort_by_cached_key(|change| by_impact(partners, change));
    for quotas in [false, true] {
        let same = |c: &&mut Change| (c.action == ActionKind::SetQuota) == quotas;
        let touched = draft.changes.iter_mut().filter(same).count();
        let share = plain_percent_as_given(policy.guardrails.reach);
        let all = counted(all, "partner");
        for (at, change) in draft.changes.iter_mut().filter(same).enumerate() {
            // The reason of a change within the limit does not depend on how many there are beyond.
            if at < limit {
                let reason =
                    format!("Number {} of {limit} that may change without a person", at + 1);
                change.guardrails.push(guardrail_check("reach", Outcome::Passed, reason));
                continue;
            }
            let reason = format!(
                "{touched} of {all} would change, {limit} may without a person ({share}): a person decides on this one"
            );
            change.guardrails.push(guardrail_check("reach", Outcome::NeedsApproval, reason));
            change.needs_approval = true;
        }
    }
}

/// Stops raises beyond the capacity of one plan, those of the smallest partners first.
pub(crate) fn limit_capacity(
    draft: &mut DraftPlan,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
) {
    let capacity = policy.guardrails.capacity_per_minute;
    let mut used = 0;
    draft.changes.sort_by_cached_key(|change| by_impact(partners, change));
    let mut kept = Vec::with_capacity(draft.changes.len());
    for mut change in std::mem::take(&mut draft.changes) {
        let raise = raise(&change);
        if raise <= 0 {
            kept.push(change);
            continue;
        }
        let (more, limit) = (thousands(raise), thousands(capacity));
        if used + raise <= capacity {
            used += raise;
            let reason = format!("{} of {limit} a minute granted by this plan", thousands(used));
            change.guardrails.push(guardrail_check("capacity", Outcome::Passed, reason));
            kept.push(change);
            continue;
        }
        let left = thousands(capacity - used);
        let reason = format!("{more} more a minute, {left} of this plan's {limit} left");
        change.guardrails.push(guardrail_check("capacity", Outcome::Stopped, reason));
        draft.stopped.push(StoppedChange {
            partner_id: change.partner_id,
            name: change.name,
            action: change.action,
            from: change.from,
            asked: change.to,
            rationale: change.rationale,
            guardrails: change.guardrails,
        });
    }
    draft.changes = kept;
}

/// Returns the calls a minute that a change adds; 0 if it is no raise.
fn raise(change: &Change) -> i64 {
    match (&change.from, &change.to) {
        (Some(Setting::Quota { per_minute: from }), Some(Setting::Quota { per_minute: to })) => {
            (to - from).max(0)
        }
        _ => 0,
    }
}
