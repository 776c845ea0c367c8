//! Making a plan: each partner's first matching rule of each kind, and the ends of grants, checked by
//! the guardrails.

use std::collections::{BTreeMap, BTreeSet};

use domain::format::{capitalized, plain_percent};
use domain::{ActionKind, MICROS_PER_DAY, Setting, thousands};

use crate::digest::{change_key, episode_key, partner_digest, sha256};
use crate::document::{
    Change, Contribution, Extension, GuardrailCheck, Outcome, Plan, QuotaDifference, Rationale,
    StoppedChange,
};
use crate::fairness::unlike_treatment;
use crate::guardrails::{decide_quota, floor, guardrail_check, quota_in_force};
use crate::input::{LiveQuota, PartnerState, PlanInput};
use crate::limits::{DraftPlan, blocking_reasons, limit_capacity, limit_reach};
use crate::log::Origin;
use crate::policy::{Policy, QuotaTarget, Rule, RuleAction, RuleKind};

/// Days by which a grant is extended that can't end.
const EXTENSION_DAYS: i64 = 7;

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

/// The partners that meet the condition of each rule, in the order of the rules.
pub type Matches<'a> = Vec<(&'a Rule, BTreeSet<String>)>;

/// Evaluates the condition of every rule once over all partners.
///
/// # Errors
/// Names the rule whose condition fails, or that matches somebody else.
pub fn match_rules<'a>(
    policy: &'a Policy,
    partners: &[PartnerState],
    evaluate: &EvaluateCondition<'_>,
) -> Result<Matches<'a>, PlanError> {
    let known: BTreeSet<&str> = partners.iter().map(|state| state.partner_id.as_str()).collect();
    let mut matches = Vec::with_capacity(policy.rules.len());
    for rule in &policy.rules {
        let ids = evaluate(&rule.condition).map_err(|message| PlanError::Condition {
            line: rule.line,
            rule: rule.name.clone(),
            condition: rule.condition.clone(),
            message,
        })?;
        if let Some(partner_id) = ids.iter().find(|id| !known.contains(id.as_str())).cloned() {
            let (line, rule) = (rule.line, rule.name.clone());
            return Err(PlanError::UnknownPartner { line, rule, partner_id });
        }
        matches.push((rule, ids));
    }
    Ok(matches)
}

/// Makes a plan: what changes for which partner under a policy, and what was held back.
///
/// The same input gives the same plan, byte for byte. The episodes of the input already hold what
/// `matches` say.
///
/// # Errors
/// Says what is inconsistent in the input.
pub fn make_plan(
    input: &PlanInput,
    policy: &Policy,
    matches: &Matches<'_>,
) -> Result<Plan, PlanError> {
    let late;
    let input = match input.watermark {
        // A window that the watermark has not reached is not complete for any partner.
        Some(watermark) if watermark < input.as_of.micros() => {
            late = with_late_usage(input);
            &late
        }
        _ => input,
    };
    let mut partners = BTreeMap::new();
    for state in &input.partners {
        if partners.insert(state.partner_id.as_str(), state).is_some() {
            return Err(PlanError::DuplicatePartner(state.partner_id.clone()));
        }
    }
    let blocked = blocking_reasons(input, policy);
    let mut draft = DraftPlan::default();
    if blocked.is_empty() {
        for (partner_id, rule) in first_matches(input, matches) {
            if let Some(state) = partners.get(partner_id) {
                RuleMatch { input, policy, state, rule }.apply(&mut draft)?;
            }
        }
        end_grants(input, policy, &partners, &mut draft)?;
        limit_reach(&mut draft, policy, input, &partners);
        limit_capacity(&mut draft, policy, input, &partners);
    }
    finish(input, &policy.version, &partners, blocked, draft, None)
}

/// Returns the input with a gap in the usage of every partner.
fn with_late_usage(input: &PlanInput) -> PlanInput {
    let mut late = input.clone();
    for state in &mut late.partners {
        state.usage_gap.get_or_insert_with(|| "Usage came late: no decrease yet".to_owned());
    }
    late
}

/// Returns the rules that apply to partners: of notices all, of other kinds the first. Support and
/// notices follow the episode of a rule, which outlasts a condition that flickers.
fn first_matches<'a>(input: &'a PlanInput, matches: &'a Matches<'a>) -> Vec<(&'a str, &'a Rule)> {
    let mut first: BTreeMap<(RuleKind, &str), &Rule> = BTreeMap::new();
    let mut notices = Vec::new();
    for (rule, ids) in matches {
        match rule.kind {
            RuleKind::Notice => {
                notices.extend(ids.iter().map(|id| (id.as_str(), *rule)));
            }
            RuleKind::Support if matches!(rule.action, RuleAction::RouteSupport(_)) => {
                for id in input.episodes.subjects(&rule.id) {
                    first.entry((rule.kind, id)).or_insert(rule);
                }
            }
            RuleKind::Support | RuleKind::Quota | RuleKind::Access => {
                for id in ids {
                    first.entry((rule.kind, id)).or_insert(rule);
                }
            }
        }
    }
    let of_kinds = first.into_iter().map(|((_, id), rule)| (id, rule));
    of_kinds.chain(notices).collect()
}

/// A rule that matches a partner.
struct RuleMatch<'a> {
    input: &'a PlanInput,
    policy: &'a Policy,
    state: &'a PartnerState,
    rule: &'a Rule,
}

impl RuleMatch<'_> {
    /// Adds what the rule changes of the partner.
    fn apply(&self, draft: &mut DraftPlan) -> Result<(), PlanError> {
        match &self.rule.action {
            RuleAction::None if self.rule.kind != RuleKind::Support => {}
            RuleAction::RouteSupport(route) => {
                self.route(Some(Setting::Support(route.clone())), draft)?;
            }
            RuleAction::None => self.route(None, draft)?,
            RuleAction::Notify { who, about } => {
                let episode = self.input.episodes.open(&self.rule.id, &self.state.partner_id);
                let sent = self.input.history.notice_of(&self.state.partner_id, &self.rule.id);
                let is_sent = sent.is_some() && sent == episode.map(|episode| episode.started_at);
                if !is_sent {
                    let (who, about) = (who.clone(), about.clone());
                    let to = Setting::Notify { who, about };
                    self.add(self.episode_change(ActionKind::Notify, None, Some(to))?, draft);
                }
            }
            RuleAction::ApproveProduction => self.production(draft)?,
            RuleAction::SetQuota(target) => self.quota(target, draft)?,
        }
        Ok(())
    }

    fn route(&self, to: Option<Setting>, draft: &mut DraftPlan) -> Result<(), PlanError> {
        let from = self.state.support.clone().map(Setting::Support);
        if to != from {
            self.add(self.episode_change(ActionKind::RouteSupport, from, to)?, draft);
        }
        Ok(())
    }

    /// Proposes production access. A person decides on each.
    fn production(&self, draft: &mut DraftPlan) -> Result<(), PlanError> {
        if self.input.history.is_approved_for_production(&self.state.partner_id) {
            return Ok(());
        }
        let to = Setting::Production { approved: true };
        let mut change = self.change(ActionKind::ApproveProduction, None, Some(to))?;
        let reason = "Production access is given by a person".to_owned();
        change.guardrails.push(guardrail_check("access", Outcome::NeedsApproval, reason));
        change.needs_approval = true;
        self.add(change, draft);
        Ok(())
    }

    fn quota(&self, target: &QuotaTarget, draft: &mut DraftPlan) -> Result<(), PlanError> {
        let (input, state) = (self.input, self.state);
        let found = decide_quota(state, target, self.policy, input.created_at, &input.overrides);
        let Some(decision) = found else { return Ok(()) };
        let setting = |per_minute| Setting::Quota { per_minute };
        let from = quota_in_force(state);
        if decision.is_stopped() {
            let asked = decision.asked.map(setting);
            draft.stopped.push(self.stopped(
                ActionKind::SetQuota,
                from.map(setting),
                asked,
                decision.guardrails,
            ));
            return Ok(());
        }
        let to = Some(setting(decision.to));
        let mut change = self.change(ActionKind::SetQuota, from.map(setting), to)?;
        let asks = [Outcome::NeedsApproval, Outcome::Overridden];
        change.needs_approval = decision.guardrails.iter().any(|g| asks.contains(&g.outcome));
        change.guardrails = decision.guardrails;
        if let Some(from) = from.filter(|from| decision.to > *from) {
            let grant = input.history.grant_of(&state.partner_id);
            change.base_per_minute = Some(grant.map_or(from, |grant| grant.base));
            let days = self.policy.guardrails.grant_days;
            change.expires_at = Some(input.created_at + days * MICROS_PER_DAY);
        }
        self.add(change, draft);
        Ok(())
    }

    /// Adds a change, unless it can't be delivered or another one of its kind is on its way.
    fn add(&self, change: Change, draft: &mut DraftPlan) {
        match undeliverable(self.input, self.state, change.action) {
            None => draft.changes.push(change),
            Some(check) => {
                let guardrails = change.guardrails.into_iter().chain([check]).collect();
                let (action, from, to) = (change.action, change.from, change.to);
                draft.stopped.push(self.stopped(action, from, to, guardrails));
            }
        }
    }

    fn stopped(
        &self,
        action: ActionKind,
        from: Option<Setting>,
        asked: Option<Setting>,
        guardrails: Vec<GuardrailCheck>,
    ) -> StoppedChange {
        StoppedChange {
            partner_id: self.state.partner_id.clone(),
            name: self.state.name.clone(),
            action,
            from,
            asked,
            rationale: self.rationale(action),
            guardrails,
        }
    }

    /// Returns a change whose key carries the start of the rule's episode.
    fn episode_change(
        &self,
        action: ActionKind,
        from: Option<Setting>,
        to: Option<Setting>,
    ) -> Result<Change, PlanError> {
        let id = &self.state.partner_id;
        let episode = self.input.episodes.open(&self.rule.id, id);
        let Some(start) = episode.map(|episode| episode.started_at) else {
            return self.change(action, from, to);
        };
        let mut change = self.change(action, from, to)?;
        change.key = episode_key(id, action, &self.rule.id, change.to.as_ref(), start)?;
        change.episode_start = Some(start);
        Ok(change)
    }

    fn change(
        &self,
        action: ActionKind,
        from: Option<Setting>,
        to: Option<Setting>,
    ) -> Result<Change, PlanError> {
        let rationale = self.rationale(action);
        let version = &self.policy.version;
        new_change(self.input, version, self.state, action, from, to, rationale)
    }

    /// Says why an action is proposed. The reason of a quota change is how the quota is used.
    fn rationale(&self, action: ActionKind) -> Rationale {
        let reason = match action {
            ActionKind::SetQuota => quota_usage(self.state),
            _ => None,
        };
        Rationale {
            rule_id: self.rule.id.clone(),
            rule: self.rule.name.clone(),
            condition: self.rule.condition.clone(),
            tier: self.state.tier,
            reason: reason.unwrap_or_else(|| self.state.top_reason.clone()),
            contributions: largest_contributions(self.state),
        }
    }
}

/// Returns a change without guardrails.
pub(crate) fn new_change(
    input: &PlanInput,
    policy_version: &str,
    state: &PartnerState,
    action: ActionKind,
    from: Option<Setting>,
    to: Option<Setting>,
    rationale: Rationale,
) -> Result<Change, PlanError> {
    let id = &state.partner_id;
    let (from_ref, to_ref) = (from.as_ref(), to.as_ref());
    let end = input.as_of.micros();
    let channel = input.channels.by_action.get(&action);
    Ok(Change {
        partner_id: id.clone(),
        name: state.name.clone(),
        action,
        key: change_key(id, action, from_ref, to_ref, policy_version, end)?,
        from,
        to,
        rationale,
        guardrails: Vec::new(),
        needs_approval: false,
        expires_at: None,
        base_per_minute: None,
        origin: Origin::Rule,
        episode_start: None,
        channel: channel.map(|(name, _)| name.clone()),
        can_be_verified: channel.is_some_and(|(_, can_be_read)| *can_be_read),
    })
}

/// Returns why a change of this kind can't be delivered now: the partner is in no mapping, or an
/// earlier change is unconfirmed.
pub(crate) fn undeliverable(
    input: &PlanInput,
    state: &PartnerState,
    action: ActionKind,
) -> Option<GuardrailCheck> {
    if let Some(why) = &state.unmapped {
        return Some(guardrail_check("mapping", Outcome::Stopped, why.clone()));
    }
    let key = input.history.unconfirmed(&state.partner_id, action, "")?;
    let short: String = key.chars().take(12).collect();
    let reason = format!(
        "Nobody knows whether an earlier change arrived; settle it: rapport actions settle {short}"
    );
    Some(guardrail_check("unconfirmed", Outcome::Stopped, reason))
}

/// Proposes the ends of grants that are over: decreases that need no person and no step, and that
/// never go below the floor nor rest on usage that is missing. Such a grant is extended.
fn end_grants(
    input: &PlanInput,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
    draft: &mut DraftPlan,
) -> Result<(), PlanError> {
    for (id, grant) in input.history.grants() {
        let is_over = grant.expires_at <= input.created_at;
        let is_quota = |c: &&Change| c.partner_id == id && c.action == ActionKind::SetQuota;
        // A further raise renews the grant.
        let is_renewed = draft.changes.iter().any(|change| is_quota(&change));
        let Some(state) = partners.get(id).copied().filter(|_| is_over && !is_renewed) else {
            continue;
        };
        let setting = |per_minute| Some(Setting::Quota { per_minute });
        let rationale = Rationale {
            rule_id: "grant-end".to_owned(),
            rule: "A grant ends".to_owned(),
            condition: String::new(),
            tier: state.tier,
            reason: format!("Raised from {} for a time", thousands(grant.base)),
            contributions: Vec::new(),
        };
        let why_not = match floor(state, policy) {
            Ok(floor) if floor.per_minute <= grant.base => None,
            Ok(floor) => {
                let base = thousands(grant.base);
                Some(format!("The floor is {}, above the {base} before the grant", floor.name))
            }
            Err(gap) => Some(gap),
        };
        if let Some(reason) = why_not {
            let until = input.created_at + EXTENSION_DAYS * MICROS_PER_DAY;
            draft.extensions.push(Extension {
                partner_id: id.to_owned(),
                name: state.name.clone(),
                base_per_minute: grant.base,
                per_minute: grant.per_minute,
                until,
                reason,
                key: sha256(&("extension", id, grant.base, grant.expires_at))?,
            });
            continue;
        }
        let from = setting(grant.per_minute);
        let version = &policy.version;
        let action = ActionKind::SetQuota;
        let mut change =
            new_change(input, version, state, action, from, setting(grant.base), rationale)?;
        change.origin = Origin::Expiry;
        change.key = sha256(&("expiry", id, grant.per_minute, grant.base, grant.expires_at))?;
        let reason = format!("{} is not below the floor", thousands(grant.base));
        change.guardrails.push(guardrail_check("floor", Outcome::Passed, reason));
        match undeliverable(input, state, action) {
            None => draft.changes.push(change),
            Some(check) => {
                change.guardrails.push(check);
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
    }
    Ok(())
}

/// Returns the three contributions that are largest by absolute value, rounded so that they are the
/// same when they are read back from the file.
fn largest_contributions(state: &PartnerState) -> Vec<Contribution> {
    let mut contributions = state.contributions.clone();
    contributions.retain(|contribution| contribution.points.is_finite());
    contributions.sort_by(|a, b| {
        b.points.abs().total_cmp(&a.points.abs()).then_with(|| a.signal.cmp(&b.signal))
    });
    contributions.truncate(3);
    let rounded = contributions.into_iter().map(|c| {
        let points = (c.points * 1e4).round() / 1e4;
        Contribution { points, ..c }
    });
    rounded.collect()
}

/// Says how a partner uses its quota: `6.3 % of calls throttled, busiest minute at 98 % of the
/// quota`.
fn quota_usage(state: &PartnerState) -> Option<String> {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let throttled = finite(state.throttled_rate)
        .map(|rate| format!("{} of calls throttled", plain_percent(rate)));
    let busiest = |of: f64| format!("busiest minute at {} of the quota", plain_percent(of));
    match (throttled, finite(state.utilisation).map(busiest)) {
        (Some(throttled), Some(busiest)) => Some(format!("{throttled}, {busiest}")),
        (throttled, busiest) => throttled.or_else(|| busiest.as_deref().map(capitalized)),
    }
}

/// Sorts the changes, and gives the plan its digests and its id.
pub(crate) fn finish(
    input: &PlanInput,
    policy_version: &str,
    partners: &BTreeMap<&str, &PartnerState>,
    blocked: Vec<String>,
    mut draft: DraftPlan,
    takes_back: Option<String>,
) -> Result<Plan, PlanError> {
    draft.changes.sort_by(|a, b| change_order(a).cmp(&change_order(b)));
    draft.stopped.sort_by(|a, b| (&a.partner_id, a.action).cmp(&(&b.partner_id, b.action)));
    let changed = draft.changes.iter().map(|change| change.partner_id.as_str());
    let touched: BTreeSet<&str> =
        changed.chain(draft.extensions.iter().map(|e| e.partner_id.as_str())).collect();
    let mut states = BTreeMap::new();
    for state in touched.iter().filter_map(|id| partners.get(id)) {
        states.insert(state.partner_id.clone(), partner_digest(state)?);
    }
    let mut plan = Plan {
        plan_id: String::new(),
        policy_version: policy_version.to_owned(),
        as_of: input.as_of.micros(),
        created_at: input.created_at,
        versions: input.versions.clone(),
        state_digest: sha256(&states)?,
        states,
        takes_back,
        partners: partners.len(),
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
