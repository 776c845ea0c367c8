//! The Health pages: tiers over time, partners at risk, and lists of all partners.

use std::sync::Arc;

use chrono::NaiveDate;
use domain::{Tier, format};
use maud::{Markup, html};

use crate::charts::areas::{TierCounts, area_chart};
use crate::charts::{ChartFrame, NARROW, last};
use crate::components::figure::{self, Figure};
use crate::components::shell::{Page, Section, empty_state, grid, wide_and_narrow};
use crate::components::table::{Column, header_cell};
use crate::components::{
    annotation_marks, clipped_text, glyph, health_summary, kept_grain, lead_paragraph,
    partner_columns, partner_link, proposed_actions,
};
use crate::grain::Grain;
use crate::health_rows::HealthRow;
use crate::input::ReportInput;
use crate::pages::partner_list;
use crate::partner_list_query::PartnerListQuery;
use crate::site::{Family, LazyPage, LazyPages, PageContext};
use crate::{paths, tiers};

/// The number of rows on a page of a list. 50 rows take about 40 kB, and less than 200 kB whatever
/// characters the names consist of.
const ROWS: usize = 50;
/// The number of rows in a short list.
const SHORT_LIST_ROWS: usize = 8;
/// The length of the longest reason that fits on one line of a table, in characters.
const REASON_LENGTH: usize = 56;

/// The pages of the list of all partners, and of the list of each tier.
pub(crate) const FAMILY: Family = Family { all: pages, at: page_at };

/// Returns the list of all partners, and that of each tier.
fn lists() -> impl Iterator<Item = Option<Tier>> {
    std::iter::once(None).chain(Tier::ALL.map(Some))
}

fn pages<'a>(context: &'a PageContext<'a>) -> LazyPages<'a> {
    Box::new(lists().flat_map(move |tier| {
        let rows: Arc<[&HealthRow]> = health_summary::partners_in(context.input, tier).into();
        (0..page_count(rows.len())).map(move |number| {
            let rows = Arc::clone(&rows);
            let render = Box::new(move || page(context, tier, number, &rows));
            LazyPage { path: paths::health_page(tier, number), render }
        })
    }))
}

fn page_at(context: &PageContext, wanted: &str) -> Option<String> {
    let of_list = |tier: Option<Tier>| {
        let number = page_number(wanted, tier)?;
        let rows = health_summary::partners_in(context.input, tier);
        (number < page_count(rows.len())).then(|| page(context, tier, number, &rows))
    };
    lists().find_map(of_list)
}

/// Returns the number of pages of a list.
fn page_count(rows: usize) -> usize {
    rows.div_ceil(ROWS).max(1)
}

/// Returns the number of the page of a list that has a path.
fn page_number(wanted: &str, tier: Option<Tier>) -> Option<usize> {
    let last = wanted.strip_suffix(".html")?.rsplit('-').next()?;
    let number = last.parse::<usize>().map_or(0, |number| number.saturating_sub(1));
    (paths::health_page(tier, number) == wanted).then_some(number)
}

/// A page of a list of partners.
struct ListPage {
    /// The tier of the partners. `None`: the list has all partners.
    tier: Option<Tier>,
    /// The number of the page, from 0.
    number: usize,
    /// The number of pages of the list.
    count: usize,
    /// The number of partners in the list.
    total: usize,
}

/// Renders a page of a list of partners.
fn page(context: &PageContext, tier: Option<Tier>, number: usize, all: &[&HealthRow]) -> String {
    let list = &ListPage { tier, number, count: page_count(all.len()), total: all.len() };
    let begin = number * ROWS;
    let rows = &all[begin..(begin + ROWS).min(all.len())];
    let first = list.tier.is_none() && list.number == 0;
    let title = match list.tier {
        Some(tier) => format!("{}: {}", context.page.title, tiers::label(tier).to_lowercase()),
        None => context.page.title.to_owned(),
    };
    let lead = if first { lead(context.input) } else { list_lead(list) };
    let page = Page { title, shows_scores: true, ..Page::new(context, lead) };
    let sections = html! {
        @if first { (grid(&[tiers_section(&page), attention_section(&page)])) }
        (grid(&[list_section(&page, list, rows)]))
        @if first { (grid(&[proposals_section(&page), proof_section(&page)])) }
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    if input.health.is_empty() {
        return html! { "No partner has been scored yet. Run " code { "rapport score run" } ", then the report again." };
    }
    let at_risk = health_summary::partners_in(input, Some(Tier::AtRisk));
    if at_risk.is_empty() {
        let live = input.health.iter().filter(|row| tiers::is_live(row.tier)).count() as i64;
        let live = Figure::counted(live, "live partner", health_summary::count_query(&tiers::LIVE));
        return html! { b { "Nobody is at risk" } " among the " (live) "." };
    }
    let n = at_risk.len() as i64;
    let share: f64 = at_risk.iter().filter_map(|row| row.impact_share).sum();
    let of_gross = figure::of_scores("sum(impact_share)", "tier = 'at_risk'");
    let count = Figure::counted(n, "partner", health_summary::count_query(&[Tier::AtRisk]));
    let sentence = html! {
        b { (count) " " (format::agree(n, "is", "are")) " at risk" }
        (change_since_week_ago(input, n))
        @if share > 0.0 {
            "; " (format::agree(n, "it holds ", "together they hold "))
            b { (Figure::percent_1(share, of_gross)) } " of gross"
        }
        "."
    };
    let names: Vec<Markup> =
        at_risk.iter().take(3).map(|row| clipped_text::name(&row.label(), 28)).collect();
    let which = match n {
        1 => "It is ",
        2 | 3 => "They are ",
        _ => "The largest are ",
    };
    lead_paragraph::lead([sentence, html! { (which) (listed(&names)) "." }])
}

/// Returns `A`, `A and B`, `A, B and C`.
fn listed(names: &[Markup]) -> Markup {
    html! {
        @for (i, name) in names.iter().enumerate() {
            @if i > 0 { (if i + 1 == names.len() { " and " } else { ", " }) }
            (name)
        }
    }
}

fn change_since_week_ago(input: &ReportInput, now: i64) -> Markup {
    let Some(day) = input.history.week_ago() else { return html! {} };
    let change = now - input.history.count(day, Tier::AtRisk);
    let query = |sign: &str| {
        let now = health_summary::count_query(&[Tier::AtRisk]);
        let then = figure::of_scores_on("count(*)", day, "tier = 'at_risk'");
        format!("SELECT {sign}(({now}) - ({then}))")
    };
    html! {
        @match change {
            0 => ", as many as",
            n if n > 0 => { ", " (Figure::new(format::count_in_words(n), n, query(""))) " more than" }
            n => { ", " (Figure::new(format::count_in_words(-n), -n, query("-"))) " fewer than" }
        }
        " on " (format::date(day))
    }
}

fn list_lead(list: &ListPage) -> Markup {
    let (what, query) = match list.tier {
        Some(tier) => (tiers::label(tier).to_lowercase(), health_summary::count_query(&[tier])),
        None => ("in all".to_owned(), health_summary::count_query(&Tier::ALL)),
    };
    let count = Figure::counted(list.total as i64, "partner", query);
    html! { b { (count) } " " (what) ", by share of gross." }
}

/// Returns the section with the tiers over time, or with those of today if few days were scored.
fn tiers_section(page: &Page) -> Markup {
    let input = page.context.input;
    let days = input.history.days();
    if days.len() < 3 {
        return health_summary::section(page, 5);
    }
    let (days, each) = by_period(page, last(&days, TIER_DAYS));
    let days = thinned(&days, TIER_POINTS);
    let layers = [Tier::AtRisk, Tier::Watch, Tier::Healthy, Tier::InsufficientEvidence];
    let counts: Vec<TierCounts> = days
        .iter()
        .map(|day| TierCounts {
            date: *day,
            counts: layers.map(|tier| input.history.count(*day, tier)),
        })
        .collect();
    let section = Section {
        subtitle: html! {
            "Live partners, " (format::long_date(days[0])) " to " (format::long_date(days[days.len() - 1])) (each)
        },
        ..Section::new("tiers", "Tiers over time", 5, "partner_health")
    };
    let draw = |size: (f64, f64)| {
        let frame = ChartFrame {
            size,
            title: "Live partners by tier",
            desc: "At risk, watch, healthy and too little evidence",
            marks: &page.marks,
        };
        area_chart(&frame, &counts)
    };
    let body = html! {
        (wide_and_narrow(draw((465.0, 330.0)), draw((NARROW, 280.0))))
        (annotation_marks::explanation(page))
    };
    page.section(&section, &body)
}

/// The number of days in the chart of tiers: three years, as in every history.
const TIER_DAYS: usize = 1_096;
/// The number of points that the chart draws at most.
const TIER_POINTS: usize = 120;

/// Returns the scored days that the chart shows: the last one of each period, where the reader chose
/// weeks or months and three of them were scored; and what the subtitle says about it.
fn by_period(page: &Page, days: &[NaiveDate]) -> (Vec<NaiveDate>, Markup) {
    let Some(grain) = page.context.grain().filter(|grain| *grain != Grain::Day) else {
        return (days.to_vec(), html! {});
    };
    let periods = days.chunk_by(|a, b| grain.period(*a) == grain.period(*b));
    let ends: Vec<NaiveDate> = periods.filter_map(|period| period.last().copied()).collect();
    if ends.len() < 3 {
        let why = format!("fewer than three {}s have scores", grain.name());
        return (days.to_vec(), kept_grain::sentence(page, Grain::Day, &why));
    }
    (ends, html! { ", each " (grain.name()) " on its last scored day" })
}

/// Returns every n-th day, counted back from the newest, such that there are at most `most`.
fn thinned(days: &[NaiveDate], most: usize) -> Vec<NaiveDate> {
    let every = days.len().div_ceil(most).max(1);
    let newest = days.len().saturating_sub(1);
    let kept = days.iter().enumerate().filter(|(i, _)| (newest - i).is_multiple_of(every));
    kept.map(|(_, day)| *day).collect()
}

fn attention_section(page: &Page) -> Markup {
    let rows = health_summary::partners_in(page.context.input, Some(Tier::AtRisk));
    let section = Section {
        subtitle: html! { "At risk, by share of gross" },
        first_on_phone: true,
        ..Section::new("attention", "Who is at risk", 7, "partner_health")
    };
    if rows.is_empty() {
        let sentence = match page.context.input.health.len() {
            0 => "No partner has been scored yet.",
            _ => "Nobody is at risk.",
        };
        return page.section(&section, &empty_state(sentence));
    }
    let body = html! {
        table.people {
            thead { tr { (header_cell(Column::Text("Partner"))) (header_cell(Column::Number("Score"))) (header_cell(Column::Text("Why"))) th.num.wide-only scope="col" { "Share" } } }
            tbody { @for row in rows.iter().take(SHORT_LIST_ROWS) {
                tr {
                    td.name { (partner_link::with_id(row)) }
                    td.num { b { (score_or_none(row.current_score())) } }
                    (reason_cell(row.reason()))
                    td.num.wide-only { (format::known_or_unknown(row.impact_share, |r| format::percent_with_places(r, 1))) }
                }
            } }
        }
        @if rows.len() > SHORT_LIST_ROWS { p.more { a href=(paths::health_list(Tier::AtRisk)) { "All " (format::thousands(rows.len())) " at risk" } } }
    };
    page.section(&section, &body)
}

/// Returns a cell with a reason on one line. The page of the partner has all of it.
fn reason_cell(reason: &str) -> Markup {
    html! { td.why title=[clipped_text::tooltip(reason, REASON_LENGTH)] { (format::keep_percent_together(&format::truncate_to_chars(reason, REASON_LENGTH))) } }
}

fn score_or_none(score: Option<f64>) -> String {
    score.map_or_else(|| "none".to_owned(), |s| format::decimal(s, 0))
}

fn list_section(page: &Page, list: &ListPage, rows: &[&HealthRow]) -> Markup {
    let title = match list.tier {
        Some(tier) => format!("{}: all partners", tiers::label(tier)),
        None => "All partners".to_owned(),
    };
    let first = list.number * ROWS;
    let [low, high] = page.context.input.policy.thresholds();
    let section = Section {
        subtitle: html! { "Tiers by the score: " (page.context.input.policy.thresholds_text()) "; gates may lower them" },
        note: Some(
            html! { "Share is of gross, the score of production traffic. Lines in a trend mark " (low) " and " (high) "." },
        ),
        ..Section::new("all", &title, 12, "partner_health")
    };
    if rows.is_empty() {
        let advice = match list.tier {
            Some(_) => {
                html! { p.empty { "No partner stands here today. " a href="health.html" { "All partners" } } }
            }
            None => empty_state(
                "No partner has been scored yet. Run rapport score run, then the report again.",
            ),
        };
        return page.section(&section, &html! { (filters(page.context.input, list)) (advice) });
    }
    let body = html! {
        (filters(page.context.input, list))
        @if page.context.live.is_some() { (partner_list::search_form(page, &PartnerListQuery::default(), false)) }
        (partner_columns::table(page.context, rows, &PartnerListQuery::default()))
        p.pager {
            span { (format::thousands(first as i64 + 1)) "–" (format::thousands((first + rows.len()) as i64)) " of " (format::thousands(list.total as i64)) }
            @if list.number > 0 { a href=(paths::health_page(list.tier, list.number - 1)) { "Previous " (ROWS) } }
            @if list.number + 1 < list.count { a href=(paths::health_page(list.tier, list.number + 1)) { "Next " (ROWS) } }
        }
    };
    page.section(&section, &body)
}

/// Returns the links to the lists of the tiers. The script adds a search field to them.
fn filters(input: &ReportInput, list: &ListPage) -> Markup {
    html! {
        div.filters {
            span #search {}
            a aria-current=[list.tier.is_none().then_some("true")] href="health.html" {
                "All " (format::thousands(input.health.len() as i64))
            }
            @for (tier, n, _) in input.tier_counts() {
                a aria-current=[(list.tier == Some(tier)).then_some("true")]
                    href=(paths::health_list(tier)) {
                    (glyph::glyph(tier)) (tiers::short_label(tier)) " " (format::thousands(n))
                }
            }
        }
    }
}

/// Returns the section with the proposed actions of the pending plan.
fn proposals_section(page: &Page) -> Markup {
    let rows = &page.context.input.plan;
    let section = Section {
        subtitle: html! { "Nothing is sent before a person applies the plan" },
        ..Section::new("proposed", "Proposed actions", 7, "actions_plan")
    };
    if rows.is_empty() {
        return page.section(
            &section,
            &empty_state("No action is proposed. Make a plan with rapport actions plan."),
        );
    }
    let body = html! {
        table.people {
            thead { tr { (header_cell(Column::Text("Partner"))) (header_cell(Column::Text("Action"))) (header_cell(Column::Text("Why"))) } }
            tbody { @for row in rows.iter().take(SHORT_LIST_ROWS) {
                tr {
                    td.name { (partner_link::by_id(page.context.partners, &row.partner_id)) }
                    td { (proposed_actions::headline(row)) }
                    (reason_cell(&row.why))
                }
            } }
        }
        @if rows.len() > SHORT_LIST_ROWS { p.note { (SHORT_LIST_ROWS) " of " (figure::plan_changes(rows.len())) " shown; the plan file and the partners’ pages have all." } }
    };
    page.section(&section, &body)
}

/// Returns the section on what the score rests on, and how to test it.
fn proof_section(page: &Page) -> Markup {
    let section = Section {
        subtitle: html! { "What the tiers rest on so far" },
        ..Section::new("proof", "Does the score work?", 5, "partner_health")
    };
    let names: std::collections::BTreeSet<&str> = page
        .context
        .input
        .health
        .iter()
        .flat_map(|row| row.signals.iter().map(|signal| signal.name.as_str()))
        .collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let body = html! {
        p.body {
            @if names.is_empty() { "No signal has been measured yet." }
            @else { "The score weighs " (format::counted(names.len() as i64, "signal")) ": " (format::joined_with_and(&names)) "." }
            " Gates beside it catch what a mean hides. `rapport score backtest` tests it against the partners that left."
        }
    };
    page.section(&section, &body)
}
