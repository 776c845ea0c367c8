//! The annotations: days with an explanation, which charts mark, and most of which scores leave out.

use domain::format;
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, header_cell};
use crate::components::{decision_forms, figure, partner_link};
use crate::record_rows::AnnotationRow;

/// The number of annotations on the page.
const MOST: usize = 20;
/// The lengths of the longest texts in characters.
const TEXT_LENGTH: usize = 240;
const NAME_LENGTH: usize = 40;

pub(super) fn section(page: &Page) -> Markup {
    let rows = &page.context.input.annotations;
    let mut section = Section {
        subtitle: html! { "Days with an explanation: charts mark them with a number, and unless they are only marked, missing calls on them count against nobody" },
        ..Section::new("annotations", "Annotations", 12, "annotations")
    };
    if rows.len() > MOST {
        let count = |n: usize| figure::of_report(n, &format::thousands(n));
        section.note =
            Some(html! { (count(MOST)) " of " (count(rows.len())) " are shown; the CSV has all." });
    }
    let body = html! {
        @if rows.is_empty() { (empty_state("No day has an explanation yet. rapport score annotate writes one.")) }
        @else { (table(page, rows)) }
        (decision_forms::for_programme(page))
    };
    page.section(&section, &body)
}

fn table(page: &Page, rows: &[AnnotationRow]) -> Markup {
    html! {
        table.stacked.annotations {
            thead { tr {
                (header_cell(Column::Text("Days"))) (header_cell(Column::Text("About")))
                (header_cell(Column::Text("What happened"))) (header_cell(Column::Text("By")))
            } }
            tbody { @for row in rows.iter().rev().take(MOST) { tr {
                td { (days(row)) }
                td.name {
                    @match &row.partner_id {
                        None => span.quiet { "all partners" },
                        Some(id) => (partner_link::by_id(page.context.partners, id)),
                    }
                }
                td {
                    bdi { (format::truncate_to_chars(&row.text, TEXT_LENGTH)) }
                    @if !row.calm { span.quiet { " (only marked)" } }
                }
                td.quiet { bdi { (format::truncate_to_chars(&row.by, NAME_LENGTH)) } }
            } } }
        }
    }
}

/// Returns the days of an annotation with their year.
fn days(row: &AnnotationRow) -> String {
    let last = format::date_with_year(row.last_day);
    match row.first_day == row.last_day {
        true => last,
        false => format!("{} to {last}", format::date_with_year(row.first_day)),
    }
}
