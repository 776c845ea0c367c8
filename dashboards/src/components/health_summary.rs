//! The number of partners in each tier, and their shares of gross revenue.

use std::cmp::Ordering;

use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::figure::{self, Figure};
use crate::components::glyph;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::health_rows::HealthRow;
use crate::input::ReportInput;
use crate::{paths, tiers};

/// Returns the query for the number of partners in these tiers.
pub(crate) fn count_query(tiers: &[Tier]) -> String {
    let names: Vec<String> = tiers.iter().map(|t| figure::sql_literal(t.name())).collect();
    figure::of_scores("count(*)", &format!("tier IN ({})", names.join(", ")))
}

/// Returns the partners in a tier, or all partners, in order of `by_gross_share`.
pub(crate) fn partners_in(input: &ReportInput, tier: Option<Tier>) -> Vec<&HealthRow> {
    let is_wanted = |row: &&HealthRow| tier.is_none_or(|tier| row.tier == tier);
    let mut rows: Vec<&HealthRow> = input.health.iter().filter(is_wanted).collect();
    rows.sort_by(|a, b| by_gross_share(a, b));
    rows
}

/// Orders partners by share of gross revenue, the largest first, unknown shares last, ties by id.
fn by_gross_share(a: &HealthRow, b: &HealthRow) -> Ordering {
    let share = |row: &HealthRow| row.impact_share.unwrap_or(-1.0);
    share(b).total_cmp(&share(a)).then_with(|| a.partner_id.cmp(&b.partner_id))
}

/// Returns `4.5 % of gross`, or what is known without a share, such as `no revenue in Oct`. Shares are
/// of the last complete month in which anything was billed; the running month is in none.
pub(crate) fn share_of_gross(input: &ReportInput, share: Option<f64>) -> String {
    match share {
        Some(share) if share > 0.0 => format!("{} of gross", format::percent_with_places(share, 1)),
        _ => match input.revenue_summary.iter().rfind(|row| row.complete && row.gross > 0.0) {
            Some(row) => format!("no revenue in {}", format::month(row.month)),
            None => "no revenue known".to_owned(),
        },
    }
}

/// Returns a reason as a sentence of its own.
pub(crate) fn sentence(reason: &str) -> String {
    let text = format::keep_percent_together(&format::capitalized(reason.trim()));
    if text.ends_with(['.', '…', '?']) { text } else { format!("{text}.") }
}

/// Returns the section with the table.
pub(crate) fn section(page: &Page, span: u8) -> Markup {
    let input = page.context.input;
    let counts = input.tier_counts();
    let of = |wanted: &[Tier]| -> i64 {
        counts.iter().filter(|(tier, _, _)| wanted.contains(tier)).map(|(_, n, _)| n).sum()
    };
    let churned = of(&[Tier::Churned]);
    let live = of(&tiers::LIVE);
    let not_live_yet = of(&tiers::NOT_LIVE_YET);
    let section = Section {
        subtitle: html! {
            (Figure::counted(live + not_live_yet + churned, "partner", count_query(&Tier::ALL))) ": "
            (Figure::count(live, count_query(&tiers::LIVE))) " live, "
            (Figure::count(not_live_yet, count_query(&tiers::NOT_LIVE_YET))) " not live yet, "
            (Figure::count(churned, count_query(&[Tier::Churned]))) " churned"
        },
        ..Section::new("standing", "Where the partners stand", span, "partner_health")
    };
    if input.health.is_empty() {
        let advice =
            "No partner has been scored yet. Run rapport score run, then the report again.";
        let section = Section { subtitle: html! {}, ..section };
        return page.section(&section, &empty_state(advice));
    }
    page.section(&section, &tier_table(input, &counts))
}

fn tier_table(input: &ReportInput, counts: &[(Tier, i64, Option<f64>)]) -> Markup {
    let most = counts.iter().map(|(_, n, _)| *n).max().unwrap_or(1).max(1) as f64;
    let week_ago = input.history.week_ago();
    html! {
        table.standing {
            thead { tr {
                (header_cell(Column::Text("Tier or stage")))
                (header_cell(Column::Number("Partners")))
                td.grow {}
                @if let Some(day) = week_ago { th.num.wide-only scope="col" { "Since " (format::date(day)) } }
                (header_cell(Column::Number("Share of gross")))
            } }
            tbody {
                @for (tier, n, share) in counts {
                    tr.parted[*tier == Tier::Onboarding] {
                        td { a.plain href=(paths::health_list(*tier)) { (glyph::with_label(*tier)) } }
                        td.num { b { (format::thousands(*n)) } }
                        td.grow { (bar(*n as f64 / most, tiers::slug(*tier), false)) }
                        @if let Some(day) = week_ago {
                            td.num.wide-only { (format::signed_integer(n - input.history.count(day, *tier))) }
                        }
                        td.num { (gross_share(*tier, *share)) }
                    }
                }
            }
        }
    }
}

/// Returns the share of gross revenue of a tier. Partners that are not live have none.
fn gross_share(tier: Tier, share: Option<f64>) -> String {
    match (tier, share) {
        (Tier::Onboarding | Tier::Stuck, share) if share.unwrap_or(0.0) <= 0.0 => {
            format::UNKNOWN.to_owned()
        }
        (_, share) => format::known_or_unknown(share, |r| format::percent_with_places(r, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::programme;

    #[test]
    fn a_partner_without_a_share_has_no_revenue_of_the_month_of_the_others() {
        let mut input = programme(24, 2);
        let last = input.revenue_summary.iter().rposition(|row| row.complete).expect("a month");
        let month = |input: &ReportInput, at: usize| format::month(input.revenue_summary[at].month);
        let none = format!("no revenue in {}", month(&input, last));
        assert_eq!(share_of_gross(&input, None), none);
        assert_eq!(share_of_gross(&input, Some(0.0)), none);
        assert_eq!(share_of_gross(&input, Some(0.03)), "3.0\u{202f}% of gross");
        // Shares are of the month before where nobody has been charged yet.
        input.revenue_summary[last].gross = 0.0;
        let before = format!("no revenue in {}", month(&input, last - 1));
        assert_eq!(share_of_gross(&input, None), before);
        input.revenue_summary.clear();
        assert_eq!(share_of_gross(&input, None), "no revenue known");
    }
}
