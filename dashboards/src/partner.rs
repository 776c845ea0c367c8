//! A partner's page: where it stands and why, its traffic, its revenue, what is proposed.

use maud::{Markup, html};

use crate::charts::bars::{Bar, Bars, Layer, bars};
use crate::charts::score::{ScoredDay, score};
use crate::charts::{Frame, NARROW, NARROW_PERIODS, WIDE_PERIODS, last};
use crate::figure::{self, Figure};
use crate::growth::month_note;
use crate::input::{ByPartner, ReportInput};
use crate::lead;
use crate::page::{Page, Place, Section, drawings, empty, grid};
use crate::policy::PolicyInForce;
use crate::roles::{self, Role, SERIES, SERIES_LABEL};
use crate::rows::RevenuePerPartnerRow;
use crate::standing::{HealthRow, HistoryRow, PartnerRow, PlanRow, Standing};
use crate::table::{Column, Numbers, Row, history, table};
use crate::{glyph, paths, plan, signals, standings, traffic, words};

/// `(path, html)` of every partner that has a health row.
pub(crate) fn pages<'a>(
    input: &'a ReportInput,
    by: &'a ByPartner,
) -> impl Iterator<Item = (String, String)> {
    let one = move |row: &HealthRow| (paths::partner(&row.partner_id), page(input, by, row));
    input.health.iter().map(one)
}

fn page(input: &ReportInput, by: &ByPartner, row: &HealthRow) -> String {
    let label = row.label();
    let clean_id = words::clip(&words::label(None, &row.partner_id), 64);
    let page = Page {
        input,
        root: "../",
        place: Place::Health,
        title: words::clip(&label, 64),
        id: (label != row.partner_id).then_some(clean_id.as_str()),
        above: Some(("Health", "health.html")),
        facts: Some(facts(input, by, row)),
        lead: lead(by, row),
        scored: true,
    };
    let sections = html! {
        (grid(&[health_section(&page, row), score_section(&page, by, row)]))
        (grid(&[signals::section(&page, row), traffic::reliability_section(&page, by, row)]))
        (grid(&[traffic::section(&page, by, row)]))
        (grid(&[proposal_section(&page, by, row), gross_section(&page, by, row)]))
    };
    page.html(&sections)
}

fn lead(by: &ByPartner, row: &HealthRow) -> Markup {
    let since = row.tier_since.map(|day| format!(" since {}", words::day(day))).unwrap_or_default();
    let reason = words::clip(row.reason().trim_end_matches('.'), 120);
    let stands = html! {
        (row.standing().word()) (since) ": " b { (figure::said(&reason)) } "."
    };
    let moved = change(by, row).filter(|(_, then, now)| (now - then).abs() >= 0.5);
    let moved = moved.map(|(day, then, now)| {
        let who = format!("partner_id = {}", figure::quoted(&row.partner_id));
        let before = figure::of_scores_on("score", day, &who);
        html! {
            "The score " (if now < then { "fell" } else { "rose" }) " from "
            (Figure::new(words::decimal(then, 0), then, before)) " to "
            b { (Figure::new(words::decimal(now, 0), now, figure::of_scores("score", &who))) }
            " since " (words::day(day)) "."
        }
    });
    lead::lead(std::iter::once(stands).chain(moved))
}

/// The score about a week before the newest: `(day, then, now)`.
fn change(by: &ByPartner, row: &HealthRow) -> Option<(chrono::NaiveDate, f64, f64)> {
    let days = by.history.get(row.partner_id.as_str())?;
    let target = row.as_of - chrono::Days::new(7);
    let earlier = |day: &&&HistoryRow| day.as_of < row.as_of && day.current_score().is_some();
    let mut known = days.iter().filter(earlier);
    let then = known.clone().rev().find(|day| day.as_of <= target).or_else(|| known.next())?;
    Some((then.as_of, then.current_score()?, row.current_score()?))
}

/// Tier, impact, manager, plan, and how it came here.
fn facts(input: &ReportInput, by: &ByPartner, row: &HealthRow) -> Markup {
    let text = |value: &Option<String>| value.as_deref().map(|v| words::clip(v, 32));
    let place = [text(&row.segment), text(&row.region)].into_iter().flatten().collect::<Vec<_>>();
    html! {
        dl.facts {
            div { dt { "Tier" } dd {
                (glyph::tier(row.standing()))
                @if let Some(day) = row.tier_since { " " span.quiet { "since " (if day == input.as_of { "today".to_owned() } else { words::day(day) }) } }
            } }
            div { dt { "Impact" } dd {
                (standings::share(row.impact_share))
                @if let Some(rank) = row.impact_rank.filter(|_| row.impact_share.unwrap_or(0.0) > 0.0) { " " span.quiet { "rank " (words::count(rank)) } }
            } }
            div { dt { "Manager" } dd { bdi { (text(&row.manager).unwrap_or_else(|| "unassigned".to_owned())) } } }
            div { dt { "Plan and segment" } dd {
                bdi { (text(&row.plan).unwrap_or_else(|| "no plan".to_owned())) }
                @if !place.is_empty() { " " span.quiet { bdi { (place.join(", ")) } } }
            } }
            @if let Some(milestones) = by.milestones.get(row.partner_id.as_str()) { (way(milestones)) }
        }
    }
}

/// Milestones in a row; one that is not reached is hollow.
fn way(row: &PartnerRow) -> Markup {
    let steps = [
        ("Registered", row.registered_at),
        ("First call", row.first_call_at),
        ("Production", row.live_at),
        ("Last success", row.last_success_at),
    ];
    html! {
        div.way { ol {
            @for (word, at) in steps {
                li.open[at.is_none()] {
                    b { (word) }
                    span { (at.map_or_else(|| "not yet".to_owned(), |at| words::day_year(at.date_naive()))) }
                }
            }
        } }
    }
}

fn health_section(page: &Page, row: &HealthRow) -> Markup {
    let measured = row.signals.iter().filter(|signal| signal.score.is_some()).count();
    let section = Section {
        subtitle: html! { "Provisional thresholds: " (page.input.policy.bands()) },
        ..Section::new("health", "Health", 3, "partner_health")
    };
    let body = html! {
        div.score {
            @match row.current_score() {
                Some(score) => span.big { (words::decimal(score, 0)) },
                None => span.big.none { "none" },
            }
            (glyph::tier(row.standing()))
        }
        table { tbody {
            @if row.standing() == Standing::Churned {
                tr { td { "Score before" } td.num { b { (words::known(row.score, |s| words::decimal(s, 0))) } } }
            } @else {
                tr { td { "Coverage" } td.num { b { (words::known(row.coverage, |c| words::decimal(c, 2))) } } }
                tr { td { "Signals" } td.num { b { (measured) " of " (row.signals.len()) } } }
            }
            tr { td { "Policy" } td.num { b { (row.policy_version) } } }
            @if let Some(computed) = row.computed_tier.as_deref().filter(|tier| *tier != row.tier) {
                tr { td { "Computed tier" } td.num { (glyph::tier(Standing::of(computed))) } }
            }
        } }
        @if row.current_score().is_none() { p.note { (why_none(row, &page.input.policy)) } }
    };
    page.section(&section, &body)
}

fn why_none(row: &HealthRow, policy: &PolicyInForce) -> String {
    let days = |n: i64| lake_types::counted(n, "day");
    match row.standing() {
        Standing::Onboarding | Standing::Stuck => {
            "A score needs production calls: the partner is not live yet.".to_owned()
        }
        Standing::Churned => format!(
            "No production success in {}: the partner is counted as churned, and has no score \
             but that of the day before.",
            days(policy.churned_after_days)
        ),
        _ => format!(
            "A score needs {} live and signals that carry {} of the weight.",
            days(policy.min_live_days),
            policy.min_coverage
        ),
    }
}

/// The colour of a tier.
pub(crate) fn tier_role(tier: &str) -> Role {
    match Standing::of(tier) {
        Standing::Healthy => roles::HEALTHY,
        Standing::Watch => roles::WATCH,
        Standing::AtRisk => roles::AT_RISK,
        Standing::Thin => roles::THIN,
        Standing::Onboarding => roles::ONBOARDING,
        Standing::Stuck => roles::STUCK,
        Standing::Churned => roles::CHURNED,
    }
}

/// Evaluated days that the chart of the score shows.
const SCORE_DAYS: usize = 120;

fn score_section(page: &Page, by: &ByPartner, row: &HealthRow) -> Markup {
    let days = by.history.get(row.partner_id.as_str()).map_or(&[][..], Vec::as_slice);
    let earlier = days.len().saturating_sub(SCORE_DAYS);
    let days = last(days, SCORE_DAYS);
    let scored = days.iter().filter(|day| day.current_score().is_some()).count();
    let mut section = Section::new("score", "Score over time", 9, "partner_health");
    if scored < 2 {
        let sentence = match days.len() {
            0 | 1 => {
                "This is the first day scored. The line begins with the next rapport score run."
            }
            _ => "No score has been made yet on the days evaluated, so there is no line.",
        };
        return page.section(&section, &empty(sentence));
    }
    section.subtitle = html! { "0 to 100, the last " (evaluated(row, days.len())) " evaluated" };
    let line = |day: &&HistoryRow| {
        Row::new(vec![
            words::day_year(day.as_of),
            words::known(day.current_score(), |s| words::decimal(s, 1)),
            Standing::of(&day.tier).word().to_owned(),
        ])
    };
    let columns = [Column::Text("Day"), Column::Number("Score"), Column::Text("Tier")];
    let numbers = table(&columns, &days.iter().map(line).collect::<Vec<_>>());
    section.table = Some(Numbers { table: numbers, earlier });
    let points: Vec<ScoredDay> = days
        .iter()
        .map(|day| ScoredDay {
            date: day.as_of,
            score: day.current_score(),
            tier: tier_role(&day.tier),
        })
        .collect();
    let lines = page.input.policy.lines();
    let desc = format!("From {} to {}", words::day(days[0].as_of), words::day(row.as_of));
    let draw = |size: (f64, f64)| {
        score(&Frame { size, title: "Score over time", desc: &desc }, &points, lines)
    };
    page.section(&section, &drawings(draw((862.0, 250.0)), draw((NARROW, 220.0))))
}

/// How many of a partner's days the chart of its score shows.
fn evaluated(row: &HealthRow, days: usize) -> Figure {
    let query = format!(
        "SELECT least(count(DISTINCT as_of), {SCORE_DAYS}) FROM partner_health \
         WHERE as_of <= $as_of AND partner_id = {}",
        figure::quoted(&row.partner_id)
    );
    Figure::counted(days as i64, "day", query)
}

/// Longest sentence of a plan: names of partners, queues and people may be of any length.
const TOLD: usize = 400;

fn proposal_section(page: &Page, by: &ByPartner, row: &HealthRow) -> Markup {
    let actions: &[&PlanRow] = by.plan.get(row.partner_id.as_str()).map_or(&[], Vec::as_slice);
    let section = Section {
        subtitle: html! { @if !actions.is_empty() { "Nothing is sent before a person applies the plan" } },
        ..Section::new("action", "Proposed action", 5, "actions_plan")
    };
    if actions.is_empty() {
        return page.section(
            &section,
            &empty("Nothing is proposed for this partner in the pending plan."),
        );
    }
    let body = html! {
        @for action in actions {
            h3 { bdi { (plan::headline(action)) } }
            @if !action.why.is_empty() { p.body { (standings::sentence(&words::clip(&action.why, TOLD))) } }
            @if !action.guardrails.is_empty() {
                ul.guardrails { @for line in &action.guardrails { li { (words::clip(line, TOLD)) } } }
            }
        }
    };
    page.section(&section, &body)
}

fn gross_section(page: &Page, by: &ByPartner, row: &HealthRow) -> Markup {
    let input = page.input;
    let rows: &[&RevenuePerPartnerRow] =
        by.revenue.get(row.partner_id.as_str()).map_or(&[], Vec::as_slice);
    let mut section = Section::new("gross", "Gross by month", 7, "revenue_per_partner");
    if rows.is_empty() {
        return page.section(&section, &empty("This partner has not been charged yet."));
    }
    section.subtitle = html! { "Months with charges, credits or refunds, in " (input.currency) };
    let amount = |v: f64| words::money(v, &input.currency);
    section.table = Some(gross_numbers(input, rows));
    let draw = |n: usize, size: (f64, f64)| {
        let rows = last(rows, n);
        let bar = |(i, row): (usize, &&RevenuePerPartnerRow)| Bar {
            label: words::month(row.month),
            note: month_note(i.checked_sub(1).map(|i| rows[i].month), row.month, input.as_of),
            parts: vec![row.gross.max(0.0)],
            below: 0.0,
            value: amount(row.gross),
            complete: words::next_month(row.month) <= input.as_of,
        };
        let drawn: Vec<Bar> = rows.iter().enumerate().map(bar).collect();
        let layers = [Layer { word: "", fill: SERIES, text: SERIES_LABEL, line: None }];
        let frame = Frame { size, title: "Gross by month", desc: "" };
        bars(
            &frame,
            Bars {
                bars: &drawn,
                layers: &layers,
                below: None,
                axis: &|v| words::money_axis(v, &input.currency),
                below_label: &amount,
                left: 0.0,
            },
        )
    };
    page.section(
        &section,
        &drawings(draw(WIDE_PERIODS, (663.0, 240.0)), draw(NARROW_PERIODS, (NARROW, 220.0))),
    )
}

fn gross_numbers(input: &ReportInput, rows: &[&RevenuePerPartnerRow]) -> Numbers {
    let amount = |v: f64| words::money(v, &input.currency);
    let line = |row: &&RevenuePerPartnerRow| {
        let running = words::next_month(row.month) > input.as_of;
        let cells = vec![
            words::month_year(row.month),
            amount(row.gross),
            amount(row.credits),
            amount(row.refunds),
            amount(row.net),
            words::known(row.share, words::percent_1),
            words::count(row.rank),
        ];
        Row::running(cells, running)
    };
    let columns = [
        Column::Text("Month"),
        Column::Number("Gross"),
        Column::Number("Credits"),
        Column::Number("Refunds"),
        Column::Number("Net"),
        Column::Number("Share"),
        Column::Number("Rank"),
    ];
    history(&columns, &rows.iter().map(line).collect::<Vec<_>>())
}
