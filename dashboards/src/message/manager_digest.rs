//! What is new of the partners of one manager as a message: movers, decisions, alerts.

use std::collections::BTreeMap;

use domain::format;

use super::{Message, MessageRow, MessageScope, MessageSection};
use crate::action_rows::AlertRow;
use crate::components::proposed_actions::headline;
use crate::health_rows::{HealthRow, MoverRow};
use crate::input::ReportInput;
use crate::{paths, tiers};

/// The most movers of a digest.
const MOVERS: usize = 5;
/// The most decisions, and the most alerts.
const MOST: usize = 20;
/// The length of the longest reason in characters.
const REASON_LENGTH: usize = 200;

/// Returns the digest of a manager: of their partners those that moved most, what waits for a decision,
/// and the open alerts. The movers are in the order of the query.
pub fn manager_digest(
    input: &ReportInput,
    movers: &[MoverRow],
    manager: &str,
    scope: &MessageScope<'_>,
) -> Message {
    let own = input.health.iter().filter(|row| row.manager.as_deref() == Some(manager));
    let own: BTreeMap<&str, &HealthRow> = own.map(|row| (row.partner_id.as_str(), row)).collect();
    let sections = vec![moved(movers, &own), decisions(input, &own), alerts(input, &own)];
    let count = |section: &MessageSection| section.rows.len() + section.more;
    let subject = format!(
        "{}, {}, {}",
        format::counted(count(&sections[0]), "mover"),
        format::counted(count(&sections[1]), "decision"),
        format::counted(count(&sections[2]), "open alert"),
    );
    Message::new(input, scope, &subject, sections)
}

fn moved(movers: &[MoverRow], own: &BTreeMap<&str, &HealthRow>) -> MessageSection {
    let all: Vec<&MoverRow> = movers
        .iter()
        .filter(|mover| mover.has_moved() && own.contains_key(&*mover.partner_id))
        .collect();
    let rows = all.iter().take(MOVERS).map(|mover| {
        let score =
            |score: Option<f64>| score.map_or_else(|| "none".to_owned(), |s| format!("{s:.0}"));
        let tier = |name: &str| tiers::label(tiers::parse(name)).to_owned();
        let then = mover.tier_then.as_deref().map(tier).unwrap_or_default();
        let cells = vec![
            from_to(&then, &tier(&mover.tier)),
            from_to(&score(mover.score_then), &score(mover.score)),
            format::truncate_to_chars(&mover.reason, REASON_LENGTH),
        ];
        row_of(own, &mover.partner_id, cells)
    });
    MessageSection {
        title: "Movers of the week".to_owned(),
        columns: vec!["Partner", "Tier", "Score", "Why"],
        rows: rows.collect(),
        more: all.len().saturating_sub(MOVERS),
        none: "No partner moved by a tier or a point.",
        link: ("health.html", "Health"),
    }
}

fn from_to(then: &str, now: &str) -> String {
    if then == now { now.to_owned() } else { format!("{then} → {now}") }
}

fn decisions(input: &ReportInput, own: &BTreeMap<&str, &HealthRow>) -> MessageSection {
    let waits = |id: &str, needs_approval: bool| needs_approval && own.contains_key(id);
    let all: Vec<_> =
        input.plan.iter().filter(|row| waits(&row.partner_id, row.needs_approval)).collect();
    let rows = all.iter().take(MOST).map(|row| {
        let why = format::truncate_to_chars(&row.why, REASON_LENGTH);
        row_of(own, &row.partner_id, vec![headline(row), why])
    });
    MessageSection {
        title: "Waiting for a decision".to_owned(),
        columns: vec!["Partner", "Proposed", "Why"],
        rows: rows.collect(),
        more: all.len().saturating_sub(MOST),
        none: "Nothing waits for a decision.",
        link: ("actions.html", "Actions"),
    }
}

fn alerts(input: &ReportInput, own: &BTreeMap<&str, &HealthRow>) -> MessageSection {
    let of_own = |alert: &&AlertRow| own.contains_key(&*alert.partner_id);
    let all: Vec<_> = input.alerts.iter().filter(of_own).collect();
    let rows = all.iter().take(MOST).map(|alert| {
        let since = alert.since.map(|at| format::date_with_year(at.date_naive()));
        let cells = vec![
            alert.name.clone(),
            format::truncate_to_chars(&alert.about, REASON_LENGTH),
            since.map_or_else(String::new, |day| format!("since {day}")),
        ];
        row_of(own, &alert.partner_id, cells)
    });
    MessageSection {
        title: "Open alerts".to_owned(),
        columns: vec!["Partner", "Alert", "About", "Since"],
        rows: rows.collect(),
        more: all.len().saturating_sub(MOST),
        none: match input.has_found_alerts {
            true => "No alert is open.",
            false => {
                "No alert is known. Nobody has looked yet, or no check has found one: rapport alerts check looks."
            }
        },
        link: ("alerts.html", "Alerts"),
    }
}

/// Returns a row that begins with the partner's name and leads to its page.
fn row_of(own: &BTreeMap<&str, &HealthRow>, id: &str, cells: Vec<String>) -> MessageRow {
    let name = own.get(id).map_or_else(|| id.to_owned(), |row| row.label());
    MessageRow {
        path: Some(paths::partner(id)),
        cells: std::iter::once(name).chain(cells).collect(),
    }
}
