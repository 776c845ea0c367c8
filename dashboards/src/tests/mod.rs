//! Tests over all pages of a report.
//!
//! - `links`: every link leads to a file of the report
//! - `content`: what the pages say, and that content is escaped
//! - `sentences`: figures, counts and lengths of sentences
//! - `policy`: the numbers of the policy on the pages
//! - `drawings`: the drawings and their colours
//! - `size`: no page is large
//! - `folder`: the written report

mod content;
mod drawings;
mod folder;
mod links;
mod policy;
mod sentences;
mod size;

use crate::ReportInput;
use crate::sample::programme;

/// The size of the largest page in bytes.
const MAX_PAGE_BYTES: usize = 200_000;

/// Returns the values of an attribute in document order.
fn attribute<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Returns programmes of no partner, of one and two, and of many.
fn programmes() -> Vec<ReportInput> {
    [0, 1, 2, 60, 230].into_iter().map(|n| programme(n, 30)).collect()
}
