//! Notices: who is told what once in an episode, and that it is over.

use std::collections::BTreeMap;

use domain::{ActionKind, Setting};

use crate::alerts::{FoundAlert, rule_id_of};
use crate::digest::{notice_key, resolution_key};
use crate::document::{Change, Outcome, Plan, Rationale, StoppedChange};
use crate::finish::finish;
use crate::guardrails::guardrail_check;
use crate::input::{PartnerState, PlanInput};
use crate::limits::{DraftPlan, limit_reach, stop_reasons};
use crate::log::{NoticeSubject, SentNotice};
use crate::plan::{Matches, PlanError, add_matches, standing, undeliverable};
use crate::policy::{Policy, RuleKind};

/// New alerts of one rule in one plan beyond which a person decides: whoever gets hundreds of messages
/// reads none.
const MAX_NEW_ALERTS: usize = 50;

/// Makes a plan of notices only: those of the policy's rules, and those of alerts. It is made from
/// stale data too, since that is what some alerts tell of.
///
/// # Errors
/// Says what is inconsistent in the input.
pub fn make_notices(
    input: &PlanInput,
    policy: &Policy,
    matches: &Matches<'_>,
    alerts: &[FoundAlert<'_>],
) -> Result<Plan, PlanError> {
    let partners: BTreeMap<&str, &PartnerState> =
        input.partners.iter().map(|state| (state.partner_id.as_str(), state)).collect();
    let blocked = stop_reasons(input);
    let mut draft = DraftPlan::default();
    if blocked.is_empty() {
        let notices = matches.iter().filter(|(rule, _)| rule.kind == RuleKind::Notice);
        let notices: Matches<'_> = notices.cloned().collect();
        add_matches(input, policy, &partners, &notices, &mut draft)?;
        let mut new: BTreeMap<&str, usize> = BTreeMap::new();
        for alert in alerts {
            let first = draft.changes.len();
            add_alert(input, &partners, alert, &mut draft)?;
            let of_rule = new.entry(&alert.rule.id).or_default();
            for change in &mut draft.changes[first..] {
                *of_rule += 1;
                limit_alerts(*of_rule, change);
            }
        }
        limit_reach(&mut draft, policy, input, &partners);
        resolve_notices(input, policy, &partners, &mut draft);
    }
    finish(input, policy, &partners, blocked, draft, None)
}

/// Returns whether a notice is still to be sent in the episode that began at an instant.
pub(crate) fn is_due(input: &PlanInput, subject: &NoticeSubject, started_at: i64) -> bool {
    let sent = input.history.notice(subject);
    let is_sent = sent.is_some_and(|notice| notice.episode_start == started_at);
    let snoozed = input.snoozes.until(&subject.rule_id, &subject.partner_id, input.created_at);
    !is_sent && snoozed.is_none()
}

/// Adds the notices of an alert, one for each recipient.
fn add_alert(
    input: &PlanInput,
    partners: &BTreeMap<&str, &PartnerState>,
    alert: &FoundAlert<'_>,
    draft: &mut DraftPlan,
) -> Result<(), PlanError> {
    let (id, partner_id) = (alert.id(), &alert.partner_id);
    let Some(episode) = input.episodes.open(&id, partner_id) else { return Ok(()) };
    let state = partners.get(partner_id.as_str()).copied();
    for who in &alert.rule.notify {
        let subject =
            NoticeSubject { partner_id: partner_id.clone(), rule_id: id.clone(), who: who.clone() };
        if !is_due(input, &subject, episode.started_at) {
            continue;
        }
        let rationale = Rationale {
            rule_id: id.clone(),
            rule: alert.rule.name.clone(),
            condition: alert.rule.condition.clone(),
            tier: state.map(|state| state.tier),
            reason: alert.text.clone(),
            contributions: Vec::new(),
        };
        let key = notice_key(partner_id, &id, who, episode.started_at)?;
        let to = Setting::Notify { who: who.clone(), about: alert.text.clone() };
        let change = Change {
            key,
            episode_start: Some(episode.started_at),
            ..notice(input, &subject, state, None, Some(to), rationale)
        };
        let stop = state.and_then(|state| {
            let (action, to) = (change.action, change.to.as_ref());
            standing(state, action, to).or_else(|| undeliverable(input, state, action, to))
        });
        match stop {
            None => draft.changes.push(change),
            Some(check) => draft.stopped.push(StoppedChange {
                partner_id: change.partner_id,
                name: change.name,
                action: change.action,
                from: None,
                asked: change.to,
                rationale: change.rationale,
                guardrails: vec![check],
            }),
        }
    }
    Ok(())
}

/// Leaves a notice to a person if there are many of its rule. `number` counts them from 1.
fn limit_alerts(number: usize, change: &mut Change) {
    if number > MAX_NEW_ALERTS {
        let reason = format!(
            "Notice {number} of this alert at once, {MAX_NEW_ALERTS} may be sent without a person"
        );
        change.guardrails.push(guardrail_check("reach", Outcome::NeedsApproval, reason));
        change.needs_approval = true;
    }
}

/// Adds a word to everybody who was told of what is over by now. Partners are not told.
pub(crate) fn resolve_notices(
    input: &PlanInput,
    policy: &Policy,
    partners: &BTreeMap<&str, &PartnerState>,
    draft: &mut DraftPlan,
) {
    let is_over = |subject: &NoticeSubject, sent: &SentNotice| {
        let episode = input.episodes.open(&subject.rule_id, &subject.partner_id);
        subject.who != "partner"
            && episode.is_none_or(|episode| episode.started_at != sent.episode_start)
    };
    for (subject, sent) in input.history.notices().filter(|(subject, sent)| is_over(subject, sent))
    {
        let state = partners.get(subject.partner_id.as_str()).copied();
        let rationale = Rationale {
            rule_id: subject.rule_id.clone(),
            rule: policy.rule_name(&subject.rule_id).unwrap_or(&subject.rule_id).to_owned(),
            condition: String::new(),
            tier: state.map(|state| state.tier),
            reason: sent.about.clone(),
            contributions: Vec::new(),
        };
        let from = Setting::Notify { who: subject.who.clone(), about: sent.about.clone() };
        draft.changes.push(Change {
            key: resolution_key(&sent.key),
            episode_start: Some(sent.episode_start),
            // Where it was opened, whatever the configuration says by now.
            channel: sent.channel.clone(),
            ..notice(input, subject, state, Some(from), None, rationale)
        });
    }
}

/// Returns a notice without its key and its episode.
fn notice(
    input: &PlanInput,
    subject: &NoticeSubject,
    state: Option<&PartnerState>,
    from: Option<Setting>,
    to: Option<Setting>,
    rationale: Rationale,
) -> Change {
    let action = ActionKind::Notify;
    let channel = input.channels.of(action, to.as_ref());
    Change {
        name: state.and_then(|state| state.name.clone()),
        channel: channel.map(|(name, _)| name.clone()),
        ..Change::new(&subject.partner_id, action, from, to, rationale)
    }
}

impl Policy {
    /// Returns the name of a rule or of an alert.
    pub fn rule_name(&self, id: &str) -> Option<&str> {
        let id = rule_id_of(id);
        let rules = self.rules.iter().map(|rule| (&rule.id, &rule.name));
        let alerts = self.alerts.iter().map(|alert| (&alert.id, &alert.name));
        rules.chain(alerts).find(|(of, _)| *of == id).map(|(_, name)| name.as_str())
    }
}
