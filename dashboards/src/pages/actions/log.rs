//! The newest entries of the log of actions: what was approved, sent and answered.

use chrono::Datelike;
use domain::{ActionKind, Day, Setting, Tier, format};
use maud::{Markup, html};

use super::proposed::partner;
use crate::action_rows::ActionLogRow;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, header_cell};
use crate::components::{figure, glyph, proposed_actions};

/// The number of entries on the page.
const MOST: usize = 20;
/// The lengths of the longest names and answers in characters.
const NAME_LENGTH: usize = 24;
const ANSWER_LENGTH: usize = 72;

pub(super) fn section(page: &Page) -> Markup {
    let rows = &page.context.input.action_log;
    let mut section = Section {
        subtitle: html! { "Newest first: who agreed, what was sent, what the receiver answered" },
        ..Section::new("log", "What was done", 12, "action_history")
    };
    if rows.is_empty() {
        let none = "Nothing has been sent yet. Approve a change with rapport actions approve, and send it with rapport actions apply.";
        return page.section(&section, &empty_state(none));
    }
    if rows.len() > MOST {
        let all = figure::of_report(rows.len(), &format::thousands(rows.len()));
        let shown = figure::of_report(MOST, &format::thousands(MOST));
        section.note = Some(
            html! { (shown) " of " (all) " entries are shown; the CSV has all, and so has " code { "rapport actions log" } "." },
        );
    }
    let body = html! {
        table.stacked.log {
            thead { tr {
                (header_cell(Column::Text("When"))) (header_cell(Column::Text("What"))) (header_cell(Column::Text("Partner")))
                (header_cell(Column::Text("Change"))) (header_cell(Column::Text("By, and where to"))) (header_cell(Column::Text("Answer")))
            } }
            tbody { @for row in rows.iter().take(MOST) { (log_row(page, row)) } }
        }
    };
    page.section(&section, &body)
}

fn log_row(page: &Page, row: &ActionLogRow) -> Markup {
    let year = page.context.input.as_of.year();
    let name = |text: &Option<String>| {
        text.as_deref().map(|text| format::truncate_to_chars(text, NAME_LENGTH))
    };
    let places: Vec<String> = [name(&row.by), name(&row.channel)].into_iter().flatten().collect();
    html! {
        tr {
            td.quiet { (format::instant(row.at, year)) }
            td { (entry(&row.entry)) }
            td.name { (partner(page, row.partner_id.as_deref().unwrap_or_default())) }
            td { bdi { (change(row)) } }
            td { bdi { (places.join(" → ")) } }
            td.quiet { bdi { (format::truncate_to_chars(row.answer.as_deref().unwrap_or_default(), ANSWER_LENGTH)) } }
        }
    }
}

/// Returns what an entry says, in words with a glyph.
fn entry(name: &str) -> Markup {
    let (tier, words) = match name {
        "approved" => (Tier::Healthy, "Agreed to"),
        "rejected" => (Tier::Churned, "Refused by a person"),
        "attempted" => (Tier::Onboarding, "Sent"),
        "acknowledged" => (Tier::Healthy, "Taken by the receiver"),
        "failed" => (Tier::Watch, "Failed, tried again"),
        "refused" => (Tier::AtRisk, "Refused by the receiver"),
        "ambiguous" => (Tier::InsufficientEvidence, "Unknown whether taken"),
        "stopped" => (Tier::Stuck, "Stopped by a guard"),
        "lapsed" => (Tier::Churned, "Waited too long"),
        "extended" => (Tier::Onboarding, "Ends later"),
        "verified" => (Tier::Healthy, "Found in force"),
        "differs" => (Tier::AtRisk, "Something else in force"),
        other => return html! { (format::truncate_to_chars(other, NAME_LENGTH)) },
    };
    glyph::with_text(tier, words)
}

/// Returns the change of an entry. Settings that this version cannot read are left out.
fn change(row: &ActionLogRow) -> String {
    let setting = |json: &Option<String>| -> Option<Setting> {
        json.as_deref().and_then(|json| serde_json::from_str(json).ok())
    };
    let (from, to) = (setting(&row.from_value), setting(&row.to_value));
    let until = row.expires_at.map(|at| Day::of_date(at.date_naive()));
    let kind = row.action.as_deref().and_then(|name| name.parse::<ActionKind>().ok());
    kind.map_or_else(String::new, |kind| {
        proposed_actions::change_text(kind, [from.as_ref(), to.as_ref()], until)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_log_is_read() {
        let row = ActionLogRow {
            at: chrono::DateTime::UNIX_EPOCH,
            entry: "attempted".to_owned(),
            partner_id: None,
            action: Some("set_quota".to_owned()),
            from_value: Some(r#"{"per_minute":600}"#.to_owned()),
            to_value: Some(r#"{"per_minute":900}"#.to_owned()),
            expires_at: None,
            answer: None,
            by: None,
            channel: None,
        };
        assert_eq!(change(&row), "Quota 600 → 900 calls a minute");
        assert_eq!(change(&ActionLogRow { action: Some("dance".to_owned()), ..row }), "");
    }
}
