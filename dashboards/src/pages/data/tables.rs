//! The metrics that are held back, and the tables of the lake with their sizes.

use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::components::{glyph, health_summary};
use crate::input::HeldBackMetric;
use crate::lake_rows::TableRow;
use crate::paths;

/// The name of the CSV with the rows of the tables.
pub(crate) const SOURCE: &str = "lake_tables";
/// The number of tables on the page.
const MOST_TABLES: usize = 60;
/// The number of metrics held back on the page.
const MOST_METRICS: usize = 20;
/// The length of the longest reason in characters.
const REASON_LENGTH: usize = 300;

pub(super) fn held_back_section(page: &Page) -> Markup {
    let held = &page.context.input.held_back;
    let mut section = Section {
        subtitle: html! { "Their newest rows failed a check or could not be computed, so they are not shown" },
        ..Section::new("held-back", "Metrics held back", 4, "")
    };
    if held.is_empty() {
        let none = "None: every metric was computed and passed its checks.";
        return page.section(&section, &empty_state(none));
    }
    if held.len() > MOST_METRICS {
        section.note = Some(
            html! { "The first ones are shown; the page " a href="metrics.html" { "Metrics" } " marks all." },
        );
    }
    let body = html! { ul.todo { @for (name, metric) in held.iter().take(MOST_METRICS) { (held_back_item(page, name, metric)) } } };
    page.section(&section, &body)
}

fn held_back_item(page: &Page, name: &str, metric: &HeldBackMetric) -> Markup {
    let shown = match metric.shown_as_of {
        Some(day) => format!("shown as of {}", format::date_with_year(day)),
        None => "nothing to show".to_owned(),
    };
    html! {
        li {
            (glyph::glyph(Tier::Watch))
            div {
                p.who {
                    @if page.context.input.queries.contains_key(name) { a href=(paths::sql(name)) { (name) } } @else { b { (name) } }
                    span { (shown) }
                }
                p { (health_summary::sentence(&format::truncate_to_chars(&metric.reason, REASON_LENGTH))) }
            }
        }
    }
}

pub(super) fn tables_section(page: &Page) -> Markup {
    let mut section = Section {
        subtitle: html! { "What the lake holds on its disk or in its bucket" },
        ..Section::new("tables", "Tables", 12, SOURCE)
    };
    let mut rows: Vec<&TableRow> = page.context.input.lake.tables.iter().collect();
    if rows.is_empty() {
        let none = "The lake has no tables yet; the first events make them. Load some with rapport ingest load.";
        return page.section(&section, &empty_state(none));
    }
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.table.cmp(&b.table)));
    section.note = Some(html! {
        @if rows.len() > MOST_TABLES { "The largest are shown; the CSV has all. " }
        "Small files are merged by " code { "rapport lake compact" } "; copies are duplicates that it dropped, retired are records of sealed days."
    });
    let most = rows[0].bytes.max(1);
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Tables" { table.lake {
            thead { tr {
                (header_cell(Column::Text("Table"))) (header_cell(Column::Number("Rows"))) th.num.sorted scope="col" aria-sort="descending" { "Size ▾" } td.grow.wide-only {}
                (header_cell(Column::Number("Files"))) (header_cell(Column::Number("Small files"))) (header_cell(Column::Number("Copies dropped")))
                (header_cell(Column::Number("Erased"))) (header_cell(Column::Number("Retired"))) (header_cell(Column::Number("Version")))
            } }
            tbody { @for row in rows.iter().take(MOST_TABLES) { (table_row(row, most)) } }
        } }
    };
    page.section(&section, &body)
}

fn table_row(row: &TableRow, most: i64) -> Markup {
    let count = |n: i64| if n == 0 { "–".to_owned() } else { format::thousands(n) };
    html! {
        tr {
            td.name { b { (format::truncate_to_chars(&row.table, 48)) } }
            td.num { (format::thousands(row.rows)) }
            td.num { (size(row.bytes)) }
            td.grow.wide-only { (bar(row.bytes as f64 / most as f64, "retained-line", false)) }
            td.num { (format::thousands(row.files)) }
            td.num { (count(row.small_files)) }
            td.num { (count(row.copies_dropped)) }
            td.num { (count(row.erased)) }
            td.num { (count(row.retired)) }
            td.num { (format::thousands(row.version)) }
        }
    }
}

/// Writes a number of bytes: `4.2 MB`.
fn size(bytes: i64) -> String {
    let bytes = bytes.max(0) as f64;
    let (value, unit) = match bytes {
        b if b < 1e6 => (b / 1e3, "kB"),
        b if b < 1e9 => (b / 1e6, "MB"),
        b => (b / 1e9, "GB"),
    };
    let places = usize::from(value < 100.0);
    format!("{}{}{unit}", format::decimal(value, places), format::NARROW_NO_BREAK_SPACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_fitting_unit() {
        #[track_caller]
        fn check(bytes: i64, expected: &str) {
            assert_eq!(size(bytes).replace(format::NARROW_NO_BREAK_SPACE, " "), expected);
        }
        check(0, "0.0 kB");
        check(41_300, "41.3 kB");
        check(4_200_000, "4.2 MB");
        check(912_000_000, "912 MB");
        check(1_250_000_000_000, "1,250 GB");
    }
}
