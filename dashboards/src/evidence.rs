//! Evidence: the list of queries with their rows, and a page for each with its columns and SQL.

use maud::{Markup, html};

use crate::figure::Figure;
use crate::input::{ColumnDoc, QueryDoc, ReportInput};
use crate::page::{Page, Place, Section, empty, grid, held_back};
use crate::{paths, words};

/// `metrics.html` and a page for each query.
pub(crate) fn pages(input: &ReportInput) -> Vec<(String, String)> {
    let mut out = vec![("metrics.html".to_owned(), metrics(input))];
    out.extend(query_pages(input, Place::Metrics));
    out
}

/// The same pages of the queries alone, without rows.
pub(crate) fn docs(input: &ReportInput) -> Vec<(String, String)> {
    let mut out = vec![("index.html".to_owned(), list(input))];
    out.extend(query_pages(input, Place::Docs));
    out
}

fn query_pages(input: &ReportInput, place: Place) -> impl Iterator<Item = (String, String)> {
    let queries = input.queries.iter();
    queries.map(move |(name, doc)| (paths::sql(name), query_page(input, place, name, doc)))
}

fn shell<'a>(
    input: &'a ReportInput,
    root: &'a str,
    place: Place,
    title: &str,
    lead: Markup,
) -> Page<'a> {
    Page {
        input,
        root,
        place,
        title: title.to_owned(),
        id: None,
        above: None,
        facts: None,
        lead,
        scored: false,
    }
}

/// The sections of queries, by what they are for.
const KINDS: [(&str, &str, &str); 4] = [
    ("metric", "Metrics", "Results: what the pages show and other programs read"),
    ("view", "Views", "What several metrics share; computed where it is read"),
    ("rollup", "Rollups", "Kept by day, and computed anew where their events changed"),
    ("check", "Checks", "Rows that must not exist"),
];

fn of_kind<'a>(input: &'a ReportInput, kind: &str) -> Vec<(&'a String, &'a QueryDoc)> {
    input.queries.iter().filter(|(_, doc)| doc.kind == kind).collect()
}

fn metrics(input: &ReportInput) -> String {
    let lead = html! { "Every figure of this report comes from one of these; each has its rows as CSV or Parquet and the SQL that made them." };
    let page = shell(input, "", Place::Metrics, "Metrics", lead);
    let mut sections = Vec::new();
    let as_of = html! { "As of " (words::day_year(input.as_of)) ", 00:00 UTC, at full precision" };
    for (kind, title, subtitle) in KINDS {
        let queries = of_kind(input, kind);
        if queries.is_empty() {
            continue;
        }
        let is_metric = kind == "metric";
        let section = Section {
            subtitle: if is_metric {
                as_of.clone()
            } else {
                html! { (subtitle) }
            },
            ..Section::new(kind, title, 12, "")
        };
        let names: Vec<(&String, Option<&QueryDoc>)> =
            queries.into_iter().map(|(name, doc)| (name, Some(doc))).collect();
        sections.push(page.section(&section, &rows_of(input, &names)));
    }
    let tables: Vec<(&String, Option<&QueryDoc>)> = input
        .csv
        .keys()
        .filter(|name| !input.queries.contains_key(*name))
        .map(|name| (name, None))
        .collect();
    if !tables.is_empty() {
        let section = Section {
            subtitle: html! { "What the pages show beside metrics" },
            ..Section::new("tables", "Tables", 12, "")
        };
        sections.push(page.section(&section, &rows_of(input, &tables)));
    }
    if sections.is_empty() {
        let section = Section::new("metric", "Metrics", 8, "");
        let none = "No metric has been run yet. Run rapport metrics run, then the report again.";
        sections.push(page.section(&section, &empty(none)));
    }
    page.html(&grid(&sections))
}

fn rows_of(input: &ReportInput, names: &[(&String, Option<&QueryDoc>)]) -> Markup {
    let any_rows = names.iter().any(|(name, _)| input.csv.contains_key(*name));
    html! {
        div.scroll { table.queries {
            thead { tr {
                th scope="col" { "Name" }
                th scope="col" { "What it is" }
                @if any_rows { th.num scope="col" { "Rows" } th scope="col" { "Evidence" } }
            } }
            tbody { @for (name, doc) in names { tr {
                td { b {
                    @if doc.is_some() { a href=(paths::sql(name)) { (name) } } @else { (name) }
                } }
                td.wide {
                    @if let Some(doc) = doc.or(input.tables.get(*name)) { (doc.description) }
                    @if let Some(held) = input.held.get(*name) { (held_back(held)) }
                }
                @if any_rows {
                    td.num { (words::known(input.csv.get(*name).map(|csv| rows(csv)), words::count)) }
                    td { span.links {
                        @if input.csv.contains_key(*name) {
                            a href=(paths::csv(name)) { "CSV" }
                            a href=(paths::csv_metadata(name)) title="Definition, as of, versions" { "About" }
                        }
                        @if input.parquet.contains_key(*name) { a href=(paths::parquet(name)) { "Parquet" } }
                    } }
                }
            } } }
        } }
    }
}

fn list(input: &ReportInput) -> String {
    let lead =
        html! { "Every query: what it gives, what it reads, what is checked and tested of it." };
    let page = shell(input, "", Place::Docs, "Queries", lead);
    let mut sections = Vec::new();
    for (kind, title, subtitle) in KINDS {
        let queries: Vec<(&String, Option<&QueryDoc>)> =
            of_kind(input, kind).into_iter().map(|(name, doc)| (name, Some(doc))).collect();
        if queries.is_empty() {
            continue;
        }
        let subtitle = html! { (subtitle) };
        let section = Section { subtitle, ..Section::new(kind, title, 12, "") };
        sections.push(page.section(&section, &rows_of(input, &queries)));
    }
    page.html(&grid(&sections))
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

fn query_page(input: &ReportInput, place: Place, name: &str, doc: &QueryDoc) -> String {
    let lead = html! { (doc.description) "." };
    let above = if place == Place::Docs { "index.html" } else { "metrics.html" };
    let mut page = shell(input, "../", place, name, lead);
    page.facts = Some(facts(input, name, doc, above));
    let mut sections = Vec::new();
    if !doc.columns.is_empty() {
        let subtitle = match doc.grain.as_slice() {
            [] => html! { "In the order the query gives them" },
            grain => html! { "One row for each " (grain.join(", ")) },
        };
        let section = Section { subtitle, ..Section::new("columns", "Columns", 8, "") };
        sections.push(page.section(&section, &columns(doc)));
    }
    let section = Section {
        subtitle: html! { "What it reads, and what reads it" },
        ..Section::new("lineage", "Lineage", 4, "")
    };
    sections.push(page.section(&section, &lineage(input, doc)));
    if let Some(first) = input.first_rows.get(name).filter(|rows| !rows.is_empty()) {
        let all = input.csv.get(name).map_or(0, |csv| rows(csv));
        let shown = first.len() as i64;
        let subtitle = html! {
            (Figure::count(shown, format!("SELECT least(count(*), {shown}) FROM {name}"))) " of "
            (Figure::counted(all, "row", format!("SELECT count(*) FROM {name}")))
        };
        let section = Section { subtitle, ..Section::new("rows", "First rows", 12, "") };
        sections.push(page.section(&section, &first_rows(doc, first)));
    }
    let subtitle =
        html! { "Checks run on its rows before they are shown; tests on rows made for them" };
    let section = Section { subtitle, ..Section::new("checks", "Checks and tests", 12, "") };
    if !doc.checks.is_empty() || !doc.cases.is_empty() {
        let body = html! {
            ul.plain {
                @for check in &doc.checks { li { code { (check) } } }
                @for case in &doc.cases { li { "Test: " (case) } }
            }
        };
        sections.push(page.section(&section, &body));
    }
    let section = Section {
        subtitle: html! {
            "Header, then the query"
            @if place == Place::Metrics {
                "; " code { "$as_of" } " is " code { (crate::csvw::midnight(input.as_of)) } " here"
            }
        },
        ..Section::new("sql", "SQL", 12, "")
    };
    let shown = words::clip(&doc.sql, SQL);
    let cut = shown.len() < doc.sql.len();
    sections.push(page.section(
        &section,
        &html! {
            pre { code { (shown) } }
            @if cut { p.note { "The rest is in " code { (doc.file) } "." } }
        },
    ));
    page.html(&grid(&sections))
}

fn facts(input: &ReportInput, name: &str, doc: &QueryDoc, above: &str) -> Markup {
    html! {
        p.above {
            a href={ "../" (above) } { "All queries" } " / " (doc.kind)
            @if let Some(owner) = &doc.owner { " of " (owner) }
            @if !doc.tags.is_empty() { " · " (doc.tags.join(", ")) }
            " · " code { (doc.file) }
            @if input.csv.contains_key(name) {
                " · " a href={ "../" (paths::csv(name)) } { "CSV" }
                " · " a href={ "../" (paths::csv_metadata(name)) } { "About the CSV" }
            }
            @if input.parquet.contains_key(name) {
                " · " a href={ "../" (paths::parquet(name)) } { "Parquet" }
            }
        }
        @if let Some(held) = input.held.get(name) { (held_back(held)) }
    }
}

fn columns(doc: &QueryDoc) -> Markup {
    html! {
        div.scroll { table.queries {
            thead { tr {
                th scope="col" { "Column" } th scope="col" { "Type" } th scope="col" { "Unit" }
                th scope="col" { "What it is" }
            } }
            tbody { @for column in &doc.columns { tr {
                td { b { (column.name) } }
                td { (column.kind) }
                td { (column.unit.as_deref().unwrap_or_default().replace('_', " ")) }
                td.wide { (column.description.as_deref().unwrap_or_default()) }
            } } }
        } }
    }
}

/// Longest query that is shown whole.
const SQL: usize = 40_000;
/// Longest text of a cell.
const CELL: usize = 80;

fn first_rows(doc: &QueryDoc, rows: &[Vec<String>]) -> Markup {
    let class = |column: &ColumnDoc| {
        let number = ["Int", "Float", "Decimal"].iter().any(|kind| column.kind.starts_with(kind));
        number.then_some("num")
    };
    html! {
        div.scroll { table.queries {
            thead { tr {
                @for column in &doc.columns { th class=[class(column)] scope="col" { (column.name) } }
            } }
            tbody { @for row in rows { tr {
                @for (column, cell) in doc.columns.iter().zip(row) {
                    td class=[class(column)] { (words::name(cell, CELL)) }
                }
            } } }
        } }
    }
}

fn lineage(input: &ReportInput, doc: &QueryDoc) -> Markup {
    let link = |name: &String| {
        html! {
            @if input.queries.contains_key(name) {
                a href={ "../" (paths::sql(name)) } { (name) }
            } @else { (name) }
        }
    };
    let row = |word: &str, names: &[String]| {
        html! {
            tr {
                td.quiet { (word) }
                td.wide {
                    @for (i, name) in names.iter().enumerate() {
                        @if i > 0 { ", " }
                        (link(name))
                    }
                    @if names.is_empty() { "nothing" }
                }
            }
        }
    };
    html! { table.queries { tbody { (row("reads", &doc.reads)) (row("is read by", &doc.read_by)) } } }
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
