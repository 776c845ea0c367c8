//! Gross revenue by day or by week, where the reader of a served page chose one of them.

use chrono::{Datelike, NaiveDate};
use domain::format;
use maud::{Markup, html};

use crate::charts::bars::{Bar, BarChart, BarLayer, bar_chart};
use crate::charts::{ChartFrame, NARROW, last};
use crate::components::annotation_marks;
use crate::components::shell::{Page, Section, wide_and_narrow};
use crate::components::table::{Column, Row, history_table};
use crate::grain::{Days, Grain};
use crate::revenue_rows::RevenuePeriodRow;
use crate::theme::{SERIES, SERIES_LABEL};

/// The revenue of a period. A period without a billing event has none.
struct GrossPeriod {
    days: Days,
    gross: f64,
    net: f64,
    is_complete: bool,
}

/// What differs between days and weeks.
struct Kind<'a> {
    grain: Grain,
    title: &'static str,
    heading: &'static str,
    rows: &'a [RevenuePeriodRow],
    /// The periods of the drawing, and of the one for phones.
    periods: [usize; 2],
}

/// Returns the section, or `None` for months and where the rows of the chosen grain are missing.
pub(crate) fn section(page: &Page) -> Option<Markup> {
    let input = page.context.input;
    let kind = match page.context.grain()? {
        Grain::Day => Kind {
            grain: Grain::Day,
            title: "Gross revenue by day",
            heading: "Day",
            rows: &input.revenue_days,
            periods: [28, 12],
        },
        Grain::Week => Kind {
            grain: Grain::Week,
            title: "Gross revenue by week",
            heading: "Week from",
            rows: &input.revenue_weeks,
            periods: [13, 6],
        },
        Grain::Month => return None,
    };
    if kind.rows.is_empty() {
        return None;
    }
    let periods = filled(&kind, input.as_of);
    let source = kind.grain.table("revenue_summary")?;
    let mut section = Section {
        subtitle: html! { "Usage, subscription and commission, in " (input.currency) " at each day’s rate" },
        ..Section::new("gross", kind.title, 8, source)
    };
    section.note = Some(html! {
        "Subscriptions and commissions are often charged at a month’s end."
        @if periods.last().is_some_and(|period| !period.is_complete) { " The last week is not over." }
    });
    let amount = |v: f64| format::money(v, &input.currency);
    let line = |period: &GrossPeriod| {
        let cells = vec![format::date(period.days.0), amount(period.gross), amount(period.net)];
        Row::period(cells, period.is_complete)
    };
    let columns = [Column::Text(kind.heading), Column::Number("Gross"), Column::Number("Net")];
    section.table = Some(history_table(&columns, &periods.iter().map(line).collect::<Vec<_>>()));
    let [wide, narrow] = kind.periods;
    let wide = draw(page, &kind, last(&periods, wide), (763.0, 436.0));
    let narrow = draw(page, &kind, last(&periods, narrow), (NARROW, 280.0));
    let body = html! { (wide_and_narrow(wide, narrow)) (annotation_marks::explanation(page)) };
    Some(page.section(&section, &body))
}

/// Returns every period of the chart.
fn filled(kind: &Kind, as_of: NaiveDate) -> Vec<GrossPeriod> {
    let period = |days: Days| {
        let row = kind.rows.iter().find(|row| row.start == days.0);
        let (gross, net) = row.map_or((0.0, 0.0), |row| (row.gross, row.net));
        GrossPeriod { days, gross, net, is_complete: days.1 <= as_of }
    };
    kind.grain.periods(as_of, kind.periods[0]).into_iter().map(period).collect()
}

fn draw(page: &Page, kind: &Kind, periods: &[GrossPeriod], size: (f64, f64)) -> String {
    let input = page.context.input;
    let amount = |v: f64| format::money(v, &input.currency);
    let bar = |(i, period): (usize, &GrossPeriod)| Bar {
        days: period.days,
        label: label(kind.grain, period.days.0),
        note: note(kind.grain, i, period),
        layer_values: vec![period.gross],
        below: 0.0,
        value: amount(period.gross),
        complete: period.is_complete,
    };
    let bars: Vec<Bar> = periods.iter().enumerate().map(bar).collect();
    let desc = periods.last().map_or_else(String::new, |period| {
        let from = format::long_date(period.days.0);
        format!("From {from}: {} gross, {} net", amount(period.gross), amount(period.net))
    });
    let layers = [BarLayer { label: "", fill: SERIES, text: SERIES_LABEL, line: None }];
    let frame = ChartFrame { size, title: kind.title, desc: &desc, marks: &page.marks };
    let chart = BarChart {
        // The goal is one of a month.
        target: None,
        bars: &bars,
        layers: &layers,
        below: None,
        axis: &|v| format::axis_amount(v, &input.currency),
        below_label: &amount,
        left: 0.0,
    };
    bar_chart(&frame, chart)
}

fn label(grain: Grain, first: NaiveDate) -> String {
    match grain {
        Grain::Day => first.day().to_string(),
        _ => format::date(first),
    }
}

/// Returns what stands under the label of a bar: that it is the running one, or the month of a day.
fn note(grain: Grain, i: usize, period: &GrossPeriod) -> Option<String> {
    if !period.is_complete {
        return Some("now".to_owned());
    }
    let names_month = grain == Grain::Day && (i == 0 || period.days.0.day() == 1);
    names_month.then(|| format::month(period.days.0))
}
