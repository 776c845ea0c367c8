//! Finishing a plan: its order, its digests and its id.

use std::collections::{BTreeMap, BTreeSet};

use domain::ActionKind;

use crate::digest::{overridden_key, partner_digest, sha256};
use crate::document::{Change, Outcome, Plan, PlanLimits, QuotaDifference};
use crate::fairness::unlike_treatment;
use crate::input::{LiveQuota, PartnerState, PlanInput};
use crate::limits::{DraftPlan, reach_limit};
use crate::plan::PlanError;
use crate::policy::Policy;

/// Sorts the changes, and gives the plan its digests and its id.
pub(crate) fn finish(
    input: &PlanInput,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
    blocked: Vec<String>,
    mut draft: DraftPlan,
    takes_back: Option<String>,
) -> Result<Plan, PlanError> {
    for change in &mut draft.changes {
        let overridden: Vec<&str> = change
            .guardrails
            .iter()
            .filter(|check| check.outcome == Outcome::Overridden)
            .map(|check| check.name.as_str())
            .collect();
        if !overridden.is_empty() {
            change.key = overridden_key(&change.key, &overridden)?;
        }
    }
    draft.changes.sort_by(|a, b| change_order(a).cmp(&change_order(b)));
    draft.stopped.sort_by(|a, b| (&a.partner_id, a.action).cmp(&(&b.partner_id, b.action)));
    // What a notice says does not depend on the quota and the route of the partner.
    let changed = draft.changes.iter().filter(|change| change.action != ActionKind::Notify);
    let changed = changed.map(|change| change.partner_id.as_str());
    let touched: BTreeSet<&str> =
        changed.chain(draft.extensions.iter().map(|e| e.partner_id.as_str())).collect();
    let mut states = BTreeMap::new();
    for state in touched.iter().filter_map(|id| partners.get(id)) {
        states.insert(state.partner_id.clone(), partner_digest(state)?);
    }
    let mut plan = Plan {
        plan_id: String::new(),
        policy_version: policy.version.clone(),
        policy_digest: policy.digest.clone(),
        as_of: input.as_of.micros(),
        created_at: input.created_at,
        versions: input.versions.clone(),
        state_digest: sha256(&states)?,
        states,
        takes_back,
        partners: partners.len(),
        limits: PlanLimits {
            reach: reach_limit(partners.len(), policy),
            capacity_per_minute: policy.guardrails.capacity_per_minute,
        },
        blocked,
        unlike: unlike_treatment(&draft, partners),
        changes: draft.changes,
        stopped: draft.stopped,
        extensions: draft.extensions,
        differences: differences(input),
        overrides: input.overrides.clone(),
        digest: String::new(),
    };
    plan.plan_id = format!("{}-{}", input.as_of.day(), &sha256(&plan)?[..8]);
    plan.digest = plan.content_digest()?;
    Ok(plan)
}

fn change_order(change: &Change) -> (&str, ActionKind, &str) {
    (change.partner_id.as_str(), change.action, change.rationale.rule_id.as_str())
}

/// Returns the partners whose quota at the gateway is another one than in our books.
fn differences(input: &PlanInput) -> Vec<QuotaDifference> {
    let differs = |state: &PartnerState| {
        let LiveQuota::Is(live) = state.live_quota else { return None };
        let expected = state.quota_per_minute;
        let partner_id = state.partner_id.clone();
        (live != expected).then_some(QuotaDifference { partner_id, expected, live })
    };
    input.partners.iter().filter_map(differs).collect()
}

impl Plan {
    /// Returns the digest of everything but the digest itself.
    ///
    /// # Errors
    /// When the plan can't be written as JSON.
    pub fn content_digest(&self) -> Result<String, serde_json::Error> {
        sha256(&Self { digest: String::new(), ..self.clone() })
    }
}
