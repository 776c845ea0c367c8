//! Evidence: the list of metrics with their rows and SQL, and one page for each SQL text.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::input::ReportInput;
use crate::page::{Page, Place, Section, empty, grid, held_back};
use crate::{paths, words};

/// `metrics.html` and a page for each SQL text.
pub(crate) fn pages(input: &ReportInput) -> Vec<(String, String)> {
    let mut out = vec![("metrics.html".to_owned(), metrics(input))];
    out.extend(input.sql.iter().map(|(name, sql)| (paths::sql(name), sql_page(input, name, sql))));
    out
}

fn shell<'a>(input: &'a ReportInput, root: &'a str, title: &str, lead: Markup) -> Page<'a> {
    Page {
        input,
        root,
        place: Place::Metrics,
        title: title.to_owned(),
        id: None,
        above: None,
        facts: None,
        lead,
        scored: false,
    }
}

fn metrics(input: &ReportInput) -> String {
    let lead = html! { "Every figure of this report comes from one of these; each has its rows as CSV or Parquet and the SQL that made them." };
    let page = shell(input, "", "Metrics", lead);
    let names: BTreeSet<&String> =
        input.csv.keys().chain(input.sql.keys()).chain(input.held.keys()).collect();
    let section = Section {
        subtitle: html! { "As of " (words::day_year(input.as_of)) ", 00:00 UTC, at full precision" },
        ..Section::new("metrics", "Metrics and tables", 8, "")
    };
    let body = if names.is_empty() {
        empty("No metric has been run yet. Run rapport metrics run, then the report again.")
    } else {
        html! {
            table { thead { tr { th scope="col" { "Name" } th.num scope="col" { "Rows" } th scope="col" { "Evidence" } } }
                tbody { @for name in names { tr {
                    td { b { (name) } @if let Some(held) = input.held.get(name) { (held_back(held)) } }
                    td.num { (words::known(input.csv.get(name).map(|csv| rows(csv)), words::count)) }
                    td { span.links {
                        @if input.csv.contains_key(name) { a href=(paths::csv(name)) { "CSV" } }
                        @if input.parquet.contains_key(name) { a href=(paths::parquet(name)) { "Parquet" } }
                        @if input.sql.contains_key(name) { a href=(paths::sql(name)) { "SQL" } }
                    } }
                } } }
            }
        }
    };
    let sections = grid(&[page.section(&section, &body)]);
    page.html(&sections)
}

/// Lines after the header; a line break inside quotes belongs to its field.
fn rows(csv: &str) -> i64 {
    let mut quoted = false;
    let mut lines: i64 = 0;
    for byte in csv.trim_end().bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => lines += 1,
            _ => {}
        }
    }
    lines
}

fn sql_page(input: &ReportInput, name: &str, sql: &str) -> String {
    let lead = html! { "The SQL behind " b { (name) } ", as it ran for this report." };
    let page = shell(input, "../", name, lead);
    let section = Section {
        subtitle: html! { "Header, then the query; " code { "$as_of" } " is " (input.as_of.to_string()) "T00:00:00Z here" },
        ..Section::new("sql", "SQL", 12, name)
    };
    page.html(&grid(&[page.section(&section, &html! { pre { code { (sql) } } })]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted() {
        #[track_caller]
        fn check(csv: &str, expected: i64) {
            assert_eq!(rows(csv), expected);
        }
        check("a,b\n", 0);
        check("a,b\n1,2\n3,4\n", 2);
        check("a\n\"x\ny\"\n", 1);
    }
}
