//! The Revenue page: gross by month, why it changed, paying partners, concentration, top
//! partners, products and kinds, the first charge.

use std::collections::HashMap;

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::charts::bars::{Bar, BarChart, BarLayer, bar_chart};
use crate::charts::curve::{concentration_curve, cumulative_shares};
use crate::charts::lines::{LineChart, Period, Series, line_chart};
use crate::charts::{ChartFrame, NARROW, NARROW_PERIODS, WIDE_PERIODS, last};
use crate::components::figure::{self, Figure};
use crate::components::revenue_change::gross_change;
use crate::components::shell::{Page, Section, empty_state, grid, wide_and_narrow};
use crate::components::table::{Column, HistoryTable, Row, bar, header_cell, history_table};
use crate::components::{
    annotation_marks, free_to_paid, gross_by_period, kept_grain, lead_paragraph, partner_link,
    revenue_bridge, revenue_sources,
};
use crate::grain::Grain;
use crate::input::ReportInput;
use crate::metric_rows::{RevenuePerPartnerRow, RevenueSummaryRow};
use crate::months;
use crate::site::PageContext;
use crate::theme::{SERIES, SERIES_2, SERIES_2_LABEL, SERIES_LABEL};

/// The number of partners in the table of the largest.
const TOP: usize = 15;

pub(crate) fn page(context: &PageContext) -> String {
    let page = Page::new(context, lead(context.input));
    let side = html! { div.c4.stack { (paying_section(&page)) (typical_section(&page)) } };
    let sections = html! {
        (grid(&[gross_section(&page), side]))
        (grid(&[revenue_bridge::section(&page), revenue_bridge::retention_section(&page)]))
        (grid(&[top_section(&page), concentration_section(&page)]))
        (grid(&[revenue_sources::products_section(&page), revenue_sources::kinds_section(&page)]))
        (grid(&[free_to_paid::section(&page)]))
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    let (Some(now), before) = input.last_revenue() else {
        return html! {
            @if input.revenue_summary.is_empty() { "Nothing has been billed yet. Billing events fill this page: load them with " code { "rapport ingest load --stream billing-events" } "." }
            @else { "The first month with charges is not complete yet, so there is nothing to compare it with." }
        };
    };
    let of = |what: &str| figure::of_month(what, "revenue_summary", now.month);
    let amount = |v: f64, what: &str| Figure::money(v, &input.currency, of(what));
    let billed = html! {
        (format::long_month(now.month)) " billed " b { (amount(now.gross, "gross")) " gross" }
        " from "
        b { (Figure::counted(now.paying_partners, "paying partner", of("paying_partners"))) }
        @if let Some(before) = before.filter(|b| b.gross > 0.0) {
            ", " (gross_change(now, before)) " on " (format::long_month(before.month))
        }
        "."
    };
    let largest = now.top10_share.filter(|_| now.paying_partners > 20).map(|share| {
        html! {
            "The ten largest billed " b { (Figure::percent(share, of("top10_share"))) } " of it"
            @if let Some(median) = now.median_gross {
                "; half of the partners billed " (amount(median, "median_gross")) " or less"
            }
            "."
        }
    });
    lead_paragraph::lead(std::iter::once(billed).chain(largest))
}

fn gross_section(page: &Page) -> Markup {
    if let Some(by_period) = gross_by_period::section(page) {
        return by_period;
    }
    let input = page.context.input;
    let mut section = Section {
        subtitle: html! { "Usage, subscription and commission, in " (input.currency) " at each day’s rate" (kept_grain::sentence(page, Grain::Month, "there are no rows of shorter periods")) },
        ..Section::new("gross", "Gross revenue by month", 8, "revenue_summary")
    };
    if input.revenue_summary.is_empty() {
        return page
            .section(&section, &empty_state("Nothing has been billed yet. Load billing events."));
    }
    section.table = Some(month_table(input));
    section.note = input.revenue_summary.last().filter(|row| !row.complete).map(|row| html! {
        (format::long_month(row.month)) " is not finished: subscriptions and commissions are often charged at a month’s end."
    });
    let wide = draw_gross(page, WIDE_PERIODS, (763.0, 436.0));
    let narrow = draw_gross(page, NARROW_PERIODS, (NARROW, 280.0));
    let body = html! { (wide_and_narrow(wide, narrow)) (annotation_marks::explanation(page)) };
    page.section(&section, &body)
}

fn draw_gross(page: &Page, periods: usize, size: (f64, f64)) -> String {
    let input = page.context.input;
    let rows = last(&input.revenue_summary, periods);
    let amount = |v: f64| format::money(v, &input.currency);
    let bar = |(i, row): (usize, &RevenueSummaryRow)| Bar {
        days: months::days(row.month),
        label: format::month(row.month),
        note: months::axis_note(i.checked_sub(1).map(|i| rows[i].month), row.month, input.as_of),
        layer_values: vec![row.gross],
        below: 0.0,
        value: amount(row.gross),
        complete: row.complete,
    };
    let drawn: Vec<Bar> = rows.iter().enumerate().map(bar).collect();
    let desc = rows.last().map_or_else(String::new, |row| {
        format!(
            "{}: {} gross, {} net",
            format::long_month_year(row.month),
            amount(row.gross),
            amount(row.net)
        )
    });
    let layers = [BarLayer { label: "", fill: SERIES, text: SERIES_LABEL, line: None }];
    let frame =
        ChartFrame { size, title: "Gross revenue by month", desc: &desc, marks: &page.marks };
    bar_chart(
        &frame,
        BarChart {
            target: input.targets.gross_revenue,
            bars: &drawn,
            layers: &layers,
            below: None,
            axis: &|v| format::axis_amount(v, &input.currency),
            below_label: &amount,
            left: 0.0,
        },
    )
}

fn month_table(input: &ReportInput) -> HistoryTable {
    let columns = [
        Column::Text("Month"),
        Column::Number("Gross"),
        Column::Number("Net"),
        Column::Number("Paying"),
        Column::Number("Mean"),
        Column::Number("Median"),
        Column::Number("Top 10"),
        Column::Number("HHI"),
        Column::Number("Gini"),
    ];
    let amount = |v: f64| format::money(v, &input.currency);
    let line = |row: &RevenueSummaryRow| {
        let cells = vec![
            format::month_year(row.month),
            amount(row.gross),
            amount(row.net),
            format::thousands(row.paying_partners),
            format::known_or_unknown(row.mean_gross, amount),
            format::known_or_unknown(row.median_gross, amount),
            format::known_or_unknown(row.top10_share, |r| format::percent_with_places(r, 1)),
            format::known_or_unknown(row.hhi, |v| format::decimal(v, 3)),
            format::known_or_unknown(row.gini, |v| format::decimal(v, 2)),
        ];
        Row::period(cells, row.complete)
    };
    history_table(&columns, &input.revenue_summary.iter().map(line).collect::<Vec<_>>())
}

fn periods(input: &ReportInput, rows: &[RevenueSummaryRow]) -> Vec<Period> {
    let period = |(i, row): (usize, &RevenueSummaryRow)| Period {
        days: months::days(row.month),
        label: format::month(row.month),
        note: months::axis_note(i.checked_sub(1).map(|i| rows[i].month), row.month, input.as_of),
        complete: row.complete,
    };
    rows.iter().enumerate().map(period).collect()
}

fn paying_section(page: &Page) -> Markup {
    let input = page.context.input;
    let section = Section {
        subtitle: html! { "Partners with a gross charge in the month" (kept_grain::sentence(page, Grain::Month, kept_grain::DISTINCT)) },
        ..Section::new("paying", "Paying partners", 4, "revenue_summary")
    };
    if input.revenue_summary.is_empty() {
        return page.section(&section, &empty_state("Nobody has been charged yet."));
    }
    let draw = |n: usize, size: (f64, f64)| {
        let rows = last(&input.revenue_summary, n);
        let values = rows.iter().map(|row| Some(row.paying_partners as f64)).collect();
        let series = [Series { label: "", values, role: SERIES, text: SERIES_LABEL }];
        let frame =
            ChartFrame { size, title: "Paying partners by month", desc: "", marks: &page.marks };
        let whole = |v: f64| format::thousands(v as i64);
        let periods = periods(input, rows);
        line_chart(
            &frame,
            LineChart {
                target: None,
                periods: &periods,
                series: &series,
                axis: &whole,
                value: &whole,
                log: false,
                note_at_one: None,
            },
        )
    };
    page.section(
        &section,
        &wide_and_narrow(draw(8, (365.0, 200.0)), draw(NARROW_PERIODS, (NARROW, 200.0))),
    )
}

fn typical_section(page: &Page) -> Markup {
    let input = page.context.input;
    let section = Section {
        subtitle: html! { "Gross per paying partner; the mean follows the largest, the median the typical one" (kept_grain::sentence(page, Grain::Month, "means and medians do not add up")) },
        ..Section::new("typical", "Mean and median", 4, "revenue_summary")
    };
    if input.revenue_summary.iter().all(|row| row.mean_gross.is_none()) {
        return page.section(&section, &empty_state("Nobody has been charged yet."));
    }
    let draw = |n: usize, size: (f64, f64)| {
        let rows = last(&input.revenue_summary, n);
        let mean = rows.iter().map(|row| row.mean_gross).collect();
        let median = rows.iter().map(|row| row.median_gross).collect();
        let series = [
            Series { label: "Mean", values: mean, role: SERIES, text: SERIES_LABEL },
            Series { label: "Median", values: median, role: SERIES_2, text: SERIES_2_LABEL },
        ];
        let frame = ChartFrame {
            size,
            title: "Mean and median gross per paying partner",
            desc: "",
            marks: &page.marks,
        };
        let amount = |v: f64| format::money(v, &input.currency);
        let periods = periods(input, rows);
        line_chart(
            &frame,
            LineChart {
                target: None,
                periods: &periods,
                series: &series,
                axis: &|v| format::axis_amount(v, &input.currency),
                value: &amount,
                log: false,
                note_at_one: None,
            },
        )
    };
    page.section(
        &section,
        &wide_and_narrow(draw(8, (365.0, 214.0)), draw(NARROW_PERIODS, (NARROW, 200.0))),
    )
}

/// Returns the rows of one month in order of rank.
fn of_month(input: &ReportInput, month: NaiveDate) -> Vec<&RevenuePerPartnerRow> {
    let mut rows: Vec<_> =
        input.revenue_per_partner.iter().filter(|row| row.month == month).collect();
    rows.sort_by_key(|row| row.rank);
    rows
}

fn top_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("top", "Largest partners", 8, "revenue_per_partner");
    let (Some(now), before) = input.last_revenue() else {
        return page.section(&section, &empty_state("No whole month with charges yet."));
    };
    let rows = of_month(input, now.month);
    section.subtitle = html! { "By gross in " (format::long_month_year(now.month)) };
    let month = now.month;
    let query = |what: &str| figure::of_month(what, "revenue_per_partner", month);
    section.note = Some(html! {
        (Figure::count(rows.len().min(TOP) as i64, query(&format!("least(count(*), {TOP})"))))
        " of "
        (Figure::counted(rows.len() as i64, "partner", query("count(*)")))
        " with charges, credits or refunds; the CSV has all."
    });
    let earlier: HashMap<&str, f64> = before
        .map(|row| of_month(input, row.month))
        .unwrap_or_default()
        .into_iter()
        .map(|row| (row.partner_id.as_str(), row.gross))
        .collect();
    let most = rows.first().and_then(|row| row.share).unwrap_or(1.0).max(1e-9);
    let amount = |v: f64| format::money(v, &input.currency);
    let body = html! {
        table.top {
            thead { tr {
                th.num.wide-only scope="col" { "Rank" } (header_cell(Column::Text("Partner"))) (header_cell(Column::Number("Gross"))) th.num.sorted scope="col" { "Share ▾" } td.grow {}
                (header_cell(Column::Number(if before.is_some() { "Change" } else { "" })))
                th.num.wide-only scope="col" { "Credits" } th.num.wide-only scope="col" { "Refunds" } th.num.wide-only scope="col" { "Net" }
            } }
            tbody { @for row in rows.iter().take(TOP) {
                tr {
                    td.num.wide-only { (format::thousands(row.rank)) }
                    td.name { (partner_link::by_id(page.context.partners, &row.partner_id)) }
                    td.num { b { (amount(row.gross)) } }
                    td.num { (format::known_or_unknown(row.share, |r| format::percent_with_places(r, 1))) }
                    td.grow { (bar(row.share.unwrap_or(0.0) / most, "retained-line", false)) }
                    td.num { (change(row, &earlier, before.is_some())) }
                    td.num.wide-only { (amount(row.credits)) }
                    td.num.wide-only { (amount(row.refunds)) }
                    td.num.wide-only { (amount(row.net)) }
                }
            } }
        }
    };
    page.section(&section, &body)
}

/// Returns the change against the month before. A partner may have had no gross revenue then.
fn change(row: &RevenuePerPartnerRow, earlier: &HashMap<&str, f64>, compared: bool) -> String {
    match earlier.get(row.partner_id.as_str()).filter(|gross| **gross > 0.0) {
        Some(before) => {
            let by = (row.gross / before - 1.0) * 100.0;
            format!("{}{}%", format::signed_decimal(by, 0), format::NARROW_NO_BREAK_SPACE)
        }
        None if compared => "from 0".to_owned(),
        None => String::new(),
    }
}

/// Returns how many partners of equal revenue give the same concentration (the inverse of the
/// Herfindahl–Hirschman index): `2 equal partners`.
fn equal_partners(hhi: f64, query: String) -> Figure {
    let n = 1.0 / hhi.max(1e-9);
    Figure::new(format::counted(n.round() as i64, "equal partner"), n, query)
}

fn concentration_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section::new("concentration", "Concentration", 4, "revenue_per_partner");
    let Some(now) = input.last_revenue().0 else {
        return page.section(&section, &empty_state("No whole month with charges yet."));
    };
    let of = |what: &str| figure::of_month(what, "revenue_summary", now.month);
    let amounts = of_month(input, now.month).iter().map(|row| row.gross).collect();
    let shares = cumulative_shares(amounts);
    if shares.len() < 2 {
        return page.section(&section, &empty_state("A curve needs two paying partners."));
    }
    section.subtitle = html! { "Share of " (format::long_month(now.month)) "’s gross held by the largest partners" };
    section.note = Some(html! {
        @if let Some(gini) = now.gini { "Gini " (Figure::new(format::decimal(gini, 2), gini, of("gini"))) }
        @if let Some(hhi) = now.hhi {
            ", HHI " (Figure::new(format::decimal(hhi, 3), hhi, of("hhi"))) ": as if "
            (equal_partners(hhi, of("1 / hhi"))) " billed it all"
        }
        "."
    });
    let marks: &[usize] = if shares.len() > 20 { &[1, 10] } else { &[1] };
    let draw = |size: (f64, f64)| {
        let desc = format!("{} paying partners", shares.len());
        let frame = ChartFrame {
            size,
            title: "Share of gross held by the largest partners",
            desc: &desc,
            marks: &[],
        };
        concentration_curve(&frame, &shares, marks, "partners, largest first")
    };
    page.section(&section, &wide_and_narrow(draw((365.0, 340.0)), draw((NARROW, 300.0))))
}
