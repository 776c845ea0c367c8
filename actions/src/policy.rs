//! The action policy, read from `policy.toml` and checked; errors name the line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::{Position, SupportRoute, toml_error};
use serde::Deserialize;
use toml::Spanned;

use crate::alerts::{AlertRule, RawAlert, alert_rule};
use crate::digest::sha256;

/// The policy shipped with the binary, with a comment for every key.
pub const DEFAULT_POLICY: &str = include_str!("../default_policy.toml");

/// A checked policy; [`Policy::parse`] makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub version: String,
    /// The SHA-256 of what the file says, without the names of rules, their order of keys and comments:
    /// by it an edit under the same version is told.
    pub digest: String,
    /// In the order they are tried.
    pub rules: Vec<Rule>,
    pub alerts: Vec<AlertRule>,
    pub guardrails: GuardrailSettings,
    /// By plan name.
    pub plans: BTreeMap<String, PlanQuota>,
}

/// What a rule decides. A partner gets the first rule of each kind that matches, and of notices
/// every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    Support,
    Quota,
    /// Production access.
    Access,
    Notice,
}

/// A rule of the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Names the rule in the log and in keys, whatever its name and its place become.
    pub id: String,
    pub name: String,
    pub kind: RuleKind,
    /// A SQL boolean expression over one row a partner.
    pub condition: String,
    pub action: RuleAction,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// What a rule asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleAction {
    RouteSupport(SupportRoute),
    SetQuota(QuotaTarget),
    ApproveProduction,
    Notify {
        who: String,
        about: String,
    },
    /// Support: leave the queue. Quota: no change.
    None,
}

/// What a quota should become.
#[derive(Debug, Clone, PartialEq)]
pub enum QuotaTarget {
    /// Calls a minute.
    PerMinute(i64),
    /// A share of the present quota: 0.5 is +50 %.
    Step(f64),
    /// The next rung above the present quota, calls a minute, ascending.
    Ladder(Vec<i64>),
}

/// The table `[guardrails]`; `default_policy.toml` says what each key means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailSettings {
    pub max_raise: f64,
    pub max_cut: f64,
    pub headroom: f64,
    pub cooldown_days: i64,
    pub reach: f64,
    pub capacity_per_minute: i64,
    pub approval_above_30d: f64,
    pub grant_days: i64,
    pub stale_hours: i64,
    pub bake_minutes: i64,
}

/// The quotas of a partner's plan, in calls a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanQuota {
    /// What was promised.
    pub contract: i64,
    /// The most that the plan allows.
    pub ceiling: i64,
}

/// Why an action policy was refused, with line and column (`5:1`); the caller knows its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("{at}: {message}")]
    Toml { at: Position, message: String },
    #[error("{at}: the rule \"{rule}\" {problem}")]
    Rule { at: Position, rule: String, problem: String },
    #[error("{at}: the alert \"{alert}\" {problem}")]
    Alert { at: Position, alert: String, problem: String },
    #[error("{at}: {key} = {given} must be {expected}")]
    Value { at: Position, key: &'static str, given: String, expected: &'static str },
    #[error("{at}: the plan \"{plan}\" needs 0 ≤ contract ≤ ceiling")]
    PlanQuota { at: Position, plan: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    version: Spanned<String>,
    #[serde(default)]
    rules: Vec<Spanned<RawRule>>,
    #[serde(default)]
    alerts: Vec<Spanned<RawAlert>>,
    guardrails: Spanned<GuardrailSettings>,
    #[serde(default)]
    plans: BTreeMap<String, Spanned<PlanQuota>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: String,
    name: String,
    #[serde(rename = "for")]
    kind: RuleKind,
    when: String,
    route_support: Option<SupportRoute>,
    set_quota: Option<RawQuota>,
    approve_production: Option<bool>,
    notify: Option<RawNotify>,
    none: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuota {
    per_minute: Option<i64>,
    step: Option<f64>,
    ladder: Option<Vec<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNotify {
    who: String,
    about: String,
}

impl Policy {
    /// Reads a policy from the text of `policy.toml`.
    ///
    /// # Errors
    /// Names the position: no TOML, a key that is unknown or missing, a rule without exactly one
    /// action, a value out of its range.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let raw: RawPolicy = toml::from_str(text).map_err(|e| {
            let (at, message) = toml_error(text, e.span(), e.message());
            PolicyError::Toml { at, message }
        })?;
        let position = |span: Range<usize>| Position::at_offset(text, span.start);
        let (version_at, guardrails_at) =
            (position(raw.version.span()), position(raw.guardrails.span()));
        let version = raw.version.into_inner();
        if version.trim().is_empty() {
            let (key, given, expected) = ("version", "\"\"".to_owned(), "a name");
            return Err(PolicyError::Value { at: version_at, key, given, expected });
        }
        let mut rules = Vec::with_capacity(raw.rules.len());
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for spanned in raw.rules {
            let at = position(spanned.span());
            let rule = rule(spanned.into_inner(), at)?;
            if !names.insert(rule.name.clone()) {
                let problem = "is there twice; a plan names the rule it follows".to_owned();
                return Err(PolicyError::Rule { at, rule: rule.name, problem });
            }
            if !ids.insert(rule.id.clone()) {
                let problem = format!("has the id \"{}\" of another rule", rule.id);
                return Err(PolicyError::Rule { at, rule: rule.name, problem });
            }
            rules.push(rule);
        }
        let mut alerts = Vec::with_capacity(raw.alerts.len());
        for spanned in raw.alerts {
            let at = position(spanned.span());
            let alert = alert_rule(spanned.into_inner(), at)?;
            if !ids.insert(alert.id.clone()) {
                let problem = format!("has the id \"{}\" of another rule or alert", alert.id);
                return Err(PolicyError::Alert { at, alert: alert.name, problem });
            }
            alerts.push(alert);
        }
        let guardrails = raw.guardrails.into_inner();
        check_guardrails(&guardrails, text, guardrails_at)?;
        let mut plans = BTreeMap::new();
        for (plan, quota) in raw.plans {
            let at = position(quota.span());
            let quota = quota.into_inner();
            if quota.contract < 0 || quota.ceiling < quota.contract {
                return Err(PolicyError::PlanQuota { at, plan });
            }
            plans.insert(plan, quota);
        }
        let digest = content_digest(text);
        Ok(Self { version, digest, rules, alerts, guardrails, plans })
    }
}

/// Returns the digest of a policy that was read. Rules and alerts may be renamed under one version.
fn content_digest(text: &str) -> String {
    let mut content: toml::Table = toml::from_str(text).unwrap_or_default();
    for list in ["rules", "alerts"] {
        let entries = content.get_mut(list).and_then(toml::Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            if let Some(entry) = entry.as_table_mut() {
                entry.remove("name");
            }
        }
    }
    sha256(&content).unwrap_or_default()
}

fn rule(raw: RawRule, at: Position) -> Result<Rule, PolicyError> {
    let refused = |problem: &str| PolicyError::Rule {
        at,
        rule: raw.name.clone(),
        problem: problem.to_owned(),
    };
    if raw.name.trim().is_empty() {
        return Err(refused("has no name"));
    }
    if !is_rule_id(&raw.id) {
        return Err(refused("needs an id of lower-case letters, digits, - and _"));
    }
    if raw.when.trim().is_empty() {
        return Err(refused("has an empty condition; write when = \"true\" to match everyone"));
    }
    let one = "needs exactly one of route_support, set_quota, approve_production = true, notify, \
               none = true";
    let given = (raw.route_support, raw.set_quota, raw.approve_production, raw.notify, raw.none);
    let action = match given {
        (Some(route), None, None, None, None) => RuleAction::RouteSupport(route),
        (None, Some(quota), None, None, None) => {
            RuleAction::SetQuota(quota_target(quota).map_err(refused)?)
        }
        (None, None, Some(true), None, None) => RuleAction::ApproveProduction,
        (None, None, None, Some(notify), None) => {
            RuleAction::Notify { who: notify.who, about: notify.about }
        }
        (None, None, None, None, Some(true)) => RuleAction::None,
        _ => return Err(refused(one)),
    };
    match (&action, raw.kind) {
        (RuleAction::RouteSupport(_), kind) if kind != RuleKind::Support => {
            return Err(refused("routes support, so it must be for = \"support\""));
        }
        (RuleAction::SetQuota(_), kind) if kind != RuleKind::Quota => {
            return Err(refused("sets a quota, so it must be for = \"quota\""));
        }
        (RuleAction::ApproveProduction, kind) if kind != RuleKind::Access => {
            return Err(refused("approves production, so it must be for = \"access\""));
        }
        (RuleAction::Notify { .. }, kind) if kind != RuleKind::Notice => {
            return Err(refused("notifies, so it must be for = \"notice\""));
        }
        (RuleAction::None, RuleKind::Notice) => {
            return Err(refused(
                "notifies nobody; every notice is decided by itself, so leave it out",
            ));
        }
        (RuleAction::RouteSupport(route), _) if route.priority < 1 || route.sla_hours < 1 => {
            return Err(refused("needs a priority and sla_hours of 1 or more"));
        }
        (RuleAction::RouteSupport(route), _) if route.queue.trim().is_empty() => {
            return Err(refused("routes to a queue without a name"));
        }
        (RuleAction::Notify { who, .. }, _) if who.trim().is_empty() => {
            return Err(refused("notifies nobody; give who a name"));
        }
        (RuleAction::Notify { about, .. }, _) if about.trim().is_empty() => {
            return Err(refused("does not say what the notice is about"));
        }
        _ => {}
    }
    Ok(Rule {
        id: raw.id,
        name: raw.name,
        kind: raw.kind,
        condition: raw.when,
        action,
        line: at.line,
    })
}

/// Returns whether a text can be the id of a rule or an alert.
pub(crate) fn is_rule_id(text: &str) -> bool {
    let is_id_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    !text.is_empty() && text.chars().all(is_id_char)
}

fn quota_target(raw: RawQuota) -> Result<QuotaTarget, &'static str> {
    match (raw.per_minute, raw.step, raw.ladder) {
        (Some(quota), None, None) if quota >= 0 => Ok(QuotaTarget::PerMinute(quota)),
        (Some(_), None, None) => Err("sets a negative quota"),
        (None, Some(step), None) if step.is_finite() && step > -1.0 && step != 0.0 => {
            Ok(QuotaTarget::Step(step))
        }
        (None, Some(_), None) => Err("has a step that is 0, or −1 or less; 0.5 is +50 %"),
        (None, None, Some(rungs)) => {
            let ascends = rungs.windows(2).all(|two| two[0] < two[1]);
            match ascends && rungs.first().is_some_and(|first| *first > 0) {
                true => Ok(QuotaTarget::Ladder(rungs)),
                false => Err("needs a ladder of quotas above 0 that ascends"),
            }
        }
        _ => Err("needs exactly one of set_quota.per_minute, set_quota.step and set_quota.ladder"),
    }
}

fn check_guardrails(g: &GuardrailSettings, text: &str, table: Position) -> Result<(), PolicyError> {
    let amount = |value: f64| value.is_finite() && value >= 0.0;
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let rows: [(&'static str, String, &'static str, bool); 10] = [
        ("max_raise", g.max_raise.to_string(), "0 or more", amount(g.max_raise)),
        ("max_cut", g.max_cut.to_string(), "0 to 1", share(g.max_cut)),
        ("headroom", g.headroom.to_string(), "1 or more", amount(g.headroom) && g.headroom >= 1.0),
        ("cooldown_days", g.cooldown_days.to_string(), "0 to 3650", days(g.cooldown_days, 0)),
        ("reach", g.reach.to_string(), "0 to 1", share(g.reach)),
        (
            "capacity_per_minute",
            g.capacity_per_minute.to_string(),
            "0 or more",
            g.capacity_per_minute >= 0,
        ),
        (
            "approval_above_30d",
            g.approval_above_30d.to_string(),
            "0 or more",
            amount(g.approval_above_30d),
        ),
        ("grant_days", g.grant_days.to_string(), "1 to 3650", days(g.grant_days, 1)),
        (
            "stale_hours",
            g.stale_hours.to_string(),
            "1 to 87600",
            (1..=87_600).contains(&g.stale_hours),
        ),
        (
            "bake_minutes",
            g.bake_minutes.to_string(),
            "0 to 1440",
            (0..=1_440).contains(&g.bake_minutes),
        ),
    ];
    let Some((key, given, expected, _)) = rows.into_iter().find(|row| !row.3) else {
        return Ok(());
    };
    // The keys of the table stand on a line each: the first line below its head that begins with
    // the key is the one.
    let mut below = text.lines().enumerate().skip(table.line);
    let found = below.find(|(_, line)| line.trim_start().starts_with(key));
    let at = found.map_or(table, |(index, line)| Position {
        line: index + 1,
        column: 1 + line.chars().take_while(|c| c.is_whitespace()).count(),
    });
    Err(PolicyError::Value { at, key, given, expected })
}

fn days(value: i64, least: i64) -> bool {
    (least..=3_650).contains(&value)
}
