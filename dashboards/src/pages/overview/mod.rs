//! The Overview page: tiles, active partners by month, what needs attention today, funnel, tiers.

mod tiles;

pub(crate) use tiles::all as all_tiles;

use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::cohorts::mature_cohorts;
use crate::components::figure::{self, Figure};
use crate::components::revenue_change::gross_change;
use crate::components::shell::{Page, Section, empty_state, grid};
use crate::components::{
    clipped_text, funnel_stages, glyph, growth_by_month, health_summary, held_back, lead_paragraph,
    proposed_actions,
};
use crate::health_rows::HealthRow;
use crate::input::ReportInput;
use crate::metric_rows::{ActivationRow, GrowthRow};
use crate::partner_index::PartnerRows;
use crate::site::PageContext;
use crate::{paths, tiers};

/// The number of partners in the list of what needs attention today.
const ATTENTION_ROWS: usize = 5;

pub(crate) fn page(context: &PageContext) -> String {
    let input = context.input;
    let page = Page { facts: Some(held_back_notices(input)), ..Page::new(context, lead(input)) };
    let sections = html! {
        (tiles::row(input, context.comparison()))
        (grid(&[
            growth_by_month::section(&page, 7, (663.0, 392.0)),
            attention_section(&page),
        ]))
        (grid(&[
            funnel_stages::section(&page, 5),
            health_summary::section(&page, 7),
        ]))
    };
    page.html(&sections)
}

/// The metrics behind the lead and the tiles. The sections have notices of their own.
pub const TILE_METRICS: [&str; 4] =
    ["growth", "revenue_summary", "activation", "time_to_first_call"];

fn held_back_notices(input: &ReportInput) -> Markup {
    html! {
        @for name in TILE_METRICS {
            @if let Some(metric) = input.held_back.get(name) { (held_back::notice_with_link("", name, metric)) }
        }
    }
}

/// Returns the sentences on the last complete month and on the newest cohort.
fn lead(input: &ReportInput) -> Markup {
    if input.is_empty() {
        return html! { "No events yet. Start with " code { "rapport demo" } ", or load your own with " code { "rapport ingest load" } " and run the report again." };
    }
    let (Some(now), before) = input.last_growth() else {
        return html! { "No month is complete yet: the first comparison comes when " (input.incomplete_month().map_or_else(|| "the month".to_owned(), format::long_month)) " ends." };
    };
    let revenue = match input.last_revenue() {
        (Some(row), before) if row.month == now.month => Some((row, before)),
        _ => None,
    };
    let active = figure::of_month("active", "growth", now.month);
    let closed = html! {
        (format::long_month(now.month)) " closed with "
        b { (Figure::counted(now.active, "active partner", active)) }
        @if let Some(before) = before { ", " (compared_with(before, now)) }
        @if let Some((row, before)) = revenue {
            @if before.is_some() { "," } " and "
            b { (Figure::money(row.gross, &input.currency, figure::of_month("gross", "revenue_summary", row.month))) " gross" }
            @if let Some(before) = before.filter(|b| b.gross > 0.0) { ", " (gross_change(row, before)) }
        }
        "."
    };
    lead_paragraph::lead(std::iter::once(closed).chain(cohort_sentence(&input.activation)))
}

/// Returns `28 more than July` or `as many as in July`.
fn compared_with(before: &GrowthRow, now: &GrowthRow) -> Markup {
    let month = format::long_month(before.month);
    let by = now.active - before.active;
    let query = |what| figure::between_months(what, "growth", now.month, before.month);
    html! {
        @match by {
            0 => { "as many as in " (month) }
            n if n > 0 => { (Figure::count(n, query("a.active - b.active"))) " more than " (month) }
            n => { (Figure::count(-n, query("b.active - a.active"))) " fewer than " (month) }
        }
    }
}

fn cohort_sentence(rows: &[ActivationRow]) -> Option<Markup> {
    let cohorts = mature_cohorts(rows);
    let (newest, earlier) = cohorts.split_last()?;
    let (rate, cohort) = (newest.activation_rate?, newest.cohort_month?);
    let month = format::long_month(cohort);
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

/// Returns the number of partners in a tier.
fn tier_count(n: usize, tier: Tier) -> Figure {
    let query = figure::of_scores("count(*)", &format!("tier = '{tier}'"));
    Figure::count(n as i64, query)
}

/// Returns the section with the partners at risk and on watch, and a line on the stuck ones.
fn attention_section(page: &Page) -> Markup {
    let input = page.context.input;
    let at_risk = health_summary::partners_in(input, Some(Tier::AtRisk));
    let watch = health_summary::partners_in(input, Some(Tier::Watch));
    let shown: Vec<&HealthRow> =
        at_risk.iter().chain(&watch).copied().take(ATTENTION_ROWS).collect();
    let section = Section {
        subtitle: html! { "At risk first, then watch, by share of gross" },
        first_on_phone: true,
        ..Section::new("today", "Needs you today", 5, "partner_health")
    };
    let body = html! {
        @if input.health.is_empty() {
            (empty_state("No partner has been scored yet. Run rapport score run, then the report again."))
        } @else if shown.is_empty() {
            (empty_state("Nobody is at risk or on watch today."))
        } @else {
            ul.todo { @for row in &shown { (attention_item(row, page.context.partners)) } (stuck_line(input)) }
            p.more {
                @if at_risk.is_empty() { a href="health.html" { "All partners" } }
                @else { a href=(paths::health_list(Tier::AtRisk)) { "All " (tier_count(at_risk.len(), Tier::AtRisk)) " at risk" } }
            }
        }
    };
    page.section(&section, &body)
}

fn attention_item(row: &HealthRow, partners: PartnerRows) -> Markup {
    let proposed = partners.plan(&row.partner_id).first().copied();
    html! {
        li {
            (glyph::glyph(row.tier))
            div {
                p.who {
                    a href=(paths::partner(&row.partner_id)) { (clipped_text::name(&row.label(), 40)) }
                    span { (health_summary::share_of_gross(partners.input, row.impact_share)) }
                }
                p {
                    span.visually-hidden { (tiers::label(row.tier)) ". " }
                    (figure::prewritten(&health_summary::sentence(&format::truncate_to_chars(row.reason(), 160))))
                    @if let Some(action) = proposed { " " (proposed_actions::sentence(action)) }
                }
            }
        }
    }
}

fn stuck_line(input: &ReportInput) -> Markup {
    let stuck = input.health.iter().filter(|row| row.tier == Tier::Stuck).count();
    if stuck == 0 {
        return html! {};
    }
    let shares = input.tier_counts().into_iter().find(|(tier, ..)| *tier == Tier::Stuck);
    let share = shares.and_then(|(_, _, share)| share);
    let longest = input.stuck_partners.iter().flatten().max_by_key(|row| row.days_in_stage);
    html! {
        li {
            (glyph::glyph(Tier::Stuck))
            div {
                p.who {
                    a href=(paths::health_list(Tier::Stuck)) { (tier_count(stuck, Tier::Stuck)) " stuck before production" }
                    span { (health_summary::share_of_gross(input, share)) }
                }
                p {
                    @match longest {
                        Some(row) => { "Longest: " (clipped_text::name(&format::name_or_id(None, &row.partner_id), 40)) ", "
                            (Figure::counted(row.days_in_stage, "day", "SELECT max(days_in_stage) FROM stuck_partners")) " in its stage." }
                        None => { "Registered, not live, and in its stage for " (format::counted(input.policy.stuck_after_days, "day")) " or more." }
                    }
                }
            }
        }
    }
}
