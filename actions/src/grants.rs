//! Grants: raises that end by themselves, and what keeps one from ending.

use std::collections::BTreeMap;

use domain::{ActionKind, MICROS_PER_DAY, Setting, Tier, thousands};

use crate::digest::sha256;
use crate::document::{Extension, GuardrailCheck, Outcome, Rationale, StoppedChange};
use crate::guardrails::{floor, guardrail_check, live_check, quota_in_force};
use crate::input::{PartnerState, PlanInput};
use crate::limits::DraftPlan;
use crate::log::{Grant, History, Origin};
use crate::plan::{PlanError, new_change, undeliverable};
use crate::policy::Policy;

/// Days by which a grant is extended that can't end.
const EXTENSION_DAYS: i64 = 7;

/// Returns the grant of a partner whose quota still is the one that the grant gave. A quota that
/// somebody else set since has ended the grant, also where the caller left it in the history.
pub(crate) fn grant_in_force<'a>(history: &'a History, state: &PartnerState) -> Option<&'a Grant> {
    let grant = history.grant_of(&state.partner_id)?;
    let is_outside = |change: &crate::input::QuotaChange| {
        change.at > grant.raised_at && change.per_minute != grant.per_minute
    };
    let is_changed = state.quota_changes.iter().any(is_outside);
    (quota_in_force(state) == Some(grant.per_minute) && !is_changed).then_some(grant)
}

/// Proposes the ends of grants that are over: decreases that need no person and no step, and that
/// never go below the floor nor rest on usage that is missing. Such a grant is extended.
///
/// The limits of the plan have been applied before: a raise that they stopped renews no grant.
pub(crate) fn end_grants(
    input: &PlanInput,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
    draft: &mut DraftPlan,
) -> Result<(), PlanError> {
    for (id, grant) in input.history.grants() {
        if grant.expires_at > input.created_at {
            continue;
        }
        let Some(state) = partners.get(id).copied() else {
            draft.stopped.push(grant_of_nobody(id, grant));
            continue;
        };
        if grant_in_force(&input.history, state).is_none() {
            continue;
        }
        let is_quota = |action| action == ActionKind::SetQuota;
        let mut changes = draft.changes.iter();
        let change = changes.find(|c| c.partner_id == id && is_quota(c.action));
        if change.is_some_and(|change| !change.needs_approval) {
            // A further raise renews the grant.
            continue;
        }
        let why_not = match change {
            Some(_) => Some("A change of its quota waits for a person".to_owned()),
            None => why_not_end(state, policy, grant).or_else(|| {
                let key = end_key(id, grant).ok()?;
                let is_rejected = input.history.change(&key)?.is_rejected;
                // Its next end is another change, so that a person is asked again.
                is_rejected.then(|| "A person rejected its end".to_owned())
            }),
        };
        match why_not {
            Some(reason) => draft.extensions.push(extension(input, state, grant, reason)?),
            None => end_grant(input, policy, state, grant, draft)?,
        }
    }
    Ok(())
}

/// Returns why the quota before a grant would be too low now.
fn why_not_end(state: &PartnerState, policy: &Policy, grant: &Grant) -> Option<String> {
    match floor(state, policy) {
        Ok(floor) if floor.per_minute <= grant.base => None,
        Ok(floor) => {
            let base = thousands(grant.base);
            Some(format!("The floor is {}, above the {base} before the grant", floor.name))
        }
        Err(gap) => Some(gap),
    }
}

fn extension(
    input: &PlanInput,
    state: &PartnerState,
    grant: &Grant,
    reason: String,
) -> Result<Extension, PlanError> {
    let id = &state.partner_id;
    Ok(Extension {
        partner_id: id.clone(),
        name: state.name.clone(),
        base_per_minute: grant.base,
        per_minute: grant.per_minute,
        until: input.created_at + EXTENSION_DAYS * MICROS_PER_DAY,
        reason,
        key: sha256(&("extension", id, grant.base, grant.expires_at))?,
    })
}

/// Returns the key of the end of a grant, the same in every plan until the grant is extended.
fn end_key(id: &str, grant: &Grant) -> Result<String, serde_json::Error> {
    sha256(&("expiry", id, grant.per_minute, grant.base, grant.expires_at))
}

fn end_grant(
    input: &PlanInput,
    policy: &Policy,
    state: &PartnerState,
    grant: &Grant,
    draft: &mut DraftPlan,
) -> Result<(), PlanError> {
    let setting = |per_minute| Some(Setting::Quota { per_minute });
    let (id, action) = (&state.partner_id, ActionKind::SetQuota);
    let (from, to) = (setting(grant.per_minute), setting(grant.base));
    let why = rationale(grant, state.tier);
    let mut change = new_change(input, &policy.version, state, action, from, to, why)?;
    change.origin = Origin::Expiry;
    change.key = end_key(id, grant)?;
    let reason = format!("{} is not below the floor", thousands(grant.base));
    change.guardrails.push(guardrail_check("floor", Outcome::Passed, reason));
    change.guardrails.extend(live_check(state));
    change.guardrails.extend(undeliverable(input, state, action, None));
    match change.guardrails.iter().any(|check| check.outcome == Outcome::Stopped) {
        false => draft.changes.push(change),
        true => {
            draft.stopped.push(StoppedChange {
                partner_id: change.partner_id,
                name: change.name,
                action,
                from: change.from,
                asked: change.to,
                rationale: change.rationale,
                guardrails: change.guardrails,
            });
        }
    }
    Ok(())
}

/// Shows a person the grant of a partner that was merged into another one or is gone: whatever its
/// consumer at the gateway has now, nobody can say what usage stands against it.
fn grant_of_nobody(id: &str, grant: &Grant) -> StoppedChange {
    let setting = |per_minute| Some(Setting::Quota { per_minute });
    StoppedChange {
        partner_id: id.to_owned(),
        name: None,
        action: ActionKind::SetQuota,
        from: setting(grant.per_minute),
        asked: setting(grant.base),
        rationale: rationale(grant, Tier::InsufficientEvidence),
        guardrails: vec![partner_gone()],
    }
}

/// Returns the check that stops a change of a partner that is not there.
pub(crate) fn partner_gone() -> GuardrailCheck {
    let reason = "The partner no longer exists, or was merged into another one: a person decides";
    guardrail_check("partner", Outcome::Stopped, reason.to_owned())
}

fn rationale(grant: &Grant, tier: Tier) -> Rationale {
    Rationale {
        rule_id: "grant-end".to_owned(),
        rule: "A grant ends".to_owned(),
        condition: String::new(),
        tier: Some(tier),
        reason: format!("Raised from {} for a time", thousands(grant.base)),
        contributions: Vec::new(),
    }
}
