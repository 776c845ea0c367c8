//! The annotations of a page: what its charts mark, and the list that explains the marks once.

use chrono::{Days, NaiveDate};
use domain::format;
use maud::{Markup, html};

use crate::charts::marks::Mark;
use crate::components::shell::Page;
use crate::record_rows::AnnotationRow;
use crate::site::PageContext;

/// The most marks of a page; one digit fits the circle around a number.
const MOST: usize = 9;
/// How far back the charts of pages reach, in days.
const REACH: u64 = 366;
/// The length of the longest explanation in characters.
const TEXT_LENGTH: usize = 160;

/// Returns the marks of a page about all partners, or of the page of one partner: the newest
/// annotations that fit, numbered by their first day.
pub(crate) fn of_page(context: &PageContext, partner_id: Option<&str>) -> Vec<Mark> {
    // What is written for colleagues is not meant for the partner.
    if context.live.is_some_and(|live| live.is_for_partner) {
        return Vec::new();
    }
    let as_of = context.input.as_of;
    let since = as_of - Days::new(REACH);
    let is_shown = |row: &&AnnotationRow| {
        let is_about_page = row.partner_id.is_none() || row.partner_id.as_deref() == partner_id;
        is_about_page && row.first_day < as_of && row.last_day >= since
    };
    let mut rows: Vec<&AnnotationRow> = context.input.annotations.iter().filter(is_shown).collect();
    rows.sort_by_key(|row| row.first_day);
    let earlier = rows.len().saturating_sub(MOST);
    let newest = rows.into_iter().skip(earlier).zip(1..);
    let mark = |(row, number): (&AnnotationRow, usize)| Mark {
        number,
        first: row.first_day,
        last: row.last_day,
        text: format::truncate_to_chars(&row.text, TEXT_LENGTH),
    };
    newest.map(mark).collect()
}

/// Returns what the numbers in the charts of a page stand for.
pub(crate) fn explanation(page: &Page) -> Markup {
    html! {
        @if !page.marks.is_empty() {
            ul.marks aria-label="What the numbers in the charts mark" {
                @for mark in &page.marks {
                    li { b { (mark.number) } " " (days(mark.first, mark.last)) ": " bdi { (mark.text) } }
                }
            }
        }
    }
}

/// Returns days in words: `5 Sep`, `5 Sep to 7 Sep`.
pub(crate) fn days(first: NaiveDate, last: NaiveDate) -> String {
    match first == last {
        true => format::date(first),
        false => format!("{} to {}", format::date(first), format::date(last)),
    }
}
