//! The tiles of the Overview page: the last complete period, its change, and the current period.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::comparison::Comparison;
use crate::components::cohorts::{SMALL_COHORT, mature_cohorts, matures_on};
use crate::components::figure::{self, Figure};
use crate::components::tile::{
    Tile, TileChange, TileTarget, TileValue, better_or_worse, percent_value, points, row_of_tiles,
    tone,
};
use crate::input::{ReportInput, last_two};
use crate::metric_rows::{ActivationRow, RevenueSummaryRow, TimeToFirstCallRow};
use crate::months;

/// The number of periods in a sparkline.
const SPARK_PERIODS: usize = 8;

/// Returns the six tiles in a row.
pub(super) fn row(input: &ReportInput, comparison: Comparison) -> Markup {
    row_of_tiles(&all(input, comparison))
}

/// Returns the six tiles.
pub(crate) fn all(input: &ReportInput, comparison: Comparison) -> Vec<Tile> {
    let mut tiles = vec![
        active(input, comparison),
        gross(input, comparison),
        paying(input, comparison),
        churn(input, comparison),
        activation(input, comparison),
        first_call(input, comparison),
    ];
    if input.is_empty() {
        tiles.iter_mut().for_each(|tile| tile.footer = html! { "No data yet" });
    }
    tiles
}

fn spark_values(values: impl Iterator<Item = Option<f64>>) -> Vec<Option<f64>> {
    let values: Vec<Option<f64>> = values.collect();
    crate::charts::last(&values, SPARK_PERIODS).to_vec()
}

/// Returns `Sep so far 248`, or the day from which the current month will be shown.
fn so_far(input: &ReportInput, figure: Option<Figure>) -> Markup {
    html! {
        @match (input.incomplete_month(), figure) {
            (Some(month), Some(figure)) => { (format::month(month)) " so far " (figure) }
            (Some(month), None) => (shown_from(month)),
            (None, _) => "The month is whole",
        }
    }
}

fn shown_from(month: NaiveDate) -> String {
    format!("{} shown from {}", format::month(month), format::date(months::next_month(month)))
}

/// What stands behind a change from the goal.
const ON_TARGET: &str = "against target";

/// A column of a metric that counts partners by month.
struct PartnerCount {
    label: &'static str,
    metric: &'static str,
    column: &'static str,
    /// In order of time.
    rows: Vec<MonthCount>,
}

/// A month, its count, and whether the month is complete.
type MonthCount = (NaiveDate, i64, bool);

fn count_tile(
    input: &ReportInput,
    of: &PartnerCount,
    goal: Option<f64>,
    comparison: Comparison,
) -> Tile {
    let now = of.rows.iter().rev().find(|row| row.2);
    let change = now.and_then(|now| count_change(of, now, goal, comparison));
    let current = of.rows.last().filter(|row| !row.2);
    let query = |month| figure::of_month(of.column, of.metric, month);
    Tile {
        label: of.label,
        period: now.map_or_else(String::new, |row| format::month(row.0)),
        value: now.map(|row| TileValue {
            number: format::thousands(row.1),
            unit: String::new(),
            exact: row.1.to_string(),
            query: query(row.0),
        }),
        change,
        missing_change: comparison.missing(now.map(|row| row.0)),
        target: TileTarget::of(goal, now.map(|row| row.1 as f64), true, |goal| {
            format::thousands(goal.round() as i64)
        }),
        history: spark_values(of.rows.iter().filter(|row| row.2).map(|row| Some(row.1 as f64))),
        footer: so_far(input, current.map(|row| Figure::count(row.1, query(row.0)))),
    }
}

/// Returns the change of a count.
fn count_change(
    of: &PartnerCount,
    now: &MonthCount,
    goal: Option<f64>,
    comparison: Comparison,
) -> Option<TileChange> {
    let (by, base, query) = match comparison {
        Comparison::Target => {
            let goal = goal?.round() as i64;
            let query = figure::of_month(&format!("{} - {goal}", of.column), of.metric, now.0);
            (now.1 - goal, ON_TARGET.to_owned(), query)
        }
        _ => {
            let before = comparison.base(&of.rows, now.0, |row| row.0)?;
            let what = format!("a.{0} - b.{0}", of.column);
            let query = figure::between_months(&what, of.metric, now.0, before.0);
            (now.1 - before.1, comparison.on(before.0), query)
        }
    };
    let tone = tone(by as f64, true);
    Some(TileChange { by: Figure::new(format::signed_integer(by), by, query), base, tone })
}

fn active(input: &ReportInput, comparison: Comparison) -> Tile {
    let rows = input.growth.iter().map(|r| (r.month, r.active, r.complete)).collect();
    let (metric, column) = ("growth", "active");
    let of = PartnerCount { label: "Active partners", metric, column, rows };
    count_tile(input, &of, input.targets.active_partners, comparison)
}

fn paying(input: &ReportInput, comparison: Comparison) -> Tile {
    let of = |r: &RevenueSummaryRow| (r.month, r.paying_partners, r.complete);
    let rows = input.revenue_summary.iter().map(of).collect();
    let (metric, column) = ("revenue_summary", "paying_partners");
    let of = PartnerCount { label: "Paying partners", metric, column, rows };
    count_tile(input, &of, input.targets.paying_partners, comparison)
}

/// Returns the change of gross revenue as a share of what it is compared with.
fn gross_change(
    input: &ReportInput,
    now: &RevenueSummaryRow,
    comparison: Comparison,
) -> Option<TileChange> {
    const METRIC: &str = "revenue_summary";
    let (before, base, query) = match comparison {
        Comparison::Target => {
            let goal = input.targets.gross_revenue?;
            let ratio = format!("CAST(gross AS DOUBLE) / {goal} - 1");
            (goal, ON_TARGET.to_owned(), figure::of_month(&ratio, METRIC, now.month))
        }
        _ => {
            let before = comparison.base(&input.revenue_summary, now.month, |row| row.month)?;
            let ratio = "CAST(a.gross AS DOUBLE) / CAST(b.gross AS DOUBLE) - 1";
            let query = figure::between_months(ratio, METRIC, now.month, before.month);
            (before.gross, comparison.on(before.month), query)
        }
    };
    let by = (before > 0.0).then(|| now.gross / before - 1.0)?;
    let tone = tone(by, true);
    Some(TileChange { by: Figure::new(format::signed_percent(by), by, query), base, tone })
}

fn gross(input: &ReportInput, comparison: Comparison) -> Tile {
    let (now, _) = input.last_revenue();
    let change = now.and_then(|now| gross_change(input, now, comparison));
    let current = input.revenue_summary.last().filter(|row| !row.complete);
    let query = |month| figure::of_month("gross", "revenue_summary", month);
    let current = current.map(|row| Figure::money(row.gross, &input.currency, query(row.month)));
    Tile {
        label: "Gross revenue",
        period: now.map_or_else(String::new, |row| format::month(row.month)),
        value: now.map(|row| {
            let (number, unit) = format::money_parts(row.gross, &input.currency);
            let (exact, query) = (row.gross.to_string(), query(row.month));
            TileValue { number, unit: unit.to_owned(), exact, query }
        }),
        change,
        missing_change: comparison.missing(now.map(|row| row.month)),
        target: TileTarget::of(
            input.targets.gross_revenue,
            now.map(|row| row.gross),
            true,
            |goal| format::money(goal, &input.currency),
        ),
        history: spark_values(
            input.revenue_summary.iter().filter(|r| r.complete).map(|r| Some(r.gross)),
        ),
        footer: so_far(input, current),
    }
}

fn churn(input: &ReportInput, comparison: Comparison) -> Tile {
    let (now, _) = input.last_growth();
    let rate = now.and_then(|row| Some((row.churn_rate?, row.month)));
    let change = rate.and_then(|(rate, month)| match comparison {
        Comparison::Target => {
            let goal = input.targets.churn_rate?;
            let query = figure::of_month(&format!("churn_rate - {goal}"), "growth", month);
            Some(points(rate - goal, ON_TARGET, query, false))
        }
        _ => {
            let before = comparison.base(&input.growth, month, |row| row.month)?;
            let what = "a.churn_rate - b.churn_rate";
            let query = figure::between_months(what, "growth", month, before.month);
            Some(points(rate - before.churn_rate?, &comparison.on(before.month), query, false))
        }
    });
    Tile {
        label: "Churn rate",
        period: now.map_or_else(String::new, |row| format::month(row.month)),
        value: rate
            .map(|(r, month)| percent_value(r, figure::of_month("churn_rate", "growth", month))),
        change,
        missing_change: comparison.missing(now.map(|row| row.month)),
        target: TileTarget::of(
            input.targets.churn_rate,
            rate.map(|(rate, _)| rate),
            false,
            |goal| format!("at most {}", format::percent_with_places(goal, 1)),
        ),
        history: spark_values(input.growth.iter().filter(|r| r.complete).map(|r| r.churn_rate)),
        footer: so_far(input, None),
    }
}

/// Returns the query for the difference of two registration cohorts of a metric.
fn cohort_difference(column: &str, metric: &str, a: NaiveDate, b: NaiveDate) -> String {
    format!(
        "SELECT a.{column} - b.{column} FROM {metric} a, {metric} b \
         WHERE a.cohort_month = '{a}' AND b.cohort_month = '{b}'"
    )
}

/// Returns the cohort that a cohort is compared with. Cohorts that are too small are left out, so the
/// one before may be of an earlier month than the last.
fn base_cohort<T>(
    cohorts: &[T],
    month_of: impl Fn(&T) -> Option<NaiveDate>,
    comparison: Comparison,
) -> Option<&T> {
    match comparison {
        Comparison::Previous => last_two(cohorts, |_| true).1,
        _ => {
            let month = month_of(cohorts.last()?)?;
            comparison.base(cohorts, month, |row| month_of(row).unwrap_or_default())
        }
    }
}

fn activation_change(
    input: &ReportInput,
    cohorts: &[&ActivationRow],
    comparison: Comparison,
) -> Option<TileChange> {
    let now = cohorts.last()?;
    let (rate, month) = (now.activation_rate?, now.cohort_month?);
    if comparison == Comparison::Target {
        let goal = input.targets.activation_rate?;
        let what = format!("activation_rate - {goal}");
        let query = figure::of_cohort(&what, "activation", Some(month));
        return Some(points(rate - goal, ON_TARGET, query, true));
    }
    let before = base_cohort(cohorts, |row| row.cohort_month, comparison)?;
    let (before, then) = (before.activation_rate?, before.cohort_month?);
    let query = cohort_difference("activation_rate", "activation", month, then);
    Some(points(rate - before, &comparison.on(then), query, true))
}

fn activation(input: &ReportInput, comparison: Comparison) -> Tile {
    let cohorts = mature_cohorts(&input.activation);
    let now = cohorts.last();
    let of = |row: &&ActivationRow| Some((row.activation_rate?, row.cohort_month?));
    let rate = now.and_then(of);
    let next = input.activation.iter().find(|row| !row.mature && row.cohort_month.is_some());
    let matures = next.and_then(|row| row.cohort_month).map(|month| {
        format!("{} matures on {}", format::month(month), format::date(matures_on(month)))
    });
    Tile {
        label: "Activation rate",
        period: now.and_then(|row| row.cohort_month).map_or_else(String::new, format::month),
        value: rate.map(|(rate, month)| {
            percent_value(rate, figure::of_cohort("activation_rate", "activation", Some(month)))
        }),
        change: activation_change(input, &cohorts, comparison),
        missing_change: comparison.missing(now.and_then(|row| row.cohort_month)),
        target: TileTarget::of(
            input.targets.activation_rate,
            rate.map(|(rate, _)| rate),
            true,
            format::percent,
        ),
        history: spark_values(cohorts.iter().map(|r| r.activation_rate)),
        footer: match rate {
            None => no_large_cohort(),
            Some(_) => html! { (matures.unwrap_or_else(|| "Live within 30 days".to_owned())) },
        },
    }
}

/// Returns the footer of a tile without a cohort that is large enough.
fn no_large_cohort() -> Markup {
    html! { "No whole cohort of " (SMALL_COHORT) " yet" }
}

fn first_call(input: &ReportInput, comparison: Comparison) -> Tile {
    let months: Vec<_> =
        mature_cohorts(&input.activation).iter().filter_map(|r| r.cohort_month).collect();
    let rows: Vec<_> = input
        .time_to_first_call
        .iter()
        .filter(|row| row.cohort_month.is_some_and(|month| months.contains(&month)))
        .collect();
    let now = rows.last();
    let before = base_cohort(&rows, |row| row.cohort_month, comparison);
    let of = |row: &&TimeToFirstCallRow| Some((row.median_seconds?, row.cohort_month?));
    let median = now.and_then(of);
    let young = input.time_to_first_call.iter().rev().find(|row| {
        row.cohort_month.is_some_and(|m| !months.contains(&m)) && row.partners >= SMALL_COHORT
    });
    let query = |month| figure::of_cohort("median_seconds", "time_to_first_call", Some(month));
    let foot = young.as_ref().and_then(of).map(|(seconds, month)| {
        html! { "Median; " (format::month(month)) " so far " (Figure::duration(seconds, query(month))) }
    });
    Tile {
        label: "Time to first call",
        period: now.and_then(|row| row.cohort_month).map_or_else(String::new, format::month),
        value: median.map(|(seconds, month)| {
            let (number, unit) = format::duration_parts(seconds);
            let (exact, query) = (seconds.to_string(), query(month));
            TileValue { number, unit: unit.to_owned(), exact, query }
        }),
        change: median.zip(before.and_then(of)).map(|both| duration_change(both, comparison)),
        missing_change: comparison.missing(now.and_then(|row| row.cohort_month)),
        target: None,
        history: spark_values(rows.iter().map(|r| r.median_seconds)),
        footer: match (now, median) {
            (None, _) => no_large_cohort(),
            (_, None) => html! { "Fewer than half have called" },
            _ => foot.unwrap_or_else(|| html! { "Median by cohort" }),
        },
    }
}

/// Returns how much longer the newer of two cohorts took. Each is given as `(median, cohort)`, the
/// newer first.
fn duration_change(
    ((now, month), (before, then)): ((f64, NaiveDate), (f64, NaiveDate)),
    comparison: Comparison,
) -> TileChange {
    let by = now - before;
    let tone = tone(by, false);
    let sign = match by {
        by if by > 0.0 => "+",
        by if by < 0.0 => "\u{2212}",
        _ => "",
    };
    let shown = format!("{sign}{}", format::duration(by.abs()));
    let query = cohort_difference("median_seconds", "time_to_first_call", month, then);
    let base = format!("{}{}", comparison.on(then), better_or_worse(tone));
    TileChange { by: Figure::new(shown, by, query), base, tone }
}
