//! Making a plan: each partner's first matching rule of each kind, and the ends of grants, checked by
//! the guardrails.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use domain::format::{capitalized, plain_percent};
use domain::{ActionKind, MICROS_PER_DAY, Setting};

use crate::digest::{change_key, episode_key, notice_key};
use crate::document::{
    Change, Contribution, GuardrailCheck, Outcome, Plan, Rationale, StoppedChange,
};
use crate::finish::finish;
use crate::grants::{end_grants, grant_in_force};
use crate::guardrails::{decide_quota, guardrail_check, quota_in_force};
use crate::input::{PartnerState, PlanInput};
use crate::limits::{DraftPlan, blocking_reasons, limit_capacity, limit_reach, tells_the_partner};
use crate::log::{History, NoticeSubject, Progress};
use crate::notices::{is_due, resolve_notices};
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
    let input = &*with_late_usage(input);
    let mut partners = BTreeMap::new();
    for state in &input.partners {
        if partners.insert(state.partner_id.as_str(), state).is_some() {
            return Err(PlanError::DuplicatePartner(state.partner_id.clone()));
        }
    }
    let blocked = blocking_reasons(input, policy);
    let mut draft = DraftPlan::default();
    if blocked.is_empty() {
        add_matches(input, policy, &partners, matches, &mut draft)?;
        limit_reach(&mut draft, policy, input, &partners);
        limit_capacity(&mut draft, policy, input, &partners);
        end_grants(input, policy, &partners, &mut draft)?;
        resolve_notices(input, policy, &partners, &mut draft);
    }
    finish(input, policy, &partners, blocked, draft, None)
}

/// Adds what the rules that hold ask for.
pub(crate) fn add_matches(
    input: &PlanInput,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
    matches: &Matches<'_>,
    draft: &mut DraftPlan,
) -> Result<(), PlanError> {
    for (partner_id, rule) in first_matches(input, matches) {
        if let Some(state) = partners.get(partner_id) {
            RuleMatch { input, policy, state, rule }.apply(draft)?;
        }
    }
    Ok(())
}

/// Returns the input with a gap in the usage of every partner, if the watermark has not reached the
/// end of the window: then it is not complete for any of them.
pub(crate) fn with_late_usage(input: &PlanInput) -> Cow<'_, PlanInput> {
    let is_late = input.watermark.is_some_and(|watermark| watermark < input.as_of.micros());
    with_usage_gap(input, is_late.then(|| "Usage came late: no decrease yet".to_owned()))
}

/// Returns the input with this gap in the usage of every partner that has none yet.
pub(crate) fn with_usage_gap(input: &PlanInput, gap: Option<String>) -> Cow<'_, PlanInput> {
    let Some(gap) = gap else { return Cow::Borrowed(input) };
    let mut with_gap = input.clone();
    for state in &mut with_gap.partners {
        state.usage_gap.get_or_insert_with(|| gap.clone());
    }
    Cow::Owned(with_gap)
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

/// What conditions say of the use of a quota.
const QUOTA_USE: [&str; 3] = ["utilisation", "throttled_rate", "needs_upgrade"];

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
            RuleAction::Notify { who, about } => self.notify(who, about, draft)?,
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

    /// Tells somebody once in an episode.
    fn notify(&self, who: &str, about: &str, draft: &mut DraftPlan) -> Result<(), PlanError> {
        let (input, id) = (self.input, &self.state.partner_id);
        let Some(episode) = input.episodes.open(&self.rule.id, id) else { return Ok(()) };
        let subject = NoticeSubject {
            partner_id: id.clone(),
            rule_id: self.rule.id.clone(),
            who: who.to_owned(),
        };
        if !is_due(input, &subject, episode.started_at) {
            return Ok(());
        }
        let to = Setting::Notify { who: who.to_owned(), about: about.to_owned() };
        let mut change = self.change(ActionKind::Notify, None, Some(to))?;
        change.key = notice_key(id, &self.rule.id, who, episode.started_at)?;
        change.episode_start = Some(episode.started_at);
        self.add(change, draft);
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
            let grant = grant_in_force(&input.history, state);
            change.base_per_minute = Some(grant.map_or(from, |grant| grant.base));
            let days = self.policy.guardrails.grant_days;
            change.expires_at = Some(input.created_at + days * MICROS_PER_DAY);
        }
        self.add(change, draft);
        Ok(())
    }

    /// Adds a change, unless the partner is suspended, it can't be delivered, another one of its kind is
    /// on its way, or it was made already and taken back.
    fn add(&self, change: Change, draft: &mut DraftPlan) {
        let (action, to) = (change.action, change.to.as_ref());
        let stopped = standing(self.state, action, to)
            .or_else(|| undeliverable(self.input, self.state, action, to))
            .or_else(|| taken_back(&self.input.history, &change));
        match stopped {
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

    /// Says why an action is proposed. The reason of a quota change, and of a notice whose rule looks at
    /// the use of the quota, is how the quota is used.
    fn rationale(&self, action: ActionKind) -> Rationale {
        let looks_at_use = || QUOTA_USE.iter().any(|column| self.rule.condition.contains(column));
        let reason = match action {
            ActionKind::SetQuota => quota_usage(self.state),
            ActionKind::Notify if looks_at_use() => quota_usage(self.state),
            _ => None,
        };
        Rationale {
            rule_id: self.rule.id.clone(),
            rule: self.rule.name.clone(),
            condition: self.rule.condition.clone(),
            tier: Some(self.state.tier),
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
    let channel = input.channels.of(action, to_ref);
    Ok(Change {
        name: state.name.clone(),
        key: change_key(id, action, from_ref, to_ref, policy_version, end)?,
        channel: channel.map(|(name, _)| name.clone()),
        can_be_verified: channel.is_some_and(|(_, can_be_read)| *can_be_read),
        ..Change::new(id, action, from, to, rationale)
    })
}

/// Returns why a change is not made again that the receiver has taken under the same key: it was taken
/// back since, or somebody else changed what it set.
fn taken_back(history: &History, change: &Change) -> Option<GuardrailCheck> {
    let found = history.change(&change.key)?;
    let is_lasting = matches!(change.action, ActionKind::SetQuota | ActionKind::RouteSupport);
    if !is_lasting || found.progress != Progress::Acknowledged {
        return None;
    }
    let until = match change.episode_start {
        Some(_) => "it comes again when the rule holds anew",
        None => "it may come again with the next day's data",
    };
    let reason =
        format!("The plan {} made this change and it was taken back; {until}", found.plan_id);
    Some(guardrail_check("taken_back", Outcome::Stopped, reason))
}

/// Returns the check that stops what would be set for a partner that is suspended or offboarded. What
/// ends, such as a support route, still does, and our own people are still told.
pub(crate) fn standing(
    state: &PartnerState,
    action: ActionKind,
    to: Option<&Setting>,
) -> Option<GuardrailCheck> {
    let is_set = to.is_some() && (action != ActionKind::Notify || tells_the_partner(to));
    let why = state.inactive.clone().filter(|_| is_set)?;
    Some(guardrail_check("standing", Outcome::Stopped, why))
}

/// Returns why a change of this kind can't be delivered now: the partner is in no mapping, or an
/// earlier change of it, of any kind, is unconfirmed.
pub(crate) fn undeliverable(
    input: &PlanInput,
    state: &PartnerState,
    action: ActionKind,
    to: Option<&Setting>,
) -> Option<GuardrailCheck> {
    if action == ActionKind::Notify && !tells_the_partner(to) {
        return None;
    }
    if let Some(why) = &state.unmapped {
        return Some(guardrail_check("mapping", Outcome::Stopped, why.clone()));
    }
    let key = match action {
        // One notice does not depend on another.
        ActionKind::Notify => None,
        _ => input.history.unconfirmed(&state.partner_id, ""),
    }?;
    let short: String = key.chars().take(12).collect();
    let reason = format!(
        "Nobody knows whether an earlier change arrived; settle it: rapport actions settle {short}"
    );
    Some(guardrail_check("unconfirmed", Outcome::Stopped, reason))
}

/// Returns the three contributions that are largest by absolute value, rounded so that they are the
/// same when they are read back from the file.
fn largest_contributions(state: &PartnerState) -> Vec<Contribution> {
    let mut contributions = state.contributions.clone();
    for contribution in &mut contributions {
        contribution.points = (contribution.points * 1e4).round() / 1e4;
    }
    // JSON has no other numbers.
    contributions.retain(|contribution| contribution.points.is_finite());
    contributions.sort_by(|a, b| {
        b.points.abs().total_cmp(&a.points.abs()).then_with(|| a.signal.cmp(&b.signal))
    });
    contributions.truncate(3);
    contributions
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
