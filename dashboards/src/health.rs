//! The Health pages: tiers, who moved or needs attention, and lists of all partners, 100 a page.

use std::collections::HashMap;

use chrono::NaiveDate;
use maud::{Markup, PreEscaped, html};

use crate::charts::areas::{Tiers, areas};
use crate::charts::spark::trend;
use crate::charts::{Frame, NARROW};
use crate::input::{ByPartner, ReportInput};
use crate::page::{Page, Place, Section, drawings, empty, grid};
use crate::standing::{HealthRow, Standing};
use crate::table::{Column, bar, head};
use crate::{glyph, paths, plan, standings, words};

/// Rows of one list page: 100 rows are some 80 kB.
const ROWS: usize = 100;
/// Lines of a short list.
const SHORT: usize = 8;
/// Longest reason that fits one line of a table.
const REASON: usize = 56;

/// All pages about health, the lists by tier included: `(path, html)`.
pub(crate) fn pages(input: &ReportInput, by: &ByPartner) -> Vec<(String, String)> {
    let mut sorted: Vec<&HealthRow> = input.health.iter().collect();
    sorted.sort_by(|a, b| standings::by_share(a, b));
    let mut out = Vec::new();
    let lists = std::iter::once(None).chain(Standing::ALL.map(Some));
    for list in lists {
        let rows: Vec<&HealthRow> = sorted
            .iter()
            .filter(|row| list.is_none_or(|standing| row.standing() == standing))
            .copied()
            .collect();
        let count = rows.len().div_ceil(ROWS).max(1);
        for number in 0..count {
            let part = Part { list, number, count, total: rows.len() };
            let shown =
                &rows[(number * ROWS).min(rows.len())..((number + 1) * ROWS).min(rows.len())];
            out.push((part.path(number), page(input, by, &part, shown)));
        }
    }
    out
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
    let share: f64 = risk.iter().filter_map(|row| row.impact_share).sum();
    let names: Vec<String> = risk.iter().take(3).map(|row| words::clip(&row.label(), 28)).collect();
    if risk.is_empty() {
        let live = input.health.iter().filter(|row| row.standing().is_live()).count() as i64;
        return html! { b { "Nobody is at risk" } " among the " (words::plural(live, "live partner", "live partners")) "." };
    }
    let n = risk.len() as i64;
    html! {
        b { (words::capital(&words::plural(n, "partner", "partners"))) (if n == 1 { " is" } else { " are" }) " at risk" }
        (since_week(input, n))
        @if share > 0.0 { "; together they hold " b { (words::percent_1(share)) } " of gross" }
        "."
        @if n > 3 { " The largest are " (isolated(&names)) "." } @else if n > 1 { " They are " (isolated(&names)) "." } @else { " It is " (isolated(&names)) "." }
    }
}

/// Names in a sentence, each kept apart from its neighbours' writing direction.
fn isolated(names: &[String]) -> Markup {
    html! {
        @for (i, name) in names.iter().enumerate() {
            @if i > 0 { (if i + 1 == names.len() { " and " } else { ", " }) }
            bdi { (name) }
        }
    }
}

fn since_week(input: &ReportInput, now: i64) -> String {
    let Some(day) = input.week_ago() else { return String::new() };
    let then =
        input.history.iter().filter(|r| r.as_of == day && r.tier == "at_risk").count() as i64;
    let when = format!("on {}", words::day(day));
    match now - then {
        0 => format!(", as many as {when}"),
        n if n > 0 => format!(", {} more than {when}", words::few(n)),
        n => format!(", {} fewer than {when}", words::few(-n)),
    }
}

fn list_lead(part: &Part) -> Markup {
    let what = part.list.map_or_else(|| "in all".to_owned(), |s| s.word().to_lowercase());
    html! { b { (words::plural(part.total as i64, "partner", "partners")) } " " (what) ", by share of gross." }
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
                    td.num { b { (score(row.score)) } }
                    td.why title=(row.reason()) { (words::clip(row.reason(), REASON)) }
                    td.num.wide-only { (words::known(row.impact_share, words::percent_1)) }
                }
            } }
        }
        @if rows.len() > SHORT { p.more { a href="health-at-risk.html" { "All " (words::count(rows.len() as i64)) " at risk" } } }
    };
    page.section(&section, &body)
}

fn link(row: &HealthRow) -> Markup {
    let label = row.label();
    html! {
        a.plain href=(paths::partner(&row.partner_id)) title=(label) { bdi { (words::clip(&label, 48)) } }
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
    let section = Section {
        subtitle: html! { "Tiers stand on provisional thresholds: healthy above 75, at risk below 40" },
        note: Some(
            html! { "Share is of gross, the score of production traffic. Lines in a trend mark 40 and 75." },
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
            tbody { @for row in rows { (list_row(row, by, most, &days)) } }
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

fn list_row(row: &HealthRow, by: &ByPartner, most: f64, days: &[NaiveDate]) -> Markup {
    html! {
        tr {
            td { (glyph::tier_short(row.standing())) }
            td.name { (link(row)) }
            td.num { @match row.score { Some(s) => b { (words::decimal(s, 0)) }, None => span.quiet { "none" } } }
            @if !days.is_empty() { td.wide-only { (trend_line(row, by, days)) } }
            td.num.wide-only { (words::known(row.impact_share, words::percent_1)) }
            td.share.wide-only { (bar(row.impact_share.unwrap_or(0.0) / most, "retained-line", false)) }
            td.wide-only.clip { @match &row.manager { Some(name) => bdi { (words::clip(name, 24)) }, None => span.quiet { "unassigned" } } }
            td.why title=(row.reason()) { (words::clip(row.reason(), REASON)) }
            td.num.wide-only { (row.tier_since.map_or_else(String::new, words::day)) }
        }
    }
}

/// Days and points of a trend: every third day draws the same line in a third of the bytes.
const TREND_DAYS: usize = 90;
const TREND_POINTS: usize = 30;

fn trend_line(row: &HealthRow, by: &ByPartner, days: &[NaiveDate]) -> Markup {
    let known = by.history.get(row.partner_id.as_str()).map_or(&[][..], Vec::as_slice);
    let days = crate::charts::last(days, TREND_DAYS);
    let every = days.len().div_ceil(TREND_POINTS).max(1);
    let newest = days.len().saturating_sub(1);
    let score = |day: &NaiveDate| {
        known.binary_search_by_key(day, |row| row.as_of).ok().and_then(|i| known[i].score)
    };
    let values: Vec<Option<f64>> = (0..days.len())
        .filter(|i| (newest - i).is_multiple_of(every))
        .map(|i| score(&days[i]))
        .collect();
    if values.iter().all(Option::is_none) {
        return html! { span.unscored title="no score yet" {} };
    }
    let tier = crate::partner::tier_role(&row.tier);
    html! { (PreEscaped(trend(&values, values.len(), tier))) }
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
                    td.why title=(row.why) { (words::clip(&row.why, REASON)) }
                }
            } }
        }
        @if rows.len() > SHORT { p.note { (SHORT) " of " (words::count(rows.len() as i64)) " shown; the plan file and the partners’ pages have all." } }
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
            @else { "The score weighs " (words::plural(names.len() as i64, "signal", "signals")) ": " (words::list(&names)) "." }
            " It has not been tested against partners that stopped, so its thresholds are provisional: read the reason before the tier."
        }
    };
    page.section(&section, &body)
}

/// Search within the page shown, and sorting by its columns.
const SCRIPT: &str = include_str!("health_script.html");
