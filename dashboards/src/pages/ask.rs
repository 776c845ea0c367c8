//! The page on which people ask in SQL, on served pages only.

use domain::format;
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state, grid};
use crate::live_page::{SqlPage, SqlResult};
use crate::site::PageContext;

/// The file name of the page.
pub(crate) const FILE: &str = "ask.html";
/// The most rows that the page shows; the CSV has all.
const ROWS: usize = 200;
/// The length of the longest cell and of the longest query in the history, in characters.
const CELL_LENGTH: usize = 200;
const HISTORY_LENGTH: usize = 120;

pub(crate) fn page(context: &PageContext) -> String {
    let nothing = SqlPage::default();
    let asked = context.live.and_then(|live| live.sql.as_ref()).unwrap_or(&nothing);
    let lead = html! { "Ask the tables, views and metrics of the lake. Nothing can be changed from here." };
    let page = Page::new(context, lead);
    let may_ask = context.live.is_some_and(|live| live.can_ask);
    let section = Section {
        subtitle: html! { "One SELECT, as of " (format::date_with_year(context.input.as_of)) "; at most 30 s and 10,000 rows" },
        ..Section::new("query", "Query", 12, "")
    };
    let form = html! {
        @if may_ask {
            form.ask method="post" action=(FILE) {
                label for="sql" { "SQL" }
                textarea #sql name="sql" rows="8" spellcheck="false" maxlength="20000" required { (asked.query) }
                button.main type="submit" { "Run" }
                " "
                button type="submit" formaction="ask.csv" { "Save as CSV" }
                " " a href="metrics.html" { "Tables and columns" }
            }
        } @else {
            (empty_state("SQL is for engineers. The metrics have their rows as CSV."))
        }
    };
    let sections = html! {
        (grid(&[page.section(&section, &form)]))
        @if let Some(result) = &asked.result { (grid(&[result_section(&page, result)])) }
        @if may_ask && !asked.history.is_empty() { (grid(&[history_section(&page, &asked.history)])) }
    };
    page.html(&sections)
}

fn result_section(page: &Page, result: &SqlResult) -> Markup {
    let rows = match result {
        SqlResult::Refused(why) => {
            let section = Section::new("result", "Result", 12, "");
            return page.section(&section, &html! { pre.refused role="alert" { (why) } });
        }
        SqlResult::Rows { columns, rows, is_cut } => (columns, rows, *is_cut),
    };
    let (columns, rows, is_cut) = rows;
    let shown = rows.len().min(ROWS);
    let section = Section {
        subtitle: html! {
            (format::counted(rows.len(), "row")) @if is_cut { ", and more that are left out" }
            @if shown < rows.len() { "; the first " (shown) " are shown, the CSV has all" }
        },
        ..Section::new("result", "Result", 12, "")
    };
    let body = html! {
        div.scroll tabindex="0" role="region" aria-label="Result" { table.result {
            thead { tr { @for column in columns { th scope="col" { (column) } } } }
            tbody { @for row in &rows[..shown] { tr { @for cell in row {
                td.num[is_number(cell)] { (format::truncate_to_chars(cell, CELL_LENGTH)) }
            } } } }
        } }
    };
    page.section(&section, &body)
}

fn is_number(cell: &str) -> bool {
    cell.parse::<f64>().is_ok()
}

/// Returns the queries that the person has asked since the server started, newest first.
fn history_section(page: &Page, history: &[String]) -> Markup {
    let section = Section {
        subtitle: html! { "Yours, since the server started" },
        ..Section::new("history", "Asked before", 12, "")
    };
    let body = html! {
        ul.plain { @for query in history { li {
            form.again method="post" action=(FILE) {
                input type="hidden" name="sql" value=(query);
                button type="submit" { "Run again" }
                " " code { (format::truncate_to_chars(&query.split_whitespace().collect::<Vec<_>>().join(" "), HISTORY_LENGTH)) }
            }
        } } }
    };
    page.section(&section, &body)
}
