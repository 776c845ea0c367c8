//! The Funnel page: stages, where partners are stuck, the steps of onboarding, stages by registration cohort.

use chrono::Datelike;
use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::cohorts::{SMALL_COHORT, matures_on};
use crate::components::figure::{self, Figure};
use crate::components::funnel_stages::{self, STEPS, registered, total_row};
use crate::components::shell::{Page, Section, empty_state, grid};
use crate::components::table::{Column, Row, header_cell, history_table};
use crate::components::{glyph, lead_paragraph, onboarding_steps, partner_link};
use crate::health_rows::PartnerRow;
use crate::input::ReportInput;
use crate::metric_rows::{FunnelRow, StuckPartnerRow};
use crate::months;
use crate::site::PageContext;

/// The number of partners in the list of those that are stuck longest.
const LONGEST: usize = 5;

pub(crate) fn page(context: &PageContext) -> String {
    let page = Page::new(context, lead(context.input));
    let sections = html! {
        (grid(&[funnel_stages::section(&page, 8), stuck_section(&page)]))
        (grid(&[onboarding_steps::section(&page)]))
        (grid(&[cohort_section(&page)]))
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
    page.section(&section, &html! { (body) (longest_stuck(page, rows)) })
}

/// Returns the partners that have been stuck longest, with their days.
fn longest_stuck(page: &Page, rows: &[StuckPartnerRow]) -> Markup {
    let mut longest: Vec<&StuckPartnerRow> = rows.iter().collect();
    longest.sort_by(|a, b| {
        b.days_in_stage.cmp(&a.days_in_stage).then_with(|| a.partner_id.cmp(&b.partner_id))
    });
    html! {
        @if !longest.is_empty() {
            table.top {
                thead { tr { (header_cell(Column::Text("Stuck longest"))) (header_cell(Column::Number("For"))) } }
                tbody { @for row in longest.iter().take(LONGEST) { tr {
                    td.name { (partner_link::by_id(page.context.partners, &row.partner_id)) }
                    td.num { (format::whole_days(row.days_in_stage)) }
                } } }
            }
        }
    }
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
    let body = html! { div.scroll tabindex="0" role="group" aria-label="Cohorts" { (shown.table) } (page.earlier_rows_note(shown.earlier_rows, "funnel")) };
    page.section(&section, &body)
}
