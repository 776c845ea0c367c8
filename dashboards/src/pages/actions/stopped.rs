//! What guardrails stopped, and partners of equal standing that are treated unlike.

use domain::format;
use maud::{Markup, html};

use super::PLAN_SOURCE;
use super::proposed::{partner, reason};
use crate::action_rows::{StoppedRow, UnlikeRow};
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, header_cell};
use crate::components::{glyph, partner_link, proposed_actions};
use crate::tiers;

/// The number of stopped changes on the page.
const MOST_STOPPED: usize = 12;
/// The number of groups of partners on the page, of treatments in a group, of partners in each.
const MOST_GROUPS: usize = 4;
const MOST_TREATMENTS: usize = 3;
const MOST_NAMES: usize = 3;
/// The length of the longest sentence of a guardrail in characters.
const STOP_LENGTH: usize = 100;

pub(super) fn stopped_section(page: &Page) -> Markup {
    let rows = &page.context.input.plan_facts.stopped;
    let mut section = Section {
        subtitle: html! { "What rules asked for and guardrails did not let pass; it is asked again with the next plan" },
        ..Section::new("stopped", "Stopped", 7, PLAN_SOURCE)
    };
    if rows.is_empty() {
        let none = "Nothing was stopped: every change that a rule asked for is proposed.";
        return page.section(&section, &empty_state(none));
    }
    if rows.len() > MOST_STOPPED {
        section.note = Some(html! { "The first ones are shown; the CSV has all." });
    }
    let body = html! {
        table.stacked {
            thead { tr {
                (header_cell(Column::Text("Partner"))) (header_cell(Column::Text("Asked for"))) (header_cell(Column::Text("Stopped because")))
            } }
            tbody { @for row in rows.iter().take(MOST_STOPPED) { (stopped_row(page, row)) } }
        }
    };
    page.section(&section, &body)
}

fn stopped_row(page: &Page, row: &StoppedRow) -> Markup {
    let settings = [row.from.as_ref(), row.asked.as_ref()];
    let stopped_by = row.stopped_by.join("; ");
    html! {
        tr {
            td.name { (partner(page, &row.partner_id)) }
            td { bdi { (proposed_actions::change_text(row.kind, settings, None)) } br; span.quiet { (reason(&row.why, &row.rule)) } }
            td data-label="Stopped" { (format::truncate_to_chars(&stopped_by, STOP_LENGTH)) }
        }
    }
}

pub(super) fn unlike_section(page: &Page) -> Markup {
    let groups = &page.context.input.plan_facts.unlike;
    let mut section = Section {
        subtitle: html! { "Partners of one plan and tier for which one rule holds, and which get something different: is that meant?" },
        ..Section::new("unlike", "Like partners, treated unlike", 5, "actions_unlike")
    };
    if groups.is_empty() {
        let none = "None: partners of equal standing are treated alike in this plan.";
        return page.section(&section, &empty_state(none));
    }
    if groups.len() > MOST_GROUPS {
        section.note = Some(html! { "The first groups are shown; the CSV has all." });
    }
    let body = html! { ul.todo { @for group in groups.iter().take(MOST_GROUPS) { (group_item(page, group)) } } };
    page.section(&section, &body)
}

fn group_item(page: &Page, group: &UnlikeRow) -> Markup {
    let plan = match &group.plan {
        Some(plan) => format!("plan {}", format::truncate_to_chars(plan, 32)),
        None => "no plan".to_owned(),
    };
    html! {
        li {
            (glyph::glyph(group.tier))
            div {
                p.who { b { (format::truncate_to_chars(&group.rule, 60)) } span { (tiers::label(group.tier)) ", " bdi { (plan) } } }
                @for (treatment, partners) in group.treatments.iter().take(MOST_TREATMENTS) {
                    p { b { (format::capitalized(&format::truncate_to_chars(treatment, 60))) } ": " (names(page, partners)) }
                }
            }
        }
    }
}

fn names(page: &Page, partners: &[String]) -> Markup {
    html! {
        @for (i, id) in partners.iter().take(MOST_NAMES).enumerate() {
            @if i > 0 { ", " }
            (partner_link::by_id(page.context.partners, id))
        }
        @if partners.len() > MOST_NAMES { " and " (format::thousands(partners.len() - MOST_NAMES)) " more" }
    }
}
