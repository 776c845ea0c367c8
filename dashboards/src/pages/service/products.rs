//! The products by calls, and the versions of the API with their sunsets.

use chrono::NaiveDate;
use domain::{Tier, format};
use maud::{Markup, html};

use super::{milliseconds, named};
use crate::components::glyph;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::input::ReportInput;
use crate::months;
use crate::service_rows::{ProductUsageRow, VersionAdoptionRow};

/// The number of products and of versions on the page.
const MOST: usize = 12;

/// Returns the last complete month among those given, or the running one if there is no other.
pub(super) fn shown_month(
    months: impl Iterator<Item = NaiveDate> + Clone,
    as_of: NaiveDate,
) -> Option<NaiveDate> {
    let complete = months.clone().filter(|month| months::next_month(*month) <= as_of).max();
    complete.or_else(|| months.max())
}

/// Returns a month as it stands in a subtitle, with how much of it has passed.
pub(super) fn month_text(month: NaiveDate, as_of: NaiveDate) -> Markup {
    html! {
        (format::long_month_year(month))
        @if months::next_month(month) > as_of { ", not finished" }
    }
}

pub(super) fn products_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("products", "Products", 8, "product_usage");
    let rows = &input.product_usage;
    let Some(month) = shown_month(rows.iter().map(|row| row.month), input.as_of) else {
        let none = "No production calls yet. The field product of API calls fills this table.";
        return page.section(&section, &empty_state(none));
    };
    section.subtitle = html! { "Production calls in " (month_text(month, input.as_of)) "; p95 is the latency that nineteen in twenty calls stay under" };
    let mut shown: Vec<&ProductUsageRow> = rows.iter().filter(|row| row.month == month).collect();
    shown.sort_by_key(|row| std::cmp::Reverse(row.calls));
    if shown.len() > MOST {
        section.note =
            Some(html! { "The products with the most calls are shown; the CSV has all." });
    }
    let most = shown.first().map_or(1, |row| row.calls).max(1);
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Products" { table {
            thead { tr {
                (header_cell(Column::Text("Product"))) (header_cell(Column::Number("Partners"))) th.num.sorted scope="col" aria-sort="descending" { "Calls ▾" } td.grow.wide-only {}
                th.num.wide-only scope="col" { "On month before" } (header_cell(Column::Number("Success"))) (header_cell(Column::Number("p95")))
            } }
            tbody { @for row in shown.iter().take(MOST) { tr {
                td.name { (named(row.product.as_deref(), "no product sent")) }
                td.num { (format::thousands(row.partners)) }
                td.num { b { (format::thousands(row.calls)) } }
                td.grow.wide-only { (bar(row.calls as f64 / most as f64, "series", false)) }
                td.num.wide-only { (change(input, row)) }
                td.num { (format::percent_with_places(row.success_rate, 1)) }
                td.num { (milliseconds(row.p95_ms)) }
            } } }
        } }
    };
    page.section(&section, &body)
}

/// Returns the change of a product's calls on the month before.
fn change(input: &ReportInput, row: &ProductUsageRow) -> String {
    let before = input.product_usage.iter().find(|before| {
        before.product == row.product && months::next_month(before.month) == row.month
    });
    match before.filter(|before| before.calls > 0) {
        Some(before) => format::signed_percent(row.calls as f64 / before.calls as f64 - 1.0),
        None => "new".to_owned(),
    }
}

pub(super) fn versions_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("versions", "Versions and sunsets", 4, "version_adoption");
    let rows = &input.version_adoption;
    let Some(month) = shown_month(rows.iter().map(|row| row.month), input.as_of) else {
        let none =
            "No call carries a version yet. The field api_version of API calls fills this table.";
        return page.section(&section, &empty_state(none));
    };
    section.subtitle =
        html! { "Share of the production calls in " (month_text(month, input.as_of)) };
    let mut shown: Vec<&VersionAdoptionRow> =
        rows.iter().filter(|row| row.month == month).collect();
    shown.sort_by_key(|row| std::cmp::Reverse(row.calls));
    section.note = Some(html! {
        @if shown.len() > MOST { "The versions with the most calls are shown; the CSV has all. " }
        @if shown.iter().all(|row| row.sunset_on.is_none()) {
            "No version has a sunset: list them in the CSV of " code { "[metrics] sunsets" } "."
        } @else { "Who still calls a version that ends is in the score of each partner, as deprecated versions." }
    });
    let body = html! {
        table.versions {
            thead { tr {
                (header_cell(Column::Text("Version"))) td.grow.wide-only {} (header_cell(Column::Number("Share"))) (header_cell(Column::Number("Partners")))
                (header_cell(Column::Text("Sunset")))
            } }
            tbody { @for row in shown.iter().take(MOST) { tr {
                td.name { (named(row.api_version.as_deref(), "none sent")) }
                td.grow.wide-only { (bar(row.share, "series", true)) }
                td.num { b { (format::percent_with_places(row.share, 1)) } }
                td.num { (format::thousands(row.partners)) }
                td { (sunset(row)) }
            } } }
        }
    };
    page.section(&section, &body)
}

fn sunset(row: &VersionAdoptionRow) -> Markup {
    let (Some(on), Some(days)) = (row.sunset_on, row.days_to_sunset) else {
        return html! { span.quiet { "none set" } };
    };
    let (tier, words) = match days {
        ..0 => (Tier::AtRisk, "past, still in use".to_owned()),
        _ => (Tier::Watch, format!("in {}", format::counted(days, "day"))),
    };
    html! { (format::date_with_year(on)) br; (glyph::with_text(tier, &words)) }
}
