//! The Funnel page: stages, first call within, stages by cohort, time to first call and activation.

use chrono::{Datelike, Days, NaiveDate};
use maud::{Markup, PreEscaped, html};

use crate::charts::{dots, last};
use crate::figure::{self, Figure};
use crate::input::ReportInput;
use crate::lead;
use crate::overview::SMALL_COHORT;
use crate::page::{Page, Place, Section, empty, grid};
use crate::rows::{ActivationRow, FunnelRow, TimeToFirstCallRow};
use crate::standing::PartnerRow;
use crate::table::{Column, HISTORY, Numbers, Row, bar, head, history, table};
use crate::words;

pub(crate) fn funnel(input: &ReportInput) -> String {
    let page = Page {
        input,
        root: "",
        place: Place::Funnel,
        title: "Funnel".to_owned(),
        id: None,
        above: None,
        facts: None,
        lead: lead(input),
        scored: false,
    };
    let side = html! {
        div.c4.stack { (within_section(&page)) (stuck_section(&page)) }
    };
    let sections = html! {
        (grid(&[bars_section(&page, 8), side]))
        (grid(&[cohort_section(&page)]))
        (grid(&[by_cohort_section(&page)]))
    };
    page.html(&sections)
}

/// The day the last partner of a registration month has been observed for 30 days.
pub(crate) fn matures_on(month: NaiveDate) -> NaiveDate {
    words::next_month(month) + Days::new(29)
}

/// The row of all cohorts, where anyone registered.
fn all(rows: &[FunnelRow]) -> Option<&FunnelRow> {
    rows.iter().find(|row| row.cohort_month.is_none() && row.registered > 0)
}

fn first_month(rows: &[FunnelRow]) -> Option<NaiveDate> {
    rows.iter().filter_map(|row| row.cohort_month).min()
}

fn lead(input: &ReportInput) -> Markup {
    let Some(row) = all(&input.funnel) else {
        return html! { "Nobody has registered yet. Partner events are what fills this page: load them with " code { "rapport ingest load --stream partner-events" } "." };
    };
    let one = row.registered < SMALL_COHORT && row.revenue == 1;
    let were = if one { "was" } else { "were" };
    let reached = html! {
        "Of " (registered(row)) " " b { (part(row, row.production, "production")) " reached production" }
        " and " b { (part(row, row.revenue, "revenue")) " " (were) " charged" } "."
    };
    let median = input.time_to_first_call.iter().find(|r| r.cohort_month.is_none());
    let median = median.and_then(|r| r.median_seconds).map(|seconds| {
        let query = figure::of_cohort("median_seconds", "time_to_first_call", None);
        html! { "Half make their first call within " b { (Figure::duration(seconds, query)) } "." }
    });
    lead::lead([Some(reached), halted(input), median].into_iter().flatten())
}

/// How many of all have got to a stage: `75 %`; of a few, their number.
fn part(row: &FunnelRow, n: i64, column: &str) -> Figure {
    if row.registered < SMALL_COHORT {
        return Figure::count(n, figure::of_cohort(column, "funnel", None));
    }
    let what = format!("CAST({column} AS DOUBLE) / registered");
    let query = figure::of_cohort(&what, "funnel", None);
    Figure::percent(n as f64 / row.registered as f64, query)
}

fn registered(row: &FunnelRow) -> Figure {
    let query = figure::of_cohort("registered", "funnel", None);
    Figure::counted(row.registered, "registered partner", query)
}

/// Who is missing in the next stage, as SQL, and the stage that they are in.
const STEPS: [(&str, &str); 3] = [
    ("registered - sandbox", "registration"),
    ("sandbox - production", "the sandbox"),
    ("production - revenue", "production"),
];

/// After which stages most partners are missing, in cohorts that have had a month for it: in a
/// young one it means nothing.
fn halted(input: &ReportInput) -> Option<Markup> {
    let old = |row: &&FunnelRow| row.cohort_month.is_some_and(|m| matures_on(m) < input.as_of);
    let rows: Vec<&FunnelRow> = input.funnel.iter().filter(old).collect();
    let until = words::next_month(rows.iter().filter_map(|row| row.cohort_month).max()?);
    let sum = |of: fn(&FunnelRow) -> i64| rows.iter().map(|row| of(row)).sum::<i64>();
    let missing = [
        sum(|r| r.registered - r.sandbox),
        sum(|r| r.sandbox - r.production),
        sum(|r| r.production - r.revenue),
    ];
    let most = missing.into_iter().max().filter(|most| *most > 0)?;
    let at: Vec<(&str, &str)> =
        missing.iter().zip(STEPS).filter(|(n, _)| **n == most).map(|(_, step)| step).collect();
    let places: Vec<String> = at.iter().map(|(_, place)| (*place).to_owned()).collect();
    let (what, _) = *at.first()?;
    let query = format!("SELECT sum({what}) FROM funnel WHERE cohort_month < '{until}'");
    let this_year = until.year() == input.as_of.year();
    let month = if this_year { words::long_month(until) } else { words::long_month_year(until) };
    Some(html! {
        "Largest " (words::agree(places.len(), "gap", "gaps")) " in cohorts before " (month)
        ": after " (words::list(&places)) ", " (Figure::count(most, query))
        @if places.len() > 1 { " each" }
        "."
    })
}

/// Four bars; each is set against all that registered, its rate against the stage before.
pub(crate) fn bars_section(page: &Page, span: u8) -> Markup {
    let input = page.input;
    let Some(row) = all(&input.funnel) else {
        let section = Section::new("funnel", "Funnel", span, "funnel");
        return page.section(&section, &empty("Nobody has registered yet. Load partner events."));
    };
    let since = first_month(&input.funnel).map(words::long_month_year);
    let section = Section {
        subtitle: html! {
            (registered(row))
            @if let Some(since) = since { " since " (since) }
            "; rate is of the stage before"
        },
        table: Some(Numbers { table: stage_table(row), earlier: 0 }),
        ..Section::new("funnel", "Funnel", span, "funnel")
    };
    let stages = [
        ("Registered", row.registered, None, None),
        ("Sandbox", row.sandbox, row.sandbox_rate, Some(never_called(input, row))),
        ("Production", row.production, row.production_rate, Some(in_sandbox(input, row))),
        ("Revenue", row.revenue, row.revenue_rate, Some(uncharged(row))),
    ];
    let body = html! {
        div.funnel role="list" {
            @for (name, n, rate, lost) in stages {
                div.stage role="listitem" {
                    span.name { (name) }
                    (bar(n as f64 / row.registered as f64, "series", true))
                    b { (words::count(n)) }
                    span.rate { @if let Some(rate) = rate { (words::percent(rate)) } }
                    @if let Some(lost) = lost { p { (lost) } }
                }
            }
        }
    };
    page.section(&section, &body)
}

/// How many have not come to a stage, and what is known of them.
fn stopped(n: i64, what: &str, words: &str, details: &[Markup]) -> Markup {
    let query = figure::of_cohort(what, "funnel", None);
    html! {
        @if n == 0 { "Nobody stopped here" } @else {
            (Figure::count(n, query)) " " (words)
            @for (i, detail) in details.iter().enumerate() {
                (if i == 0 { "; stuck for 30 days or more: " } else { ", " }) (detail)
            }
        }
    }
}

/// Partners that are stuck in a stage, where there are any: `64 never called`.
fn stuck_in(input: &ReportInput, stage: &str, words: &str) -> Option<Markup> {
    let n = input.stuck_partners.iter().flatten().filter(|row| row.stage == stage).count() as i64;
    let query = format!("SELECT count(*) FROM stuck_partners WHERE stage = '{stage}'");
    (n > 0).then(|| html! { (Figure::count(n, query)) " " (words) })
}

fn never_called(input: &ReportInput, row: &FunnelRow) -> Markup {
    let details = [
        stuck_in(input, "never_called", "that never called"),
        stuck_in(input, "failing", "with errors only"),
    ];
    let details: Vec<Markup> = details.into_iter().flatten().collect();
    let n = row.registered - row.sandbox;
    stopped(n, STEPS[0].0, "without a successful call", &details)
}

fn in_sandbox(input: &ReportInput, row: &FunnelRow) -> Markup {
    let details: Vec<Markup> = stuck_in(input, "sandbox", "in the sandbox").into_iter().collect();
    let n = row.sandbox - row.production;
    stopped(n, STEPS[1].0, "called, but not in production", &details)
}

fn uncharged(row: &FunnelRow) -> Markup {
    stopped(row.production - row.revenue, STEPS[2].0, "reached production without a charge", &[])
}

fn stage_table(row: &FunnelRow) -> Markup {
    let columns =
        [Column::Text("Stage"), Column::Number("Partners"), Column::Number("Of the stage before")];
    let line = |name: &str, n: i64, rate: Option<f64>| {
        Row::new(vec![name.to_owned(), words::count(n), words::known(rate, words::percent_1)])
    };
    table(
        &columns,
        &[
            line("Registered", row.registered, None),
            line("Sandbox", row.sandbox, row.sandbox_rate),
            line("Production", row.production, row.production_rate),
            line("Revenue", row.revenue, row.revenue_rate),
        ],
    )
}

/// A span of time and the share that has called within it.
type Mark = (&'static str, fn(&TimeToFirstCallRow) -> Option<f64>);

fn within_section(page: &Page) -> Markup {
    let rows = &page.input.time_to_first_call;
    let section = Section {
        subtitle: html! { "Share of partners with a first success, by time since registration" },
        ..Section::new("within", "First call within", 4, "time_to_first_call")
    };
    let Some(all) = rows.iter().find(|row| row.cohort_month.is_none() && row.partners > 0) else {
        return page.section(&section, &empty("Nobody has registered yet."));
    };
    let cohorts: Vec<_> = rows
        .iter()
        .filter(|r| {
            r.cohort_month.is_some() && r.partners >= SMALL_COHORT && r.within_30d.is_some()
        })
        .collect();
    let shown = last(&cohorts, 2);
    let marks: [Mark; 4] = [
        ("30 minutes", |r| r.within_30m),
        ("1 day", |r| r.within_1d),
        ("7 days", |r| r.within_7d),
        ("30 days", |r| r.within_30d),
    ];
    let body = html! {
        table.within {
            thead { tr {
                (head(Column::Text("Within"))) th.grow {} (head(Column::Number("All")))
                @for row in shown { th.num scope="col" { (row.cohort_month.map_or_else(String::new, words::month)) } }
            } }
            tbody { @for (name, of) in marks {
                tr {
                    td { (name) }
                    td.grow { (bar(of(all).unwrap_or(0.0), "series", true)) }
                    td.num { b { (words::known(of(all), words::percent_1)) } }
                    @for row in shown { td.num { (words::known(of(row), words::percent_1)) } }
                }
            } }
        }
    };
    page.section(&section, &body)
}

fn stuck_section(page: &Page) -> Markup {
    let Some(rows) = &page.input.stuck_partners else { return html! {} };
    let n = rows.len() as i64;
    let waiting = |p: &&PartnerRow| p.registered_at.is_some() && p.live_at.is_none();
    let all = page.input.partners.iter().filter(waiting).count() as i64;
    let not_live = "SELECT count(*) FROM partners WHERE registered IS NOT NULL AND live IS NULL";
    let section = Section {
        subtitle: html! {
            @if all == 0 { "No registered partner is waiting to go live" } @else {
                (Figure::count(n, "SELECT count(*) FROM stuck_partners")) " of the "
                (Figure::counted(all, "registered partner", not_live))
                " that " (words::agree(all, "is", "are")) " not live"
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
        table { tbody { @for (word, stage) in stages {
            tr {
                td { (crate::glyph::glyph(crate::standing::Standing::Stuck)) " " (word) }
                td.num { b { (words::count(count(stage))) } }
            }
        } } }
    };
    page.section(&section, &body)
}

/// Stages by registration cohort.
fn cohort_section(page: &Page) -> Markup {
    let rows = &page.input.funnel;
    let section = Section {
        subtitle: html! { "How far each month’s registrations have come; rates are of the stage before, and cohorts in italics still move" },
        ..Section::new("stages", "Stages by registration cohort", 12, "funnel")
    };
    if all(rows).is_none() {
        return page.section(&section, &empty("Nobody has registered yet."));
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
    let rate = |r: Option<f64>| words::known(r, words::percent);
    let lines: Vec<Row> = rows
        .iter()
        .map(|row| Row {
            cells: vec![
                row.cohort_month.map_or_else(|| "All".to_owned(), words::month_year),
                words::count(row.registered),
                words::count(row.sandbox),
                rate(row.sandbox_rate),
                words::count(row.production),
                rate(row.production_rate),
                words::count(row.revenue),
                rate(row.revenue_rate),
                rate(row.overall_rate),
            ],
            running: row.cohort_month.is_some_and(|m| matures_on(m) >= page.input.as_of),
            total: row.cohort_month.is_none(),
        })
        .collect();
    let shown = history(&columns, &lines);
    let body = html! { div.scroll { (shown.table) } (page.earlier(shown.earlier, "funnel")) };
    page.section(&section, &body)
}

/// Median, p90 and activation by registration cohort.
fn by_cohort_section(page: &Page) -> Markup {
    let input = page.input;
    let small: i64 =
        cohorts(input).iter().filter(|(_, a)| is_small(a)).map(|(_, a)| a.partners).sum();
    let of_small = format!(
        "SELECT sum(partners) FROM activation WHERE cohort_month IS NOT NULL AND partners < {SMALL_COHORT}"
    );
    let drawn: Vec<_> = cohorts(input).into_iter().filter(|(_, a)| !is_small(a)).collect();
    // The row of all cohorts is the last one.
    let drawn = last(&drawn, HISTORY + 1);
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
        return page.section(&section, &empty("Nobody has registered yet."));
    }
    let body = html! {
        div.scroll { table.cohorts {
            thead { tr {
                (head(Column::Text("Registered"))) (head(Column::Number("Partners"))) (head(Column::Number("Called")))
                th.axis scope="col" { "Median time to first call, log scale" (PreEscaped(dots::head())) }
                (head(Column::Text("p90")))
                th.grow scope="col" { "Activation rate: live in 30 days" } th {} (head(Column::Text("Cohort")))
            } }
            tbody { @for (first, activation) in drawn { (cohort_row(first, activation)) } }
        } }
    };
    page.section(&section, &body)
}

/// A cohort under ten is not drawn; the row of all always is.
fn is_small(row: &ActivationRow) -> bool {
    row.cohort_month.is_some() && row.partners < SMALL_COHORT
}

/// Both metrics of each cohort, the row of all last.
fn cohorts(input: &ReportInput) -> Vec<(&TimeToFirstCallRow, &ActivationRow)> {
    let of = |row: &ActivationRow| {
        input.time_to_first_call.iter().find(|first| first.cohort_month == row.cohort_month)
    };
    input.activation.iter().filter_map(|row| Some((of(row)?, row))).collect()
}

fn cohort_row(first: &TimeToFirstCallRow, row: &ActivationRow) -> Markup {
    let name = row.cohort_month.map_or_else(|| "All".to_owned(), words::month_year);
    let total = row.cohort_month.is_none();
    let mature = row.mature || total;
    let title = match first.median_seconds {
        Some(seconds) => format!("{name}: median {}", words::duration(seconds)),
        None => format!("{name}: median not reached"),
    };
    let reached = first.reached as f64 / (first.partners.max(1)) as f64;
    html! {
        tr.total[total] {
            td { b { (name) } }
            td.num { (words::count(row.partners)) }
            td.num { (words::count(first.reached)) }
            td.axis { (PreEscaped(dots::cell(&title, first.median_seconds, first.p90_seconds, mature))) }
            td { @match first.p90_seconds {
                Some(seconds) => (words::duration(seconds)),
                None => { "not reached, " (words::percent(reached)) }
            } }
            td.grow { (bar(row.activation_rate.unwrap_or(1.0), activation_role(row, mature), true)) }
            td.num { @match row.activation_rate {
                Some(rate) if mature => b { (words::percent(rate)) },
                Some(rate) => (words::percent(rate)),
                None => "none",
            } }
            td { (maturity(row)) }
        }
    }
}

fn activation_role(row: &ActivationRow, mature: bool) -> &'static str {
    match row.activation_rate {
        None => "unknown",
        Some(_) if mature => "series",
        Some(_) => "series hatched",
    }
}

fn maturity(row: &ActivationRow) -> Markup {
    let seen = format!("{} of {} observed", words::count(row.observed), words::count(row.partners));
    html! {
        @match row.cohort_month {
            None => (seen),
            Some(_) if row.mature => "complete",
            Some(month) => { b { "matures " (words::day(matures_on(month))) } " " span.quiet { (seen) } }
        }
    }
}

fn numbers(input: &ReportInput) -> Numbers {
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
    let share = |s: Option<f64>| words::known(s, words::percent_1);
    let time = |s: Option<f64>| s.map_or_else(|| "not reached".to_owned(), words::duration);
    let line = |(first, row): (&TimeToFirstCallRow, &ActivationRow)| Row {
        cells: vec![
            row.cohort_month.map_or_else(|| "All".to_owned(), words::month_year),
            words::count(row.partners),
            words::count(first.reached),
            time(first.median_seconds),
            time(first.p90_seconds),
            share(first.within_30m),
            share(first.within_1d),
            share(first.within_7d),
            share(first.within_30d),
            words::count(row.observed),
            words::count(row.activated),
            share(row.activation_rate),
            words::count(row.ever_activated),
        ],
        running: row.cohort_month.is_some() && !row.mature,
        total: row.cohort_month.is_none(),
    };
    history(&columns, &cohorts(input).into_iter().map(line).collect::<Vec<_>>())
}
