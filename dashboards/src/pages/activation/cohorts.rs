//! The registration cohorts: time to first call, activation, and when each cohort matures.

use domain::format;
use maud::{Markup, PreEscaped, html};

use crate::charts::{dots, last};
use crate::components::cohorts::{SMALL_COHORT, matures_on};
use crate::components::figure::Figure;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{
    Column, HISTORY_PERIODS, HistoryTable, Row, bar, header_cell, history_table,
};
use crate::input::ReportInput;
use crate::metric_rows::{ActivationRow, TimeToFirstCallRow};

/// Returns the section with the time to first call and the activation of each registration cohort.
pub(super) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let small: i64 =
        cohorts(input).iter().filter(|(_, a)| is_small(a)).map(|(_, a)| a.partners).sum();
    let of_small = format!(
        "SELECT sum(partners) FROM activation WHERE cohort_month IS NOT NULL AND partners < {SMALL_COHORT}"
    );
    let drawn: Vec<_> = cohorts(input).into_iter().filter(|(_, a)| !is_small(a)).collect();
    // One more row than periods: the last one is that of all cohorts.
    let drawn = last(&drawn, HISTORY_PERIODS + 1);
    let section = Section {
        subtitle: html! { "Hollow dots and hatched bars are maturing: some partners have been observed for fewer than 30 days, so the figure will still move" },
        table: Some(numbers(input)),
        note: Some(html! {
            @if small > 0 { "Cohorts of fewer than " (SMALL_COHORT) " partners (" (Figure::count(small, of_small)) " together) are in the table only. " }
            "p90 is the time by which 9 in 10 have called; “not reached” gives the share that has. Activation is the metric activation, on the page "
            a href="metrics.html" { "Metrics" } "."
        }),
        ..Section::new("cohorts", "Time to first call and activation", 12, "time_to_first_call")
    };
    if input.time_to_first_call.is_empty() || input.activation.iter().all(|a| a.partners == 0) {
        return page.section(&section, &empty_state("Nobody has registered yet."));
    }
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Cohorts" { table.cohorts {
            thead { tr {
                (header_cell(Column::Text("Registered"))) (header_cell(Column::Number("Partners"))) (header_cell(Column::Number("Called")))
                th.axis scope="col" { "Median time to first call, log scale" (PreEscaped(dots::header())) }
                (header_cell(Column::Text("p90")))
                th.grow scope="col" { "Activation rate: live in 30 days" } td {} (header_cell(Column::Text("Cohort")))
            } }
            tbody { @for (first, activation) in drawn { (cohort_row(first, activation)) } }
        } }
    };
    page.section(&section, &body)
}

/// Returns whether a cohort is too small to be drawn. The row of all cohorts is always drawn.
fn is_small(row: &ActivationRow) -> bool {
    row.cohort_month.is_some() && row.partners < SMALL_COHORT
}

/// Returns the rows of both metrics for each cohort. The row of all cohorts is the last one.
fn cohorts(input: &ReportInput) -> Vec<(&TimeToFirstCallRow, &ActivationRow)> {
    let of = |row: &ActivationRow| {
        input.time_to_first_call.iter().find(|first| first.cohort_month == row.cohort_month)
    };
    input.activation.iter().filter_map(|row| Some((of(row)?, row))).collect()
}

fn cohort_row(first: &TimeToFirstCallRow, row: &ActivationRow) -> Markup {
    let name = row.cohort_month.map_or_else(|| "All".to_owned(), format::month_year);
    let total = row.cohort_month.is_none();
    let mature = row.mature || total;
    let title = match first.median_seconds {
        Some(seconds) => format!("{name}: median {}", format::duration(seconds)),
        None => format!("{name}: median not reached"),
    };
    let reached = first.reached as f64 / (first.partners.max(1)) as f64;
    html! {
        tr.total[total] {
            td { b { (name) } }
            td.num { (format::thousands(row.partners)) }
            td.num { (format::thousands(first.reached)) }
            td.axis { (PreEscaped(dots::cell(&title, first.median_seconds, first.p90_seconds, mature))) }
            td { @match first.p90_seconds {
                Some(seconds) => (format::duration(seconds)),
                None => { "not reached, " (format::percent(reached)) }
            } }
            td.grow { (bar(row.activation_rate.unwrap_or(1.0), activation_class(row, mature), true)) }
            td.num { @match row.activation_rate {
                Some(rate) if mature => b { (format::percent(rate)) },
                Some(rate) => (format::percent(rate)),
                None => "none",
            } }
            td { (maturity(row)) }
        }
    }
}

/// Returns the CSS classes of the bar of a cohort.
fn activation_class(row: &ActivationRow, mature: bool) -> &'static str {
    match row.activation_rate {
        None => "unknown",
        Some(_) if mature => "series",
        Some(_) => "series hatched",
    }
}

fn maturity(row: &ActivationRow) -> Markup {
    let seen = format!(
        "{} of {} observed",
        format::thousands(row.observed),
        format::thousands(row.partners)
    );
    html! {
        @match row.cohort_month {
            None => (seen),
            Some(_) if row.mature => "complete",
            Some(month) => { b { "matures " (format::date(matures_on(month))) } " " span.quiet { (seen) } }
        }
    }
}

fn numbers(input: &ReportInput) -> HistoryTable {
    let columns = [
        Column::Text("Registered"),
        Column::Number("Partners"),
        Column::Number("Called"),
        Column::Number("Median"),
        Column::Number("p90"),
        Column::Number("30 min"),
        Column::Number("1 d"),
        Column::Number("7 d"),
        Column::Number("30 d"),
        Column::Number("Observed"),
        Column::Number("Activated"),
        Column::Number("Rate"),
        Column::Number("Ever live"),
    ];
    let share = |s: Option<f64>| format::known_or_unknown(s, |r| format::percent_with_places(r, 1));
    let time = |s: Option<f64>| s.map_or_else(|| "not reached".to_owned(), format::duration);
    let line = |(first, row): (&TimeToFirstCallRow, &ActivationRow)| Row {
        cells: vec![
            row.cohort_month.map_or_else(|| "All".to_owned(), format::month_year),
            format::thousands(row.partners),
            format::thousands(first.reached),
            time(first.median_seconds),
            time(first.p90_seconds),
            share(first.within_30m),
            share(first.within_1d),
            share(first.within_7d),
            share(first.within_30d),
            format::thousands(row.observed),
            format::thousands(row.activated),
            share(row.activation_rate),
            format::thousands(row.ever_activated),
        ],
        is_incomplete: row.cohort_month.is_some() && !row.mature,
        is_total: row.cohort_month.is_none(),
    };
    history_table(&columns, &cohorts(input).into_iter().map(line).collect::<Vec<_>>())
}
