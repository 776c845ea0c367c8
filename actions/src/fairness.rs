//! Like cases, unlike actions: partners of one plan and tier for which one rule holds, and which get
//! different treatment all the same. The list asks a person whether that is meant.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ActionKind, Tier};

use crate::document::{GuardrailCheck, Outcome, Rationale, UnlikeTreatment};
use crate::input::PartnerState;
use crate::limits::DraftPlan;

/// A rule, and what partners of equal standing share: the plan and the tier.
type Standing = (String, Option<String>, Tier);

/// Returns the groups of partners of equal standing with more than one treatment. Only quotas are
/// compared: a route and a notice are the same for all.
pub(crate) fn unlike_treatment(
    draft: &DraftPlan,
    partners: &BTreeMap<&str, &PartnerState>,
) -> Vec<UnlikeTreatment> {
    let mut groups: BTreeMap<Standing, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    let mut add = |partner_id: &str, rationale: &Rationale, checks: &[GuardrailCheck]| {
        let plan = partners.get(partner_id).and_then(|state| state.plan.clone());
        let Some(tier) = rationale.tier else { return };
        let standing = (rationale.rule.clone(), plan, tier);
        let treatments = groups.entry(standing).or_default();
        treatments.entry(treatment(checks)).or_default().push(partner_id.to_owned());
    };
    let is_quota = |action: ActionKind| action == ActionKind::SetQuota;
    for change in draft.changes.iter().filter(|change| is_quota(change.action)) {
        add(&change.partner_id, &change.rationale, &change.guardrails);
    }
    for stopped in draft.stopped.iter().filter(|stopped| is_quota(stopped.action)) {
        add(&stopped.partner_id, &stopped.rationale, &stopped.guardrails);
    }
    let unlike = groups.into_iter().filter(|(_, treatments)| treatments.len() > 1);
    unlike
        .map(|((rule, plan, tier), treatments)| UnlikeTreatment { rule, plan, tier, treatments })
        .collect()
}

/// Names what becomes of a change by the guardrails that did not just pass it.
fn treatment(checks: &[GuardrailCheck]) -> String {
    let named = |outcome: Outcome| -> BTreeSet<&str> {
        let found = checks.iter().filter(|check| check.outcome == outcome);
        found.map(|check| check.name.as_str()).collect()
    };
    let by = |text: &str, names: BTreeSet<&str>| {
        let names: Vec<&str> = names.into_iter().collect();
        (!names.is_empty()).then(|| format!("{text} {}", names.join(", ")))
    };
    if let Some(stopped) = by("stopped by", named(Outcome::Stopped)) {
        return stopped;
    }
    let parts = [
        by("limited by", named(Outcome::Changed)),
        by("for a person by", named(Outcome::NeedsApproval)),
        by("passed over", named(Outcome::Overridden)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "changed as asked".to_owned() } else { parts.join("; ") }
}
