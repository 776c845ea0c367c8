//! The traffic of a partner or of all: four small charts by day, and the last 28 days in figures.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use domain::format;
use maud::{Markup, PreEscaped, html};

use crate::charts::ChartFrame;
use crate::charts::daily::{DailyChart, daily_chart};
use crate::charts::marks::Mark;
use crate::components::annotation_marks;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, HistoryTable, Row, table};
use crate::health_rows::{HealthRow, PartnerDayRow};
use crate::metric_rows::{PartnerReliabilityRow, ThrottlingRow};
use crate::theme::{ColourRole, NEGATIVE, SERIES, SERIES_2};

/// The number of days in a chart.
const DAYS: u64 = 60;
/// The size of a chart in px: a quarter of the page wide.
const SIZE: (f64, f64) = (266.0, 136.0);

/// A chart of the share of calls that have some outcome.
struct RateChart {
    label: &'static str,
    count: fn(&PartnerDayRow) -> i64,
    role: ColourRole,
}

const RATE_CHARTS: [RateChart; 3] = [
    RateChart { label: "Partner-caused errors", count: |row| row.client_errors, role: NEGATIVE },
    RateChart { label: "Server errors", count: |row| row.server_errors, role: NEGATIVE },
    RateChart { label: "Throttled", count: |row| row.throttled, role: NEGATIVE },
];

/// The charts of all partners together, with whose doing each is.
const PROGRAMME_CHARTS: [RateChart; 3] = [
    RateChart {
        label: "Ours: server errors (5xx)",
        count: |row| row.server_errors,
        role: NEGATIVE,
    },
    RateChart { label: "Ours: throttled (429)", count: |row| row.throttled, role: NEGATIVE },
    RateChart {
        label: "Theirs: client errors (4xx)",
        count: |row| row.client_errors,
        role: SERIES_2,
    },
];

/// Returns the row of every day in the charts. `None`: the partner made no call on that day.
fn rows_by_day<'a>(rows: &[&'a PartnerDayRow], from: NaiveDate) -> Vec<Option<&'a PartnerDayRow>> {
    let at = |i: u64| {
        let date = from + Days::new(i);
        rows.binary_search_by_key(&date, |row| row.event_date).ok().map(|i| rows[i])
    };
    (0..DAYS).map(at).collect()
}

/// Returns the section with the charts, and where wanted what explains the marks of the page.
pub(crate) fn section(page: &Page, row: &HealthRow, explains_marks: bool) -> Markup {
    let as_of = page.context.input.as_of;
    let until = as_of.pred_opt().unwrap_or(as_of);
    let from = as_of - Days::new(DAYS);
    let title = format!("Traffic, {DAYS} days to {}", format::long_date(until));
    let mut section = Section {
        subtitle: html! { "Production, by day; errors and throttled calls as a share of all calls" },
        ..Section::new("traffic", &title, 12, "partner_traffic")
    };
    let rows = page.context.partners.daily(&row.partner_id);
    let days = rows_by_day(&rows, from);
    if days.iter().all(Option::is_none) {
        let advice = "No production call in these days. The first one starts these charts.";
        return page.section(&section, &empty_state(advice));
    }
    section.table = Some(HistoryTable { table: day_table(&days, from), earlier_rows: 0 });
    let body = html! {
        (charts(page, &days, from, &RATE_CHARTS))
        @if explains_marks { (annotation_marks::explanation(page)) }
    };
    page.section(&section, &body)
}

/// Returns the section with the traffic of all partners together: what we did to them apart from
/// what they did themselves.
pub(crate) fn programme_section(page: &Page) -> Markup {
    let as_of = page.context.input.as_of;
    let until = as_of.pred_opt().unwrap_or(as_of);
    let from = as_of - Days::new(DAYS);
    let title = format!("Ours and theirs, {DAYS} days to {}", format::long_date(until));
    let mut section = Section {
        subtitle: html! { "Production calls of all partners, by day. Ours: the service failed, or a quota was too small. Theirs: the request was wrong" },
        ..Section::new("traffic", &title, 12, "partner_traffic")
    };
    let total = sum_by_day(&page.context.input.daily);
    let days = rows_by_day(&total.iter().collect::<Vec<_>>(), from);
    if days.iter().all(Option::is_none) {
        let advice = "No production call in these days. Load API calls with rapport ingest load --stream api-calls.";
        return page.section(&section, &empty_state(advice));
    }
    section.table = Some(HistoryTable { table: day_table(&days, from), earlier_rows: 0 });
    let body = html! {
        (charts(page, &days, from, &PROGRAMME_CHARTS))
        (annotation_marks::explanation(page))
    };
    page.section(&section, &body)
}

/// Returns the traffic of all partners on each date, in order of time.
fn sum_by_day(rows: &[PartnerDayRow]) -> Vec<PartnerDayRow> {
    let mut days: BTreeMap<NaiveDate, PartnerDayRow> = BTreeMap::new();
    for row in rows {
        let sum = days.entry(row.event_date).or_insert_with(|| PartnerDayRow {
            partner_id: String::new(),
            event_date: row.event_date,
            calls: 0,
            successes: 0,
            client_errors: 0,
            server_errors: 0,
            throttled: 0,
        });
        sum.calls += row.calls;
        sum.successes += row.successes;
        sum.client_errors += row.client_errors;
        sum.server_errors += row.server_errors;
        sum.throttled += row.throttled;
    }
    days.into_values().collect()
}

fn charts(
    page: &Page,
    days: &[Option<&PartnerDayRow>],
    from: NaiveDate,
    rates: &[RateChart],
) -> Markup {
    html! {
        div.four {
            (calls_chart(&page.marks, days, from))
            @for chart in rates { (rate_chart(chart, &page.marks, days, from)) }
        }
    }
}

/// Returns a small chart under its label, the newest value and what that is compared with.
fn small_chart(label: &str, value: &str, base: &str, svg: String) -> Markup {
    html! {
        div.small {
            p.label { (label) }
            p.figure { b { (value) } " " span { (base) } }
            (PreEscaped(svg))
        }
    }
}

fn calls_chart(marks: &[Mark], days: &[Option<&PartnerDayRow>], from: NaiveDate) -> Markup {
    // A day without a row is a day without calls.
    let values: Vec<Option<f64>> =
        days.iter().map(|d| Some(d.map_or(0, |d| d.calls) as f64)).collect();
    let newest = values.last().copied().flatten().unwrap_or(0.0);
    let usual = usual_on_weekday(&values);
    let axis = |v: f64| {
        if v >= 1e6 {
            format!("{}M", format::decimal(v / 1e6, usize::from(v < 1e7)))
        } else if v >= 10_000.0 {
            format!("{}k", format::decimal(v / 1e3, 0))
        } else {
            format::thousands(v as i64)
        }
    };
    let day = from + Days::new(DAYS - 1);
    let base = match usual {
        usual if usual > 0.0 => {
            format!("against {} usual on a {}", short_count(usual), day.format("%A"))
        }
        _ => format!("on {}, with nothing usual yet", format::date(day)),
    };
    let chart = DailyChart { from, values: &values, axis: &axis, role: SERIES, gap_label: "" };
    let svg =
        daily_chart(&ChartFrame { size: SIZE, title: "Calls by day", desc: &base, marks }, chart);
    small_chart("Calls", &short_count(newest), &base, svg)
}

/// Writes a count, from a million on in millions: `9,480`, `1.8M`.
fn short_count(n: f64) -> String {
    if n >= 1e6 {
        format!("{}M", format::decimal(n / 1e6, 1))
    } else {
        format::thousands(n.round() as i64)
    }
}

/// Returns the median of the last day's weekday in the weeks before.
fn usual_on_weekday(values: &[Option<f64>]) -> f64 {
    let last = values.len().saturating_sub(1);
    let mut same: Vec<f64> =
        (0..last).filter(|i| (last - i).is_multiple_of(7)).filter_map(|i| values[i]).collect();
    same.sort_by(f64::total_cmp);
    same.get(same.len() / 2).copied().unwrap_or(0.0)
}

fn rate_chart(
    chart: &RateChart,
    marks: &[Mark],
    days: &[Option<&PartnerDayRow>],
    from: NaiveDate,
) -> Markup {
    let of =
        |day: &PartnerDayRow| (day.calls > 0).then(|| (chart.count)(day) as f64 / day.calls as f64);
    let values: Vec<Option<f64>> = days.iter().map(|day| day.and_then(of)).collect();
    let week = overall_rate(chart, &days[days.len() - 7..]);
    let before = overall_rate(chart, &days[..days.len() - 7]);
    let high = values.iter().flatten().fold(0.0_f64, |a, b| a.max(*b));
    let places = match high * 100.0 {
        h if h < 0.02 => 3,
        h if h < 0.3 => 2,
        h if h < 3.0 => 1,
        _ => 0,
    };
    let axis = |v: f64| {
        format!("{}{}%", format::decimal(v * 100.0, places), format::NARROW_NO_BREAK_SPACE)
    };
    let value = format::known_or_unknown(week, format::short_percent);
    let base = match before {
        Some(rate) => format!("last 7 days, {} before", format::short_percent(rate)),
        None => "last 7 days".to_owned(),
    };
    let title = format!("{} by day", chart.label);
    if high <= 0.0 {
        return html! { div.small { p.label { (chart.label) } p.figure { b { (value) } " " span { (base) } } p.empty { "None in these days." } } };
    }
    let drawn =
        DailyChart { from, values: &values, axis: &axis, role: chart.role, gap_label: "no calls" };
    let svg = daily_chart(&ChartFrame { size: SIZE, title: &title, desc: &base, marks }, drawn);
    small_chart(chart.label, &value, &base, svg)
}

/// Returns the rate over all calls of the days, which is not the mean of the daily rates.
fn overall_rate(chart: &RateChart, days: &[Option<&PartnerDayRow>]) -> Option<f64> {
    let calls: i64 = days.iter().flatten().map(|day| day.calls).sum();
    let counted: i64 = days.iter().flatten().map(|day| (chart.count)(day)).sum();
    (calls > 0).then(|| counted as f64 / calls as f64)
}

fn day_table(days: &[Option<&PartnerDayRow>], from: NaiveDate) -> Markup {
    let columns = [
        Column::Text("Day"),
        Column::Number("Calls"),
        Column::Number("Successes"),
        Column::Number("Client errors"),
        Column::Number("Server errors"),
        Column::Number("Throttled"),
    ];
    let line = |(i, day): (usize, &Option<&PartnerDayRow>)| {
        let date = format::date(from + Days::new(i as u64));
        let counts = day.map_or([0; 5], |d| {
            [d.calls, d.successes, d.client_errors, d.server_errors, d.throttled]
        });
        Row::new(std::iter::once(date).chain(counts.map(format::thousands)).collect())
    };
    table(&columns, &days.iter().enumerate().map(line).collect::<Vec<_>>())
}

/// Returns the section with the figures of the last 28 days and the quota.
pub(crate) fn reliability_section(page: &Page, row: &HealthRow) -> Markup {
    let section = Section {
        subtitle: html! { "Production calls" },
        ..Section::new("reliability", "Last 28 days", 4, "partner_reliability")
    };
    let partners = page.context.partners;
    let Some(facts) = partners.reliability(&row.partner_id).filter(|r| r.calls > 0) else {
        return page.section(&section, &empty_state("No production call in 28 days."));
    };
    let quota = partners.throttling(&row.partner_id);
    let rate = |r: Option<f64>| format::known_or_unknown(r, format::short_percent);
    let lines = [
        (
            "Calls",
            format!(
                "{}, {} a day",
                format::thousands(facts.calls),
                format::known_or_unknown(facts.calls_per_day, |v| format::decimal(v, 0))
            ),
        ),
        (
            "Success rate",
            format::known_or_unknown(facts.success_rate, |r| format::percent_with_places(r, 1)),
        ),
        (
            "Client errors",
            format!("{}, auth {}", rate(facts.client_error_rate), rate(facts.auth_failure_rate)),
        ),
        ("Server errors", rate(facts.server_error_rate)),
        ("Throttled", rate(facts.throttled_rate)),
        ("Latency p50, p95, p99", latency(facts)),
        ("Peak a minute", peak_per_minute(quota)),
    ];
    let body = html! {
        table { tbody { @for (label, value) in lines { tr { td { (label) } td.num { b { (value) } } } } } }
    };
    page.section(&section, &body)
}

/// Returns the latency percentiles in ms, if the calls of the partner carry latencies.
fn latency(row: &PartnerReliabilityRow) -> String {
    let all = [row.p50_ms, row.p95_ms, row.p99_ms];
    if all.iter().all(Option::is_none) {
        return "none sent".to_owned();
    }
    let shown = all.map(|ms| format::known_or_unknown(ms, |ms| format::decimal(ms, 0)));
    format!("{} ms", shown.join(", "))
}

/// Returns the largest number of calls in a minute, and its share of the quota.
fn peak_per_minute(quota: Option<&ThrottlingRow>) -> String {
    let Some(row) = quota else { return format::UNKNOWN.to_owned() };
    let peak = format::known_or_unknown(row.peak_per_minute, format::thousands);
    match (row.quota_per_minute, row.utilisation) {
        (Some(quota), Some(share)) => {
            format!("{peak}, {} of {}", format::percent(share), format::thousands(quota))
        }
        _ => format!("{peak}, quota unknown"),
    }
}
