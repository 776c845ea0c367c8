//! The list of partners with the columns that its reader has chosen.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, PreEscaped, html};

use crate::charts::last;
use crate::charts::spark::score_trend;
use crate::components::table::bar;
use crate::components::{glyph, partner_link};
use crate::health_rows::HealthRow;
use crate::pages::partner_list::change_since;
use crate::partner_list_query::{PartnerColumn, PartnerListQuery, PartnerSort};
use crate::site::PageContext;
use crate::tiers;

/// The length of the longest attribute in characters.
const ATTRIBUTE_LENGTH: usize = 24;
/// The length of the longest reason that fits on one line of the table, in characters.
const REASON_LENGTH: usize = 56;

/// What the cells of a table are made from.
struct Cells<'a> {
    context: &'a PageContext<'a>,
    /// The day since which the change of a score is shown.
    compared_day: Option<NaiveDate>,
    /// The days with scores.
    days: Vec<NaiveDate>,
    largest_share: f64,
    /// Whether nobody has chosen the columns. Then phones show some of them only.
    is_usual: bool,
}

/// Returns the table of partners.
pub(crate) fn table(
    context: &PageContext,
    rows: &[&HealthRow],
    query: &PartnerListQuery,
) -> Markup {
    let days = context.input.history.days();
    // One day makes no trend.
    let is_known = |column: &PartnerColumn| *column != PartnerColumn::Trend || days.len() >= 2;
    let columns: Vec<PartnerColumn> =
        query.shown_columns().iter().copied().filter(is_known).collect();
    let cells = Cells {
        context,
        compared_day: context.input.history.week_ago(),
        days,
        largest_share: rows.iter().filter_map(|row| row.impact_share).fold(1e-9, f64::max),
        is_usual: query.columns.is_empty(),
    };
    let (first, rest) = match columns.split_first() {
        // The tier stands before the name, as in every list of partners.
        Some((PartnerColumn::Tier, rest)) => (Some(PartnerColumn::Tier), rest),
        _ => (None, columns.as_slice()),
    };
    html! {
        div.scroll tabindex="0" role="group" aria-label="Partners" { table.all #partners {
            thead { tr {
                @if let Some(column) = first { (head(&cells, column, query.sort)) }
                th scope="col" { "Partner" }
                @for column in rest { (head(&cells, *column, query.sort)) }
            } }
            tbody { @for row in rows { tr {
                @if let Some(column) = first { (cell(&cells, column, row)) }
                td.name { (partner_link::with_id(row)) }
                @for column in rest { (cell(&cells, *column, row)) }
            } } }
        } }
    }
}

fn head(cells: &Cells, column: PartnerColumn, sort: PartnerSort) -> Markup {
    use PartnerColumn::{Change, Revenue, Risk, Score, Since};
    let is_number = matches!(column, Score | Change | Risk | Revenue | Since);
    // The direction of each order by a number.
    let direction = match (column, sort) {
        (Revenue, PartnerSort::Impact) | (Risk, PartnerSort::Risk) => Some("descending"),
        (Score, PartnerSort::Score) | (Change, PartnerSort::Change) => Some("ascending"),
        _ => None,
    };
    let arrow = match direction {
        Some("descending") => " ▾",
        Some(_) => " ▴",
        None => "",
    };
    let hidden = is_wide_only(cells, column);
    html! {
        th.num[is_number].wide-only[hidden].sorted[direction.is_some()] scope="col" aria-sort=[direction] { (column.label()) (arrow) }
        @if column == Revenue { td.wide-only {} }
    }
}

/// Returns whether phones leave a column out. They show all that somebody has chosen.
fn is_wide_only(cells: &Cells, column: PartnerColumn) -> bool {
    use PartnerColumn::{Reason, Score, Tier};
    cells.is_usual && !matches!(column, Tier | Score | Reason)
}

fn cell(cells: &Cells, column: PartnerColumn, row: &HealthRow) -> Markup {
    let hidden = is_wide_only(cells, column);
    let number = |text: Markup| html! { td.num.wide-only[hidden] { (text) } };
    let text = |value: Option<&str>, none: &str| {
        html! {
            td.clip.wide-only[hidden] { @match value { Some(value) => bdi { (format::truncate_to_chars(value, ATTRIBUTE_LENGTH)) }, None => span.quiet { (none) } } }
        }
    };
    match column {
        PartnerColumn::Tier => html! { td { (glyph::with_short_label(row.tier)) } },
        PartnerColumn::Score => number(html! {
            @match row.current_score() { Some(score) => b { (format::decimal(score, 0)) }, None => span.quiet { "none" } }
        }),
        PartnerColumn::Change => {
            let input = cells.context.input;
            number(html! { (change(change_since(input, cells.compared_day, row))) })
        }
        PartnerColumn::Trend => html! { td.wide-only[hidden] { (trend(cells, row)) } },
        PartnerColumn::Risk => {
            number(html! { (format::known_or_unknown(row.risk, format::percent)) })
        }
        PartnerColumn::Revenue => html! {
            (number(html! { (format::known_or_unknown(row.impact_share, |r| format::percent_with_places(r, 1))) }))
            td.share.wide-only { (bar(row.impact_share.unwrap_or(0.0) / cells.largest_share, "retained-line", false)) }
        },
        PartnerColumn::Segment => text(row.segment.as_deref(), "none"),
        PartnerColumn::Plan => text(row.plan.as_deref(), "none"),
        PartnerColumn::Region => text(row.region.as_deref(), "none"),
        PartnerColumn::Level => text(row.integration_level.as_deref(), "none"),
        PartnerColumn::Manager => text(row.manager.as_deref(), "unassigned"),
        PartnerColumn::Stage => text(Some(&row.stage.to_string().replace('_', " ")), "none"),
        PartnerColumn::Reason => {
            let reason = format::truncate_to_chars(row.reason(), REASON_LENGTH);
            html! { td.why { (format::keep_percent_together(&reason)) } }
        }
        PartnerColumn::Since => {
            number(html! { (row.since().map_or_else(String::new, format::date)) })
        }
    }
}

/// Writes a change of a score: `−28`, `+3`, `0`.
fn change(points: Option<f64>) -> String {
    format::known_or_unknown(points, |points| format::signed_integer(points.round() as i64))
}

/// The number of days in a trend.
const TREND_DAYS: usize = 90;
/// The number of points in a trend. Every third day draws the same line in a third of the bytes.
const TREND_POINTS: usize = 30;

fn trend(cells: &Cells, row: &HealthRow) -> Markup {
    let (policy, days) = (&cells.context.input.policy, &cells.days);
    let history = &cells.context.input.history;
    let days = last(days, TREND_DAYS);
    let every = days.len().div_ceil(TREND_POINTS).max(1);
    let newest = days.len().saturating_sub(1);
    let score = |day| history.on(&row.partner_id, day)?.current_score();
    let values: Vec<Option<f64>> = (0..days.len())
        .filter(|i| (newest - i).is_multiple_of(every))
        .map(|i| score(days[i]))
        .collect();
    if values.iter().all(Option::is_none) {
        return html! { span.unscored title="no score yet" {} };
    }
    let colour = tiers::colour(row.tier);
    html! { (PreEscaped(score_trend(&values, colour, policy.thresholds()))) }
}
