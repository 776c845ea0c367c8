//! The sections on where revenue comes from: by product, and by kind of charge.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::components::clipped_text;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::input::ReportInput;
use crate::revenue_rows::{RevenueByKindRow, RevenueByProductRow};

/// The number of products on the page.
const MOST: usize = 12;
const NONE: &str = "No whole month with charges yet.";

/// Returns the last complete month with revenue.
fn month(input: &ReportInput) -> Option<NaiveDate> {
    input.last_revenue().0.map(|row| row.month)
}

/// Returns the section on products.
pub(crate) fn products_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("by-product", "By product", 8, "revenue_by_product");
    let Some(month) = month(input) else { return page.section(&section, &empty_state(NONE)) };
    let mut rows: Vec<&RevenueByProductRow> =
        input.revenue_by_product.iter().filter(|row| row.month == month).collect();
    rows.sort_by(|a, b| b.gross.total_cmp(&a.gross));
    section.subtitle = html! { "Gross in " (format::long_month_year(month)) };
    if rows.len() > MOST {
        section.note = Some(html! { "The largest products are shown; the CSV has all." });
    }
    let most = rows.first().map_or(1.0, |row| row.gross).max(1e-9);
    let amount = |v: f64| format::money(v, &input.currency);
    let body = html! {
        table.top {
            thead { tr {
                (header_cell(Column::Text("Product"))) th.num.sorted scope="col" aria-sort="descending" { "Gross ▾" } td.grow {}
                (header_cell(Column::Number("Net"))) (header_cell(Column::Number("Paying partners")))
            } }
            tbody { @for row in rows.iter().take(MOST) { tr {
                td.name { @match &row.product {
                    Some(product) => b { (clipped_text::name(product, 40)) },
                    None => span.quiet { "no product given" },
                } }
                td.num { b { (amount(row.gross)) } }
                td.grow { (bar(row.gross / most, "series", false)) }
                td.num { (amount(row.net)) }
                td.num { (format::thousands(row.paying_partners)) }
            } } }
        }
    };
    page.section(&section, &body)
}

/// Returns the section on kinds of billing events.
pub(crate) fn kinds_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("by-kind", "By kind", 4, "revenue_by_kind");
    let Some(month) = month(input) else { return page.section(&section, &empty_state(NONE)) };
    let rows: Vec<&RevenueByKindRow> =
        input.revenue_by_kind.iter().filter(|row| row.month == month).collect();
    section.subtitle = html! { "Share of the gross in " (format::long_month_year(month)) "; credits and refunds are no part of it" };
    let body = html! {
        table {
            thead { tr {
                (header_cell(Column::Text("Kind"))) (header_cell(Column::Number("Amount"))) td.grow {} (header_cell(Column::Number("Share")))
            } }
            tbody { @for row in rows.iter().take(MOST) { tr {
                td.name { b { (format::capitalized(&format::truncate_to_chars(&row.kind, 32))) } }
                td.num { (format::money(row.amount, &input.currency)) }
                td.grow { (bar(row.share.unwrap_or(0.0), "series", true)) }
                td.num { @match row.share { Some(share) => (format::percent(share)), None => span.quiet { "–" } } }
            } } }
        }
    };
    page.section(&section, &body)
}
