//! The sections on why revenue changed: the bridge from month to month, and revenue retention.

use domain::format;
use maud::{Markup, html};

use crate::charts::lines::{LineChart, Period, Series, line_chart};
use crate::charts::{ChartFrame, NARROW, NARROW_PERIODS, last};
use crate::components::kept_grain;
use crate::components::shell::{Page, Section, empty_state, wide_and_narrow};
use crate::components::table::{Column, Row, history_table};
use crate::grain::Grain;
use crate::input::ReportInput;
use crate::months;
use crate::revenue_rows::RevenueBridgeRow;
use crate::theme::{SERIES, SERIES_2, SERIES_2_LABEL, SERIES_LABEL};

const NONE: &str = "Nobody has been charged yet. Load billing events with rapport ingest load --stream billing-events.";

/// Returns the section with the bridge as a table, the newest month last.
pub(crate) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let section = Section {
        note: unbilled_note(input),
        subtitle: html! { "Gross of the month before, what partners added and took, and gross of the month; months in italics are not finished" (kept_grain::sentence(page, Grain::Month, "it compares whole months")) },
        ..Section::new("bridge", "Why revenue changed", 8, "revenue_bridge")
    };
    if input.revenue_bridge.is_empty() {
        return page.section(&Section { note: None, ..section }, &empty_state(NONE));
    }
    let columns = [
        Column::Text("Month"),
        Column::Number("Before"),
        Column::Number("New"),
        Column::Number("Back"),
        Column::Number("More"),
        Column::Number("Less"),
        Column::Number("Left"),
        Column::Number("Gross"),
        Column::Number("NRR"),
        Column::Number("GRR"),
    ];
    let lines: Vec<Row> = input.revenue_bridge.iter().map(|row| line(input, row)).collect();
    let shown = last(&lines, 12);
    let table = history_table(&columns, shown);
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Revenue bridge" { (table.table) }
        (page.earlier_rows_note(lines.len() - shown.len(), "revenue_bridge"))
    };
    page.section(&section, &body)
}

/// Says why a month that is over is not finished.
fn unbilled_note(input: &ReportInput) -> Option<Markup> {
    input.unbilled_month().map(|month| html! {
        "Nobody has been charged in " (format::long_month_year(month)) " yet: its bills have probably not arrived, so it is not finished."
    })
}

fn line(input: &ReportInput, row: &RevenueBridgeRow) -> Row {
    let amount = |v: f64| format::money(v, &input.currency);
    // A loss is written with a minus, nothing as 0.
    let loss = |v: f64| amount(if v > 0.0 { -v } else { 0.0 });
    // Half a month beside a whole one is no rate.
    let rate = |r: Option<f64>| match r {
        _ if !row.complete => "not yet".to_owned(),
        r => format::known_or_unknown(r, format::percent),
    };
    let cells = vec![
        format::month_year(row.month),
        amount(row.start),
        amount(row.new),
        amount(row.reactivation),
        amount(row.expansion),
        loss(row.contraction),
        loss(row.churn),
        amount(row.end),
        rate(row.nrr),
        rate(row.grr),
    ];
    Row::period(cells, row.complete)
}

/// Returns the section with the chart of net and gross revenue retention.
pub(crate) fn retention_section(page: &Page) -> Markup {
    let input = page.context.input;
    let running = input.revenue_bridge.last().filter(|row| !row.complete);
    let running = running.map(|row| html! {
        (format::long_month(row.month)) " is shown from " (format::date(months::next_month(row.month))) " on."
    });
    let section = Section {
        note: unbilled_note(input).or(running),
        subtitle: html! { "What last month’s payers pay this month, with what they pay more (net, NRR) and without it (gross, GRR)" (kept_grain::sentence(page, Grain::Month, "it compares whole months")) },
        ..Section::new("revenue-retention", "Revenue retention", 4, "revenue_bridge")
    };
    let complete: Vec<&RevenueBridgeRow> =
        input.revenue_bridge.iter().filter(|row| row.complete).collect();
    if complete.iter().all(|row| row.nrr.is_none()) {
        let none = "Revenue retention needs two whole months with charges.";
        return page.section(&section, &empty_state(none));
    }
    let draw = |periods: usize, size: (f64, f64)| {
        let from = complete.iter().position(|row| row.nrr.is_some()).unwrap_or(0);
        let rows = last(&complete[from..], periods);
        let period = |(i, row): (usize, &&RevenueBridgeRow)| Period {
            days: months::days(row.month),
            label: format::month(row.month),
            note: months::axis_note(
                i.checked_sub(1).map(|i| rows[i].month),
                row.month,
                input.as_of,
            ),
            complete: row.complete,
        };
        let periods: Vec<Period> = rows.iter().enumerate().map(period).collect();
        let net = rows.iter().map(|row| row.nrr).collect();
        let gross = rows.iter().map(|row| row.grr).collect();
        let series = [
            Series { label: "Net", values: net, role: SERIES, text: SERIES_LABEL },
            Series { label: "Gross", values: gross, role: SERIES_2, text: SERIES_2_LABEL },
        ];
        let frame = ChartFrame {
            size,
            title: "Net and gross revenue retention",
            desc: "",
            marks: &page.marks,
        };
        let chart = LineChart {
            target: input.targets.nrr,
            periods: &periods,
            series: &series,
            axis: &format::percent,
            value: &format::percent,
            log: false,
            note_at_one: None,
        };
        line_chart(&frame, chart)
    };
    page.section(
        &section,
        &wide_and_narrow(draw(8, (365.0, 300.0)), draw(NARROW_PERIODS, (NARROW, 240.0))),
    )
}
