//! The list of partners of the served pages: searched, filtered and sorted by the server, so that it
//! takes the same time in any browser, whatever the number of partners.

use std::cmp::Reverse;

use chrono::NaiveDate;
use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::partner_columns;
use crate::components::shell::{Page, Section, grid};
use crate::health_rows::HealthRow;
use crate::input::ReportInput;
use crate::live_page::LivePage;
use crate::partner_list_query::{PartnerColumn, PartnerListQuery, PartnerSort};
use crate::site::PageContext;
use crate::tiers;

/// The file name of the page.
pub(crate) const FILE: &str = "partners.html";
/// The number of rows on a page of the list.
const ROWS: usize = 50;
/// The length of the longest name of a saved view in characters.
const NAME_LENGTH: usize = 60;

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
        @if let Some(live) = context.live { (saved_views(live)) }
        (search_form(&page, query, true))
        @if shown.is_empty() {
            p.empty { "No partner fits. " a href=(FILE) { "Show all partners" } }
        } @else {
            (partner_columns::table(context, shown, query))
            p.pager {
                span { (format::thousands(begin as i64 + 1)) "–" (format::thousands((begin + shown.len()) as i64)) " of " (format::thousands(found.len() as i64)) }
                @if number > 0 { a rel="prev" href=(address(query, number - 1)) { "Previous " (ROWS) } }
                @if begin + ROWS < found.len() { a rel="next" href=(address(query, number + 1)) { "Next " (ROWS) } }
            }
        }
        @if let Some(live) = context.live { (save_form(live, query)) }
    };
    page.html(&grid(&[page.section(&section, &body)]))
}

/// Returns the views that the reader has saved, each with a way to delete it.
fn saved_views(live: &LivePage) -> Markup {
    html! {
        @if !live.saved_views.is_empty() {
            ul.views aria-label="Your views" {
                @for view in &live.saved_views { li {
                    a href=(view.path) { bdi { (format::truncate_to_chars(&view.name, NAME_LENGTH)) } }
                    form method="post" action="/views/delete" {
                        input type="hidden" name="name" value=(view.name);
                        button.link type="submit" { "Delete" span.visually-hidden { " the view " (view.name) } }
                    }
                } }
            }
        }
    }
}

/// Returns the form that saves the list as it is shown.
fn save_form(live: &LivePage, query: &PartnerListQuery) -> Markup {
    html! {
        form.save method="post" action="/views/save" {
            input type="hidden" name="view" value=(live.view_segment);
            input type="hidden" name="query" value=(query.url_query(0));
            label { span { "Save this view as" } input type="text" name="name" maxlength="60" required; }
            button type="submit" { "Save" }
        }
    }
}

/// Returns the form that searches the list, on the list itself with the choice of columns.
pub(crate) fn search_form(page: &Page, query: &PartnerListQuery, has_columns: bool) -> Markup {
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
            @if has_columns { (column_choice(query)) }
            button type="submit" { "Search" }
        }
    }
}

fn column_choice(query: &PartnerListQuery) -> Markup {
    let shown = query.shown_columns();
    html! {
        details.columns {
            summary { "Columns" @if !query.columns.is_empty() { " (" (shown.len()) ")" } }
            fieldset {
                legend.visually-hidden { "Columns" }
                @for column in PartnerColumn::ALL {
                    label { input type="checkbox" name="columns" value=(column.name()) checked[shown.contains(&column)]; span { (column.label()) } }
                }
            }
        }
    }
}

/// Returns the address of a page of the list.
fn address(query: &PartnerListQuery, page: usize) -> String {
    format!("{FILE}?{}", query.url_query(page))
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
            let day = input.history.week_ago();
            let mut changes: Vec<_> =
                rows.into_iter().map(|row| (change_since(input, day, row), row)).collect();
            changes.sort_by(|(a, _), (b, _)| (a.is_none().cmp(&b.is_none())).then(order(*a, *b)));
            rows = changes.into_iter().map(|(_, row)| row).collect();
        }
        PartnerSort::Risk => rows.sort_by(|a, b| order(b.risk, a.risk)),
        PartnerSort::Name => rows.sort_by_cached_key(|row| row.label().to_lowercase()),
        PartnerSort::Since => rows.sort_by_key(|row| Reverse(row.since())),
    }
    rows
}

fn order(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    a.unwrap_or(f64::NEG_INFINITY).total_cmp(&b.unwrap_or(f64::NEG_INFINITY))
}

/// Returns by how much the score of a partner has changed since a day.
pub(crate) fn change_since(
    input: &ReportInput,
    day: Option<NaiveDate>,
    row: &HealthRow,
) -> Option<f64> {
    let before = input.history.on(&row.partner_id, day?)?.current_score()?;
    Some(row.current_score()? - before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::programme;

    #[test]
    fn partners_are_ordered_by_the_change_since_a_week_ago() {
        let input = programme(200, 20);
        let query = PartnerListQuery { sort: PartnerSort::Change, ..PartnerListQuery::default() };
        let found = found(&input, &query);
        assert_eq!(found.len(), input.health.len());
        let week_ago = input.as_of - chrono::Days::new(7);
        assert_eq!(input.history.week_ago(), Some(week_ago));
        let change = |row: &&HealthRow| change_since(&input, Some(week_ago), row);
        let changes: Vec<Option<f64>> = found.iter().map(change).collect();
        let known = changes.iter().take_while(|change| change.is_some()).count();
        assert!(known > 50 && known < changes.len(), "{known} changes");
        assert!(changes[..known].is_sorted());
        assert!(changes[known..].iter().all(Option::is_none));
        let before = input.history.on(&found[0].partner_id, week_ago).expect("a score of that day");
        let expected = found[0].score.zip(before.current_score()).map(|(now, then)| now - then);
        assert_eq!(changes[0], expected);
    }
}
