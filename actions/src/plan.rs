//! Making a plan: each partner's first matching rule of each kind, checked by the guardrails.

use std::collections::{BTreeMap, BTreeSet};

use domain::format::{capitalized, plain_percent};
use domain::{ActionKind, MICROS_PER_DAY, Setting};

use crate::digest::{change_key, sha256, state_digest};
use crate::document::{Change, Contribution, Outcome, Plan, Rationale, StoppedChange};
use crate::guardrails::decide_quota;
use crate::input::{PartnerState, PlanInput};
use crate::limits::{DraftPlan, blocking_reasons, limit_capacity, limit_reach};
use crate::policy::{Policy, QuotaTarget, Rule, RuleAction, RuleKind};

/// Returns the ids of the partners that meet a condition, or what is wrong with the condition.
pub type EvaluateCondition<'a> = dyn Fn(&str) -> Result<BTreeSet<String>, String> + 'a;

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "policy line {line}: the condition of the rule \"{rule}\" fails: {message}\n  {condition}"
    )]
    Condition { line: usize, rule: String, condition: String, message: String },
    #[error(
        "policy line {line}: the rule \"{rule}\" matched the partner \"{partner_id}\", which is not \
         among the partners planned for; conditions must be evaluated over the same partners"
    )]
    UnknownPartner { line: usize, rule: String, partner_id: String },
    #[error("the partner \"{0}\" is there twice")]
    DuplicatePartner(String),
    #[error("the plan could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Makes a plan: what changes for which partner under a policy, and what was held back.
///
/// The condition of every rule is evaluated once over all partners. The same input gives the same
/// plan, byte for byte.
///
/// # Errors
/// Names the rule whose condition fails, or what is inconsistent in the input.
pub fn make_plan(
    input: &PlanInput,
    policy: &Policy,
    evaluate: &EvaluateCondition<'_>,
) -> Result<Plan, PlanError> {
    let mut partners = BTreeMap::new();
    for state in &input.partners {
        if partners.insert(state.partner_id.as_str(), state).is_some() {
            return Err(PlanError::DuplicatePartner(state.partner_id.clone()));
        }
    }
    // Conditions are evaluated even if the plan is blocked, so that a broken rule shows at once.
    let matches = match_rules(policy, &partners, evaluate)?;
    let blocked = blocking_reasons(input, policy);
    let mut draft = DraftPlan::default();
    if blocked.is_empty() {
        for ((_, partner_id), rule) in matches {
            if let Some(state) = partners.get(partner_id) {
                apply_rule(input, policy, state, rule, &mut draft)?;
            }
        }
        limit_reach(&mut draft, policy, &partners);
        limit_capacity(&mut draft, policy, &partners);
    }
    finish(input, policy, &partners, blocked, draft)
}

/// Returns the first rule of each kind that matches each partner.
fn match_rules<'a>(
    policy: &'a Policy,
    partners: &BTreeMap<&'a str, &PartnerState>,
    evaluate: &EvaluateCondition<'_>,
) -> Result<BTreeMap<(RuleKind, &'a str), &'a Rule>, PlanError> {
    let mut first = BTreeMap::new();
    for rule in &policy.rules {
        let ids = evaluate(&rule.condition).map_err(|message| PlanError::Condition {
            line: rule.line,
            rule: rule.name.clone(),
            condition: rule.condition.clone(),
            message,
        })?;
        for partner_id in ids {
            let Some((id, _)) = partners.get_key_value(partner_id.as_str()) else {
                let (line, rule) = (rule.line, rule.name.clone());
                return Err(PlanError::UnknownPartner { line, rule, partner_id });
            };
            first.entry((rule.kind, *id)).or_insert(rule);
        }
    }
    Ok(first)
}

/// Adds what one rule changes of one partner.
fn apply_rule(
    input: &PlanInput,
    policy: &Policy,
    state: &PartnerState,
    rule: &Rule,
    draft: &mut DraftPlan,
) -> Result<(), PlanError> {
    let matched = RuleMatch { input, policy, state, rule };
    match &rule.action {
        RuleAction::None if rule.kind == RuleKind::Quota => {}
        RuleAction::RouteSupport(_) | RuleAction::None => {
            let to = match &rule.action {
                RuleAction::RouteSupport(route) => Some(route.clone()),
                _ => None,
            };
            if to != state.support {
                let from = state.support.clone().map(Setting::Support);
                let to = to.map(Setting::Support);
                draft.changes.push(matched.change(ActionKind::RouteSupport, from, to)?);
            }
        }
        RuleAction::Notify { who } => {
            if !state.notified.contains(who) {
                let to = Setting::Notify { who: who.clone() };
                draft.changes.push(matched.change(ActionKind::Notify, None, Some(to))?);
            }
        }
        RuleAction::SetQuota(target) => matched.quota(*target, draft)?,
    }
    Ok(())
}

/// A rule that matches a partner.
struct RuleMatch<'a> {
    input: &'a PlanInput,
    policy: &'a Policy,
    state: &'a PartnerState,
    rule: &'a Rule,
}

impl RuleMatch<'_> {
    fn change(
        &self,
        action: ActionKind,
        from: Option<Setting>,
        to: Option<Setting>,
    ) -> Result<Change, PlanError> {
        let id = &self.state.partner_id;
        let (version, end) = (&self.policy.version, self.input.as_of.micros());
        Ok(Change {
            partner_id: id.clone(),
            name: self.state.name.clone(),
            action,
            key: change_key(id, action, from.as_ref(), to.as_ref(), version, end)?,
            from,
            to,
            rationale: self.rationale(action),
            guardrails: Vec::new(),
            needs_approval: false,
            expires_at: None,
        })
    }

    fn quota(&self, target: QuotaTarget, draft: &mut DraftPlan) -> Result<(), PlanError> {
        let (input, state) = (self.input, self.state);
        // A window that the watermark has not reached is not complete for any partner.
        let late = input.watermark.is_none_or(|mark| mark < input.as_of.micros());
        let Some(decision) = decide_quota(state, target, self.policy, input.created_at, late)
        else {
            return Ok(());
        };
        let from = state.quota_per_minute;
        let setting = |per_minute| Setting::Quota { per_minute };
        if decision.is_stopped() {
            draft.stopped.push(StoppedChange {
                partner_id: state.partner_id.clone(),
                name: state.name.clone(),
                action: ActionKind::SetQuota,
                from: from.map(setting),
                asked: decision.asked.map(setting),
                rationale: self.rationale(ActionKind::SetQuota),
                guardrails: decision.guardrails,
            });
            return Ok(());
        }
        let to = Some(setting(decision.to));
        let mut change = self.change(ActionKind::SetQuota, from.map(setting), to)?;
        change.needs_approval =
            decision.guardrails.iter().any(|g| g.outcome == Outcome::NeedsApproval);
        change.guardrails = decision.guardrails;
        let grant = self.policy.guardrails.grant_days * MICROS_PER_DAY;
        let raised = from.is_some_and(|from| decision.to > from);
        change.expires_at = raised.then(|| input.created_at + grant);
        draft.changes.push(change);
        Ok(())
    }

    /// Says why an action is proposed. The reason of a quota change is how the quota is used.
    fn rationale(&self, action: ActionKind) -> Rationale {
        let mut contributions = self.state.contributions.clone();
        contributions.sort_by(|a, b| {
            b.points.abs().total_cmp(&a.points.abs()).then_with(|| a.signal.cmp(&b.signal))
        });
        contributions.truncate(3);
        let rounded = contributions.into_iter().map(|c| {
            // Rounded, so that it is the same when it is read back from the file.
            let points = (c.points * 1e4).round() / 1e4;
            Contribution { points, ..c }
        });
        Rationale {
            rule: self.rule.name.clone(),
            condition: self.rule.condition.clone(),
            tier: self.state.tier,
            reason: match action {
                ActionKind::SetQuota => quota_usage(self.state),
                _ => None,
            }
            .unwrap_or_else(|| self.state.top_reason.clone()),
            contributions: rounded.collect(),
        }
    }
}

/// Says how a partner uses its quota: `6.3 % of calls throttled, busiest minute at 98 % of the
/// quota`.
fn quota_usage(state: &PartnerState) -> Option<String> {
    let throttled =
        state.throttled_rate.map(|rate| format!("{} of calls throttled", plain_percent(rate)));
    let busiest = |of: f64| format!("busiest minute at {} of the quota", plain_percent(of));
    match (throttled, state.utilisation.map(busiest)) {
        (Some(throttled), Some(busiest)) => Some(format!("{throttled}, {busiest}")),
        (throttled, busiest) => throttled.or_else(|| busiest.as_deref().map(capitalized)),
    }
}

/// Sorts the changes, and gives the plan its digest and its id.
fn finish(
    input: &PlanInput,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
    blocked: Vec<String>,
    mut draft: DraftPlan,
) -> Result<Plan, PlanError> {
    draft.changes.sort_by(|a, b| (&a.partner_id, a.action).cmp(&(&b.partner_id, b.action)));
    draft.stopped.sort_by(|a, b| (&a.partner_id, a.action).cmp(&(&b.partner_id, b.action)));
    let touched: BTreeSet<&str> = draft.changes.iter().map(|c| c.partner_id.as_str()).collect();
    let states = touched.iter().filter_map(|id| partners.get(id).copied());
    let mut plan = Plan {
        plan_id: String::new(),
        policy_version: policy.version.clone(),
        as_of: input.as_of.micros(),
        created_at: input.created_at,
        versions: input.versions.clone(),
        state_digest: state_digest(states)?,
        partners: partners.len(),
        blocked,
        changes: draft.changes,
        stopped: draft.stopped,
    };
    let digest = sha256(&plan)?;
    plan.plan_id = format!("{}-{}", input.as_of.day(), &digest[..8]);
    Ok(plan)
}
