//! The guardrails of a whole plan: stale inputs, the kill switch, its reach, its capacity.

use std::collections::{BTreeMap, BTreeSet};

use domain::format::plain_percent_as_given;
use domain::{ActionKind, AsOf, MICROS_PER_DAY, Setting, counted, format_instant, thousands};

use crate::document::{Change, Extension, GuardrailOverride, Outcome, StoppedChange};
use crate::guardrails::guardrail_check;
use crate::input::{PartnerState, PlanInput};
use crate::log::{History, Origin};
use crate::policy::Policy;

const MICROS_PER_HOUR: i64 = 3_600_000_000;
/// How far two clocks may be apart, µs: five minutes.
pub(crate) const CLOCK_TOLERANCE: i64 = 300_000_000;
/// Days over which partners that were changed are counted.
pub(crate) const REACH_DAYS: i64 = 7;

/// A plan that is being made.
#[derive(Default)]
pub(crate) struct DraftPlan {
    pub changes: Vec<Change>,
    pub stopped: Vec<StoppedChange>,
    pub extensions: Vec<Extension>,
}

/// Returns why nothing may be sent now, whatever it is.
pub(crate) fn stop_reasons(input: &PlanInput) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(stopped) = &input.stopped {
        reasons
            .push(format!("Deliveries are stopped: {stopped}. `rapport actions go` resumes them"));
    }
    if input.history.newest().is_some_and(|newest| newest > input.created_at + CLOCK_TOLERANCE) {
        reasons.push(
            "The clock is behind the newest row of the log of actions: one of the two is wrong"
                .to_owned(),
        );
    }
    reasons
}

/// Returns why nothing may be changed now, or nothing if changes may be made.
pub fn blocking_reasons(input: &PlanInput, policy: &Policy) -> Vec<String> {
    let mut reasons = stop_reasons(input);
    let Some(watermark) = input.watermark else {
        reasons.push("Nothing has been ingested: the lake has no watermark".to_owned());
        return reasons;
    };
    reasons.extend(stale_data(input.created_at, Some(watermark), policy));
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

/// Returns why the data are too old to change anything by them.
pub fn stale_data(now: i64, watermark: Option<i64>, policy: &Policy) -> Option<String> {
    let Some(watermark) = watermark else {
        return Some("Nothing has been ingested: the lake has no watermark".to_owned());
    };
    let limit = policy.guardrails.stale_hours;
    let age = now - watermark;
    (age > limit * MICROS_PER_HOUR).then(|| {
        let (hours, at) = (age / MICROS_PER_HOUR, format_instant(watermark));
        format!(
            "The data end {} before now, at {at}; the limit is {limit}. Ingest first",
            counted(hours, "hour")
        )
    })
}

/// Returns the sort key by which a limited number of changes is given out: the largest partners
/// first.
fn by_impact(partners: &BTreeMap<&str, &PartnerState>, change: &Change) -> (i64, String) {
    let rank = partners.get(change.partner_id.as_str()).and_then(|p| p.impact_rank);
    (rank.unwrap_or(i64::MAX), change.partner_id.clone())
}

/// Returns how many of so many partners may be changed in seven days without a person.
pub(crate) fn reach_limit(partners: usize, policy: &Policy) -> usize {
    ((partners as f64 * policy.guardrails.reach).floor() as usize).max(1)
}

/// Leaves changes beyond a share of all partners to a person. Partners that other plans changed in the
/// last seven days count. Quotas, access, and support with notices to partners are counted apart; the
/// end of a grant and notices to our own people count nowhere.
pub(crate) fn limit_reach(
    draft: &mut DraftPlan,
    policy: &Policy,
    input: &PlanInput,
    partners: &BTreeMap<&str, &PartnerState>,
) {
    let all = partners.len();
    let limit = reach_limit(all, policy);
    let share = plain_percent_as_given(policy.guardrails.reach);
    draft.changes.sort_by_cached_key(|change| by_impact(partners, change));
    for class in [ReachClass::Quota, ReachClass::Access, ReachClass::Support] {
        let since = input.created_at - REACH_DAYS * MICROS_PER_DAY;
        let before = input.history.touched_since(since, class);
        let mut ids: BTreeSet<String> = before.into_iter().map(str::to_owned).collect();
        let is_counted =
            |c: &&mut Change| c.reach_class() == Some(class) && c.origin != Origin::Expiry;
        for change in draft.changes.iter_mut().filter(is_counted) {
            ids.insert(change.partner_id.clone());
            let touched = ids.len();
            let in_days = format!("in {REACH_DAYS} days");
            if touched <= limit {
                let reason = format!("Number {touched} of {limit} {in_days} without a person");
                change.guardrails.push(guardrail_check("reach", Outcome::Passed, reason));
                continue;
            }
            let reason = format!(
                "Number {touched} {in_days}, {limit} of {} may without a person ({share}): a person \
                 decides on this one",
                counted(all, "partner")
            );
            change.guardrails.push(guardrail_check("reach", Outcome::NeedsApproval, reason));
            change.needs_approval = true;
        }
    }
}

/// Kinds of actions whose reach is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReachClass {
    Quota,
    Access,
    /// Where a partner's requests go, and what it is told.
    Support,
}

impl ReachClass {
    /// Returns the class of an action; `None` for a notice to one of our own people, which no partner
    /// sees.
    pub(crate) fn of(action: ActionKind, to: Option<&Setting>) -> Option<Self> {
        match action {
            ActionKind::SetQuota => Some(Self::Quota),
            ActionKind::ApproveProduction => Some(Self::Access),
            ActionKind::RouteSupport => Some(Self::Support),
            ActionKind::Notify => tells_the_partner(to).then_some(Self::Support),
        }
    }
}

impl Change {
    pub(crate) fn reach_class(&self) -> Option<ReachClass> {
        ReachClass::of(self.action, self.to.as_ref())
    }
}

/// Returns whether a notice goes to the partner itself.
pub(crate) fn tells_the_partner(notice: Option<&Setting>) -> bool {
    matches!(notice, Some(Setting::Notify { who, .. }) if who == "partner")
}

/// Stops raises beyond the capacity, those of the smallest partners first. Grants in force count.
pub(crate) fn limit_capacity(
    draft: &mut DraftPlan,
    policy: &Policy,
    input: &PlanInput,
    partners: &BTreeMap<&str, &PartnerState>,
) {
    let capacity = policy.guardrails.capacity_per_minute;
    let mut used = granted(&input.history);
    draft.changes.sort_by_cached_key(|change| by_impact(partners, change));
    let mut kept = Vec::with_capacity(draft.changes.len());
    for mut change in std::mem::take(&mut draft.changes) {
        let raise = raise(&change);
        if raise <= 0 {
            kept.push(change);
            continue;
        }
        let (more, limit) = (thousands(raise), thousands(capacity));
        let is_overridden =
            |o: &GuardrailOverride| o.partner_id == change.partner_id && o.guardrail == "capacity";
        let is_overridden = input.overrides.iter().any(is_overridden);
        if is_overridden || used.saturating_add(raise) <= capacity {
            used = used.saturating_add(raise);
            let reason = format!("{} of {limit} a minute granted", thousands(used));
            let outcome = if is_overridden { Outcome::Overridden } else { Outcome::Passed };
            change.needs_approval |= is_overridden;
            change.guardrails.push(guardrail_check("capacity", outcome, reason));
            kept.push(change);
            continue;
        }
        let left = thousands((capacity - used).max(0));
        let reason = format!("{more} more a minute, {left} of {limit} left");
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

/// Returns the calls a minute that the grants in force add up to.
pub(crate) fn granted(history: &History) -> i64 {
    let raises = history.grants().map(|(_, grant)| (grant.per_minute - grant.base).max(0));
    raises.fold(0, i64::saturating_add)
}

/// Returns the calls a minute that a change adds; 0 if it is no raise.
pub(crate) fn raise(change: &Change) -> i64 {
    match (&change.from, &change.to) {
        (Some(Setting::Quota { per_minute: from }), Some(Setting::Quota { per_minute: to })) => {
            (to - from).max(0)
        }
        _ => 0,
    }
}
