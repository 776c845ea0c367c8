//! A plan that takes another one back. It restores what was in force before, under the same
//! guardrails: a decrease never goes below the floor, and is decided by a person.

use std::collections::{BTreeMap, BTreeSet};

use domain::format::plain_setting;
use domain::{ActionKind, MICROS_PER_DAY, Setting, Tier, thousands};

use crate::digest::sha256;
use crate::document::{Change, GuardrailCheck, Outcome, Plan, Rationale, StoppedChange};
use crate::finish::finish;
use crate::grants::partner_gone;
use crate::guardrails::{check_restored_raise, floor, guardrail_check, live_check, quota_in_force};
use crate::input::{PartnerState, PlanInput};
use crate::limits::{DraftPlan, blocking_reasons, limit_capacity, limit_reach, stop_reasons};
use crate::log::{EntryKind, Grant, History, LogEntry, Origin};
use crate::plan::{
    PlanError, new_change, standing, undeliverable, with_late_usage, with_usage_gap,
};
use crate::policy::Policy;

/// The fewest days for which a grant lasts that is restored.
const GRANT_DAYS: i64 = 7;

/// Makes the plan that takes back what was acknowledged of a plan. `entries` is the whole log.
///
/// # Errors
/// Says what is inconsistent in the input.
pub fn make_rollback(
    input: &PlanInput,
    policy: &Policy,
    plan_id: &str,
    entries: &[LogEntry],
) -> Result<Plan, PlanError> {
    // Data that are too old stop what is lowered, and nothing that is restored.
    let blocked = stop_reasons(input);
    let stale = blocking_reasons(input, policy).into_iter().find(|why| !blocked.contains(why));
    let input = &*with_late_usage(input);
    let input = &*with_usage_gap(input, stale);
    let partners: BTreeMap<&str, &PartnerState> =
        input.partners.iter().map(|state| (state.partner_id.as_str(), state)).collect();
    let mut draft = DraftPlan::default();
    if blocked.is_empty() {
        let is_ours =
            |entry: &LogEntry| entry.plan_id == plan_id && entry.kind == EntryKind::Acknowledged;
        // What was in force before each of them, by our log.
        let mut before = History::default();
        let mut seen = BTreeSet::new();
        for (at, entry) in entries.iter().enumerate() {
            if is_ours(entry) && seen.insert(&entry.key) {
                let later = entries[at + 1..].iter().find(|later| is_built_on(later, entry));
                let grant = before.grant_of(&entry.partner_id).cloned();
                match partners.get(entry.partner_id.as_str()).copied() {
                    Some(state) => {
                        let undo = Undo { input, policy, state, entry, later, grant };
                        undo.add(plan_id, &mut draft)?;
                    }
                    None => draft.stopped.push(undo_of_nobody(plan_id, entry)),
                }
            }
            before.add(entry);
        }
        limit_reach(&mut draft, policy, input, &partners);
        limit_capacity(&mut draft, policy, input, &partners);
    }
    finish(input, policy, &partners, blocked, draft, Some(plan_id.to_owned()))
}

/// Shows a person what can't be taken back, since its partner was merged into another one or is gone.
fn undo_of_nobody(plan_id: &str, entry: &LogEntry) -> StoppedChange {
    StoppedChange {
        partner_id: entry.partner_id.clone(),
        name: None,
        action: entry.action,
        from: entry.in_force.clone().or_else(|| entry.to.clone()),
        asked: entry.from.clone(),
        rationale: rationale(plan_id, entry, Tier::InsufficientEvidence),
        guardrails: vec![partner_gone()],
    }
}

fn rationale(plan_id: &str, entry: &LogEntry, tier: Tier) -> Rationale {
    let to = entry.in_force.as_ref().or(entry.to.as_ref());
    Rationale {
        rule_id: entry.rule_id.clone(),
        rule: format!("Takes {plan_id} back"),
        condition: String::new(),
        tier: Some(tier),
        reason: format!(
            "{} → {} is taken back",
            plain_setting(entry.from.as_ref()),
            plain_setting(to)
        ),
        contributions: Vec::new(),
    }
}

/// Returns whether an entry changes what an earlier one has set.
fn is_built_on(later: &LogEntry, earlier: &LogEntry) -> bool {
    later.kind == EntryKind::Acknowledged
        && later.partner_id == earlier.partner_id
        && later.action == earlier.action
        && later.key != earlier.key
}

/// An acknowledged change that is to be taken back.
struct Undo<'a> {
    input: &'a PlanInput,
    policy: &'a Policy,
    state: &'a PartnerState,
    entry: &'a LogEntry,
    /// A later change of the same setting.
    later: Option<&'a LogEntry>,
    /// The grant in force before it.
    grant: Option<Grant>,
}

impl Undo<'_> {
    fn add(&self, plan_id: &str, draft: &mut DraftPlan) -> Result<(), PlanError> {
        let entry = self.entry;
        let from = entry.in_force.clone().or_else(|| entry.to.clone());
        let to = entry.from.clone();
        let mut checks: Vec<GuardrailCheck> = self.stops(from.as_ref(), to.as_ref()).collect();
        checks.extend(undeliverable(self.input, self.state, entry.action, entry.to.as_ref()));
        let is_decrease = is_decrease(from.as_ref(), to.as_ref());
        if is_decrease {
            checks.extend(self.decrease(to.as_ref()));
        } else {
            checks.extend(standing(self.state, entry.action, to.as_ref()));
        }
        checks.extend(self.raise(from.as_ref(), to.as_ref()));
        let rationale = rationale(plan_id, entry, self.state.tier);
        if checks.iter().any(|check| check.outcome == Outcome::Stopped) {
            draft.stopped.push(StoppedChange {
                partner_id: entry.partner_id.clone(),
                name: self.state.name.clone(),
                action: entry.action,
                from,
                asked: to,
                rationale,
                guardrails: checks,
            });
            return Ok(());
        }
        let version = &self.policy.version;
        let mut change =
            new_change(self.input, version, self.state, entry.action, from, to, rationale)?;
        change.origin = Origin::Rollback;
        change.key = sha256(&("rollback", plan_id, &entry.key))?;
        let asks = [Outcome::NeedsApproval, Outcome::Overridden];
        change.needs_approval =
            is_decrease || checks.iter().any(|check| asks.contains(&check.outcome));
        change.guardrails = checks;
        self.keep_grant(&mut change);
        draft.changes.push(change);
        Ok(())
    }

    /// Returns why the change can't be taken back.
    fn stops(
        &self,
        from: Option<&Setting>,
        to: Option<&Setting>,
    ) -> impl Iterator<Item = GuardrailCheck> {
        let stop = |name: &str, reason: String| guardrail_check(name, Outcome::Stopped, reason);
        let later = self.later.map(|later| {
            let reason = format!("The plan {} changed it again since", later.plan_id);
            stop("later", reason)
        });
        let kind = match self.entry.action {
            ActionKind::Notify => Some("A notice can't be taken back"),
            ActionKind::ApproveProduction => {
                Some("Production access is taken away at the platform, by a person")
            }
            ActionKind::SetQuota if to.is_none() => Some("What was before it is not known"),
            ActionKind::SetQuota | ActionKind::RouteSupport => None,
        };
        let kind = kind.map(|reason| stop("kind", reason.to_owned()));
        let in_force = quota_in_force(self.state);
        let other = match (self.entry.action, from) {
            (ActionKind::SetQuota, Some(Setting::Quota { per_minute }))
                if in_force != Some(*per_minute) =>
            {
                let now = in_force.map_or_else(|| "unknown".to_owned(), thousands);
                let reason = format!(
                    "The quota in force is {now} and not the plan's {}",
                    thousands(*per_minute)
                );
                Some(stop("live", reason))
            }
            _ => None,
        };
        let moved = (self.entry.action == ActionKind::RouteSupport
            && self.state.support.clone().map(Setting::Support).as_ref() != from)
            .then(|| stop("later", "Its support goes elsewhere by now".to_owned()));
        let live = match self.entry.action {
            ActionKind::SetQuota => live_check(self.state),
            _ => None,
        };
        [later, kind, other, moved, live].into_iter().flatten()
    }

    /// Returns the guardrails of a decrease.
    fn decrease(&self, to: Option<&Setting>) -> Vec<GuardrailCheck> {
        let Some(Setting::Quota { per_minute: to }) = to else { return Vec::new() };
        let floor = match floor(self.state, self.policy) {
            Err(gap) => return vec![guardrail_check("usage", Outcome::Stopped, gap)],
            Ok(floor) => floor,
        };
        if *to < floor.per_minute {
            let (to, name) = (thousands(*to), &floor.name);
            let first = match floor.is_contract {
                true => "Where the policy has a wrong contract, mend it and roll back again",
                false => "Roll back again when the usage has fallen",
            };
            let reason = format!(
                "{to} is below the floor, {name}. {first}; a person may set {to} at the gateway all \
                 the same"
            );
            return vec![guardrail_check("floor", Outcome::Stopped, reason)];
        }
        let reason = format!("{} is not below {}", thousands(*to), floor.name);
        let person = "A decrease is decided by a person".to_owned();
        vec![
            guardrail_check("floor", Outcome::Passed, reason),
            guardrail_check("decrease", Outcome::NeedsApproval, person),
        ]
    }

    /// Returns the guardrails of a raise.
    fn raise(&self, from: Option<&Setting>, to: Option<&Setting>) -> Vec<GuardrailCheck> {
        match (from, to) {
            (
                Some(Setting::Quota { per_minute: from }),
                Some(Setting::Quota { per_minute: to }),
            ) if to > from => {
                let (now, overrides) = (self.input.created_at, &self.input.overrides);
                check_restored_raise(self.state, self.policy, (*from, *to), now, overrides)
            }
            _ => Vec::new(),
        }
    }

    /// Lets the restored quota end as the one before would have: a quota that was a grant is one
    /// again. A raise that is restored lasts for some days at least.
    fn keep_grant(&self, change: &mut Change) {
        let Some(Setting::Quota { per_minute: to }) = &change.to else { return };
        // A grant of another quota was ended by somebody else before the change.
        let Some(grant) = self.grant.as_ref().filter(|grant| grant.per_minute == *to) else {
            return;
        };
        let soon = self.input.created_at + GRANT_DAYS * MICROS_PER_DAY;
        let is_raise = !is_decrease(change.from.as_ref(), change.to.as_ref());
        change.base_per_minute = Some(grant.base);
        change.expires_at =
            Some(if is_raise { grant.expires_at.max(soon) } else { grant.expires_at });
    }
}

pub(crate) fn is_decrease(from: Option<&Setting>, to: Option<&Setting>) -> bool {
    match (from, to) {
        (Some(Setting::Quota { per_minute: from }), Some(Setting::Quota { per_minute: to })) => {
            to < from
        }
        _ => false,
    }
}
