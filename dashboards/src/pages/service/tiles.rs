//! The tiles of the Service page: the last complete month, and its change.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use super::{MonthTotal, THEIRS};
use crate::charts::last;
use crate::components::figure::{self, Figure};
use crate::components::tile::{
    Tile, TileChange, TileValue, Tone, percent_value, points, row_of_tiles,
};
use crate::input::ReportInput;
use crate::months;

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
pub(super) fn all(input: &ReportInput) -> Markup {
    let totals = MonthTotal::complete(input);
    let mut tiles = vec![calls(&totals)];
    tiles.extend(RATES.iter().map(|rate| rate_tile(rate, &totals)));
    tiles.push(promises(input));
    row_of_tiles(&tiles)
}

/// Returns the last month, and the one before it if that has calls.
fn last_two(totals: &[MonthTotal]) -> (Option<&MonthTotal>, Option<&MonthTotal>) {
    let now = totals.last();
    let before = totals.iter().rev().nth(1);
    let is_next =
        |before: &&MonthTotal| now.is_some_and(|now| months::next_month(before.month) == now.month);
    (now, before.filter(is_next))
}

fn on(month: NaiveDate) -> String {
    format!("on {}", format::month(month))
}

/// Returns the query that compares an aggregate of two months, named `a.v` and `b.v`.
fn compared(what: &str, sql: &str, now: &MonthTotal, before: &MonthTotal) -> String {
    let [a, b] = [now, before].map(|total| total.query(&format!("{sql} AS v")));
    format!("SELECT {what} FROM ({a}) a, ({b}) b")
}

fn calls(totals: &[MonthTotal]) -> Tile {
    let (now, before) = last_two(totals);
    let change = now.zip(before).filter(|(_, b)| b.calls > 0).map(|(now, before)| {
        let by = now.calls as f64 / before.calls as f64 - 1.0;
        let query = compared("CAST(a.v AS DOUBLE) / b.v - 1", "sum(calls)", now, before);
        let by = Figure::new(format::signed_percent(by), by, query);
        TileChange { by, base: on(before.month), tone: Tone::Neutral }
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

fn rate_tile(rate: &Rate, totals: &[MonthTotal]) -> Tile {
    let (now, before) = last_two(totals);
    let history: Vec<Option<f64>> = totals.iter().map(|total| Some((rate.of)(total))).collect();
    Tile {
        label: rate.label,
        period: now.map_or_else(String::new, |now| format::month(now.month)),
        value: now.map(|now| percent_value((rate.of)(now), now.query(rate.sql))),
        change: now.zip(before).map(|(now, before)| {
            let by = (rate.of)(now) - (rate.of)(before);
            let query = compared("a.v - b.v", rate.sql, now, before);
            points(by, &on(before.month), query, rate.up_is_good)
        }),
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
