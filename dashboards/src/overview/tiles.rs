//! The tiles of the Overview page: the last complete period, its change, the running period below.

use chrono::NaiveDate;
use maud::{Markup, html};

use super::{SMALL_COHORT, mature};
use crate::figure::{self, Figure};
use crate::input::{ReportInput, last_two};
use crate::rows::{ActivationRow, RevenueSummaryRow, TimeToFirstCallRow};
use crate::tile::{Tile, Tone, Value, tiles as tiles_in_a_row, tone};
use crate::{funnel, words};

/// Periods of a sparkline.
const SPARK: usize = 8;

/// Six figures of the last complete periods.
pub(super) fn all(input: &ReportInput) -> Markup {
    let mut tiles = vec![
        active(input),
        gross(input),
        paying(input),
        churn(input),
        activation(input),
        first_call(input),
    ];
    if input.is_empty() {
        tiles.iter_mut().for_each(|tile| tile.foot = html! { "No data yet" });
    }
    tiles_in_a_row(&tiles)
}

fn tail(values: impl Iterator<Item = Option<f64>>) -> Vec<Option<f64>> {
    let values: Vec<Option<f64>> = values.collect();
    crate::charts::last(&values, SPARK).to_vec()
}

/// `Sep so far 248`, or when the running month will be shown.
fn so_far(input: &ReportInput, figure: Option<Figure>) -> Markup {
    html! {
        @match (input.running_month(), figure) {
            (Some(month), Some(figure)) => { (words::month(month)) " so far " (figure) }
            (Some(month), None) => (shown_from(month)),
            (None, _) => "The month is whole",
        }
    }
}

fn shown_from(month: NaiveDate) -> String {
    format!("{} shown from {}", words::month(month), words::day(words::next_month(month)))
}

fn on(month: NaiveDate) -> String {
    format!("on {}", words::month(month))
}

/// A count of partners by month: of the last whole one, its change, and of the running one.
struct Counted {
    label: &'static str,
    metric: &'static str,
    column: &'static str,
    /// Oldest first.
    rows: Vec<Month>,
}

/// A month, a count and whether the month is whole.
type Month = (NaiveDate, i64, bool);

fn counted(input: &ReportInput, of: &Counted) -> Tile {
    let (now, before) = last_two(&of.rows, |row| row.2);
    // A month without a row is not the one before.
    let beside = |(now, before): &(&Month, &Month)| words::next_month(before.0) == now.0;
    let change = now.zip(before).filter(beside).map(|(now, before)| {
        let by = now.1 - before.1;
        let query =
            figure::between(&format!("a.{0} - b.{0}", of.column), of.metric, now.0, before.0);
        (Figure::new(words::signed(by), by, query), on(before.0), tone(by as f64, true))
    });
    let running = of.rows.last().filter(|row| !row.2);
    let query = |month| figure::monthly(of.column, of.metric, month);
    Tile {
        label: of.label,
        period: now.map_or_else(String::new, |row| words::month(row.0)),
        value: now.map(|row| Value {
            number: words::count(row.1),
            unit: String::new(),
            exact: row.1.to_string(),
            query: query(row.0),
        }),
        change,
        line: tail(of.rows.iter().filter(|row| row.2).map(|row| Some(row.1 as f64))),
        foot: so_far(input, running.map(|row| Figure::count(row.1, query(row.0)))),
    }
}

fn active(input: &ReportInput) -> Tile {
    let rows = input.growth.iter().map(|r| (r.month, r.active, r.complete)).collect();
    counted(input, &Counted { label: "Active partners", metric: "growth", column: "active", rows })
}

fn paying(input: &ReportInput) -> Tile {
    let of = |r: &RevenueSummaryRow| (r.month, r.paying_partners, r.complete);
    let rows = input.revenue_summary.iter().map(of).collect();
    let (metric, column) = ("revenue_summary", "paying_partners");
    counted(input, &Counted { label: "Paying partners", metric, column, rows })
}

fn gross(input: &ReportInput) -> Tile {
    let (now, before) = input.last_revenue();
    let change = now.zip(before).filter(|(_, b)| b.gross > 0.0).map(|(now, before)| {
        let by = now.gross / before.gross - 1.0;
        let ratio = "CAST(a.gross AS DOUBLE) / CAST(b.gross AS DOUBLE) - 1";
        let query = figure::between(ratio, "revenue_summary", now.month, before.month);
        (Figure::new(words::signed_percent(by), by, query), on(before.month), tone(by, true))
    });
    let running = input.revenue_summary.last().filter(|row| !row.complete);
    let query = |month| figure::monthly("gross", "revenue_summary", month);
    let so_far_now = running.map(|row| Figure::money(row.gross, &input.currency, query(row.month)));
    Tile {
        label: "Gross revenue",
        period: now.map_or_else(String::new, |row| words::month(row.month)),
        value: now.map(|row| {
            let (number, unit) = words::money_parts(row.gross, &input.currency);
            let (exact, query) = (row.gross.to_string(), query(row.month));
            Value { number, unit: unit.to_owned(), exact, query }
        }),
        change,
        line: tail(input.revenue_summary.iter().filter(|r| r.complete).map(|r| Some(r.gross))),
        foot: so_far(input, so_far_now),
    }
}

/// Change of a ratio in percentage points; "better" and "worse" are said of one that shows.
fn points(by: f64, base: &str, query: String, up_is_good: bool) -> (Figure, String, Tone) {
    let number = words::signed_decimal(by * 100.0, 1);
    let shows = number.starts_with(['+', '\u{2212}']);
    let tone = if shows { tone(by, up_is_good) } else { Tone::Plain };
    let shown = format!("{number}{}pp", words::THIN_SPACE);
    (Figure::new(shown, by, query), format!("{base}{}", verdict(tone)), tone)
}

fn verdict(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => ", better",
        Tone::Bad => ", worse",
        Tone::Plain => "",
    }
}

fn percent_value(ratio: f64, query: String) -> Value {
    let shown = words::percent_1(ratio);
    let number = shown.trim_end_matches(['%', words::THIN_SPACE]).to_owned();
    Value { number, unit: "%".to_owned(), exact: ratio.to_string(), query }
}

fn churn(input: &ReportInput) -> Tile {
    let (now, before) = input.last_growth();
    let rate = now.and_then(|row| Some((row.churn_rate?, row.month)));
    let change = rate.zip(before.and_then(|row| Some((row.churn_rate?, row.month))));
    Tile {
        label: "Churn rate",
        period: now.map_or_else(String::new, |row| words::month(row.month)),
        value: rate
            .map(|(r, month)| percent_value(r, figure::monthly("churn_rate", "growth", month))),
        change: change.map(|((now, month), (before, then))| {
            let query = figure::between("a.churn_rate - b.churn_rate", "growth", month, then);
            points(now - before, &on(then), query, false)
        }),
        line: tail(input.growth.iter().filter(|r| r.complete).map(|r| r.churn_rate)),
        foot: so_far(input, None),
    }
}

/// A comparison of two registration cohorts of a metric.
fn cohorts_apart(column: &str, metric: &str, a: NaiveDate, b: NaiveDate) -> String {
    format!(
        "SELECT a.{column} - b.{column} FROM {metric} a, {metric} b \
         WHERE a.cohort_month = '{a}' AND b.cohort_month = '{b}'"
    )
}

fn activation(input: &ReportInput) -> Tile {
    let cohorts = mature(&input.activation);
    let (now, before) = last_two(&cohorts, |_| true);
    let of = |row: &&ActivationRow| Some((row.activation_rate?, row.cohort_month?));
    let rate = now.and_then(of);
    let next = input.activation.iter().find(|row| !row.mature && row.cohort_month.is_some());
    let matures = next.and_then(|row| row.cohort_month).map(|month| {
        format!("{} matures on {}", words::month(month), words::day(funnel::matures_on(month)))
    });
    Tile {
        label: "Activation rate",
        period: now.and_then(|row| row.cohort_month).map_or_else(String::new, words::month),
        value: rate.map(|(rate, month)| {
            percent_value(rate, figure::of_cohort("activation_rate", "activation", Some(month)))
        }),
        change: rate.zip(before.and_then(of)).map(|((now, month), (before, then))| {
            let query = cohorts_apart("activation_rate", "activation", month, then);
            points(now - before, &on(then), query, true)
        }),
        line: tail(cohorts.iter().map(|r| r.activation_rate)),
        foot: match rate {
            None => no_cohort(),
            Some(_) => html! { (matures.unwrap_or_else(|| "Live within 30 days".to_owned())) },
        },
    }
}

/// Why there is no figure of a cohort.
fn no_cohort() -> Markup {
    html! { "No whole cohort of " (SMALL_COHORT) " yet" }
}

fn first_call(input: &ReportInput) -> Tile {
    let months: Vec<_> = mature(&input.activation).iter().filter_map(|r| r.cohort_month).collect();
    let rows: Vec<_> = input
        .time_to_first_call
        .iter()
        .filter(|row| row.cohort_month.is_some_and(|month| months.contains(&month)))
        .collect();
    let (now, before) = last_two(&rows, |_| true);
    let of = |row: &&TimeToFirstCallRow| Some((row.median_seconds?, row.cohort_month?));
    let median = now.and_then(of);
    let young = input.time_to_first_call.iter().rev().find(|row| {
        row.cohort_month.is_some_and(|m| !months.contains(&m)) && row.partners >= SMALL_COHORT
    });
    let query = |month| figure::of_cohort("median_seconds", "time_to_first_call", Some(month));
    let foot = young.as_ref().and_then(of).map(|(seconds, month)| {
        html! { "Median; " (words::month(month)) " so far " (Figure::duration(seconds, query(month))) }
    });
    Tile {
        label: "Time to first call",
        period: now.and_then(|row| row.cohort_month).map_or_else(String::new, words::month),
        value: median.map(|(seconds, month)| {
            let (number, unit) = words::duration_parts(seconds);
            let (exact, query) = (seconds.to_string(), query(month));
            Value { number, unit: unit.to_owned(), exact, query }
        }),
        change: median.zip(before.and_then(of)).map(slower),
        line: tail(rows.iter().map(|r| r.median_seconds)),
        foot: match (now, median) {
            (None, _) => no_cohort(),
            (_, None) => html! { "Fewer than half have called" },
            _ => foot.unwrap_or_else(|| html! { "Median by cohort" }),
        },
    }
}

/// How much longer the newer of two cohorts took: `(median, cohort)` each, the newer first.
fn slower(
    ((now, month), (before, then)): ((f64, NaiveDate), (f64, NaiveDate)),
) -> (Figure, String, Tone) {
    let by = now - before;
    let tone = tone(by, false);
    let sign = match by {
        by if by > 0.0 => "+",
        by if by < 0.0 => "\u{2212}",
        _ => "",
    };
    let shown = format!("{sign}{}", words::duration(by.abs()));
    let query = cohorts_apart("median_seconds", "time_to_first_call", month, then);
    (Figure::new(shown, by, query), format!("{}{}", on(then), verdict(tone)), tone)
}
