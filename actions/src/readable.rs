//! The plan as a table for a terminal: a row a change, then a row for each one stopped.

use lake_types::thousands;

use crate::document::{ActionKind, Guardrail, Outcome, Plan, Setting};

/// One line of the table, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name and id, or the id alone.
    pub partner: String,
    pub action: &'static str,
    /// `600 → 900 a minute, until 15 Oct 2026`.
    pub change: String,
    /// The rule, and the partner's top reason.
    pub why: String,
    /// What the guardrails changed, stopped or leave to a person; empty if they all passed.
    pub guardrails: String,
}

/// The rows of a plan; why it is blocked stands in `Plan::blocked`.
pub fn readable(plan: &Plan) -> Vec<Row> {
    let changes = plan.changes.iter().map(|c| Row {
        partner: partner(c.name.as_deref(), &c.partner_id),
        action: action(c.action),
        change: change(c.from.as_ref(), c.to.as_ref(), c.expires_at),
        why: format!("{}: {}", c.why.rule, c.why.reason),
        guardrails: spoken(&c.guardrails),
    });
    let stopped = plan.stopped.iter().map(|s| {
        let asked = s.asked.as_ref().map_or_else(|| "unknown".to_owned(), |to| short(Some(to)));
        Row {
            partner: partner(s.name.as_deref(), &s.partner_id),
            action: action(s.action),
            change: format!("stopped: {}, asked {asked}", short(s.from.as_ref())),
            why: format!("{}: {}", s.why.rule, s.why.reason),
            guardrails: spoken(&s.guardrails),
        }
    });
    changes.chain(stopped).collect()
}

fn partner(name: Option<&str>, id: &str) -> String {
    name.map_or_else(|| id.to_owned(), |name| format!("{name} {id}"))
}

fn action(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::RouteSupport => "support",
        ActionKind::SetQuota => "quota",
        ActionKind::Notify => "notify",
    }
}

fn change(from: Option<&Setting>, to: Option<&Setting>, expires_at: Option<i64>) -> String {
    let until = expires_at.map(|at| {
        let date = lake_types::Day::of_micros(at).date();
        format!(", until {}", date.format("%-d %b %Y"))
    });
    match (from, to) {
        (_, Some(Setting::Notify { who })) => format!("tell {}", told(who)),
        _ => format!("{} → {}{}", short(from), short(to), until.unwrap_or_default()),
    }
}

/// Who is told, as a sentence about a partner names them: `its manager`.
pub fn told(who: &str) -> String {
    match who {
        "manager" => "its manager".to_owned(),
        "partner" => "the partner".to_owned(),
        other => other.to_owned(),
    }
}

fn short(setting: Option<&Setting>) -> String {
    match setting {
        None => "none".to_owned(),
        Some(Setting::Support(r)) => format!("{} P{}, {} h", r.queue, r.priority, r.sla_hours),
        Some(Setting::Quota { per_minute }) => thousands(*per_minute),
        Some(Setting::Notify { who }) => who.clone(),
    }
}

fn spoken(guardrails: &[Guardrail]) -> String {
    let told = guardrails.iter().filter(|g| g.outcome != Outcome::Passed);
    told.map(|g| g.reason.as_str()).collect::<Vec<_>>().join("; ")
}
