//! The Growth and churn page: growth accounting, quick ratio, churn rate, retention by cohort.

use chrono::{Datelike, NaiveDate};
use maud::{Markup, html};

use crate::charts::bars::{Bar, Bars, CHURNED_LAYER, Layer, bars, columns};
use crate::charts::lines::{Lines, Period, Series, lines};
use crate::charts::{Frame, NARROW, NARROW_PERIODS, WIDE_PERIODS, last};
use crate::figure::{self, Figure};
use crate::input::ReportInput;
use crate::lead;
use crate::page::{Page, Place, Section, drawings, empty, grid};
use crate::roles::{
    BAD, INK_2, NEGATIVE, RETAINED, RETAINED_LINE, SERIES, SERIES_2, SERIES_2_LABEL, SERIES_LABEL,
};
use crate::rows::GrowthRow;
use crate::table::{Column, Numbers, Row, history};
use crate::{retention, words};

const LAYERS: [Layer; 3] = [
    Layer { word: "Retained", fill: RETAINED, text: INK_2, line: Some(RETAINED_LINE) },
    Layer { word: "Resurrected", fill: SERIES_2, text: SERIES_2_LABEL, line: None },
    Layer { word: "New", fill: SERIES, text: SERIES_LABEL, line: None },
];

pub(crate) fn growth(input: &ReportInput) -> String {
    let page = Page {
        input,
        root: "",
        place: Place::Growth,
        title: "Growth and churn".to_owned(),
        id: None,
        above: None,
        facts: None,
        lead: lead(input),
        scored: false,
    };
    let side = html! { div.c4.stack { (quick_section(&page)) (churn_section(&page)) } };
    let sections = html! {
        (grid(&[growth_section(&page, 8, (763.0, 372.0)), side]))
        (grid(&[retention::heatmap_section(&page), retention::worth_section(&page)]))
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    let (Some(now), before) = input.last_growth() else {
        return html! {
            @if input.growth.is_empty() { "Nobody has made a successful production call yet; the first one starts this page." }
            @else { "The first month is not complete yet, so there is nothing to compare it with." }
        };
    };
    let of = |n: i64, column: &str| Figure::count(n, figure::monthly(column, "growth", now.month));
    let active = figure::monthly("active", "growth", now.month);
    let ended = html! {
        (words::long_month(now.month)) " ended with "
        b { (Figure::counted(now.active, "active partner", active)) }
        ": " (of(now.new, "new")) " new and " (of(now.resurrected, "resurrected")) " back, "
        (of(now.churned, "churned")) " lost."
    };
    lead::lead([Some(ended), gains(now, before), retention::weakest(input)].into_iter().flatten())
}

/// The quick ratio of a month against that of the month before.
fn gains(now: &GrowthRow, before: Option<&GrowthRow>) -> Option<Markup> {
    let ratio = |row: &GrowthRow| {
        let query = figure::monthly("quick_ratio", "growth", row.month);
        row.quick_ratio.map(|q| (q, Figure::new(words::decimal(q, 1), q, query)))
    };
    let (now, shown) = ratio(now)?;
    let before = before.and_then(|row| Some((ratio(row)?, words::long_month(row.month))));
    Some(html! {
        "Gains were " b { (shown) " times" } " losses"
        @if let Some(((before, shown), month)) = before {
            @match now - before {
                d if d >= 0.05 => { ", up from " }
                d if d <= -0.05 => { ", down from " }
                _ => { ", as " }
            }
            (shown) " in " (month)
        }
        "."
    })
}

/// What stands under the label of a month on an axis: how much of it has been seen, or its year
/// where that is not the year of the month before it, which may be long ago.
pub(crate) fn month_note(
    before: Option<NaiveDate>,
    month: NaiveDate,
    as_of: NaiveDate,
) -> Option<String> {
    let year = before.is_none_or(|before| before.year() != month.year());
    words::part_of_month(month, as_of).or(year.then(|| month.year().to_string()))
}

/// Growth accounting by month, at the width of its section.
pub(crate) fn growth_section(page: &Page, span: u8, size: (f64, f64)) -> Markup {
    let input = page.input;
    let mut section = Section {
        subtitle: html! { "Above zero: new, resurrected, retained. Below zero: churned, active the month before and not in this one" },
        ..Section::new("active", "Active partners by month", span, "growth")
    };
    if span < 8 {
        section.subtitle =
            html! { "A partner is active with one successful production call in the month" };
    }
    if input.growth.is_empty() {
        let advice =
            "Nobody has made a successful production call yet; the first one starts this chart.";
        return page.section(&section, &empty(advice));
    }
    section.table = Some(numbers(&input.growth));
    section.note = growth_note(input);
    // On its own page the numbers stand under their bars.
    let aligned = span == 8;
    let (wide, columns) = growth_bars(input, WIDE_PERIODS, size, if aligned { 88.0 } else { 0.0 });
    let (narrow, _) = growth_bars(input, NARROW_PERIODS, (NARROW, 300.0), 0.0);
    let body = html! {
        (drawings(wide, narrow))
        @if aligned { (under_bars(last(&input.growth, WIDE_PERIODS), columns)) }
    };
    page.section(&section, &body)
}

/// A row's word and its figure of a month.
type Kind = (&'static str, fn(&GrowthRow) -> String);

/// A row a kind, a column a month, each as wide as its bar's place.
fn under_bars(rows: &[GrowthRow], (head, band): (f64, f64)) -> Markup {
    let kinds: [Kind; 6] = [
        ("Active", |r| words::count(r.active)),
        ("New", |r| words::count(r.new)),
        ("Resurrected", |r| words::count(r.resurrected)),
        ("Retained", |r| words::count(r.retained)),
        ("Churned", |r| words::count(r.churned)),
        ("Churn rate", |r| words::known(r.churn_rate, words::percent_1)),
    ];
    let px = |width: f64| format!("width:{width:.1}px");
    html! {
        div.wide {
            table.aligned style=(px(head + band * rows.len() as f64)) {
                colgroup { col style=(px(head)); @for _ in rows { col style=(px(band)); } }
                tbody { @for (i, (word, of)) in kinds.iter().enumerate() { tr {
                    td { (word) }
                    @for row in rows { td.running[!row.complete] { @if i == 0 && row.complete { b { (of(row)) } } @else { (of(row)) } } }
                } } }
            }
        }
    }
}

fn growth_note(input: &ReportInput) -> Option<Markup> {
    let hidden = input.growth.len().saturating_sub(WIDE_PERIODS);
    let running = input.growth.last().filter(|row| !row.complete);
    (hidden > 0 || running.is_some()).then(|| html! {
        @if hidden > 0 { (words::counted(hidden, "month")) " before " (words::agree(hidden, "is", "are")) " in the table only. " }
        @if let Some(row) = running {
            (words::long_month(row.month)) " is not finished and left out of every comparison: its churned partners may still call."
        }
    })
}

/// The drawing, and where a table under it puts its columns.
fn growth_bars(
    input: &ReportInput,
    periods: usize,
    size: (f64, f64),
    left: f64,
) -> (String, (f64, f64)) {
    let rows = last(&input.growth, periods);
    let bar = |(i, row): (usize, &GrowthRow)| Bar {
        label: words::month(row.month),
        note: month_note(i.checked_sub(1).map(|i| rows[i].month), row.month, input.as_of),
        parts: vec![row.retained as f64, row.resurrected as f64, row.new as f64],
        below: row.churned as f64,
        value: words::count(row.active),
        complete: row.complete,
    };
    let drawn: Vec<Bar> = rows.iter().enumerate().map(bar).collect();
    let desc = rows.last().map_or_else(String::new, |row| {
        format!(
            "{}: {} active, of these {} new, {} resurrected, {} retained; {} churned",
            words::long_month_year(row.month),
            row.active,
            row.new,
            row.resurrected,
            row.retained,
            row.churned
        )
    });
    let frame = Frame { size, title: "Active partners by month", desc: &desc };
    let whole = |v: f64| words::count(v as i64);
    let below = |v: f64| words::count(-(v as i64));
    let chart = Bars {
        bars: &drawn,
        layers: &LAYERS,
        below: Some(CHURNED_LAYER),
        axis: &whole,
        below_label: &below,
        left,
    };
    (bars(&frame, chart), columns(size.0, &chart))
}

fn numbers(rows: &[GrowthRow]) -> Numbers {
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
            words::month_year(row.month),
            words::count(row.active),
            words::count(row.new),
            words::count(row.resurrected),
            words::count(row.retained),
            words::count(row.churned),
            words::known(row.growth_rate, words::percent_1),
            words::known(row.churn_rate, words::percent_1),
            words::known(row.quick_ratio, |r| words::decimal(r, 1)),
        ];
        Row::running(cells, !row.complete)
    };
    history(&columns, &rows.iter().map(line).collect::<Vec<_>>())
}

/// Months of a line chart that has `value`, from the first that is known.
fn monthly(
    input: &ReportInput,
    periods: usize,
    value: fn(&GrowthRow) -> Option<f64>,
) -> (Vec<Period>, Vec<Option<f64>>) {
    let from = input.growth.iter().position(|row| value(row).is_some()).unwrap_or(0);
    let rows = last(&input.growth[from..], periods);
    let period = |(i, row): (usize, &GrowthRow)| Period {
        label: words::month(row.month),
        note: month_note(i.checked_sub(1).map(|i| rows[i].month), row.month, input.as_of),
        complete: row.complete,
    };
    (rows.iter().enumerate().map(period).collect(), rows.iter().map(value).collect())
}

fn quick_section(page: &Page) -> Markup {
    let input = page.input;
    let thinnest = input
        .growth
        .iter()
        .filter(|row| row.complete && row.quick_ratio.is_some())
        .min_by(|a, b| a.quick_ratio.unwrap_or(0.0).total_cmp(&b.quick_ratio.unwrap_or(0.0)));
    let section = Section {
        subtitle: html! { "(New + resurrected) / churned, log scale" },
        note: thinnest.map(|row| html! {
            (words::long_month_year(row.month)) " was the thinnest whole month: "
            (Figure::count(row.new + row.resurrected, figure::monthly("new + resurrected", "growth", row.month))) " gained, "
            (Figure::count(row.churned, figure::monthly("churned", "growth", row.month))) " lost."
        }),
        ..Section::new("quick", "Quick ratio", 4, "growth")
    };
    let draw = |periods: usize, size: (f64, f64)| {
        let (periods, values) = monthly(input, periods, |row| row.quick_ratio.filter(|q| *q > 0.0));
        values.iter().flatten().next()?;
        let series = [Series { word: "", values, role: SERIES, text: SERIES_LABEL }];
        let frame =
            Frame { size, title: "Quick ratio by month", desc: "Below 1, losses outweigh gains" };
        let number = |v: f64| words::decimal(v, usize::from(v < 1.0));
        Some(lines(
            &frame,
            Lines {
                periods: &periods,
                series: &series,
                axis: &number,
                value: &|v| words::decimal(v, usize::from(v < 100.0)),
                log: true,
                floor_note: Some("Below 1, losses outweigh gains"),
            },
        ))
    };
    let body = match (draw(8, (365.0, 236.0)), draw(NARROW_PERIODS, (NARROW, 220.0))) {
        (Some(wide), Some(narrow)) => drawings(wide, narrow),
        _ => empty("No partner has been lost yet, so there is no ratio."),
    };
    page.section(&section, &body)
}

fn churn_section(page: &Page) -> Markup {
    let input = page.input;
    let section = Section {
        subtitle: html! { "Churned, % of the active the month before" },
        ..Section::new("churn", "Churn rate", 4, "growth")
    };
    let draw = |periods: usize, size: (f64, f64)| {
        let (periods, values) = monthly(input, periods, |row| row.churn_rate.map(|r| r * 100.0));
        values.iter().flatten().next()?;
        let series = [Series { word: "", values, role: NEGATIVE, text: BAD }];
        let frame = Frame {
            size,
            title: "Churn rate by month",
            desc: "Per cent of the active the month before",
        };
        Some(lines(
            &frame,
            Lines {
                periods: &periods,
                series: &series,
                axis: &|v| words::decimal(v, usize::from(v.fract() > 0.0)),
                value: &|v| words::decimal(v, 1),
                log: false,
                floor_note: None,
            },
        ))
    };
    let body = match (draw(8, (365.0, 210.0)), draw(NARROW_PERIODS, (NARROW, 200.0))) {
        (Some(wide), Some(narrow)) => drawings(wide, narrow),
        _ => empty("A churn rate needs two months with active partners."),
    };
    page.section(&section, &body)
}
