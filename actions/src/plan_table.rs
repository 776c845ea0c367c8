//! The plan as a table of text: a row for each change, then one for each that was stopped.

use domain::format::{plain_date_with_year, plain_setting};
use domain::{ActionKind, Day, Setting};

use crate::document::{Change, GuardrailCheck, Outcome, Plan, Rationale, StoppedChange};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanTableRow {
    /// Name and id, or the id alone.
    pub partner: String,
    pub action: &'static str,
    /// `600 → 900, until 15 Oct 2026`.
    pub change: String,
    /// The rule, and the partner's top reason.
    pub why: String,
    /// What guardrails changed, stopped or leave to a person; empty if all passed.
    pub guardrails: String,
}

/// Makes the rows of a plan. Why a plan is blocked stands in [`Plan::blocked`].
pub fn plan_table(plan: &Plan) -> Vec<PlanTableRow> {
    let changes = plan.changes.iter().map(|c| PlanTableRow {
        partner: partner(c.name.as_deref(), &c.partner_id),
        action: action(c.action),
        change: change(c),
        why: rule_and_reason(&c.rationale),
        guardrails: reasons(&c.guardrails),
    });
    let stopped = plan.stopped.iter().map(|s| PlanTableRow {
        partner: partner(s.name.as_deref(), &s.partner_id),
        action: action(s.action),
        change: stopped_change(s),
        why: rule_and_reason(&s.rationale),
        guardrails: reasons(&s.guardrails),
    });
    changes.chain(stopped).collect()
}

/// Writes the rule that asked for a change, and the reason.
pub fn rule_and_reason(rationale: &Rationale) -> String {
    format!("{}: {}", rationale.rule, rationale.reason)
}

fn partner(name: Option<&str>, id: &str) -> String {
    match name {
        Some(name) => format!("{name} {id}"),
        None if id.is_empty() => "–".to_owned(),
        None => id.to_owned(),
    }
}

fn action(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::RouteSupport => "support",
        ActionKind::SetQuota => "quota",
        ActionKind::ApproveProduction => "production",
        ActionKind::Notify => "notify",
    }
}

fn change(change: &Change) -> String {
    let (from, to) = (change.from.as_ref(), change.to.as_ref());
    if let Some(Setting::Notify { .. }) = to {
        return format!("tell {}", plain_setting(to));
    }
    if change.resolves() {
        return format!("tell {}: resolved", plain_setting(from));
    }
    let until = change
        .expires_at
        .map(|at| format!(", until {}", plain_date_with_year(Day::of_micros(at))))
        .unwrap_or_default();
    format!("{} → {}{until}", plain_setting(from), plain_setting(to))
}

fn stopped_change(stopped: &StoppedChange) -> String {
    let from = plain_setting(stopped.from.as_ref());
    let asked = match &stopped.asked {
        None => "unknown".to_owned(),
        asked => plain_setting(asked.as_ref()),
    };
    format!("stopped: {from}, asked {asked}")
}

/// Joins the reasons of the guardrails that did not pass.
fn reasons(guardrails: &[GuardrailCheck]) -> String {
    let failed = guardrails.iter().filter(|g| g.outcome != Outcome::Passed);
    failed.map(|g| g.reason.as_str()).collect::<Vec<_>>().join("; ")
}
