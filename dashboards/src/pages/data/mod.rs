//! The Data page: how far the streams have come, what is wrong with the data, what was rejected,
//! which metrics are held back, which reports were sent, and how large the tables are.
//!
//! - `streams`: how far each stream has come
//! - `quality`: what the checks of the data find, and what was rejected
//! - `annotations`: days with an explanation
//! - `deliveries`: the reports that were sent, and those that were not
//! - `tables`: the metrics held back, and the tables of the lake

mod annotations;
mod deliveries;
mod quality;
mod streams;
mod tables;

use chrono::Datelike;
use domain::format;
use maud::{Markup, html};

use crate::components::figure::{self, Figure};
use crate::components::lead_paragraph;
use crate::components::shell::{Page, grid};
use crate::input::ReportInput;
use crate::site::PageContext;

pub(crate) fn page(context: &PageContext) -> String {
    let page = Page::new(context, lead(context.input));
    let side = html! { div.c4.stack { (quality::rejected_section(&page)) (tables::held_back_section(&page)) } };
    let sections = html! {
        (grid(&[streams::section(&page)]))
        (grid(&[quality::checks_section(&page), side]))
        (grid(&[annotations::section(&page)]))
        (grid(&[deliveries::section(&page)]))
        (grid(&[tables::tables_section(&page)]))
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    if input.watermark.is_none() && input.lake.streams.iter().all(|row| row.complete_to.is_none()) {
        return html! { "No events yet. Load them with " code { "rapport ingest load" } ", then run " code { "rapport report" } " again." };
    }
    let complete = input.watermark.map(|at| {
        html! { "API calls are complete to " b { (format::instant(at, input.as_of.year())) } "." }
    });
    let held = (!input.held_back.is_empty()).then(|| {
        let n = input.held_back.len();
        html! {
            b { (figure::of_report(n, &format::counted(n, "metric"))) " " (format::agree(n, "is", "are")) " held back" } "."
        }
    });
    lead_paragraph::lead([complete, held, checks_sentence(input)].into_iter().flatten())
}

/// Returns a sentence on how many checks find something, and on the one that finds most.
fn checks_sentence(input: &ReportInput) -> Option<Markup> {
    let failing = input.data_quality.iter().filter(|row| row.failing > 0);
    let most = failing.clone().max_by_key(|row| row.failing);
    let Some(most) = most else {
        return (!input.data_quality.is_empty())
            .then(|| html! { "No check of the data finds anything." });
    };
    let of = |what: &str| format!("SELECT {what} FROM data_quality");
    let found = Figure::count(failing.count() as i64, of("count(*) FILTER (WHERE failing > 0)"));
    let all = Figure::counted(input.data_quality.len() as i64, "check", of("count(*)"));
    let name = figure::sql_literal(&most.check);
    let query = format!("SELECT failing FROM data_quality WHERE \"check\" = {name}");
    let noun = quality::check(&most.check).map_or("case", |check| check.noun);
    Some(html! {
        (found) " of " (all) " found something; most: "
        b { (Figure::counted(most.failing, noun, query)) } "."
    })
}
