//! What plans promised (the service level agreement, SLA), and which partners did not get it.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use super::milliseconds;
use super::products::{month_text, shown_month};
use crate::charts::bars::{Bar, BarChart, BarLayer, bar_chart};
use crate::charts::{ChartFrame, NARROW, NARROW_PERIODS, last};
use crate::components::figure::{self, Figure};
use crate::components::shell::{Page, Section, empty_state, wide_and_narrow};
use crate::components::table::{Column, Row, header_cell, history_table};
use crate::components::{kept_grain, partner_link};
use crate::grain::Grain;
use crate::input::ReportInput;
use crate::months;
use crate::service_rows::SlaBreachRow;
use crate::theme::{BAD, NEGATIVE};

/// The number of partners on the page.
const MOST: usize = 10;
const NO_TARGET: &str = "No plan has a target. List what each plan promises in the CSV of [metrics] sla, then run rapport report again.";

/// How many partners got what their plan promised in a month.
pub(super) struct PromiseMonth {
    pub(super) month: NaiveDate,
    pub(super) partners: i64,
    pub(super) breached: i64,
    pub(super) complete: bool,
}

impl PromiseMonth {
    pub(super) fn kept_share(&self) -> f64 {
        1.0 - self.breached as f64 / self.partners.max(1) as f64
    }
}

/// Returns the months in order of time.
pub(super) fn by_month(input: &ReportInput) -> Vec<PromiseMonth> {
    let mut months: std::collections::BTreeMap<NaiveDate, (i64, i64)> =
        std::collections::BTreeMap::new();
    for row in &input.sla_breaches {
        let counts = months.entry(row.month).or_default();
        counts.0 += 1;
        counts.1 += i64::from(row.breached);
    }
    let month = |(month, (partners, breached))| PromiseMonth {
        month,
        partners,
        breached,
        complete: months::next_month(month) <= input.as_of,
    };
    months.into_iter().map(month).collect()
}

/// Returns a sentence on the partners that did not get what their plan promised.
pub(super) fn lead_sentence(input: &ReportInput, month: NaiveDate) -> Option<Markup> {
    let of = by_month(input).into_iter().find(|of| of.month == month)?;
    let query = |what: &str| figure::of_month(what, "sla_breaches", month);
    Some(html! {
        @if of.breached == 0 {
            "Every promise of a plan was kept."
        } @else {
            b { (Figure::counted(of.breached, "partner", query("count(*) FILTER (WHERE breached)"))) }
            " of " (Figure::count(of.partners, query("count(*)"))) " did not get what their plan promises."
        }
    })
}

pub(super) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("promises", "Promises missed", 8, "sla_breaches");
    let rows = &input.sla_breaches;
    let Some(month) = shown_month(rows.iter().map(|row| row.month), input.as_of) else {
        return page.section(&section, &empty_state(NO_TARGET));
    };
    section.subtitle = html! { "Partners whose availability or p99 latency missed their plan’s target (SLA) in " (month_text(month, input.as_of)) };
    let mut missed: Vec<&SlaBreachRow> =
        rows.iter().filter(|row| row.month == month && row.breached).collect();
    if missed.is_empty() {
        let none = "None: every partner got what its plan promises.";
        return page.section(&section, &empty_state(none));
    }
    missed.sort_by(|a, b| gap(a).total_cmp(&gap(b)).then_with(|| a.partner_id.cmp(&b.partner_id)));
    if missed.len() > MOST {
        section.note = Some(html! { "The furthest from their target are shown; the CSV has all." });
    }
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Promises" { table.top {
            thead { tr {
                (header_cell(Column::Text("Partner"))) (header_cell(Column::Number("Availability"))) (header_cell(Column::Number("Promised")))
                (header_cell(Column::Number("p99"))) (header_cell(Column::Number("Promised")))
            } }
            tbody { @for row in missed.iter().take(MOST) { (missed_row(page, row)) } }
        } }
    };
    page.section(&section, &body)
}

/// Returns how far the availability is from its target; below 0 it misses it.
fn gap(row: &SlaBreachRow) -> f64 {
    row.target.map_or(0.0, |target| row.availability - target)
}

fn missed_row(page: &Page, row: &SlaBreachRow) -> Markup {
    let misses_availability = gap(row) < 0.0;
    let misses_latency =
        row.p99_ms.zip(row.latency_target_ms).is_some_and(|(p99, target)| p99 > target);
    let figure = |text: String, missed: bool| {
        html! { @if missed { b.bad { (text) } " missed" } @else { (text) } }
    };
    html! {
        tr {
            td.name { (partner_link::by_id(page.context.partners, &row.partner_id)) }
            td.num { (figure(format::percent_with_places(row.availability, 2), misses_availability)) }
            td.num { (target(row.target.map(|r| format::percent_with_places(r, 2)))) }
            td.num { (figure(milliseconds(row.p99_ms), misses_latency)) }
            td.num { (target(row.latency_target_ms.map(|ms| milliseconds(Some(ms))))) }
        }
    }
}

fn target(text: Option<String>) -> Markup {
    html! { @match text { Some(text) => (text), None => span.quiet { "nothing" } } }
}

pub(super) fn by_month_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section {
        subtitle: html! { "Partners that did not get what their plan promises" (kept_grain::sentence(page, Grain::Month, "a target (SLA) is one of a month")) },
        ..Section::new("missed-by-month", "Missed by month", 4, "sla_breaches")
    };
    let months = by_month(input);
    if months.is_empty() {
        return page.section(&section, &empty_state(NO_TARGET));
    }
    let columns =
        [Column::Text("Month"), Column::Number("With a promise"), Column::Number("Missed")];
    let line = |of: &PromiseMonth| {
        let counts = [of.partners, of.breached].map(format::thousands);
        let cells = std::iter::once(format::month_year(of.month)).chain(counts).collect();
        Row::period(cells, of.complete)
    };
    section.table = Some(history_table(&columns, &months.iter().map(line).collect::<Vec<_>>()));
    let wide = draw(page, last(&months, 8), (365.0, 240.0));
    let narrow = draw(page, last(&months, NARROW_PERIODS), (NARROW, 220.0));
    page.section(&section, &wide_and_narrow(wide, narrow))
}

fn draw(page: &Page, months: &[PromiseMonth], size: (f64, f64)) -> String {
    let input = page.context.input;
    let bar = |(i, of): (usize, &PromiseMonth)| Bar {
        days: months::days(of.month),
        label: format::month(of.month),
        note: months::axis_note(i.checked_sub(1).map(|i| months[i].month), of.month, input.as_of),
        layer_values: vec![of.breached as f64],
        below: 0.0,
        value: format::thousands(of.breached),
        complete: of.complete,
    };
    let bars: Vec<Bar> = months.iter().enumerate().map(bar).collect();
    let desc = months.last().map_or_else(String::new, |of| {
        let partners = format::counted(of.partners, "partner");
        format!("{}: {} of {partners}", format::long_month_year(of.month), of.breached)
    });
    let layers = [BarLayer { label: "", fill: NEGATIVE, text: BAD, line: None }];
    let whole = |v: f64| format::thousands(v as i64);
    let frame = ChartFrame {
        size,
        title: "Partners with a missed promise by month",
        desc: &desc,
        marks: &page.marks,
    };
    let chart = BarChart {
        target: None,
        bars: &bars,
        layers: &layers,
        below: None,
        axis: &whole,
        below_label: &whole,
        left: 0.0,
    };
    bar_chart(&frame, chart)
}
