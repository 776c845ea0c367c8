//! The Service page: how well the API serves partners, by product and endpoint; what we did to
//! partners apart from what they did themselves.
//!
//! - `tiles`: the figures of the last complete month
//! - `products`: products, and versions with their sunsets
//! - `endpoints`: the endpoints with the most calls
//! - `promises`: what plans promised and partners did not get
//! - `partners`: partners near their quota, and those whose errors rose

mod endpoints;
mod partners;
mod products;
mod promises;
mod tiles;

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::components::figure::{self, Figure};
use crate::components::lead_paragraph;
use crate::components::shell::{Page, grid};
use crate::components::traffic;
use crate::input::ReportInput;
use crate::months;
use crate::service_rows::EndpointUsageRow;
use crate::site::PageContext;

pub(crate) fn page(context: &PageContext) -> String {
    let input = context.input;
    let page = Page::new(context, lead(input));
    let sections = html! {
        (tiles::all(input, context.comparison()))
        (grid(&[traffic::programme_section(&page)]))
        (grid(&[products::products_section(&page), products::versions_section(&page)]))
        (grid(&[endpoints::section(&page)]))
        (grid(&[promises::section(&page), promises::by_month_section(&page)]))
        (grid(&[partners::throttled_section(&page), partners::alarms_section(&page)]))
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    let Some(now) = MonthTotal::last(input) else {
        return html! {
            @if input.endpoint_usage.is_empty() { "No production calls yet. API calls fill this page: load them with " code { "rapport ingest load --stream api-calls" } "." }
            @else { "The first month with production calls is not complete yet, so there is nothing to judge." }
        };
    };
    let served = html! {
        (format::long_month(now.month)) " served " (Figure::counted(now.calls, "call", now.query("sum(calls)"))) "; "
        b { (Figure::new(format::percent_with_places(now.ours(), 2), now.ours(), now.query(OURS))) " failed by our doing" }
        " and " (Figure::new(format::percent_with_places(now.theirs(), 2), now.theirs(), now.query(THEIRS))) " by theirs."
    };
    let missed = promises::lead_sentence(input, now.month);
    lead_paragraph::lead(std::iter::once(served).chain(missed))
}

/// The share of calls that failed by our doing, and by the partners', in SQL.
const OURS: &str = "sum((server_error_rate + throttled_rate) * calls) / sum(calls)";
const THEIRS: &str =
    "1 - sum((success_rate + server_error_rate + throttled_rate) * calls) / sum(calls)";

/// The production calls of all endpoints in a month. Rates are of all calls.
#[derive(Debug, Clone, Copy)]
struct MonthTotal {
    month: NaiveDate,
    calls: i64,
    success_rate: f64,
    server_error_rate: f64,
    throttled_rate: f64,
}

impl MonthTotal {
    /// Returns the totals of the complete months, in order of time.
    fn complete(input: &ReportInput) -> Vec<Self> {
        let mut months: Vec<NaiveDate> = input.endpoint_usage.iter().map(|row| row.month).collect();
        months.sort_unstable();
        months.dedup();
        months.retain(|month| months::next_month(*month) <= input.as_of);
        months.into_iter().map(|month| Self::of(input, month)).collect()
    }

    fn last(input: &ReportInput) -> Option<Self> {
        Self::complete(input).last().copied()
    }

    fn of(input: &ReportInput, month: NaiveDate) -> Self {
        let rows: Vec<&EndpointUsageRow> =
            input.endpoint_usage.iter().filter(|row| row.month == month).collect();
        let calls: i64 = rows.iter().map(|row| row.calls).sum();
        let rate = |of: fn(&EndpointUsageRow) -> f64| {
            rows.iter().map(|row| of(row) * row.calls as f64).sum::<f64>() / calls.max(1) as f64
        };
        Self {
            month,
            calls,
            success_rate: rate(|row| row.success_rate),
            server_error_rate: rate(|row| row.server_error_rate),
            throttled_rate: rate(|row| row.throttled_rate),
        }
    }

    /// Returns the share of calls that the service failed or that a quota stopped.
    fn ours(&self) -> f64 {
        self.server_error_rate + self.throttled_rate
    }

    /// Returns the share of calls with an error of the partner.
    fn theirs(&self) -> f64 {
        (1.0 - self.success_rate - self.ours()).max(0.0)
    }

    fn query(&self, what: &str) -> String {
        figure::of_month(what, "endpoint_usage", self.month)
    }
}

/// Returns a name from events, or what its absence means.
fn named(name: Option<&str>, absent: &'static str) -> Markup {
    html! {
        @match name {
            Some(name) => b { (crate::components::clipped_text::name(name, 48)) },
            None => span.quiet { (absent) },
        }
    }
}

/// Writes a rate that is small where all is well: `0.04 %`.
fn small_rate(rate: f64) -> String {
    format::short_percent(rate)
}

/// Writes a latency: `212 ms`.
fn milliseconds(ms: Option<f64>) -> String {
    format::known_or_unknown(ms, |ms| {
        format!("{}{}ms", format::decimal(ms, 0), format::NARROW_NO_BREAK_SPACE)
    })
}
