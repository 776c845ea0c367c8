//! The Overview page: tiles, active partners by month, who needs you today, funnel, standings.

use maud::{Markup, html};

use crate::growth::growth_section;
use crate::input::{ByPartner, ReportInput, last_two};
use crate::page::{Page, Place, Section, empty, grid, held_elsewhere};
use crate::rows::ActivationRow;
use crate::standing::{HealthRow, Standing};
use crate::tile::{Tile, Tone, tiles, tone};
use crate::{funnel, glyph, paths, standings, words};

/// Periods of a sparkline.
const SPARK: usize = 8;
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
        (tiles(&all_tiles(input)))
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

/// At most two lines: what changed, by how much, and the newest cohort.
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
    html! {
        (words::long_month(now.month)) " closed with "
        b { (words::plural(now.active, "active partner", "active partners")) }
        @if let Some(before) = before { ", " (than(now.active - before.active, before.month)) }
        @if let Some((row, before)) = revenue {
            @if before.is_some() { "," } " and "
            b { (words::money(row.gross, &input.currency)) " gross" }
            @if let Some(before) = before.filter(|b| b.gross > 0.0) { ", " (moved(row.gross / before.gross - 1.0)) }
            @if let Some(share) = row.top10_share.filter(|_| row.paying_partners > 20) {
                "; the ten largest billed " (words::percent(share)) " of it"
            }
        }
        "."
        @if let Some(sentence) = cohort_sentence(&input.activation) { " " (sentence) }
    }
}

/// `28 more than July`, `as many as in July`.
pub(crate) fn than(change: i64, month: chrono::NaiveDate) -> String {
    let month = words::long_month(month);
    match change {
        0 => format!("as many as in {month}"),
        n if n > 0 => format!("{} more than {month}", words::count(n)),
        n => format!("{} fewer than {month}", words::count(-n)),
    }
}

/// `up 70 %`, `down 4 %`, `unchanged`.
pub(crate) fn moved(change: f64) -> String {
    match change {
        c if c >= 0.005 => format!("up {}", words::percent(c)),
        c if c <= -0.005 => format!("down {}", words::percent(-c)),
        _ => "unchanged".to_owned(),
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
    let (rate, month) = (newest.activation_rate?, words::long_month(newest.cohort_month?));
    let rates = || earlier.iter().filter_map(|row| row.activation_rate);
    let shown = words::percent_1(rate);
    Some(if earlier.len() >= 2 && rates().all(|r| r > rate) {
        html! { (month) "’s cohort activated worst so far: " b { (shown) } "." }
    } else if earlier.len() >= 2 && rates().all(|r| r < rate) {
        html! { (month) "’s cohort activated best so far: " b { (shown) } "." }
    } else {
        html! { "Of " (month) "’s cohort " b { (shown) } " went live within 30 days." }
    })
}

fn all_tiles(input: &ReportInput) -> Vec<Tile> {
    let mut tiles = vec![
        active(input),
        gross(input),
        paying(input),
        churn(input),
        activation(input),
        first_call(input),
    ];
    if input.is_empty() {
        tiles.iter_mut().for_each(|tile| tile.foot = "No data yet".to_owned());
    }
    tiles
}

fn tail(values: impl Iterator<Item = Option<f64>>) -> Vec<Option<f64>> {
    let values: Vec<Option<f64>> = values.collect();
    crate::charts::last(&values, SPARK).to_vec()
}

/// `Sep so far 248`, or when the running month will be shown.
fn so_far(input: &ReportInput, value: Option<String>) -> String {
    match (input.running_month(), value) {
        (Some(month), Some(value)) => format!("{} so far {value}", words::month(month)),
        (Some(month), None) => shown_from(month),
        (None, _) => "The month is whole".to_owned(),
    }
}

fn shown_from(month: chrono::NaiveDate) -> String {
    format!("{} shown from {}", words::month(month), words::day(words::next_month(month)))
}

fn on(month: chrono::NaiveDate) -> String {
    format!("on {}", words::month(month))
}

fn active(input: &ReportInput) -> Tile {
    let (now, before) = input.last_growth();
    let change = now.zip(before).map(|(now, before)| {
        let by = now.active - before.active;
        (words::signed(by), on(before.month), tone(by as f64, true))
    });
    let running = input.growth.last().filter(|row| !row.complete);
    Tile {
        label: "Active partners",
        period: now.map_or_else(String::new, |row| words::month(row.month)),
        value: now.map(|row| (words::count(row.active), String::new())),
        change,
        line: tail(input.growth.iter().filter(|r| r.complete).map(|r| Some(r.active as f64))),
        foot: so_far(input, running.map(|row| words::count(row.active))),
    }
}

fn gross(input: &ReportInput) -> Tile {
    let (now, before) = input.last_revenue();
    let change = now.zip(before).filter(|(_, b)| b.gross > 0.0).map(|(now, before)| {
        let by = now.gross / before.gross - 1.0;
        let shown = format!("{}{}%", words::signed_decimal(by * 100.0, 0), words::THIN_SPACE);
        (shown, on(before.month), tone(by, true))
    });
    let running = input.revenue_summary.last().filter(|row| !row.complete);
    Tile {
        label: "Gross revenue",
        period: now.map_or_else(String::new, |row| words::month(row.month)),
        value: now.map(|row| {
            let (number, unit) = words::money_parts(row.gross, &input.currency);
            (number, unit.to_owned())
        }),
        change,
        line: tail(input.revenue_summary.iter().filter(|r| r.complete).map(|r| Some(r.gross))),
        foot: so_far(input, running.map(|row| words::money(row.gross, &input.currency))),
    }
}

fn paying(input: &ReportInput) -> Tile {
    let (now, before) = input.last_revenue();
    let change = now.zip(before).map(|(now, before)| {
        let by = now.paying_partners - before.paying_partners;
        (words::signed(by), on(before.month), tone(by as f64, true))
    });
    let running = input.revenue_summary.last().filter(|row| !row.complete);
    let line = input.revenue_summary.iter().filter(|r| r.complete);
    Tile {
        label: "Paying partners",
        period: now.map_or_else(String::new, |row| words::month(row.month)),
        value: now.map(|row| (words::count(row.paying_partners), String::new())),
        change,
        line: tail(line.map(|r| Some(r.paying_partners as f64))),
        foot: so_far(input, running.map(|row| words::count(row.paying_partners))),
    }
}

/// Change of a ratio in percentage points; "better" and "worse" are said.
fn points(by: f64, base: &str, up_is_good: bool) -> (String, String, Tone) {
    let tone = tone(by, up_is_good);
    let shown = format!("{}{}pp", words::signed_decimal(by * 100.0, 1), words::THIN_SPACE);
    (shown, format!("{base}{}", verdict(tone)), tone)
}

fn verdict(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => ", better",
        Tone::Bad => ", worse",
        Tone::Plain => "",
    }
}

fn churn(input: &ReportInput) -> Tile {
    let (now, before) = input.last_growth();
    let rate = now.and_then(|row| row.churn_rate);
    let change = rate.zip(before.and_then(|row| Some((row.churn_rate?, row.month))));
    Tile {
        label: "Churn rate",
        period: now.map_or_else(String::new, |row| words::month(row.month)),
        value: rate.map(|r| (words::decimal(r * 100.0, 1), "%".to_owned())),
        change: change.map(|(now, (before, month))| points(now - before, &on(month), false)),
        line: tail(input.growth.iter().filter(|r| r.complete).map(|r| r.churn_rate)),
        foot: input.running_month().map_or_else(|| "The month is whole".to_owned(), shown_from),
    }
}

fn activation(input: &ReportInput) -> Tile {
    let cohorts = mature(&input.activation);
    let (now, before) = last_two(&cohorts, |_| true);
    let rate = now.and_then(|row| row.activation_rate);
    let change = rate.zip(before.and_then(|row| Some((row.activation_rate?, row.cohort_month?))));
    let next = input.activation.iter().find(|row| !row.mature && row.cohort_month.is_some());
    let matures = next.and_then(|row| row.cohort_month).map(|month| {
        format!("{} matures on {}", words::month(month), words::day(funnel::matures_on(month)))
    });
    Tile {
        label: "Activation rate",
        period: now.and_then(|row| row.cohort_month).map_or_else(String::new, words::month),
        value: rate.map(|r| (words::decimal(r * 100.0, 1), "%".to_owned())),
        change: change.map(|(now, (before, month))| points(now - before, &on(month), true)),
        line: tail(cohorts.iter().map(|r| r.activation_rate)),
        foot: match rate {
            None => no_cohort(),
            Some(_) => matures.unwrap_or_else(|| "Live within 30 days".to_owned()),
        },
    }
}

/// Why there is no figure of a cohort.
fn no_cohort() -> String {
    format!("No whole cohort of {SMALL_COHORT} yet")
}

fn first_call(input: &ReportInput) -> Tile {
    let months: Vec<_> = mature(&input.activation).iter().filter_map(|r| r.cohort_month).collect();
    let rows: Vec<_> = input
        .time_to_first_call
        .iter()
        .filter(|row| row.cohort_month.is_some_and(|month| months.contains(&month)))
        .collect();
    let (now, before) = last_two(&rows, |_| true);
    let median = now.and_then(|row| row.median_seconds);
    let change = median.zip(before.and_then(|row| Some((row.median_seconds?, row.cohort_month?))));
    let young = input.time_to_first_call.iter().rev().find(|row| {
        row.cohort_month.is_some_and(|m| !months.contains(&m)) && row.partners >= SMALL_COHORT
    });
    let foot = young
        .and_then(|row| Some((row.cohort_month?, row.median_seconds?)))
        .map(|(month, s)| format!("Median; {} so far {}", words::month(month), words::duration(s)));
    Tile {
        label: "Time to first call",
        period: now.and_then(|row| row.cohort_month).map_or_else(String::new, words::month),
        value: median.map(|s| {
            let (number, unit) = words::duration_parts(s);
            (number, unit.to_owned())
        }),
        change: change.map(|(now, (before, month))| {
            let by = now - before;
            let tone = tone(by, false);
            let sign = if by > 0.0 { "+" } else { "\u{2212}" };
            let shown = format!("{sign}{}", words::duration(by.abs()));
            (shown, format!("{}{}", on(month), verdict(tone)), tone)
        }),
        line: tail(rows.iter().map(|r| r.median_seconds)),
        foot: match (now, median) {
            (None, _) => no_cohort(),
            (_, None) => "Fewer than half have called".to_owned(),
            _ => foot.unwrap_or_else(|| "Median by cohort".to_owned()),
        },
    }
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
                @else { a href="health-at-risk.html" { "All " (words::count(risk.len() as i64)) " at risk" } }
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
                    a href=(paths::partner(&row.partner_id)) { bdi title=(row.label()) { (words::clip(&row.label(), 40)) } }
                    span { (standings::share(row.impact_share)) }
                }
                p {
                    span.visually-hidden { (row.standing().word()) ". " }
                    (standings::sentence(row.reason()))
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
                    a href={ "health-" (Standing::Stuck.slug()) ".html" } { (words::count(stuck)) " stuck before production" }
                    span { "no revenue yet" }
                }
                p {
                    @match longest {
                        Some(row) => { "Longest: " bdi { (words::clip(&words::label(None, &row.partner_id), 40)) } ", " (words::plural(row.days_in_stage, "day", "days")) " in its stage." }
                        None => "Registered 30 days ago or more and not live.",
                    }
                }
            }
        }
    }
}
