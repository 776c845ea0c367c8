//! The section with the four stages of the funnel, from registration to revenue.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::components::figure::{self, Figure};
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, HistoryTable, Row, bar, table};
use crate::health_rows::PartnerRow;
use crate::input::ReportInput;
use crate::metric_rows::FunnelRow;

/// The SQL expression for the partners that have not gone from one stage to the next, and the name
/// of the first stage.
pub(crate) const STEPS: [(&str, &str); 3] = [
    ("registered - sandbox", "registration"),
    ("sandbox - production", "the sandbox"),
    ("production - revenue", "production"),
];

/// Returns the row of all cohorts together, if anyone has registered.
pub(crate) fn total_row(rows: &[FunnelRow]) -> Option<&FunnelRow> {
    rows.iter().find(|row| row.cohort_month.is_none() && row.registered > 0)
}

fn first_month(rows: &[FunnelRow]) -> Option<NaiveDate> {
    rows.iter().filter_map(|row| row.cohort_month).min()
}

/// Returns the number of registered partners with its noun.
pub(crate) fn registered(row: &FunnelRow) -> Figure {
    let query = figure::of_cohort("registered", "funnel", None);
    Figure::counted(row.registered, "registered partner", query)
}

/// Returns the section with a bar per stage. The length of a bar is relative to all registered
/// partners, its rate is relative to the stage before.
pub(crate) fn section(page: &Page, span: u8) -> Markup {
    let input = page.context.input;
    let Some(row) = total_row(&input.funnel) else {
        let section = Section::new("funnel", "Funnel", span, "funnel");
        return page
            .section(&section, &empty_state("Nobody has registered yet. Load partner events."));
    };
    let since = first_month(&input.funnel).map(format::long_month_year);
    let section = Section {
        subtitle: html! {
            (registered(row))
            @if let Some(since) = since { " since " (since) }
            "; rate is of the stage before"
        },
        table: Some(HistoryTable { table: stage_table(row), earlier_rows: 0 }),
        note: charged_before_production(input, row),
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
            @for (name, n, rate, missing) in stages {
                div.stage role="listitem" {
                    span.name { (name) }
                    (bar(n as f64 / row.registered as f64, "series", true))
                    b { (format::thousands(n)) }
                    span.rate { @if let Some(rate) = rate { (format::percent(rate)) } }
                    @if let Some(missing) = missing { p { (missing) } }
                }
            }
        }
    };
    page.section(&section, &body)
}

/// Returns the sentence on the partners that count as in production for their charges alone. Other
/// figures, such as the steps of onboarding and who is stuck, go by their calls.
fn charged_before_production(input: &ReportInput, row: &FunnelRow) -> Option<Markup> {
    let is_live = |p: &&PartnerRow| p.registered_at.is_some() && p.live_at.is_some();
    let live = input.partners.iter().filter(is_live).count() as i64;
    // Rows of an earlier day do not compare with those of today.
    let is_newest = !input.held_back.contains_key("funnel");
    let n = Some(row.production - live).filter(|n| *n > 0 && is_newest)?;
    let live = "SELECT count(*) FROM partners WHERE registered IS NOT NULL AND live IS NOT NULL";
    let production = figure::of_cohort("production", "funnel", None);
    let count = Figure::counted(n, "partner", format!("SELECT ({production}) - ({live})"));
    Some(html! {
        "Whoever was charged counts as in production: " (count) " "
        (format::agree(n, "was", "were")) " charged without a successful call there."
    })
}

/// Returns how many partners have not reached a stage, and what is known about them.
fn not_reached(n: i64, column: &str, description: &str, details: &[Markup]) -> Markup {
    let query = figure::of_cohort(column, "funnel", None);
    html! {
        @if n > 0 { (Figure::count(n, query)) " " (description) }
        @for (i, detail) in details.iter().enumerate() {
            @match (i, n) {
                (0, 0) => "Stuck for 30 days or more: ",
                (0, _) => "; stuck for 30 days or more: ",
                _ => ", ",
            }
            (detail)
        }
        @if n == 0 && details.is_empty() { "Nobody stopped here" }
    }
}

/// Returns the number of partners that are stuck in a stage, if there are any: `64 that never
/// called`.
fn stuck_in(input: &ReportInput, stage: &str, description: &str) -> Option<Markup> {
    let n = input.stuck_partners.iter().flatten().filter(|row| row.stage == stage).count() as i64;
    let query = format!("SELECT count(*) FROM stuck_partners WHERE stage = '{stage}'");
    (n > 0).then(|| html! { (Figure::count(n, query)) " " (description) })
}

fn never_called(input: &ReportInput, row: &FunnelRow) -> Markup {
    let details = [
        stuck_in(input, "never_called", "that never called"),
        stuck_in(input, "failing", "with errors only"),
    ];
    let details: Vec<Markup> = details.into_iter().flatten().collect();
    let n = row.registered - row.sandbox;
    not_reached(n, STEPS[0].0, "without a successful call", &details)
}

fn in_sandbox(input: &ReportInput, row: &FunnelRow) -> Markup {
    let details: Vec<Markup> = stuck_in(input, "sandbox", "in the sandbox").into_iter().collect();
    let n = row.sandbox - row.production;
    not_reached(n, STEPS[1].0, "called, but not in production", &details)
}

fn uncharged(row: &FunnelRow) -> Markup {
    not_reached(
        row.production - row.revenue,
        STEPS[2].0,
        "reached production without a charge",
        &[],
    )
}

fn stage_table(row: &FunnelRow) -> Markup {
    let columns =
        [Column::Text("Stage"), Column::Number("Partners"), Column::Number("Of the stage before")];
    let line = |name: &str, n: i64, rate: Option<f64>| {
        Row::new(vec![
            name.to_owned(),
            format::thousands(n),
            format::known_or_unknown(rate, |r| format::percent_with_places(r, 1)),
        ])
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
