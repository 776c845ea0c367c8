//! A report as a message to people: mail and chat.
//!
//! - `overview`: the headline figures
//! - `manager_digest`: what is new of the partners of one manager
//! - `charts`: the charts beside the headline figures
//! - `render`: the text and the HTML of a message

mod charts;
mod manager_digest;
mod overview;
mod render;

use std::collections::BTreeMap;

use domain::format;
use serde::Serialize;

use crate::components::freshness::Freshness;
use crate::input::ReportInput;

pub use charts::{MessageChart, headline_charts};
pub use manager_digest::manager_digest;
pub use overview::overview_message;

/// What a message is about and where its links lead.
#[derive(Debug, Clone, Copy)]
pub struct MessageScope<'a> {
    /// The name of the delivery.
    pub name: &'a str,
    /// The values that attributes of the partners have, by attribute.
    pub filters: &'a BTreeMap<&'static str, String>,
    /// The URL that the paths of pages are appended to; `None`: no pages are served.
    pub pages: Option<&'a str>,
}

/// A message. Equal figures give equal ones, whatever the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    /// Filters, `as_of` and freshness, each with its label.
    head: Vec<(&'static str, String)>,
    figures: Figures,
    pages: Option<String>,
}

/// The part of a message that tells whether something has changed since another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Figures {
    filters: String,
    sections: Vec<MessageSection>,
}

/// A table of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct MessageSection {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<MessageRow>,
    /// How many rows there are beyond those that are shown.
    more: usize,
    /// What stands in place of the table where it has no rows.
    none: &'static str,
    /// The page that has more, relative to the pages, with the text of its link.
    link: (&'static str, &'static str),
}

/// A row of a table, whose first cell may lead to a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct MessageRow {
    path: Option<String>,
    cells: Vec<String>,
}

impl Message {
    fn new(
        input: &ReportInput,
        scope: &MessageScope<'_>,
        subject: &str,
        sections: Vec<MessageSection>,
    ) -> Self {
        let freshness = Freshness::of(input);
        let day = format::date_with_year(input.as_of);
        let warning =
            if freshness.is_stale { format!(" ({})", freshness.label) } else { String::new() };
        let filters = filters_text(scope.filters);
        let head = vec![
            ("Partners", filters.clone()),
            ("As of", format!("{day}: everything before that day began, UTC")),
            ("Data", data_text(input, &freshness)),
        ];
        Self {
            subject: plain(&format!("{}, {day}{warning}: {subject}", scope.name)),
            head,
            figures: Figures { filters, sections },
            pages: scope.pages.map(str::to_owned),
        }
    }

    /// Returns what must have changed before the message is worth sending again, as JSON.
    ///
    /// # Errors
    /// Where JSON can't hold it.
    pub fn figures(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.figures)
    }

    /// Returns the message as text.
    pub fn text(&self) -> String {
        render::text(self)
    }

    /// Returns the message as HTML without styles, which mail programs show in their own. The pictures
    /// of the charts are parts of the same mail.
    pub fn html(&self, charts: &[MessageChart]) -> String {
        render::html(self, charts)
    }
}

/// Returns `all`, or the values that attributes must have.
fn filters_text(filters: &BTreeMap<&'static str, String>) -> String {
    if filters.is_empty() {
        return "all".to_owned();
    }
    let texts = filters.iter().map(|(name, value)| format!("{} {value}", name.replace('_', " ")));
    texts.collect::<Vec<_>>().join(", ")
}

/// Returns how fresh the data is, up to when it is complete, and what to think of it.
fn data_text(input: &ReportInput, freshness: &Freshness) -> String {
    let year = chrono::Datelike::year(&input.as_of);
    let complete = input
        .watermark
        .map_or_else(String::new, |at| format!(", complete to {}", format::instant(at, year)));
    let advice = freshness.advice.map_or_else(String::new, |advice| format!(". {advice}"));
    format!("{}{complete}{advice}", freshness.label)
}

/// Returns a text with ordinary spaces, for mail programs and chats that know no others.
fn plain(text: &str) -> String {
    text.replace([format::NARROW_NO_BREAK_SPACE, format::NO_BREAK_SPACE], " ")
}
