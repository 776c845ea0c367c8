//! The section on growth accounting by month: new, resurrected, retained and churned partners.

use domain::format;
use maud::{Markup, html};

use crate::charts::bars::{Bar, BarChart, BarLayer, CHURNED_LAYER, bar_chart, table_columns};
use crate::charts::{ChartFrame, NARROW, NARROW_PERIODS, WIDE_PERIODS, last};
use crate::components::shell::{Page, Section, empty_state, wide_and_narrow};
use crate::components::table::{Column, HistoryTable, Row, history_table};
use crate::components::{annotation_marks, kept_grain};
use crate::grain::Grain;
use crate::input::ReportInput;
use crate::metric_rows::GrowthRow;
use crate::months;
use crate::theme::{
    INK_2, RETAINED, RETAINED_LINE, SERIES, SERIES_2, SERIES_2_LABEL, SERIES_LABEL,
};

/// The layers of a bar above zero.
const LAYERS: [BarLayer; 3] = [
    BarLayer { label: "Retained", fill: RETAINED, text: INK_2, line: Some(RETAINED_LINE) },
    BarLayer { label: "Resurrected", fill: SERIES_2, text: SERIES_2_LABEL, line: None },
    BarLayer { label: "New", fill: SERIES, text: SERIES_LABEL, line: None },
];

/// Returns the section. `span` is its width in columns, `size` that of the chart in px.
pub(crate) fn section(page: &Page, span: u8, size: (f64, f64)) -> Markup {
    let input = page.context.input;
    let mut section = Section {
        subtitle: html! { "Above zero: new, resurrected, retained. Below zero: churned, active the month before and not in this one" (kept_grain::sentence(page, Grain::Month, "who is new or lost is told of whole months")) },
        ..Section::new("active", "Active partners by month", span, "growth")
    };
    if span < 8 {
        section.subtitle = html! { "A partner is active with one successful production call in the month" (kept_grain::sentence(page, Grain::Month, kept_grain::DISTINCT)) };
    }
    if input.growth.is_empty() {
        let advice =
            "Nobody has made a successful production call yet; the first one starts this chart.";
        return page.section(&section, &empty_state(advice));
    }
    section.table = Some(month_table(&input.growth));
    section.note = note(input);
    // In the wide section the numbers stand under their bars.
    let has_table = span == 8;
    let (wide, columns) = draw_bars(page, WIDE_PERIODS, size, if has_table { 88.0 } else { 0.0 });
    let (narrow, _) = draw_bars(page, NARROW_PERIODS, (NARROW, 300.0), 0.0);
    let body = html! {
        (wide_and_narrow(wide, narrow))
        (annotation_marks::explanation(page))
        @if has_table { (table_under_bars(last(&input.growth, WIDE_PERIODS), columns)) }
    };
    page.section(&section, &body)
}

/// The heading of a row, and the function that writes its number for a month.
type TableLine = (&'static str, fn(&GrowthRow) -> String);

/// Returns a table with a column per month, each under its bar.
fn table_under_bars(rows: &[GrowthRow], (head, band): (f64, f64)) -> Markup {
    let lines: [TableLine; 6] = [
        ("Active", |r| format::thousands(r.active)),
        ("New", |r| format::thousands(r.new)),
        ("Resurrected", |r| format::thousands(r.resurrected)),
        ("Retained", |r| format::thousands(r.retained)),
        ("Churned", |r| format::thousands(r.churned)),
        ("Churn rate", |r| {
            format::known_or_unknown(r.churn_rate, |r| format::percent_with_places(r, 1))
        }),
    ];
    // An empty drawing in each cell of the first row keeps the column as wide as its bar.
    let spacer = |i: usize, width: f64| html! { @if i == 0 { svg aria-hidden="true" width=(format!("{width:.1}")) {} } };
    html! {
        div.wide {
            table.aligned {
                tbody { @for (i, (heading, of)) in lines.iter().enumerate() { tr {
                    td { (spacer(i, head)) (heading) }
                    @for row in rows { td.running[!row.complete] { (spacer(i, band)) @if i == 0 && row.complete { b { (of(row)) } } @else { (of(row)) } } }
                } } }
            }
        }
    }
}

fn note(input: &ReportInput) -> Option<Markup> {
    let hidden = input.growth.len().saturating_sub(WIDE_PERIODS);
    let incomplete = input.growth.last().filter(|row| !row.complete);
    (hidden > 0 || incomplete.is_some()).then(|| html! {
        @if hidden > 0 { (format::counted(hidden, "month")) " before " (format::agree(hidden, "is", "are")) " in the table only. " }
        @if let Some(row) = incomplete {
            (format::long_month(row.month)) " is not finished and left out of every comparison: its churned partners may still call."
        }
    })
}

/// Draws the chart. Returns with it the columns of a table under it.
fn draw_bars(page: &Page, periods: usize, size: (f64, f64), left: f64) -> (String, (f64, f64)) {
    let input = page.context.input;
    let rows = last(&input.growth, periods);
    let bar = |(i, row): (usize, &GrowthRow)| Bar {
        days: months::days(row.month),
        label: format::month(row.month),
        note: months::axis_note(i.checked_sub(1).map(|i| rows[i].month), row.month, input.as_of),
        layer_values: vec![row.retained as f64, row.resurrected as f64, row.new as f64],
        below: row.churned as f64,
        value: format::thousands(row.active),
        complete: row.complete,
    };
    let drawn: Vec<Bar> = rows.iter().enumerate().map(bar).collect();
    let desc = rows.last().map_or_else(String::new, |row| {
        format!(
            "{}: {} active, of these {} new, {} resurrected, {} retained; {} churned",
            format::long_month_year(row.month),
            row.active,
            row.new,
            row.resurrected,
            row.retained,
            row.churned
        )
    });
    let frame =
        ChartFrame { size, title: "Active partners by month", desc: &desc, marks: &page.marks };
    let whole = |v: f64| format::thousands(v as i64);
    let below = |v: f64| format::thousands(-(v as i64));
    let chart = BarChart {
        target: input.targets.active_partners,
        bars: &drawn,
        layers: &LAYERS,
        below: Some(CHURNED_LAYER),
        axis: &whole,
        below_label: &below,
        left,
    };
    (bar_chart(&frame, chart), table_columns(size.0, &chart))
}

fn month_table(rows: &[GrowthRow]) -> HistoryTable {
    let columns = [
        Column::Text("Month"),
        Column::Number("Active"),
        Column::Number("New"),
        Column::Number("Resurrected"),
        Column::Number("Retained"),
        Column::Number("Churned"),
        Column::Number("Growth"),
        Column::Number("Churn rate"),
        Column::Number("Quick ratio"),
    ];
    let line = |row: &GrowthRow| {
        let cells = vec![
            format::month_year(row.month),
            format::thousands(row.active),
            format::thousands(row.new),
            format::thousands(row.resurrected),
            format::thousands(row.retained),
            format::thousands(row.churned),
            format::known_or_unknown(row.growth_rate, |r| format::percent_with_places(r, 1)),
            format::known_or_unknown(row.churn_rate, |r| format::percent_with_places(r, 1)),
            format::known_or_unknown(row.quick_ratio, |r| format::decimal(r, 1)),
        ];
        Row::period(cells, row.complete)
    };
    history_table(&columns, &rows.iter().map(line).collect::<Vec<_>>())
}
