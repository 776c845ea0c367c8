//! The Growth and churn page: growth accounting, quick ratio, churn rate, retention by cohort,
//! and what preceded each loss.

use domain::format;
use maud::{Markup, html};

use crate::charts::lines::{LineChart, Period, Series, line_chart};
use crate::charts::{ChartFrame, NARROW, NARROW_PERIODS, last};
use crate::components::figure::{self, Figure};
use crate::components::shell::{Page, Section, empty_state, grid, wide_and_narrow};
use crate::components::{churn_causes, growth_by_month, kept_grain, lead_paragraph, retention};
use crate::grain::Grain;
use crate::input::ReportInput;
use crate::metric_rows::GrowthRow;
use crate::months;
use crate::site::PageContext;
use crate::theme::{BAD, NEGATIVE, SERIES, SERIES_LABEL};

pub(crate) fn page(context: &PageContext) -> String {
    let page = Page::new(context, lead(context.input));
    let side = html! { div.c4.stack { (quick_section(&page)) (churn_section(&page)) } };
    let sections = html! {
        (grid(&[growth_by_month::section(&page, 8, (763.0, 372.0)), side]))
        (grid(&[retention::heatmap_section(&page), retention::worth_section(&page)]))
        (grid(&[churn_causes::section(&page)]))
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
    let of = |n: i64, column: &str| Figure::count(n, figure::of_month(column, "growth", now.month));
    let active = figure::of_month("active", "growth", now.month);
    let ended = html! {
        (format::long_month(now.month)) " ended with "
        b { (Figure::counted(now.active, "active partner", active)) }
        ": " (of(now.new, "new")) " new and " (of(now.resurrected, "resurrected")) " back, "
        (of(now.churned, "churned")) " lost."
    };
    lead_paragraph::lead(
        [Some(ended), quick_ratio_sentence(now, before), retention::weakest_cohort(input)]
            .into_iter()
            .flatten(),
    )
}

/// Returns a sentence on the quick ratio of a month and of the month before.
fn quick_ratio_sentence(now: &GrowthRow, before: Option<&GrowthRow>) -> Option<Markup> {
    let ratio = |row: &GrowthRow| {
        let query = figure::of_month("quick_ratio", "growth", row.month);
        row.quick_ratio.map(|q| (q, Figure::new(format::decimal(q, 1), q, query)))
    };
    let (now, shown) = ratio(now)?;
    let before = before.and_then(|row| Some((ratio(row)?, format::long_month(row.month))));
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

/// Returns the periods and values of a line chart, from the first known value on.
fn by_month(
    input: &ReportInput,
    periods: usize,
    value: fn(&GrowthRow) -> Option<f64>,
) -> (Vec<Period>, Vec<Option<f64>>) {
    let from = input.growth.iter().position(|row| value(row).is_some()).unwrap_or(0);
    let rows = last(&input.growth[from..], periods);
    let period = |(i, row): (usize, &GrowthRow)| Period {
        days: months::days(row.month),
        label: format::month(row.month),
        note: months::axis_note(i.checked_sub(1).map(|i| rows[i].month), row.month, input.as_of),
        complete: row.complete,
    };
    (rows.iter().enumerate().map(period).collect(), rows.iter().map(value).collect())
}

/// The number of months in the chart of the quick ratio.
const QUICK_PERIODS: usize = 8;

fn quick_section(page: &Page) -> Markup {
    let input = page.context.input;
    let weakest = input
        .growth
        .iter()
        .filter(|row| row.complete && row.quick_ratio.is_some())
        .min_by(|a, b| a.quick_ratio.unwrap_or(0.0).total_cmp(&b.quick_ratio.unwrap_or(0.0)));
    let (_, shown) = by_month(input, QUICK_PERIODS, |row| row.quick_ratio);
    let section = Section {
        subtitle: html! { "(New + resurrected) / churned, log scale" (foot_of_scale(&shown)) (kept_grain::sentence(page, Grain::Month, "who is new or lost is told of whole months")) },
        note: weakest.map(|row| html! {
            (format::long_month_year(row.month)) " was the thinnest whole month: "
            (Figure::count(row.new + row.resurrected, figure::of_month("new + resurrected", "growth", row.month))) " gained, "
            (Figure::count(row.churned, figure::of_month("churned", "growth", row.month))) " lost."
        }),
        ..Section::new("quick", "Quick ratio", 4, "growth")
    };
    let draw = |periods: usize, size: (f64, f64)| {
        let (periods, values) = by_month(input, periods, |row| row.quick_ratio);
        values.iter().flatten().next()?;
        let series = [Series { label: "", values, role: SERIES, text: SERIES_LABEL }];
        let frame = ChartFrame {
            size,
            title: "Quick ratio by month",
            desc: "Below 1, losses outweigh gains",
            marks: &page.marks,
        };
        let number = |v: f64| format::decimal(v, usize::from(v < 1.0));
        Some(line_chart(
            &frame,
            LineChart {
                target: None,
                periods: &periods,
                series: &series,
                axis: &number,
                value: &|v| format::decimal(v, usize::from(v < 100.0)),
                log: true,
                note_at_one: Some("Below 1, losses outweigh gains"),
            },
        ))
    };
    let none = || empty_state(no_ratio(input));
    let narrow = draw(NARROW_PERIODS, (NARROW, 220.0));
    let body = match draw(QUICK_PERIODS, (365.0, 236.0)) {
        Some(wide) => wide_and_narrow(wide, narrow.unwrap_or_else(|| none().into_string())),
        None => none(),
    };
    page.section(&section, &body)
}

/// Returns where a ratio of 0 stands, if there is one. A log scale has no place for it.
fn foot_of_scale(ratios: &[Option<f64>]) -> Markup {
    html! { @if ratios.contains(&Some(0.0)) { "; a month without gains stands at its foot" } }
}

/// Returns why a chart has no ratio: nobody was lost, in its months or ever.
fn no_ratio(input: &ReportInput) -> &'static str {
    match input.growth.iter().any(|row| row.churned > 0) {
        true => "No partner was lost in the newest months, so they have no ratio.",
        false => "No partner has been lost yet, so there is no ratio.",
    }
}

fn churn_section(page: &Page) -> Markup {
    let input = page.context.input;
    let section = Section {
        subtitle: html! { "Churned, % of the active the month before" (kept_grain::sentence(page, Grain::Month, "who is new or lost is told of whole months")) },
        ..Section::new("churn", "Churn rate", 4, "growth")
    };
    let draw = |periods: usize, size: (f64, f64)| {
        let (periods, values) = by_month(input, periods, |row| row.churn_rate.map(|r| r * 100.0));
        values.iter().flatten().next()?;
        let series = [Series { label: "", values, role: NEGATIVE, text: BAD }];
        let frame = ChartFrame {
            size,
            title: "Churn rate by month",
            desc: "Per cent of the active the month before",
            marks: &page.marks,
        };
        Some(line_chart(
            &frame,
            LineChart {
                target: None,
                periods: &periods,
                series: &series,
                axis: &|v| format::decimal(v, usize::from(v.fract() > 0.0)),
                value: &|v| format::decimal(v, 1),
                log: false,
                note_at_one: None,
            },
        ))
    };
    let body = match (draw(8, (365.0, 210.0)), draw(NARROW_PERIODS, (NARROW, 200.0))) {
        (Some(wide), Some(narrow)) => wide_and_narrow(wide, narrow),
        _ => empty_state("A churn rate needs two months with active partners."),
    };
    page.section(&section, &body)
}
