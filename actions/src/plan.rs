//! The plan: each partner's first matching rule of each kind, held against the guardrails.

use std::collections::{BTreeMap, BTreeSet};

use lake_types::{AsOf, MICROS_PER_DAY, format_instant};

use crate::digest::{change_key, sha256, state_digest};
use crate::document::{ActionKind, Change, Contribution, Outcome, Plan, Setting, Stopped, Why};
use crate::guardrails::{decide, guardrail, thousands};
use crate::input::{PartnerState, PlanInput};
use crate::policy::{Action, Policy, QuotaTarget, Rule, Track};

const MICROS_PER_HOUR: i64 = 3_600_000_000;

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

#[derive(Default)]
struct Draft {
    changes: Vec<Change>,
    stopped: Vec<Stopped>,
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

/// Why nothing may be changed now.
fn blocked(input: &PlanInput, policy: &Policy) -> Vec<String> {
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
            "The data end {} hours before now, at {at}; the limit is {limit}. Ingest first",
            thousands(hours)
        ));
    }
    let due = AsOf::at_or_before(watermark);
    match input.scored_as_of {
        None => reasons.push("No partner has been scored yet. Run `rapport score run`".to_owned()),
        Some(scored) if scored < due => reasons.push(format!(
            "Scores are as of {}, the lake reaches {}. Run `rapport score run`",
            scored.day(),
            due.day()
        )),
        Some(_) => {}
    }
    reasons
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
                let change = case.change(ActionKind::RouteSupport, from, to.map(Setting::Support));
                draft.changes.push(change?);
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
            why: self.why(),
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
                why: self.why(),
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

    fn why(&self) -> Why {
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
            reason: self.state.top_reason.clone(),
            contributions: rounded.collect(),
        }
    }
}

/// The order in which a limited number of changes is given out: the largest partners first.
fn by_impact(partners: &BTreeMap<&str, &PartnerState>, change: &Change) -> (i64, String) {
    let rank = partners.get(change.partner_id.as_str()).and_then(|p| p.impact_rank);
    (rank.unwrap_or(i64::MAX), change.partner_id.clone())
}

/// Beyond a share of all partners a person decides; support and quotas are counted apart.
fn limit_reach(draft: &mut Draft, policy: &Policy, partners: &BTreeMap<&str, &PartnerState>) {
    let all = partners.len();
    let limit = ((all as f64 * policy.guardrails.reach).floor() as usize).max(1);
    draft.changes.sort_by_cached_key(|change| by_impact(partners, change));
    for quotas in [false, true] {
        let same = |c: &&mut Change| (c.action == ActionKind::SetQuota) == quotas;
        let touched = draft.changes.iter_mut().filter(same).count();
        let share = (policy.guardrails.reach * 1_000.0).round() / 10.0;
        let counted = format!("{} of {} partners, limit {share} %", touched, thousands(all as i64));
        for (at, change) in draft.changes.iter_mut().filter(same).enumerate() {
            if at < limit {
                change.guardrails.push(guardrail("reach", Outcome::Passed, counted.clone()));
                continue;
            }
            let reason = format!("{counted}: a person decides on this one");
            change.guardrails.push(guardrail("reach", Outcome::NeedsApproval, reason));
            change.needs_approval = true;
        }
    }
}

/// Raises beyond the capacity of one plan are stopped, the smallest partners' first.
fn limit_capacity(draft: &mut Draft, policy: &Policy, partners: &BTreeMap<&str, &PartnerState>) {
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
            change.guardrails.push(guardrail("capacity", Outcome::Passed, reason));
            kept.push(change);
            continue;
        }
        let left = thousands(capacity - used);
        let reason = format!("{more} more a minute, {left} of this plan's {limit} left");
        change.guardrails.push(guardrail("capacity", Outcome::Stopped, reason));
        draft.stopped.push(Stopped {
            partner_id: change.partner_id,
            name: change.name,
            action: change.action,
            from: change.from,
            asked: change.to,
            why: change.why,
            guardrails: change.guardrails,
        });
    }
    draft.changes = kept;
}

/// Calls a minute that a change adds; 0 for what is no raise.
fn raise(change: &Change) -> i64 {
    match (&change.from, &change.to) {
        (Some(Setting::Quota { per_minute: from }), Some(Setting::Quota { per_minute: to })) => {
            (to - from).max(0)
        }
        _ => 0,
    }
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
