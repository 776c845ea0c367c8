//! The page of a partner: its tier and the reason, its traffic, its revenue, the proposed action.

use chrono::{Days, NaiveDate};
use domain::{Tier, format};
use maud::{Markup, html};

use crate::charts::bars::{Bar, BarChart, BarLayer, bar_chart};
use crate::charts::score::{ScoredDay, score_chart};
use crate::charts::{ChartFrame, NARROW, NARROW_PERIODS, WIDE_PERIODS, last};
use crate::components::figure::{self, Figure};
use crate::components::shell::{Page, Section, empty_state, grid, wide_and_narrow};
use crate::components::table::{Column, HistoryTable, Row, history_table, table};
use crate::components::{
    annotation_marks, change_status, contributions, decision_forms, glyph, health_summary,
    kept_grain, lead_paragraph, partner_records, proposed_actions, reliability, traffic,
};
use crate::grain::Grain;
use crate::health_history::DayHealth;
use crate::health_rows::{HealthRow, PartnerRow};
use crate::metric_rows::RevenuePerPartnerRow;
use crate::policy_in_force::PolicyInForce;
use crate::site::{Family, LazyPage, LazyPages, PageContext};
use crate::theme::{SERIES, SERIES_LABEL};
use crate::{months, paths, tiers};

/// A page for every partner with a health row.
pub(crate) const FAMILY: Family = Family { all: pages, at: page_at };

fn pages<'a>(context: &'a PageContext<'a>) -> LazyPages<'a> {
    let rows = context.input.health.iter();
    Box::new(rows.filter_map(|row| {
        let path = paths::partner(&row.partner_id);
        // Two threads must not write one file.
        let has_page = context.partners.health_at(&path).is_some_and(|of| std::ptr::eq(of, row));
        has_page.then(|| LazyPage { path, render: Box::new(|| page(context, row)) })
    }))
}

fn page_at(context: &PageContext, path: &str) -> Option<String> {
    context.partners.health_at(path).map(|row| page(context, row))
}

fn page(context: &PageContext, row: &HealthRow) -> String {
    let label = row.label();
    let id = format::truncate_to_chars(&format::name_or_id(None, &row.partner_id), 64);
    let page = Page {
        root: "../",
        title: format::truncate_to_chars(&label, 64),
        id: (label != row.partner_id).then_some(id.as_str()),
        breadcrumb: Some(context.current_link()),
        facts: Some(facts(context, row)),
        shows_scores: true,
        marks: annotation_marks::of_page(context, Some(&row.partner_id)),
        ..Page::new(context, lead(context, row))
    };
    let sections = html! {
        (grid(&[health_section(&page, row), score_section(&page, row)]))
        (grid(&[contributions::section(&page, row), reliability::section(&page, row)]))
        (grid(&[traffic::section(&page, row, !has_score_line(context, row))]))
        (grid(&[proposal_section(&page, row), gross_section(&page, row, true)]))
        (grid(&[partner_records::notes_section(&page, row), partner_records::overrides_section(&page, row)]))
        @if let Some(section) = decision_forms::partner_section(&page, row) { (grid(&[section])) }
    };
    page.html(&sections)
}

fn lead(context: &PageContext, row: &HealthRow) -> Markup {
    let day = |word: &str| row.since().map(|day| format!(" {word} {}", format::date(day)));
    let reason = format::truncate_to_chars(row.reason().trim_end_matches('.'), 120);
    let tier = match (row.override_until, row.computed_tier) {
        (Some(until), Some(computed)) => html! {
            (tiers::label(row.tier)) ", set by a person" (day("on").unwrap_or_default()) " until " (format::date(until))
            ". By its signals it is " (tiers::label(computed).to_lowercase()) ": "
            b { (figure::prewritten(&reason)) } "."
        },
        _ => html! {
            (tiers::label(row.tier)) (day("since").unwrap_or_default()) ": " b { (figure::prewritten(&reason)) } "."
        },
    };
    // Scores are told as whole numbers.
    let change = score_change(context, row).filter(|(_, then, now)| then.round() != now.round());
    let change = change.map(|(day, then, now)| {
        let who = format!("partner_id = {}", figure::sql_literal(&row.partner_id));
        let before = figure::of_scores_on("score", day, &who);
        html! {
            "The score " (if now < then { "fell" } else { "rose" }) " from "
            (Figure::new(format::decimal(then, 0), then, before)) " to "
            b { (Figure::new(format::decimal(now, 0), now, figure::of_scores("score", &who))) }
            " since " (format::date(day)) "."
        }
    });
    lead_paragraph::lead(std::iter::once(tier).chain(change))
}

/// Returns the newest score and one of about a week before, as `(day, then, now)`.
fn score_change(context: &PageContext, row: &HealthRow) -> Option<(NaiveDate, f64, f64)> {
    let days = context.partners.history(&row.partner_id);
    let target = row.as_of - Days::new(7);
    let is_earlier = |day: &&DayHealth| day.as_of < row.as_of && day.current_score().is_some();
    let mut earlier = days.iter().filter(is_earlier);
    let then = earlier.clone().rev().find(|day| day.as_of <= target).or_else(|| earlier.next())?;
    Some((then.as_of, then.current_score()?, row.current_score()?))
}

/// Returns the tier, impact, manager, plan and milestones.
fn facts(context: &PageContext, row: &HealthRow) -> Markup {
    let text = |value: &Option<String>| value.as_deref().map(|v| format::truncate_to_chars(v, 32));
    let segment = [text(&row.segment), text(&row.region)].into_iter().flatten().collect::<Vec<_>>();
    html! {
        dl.facts {
            div { dt { "Tier" } dd {
                (glyph::with_label(row.tier))
                @if let Some(day) = row.since() { " " span.quiet { "since " (if day == context.input.as_of { "today".to_owned() } else { format::date(day) }) } }
            } }
            @if let Some(inactive) = &row.inactive {
                div { dt { "Standing" } dd { (glyph::with_text(Tier::Watch, &format::capitalized(inactive))) } }
            }
            div { dt { "Impact" } dd {
                (health_summary::share_of_gross(context.input, row.impact_share))
                @if let Some(rank) = row.impact_rank.filter(|_| row.impact_share.unwrap_or(0.0) > 0.0) { " " span.quiet { "rank " (format::thousands(rank)) } }
            } }
            div { dt { "Manager" } dd { bdi { (text(&row.manager).unwrap_or_else(|| "unassigned".to_owned())) } } }
            div { dt { "Plan and segment" } dd {
                bdi { (text(&row.plan).unwrap_or_else(|| "no plan".to_owned())) }
                @if !segment.is_empty() { " " span.quiet { bdi { (segment.join(", ")) } } }
            } }
            @if let Some(row) = context.partners.milestones(&row.partner_id) { (milestones(row)) }
        }
    }
}

/// Returns the milestones in a row. One that is not reached is hollow.
fn milestones(row: &PartnerRow) -> Markup {
    let steps = [
        ("Registered", row.registered_at),
        ("First call", row.first_call_at),
        ("Production", row.live_at),
        ("Last success", row.last_success_at),
    ];
    html! {
        div.way { dt.visually-hidden { "Milestones" } dd { ol {
            @for (label, at) in steps {
                li.open[at.is_none()] {
                    b { (label) }
                    span { (at.map_or_else(|| "not yet".to_owned(), |at| format::date_with_year(at.date_naive()))) }
                }
            }
        } } }
    }
}

fn health_section(page: &Page, row: &HealthRow) -> Markup {
    let measured = row.signals.iter().filter(|signal| signal.score.is_some()).count();
    let section = Section {
        subtitle: html! { "By the score: " (page.context.input.policy.thresholds_text()) },
        ..Section::new("health", "Health", 3, "partner_health")
    };
    let body = html! {
        div.score {
            @match row.current_score() {
                Some(score) => span.big { (format::decimal(score, 0)) },
                None => span.big.none { "none" },
            }
            (glyph::with_label(row.tier))
        }
        table { tbody {
            @if row.tier == Tier::Churned {
                tr { td { "Score before" } td.num { b { (format::known_or_unknown(row.score, |s| format::decimal(s, 0))) } } }
            } @else {
                tr { td { "Coverage" } td.num { b { (format::known_or_unknown(row.coverage, |c| format::decimal(c, 2))) } } }
                tr { td { "Signals" } td.num { b { (measured) " of " (row.signals.len()) } } }
            }
            @if let Some(gate) = &row.gate {
                tr { td { "Gate" } td.num { b { (gate) } } }
            }
            @if let Some(risk) = row.risk {
                tr { td { "Risk of leaving" } td.num { b { (format::percent(risk)) } } }
            }
            @if let Some(sentiment) = partner_records::newest_sentiment(&page.context.partners.notes(&row.partner_id)) {
                tr { td { "Judged by people" } td.num { (partner_records::sentiment_mark(sentiment)) } }
            }
            tr { td { "Policy" } td.num { b { (row.policy_version) } } }
            @if let Some(computed) = row.computed_tier.filter(|tier| *tier != row.tier) {
                tr { td { "Computed tier" } td.num { (glyph::with_label(computed)) } }
            }
            @if let Some(until) = row.override_until {
                tr { td { "Set by a person" } td.num { "until " b { (format::date_with_year(until)) } } }
            }
        } }
        @if row.current_score().is_none() { p.note { (why_no_score(row, &page.context.input.policy)) } }
    };
    page.section(&section, &body)
}

fn why_no_score(row: &HealthRow, policy: &PolicyInForce) -> String {
    let days = |n: i64| format::counted(n, "day");
    match row.tier {
        Tier::Onboarding | Tier::Stuck => {
            "A score needs production calls: the partner is not live yet.".to_owned()
        }
        Tier::Churned => format!(
            "No production success in {}, or in three times its usual gap where that is longer: \
             the partner is counted as churned, and has no score but that of the day before.",
            days(policy.churned_after_days)
        ),
        _ => format!(
            "A score needs {} live and signals that carry {} of the weight.",
            days(policy.min_live_days),
            policy.min_coverage
        ),
    }
}

/// The number of days with scores in the chart, at most and at least.
const SCORE_DAYS: usize = 120;
const FEWEST_SCORES: usize = 2;

/// Returns whether the page has a line of scores, under which the marks of all charts are explained.
fn has_score_line(context: &PageContext, row: &HealthRow) -> bool {
    let days = context.partners.history(&row.partner_id);
    let days = last(days, SCORE_DAYS);
    days.iter().filter(|day| day.current_score().is_some()).count() >= FEWEST_SCORES
}

fn score_section(page: &Page, row: &HealthRow) -> Markup {
    let days = page.context.partners.history(&row.partner_id);
    let earlier_rows = days.len().saturating_sub(SCORE_DAYS);
    let days = last(days, SCORE_DAYS);
    let scored = days.iter().filter(|day| day.current_score().is_some()).count();
    let mut section = Section::new("score", "Score over time", 9, "partner_health");
    if scored < FEWEST_SCORES {
        let sentence = match days.len() {
            0 | 1 => {
                "One day has been evaluated so far. The line begins with the next rapport score run."
            }
            _ => "No score has been made yet on the days evaluated, so there is no line.",
        };
        return page.section(&section, &empty_state(sentence));
    }
    section.subtitle = html! { "0 to 100, the last " (scored_days(row, days.len())) " evaluated" (kept_grain::sentence(page, Grain::Day, "a score is one of a day")) };
    let line = |day: &DayHealth| {
        Row::new(vec![
            format::date_with_year(day.as_of),
            format::known_or_unknown(day.current_score(), |s| format::decimal(s, 1)),
            tiers::label(day.tier).to_owned(),
        ])
    };
    let columns = [Column::Text("Day"), Column::Number("Score"), Column::Text("Tier")];
    let numbers = table(&columns, &days.iter().map(line).collect::<Vec<_>>());
    section.table = Some(HistoryTable { table: numbers, earlier_rows });
    let points: Vec<ScoredDay> = days
        .iter()
        .map(|day| ScoredDay {
            date: day.as_of,
            score: day.current_score(),
            colour: tiers::colour(day.tier),
        })
        .collect();
    let thresholds = page.context.input.policy.thresholds();
    let desc = format!("From {} to {}", format::date(days[0].as_of), format::date(row.as_of));
    let draw = |size: (f64, f64)| {
        let frame = ChartFrame { size, title: "Score over time", desc: &desc, marks: &page.marks };
        score_chart(&frame, &points, thresholds)
    };
    let body = html! {
        (wide_and_narrow(draw((862.0, 250.0)), draw((NARROW, 220.0))))
        (annotation_marks::explanation(page))
    };
    page.section(&section, &body)
}

/// Returns the number of days in the chart of the score, with its noun.
fn scored_days(row: &HealthRow, days: usize) -> Figure {
    let query = format!(
        "SELECT least(count(DISTINCT as_of), {SCORE_DAYS}) FROM partner_health \
         WHERE as_of <= $as_of AND partner_id = {}",
        figure::sql_literal(&row.partner_id)
    );
    Figure::counted(days as i64, "day", query)
}

/// The length of the longest sentence of a plan in characters. Names of partners, queues and people
/// have no limit.
const PLAN_SENTENCE_LENGTH: usize = 400;

fn proposal_section(page: &Page, row: &HealthRow) -> Markup {
    let actions = page.context.partners.plan(&row.partner_id);
    let section = Section {
        subtitle: html! { @if !actions.is_empty() { "Nothing is sent before a person applies the plan" } },
        ..Section::new("action", "Proposed action", 5, "actions_plan")
    };
    if actions.is_empty() {
        return page.section(
            &section,
            &empty_state("Nothing is proposed for this partner in the pending plan."),
        );
    }
    let body = html! {
        @for action in actions {
            h3 { bdi { (proposed_actions::headline(action)) } }
            @if !action.why.is_empty() { p.body { (health_summary::sentence(&format::truncate_to_chars(&action.why, PLAN_SENTENCE_LENGTH))) } }
            @if !action.guardrails.is_empty() {
                ul.guardrails { @for line in &action.guardrails { li { (format::truncate_to_chars(line, PLAN_SENTENCE_LENGTH)) } } }
            }
            div.status { (change_status::status(page, action)) (decision_forms::for_change(page, action)) }
        }
    };
    page.section(&section, &body)
}

/// Returns the section with the gross of each month, and where wanted its place among the partners. A
/// partner itself must not see that: its share and its gross give the revenue of the platform.
pub(super) fn gross_section(page: &Page, row: &HealthRow, is_compared: bool) -> Markup {
    let input = page.context.input;
    let rows = page.context.partners.revenue(&row.partner_id);
    let mut section = Section::new("gross", "Gross by month", 7, "revenue_per_partner");
    if rows.is_empty() {
        return page.section(&section, &empty_state("This partner has not been charged yet."));
    }
    section.subtitle = html! { "Months with charges, credits or refunds, in " (input.currency) (kept_grain::sentence(page, Grain::Month, "the rows behind it are of months")) };
    let amount = |v: f64| format::money(v, &input.currency);
    section.table = Some(gross_table(page, &rows, is_compared));
    let draw = |n: usize, size: (f64, f64)| {
        let rows = last(&rows, n);
        let bar = |(i, row): (usize, &&RevenuePerPartnerRow)| Bar {
            days: months::days(row.month),
            label: format::month(row.month),
            note: months::axis_note(
                i.checked_sub(1).map(|i| rows[i].month),
                row.month,
                input.as_of,
            ),
            layer_values: vec![row.gross.max(0.0)],
            below: 0.0,
            value: amount(row.gross),
            complete: months::next_month(row.month) <= input.as_of,
        };
        let drawn: Vec<Bar> = rows.iter().enumerate().map(bar).collect();
        let layers = [BarLayer { label: "", fill: SERIES, text: SERIES_LABEL, line: None }];
        let frame = ChartFrame { size, title: "Gross by month", desc: "", marks: &page.marks };
        bar_chart(
            &frame,
            BarChart {
                target: None,
                bars: &drawn,
                layers: &layers,
                below: None,
                axis: &|v| format::axis_amount(v, &input.currency),
                below_label: &amount,
                left: 0.0,
            },
        )
    };
    page.section(
        &section,
        &wide_and_narrow(draw(WIDE_PERIODS, (663.0, 240.0)), draw(NARROW_PERIODS, (NARROW, 220.0))),
    )
}

fn gross_table(page: &Page, rows: &[&RevenuePerPartnerRow], is_compared: bool) -> HistoryTable {
    let input = page.context.input;
    let amount = |v: f64| format::money(v, &input.currency);
    let line = |row: &&RevenuePerPartnerRow| {
        let is_complete = months::next_month(row.month) <= input.as_of;
        let mut cells = vec![
            format::month_year(row.month),
            amount(row.gross),
            amount(row.credits),
            amount(row.refunds),
            amount(row.net),
        ];
        if is_compared {
            let share = format::known_or_unknown(row.share, |r| format::percent_with_places(r, 1));
            cells.extend([share, format::thousands(row.rank)]);
        }
        Row::period(cells, is_complete)
    };
    let mut columns = vec![
        Column::Text("Month"),
        Column::Number("Gross"),
        Column::Number("Credits"),
        Column::Number("Refunds"),
        Column::Number("Net"),
    ];
    if is_compared {
        columns.extend([Column::Number("Share"), Column::Number("Rank")]);
    }
    history_table(&columns, &rows.iter().map(line).collect::<Vec<_>>())
}
