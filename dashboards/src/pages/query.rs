//! The page of a query: its columns, lineage, first rows, checks and SQL.

use domain::format;
use maud::{Markup, html};

use crate::components::figure::Figure;
use crate::components::shell::{Page, Section, grid};
use crate::components::{clipped_text, held_back};
use crate::input::{ColumnDoc, QueryDoc, ReportInput};
use crate::site::{Family, LazyPage, LazyPages, PageContext};
use crate::{csvw, paths, timestamps};

/// A page for every query.
pub(crate) const FAMILY: Family = Family { all: pages, at: page_at };

fn pages<'a>(context: &'a PageContext<'a>) -> LazyPages<'a> {
    Box::new(context.input.queries.iter().map(|(name, doc)| LazyPage {
        path: paths::sql(name),
        render: Box::new(|| page(context, name, doc)),
    }))
}

fn page_at(context: &PageContext, path: &str) -> Option<String> {
    let (name, doc) = context.input.queries.iter().find(|(name, _)| paths::sql(name) == path)?;
    Some(page(context, name, doc))
}

fn page(context: &PageContext, name: &str, doc: &QueryDoc) -> String {
    let input = context.input;
    let lead = html! { (doc.description) "." };
    let page = Page {
        root: "../",
        title: name.to_owned(),
        facts: Some(facts(context, name, doc)),
        ..Page::new(context, lead)
    };
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
        let all = input.csv.get(name).map_or(0, |csv| csvw::row_count(csv));
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
            @if context.site.has_figures {
                "; " code { "$as_of" } " is " code { (timestamps::midnight(input.as_of)) } " here"
            }
        },
        ..Section::new("sql", "SQL", 12, "")
    };
    let shown = format::truncate_to_chars(&doc.sql, SQL_LENGTH);
    let is_cut = shown.len() < doc.sql.len();
    sections.push(page.section(
        &section,
        &html! {
            pre tabindex="0" role="group" aria-label="SQL" { code { (shown) } }
            @if is_cut { p.note { "The rest is in " code { (doc.file) } "." } }
        },
    ));
    page.html(&grid(&sections))
}

fn facts(context: &PageContext, name: &str, doc: &QueryDoc) -> Markup {
    let input = context.input;
    html! {
        p.above {
            a href={ "../" (context.current_link().file) } { "All queries" } " / " (doc.kind)
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
        @if let Some(metric) = input.held_back.get(name) { (held_back::notice(metric)) }
        @if input.of_all_partners.contains(name) { (held_back::of_all_partners_notice()) }
    }
}

fn columns(doc: &QueryDoc) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="Columns" { table.queries {
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

/// The length of the longest query that is shown whole, in characters.
const SQL_LENGTH: usize = 40_000;
/// The length of the longest text of a cell, in characters.
const CELL_LENGTH: usize = 80;

fn first_rows(doc: &QueryDoc, rows: &[Vec<String>]) -> Markup {
    let class = |column: &ColumnDoc| {
        let number = ["Int", "Float", "Decimal"].iter().any(|kind| column.kind.starts_with(kind));
        number.then_some("num")
    };
    html! {
        div.scroll tabindex="0" role="group" aria-label="Rows" { table.queries {
            thead { tr {
                @for column in &doc.columns { th class=[class(column)] scope="col" { (column.name) } }
            } }
            tbody { @for row in rows { tr {
                @for (column, cell) in doc.columns.iter().zip(row) {
                    td class=[class(column)] { (clipped_text::name(cell, CELL_LENGTH)) }
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
    let row = |label: &str, names: &[String]| {
        html! {
            tr {
                td.quiet { (label) }
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
