//! The section on how partners come from registration to their first charge, by registration month.

use domain::format;
use maud::{Markup, html};

use crate::charts::last;
use crate::components::cohorts::SMALL_COHORT;
use crate::components::figure::{self, Figure};
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::revenue_rows::FreeToPaidRow;

/// The number of months on the page.
const MONTHS: usize = 12;

pub(crate) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section {
        subtitle: html! { "Partners with a first charge, by month of registration; the median waits from registration" },
        ..Section::new("free-to-paid", "Free to paid", 12, "free_to_paid")
    };
    let mut rows: Vec<&FreeToPaidRow> =
        input.free_to_paid.iter().filter(|row| row.partners > 0).collect();
    if rows.is_empty() {
        return page.section(&section, &empty_state("Nobody has registered yet."));
    }
    rows.sort_by_key(|row| (row.cohort_month.is_none(), row.cohort_month));
    // One more row than months: the last one is that of all.
    let earlier = rows.len().saturating_sub(MONTHS + 1);
    let shown = last(&rows, MONTHS + 1);
    let of = |n: i64, noun: &str, column: &str| {
        Figure::counted(n, noun, figure::of_cohort(column, "free_to_paid", None))
    };
    if let Some(all) = rows.last().filter(|row| row.cohort_month.is_none() && row.unpaid_live > 0) {
        section.note = Some(html! {
            (of(all.unpaid_live, "live partner", "unpaid_live")) " " (format::agree(all.unpaid_live, "has", "have"))
            " never been charged. Partners without a charge made " (of(all.unpaid_calls, "production call", "unpaid_calls"))
            " and opened " (of(all.unpaid_tickets, "ticket", "unpaid_tickets")) "."
        });
    }
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Free to paid" { table.touchless {
            thead { tr {
                (header_cell(Column::Text("Registered"))) (header_cell(Column::Number("Partners"))) (header_cell(Column::Number("Paid")))
                td.grow {} (header_cell(Column::Number("Rate"))) th.num.wide-only scope="col" { "Within 30 days" } th.num.wide-only scope="col" { "Within 90 days" }
                (header_cell(Column::Number("Median wait"))) th.num.wide-only scope="col" { "Live, not charged" }
            } }
            tbody { @for row in shown { (cohort_row(row)) } }
        } }
        (page.earlier_rows_note(earlier, "free_to_paid"))
    };
    page.section(&section, &body)
}

fn cohort_row(row: &FreeToPaidRow) -> Markup {
    let is_large = row.cohort_month.is_none() || row.partners >= SMALL_COHORT;
    let rate = |share: Option<f64>| match share.filter(|_| is_large) {
        Some(share) => html! { (format::percent(share)) },
        None => html! { span.quiet { "–" } },
    };
    html! {
        tr.total[row.cohort_month.is_none()] {
            td { b { (row.cohort_month.map_or_else(|| "All".to_owned(), format::month_year)) } }
            td.num { (format::thousands(row.partners)) }
            td.num { (format::thousands(row.paid)) }
            td.grow { @if is_large { (bar(row.paid_rate.unwrap_or(0.0), "series", true)) } }
            td.num { b { (rate(row.paid_rate)) } }
            td.num.wide-only { (rate(row.within_30d)) }
            td.num.wide-only { (rate(row.within_90d)) }
            td.num { @match row.median_seconds {
                Some(seconds) => (format::duration(seconds)),
                None => span.quiet { "not reached" },
            } }
            td.num.wide-only { (format::thousands(row.unpaid_live)) }
        }
    }
}
