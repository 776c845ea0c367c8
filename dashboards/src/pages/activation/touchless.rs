//! How many partners go live without a support ticket, by month of go-live.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::charts::last;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::metric_rows::SelfServiceRow;
use crate::months;

/// The number of months on the page.
const MONTHS: usize = 12;

pub(super) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section {
        subtitle: html! { "Partners that went live without opening a ticket before, by month of go-live" },
        ..Section::new("touchless", "Live without help", 12, "self_service")
    };
    let mut rows: Vec<&SelfServiceRow> =
        input.self_service.iter().filter(|row| row.live > 0).collect();
    if rows.is_empty() {
        let none = "Nobody has gone live yet. The first success in production starts this table.";
        return page.section(&section, &empty_state(none));
    }
    rows.sort_by_key(|row| (row.cohort_month.is_none(), row.cohort_month));
    // One more row than months: the last one is that of all.
    let earlier = rows.len().saturating_sub(MONTHS + 1);
    let shown = last(&rows, MONTHS + 1);
    let is_running =
        |month: Option<NaiveDate>| month.is_some_and(|m| months::next_month(m) > input.as_of);
    if shown.iter().any(|row| is_running(row.cohort_month)) {
        section.note = Some(
            html! { "The month in italics is not finished: more partners will go live in it." },
        );
    }
    let body = html! {
        table.touchless {
            thead { tr {
                (header_cell(Column::Text("Went live"))) (header_cell(Column::Number("Partners"))) (header_cell(Column::Number("Without a ticket")))
                td.grow {} (header_cell(Column::Number("Rate"))) (header_cell(Column::Number("Tickets before"))) th.num.wide-only scope="col" { "Median days to live" }
            } }
            tbody { @for row in shown { (month_row(row, is_running(row.cohort_month))) } }
        }
        (page.earlier_rows_note(earlier, "self_service"))
    };
    page.section(&section, &body)
}

fn month_row(row: &SelfServiceRow, is_running: bool) -> Markup {
    let class = if is_running { "series hatched" } else { "series" };
    html! {
        tr.running[is_running].total[row.cohort_month.is_none()] {
            td { b { (row.cohort_month.map_or_else(|| "All".to_owned(), format::month_year)) } }
            td.num { (format::thousands(row.live)) }
            td.num { (format::thousands(row.touchless)) }
            td.grow { (bar(row.touchless_rate.unwrap_or(0.0), class, true)) }
            td.num { b { (format::known_or_unknown(row.touchless_rate, format::percent)) } }
            td.num { (format::thousands(row.tickets_before_live)) }
            td.num.wide-only { (format::known_or_unknown(row.median_days_to_live, format::thousands)) }
        }
    }
}
