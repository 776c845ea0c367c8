//! The small charts of traffic, each under its newest figure and what that is compared with.

use domain::format;
use maud::{Markup, PreEscaped, html};

use super::periods::Traffic;
use crate::charts::ChartFrame;
use crate::charts::trend::{TrendChart, trend_chart};
use crate::components::shell::Page;
use crate::grain::Grain;
use crate::health_rows::TrafficRow;
use crate::theme::{ColourRole, SERIES};

/// The size of a chart in px: a quarter of the page wide.
const SIZE: (f64, f64) = (266.0, 136.0);

/// A chart of the share of calls that have some outcome.
pub(super) struct RateChart {
    pub label: &'static str,
    pub count: fn(&TrafficRow) -> i64,
    pub role: ColourRole,
}

/// Returns the chart of calls and those of the rates.
pub(super) fn all(page: &Page, traffic: &Traffic, rates: &[RateChart]) -> Markup {
    html! {
        div.four {
            (calls_chart(page, traffic))
            @for chart in rates { (rate_chart(chart, page, traffic)) }
        }
    }
}

/// Returns a small chart under its label, the newest value and what that is compared with.
fn small_chart(label: &str, value: &str, base: &str, chart: &Markup) -> Markup {
    html! {
        div.small {
            p.label { (label) }
            p.figure { b { (value) } " " span { (base) } }
            (chart)
        }
    }
}

fn calls_chart(page: &Page, traffic: &Traffic) -> Markup {
    // A period without a row is one without calls.
    let values: Vec<Option<f64>> =
        traffic.rows.iter().map(|row| Some(row.map_or(0, |row| row.calls) as f64)).collect();
    let axis = |v: f64| {
        if v >= 1e6 {
            format!("{}M", format::decimal(v / 1e6, usize::from(v < 1e7)))
        } else if v >= 10_000.0 {
            format!("{}k", format::decimal(v / 1e3, 0))
        } else {
            format::thousands(v as i64)
        }
    };
    let (newest, base) = calls_in_words(traffic, &values);
    let title = format!("Calls by {}", traffic.grain.name());
    let svg = draw(page, traffic, (&title, &base), &values, (&axis, SERIES, ""));
    small_chart("Calls", &short_count(newest), &base, &svg)
}

/// Returns the calls of the newest period that is over, and what they are compared with.
fn calls_in_words(traffic: &Traffic, values: &[Option<f64>]) -> (f64, String) {
    let Some(newest) = traffic.whole().checked_sub(1) else { return (0.0, String::new()) };
    let value = |i: usize| values[i].unwrap_or(0.0);
    if traffic.grain == Grain::Day {
        let day = traffic.periods[newest].0;
        let base = match usual_on_weekday(values) {
            usual if usual > 0.0 => {
                format!("against {} usual on a {}", short_count(usual), day.format("%A"))
            }
            _ => format!("on {}, with nothing usual yet", format::date(day)),
        };
        return (value(newest), base);
    }
    let when = in_period(traffic, newest);
    let base = match newest.checked_sub(1) {
        Some(before) => format!("{when}, {} before", short_count(value(before))),
        None => when,
    };
    (value(newest), base)
}

/// Returns when a week or a month was: `week of 16 Mar`, `in Feb`.
fn in_period(traffic: &Traffic, i: usize) -> String {
    let first = traffic.periods[i].0;
    match traffic.grain {
        Grain::Month => format!("in {}", format::month(first)),
        Grain::Day | Grain::Week => format!("week of {}", format::date(first)),
    }
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

fn rate_chart(chart: &RateChart, page: &Page, traffic: &Traffic) -> Markup {
    let of =
        |row: &TrafficRow| (row.calls > 0).then(|| (chart.count)(row) as f64 / row.calls as f64);
    let values: Vec<Option<f64>> = traffic.rows.iter().map(|row| row.and_then(of)).collect();
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
    let (rate, base) = rate_in_words(chart, traffic);
    let value = format::known_or_unknown(rate, format::short_percent);
    if high <= 0.0 {
        let none = html! { p.empty { "None in this time." } };
        return small_chart(chart.label, &value, &base, &none);
    }
    let title = format!("{} by {}", chart.label, traffic.grain.name());
    let svg = draw(page, traffic, (&title, &base), &values, (&axis, chart.role, "no calls"));
    small_chart(chart.label, &value, &base, &svg)
}

/// Returns the rate of the last seven days, or of the newest period that is over, and what it is
/// compared with: the time before.
fn rate_in_words(chart: &RateChart, traffic: &Traffic) -> (Option<f64>, String) {
    let whole = traffic.whole();
    let newest = if traffic.grain == Grain::Day { 7 } else { 1 };
    let (before, now) = traffic.rows[..whole].split_at(whole.saturating_sub(newest));
    let when = match traffic.grain {
        Grain::Day => "last 7 days".to_owned(),
        Grain::Week | Grain::Month => in_period(traffic, whole.saturating_sub(1)),
    };
    let base = match overall_rate(chart, before) {
        Some(rate) => format!("{when}, {} before", format::short_percent(rate)),
        None => when,
    };
    (overall_rate(chart, now), base)
}

/// Returns the rate over all calls of the periods, which is not the mean of their rates.
fn overall_rate(chart: &RateChart, rows: &[Option<&TrafficRow>]) -> Option<f64> {
    let calls: i64 = rows.iter().flatten().map(|row| row.calls).sum();
    let counted: i64 = rows.iter().flatten().map(|row| (chart.count)(row)).sum();
    (calls > 0).then(|| counted as f64 / calls as f64)
}

/// How a chart is drawn: its axis, its colour and the label of a gap.
type Style<'a> = (&'a dyn Fn(f64) -> String, ColourRole, &'a str);

fn draw(
    page: &Page,
    traffic: &Traffic,
    (title, desc): (&str, &str),
    values: &[Option<f64>],
    (axis, role, gap_label): Style,
) -> Markup {
    let frame = ChartFrame { size: SIZE, title, desc, marks: &page.marks };
    let chart = TrendChart {
        grain: traffic.grain,
        periods: &traffic.periods,
        is_last_running: traffic.is_last_running(),
        values,
        axis,
        role,
        gap_label,
    };
    PreEscaped(trend_chart(&frame, chart))
}
