//! Where the partners stand: counts by tier and stage, and the shares of gross they hold.

use std::cmp::Ordering;
use std::collections::HashMap;

use maud::{Markup, html};

use crate::figure::{self, Figure};
use crate::glyph;
use crate::input::ReportInput;
use crate::page::{Page, Section, empty};
use crate::standing::{HealthRow, Standing};
use crate::table::{Column, bar, head};
use crate::words;

/// Registered, but not live yet.
const WAITING: [Standing; 2] = [Standing::Onboarding, Standing::Stuck];

/// How many partners stand in these places, as SQL.
pub(crate) fn count_of(standings: &[Standing]) -> String {
    let tiers: Vec<String> = standings.iter().map(|s| figure::quoted(s.tier())).collect();
    figure::of_scores("count(*)", &format!("tier IN ({})", tiers.join(", ")))
}

/// Larger shares first, unknown ones last, ties by id.
pub(crate) fn by_share(a: &HealthRow, b: &HealthRow) -> Ordering {
    let share = |row: &HealthRow| row.impact_share.unwrap_or(-1.0);
    share(b).total_cmp(&share(a)).then_with(|| a.partner_id.cmp(&b.partner_id))
}

/// `4.5 % of gross`, `no revenue yet`.
pub(crate) fn share(share: Option<f64>) -> String {
    match share {
        Some(share) if share > 0.0 => format!("{} of gross", words::percent_1(share)),
        _ => "no revenue yet".to_owned(),
    }
}

/// A reason as a sentence of its own.
pub(crate) fn sentence(reason: &str) -> String {
    let text = words::capital(reason.trim());
    if text.ends_with(['.', '…', '?']) { text } else { format!("{text}.") }
}

/// Partners by standing a week ago, where scores of then are kept.
fn before(input: &ReportInput) -> Option<(chrono::NaiveDate, HashMap<Standing, i64>)> {
    let day = input.week_ago()?;
    let mut counts = HashMap::new();
    for row in input.history.iter().filter(|row| row.as_of == day) {
        *counts.entry(Standing::of(&row.tier)).or_insert(0) += 1;
    }
    Some((day, counts))
}

pub(crate) fn section(page: &Page, span: u8) -> Markup {
    let input = page.input;
    let all = input.standings();
    let of = |wanted: fn(Standing) -> bool| -> i64 {
        all.iter().filter(|(s, _, _)| wanted(*s)).map(|(_, n, _)| n).sum()
    };
    let churned = of(|s| s == Standing::Churned);
    let live = of(Standing::is_live);
    let waiting = of(|s| WAITING.contains(&s));
    let section = Section {
        subtitle: html! {
            (Figure::counted(live + waiting + churned, "partner", count_of(&Standing::ALL))) ": "
            (Figure::count(live, count_of(&Standing::LIVE))) " live, "
            (Figure::count(waiting, count_of(&WAITING))) " not live yet, "
            (Figure::count(churned, count_of(&[Standing::Churned]))) " churned"
        },
        ..Section::new("standing", "Where the partners stand", span, "partner_health")
    };
    if input.health.is_empty() {
        let advice =
            "No partner has been scored yet. Run rapport score run, then the report again.";
        let section = Section { subtitle: html! {}, ..section };
        return page.section(&section, &empty(advice));
    }
    page.section(&section, &rows(input, &all))
}

fn rows(input: &ReportInput, all: &[(Standing, i64, Option<f64>)]) -> Markup {
    let most = all.iter().map(|(_, n, _)| *n).max().unwrap_or(1).max(1) as f64;
    let before = before(input);
    html! {
        table.standing {
            thead { tr {
                (head(Column::Text("Tier or stage")))
                (head(Column::Number("Partners")))
                th.grow {}
                @if let Some((day, _)) = &before { th.num.wide-only scope="col" { "Since " (words::day(*day)) } }
                (head(Column::Number("Share of gross")))
            } }
            tbody {
                @for (standing, n, share) in all {
                    tr.parted[*standing == Standing::Onboarding] {
                        td { a.plain href={ "health-" (standing.slug()) ".html" } { (glyph::tier(*standing)) } }
                        td.num { b { (words::count(*n)) } }
                        td.grow { (bar(*n as f64 / most, standing.slug(), false)) }
                        @if let Some((_, counts)) = &before {
                            td.num.wide-only { (words::signed(n - counts.get(standing).copied().unwrap_or(0))) }
                        }
                        td.num { (gross_share(*standing, *share)) }
                    }
                }
            }
        }
    }
}

/// Partners that are not live hold no gross to speak of.
fn gross_share(standing: Standing, share: Option<f64>) -> String {
    match (standing, share) {
        (Standing::Onboarding | Standing::Stuck, share) if share.unwrap_or(0.0) <= 0.0 => {
            words::UNKNOWN.to_owned()
        }
        (_, share) => words::known(share, words::percent_1),
    }
}
