//! The endpoints with the most calls, with what failed by our doing and by the partners'.

use domain::format;
use maud::{Markup, html};

use super::products::{month_text, shown_month};
use super::{milliseconds, small_rate};
use crate::components::clipped_text;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::service_rows::EndpointUsageRow;

/// The number of endpoints on the page.
const MOST: usize = 25;
/// The length of the longest endpoint in characters.
const ENDPOINT_LENGTH: usize = 56;

pub(super) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("endpoints", "Endpoints", 12, "endpoint_usage");
    let rows = &input.endpoint_usage;
    let Some(month) = shown_month(rows.iter().map(|row| row.month), input.as_of) else {
        let none = "No production calls yet. The field endpoint of API calls fills this table.";
        return page.section(&section, &empty_state(none));
    };
    section.subtitle = html! { "Production calls in " (month_text(month, input.as_of)) "; ours are server errors and throttled calls, theirs the other errors" };
    let mut shown: Vec<&EndpointUsageRow> = rows.iter().filter(|row| row.month == month).collect();
    shown.sort_by_key(|row| std::cmp::Reverse(row.calls));
    if shown.len() > MOST {
        section.note =
            Some(html! { "The endpoints with the most calls are shown; the CSV has all." });
    }
    let most = shown.first().map_or(1, |row| row.calls).max(1);
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Endpoints" { table.endpoints {
            thead { tr {
                (header_cell(Column::Text("Endpoint"))) th.wide-only scope="col" { "Product" } (header_cell(Column::Number("Partners")))
                th.num.sorted scope="col" aria-sort="descending" { "Calls ▾" } td.share.wide-only {}
                (header_cell(Column::Number("Success"))) (header_cell(Column::Number("Ours: 5xx"))) (header_cell(Column::Number("Ours: 429"))) (header_cell(Column::Number("Theirs: 4xx")))
                (header_cell(Column::Number("Mean latency")))
            } }
            tbody { @for row in shown.iter().take(MOST) { (endpoint_row(row, most)) } }
        } }
    };
    page.section(&section, &body)
}

fn endpoint_row(row: &EndpointUsageRow, most: i64) -> Markup {
    let ours = row.server_error_rate + row.throttled_rate;
    let theirs = (1.0 - row.success_rate - ours).max(0.0);
    html! {
        tr {
            td.name { (endpoint(row)) }
            td.wide-only { @match &row.product {
                Some(product) => (clipped_text::name(product, 32)),
                None => span.quiet { "none sent" },
            } }
            td.num { (format::thousands(row.partners)) }
            td.num { b { (format::thousands(row.calls)) } }
            td.share.wide-only { (bar(row.calls as f64 / most as f64, "series", false)) }
            td.num { (format::percent_with_places(row.success_rate, 1)) }
            td.num { (small_rate(row.server_error_rate)) }
            td.num { (small_rate(row.throttled_rate)) }
            td.num { (small_rate(theirs)) }
            td.num { (milliseconds(row.mean_latency_ms)) }
        }
    }
}

fn endpoint(row: &EndpointUsageRow) -> Markup {
    html! {
        @if let Some(method) = &row.method { span.quiet { (format::truncate_to_chars(method, 12).to_uppercase()) } " " }
        @match &row.endpoint {
            Some(endpoint) => b { (clipped_text::name(endpoint, ENDPOINT_LENGTH)) },
            None => span.quiet { "no endpoint sent" },
        }
    }
}
