//! The Health pages: tiers, who moved or needs attention, and lists of all partners, 100 a page.

use std::collections::HashMap;

use chrono::NaiveDate;
use maud::{Markup, PreEscaped, html};

use crate::charts::areas::{Tiers, areas};
use crate::charts::spark::trend;
use crate::charts::{self, Frame, NARROW};
use crate::figure::{self, Figure};
use crate::input::{ByPartner, ReportInput};
use crate::lead;
use crate::page::{Page, Place, Section, drawings, empty, grid};
use crate::policy::PolicyInForce;
use crate::standing::{HealthRow, HistoryRow, Standing};
use crate::table::{Column, bar, head};
use crate::{glyph, paths, plan, standings, words};

/// Rows of one list page: 50 are some 40 kB, and under 200 kB whatever the names are made of.
const ROWS: usize = 50;
/// Lines of a short list.
const SHORT: usize = 8;
/// Longest reason that fits one line of a table.
const REASON: usize = 56;

/// All pages about health, the lists by tier included: `(path, html)`.
pub(crate) fn pages<'a>(
    input: &'a ReportInput,
    by: &'a ByPartner,
) -> impl Iterator<Item = (String, String)> {
    let mut sorted: Vec<&HealthRow> = input.health.iter().collect();
    sorted.sort_by(|a, b| standings::by_share(a, b));
    let lists = std::iter::once(None).chain(Standing::ALL.map(Some));
    lists.flat_map(move |list| {
        let rows: Vec<&HealthRow> = sorted
            .iter()
            .filter(|row| list.is_none_or(|standing| row.standing() == standing))
            .copied()
            .collect();
        let count = rows.len().div_ceil(ROWS).max(1);
        (0..count).map(move |number| {
            let part = Part { list, number, count, total: rows.len() };
            let shown =
                &rows[(number * ROWS).min(rows.len())..((number + 1) * ROWS).min(rows.len())];
            (part.path(number), page(input, by, &part, shown))
        })
    })
}

/// One page of one list.
struct Part {
    list: Option<Standing>,
    number: usize,
    count: usize,
    total: usize,
}

impl Part {
    fn path(&self, number: usize) -> String {
        let list = self.list.map_or_else(String::new, |standing| format!("-{}", standing.slug()));
        let number = if number == 0 { String::new() } else { format!("-{}", number + 1) };
        format!("health{list}{number}.html")
    }
}

fn page(input: &ReportInput, by: &ByPartner, part: &Part, rows: &[&HealthRow]) -> String {
    let first = part.list.is_none() && part.number == 0;
    let title = match part.list {
        Some(standing) => format!("Health: {}", standing.word().to_lowercase()),
        None => "Health".to_owned(),
    };
    let page = Page {
        input,
        root: "",
        place: Place::Health,
        title,
        id: None,
        above: None,
        facts: None,
        lead: if first { lead(input) } else { list_lead(part) },
        scored: true,
    };
    let sections = html! {
        @if first { (grid(&[tiers_section(&page), attention_section(&page)])) }
        (grid(&[list_section(&page, by, part, rows)]))
        @if first { (grid(&[proposals_section(&page, by), proof_section(&page)])) }
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    if input.health.is_empty() {
        return html! { "No partner has been scored yet. Run " code { "rapport score run" } ", then the report again." };
    }
    let mut risk: Vec<&HealthRow> =
        input.health.iter().filter(|row| row.standing() == Standing::AtRisk).collect();
    risk.sort_by(|a, b| standings::by_share(a, b));
    if risk.is_empty() {
        let live = input.health.iter().filter(|row| row.standing().is_live()).count() as i64;
        let live = Figure::counted(live, "live partner", standings::count_of(&Standing::LIVE));
        return html! { b { "Nobody is at risk" } " among the " (live) "." };
    }
    let n = risk.len() as i64;
    let share: f64 = risk.iter().filter_map(|row| row.impact_share).sum();
    let of_gross = figure::of_scores("sum(impact_share)", "tier = 'at_risk'");
    let count = Figure::counted(n, "partner", standings::count_of(&[Standing::AtRisk]));
    let at_risk = html! {
        b { (count) " " (words::agree(n, "is", "are")) " at risk" }
        (since_week(input, n))
        @if share > 0.0 {
            "; " (words::agree(n, "it holds ", "together they hold "))
            b { (Figure::percent_1(share, of_gross)) } " of gross"
        }
        "."
    };
    let names: Vec<Markup> = risk.iter().take(3).map(|row| words::name(&row.label(), 28)).collect();
    let which = match n {
        1 => "It is ",
        2 | 3 => "They are ",
        _ => "The largest are ",
    };
    lead::lead([at_risk, html! { (which) (listed(&names)) "." }])
}

/// `A`, `A and B`, `A, B and C`.
fn listed(names: &[Markup]) -> Markup {
    html! {
        @for (i, name) in names.iter().enumerate() {
            @if i > 0 { (if i + 1 == names.len() { " and " } else { ", " }) }
            (name)
        }
    }
}

fn since_week(input: &ReportInput, now: i64) -> Markup {
    let Some(day) = input.week_ago() else { return html! {} };
    let at_risk = |r: &&HistoryRow| r.as_of == day && Standing::of(&r.tier) == Standing::AtRisk;
    let then = input.history.iter().filter(at_risk).count() as i64;
    let more = now - then;
    let query = |sign: &str| {
        let now = standings::count_of(&[Standing::AtRisk]);
        let then = figure::of_scores_on("count(*)", day, "tier = 'at_risk'");
        format!("SELECT {sign}(({now}) - ({then}))")
    };
    html! {
        @match more {
            0 => ", as many as",
            n if n > 0 => { ", " (Figure::new(words::few(n), n, query(""))) " more than" }
            n => { ", " (Figure::new(words::few(-n), -n, query("-"))) " fewer than" }
        }
        " on " (words::day(day))
    }
}

fn list_lead(part: &Part) -> Markup {
    let (what, query) = match part.list {
        Some(standing) => (standing.word().to_lowercase(), standings::count_of(&[standing])),
        None => ("in all".to_owned(), standings::count_of(&Standing::ALL)),
    };
    let count = Figure::counted(part.total as i64, "partner", query);
    html! { b { (count) } " " (what) ", by share of gross." }
}

/// Tiers over time where several days were scored, their counts of today otherwise.
fn tiers_section(page: &Page) -> Markup {
    let input = page.input;
    let days = input.score_days();
    if days.len() < 3 {
        return standings::section(page, 5);
    }
    let mut counts: HashMap<NaiveDate, [i64; 4]> = HashMap::new();
    for row in &input.history {
        let layer = match Standing::of(&row.tier) {
            Standing::AtRisk => 0,
            Standing::Watch => 1,
            Standing::Healthy => 2,
            Standing::Thin => 3,
            _ => continue,
        };
        counts.entry(row.as_of).or_default()[layer] += 1;
    }
    let days = thinned(charts::last(&days, TIER_DAYS), TIER_POINTS);
    let tiers: Vec<Tiers> = days
        .iter()
        .map(|day| Tiers { date: *day, counts: counts.get(day).copied().unwrap_or_default() })
        .collect();
    let section = Section {
        subtitle: html! {
            "Live partners, " (words::long_day(days[0])) " to " (words::long_day(days[days.len() - 1])) "; thresholds are provisional"
        },
        ..Section::new("tiers", "Tiers over time", 5, "partner_health")
    };
    let draw = |size: (f64, f64)| {
        let frame = Frame {
            size,
            title: "Live partners by tier",
            desc: "At risk, watch, healthy and too little evidence",
        };
        areas(&frame, &tiers)
    };
    page.section(&section, &drawings(draw((465.0, 330.0)), draw((NARROW, 280.0))))
}

/// Days of the chart of tiers: three years, as of every history; and the points it draws of them.
const TIER_DAYS: usize = 1_096;
const TIER_POINTS: usize = 120;

/// Every so manieth day, counted back from the newest, so that there are at most `most`.
fn thinned(days: &[NaiveDate], most: usize) -> Vec<NaiveDate> {
    let every = days.len().div_ceil(most).max(1);
    let newest = days.len().saturating_sub(1);
    let kept = days.iter().enumerate().filter(|(i, _)| (newest - i).is_multiple_of(every));
    kept.map(|(_, day)| *day).collect()
}

fn attention_section(page: &Page) -> Markup {
    let mut rows: Vec<&HealthRow> =
        page.input.health.iter().filter(|row| row.standing() == Standing::AtRisk).collect();
    rows.sort_by(|a, b| standings::by_share(a, b));
    let section = Section {
        subtitle: html! { "At risk, by share of gross" },
        first: true,
        ..Section::new("attention", "Who is at risk", 7, "partner_health")
    };
    if rows.is_empty() {
        let sentence = match page.input.health.len() {
            0 => "No partner has been scored yet.",
            _ => "Nobody is at risk.",
        };
        return page.section(&section, &empty(sentence));
    }
    let body = html! {
        table.people {
            thead { tr { (head(Column::Text("Partner"))) (head(Column::Number("Score"))) (head(Column::Text("Why"))) th.num.wide-only scope="col" { "Share" } } }
            tbody { @for row in rows.iter().take(SHORT) {
                tr {
                    td.name { (link(row)) }
                    td.num { b { (score(row.current_score())) } }
                    (why(row.reason()))
                    td.num.wide-only { (words::known(row.impact_share, words::percent_1)) }
                }
            } }
        }
        @if rows.len() > SHORT { p.more { a href="health-at-risk.html" { "All " (words::thousands(rows.len())) " at risk" } } }
    };
    page.section(&section, &body)
}

/// A reason on one line; all of it is on the partner's page.
fn why(reason: &str) -> Markup {
    html! { td.why title=[words::cut(reason, REASON)] { (words::clip(reason, REASON)) } }
}

fn link(row: &HealthRow) -> Markup {
    let label = row.label();
    html! {
        a.plain href=(paths::partner(&row.partner_id)) { (words::name(&label, 40)) }
        @if label != row.partner_id { " " bdi.id { (words::clip(&row.partner_id, 24)) } }
    }
}

fn score(score: Option<f64>) -> String {
    score.map_or_else(|| "none".to_owned(), |s| words::decimal(s, 0))
}

fn list_section(page: &Page, by: &ByPartner, part: &Part, rows: &[&HealthRow]) -> Markup {
    let title = match part.list {
        Some(standing) => format!("{}: all partners", standing.word()),
        None => "All partners".to_owned(),
    };
    let first = part.number * ROWS;
    let [low, high] = page.input.policy.lines();
    let section = Section {
        subtitle: html! { "Tiers stand on provisional thresholds: " (page.input.policy.bands()) },
        note: Some(
            html! { "Share is of gross, the score of production traffic. Lines in a trend mark " (low) " and " (high) "." },
        ),
        ..Section::new("all", &title, 12, "partner_health")
    };
    if rows.is_empty() {
        let advice = match part.list {
            Some(_) => {
                html! { p.empty { "No partner stands here today. " a href="health.html" { "All partners" } } }
            }
            None => empty(
                "No partner has been scored yet. Run rapport score run, then the report again.",
            ),
        };
        return page.section(&section, &html! { (filters(page.input, part)) (advice) });
    }
    let most = rows.iter().filter_map(|row| row.impact_share).fold(1e-9, f64::max);
    let days = page.input.score_days();
    let days = if days.len() >= 2 { days } else { Vec::new() };
    let body = html! {
        (filters(page.input, part))
        div.scroll { table.all #partners {
            thead { tr {
                (head(Column::Text("Tier"))) (head(Column::Text("Partner"))) (head(Column::Number("Score")))
                @if !days.is_empty() { th.wide-only scope="col" { "Trend" } }
                th.num.sorted.wide-only scope="col" { "Share of gross ▾" } th.wide-only {}
                th.wide-only scope="col" { "Manager" } (head(Column::Text("Top reason"))) th.num.wide-only scope="col" { "Since" }
            } }
            tbody { @for row in rows { (list_row(page.input, row, by, most, &days)) } }
        } }
        p.pager {
            span { (words::count(first as i64 + 1)) "–" (words::count((first + rows.len()) as i64)) " of " (words::count(part.total as i64)) }
            @if part.number > 0 { a href=(part.path(part.number - 1)) { "Previous " (ROWS) } }
            @if part.number + 1 < part.count { a href=(part.path(part.number + 1)) { "Next " (ROWS) } }
        }
        (PreEscaped(SCRIPT))
    };
    page.section(&section, &body)
}

/// Lists by standing, and a search that a script adds: without one it would do nothing.
fn filters(input: &ReportInput, part: &Part) -> Markup {
    html! {
        div.filters {
            span #search {}
            a aria-current=[part.list.is_none().then_some("true")] href="health.html" {
                "All " (words::count(input.health.len() as i64))
            }
            @for (standing, n, _) in input.standings() {
                a aria-current=[(part.list == Some(standing)).then_some("true")]
                    href={ "health-" (standing.slug()) ".html" } {
                    (glyph::glyph(standing)) (standing.short()) " " (words::count(n))
                }
            }
        }
    }
}

fn list_row(
    input: &ReportInput,
    row: &HealthRow,
    by: &ByPartner,
    most: f64,
    days: &[NaiveDate],
) -> Markup {
    html! {
        tr {
            td { (glyph::tier_short(row.standing())) }
            td.name { (link(row)) }
            td.num { @match row.current_score() { Some(s) => b { (words::decimal(s, 0)) }, None => span.quiet { "none" } } }
            @if !days.is_empty() { td.wide-only { (trend_line(&input.policy, row, by, days)) } }
            td.num.wide-only { (words::known(row.impact_share, words::percent_1)) }
            td.share.wide-only { (bar(row.impact_share.unwrap_or(0.0) / most, "retained-line", false)) }
            td.wide-only.clip { @match &row.manager { Some(name) => bdi { (words::clip(name, 24)) }, None => span.quiet { "unassigned" } } }
            td.why { (words::clip(row.reason(), REASON)) }
            td.num.wide-only { (row.tier_since.map_or_else(String::new, words::day)) }
        }
    }
}

/// Days and points of a trend: every third day draws the same line in a third of the bytes.
const TREND_DAYS: usize = 90;
const TREND_POINTS: usize = 30;

fn trend_line(
    policy: &PolicyInForce,
    row: &HealthRow,
    by: &ByPartner,
    days: &[NaiveDate],
) -> Markup {
    let known = by.history.get(row.partner_id.as_str()).map_or(&[][..], Vec::as_slice);
    let days = charts::last(days, TREND_DAYS);
    let every = days.len().div_ceil(TREND_POINTS).max(1);
    let newest = days.len().saturating_sub(1);
    let score = |day: &NaiveDate| {
        known.binary_search_by_key(day, |row| row.as_of).ok().and_then(|i| known[i].current_score())
    };
    let values: Vec<Option<f64>> = (0..days.len())
        .filter(|i| (newest - i).is_multiple_of(every))
        .map(|i| score(&days[i]))
        .collect();
    if values.iter().all(Option::is_none) {
        return html! { span.unscored title="no score yet" {} };
    }
    let tier = crate::partner::tier_role(&row.tier);
    html! { (PreEscaped(trend(&values, tier, policy.lines()))) }
}

/// Proposed actions of the pending plan.
fn proposals_section(page: &Page, by: &ByPartner) -> Markup {
    let rows = &page.input.plan;
    let section = Section {
        subtitle: html! { "Nothing is sent before a person applies the plan" },
        ..Section::new("proposed", "Proposed actions", 7, "actions_plan")
    };
    if rows.is_empty() {
        return page.section(
            &section,
            &empty("No action is proposed. Make a plan with rapport actions plan."),
        );
    }
    let body = html! {
        table.people {
            thead { tr { (head(Column::Text("Partner"))) (head(Column::Text("Action"))) (head(Column::Text("Why"))) } }
            tbody { @for row in rows.iter().take(SHORT) {
                tr {
                    td.name { (crate::revenue::partner_link(by, &row.partner_id)) }
                    td { (plan::headline(row)) }
                    (why(&row.why))
                }
            } }
        }
        @if rows.len() > SHORT { p.note { (SHORT) " of " (figure::of_plan(rows.len())) " shown; the plan file and the partners’ pages have all." } }
    };
    page.section(&section, &body)
}

/// What is known of the score's worth: nothing yet, and that is said.
fn proof_section(page: &Page) -> Markup {
    let section = Section {
        subtitle: html! { "What the tiers rest on so far" },
        ..Section::new("proof", "Does the score work?", 5, "partner_health")
    };
    let names: std::collections::BTreeSet<&str> = page
        .input
        .health
        .iter()
        .flat_map(|row| row.signals.iter().map(|signal| signal.name.as_str()))
        .collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let body = html! {
        p.body {
            @if names.is_empty() { "No signal has been measured yet." }
            @else { "The score weighs " (words::counted(names.len() as i64, "signal")) ": " (words::list(&names)) "." }
            " It has not been tested against partners that stopped, so its thresholds are provisional: read the reason before the tier."
        }
    };
    page.section(&section, &body)
}

/// Search within the page shown, and sorting by its columns.
const SCRIPT: &str = include_str!("health_script.html");
