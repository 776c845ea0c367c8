//! The deliveries of reports: what was sent, skipped, held back or failed, and why.

use chrono::Datelike;
use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::glyph;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, header_cell};
use crate::lake_rows::DeliveryRow;

/// The name of the CSV with the rows of the section.
const SOURCE: &str = "deliveries";
/// The number of rows on the page.
const MOST: usize = 20;
/// The lengths of the longest texts in characters.
const NAME_LENGTH: usize = 60;
const REASON_LENGTH: usize = 200;

const NONE: &str = "No report has been delivered. Define some as [[deliveries]] in rapport.toml, and run rapport deliver every hour.";

pub(super) fn section(page: &Page) -> Markup {
    let rows = &page.context.input.lake.deliveries;
    let mut section = Section {
        subtitle: html! { "Reports that were sent, and those that were not, newest first" },
        ..Section::new("deliveries", "Deliveries", 12, SOURCE)
    };
    if rows.is_empty() {
        return page.section(&section, &empty_state(NONE));
    }
    section.note = Some(html! {
        @if rows.len() > MOST { "The newest are shown; the CSV has more, " code { "rapport deliver log" } " all. " }
        "A delivery is sent once a period. One that is held back is tried again at the next run."
    });
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Deliveries" { table {
            thead { tr {
                (header_cell(Column::Text("State"))) (header_cell(Column::Text("Delivery"))) (header_cell(Column::Text("To")))
                (header_cell(Column::Text("Period"))) (header_cell(Column::Text("When"))) (header_cell(Column::Text("Why")))
            } }
            tbody { @for row in rows.iter().take(MOST) { (delivery_row(page, row)) } }
        } }
    };
    page.section(&section, &body)
}

fn delivery_row(page: &Page, row: &DeliveryRow) -> Markup {
    let year = page.context.input.as_of.year();
    let to = if row.recipient.is_empty() { &row.channel } else { &row.recipient };
    html! {
        tr {
            td { (state(&row.entry)) }
            td.name { b { (format::truncate_to_chars(&row.delivery, NAME_LENGTH)) } }
            td { bdi { (format::truncate_to_chars(to, NAME_LENGTH)) } }
            td { (row.period) }
            td { @if let Some(at) = row.at { (format::instant(at, year)) } }
            td { bdi.quiet { (format::truncate_to_chars(&row.reason, REASON_LENGTH)) } }
        }
    }
}

fn state(entry: &str) -> Markup {
    let tier = match entry {
        "sent" | "complete" | "resumed" => Tier::Healthy,
        "failed" | "unknown" => Tier::AtRisk,
        "held" | "sending" => Tier::Watch,
        _ => Tier::InsufficientEvidence,
    };
    glyph::with_text(tier, &format::capitalized(&format::truncate_to_chars(entry, 20)))
}
