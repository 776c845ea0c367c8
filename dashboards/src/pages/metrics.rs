//! The Metrics page: the list of all queries, with their rows as files.

use domain::format;
use maud::{Markup, html};

use crate::components::held_back;
use crate::components::shell::{Page, Section, empty_state, grid};
use crate::input::{QueryDoc, ReportInput};
use crate::site::PageContext;
use crate::{csvw, paths};

/// The kinds of queries, each with the title and subtitle of its section.
const KINDS: [(&str, &str, &str); 4] = [
    ("metric", "Metrics", "Results: what the pages show and other programs read"),
    ("view", "Views", "What several metrics share; computed where it is read"),
    ("rollup", "Rollups", "Kept by day, and computed anew where their events changed"),
    ("check", "Checks", "Rows that must not exist"),
];

fn of_kind<'a>(input: &'a ReportInput, kind: &str) -> Vec<(&'a String, &'a QueryDoc)> {
    input.queries.iter().filter(|(_, doc)| doc.kind == kind).collect()
}

/// Returns the page of the report.
pub(crate) fn page(context: &PageContext) -> String {
    let input = context.input;
    let lead = html! { "Every figure of this report comes from one of these; each has its rows as CSV or Parquet and the SQL that made them." };
    let page = Page::new(context, lead);
    let mut sections = Vec::new();
    let as_of =
        html! { "As of " (format::date_with_year(input.as_of)) ", 00:00 UTC, at full precision" };
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
        sections.push(page.section(&section, &query_table(input, &names)));
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
        sections.push(page.section(&section, &query_table(input, &tables)));
    }
    if sections.is_empty() {
        let section = Section::new("metric", "Metrics", 8, "");
        let none = "No metric has been run yet. Run rapport metrics run, then the report again.";
        sections.push(page.section(&section, &empty_state(none)));
    }
    page.html(&grid(&sections))
}

/// Returns the page of the documentation of queries, which has no rows.
pub(crate) fn docs_page(context: &PageContext) -> String {
    let input = context.input;
    let lead =
        html! { "Every query: what it gives, what it reads, what is checked and tested of it." };
    let page = Page::new(context, lead);
    let mut sections = Vec::new();
    for (kind, title, subtitle) in KINDS {
        let queries: Vec<(&String, Option<&QueryDoc>)> =
            of_kind(input, kind).into_iter().map(|(name, doc)| (name, Some(doc))).collect();
        if queries.is_empty() {
            continue;
        }
        let subtitle = html! { (subtitle) };
        let section = Section { subtitle, ..Section::new(kind, title, 12, "") };
        sections.push(page.section(&section, &query_table(input, &queries)));
    }
    page.html(&grid(&sections))
}

/// Returns a table of queries, and of tables without documentation.
fn query_table(input: &ReportInput, names: &[(&String, Option<&QueryDoc>)]) -> Markup {
    let any_rows = names.iter().any(|(name, _)| input.csv.contains_key(*name));
    html! {
        div.scroll tabindex="0" role="group" aria-label="Metrics" { table.queries {
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
                    @if let Some(metric) = input.held_back.get(*name) { (held_back::notice(metric)) }
                    @if input.of_all_partners.contains(*name) { (held_back::of_all_partners_notice()) }
                }
                @if any_rows {
                    td.num { (format::known_or_unknown(input.csv.get(*name).map(|csv| csvw::row_count(csv)), format::thousands)) }
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
