//! The Funnel page: stages, first call within, stages by cohort, time to first call and activation.

use chrono::Datelike;
use domain::{Tier, format};
use maud::{Markup, PreEscaped, html};

use crate::charts::{dots, last};
use crate::components::cohorts::{SMALL_COHORT, matures_on};
use crate::components::figure::{self, Figure};
use crate::components::funnel_stages::{self, STEPS, registered, total_row};
use crate::components::shell::{Page, Section, empty_state, grid};
use crate::components::table::{
    Column, HISTORY_PERIODS, HistoryTable, Row, bar, header_cell, history_table,
};
use crate::components::{glyph, lead_paragraph};
use crate::health_rows::PartnerRow;
use crate::input::ReportInput;
use crate::metric_rows::{ActivationRow, FunnelRow, TimeToFirstCallRow};
use crate::months;
use crate::site::PageContext;

pub(crate) fn page(context: &PageContext) -> String {
    let page = Page::new(context, lead(context.input));
    let side = html! {
        div.c4.stack { (within_section(&page)) (stuck_section(&page)) }
    };
    let sections = html! {
        (grid(&[funnel_stages::section(&page, 8), side]))
        (grid(&[cohort_section(&page)]))
        (grid(&[activation_section(&page)]))
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    let Some(row) = total_row(&input.funnel) else {
        return html! { "Nobody has registered yet. Partner events are what fills this page: load them with " code { "rapport ingest load --stream partner-events" } "." };
    };
    let one = row.registered < SMALL_COHORT && row.revenue == 1;
    let were = if one { "was" } else { "were" };
    let reached = html! {
        "Of " (registered(row)) " " b { (share_or_count(row, row.production, "production")) " reached production" }
        " and " b { (share_or_count(row, row.revenue, "revenue")) " " (were) " charged" } "."
    };
    let median = input.time_to_first_call.iter().find(|r| r.cohort_month.is_none());
    let median = median.and_then(|r| r.median_seconds).map(|seconds| {
        let query = figure::of_cohort("median_seconds", "time_to_first_call", None);
        html! { "Half make their first call within " b { (Figure::duration(seconds, query)) } "." }
    });
    lead_paragraph::lead([Some(reached), largest_gap(input), median].into_iter().flatten())
}

/// Returns the share of the registered partners that have reached a stage, `75 %`, or their number
/// if few have registered.
fn share_or_count(row: &FunnelRow, n: i64, column: &str) -> Figure {
    if row.registered < SMALL_COHORT {
        return Figure::count(n, figure::of_cohort(column, "funnel", None));
    }
    let what = format!("CAST({column} AS DOUBLE) / registered");
    let query = figure::of_cohort(&what, "funnel", None);
    Figure::percent(n as f64 / row.registered as f64, query)
}

/// Returns a sentence on the stages after which most partners are missing. It counts only cohorts
/// that have had a month to go on.
fn largest_gap(input: &ReportInput) -> Option<Markup> {
    let old = |row: &&FunnelRow| row.cohort_month.is_some_and(|m| matures_on(m) < input.as_of);
    let rows: Vec<&FunnelRow> = input.funnel.iter().filter(old).collect();
    let until = months::next_month(rows.iter().filter_map(|row| row.cohort_month).max()?);
    let sum = |of: fn(&FunnelRow) -> i64| rows.iter().map(|row| of(row)).sum::<i64>();
    let missing = [
        sum(|r| r.registered - r.sandbox),
        sum(|r| r.sandbox - r.production),
        sum(|r| r.production - r.revenue),
    ];
    let most = missing.into_iter().max().filter(|most| *most > 0)?;
    let at: Vec<(&str, &str)> =
        missing.iter().zip(STEPS).filter(|(n, _)| **n == most).map(|(_, step)| step).collect();
    let stages: Vec<String> = at.iter().map(|(_, stage)| (*stage).to_owned()).collect();
    let (what, _) = *at.first()?;
    let query = format!("SELECT sum({what}) FROM funnel WHERE cohort_month < '{until}'");
    let this_year = until.year() == input.as_of.year();
    let month = if this_year { format::long_month(until) } else { format::long_month_year(until) };
    Some(html! {
        "Largest " (format::agree(stages.len(), "gap", "gaps")) " in cohorts before " (month)
        ": after " (format::joined_with_and(&stages)) ", " (Figure::count(most, query))
        @if stages.len() > 1 { " each" }
        "."
    })
}

/// A time span, and the share of partners that have called within it.
type CalledWithin = (&'static str, fn(&TimeToFirstCallRow) -> Option<f64>);

fn within_section(page: &Page) -> Markup {
    let rows = &page.context.input.time_to_first_call;
    let section = Section {
        subtitle: html! { "Share of partners with a first success, by time since registration" },
        ..Section::new("within", "First call within", 4, "time_to_first_call")
    };
    let Some(all) = rows.iter().find(|row| row.cohort_month.is_none() && row.partners > 0) else {
        return page.section(&section, &empty_state("Nobody has registered yet."));
    };
    let cohorts: Vec<_> = rows
        .iter()
        .filter(|r| {
            r.cohort_month.is_some() && r.partners >= SMALL_COHORT && r.within_30d.is_some()
        })
        .collect();
    let shown = last(&cohorts, 2);
    let spans: [CalledWithin; 4] = [
        ("30 minutes", |r| r.within_30m),
        ("1 day", |r| r.within_1d),
        ("7 days", |r| r.within_7d),
        ("30 days", |r| r.within_30d),
    ];
    let body = html! {
        table.within {
            thead { tr {
                (header_cell(Column::Text("Within"))) th.grow {} (header_cell(Column::Number("All")))
                @for row in shown { th.num scope="col" { (row.cohort_month.map_or_else(String::new, format::month)) } }
            } }
            tbody { @for (name, of) in spans {
                tr {
                    td { (name) }
                    td.grow { (bar(of(all).unwrap_or(0.0), "series", true)) }
                    td.num { b { (format::known_or_unknown(of(all), |r| format::percent_with_places(r, 1))) } }
                    @for row in shown { td.num { (format::known_or_unknown(of(row), |r| format::percent_with_places(r, 1))) } }
                }
            } }
        }
    };
    page.section(&section, &body)
}

fn stuck_section(page: &Page) -> Markup {
    let Some(rows) = &page.context.input.stuck_partners else { return html! {} };
    let n = rows.len() as i64;
    let waiting = |p: &&PartnerRow| p.registered_at.is_some() && p.live_at.is_none();
    let all = page.context.input.partners.iter().filter(waiting).count() as i64;
    let not_live = "SELECT count(*) FROM partners WHERE registered IS NOT NULL AND live IS NULL";
    let section = Section {
        subtitle: html! {
            @if all == 0 { "No registered partner is waiting to go live" } @else {
                (Figure::count(n, "SELECT count(*) FROM stuck_partners")) " of the "
                (Figure::counted(all, "registered partner", not_live))
                " that " (format::agree(all, "is", "are")) " not live"
            }
        },
        ..Section::new("stuck", "Stuck for 30 days or more", 4, "stuck_partners")
    };
    let count = |stage: &str| rows.iter().filter(|row| row.stage == stage).count() as i64;
    let stages = [
        ("Never called", "never_called"),
        ("Stuck in sandbox", "sandbox"),
        ("Only errors so far", "failing"),
    ];
    let body = html! {
        table { tbody { @for (label, stage) in stages {
            tr {
                td { (glyph::glyph(Tier::Stuck)) " " (label) }
                td.num { b { (format::thousands(count(stage))) } }
            }
        } } }
    };
    page.section(&section, &body)
}

/// Returns the section with the stages of each registration cohort.
fn cohort_section(page: &Page) -> Markup {
    let rows = &page.context.input.funnel;
    let section = Section {
        subtitle: html! { "How far each month’s registrations have come; rates are of the stage before, and cohorts in italics still move" },
        ..Section::new("stages", "Stages by registration cohort", 12, "funnel")
    };
    if total_row(rows).is_none() {
        return page.section(&section, &empty_state("Nobody has registered yet."));
    }
    let columns = [
        Column::Text("Registered"),
        Column::Number("Partners"),
        Column::Number("Sandbox"),
        Column::Number("Rate"),
        Column::Number("Production"),
        Column::Number("Rate"),
        Column::Number("Revenue"),
        Column::Number("Rate"),
        Column::Number("Overall"),
    ];
    let rate = |r: Option<f64>| format::known_or_unknown(r, format::percent);
    let lines: Vec<Row> = rows
        .iter()
        .map(|row| Row {
            cells: vec![
                row.cohort_month.map_or_else(|| "All".to_owned(), format::month_year),
                format::thousands(row.registered),
                format::thousands(row.sandbox),
                rate(row.sandbox_rate),
                format::thousands(row.production),
                rate(row.production_rate),
                format::thousands(row.revenue),
                rate(row.revenue_rate),
                rate(row.overall_rate),
            ],
            is_incomplete: row
                .cohort_month
                .is_some_and(|m| matures_on(m) >= page.context.input.as_of),
            is_total: row.cohort_month.is_none(),
        })
        .collect();
    let shown = history_table(&columns, &lines);
    let body = html! { div.scroll { (shown.table) } (page.earlier_rows_note(shown.earlier_rows, "funnel")) };
    page.section(&section, &body)
}

/// Returns the section with the time to first call and the activation of each registration cohort.
fn activation_section(page: &Page) -> Markup {
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
        table: Some(activation_table(input)),
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
        div.scroll { table.cohorts {
            thead { tr {
                (header_cell(Column::Text("Registered"))) (header_cell(Column::Number("Partners"))) (header_cell(Column::Number("Called")))
                th.axis scope="col" { "Median time to first call, log scale" (PreEscaped(dots::header())) }
                (header_cell(Column::Text("p90")))
                th.grow scope="col" { "Activation rate: live in 30 days" } th {} (header_cell(Column::Text("Cohort")))
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

fn activation_table(input: &ReportInput) -> HistoryTable {
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
