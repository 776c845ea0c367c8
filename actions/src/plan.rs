//! The plan: each partner's first matching rule of each kind, held against the guardrails.

use std::collections::{BTreeMap, BTreeSet};

use lake_types::MICROS_PER_DAY;

use crate::digest::{change_key, sha256, state_digest};
use crate::document::{ActionKind, Change, Contribution, Outcome, Plan, Setting, Stopped, Why};
use crate::guardrails::{decide, share};
use crate::input::{PartnerState, PlanInput};
use crate::limits::{Draft, blocked, limit_capacity, limit_reach};
use crate::policy::{Action, Policy, QuotaTarget, Rule, Track};

/// Says which partners meet a condition: the ids, or what is wrong with the condition.
pub type Evaluate<'a> = dyn Fn(&str) -> Result<BTreeSet<String>, String> + 'a;

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
    PartnerTwice(String),
    #[error("the plan could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Makes a plan: what changes for which partner under a policy, and what was held back.
///
/// Every rule's condition is evaluated once over all partners. The same input gives the same plan,
/// byte for byte.
///
/// # Errors
/// Names the rule whose condition fails, or what is inconsistent in the input.
pub fn plan(
    input: &PlanInput,
    policy: &Policy,
    evaluate: &Evaluate<'_>,
) -> Result<Plan, PlanError> {
    let mut partners = BTreeMap::new();
    for state in &input.partners {
        if partners.insert(state.partner_id.as_str(), state).is_some() {
            return Err(PlanError::PartnerTwice(state.partner_id.clone()));
        }
    }
    // Conditions are tried even where the plan is blocked: a broken rule shows at once.
    let matches = match_rules(policy, &partners, evaluate)?;
    let blocked = blocked(input, policy);
    let mut draft = Draft::default();
    if blocked.is_empty() {
        for ((_, partner_id), rule) in matches {
            if let Some(state) = partners.get(partner_id) {
                propose(input, policy, state, rule, &mut draft)?;
            }
        }
        limit_reach(&mut draft, policy, &partners);
        limit_capacity(&mut draft, policy, &partners);
    }
    finish(input, policy, &partners, blocked, draft)
}

/// The first rule of each kind that matches each partner.
fn match_rules<'a>(
    policy: &'a Policy,
    partners: &BTreeMap<&'a str, &PartnerState>,
    evaluate: &Evaluate<'_>,
) -> Result<BTreeMap<(Track, &'a str), &'a Rule>, PlanError> {
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
            first.entry((rule.track, *id)).or_insert(rule);
        }
    }
    Ok(first)
}

/// What one rule makes of one partner.
fn propose(
    input: &PlanInput,
    policy: &Policy,
    state: &PartnerState,
    rule: &Rule,
    draft: &mut Draft,
) -> Result<(), PlanError> {
    let case = Case { input, policy, state, rule };
    match &rule.action {
        Action::None if rule.track == Track::Quota => {}
        Action::RouteSupport(_) | Action::None => {
            let to = match &rule.action {
                Action::RouteSupport(route) => Some(route.clone()),
                _ => None,
            };
            if to != state.support {
                let from = state.support.clone().map(Setting::Support);
                let to = to.map(Setting::Support);
                draft.changes.push(case.change(ActionKind::RouteSupport, from, to)?);
            }
        }
        Action::Notify { who } => {
            if !state.notified.contains(who) {
                let to = Setting::Notify { who: who.clone() };
                draft.changes.push(case.change(ActionKind::Notify, None, Some(to))?);
            }
        }
        Action::SetQuota(target) => case.quota(*target, draft)?,
    }
    Ok(())
}

struct Case<'a> {
    input: &'a PlanInput,
    policy: &'a Policy,
    state: &'a PartnerState,
    rule: &'a Rule,
}

impl Case<'_> {
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
            why: self.why(action),
            guardrails: Vec::new(),
            needs_approval: false,
            expires_at: None,
        })
    }

    fn quota(&self, target: QuotaTarget, draft: &mut Draft) -> Result<(), PlanError> {
        let (input, state) = (self.input, self.state);
        // A window that the watermark has not reached is not whole yet, for anyone.
        let late = input.watermark.is_none_or(|mark| mark < input.as_of.micros());
        let Some(decision) = decide(state, target, self.policy, input.created_at, late) else {
            return Ok(());
        };
        let from = state.quota_per_minute;
        let setting = |per_minute| Setting::Quota { per_minute };
        if decision.stopped() {
            draft.stopped.push(Stopped {
                partner_id: state.partner_id.clone(),
                name: state.name.clone(),
                action: ActionKind::SetQuota,
                from: from.map(setting),
                asked: decision.asked.map(setting),
                why: self.why(ActionKind::SetQuota),
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

    /// What is known of the partner that speaks for such an action: of a quota its use.
    fn why(&self, action: ActionKind) -> Why {
        let mut contributions = self.state.contributions.clone();
        contributions.sort_by(|a, b| {
            b.points.abs().total_cmp(&a.points.abs()).then_with(|| a.signal.cmp(&b.signal))
        });
        contributions.truncate(3);
        let rounded = contributions.into_iter().map(|c| {
            // Enough to read, and the same after it has been through the file.
            let points = (c.points * 1e4).round() / 1e4;
            Contribution { points, ..c }
        });
        Why {
            rule: self.rule.name.clone(),
            condition: self.rule.condition.clone(),
            tier: self.state.tier.clone(),
            reason: match action {
                ActionKind::SetQuota => usage(self.state),
                _ => None,
            }
            .unwrap_or_else(|| self.state.top_reason.clone()),
            contributions: rounded.collect(),
        }
    }
}

/// How a partner uses its quota: `6.3 % of calls throttled, busiest minute at 98 % of the quota`.
fn usage(state: &PartnerState) -> Option<String> {
    let throttled = state.throttled_rate.map(|rate| format!("{} of calls throttled", share(rate)));
    let busiest = |of: f64| format!("busiest minute at {} of the quota", share(of));
    match (throttled, state.utilisation.map(busiest)) {
        (Some(throttled), Some(busiest)) => Some(format!("{throttled}, {busiest}")),
        (throttled, busiest) => throttled.or_else(|| busiest.as_deref().map(capital)),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn finish(
    input: &PlanInput,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
    blocked: Vec<String>,
    mut draft: Draft,
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
