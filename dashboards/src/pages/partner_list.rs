//! The list of partners of the served pages: searched, filtered and sorted by the server, so that it
//! takes the same time in any browser, whatever the number of partners.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::NaiveDate;
use domain::{Tier, format};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::components::shell::{Page, Section, grid};
use crate::health_rows::HealthRow;
use crate::input::ReportInput;
use crate::live_page::{PartnerListQuery, PartnerSort};
use crate::pages::health;
use crate::site::PageContext;
use crate::tiers;

/// The file name of the page.
pub(crate) const FILE: &str = "partners.html";
/// The number of rows on a page of the list.
const ROWS: usize = 50;

pub(crate) fn page(context: &PageContext) -> String {
    let standard = PartnerListQuery::default();
    let query = context.live.map_or(&standard, |live| &live.list);
    let found = found(context.input, query);
    let number = query.page.min(found.len().saturating_sub(1) / ROWS);
    let begin = number * ROWS;
    let shown = &found[begin..(begin + ROWS).min(found.len())];
    let all = context.input.health.len();
    let is_everybody = query.text.is_empty() && query.tier.is_none();
    let lead = html! {
        @if is_everybody { "All " b { (format::counted(all as i64, "partner")) } "." }
        @else {
            b { (format::counted(found.len(), "partner")) } " of " (format::thousands(all as i64)) " "
            (format::agree(found.len(), "fits", "fit")) "."
        }
    };
    let page = Page { shows_scores: true, ..Page::new(context, lead) };
    let section = Section {
        subtitle: html! { (query.sort.label()) },
        ..Section::new("found", "Partners", 12, "partner_health")
    };
    let body = html! {
        (search_form(&page, query))
        @if shown.is_empty() {
            p.empty { "No partner fits. " a href=(FILE) { "Show all partners" } }
        } @else {
            (health::partners_table(context, shown, query.sort == PartnerSort::Impact))
            p.pager {
                span { (format::thousands(begin as i64 + 1)) "–" (format::thousands((begin + shown.len()) as i64)) " of " (format::thousands(found.len() as i64)) }
                @if number > 0 { a rel="prev" href=(address(query, number - 1)) { "Previous " (ROWS) } }
                @if begin + ROWS < found.len() { a rel="next" href=(address(query, number + 1)) { "Next " (ROWS) } }
            }
        }
    };
    page.html(&grid(&[page.section(&section, &body)]))
}

/// Returns the form that searches the list.
pub(crate) fn search_form(page: &Page, query: &PartnerListQuery) -> Markup {
    html! {
        form.search method="get" action={ (page.root) (FILE) } role="search" {
            label { span { "Search" } input type="search" name="q" value=(query.text) maxlength="200"; }
            label { span { "Tier" } select name="tier" {
                option value="" { "All" }
                @for tier in Tier::ALL { option value=(tier.name()) selected[query.tier == Some(tier)] { (tiers::label(tier)) } }
            } }
            label { span { "Order" } select name="sort" {
                @for sort in PartnerSort::ALL { option value=(sort.name()) selected[query.sort == sort] { (sort.label()) } }
            } }
            button type="submit" { "Search" }
        }
    }
}

/// Returns the address of a page of the list.
fn address(query: &PartnerListQuery, page: usize) -> String {
    let mut address = format!("{FILE}?sort={}&page={}", query.sort.name(), page + 1);
    if !query.text.is_empty() {
        let _ = write!(address, "&q={}", utf8_percent_encode(&query.text, NON_ALPHANUMERIC));
    }
    if let Some(tier) = query.tier {
        let _ = write!(address, "&tier={}", tier.name());
    }
    address
}

/// Returns the partners that fit, in the order of the query.
pub(crate) fn found<'a>(input: &'a ReportInput, query: &PartnerListQuery) -> Vec<&'a HealthRow> {
    let text = query.text.trim().to_lowercase();
    let fits = |row: &&HealthRow| {
        query.tier.is_none_or(|tier| tier == row.tier)
            && (text.is_empty()
                || row.partner_id.to_lowercase().contains(&text)
                || row.name.as_ref().is_some_and(|name| name.to_lowercase().contains(&text)))
    };
    let mut rows: Vec<&HealthRow> = input.health.iter().filter(fits).collect();
    match query.sort {
        PartnerSort::Impact => rows.sort_by(|a, b| order(b.impact_share, a.impact_share)),
        PartnerSort::Score => {
            rows.sort_by(|a, b| {
                let unknown = |row: &HealthRow| row.current_score().is_none();
                (unknown(a).cmp(&unknown(b))).then(order(a.current_score(), b.current_score()))
            });
        }
        PartnerSort::Change => {
            let before = scores_of(input, input.week_ago());
            let change =
                |row: &HealthRow| Some(row.current_score()? - before.get(row.partner_id.as_str())?);
            rows.sort_by(|a, b| {
                let (a, b) = (change(a), change(b));
                (a.is_none().cmp(&b.is_none())).then(order(a, b))
            });
        }
        PartnerSort::Name => rows.sort_by_cached_key(|row| row.label().to_lowercase()),
        PartnerSort::Since => rows.sort_by_key(|row| Reverse(row.tier_since)),
    }
    rows
}

fn order(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    a.unwrap_or(f64::NEG_INFINITY).total_cmp(&b.unwrap_or(f64::NEG_INFINITY))
}

/// Returns the scores of a day by partner.
fn scores_of(input: &ReportInput, day: Option<NaiveDate>) -> HashMap<&str, f64> {
    let of_day = input.history.iter().filter(|row| Some(row.as_of) == day);
    of_day.filter_map(|row| Some((row.partner_id.as_str(), row.current_score()?))).collect()
}
