//! What the checks of the data find, and which records were rejected.

use domain::{Tier, format};
use maud::{Markup, html};

use super::streams::stream_name;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::components::{clipped_text, glyph};
use crate::lake_rows::RejectedRow;
use crate::metric_rows::DataQualityRow;

/// The name of the CSV of rejected records.
pub(crate) const REJECTED_SOURCE: &str = "lake_rejected";
/// The number of rows of rejected records on the page.
const MOST_REASONS: usize = 12;
/// The length of the longest example in characters.
const SAMPLE_LENGTH: usize = 30;

/// A check of the metric `data_quality`, in words.
pub(super) struct Check {
    name: &'static str,
    label: &'static str,
    /// What is counted, in the singular.
    pub(super) noun: &'static str,
    meaning: &'static str,
    /// Whether figures are right all the same.
    is_harmless: bool,
}

const CHECKS: [Check; 7] = [
    Check {
        name: "unregistered_partners",
        label: "Calls without registration",
        noun: "unregistered partner",
        meaning: "They are in no cohort: send their registration",
        is_harmless: false,
    },
    Check {
        name: "calls_before_registration",
        label: "Calls before registration",
        noun: "early caller",
        meaning: "Their first call counts as day 0: check the clock or the registration",
        is_harmless: false,
    },
    Check {
        name: "unbilled_usage",
        label: "Usage without a bill",
        noun: "unbilled partner month",
        meaning: "A question for billing; free plans are here too",
        is_harmless: false,
    },
    Check {
        name: "bad_merges",
        label: "Merges that are void",
        noun: "void merge",
        meaning: "A partner merged into itself or in a circle: correct the event",
        is_harmless: false,
    },
    Check {
        name: "dead_letters",
        label: "Rejected records",
        noun: "rejected record",
        meaning: "In no figure until they are replayed: rapport ingest dead-letters",
        is_harmless: false,
    },
    Check {
        name: "late_events",
        label: "Late events",
        noun: "late event",
        meaning: "Counted in full; their days were computed again",
        is_harmless: true,
    },
    Check {
        name: "duplicate_copies",
        label: "Duplicates",
        noun: "duplicate",
        meaning: "Left out of every figure; nothing to do",
        is_harmless: true,
    },
];

/// Returns what a check means.
pub(super) fn check(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name)
}

pub(super) fn checks_section(page: &Page) -> Markup {
    let section = Section {
        subtitle: html! { "What every figure of this report rests on; the example is where to begin" },
        ..Section::new("checks", "What the checks find", 8, "data_quality")
    };
    let rows = &page.context.input.data_quality;
    if page.context.input.of_all_partners.contains("data_quality") {
        let whole = "These checks look at the whole lake, so they say nothing about some of the partners. Show all partners to see them.";
        return page.section(&section, &empty_state(whole));
    }
    if rows.is_empty() {
        let none =
            "The checks have not run. Run rapport metrics run data_quality, then the report again.";
        return page.section(&section, &empty_state(none));
    }
    let mut sorted: Vec<&DataQualityRow> = rows.iter().collect();
    let place = |row: &DataQualityRow| CHECKS.iter().position(|check| check.name == row.check);
    sorted.sort_by_key(|row| (row.failing == 0, place(row).unwrap_or(CHECKS.len())));
    let body = html! {
        table.checks {
            thead { tr {
                (header_cell(Column::Text("Check"))) (header_cell(Column::Number("Found"))) th.wide-only scope="col" { "Example" }
                (header_cell(Column::Text("What it means")))
            } }
            tbody { @for row in sorted { (check_row(row)) } }
        }
    };
    page.section(&section, &body)
}

fn check_row(row: &DataQualityRow) -> Markup {
    let known = check(&row.check);
    let label = known.map_or_else(|| row.check.replace('_', " "), |check| check.label.to_owned());
    let tier = match known {
        _ if row.failing == 0 => Tier::Healthy,
        Some(check) if check.is_harmless => Tier::InsufficientEvidence,
        _ => Tier::Watch,
    };
    html! {
        tr {
            td.name { span.tier { (glyph::glyph(tier)) b { (label) } } }
            td.num { @if row.failing > 0 { b { (format::thousands(row.failing)) } } @else { "none" } }
            td.wide-only.quiet { @if let Some(sample) = &row.sample { (clipped_text::name(sample, SAMPLE_LENGTH)) } }
            td { @if row.failing > 0 { (known.map_or("", |check| check.meaning)) } @else { span.quiet { "All well" } } }
        }
    }
}

pub(super) fn rejected_section(page: &Page) -> Markup {
    let mut section = Section {
        subtitle: html! { "Records that broke a rule, by the first rule they broke" },
        ..Section::new("rejected", "Rejected records", 4, REJECTED_SOURCE)
    };
    let mut rows: Vec<&RejectedRow> = page.context.input.lake.rejected.iter().collect();
    if rows.is_empty() {
        let none = "No record has been rejected. One that breaks a rule would be counted here and kept for a replay.";
        return page.section(&section, &empty_state(none));
    }
    rows.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.reason.cmp(&b.reason)));
    let most = rows[0].records.max(1);
    section.note = Some(html! {
        @if rows.len() > MOST_REASONS { "The largest are shown; the CSV has all. " }
        "See them with " code { "rapport ingest dead-letters" } ", and after a correction " code { "rapport ingest replay" } "."
    });
    let body = html! {
        table {
            thead { tr { (header_cell(Column::Text("Why"))) td.grow {} (header_cell(Column::Number("Records"))) } }
            tbody { @for row in rows.iter().take(MOST_REASONS) { tr {
                td { b { (reason(&row.reason)) } br; span.quiet { (stream_name(&row.stream)) } }
                td.grow { (bar(row.records as f64 / most as f64, "negative", false)) }
                td.num { (format::thousands(row.records)) }
            } } }
        }
    };
    page.section(&section, &body)
}

/// Returns a reason of a rejection in words.
fn reason(name: &str) -> String {
    let words = match name {
        "too_large" => "Too large",
        "schema_unknown" => "Schema not known",
        "not_json" => "Not JSON",
        "mapping_failed" => "The mapping failed",
        "not_an_object" => "Not an object",
        "missing_field" => "A field is missing",
        "wrong_type" => "A value of the wrong type",
        "out_of_range" => "A value out of range",
        "unknown_value" => "A value that is not known",
        other => {
            return format::capitalized(&format::truncate_to_chars(other, 40).replace('_', " "));
        }
    };
    words.to_owned()
}
