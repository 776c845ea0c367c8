//! A partner's traffic: four small charts of its days, and its last 28 days in figures.

use chrono::{Days, NaiveDate};
use maud::{Markup, PreEscaped, html};

use crate::charts::Frame;
use crate::charts::daily::{Daily, daily};
use crate::input::ByPartner;
use crate::page::{Page, Section, empty};
use crate::roles::{NEGATIVE, Role, SERIES};
use crate::rows::PartnerReliabilityRow;
use crate::standing::{HealthRow, PartnerDayRow};
use crate::table::{Column, Numbers, Row, table};
use crate::words;

/// Days drawn.
const DAYS: u64 = 60;
/// Width of a quarter of the page.
const SIZE: (f64, f64) = (266.0, 136.0);

/// One small chart: what it counts among the calls, or the calls themselves.
struct Kind {
    word: &'static str,
    count: fn(&PartnerDayRow) -> i64,
    role: Role,
}

const RATES: [Kind; 3] = [
    Kind { word: "Partner-caused errors", count: |row| row.client_errors, role: NEGATIVE },
    Kind { word: "Server errors", count: |row| row.server_errors, role: NEGATIVE },
    Kind { word: "Throttled", count: |row| row.throttled, role: NEGATIVE },
];

/// Every day of the window, `None` where the partner made no call.
fn window<'a>(rows: &[&'a PartnerDayRow], from: NaiveDate) -> Vec<Option<&'a PartnerDayRow>> {
    let at = |i: u64| {
        let date = from + Days::new(i);
        rows.binary_search_by_key(&date, |row| row.event_date).ok().map(|i| rows[i])
    };
    (0..DAYS).map(at).collect()
}

pub(crate) fn section(page: &Page, by: &ByPartner, row: &HealthRow) -> Markup {
    let as_of = page.input.as_of;
    let until = as_of.pred_opt().unwrap_or(as_of);
    let from = as_of - Days::new(DAYS);
    let title = format!("Traffic, {DAYS} days to {}", words::long_day(until));
    let mut section = Section {
        subtitle: html! { "Production, by day; errors and throttled calls as a share of all calls" },
        ..Section::new("traffic", &title, 12, "partner_traffic")
    };
    let rows = by.daily.get(row.partner_id.as_str()).map_or(&[][..], Vec::as_slice);
    let days = window(rows, from);
    if days.iter().all(Option::is_none) {
        let advice = "No production call in these days. The first one starts these charts.";
        return page.section(&section, &empty(advice));
    }
    section.table = Some(Numbers { table: numbers(&days, from), earlier: 0 });
    let body = html! {
        div.four {
            (calls_chart(&days, from))
            @for kind in &RATES { (rate_chart(kind, &days, from)) }
        }
    };
    page.section(&section, &body)
}

fn small(word: &str, value: &str, base: &str, svg: String) -> Markup {
    html! {
        div.small {
            p.label { (word) }
            p.figure { b { (value) } " " span { (base) } }
            (PreEscaped(svg))
        }
    }
}

fn calls_chart(days: &[Option<&PartnerDayRow>], from: NaiveDate) -> Markup {
    // A day without a row is a day without calls.
    let values: Vec<Option<f64>> =
        days.iter().map(|d| Some(d.map_or(0, |d| d.calls) as f64)).collect();
    let newest = values.last().copied().flatten().unwrap_or(0.0);
    let weekday = usual(&values);
    let axis = |v: f64| {
        if v >= 10_000.0 {
            format!("{}k", words::decimal(v / 1e3, 0))
        } else {
            words::count(v as i64)
        }
    };
    let day = from + Days::new(DAYS - 1);
    let usual = words::count(weekday.round() as i64);
    let base = format!("against {usual} usual on a {}", day.format("%A"));
    let chart = Daily { from, values: &values, axis: &axis, role: SERIES, gap_word: "" };
    let svg = daily(&Frame { size: SIZE, title: "Calls by day", desc: &base }, chart);
    small("Calls", &words::count(newest as i64), &base, svg)
}

/// The median of the same weekday in the weeks before the last day.
fn usual(values: &[Option<f64>]) -> f64 {
    let last = values.len().saturating_sub(1);
    let mut same: Vec<f64> =
        (0..last).filter(|i| (last - i).is_multiple_of(7)).filter_map(|i| values[i]).collect();
    same.sort_by(f64::total_cmp);
    same.get(same.len() / 2).copied().unwrap_or(0.0)
}

fn rate_chart(kind: &Kind, days: &[Option<&PartnerDayRow>], from: NaiveDate) -> Markup {
    let of =
        |day: &PartnerDayRow| (day.calls > 0).then(|| (kind.count)(day) as f64 / day.calls as f64);
    let values: Vec<Option<f64>> = days.iter().map(|day| day.and_then(of)).collect();
    let week = rate_of(kind, &days[days.len() - 7..]);
    let before = rate_of(kind, &days[..days.len() - 7]);
    let high = values.iter().flatten().fold(0.0_f64, |a, b| a.max(*b));
    let places = match high * 100.0 {
        h if h < 0.02 => 3,
        h if h < 0.3 => 2,
        h if h < 3.0 => 1,
        _ => 0,
    };
    let axis = |v: f64| format!("{}{}%", words::decimal(v * 100.0, places), words::THIN_SPACE);
    let value = words::known(week, words::rate);
    let base = match before {
        Some(rate) => format!("last 7 days, {} before", words::rate(rate)),
        None => "last 7 days".to_owned(),
    };
    let title = format!("{} by day", kind.word);
    let svg = if high > 0.0 {
        let chart =
            Daily { from, values: &values, axis: &axis, role: kind.role, gap_word: "no calls" };
        daily(&Frame { size: SIZE, title: &title, desc: &base }, chart)
    } else {
        String::new()
    };
    if svg.is_empty() {
        return html! { div.small { p.label { (kind.word) } p.figure { b { (value) } " " span { (base) } } p.empty { "None in these days." } } };
    }
    small(kind.word, &value, &base, svg)
}

/// Rate over all calls of the days: not the mean of their rates.
fn rate_of(kind: &Kind, days: &[Option<&PartnerDayRow>]) -> Option<f64> {
    let calls: i64 = days.iter().flatten().map(|day| day.calls).sum();
    let counted: i64 = days.iter().flatten().map(|day| (kind.count)(day)).sum();
    (calls > 0).then(|| counted as f64 / calls as f64)
}

fn numbers(days: &[Option<&PartnerDayRow>], from: NaiveDate) -> Markup {
    let columns = [
        Column::Text("Day"),
        Column::Number("Calls"),
        Column::Number("Successes"),
        Column::Number("Client errors"),
        Column::Number("Server errors"),
        Column::Number("Throttled"),
    ];
    let line = |(i, day): (usize, &Option<&PartnerDayRow>)| {
        let date = words::day(from + Days::new(i as u64));
        let counts = day.map_or([0; 5], |d| {
            [d.calls, d.successes, d.client_errors, d.server_errors, d.throttled]
        });
        Row::new(std::iter::once(date).chain(counts.map(words::count)).collect())
    };
    table(&columns, &days.iter().enumerate().map(line).collect::<Vec<_>>())
}

/// The last 28 days in figures, and the quota.
pub(crate) fn reliability_section(page: &Page, by: &ByPartner, row: &HealthRow) -> Markup {
    let section = Section {
        subtitle: html! { "Production calls" },
        ..Section::new("reliability", "Last 28 days", 4, "partner_reliability")
    };
    let Some(facts) = by.reliability.get(row.partner_id.as_str()).filter(|r| r.calls > 0) else {
        return page.section(&section, &empty("No production call in 28 days."));
    };
    let quota = by.throttling.get(row.partner_id.as_str());
    let rate = |r: Option<f64>| words::known(r, words::rate);
    let lines = [
        (
            "Calls",
            format!(
                "{}, {} a day",
                words::count(facts.calls),
                words::known(facts.calls_per_day, |v| words::decimal(v, 0))
            ),
        ),
        ("Success rate", words::known(facts.success_rate, words::percent_1)),
        (
            "Client errors",
            format!("{}, auth {}", rate(facts.client_error_rate), rate(facts.auth_failure_rate)),
        ),
        ("Server errors", rate(facts.server_error_rate)),
        ("Throttled", rate(facts.throttled_rate)),
        ("Latency p50, p95, p99", latency(facts)),
        ("Peak a minute", peak(quota.copied())),
    ];
    let body = html! {
        table { tbody { @for (word, value) in lines { tr { td { (word) } td.num { b { (value) } } } } } }
    };
    page.section(&section, &body)
}

/// In ms; a partner whose calls carry no latency has none.
fn latency(row: &PartnerReliabilityRow) -> String {
    let all = [row.p50_ms, row.p95_ms, row.p99_ms];
    if all.iter().all(Option::is_none) {
        return "none sent".to_owned();
    }
    let shown = all.map(|ms| words::known(ms, |ms| words::decimal(ms, 0)));
    format!("{} ms", shown.join(", "))
}

fn peak(quota: Option<&crate::rows::ThrottlingRow>) -> String {
    let Some(row) = quota else { return words::UNKNOWN.to_owned() };
    let peak = words::known(row.peak_per_minute, words::count);
    match (row.quota_per_minute, row.utilisation) {
        (Some(quota), Some(share)) => {
            format!("{peak}, {} of {}", words::percent(share), words::count(quota))
        }
        _ => format!("{peak}, quota unknown"),
    }
}
