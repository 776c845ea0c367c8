//! What people recorded of a partner: notes and judgements, and the tiers that they set.

use chrono::{DateTime, Datelike, Utc};
use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, header_cell};
use crate::components::{figure, glyph};
use crate::health_rows::HealthRow;
use crate::input::ReportInput;
use crate::record_rows::{NoteRow, OverrideRow, OverrideState};
use crate::tiers;

/// The number of notes and of overrides on the page.
const MOST_NOTES: usize = 12;
const MOST_OVERRIDES: usize = 8;
/// The lengths of the longest texts in characters.
const NAME_LENGTH: usize = 40;
const NOTE_LENGTH: usize = 500;
const REASON_LENGTH: usize = 240;

/// Returns the section with the notes on a partner, newest first.
pub(crate) fn notes_section(page: &Page, row: &HealthRow) -> Markup {
    let notes = page.context.partners.notes(&row.partner_id);
    let mut section = Section {
        subtitle: html! { "What people noted and how they judge the partner, newest first" },
        ..Section::new("notes", "Notes", 7, "partner_notes")
    };
    if notes.is_empty() {
        let none = "Nothing has been noted about this partner. Write a note with rapport score note, and a judgement with rapport score sentiment.";
        return page.section(&section, &empty_state(none));
    }
    section.note = shown_note(MOST_NOTES, notes.len());
    let year = page.context.input.as_of.year();
    let body = html! {
        table.stacked.notes {
            thead { tr { (header_cell(Column::Text("When"))) (header_cell(Column::Text("By"))) (header_cell(Column::Text("Note"))) } }
            tbody { @for note in notes.iter().take(MOST_NOTES) { tr {
                td.quiet { (format::instant(note.at, year)) }
                td { bdi { (format::truncate_to_chars(&note.by, NAME_LENGTH)) } }
                td {
                    @if let Some(sentiment) = note.sentiment { p { (sentiment_mark(sentiment)) } }
                    @if let Some(text) = &note.note { bdi { (format::truncate_to_chars(text, NOTE_LENGTH)) } }
                }
            } } }
        }
    };
    page.section(&section, &body)
}

/// Returns the newest judgement of a partner, from 1 to 5.
pub(crate) fn newest_sentiment(notes: &[&NoteRow]) -> Option<i64> {
    notes.iter().find_map(|note| note.sentiment)
}

/// Returns a judgement in words with the glyph of a tier.
pub(crate) fn sentiment_mark(sentiment: i64) -> Markup {
    let tier = match sentiment {
        ..=2 => Tier::AtRisk,
        3 => Tier::Watch,
        _ => Tier::Healthy,
    };
    glyph::with_text(tier, &format!("Sentiment {sentiment} of 5"))
}

/// Returns the section with the tiers that people set, newest first.
pub(crate) fn overrides_section(page: &Page, row: &HealthRow) -> Markup {
    let rows = page.context.partners.overrides(&row.partner_id);
    let mut section = Section {
        subtitle: html! { "In force and before, newest first" },
        ..Section::new("overrides", "Tiers set by people", 5, "override_history")
    };
    if rows.is_empty() {
        let none = "Nobody has set the tier of this partner; it has always been the computed one.";
        return page.section(&section, &empty_state(none));
    }
    section.note = shown_note(MOST_OVERRIDES, rows.len());
    let body = html! {
        table.stacked.overrides {
            thead { tr { (header_cell(Column::Text("Tier"))) (header_cell(Column::Text("Set by, and why"))) (header_cell(Column::Text("Until"))) } }
            tbody { @for row in rows.iter().take(MOST_OVERRIDES) { (override_row(page.context.input, row)) } }
        }
    };
    page.section(&section, &body)
}

fn override_row(input: &ReportInput, row: &OverrideRow) -> Markup {
    let year = input.as_of.year();
    let text = |text: &str| format::truncate_to_chars(text, REASON_LENGTH);
    let name = |name: &str| format::truncate_to_chars(name, NAME_LENGTH);
    html! {
        tr {
            td { (glyph::with_label(row.tier)) }
            td { bdi { (text(&row.reason)) } br; span.quiet { bdi { (name(&row.by)) } ", " (format::instant(row.at, year)) } }
            td {
                (end_of(input, row))
                @if let Some(by) = &row.ended_by { br; span.quiet { bdi { (name(by)) } } }
                @if let Some(reason) = &row.end_reason { br; bdi { (text(reason)) } }
            }
        }
    }
}

/// Returns until when a tier holds, or what ended it.
fn end_of(input: &ReportInput, row: &OverrideRow) -> Markup {
    let year = input.as_of.year();
    let now = input.generated_at.or(input.scored_at);
    let at = |at: Option<DateTime<Utc>>| at.map(|at| format::instant(at, year));
    match row.state(now) {
        OverrideState::InForce => html! {
            b { "In force" } @if let Some(until) = at(row.until) { " until " (until) }
        },
        OverrideState::Expired => {
            html! { "Expired" @if let Some(until) = at(row.until) { " " (until) } }
        }
        OverrideState::Ended => {
            html! { "Ended" @if let Some(end) = at(row.ended_at) { " " (end) } }
        }
        OverrideState::Replaced => html! {
            "Replaced" @if let Some(tier) = row.replaced_by { " by " (tiers::label(tier).to_lowercase()) }
            @if let Some(end) = at(row.ended_at) { " " (end) }
        },
    }
}

/// Returns how many of all rows are shown, where some are left out.
fn shown_note(shown: usize, all: usize) -> Option<Markup> {
    let count = |n: usize| figure::of_report(n, &format::thousands(n));
    (all > shown)
        .then(|| html! { (count(shown)) " of " (count(all)) " are shown; the CSV has all." })
}
