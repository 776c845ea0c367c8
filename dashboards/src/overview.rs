//! The Overview page: tiles, active partners by month, who needs you today, funnel, standings.

mod tiles;

use maud::{Markup, html};

use crate::figure::{self, Figure};
use crate::growth::growth_section;
use crate::input::{ByPartner, ReportInput};
use crate::lead;
use crate::page::{Page, Place, Section, empty, grid, held_elsewhere};
use crate::rows::{ActivationRow, GrowthRow, RevenueSummaryRow};
use crate::standing::{HealthRow, Standing};
use crate::{funnel, glyph, paths, standings, words};

/// Lines of the list of what to do.
const URGENT: usize = 5;
/// Cohorts under this size are not spoken of.
pub(crate) const SMALL_COHORT: i64 = 10;

pub(crate) fn overview(input: &ReportInput, by: &ByPartner) -> String {
    let page = Page {
        input,
        root: "",
        place: Place::Overview,
        title: "Overview".to_owned(),
        id: None,
        above: None,
        facts: Some(held(input)),
        lead: lead(input),
        scored: false,
    };
    let sections = html! {
        (tiles::all(input))
        (grid(&[
            growth_section(&page, 7, (663.0, 392.0)),
            urgent(&page, by),
        ]))
        (grid(&[
            funnel::bars_section(&page, 5),
            standings::section(&page, 7),
        ]))
    };
    page.html(&sections)
}

/// What the lead and the tiles are made of; sections speak for themselves.
const TILED: [&str; 4] = ["growth", "revenue_summary", "activation", "time_to_first_call"];

fn held(input: &ReportInput) -> Markup {
    html! {
        @for metric in TILED {
            @if let Some(held) = input.held.get(metric) { (held_elsewhere("", metric, held)) }
        }
    }
}

/// What changed, by how much, and the newest cohort.
fn lead(input: &ReportInput) -> Markup {
    if input.is_empty() {
        return html! { "No events yet. Start with " code { "rapport demo" } ", or load your own with " code { "rapport ingest load" } " and run the report again." };
    }
    let (Some(now), before) = input.last_growth() else {
        return html! { "No month is complete yet: the first comparison comes when " (input.running_month().map_or_else(|| "the month".to_owned(), words::long_month)) " ends." };
    };
    let revenue = match input.last_revenue() {
        (Some(row), before) if row.month == now.month => Some((row, before)),
        _ => None,
    };
    let active = figure::monthly("active", "growth", now.month);
    let closed = html! {
        (words::long_month(now.month)) " closed with "
        b { (Figure::counted(now.active, "active partner", active)) }
        @if let Some(before) = before { ", " (than(now, before)) }
        @if let Some((row, before)) = revenue {
            @if before.is_some() { "," } " and "
            b { (Figure::money(row.gross, &input.currency, figure::monthly("gross", "revenue_summary", row.month))) " gross" }
            @if let Some(before) = before.filter(|b| b.gross > 0.0) { ", " (gross_moved(row, before)) }
        }
        "."
    };
    lead::lead(std::iter::once(closed).chain(cohort_sentence(&input.activation)))
}

/// `28 more than July`, `as many as in July`.
fn than(now: &GrowthRow, before: &GrowthRow) -> Markup {
    let month = words::long_month(before.month);
    let by = now.active - before.active;
    let query = |what| figure::between(what, "growth", now.month, before.month);
    html! {
        @match by {
            0 => { "as many as in " (month) }
            n if n > 0 => { (Figure::count(n, query("a.active - b.active"))) " more than " (month) }
            n => { (Figure::count(-n, query("b.active - a.active"))) " fewer than " (month) }
        }
    }
}

/// How gross has changed: `up 70 %`, `down 4 %`, `unchanged`.
pub(crate) fn gross_moved(now: &RevenueSummaryRow, before: &RevenueSummaryRow) -> Markup {
    let change = now.gross / before.gross - 1.0;
    let ratio = "CAST(a.gross AS DOUBLE) / CAST(b.gross AS DOUBLE)";
    let query = |what: String| figure::between(&what, "revenue_summary", now.month, before.month);
    html! {
        @match change {
            c if c >= 0.005 => { "up " (Figure::percent(c, query(format!("{ratio} - 1")))) }
            c if c <= -0.005 => { "down " (Figure::percent(-c, query(format!("1 - {ratio}")))) }
            _ => "unchanged",
        }
    }
}

/// Cohorts that are all observed and large enough to speak of.
fn mature(rows: &[ActivationRow]) -> Vec<&ActivationRow> {
    let speaks = |row: &&ActivationRow| {
        row.cohort_month.is_some()
            && row.mature
            && row.partners >= SMALL_COHORT
            && row.activation_rate.is_some()
    };
    rows.iter().filter(speaks).collect()
}

fn cohort_sentence(rows: &[ActivationRow]) -> Option<Markup> {
    let cohorts = mature(rows);
    let (newest, earlier) = cohorts.split_last()?;
    let (rate, cohort) = (newest.activation_rate?, newest.cohort_month?);
    let month = words::long_month(cohort);
    let rates = || earlier.iter().filter_map(|row| row.activation_rate);
    let query = figure::of_cohort("activation_rate", "activation", Some(cohort));
    let shown = Figure::percent_1(rate, query);
    Some(if earlier.len() >= 2 && rates().all(|r| r > rate) {
        html! { (month) "’s cohort activated worst so far: " b { (shown) } "." }
    } else if earlier.len() >= 2 && rates().all(|r| r < rate) {
        html! { (month) "’s cohort activated best so far: " b { (shown) } "." }
    } else {
        html! { "Of " (month) "’s cohort " b { (shown) } " went live within 30 days." }
    })
}

/// How many partners stand in a tier.
fn in_tier(n: usize, tier: &str) -> Figure {
    let query = figure::of_scores("count(*)", &format!("tier = '{tier}'"));
    Figure::count(n as i64, query)
}

/// At risk first, then watch, each by share of gross; the stuck in one line.
fn urgent(page: &Page, by: &ByPartner) -> Markup {
    let input = page.input;
    let rows = |standing: Standing| {
        let mut rows: Vec<&HealthRow> =
            input.health.iter().filter(|row| row.standing() == standing).collect();
        rows.sort_by(|a, b| standings::by_share(a, b));
        rows
    };
    let (risk, watch) = (rows(Standing::AtRisk), rows(Standing::Watch));
    let shown: Vec<&HealthRow> = risk.iter().chain(&watch).copied().take(URGENT).collect();
    let section = Section {
        subtitle: html! { "At risk first, then watch, by share of gross" },
        first: true,
        ..Section::new("today", "Needs you today", 5, "partner_health")
    };
    let body = html! {
        @if input.health.is_empty() {
            (empty("No partner has been scored yet. Run rapport score run, then the report again."))
        } @else if shown.is_empty() {
            (empty("Nobody is at risk or on watch today."))
        } @else {
            ul.todo { @for row in &shown { (one_urgent(row, by)) } (stuck_line(input)) }
            p.more {
                @if risk.is_empty() { a href="health.html" { "All partners" } }
                @else { a href="health-at-risk.html" { "All " (in_tier(risk.len(), "at_risk")) " at risk" } }
            }
        }
    };
    page.section(&section, &body)
}

fn one_urgent(row: &HealthRow, by: &ByPartner) -> Markup {
    let asked = by.plan.get(row.partner_id.as_str()).and_then(|plan| plan.first());
    html! {
        li {
            (glyph::glyph(row.standing()))
            div {
                p.who {
                    a href=(paths::partner(&row.partner_id)) { (words::name(&row.label(), 40)) }
                    span { (standings::share(row.impact_share)) }
                }
                p {
                    span.visually-hidden { (row.standing().word()) ". " }
                    (figure::said(&standings::sentence(&words::clip(row.reason(), 160))))
                    @if let Some(action) = asked { " " (crate::plan::sentence(action)) }
                }
            }
        }
    }
}

fn stuck_line(input: &ReportInput) -> Markup {
    let stuck = input.health.iter().filter(|row| row.standing() == Standing::Stuck).count() as i64;
    if stuck == 0 {
        return html! {};
    }
    let longest = input.stuck_partners.iter().flatten().max_by_key(|row| row.days_in_stage);
    html! {
        li {
            (glyph::glyph(Standing::Stuck))
            div {
                p.who {
                    a href={ "health-" (Standing::Stuck.slug()) ".html" } { (in_tier(stuck as usize, "stuck")) " stuck before production" }
                    span { "no revenue yet" }
                }
                p {
                    @match longest {
                        Some(row) => { "Longest: " (words::name(&words::label(None, &row.partner_id), 40)) ", "
                            (Figure::counted(row.days_in_stage, "day", "SELECT max(days_in_stage) FROM stuck_partners")) " in its stage." }
                        None => { "Registered, not live, and in its stage for " (lake_types::counted(input.policy.stuck_after_days, "day")) " or more." }
                    }
                }
            }
        }
    }
}
