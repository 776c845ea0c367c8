//! The tiles of the Service page: the last complete month, and its change.

use domain::format;
use maud::{Markup, html};

use super::{MonthTotal, THEIRS};
use crate::charts::last;
use crate::comparison::Comparison;
use crate::components::figure::{self, Figure};
use crate::components::tile::{
    Tile, TileChange, TileValue, Tone, percent_value, points, row_of_tiles,
};
use crate::input::ReportInput;

/// The number of periods in a sparkline.
const SPARK_PERIODS: usize = 8;

/// A rate of a month, with its query.
struct Rate {
    label: &'static str,
    of: fn(&MonthTotal) -> f64,
    sql: &'static str,
    up_is_good: bool,
    footer: &'static str,
}

const RATES: [Rate; 4] = [
    Rate {
        label: "Success rate",
        of: |total| total.success_rate,
        sql: "sum(success_rate * calls) / sum(calls)",
        up_is_good: true,
        footer: "Of all production calls",
    },
    Rate {
        label: "Server errors",
        of: |total| total.server_error_rate,
        sql: "sum(server_error_rate * calls) / sum(calls)",
        up_is_good: false,
        footer: "Our doing",
    },
    Rate {
        label: "Throttled",
        of: |total| total.throttled_rate,
        sql: "sum(throttled_rate * calls) / sum(calls)",
        up_is_good: false,
        footer: "Our doing: the quota",
    },
    Rate {
        label: "Client errors",
        of: MonthTotal::theirs,
        sql: THEIRS,
        up_is_good: false,
        footer: "Their doing",
    },
];

/// Returns the tiles.
pub(super) fn all(input: &ReportInput, comparison: Comparison) -> Markup {
    let totals = MonthTotal::complete(input);
    let mut tiles = vec![calls(&totals, comparison)];
    tiles.extend(RATES.iter().map(|rate| rate_tile(rate, &totals, comparison)));
    tiles.push(promises(input));
    row_of_tiles(&tiles)
}

/// Returns the last month, and the one that it is compared with if that has calls.
fn compared_months(
    totals: &[MonthTotal],
    comparison: Comparison,
) -> (Option<&MonthTotal>, Option<&MonthTotal>) {
    let now = totals.last();
    (now, now.and_then(|now| comparison.base(totals, now.month, |total| total.month)))
}

/// Returns the query that compares an aggregate of two months, named `a.v` and `b.v`.
fn compared(what: &str, sql: &str, now: &MonthTotal, before: &MonthTotal) -> String {
    let [a, b] = [now, before].map(|total| total.query(&format!("{sql} AS v")));
    format!("SELECT {what} FROM ({a}) a, ({b}) b")
}

fn calls(totals: &[MonthTotal], comparison: Comparison) -> Tile {
    let (now, before) = compared_months(totals, comparison);
    let change = now.zip(before).filter(|(_, b)| b.calls > 0).map(|(now, before)| {
        let by = now.calls as f64 / before.calls as f64 - 1.0;
        let query = compared("CAST(a.v AS DOUBLE) / b.v - 1", "sum(calls)", now, before);
        let by = Figure::new(format::signed_percent(by), by, query);
        TileChange { by, base: comparison.on(before.month), tone: Tone::Neutral }
    });
    let history: Vec<Option<f64>> = totals.iter().map(|t| Some(t.calls as f64)).collect();
    Tile {
        label: "Production calls",
        period: now.map_or_else(String::new, |now| format::month(now.month)),
        value: now.map(|now| {
            let (number, unit) = shortened(now.calls);
            let (exact, query) = (now.calls.to_string(), now.query("sum(calls)"));
            TileValue { number, unit: unit.to_owned(), exact, query }
        }),
        change,
        missing_change: comparison.missing(now.map(|now| now.month)),
        target: None,
        history: last(&history, SPARK_PERIODS).to_vec(),
        footer: footer(now, "Of all partners"),
    }
}

/// Returns a count with at most four digits, and its unit.
fn shortened(n: i64) -> (String, &'static str) {
    match n as f64 {
        n if n >= 1e9 => (format::decimal(n / 1e9, 1), "bn"),
        n if n >= 1e6 => (format::decimal(n / 1e6, 1), "M"),
        n if n >= 1e5 => (format::decimal(n / 1e3, 0), "k"),
        _ => (format::thousands(n), ""),
    }
}

fn rate_tile(rate: &Rate, totals: &[MonthTotal], comparison: Comparison) -> Tile {
    let (now, before) = compared_months(totals, comparison);
    let history: Vec<Option<f64>> = totals.iter().map(|total| Some((rate.of)(total))).collect();
    Tile {
        label: rate.label,
        period: now.map_or_else(String::new, |now| format::month(now.month)),
        value: now.map(|now| percent_value((rate.of)(now), now.query(rate.sql))),
        change: now.zip(before).map(|(now, before)| {
            let by = (rate.of)(now) - (rate.of)(before);
            let query = compared("a.v - b.v", rate.sql, now, before);
            points(by, &comparison.on(before.month), query, rate.up_is_good)
        }),
        missing_change: comparison.missing(now.map(|now| now.month)),
        target: None,
        history: last(&history, SPARK_PERIODS).to_vec(),
        footer: footer(now, rate.footer),
    }
}

fn footer(now: Option<&MonthTotal>, text: &'static str) -> Markup {
    html! { @if now.is_some() { (text) } @else { "No whole month with calls yet" } }
}

/// Returns the tile on the partners that got what their plan promised.
fn promises(input: &ReportInput) -> Tile {
    let months = super::promises::by_month(input);
    let complete: Vec<_> = months.iter().filter(|month| month.complete).collect();
    let now = complete.last();
    let history: Vec<Option<f64>> = complete.iter().map(|month| Some(month.kept_share())).collect();
    Tile {
        label: "Promises kept",
        period: now.map_or_else(String::new, |now| format::month(now.month)),
        value: now.map(|now| {
            let what = "CAST(count(*) FILTER (WHERE NOT breached) AS DOUBLE) / count(*)";
            percent_value(now.kept_share(), figure::of_month(what, "sla_breaches", now.month))
        }),
        change: None,
        missing_change: None,
        target: None,
        history: last(&history, SPARK_PERIODS).to_vec(),
        footer: html! {
            @match now {
                Some(_) => "Of plans with a target",
                None => "No plan has a target",
            }
        },
    }
}
