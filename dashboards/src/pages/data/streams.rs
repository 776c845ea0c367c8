//! How far each stream has come, and which partition holds it back.

use chrono::{Datelike, NaiveTime};
use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::components::{clipped_text, glyph};
use crate::input::ReportInput;
use crate::lake_rows::StreamRow;

/// The name of the CSV with the rows of the section.
pub(crate) const SOURCE: &str = "lake_streams";

pub(super) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let section = Section {
        subtitle: html! { "A stream is complete to its watermark: up to there no more events are expected" },
        note: Some(html! {
            "Behind is how long before the report the slowest partition was read to. "
            (effect(input))
            "The lag of a running worker is in its metrics: " code { "rapport ingest run --metrics" } "."
        }),
        ..Section::new("streams", "Streams", 12, SOURCE)
    };
    let streams = &input.lake.streams;
    if streams.iter().all(|row| row.complete_to.is_none() && row.slowest.is_none()) {
        return page.section(
            &Section { note: None, ..section },
            &empty_state("No stream has events yet. Load a file with rapport ingest load, or read topics with rapport ingest run."),
        );
    }
    let most = streams.iter().filter_map(behind).max().unwrap_or(0).max(1);
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Streams" { table.streams {
            thead { tr {
                (header_cell(Column::Text("Stream"))) (header_cell(Column::Text("State"))) (header_cell(Column::Text("Complete to")))
                (header_cell(Column::Number("Behind"))) td.grow.wide-only {}
                (header_cell(Column::Number("Partitions"))) (header_cell(Column::Number("Files")))
                th.wide-only scope="col" { "Slowest" }
            } }
            tbody { @for row in streams { (stream_row(input, row, most)) } }
        } }
    };
    page.section(&section, &body)
}

/// Says what it does to the report that streams are behind: one that ends before its day lacks events.
fn effect(input: &ReportInput) -> Markup {
    let midnight = input.as_of.and_time(NaiveTime::MIN).and_utc();
    let short: Vec<&StreamRow> = input
        .lake
        .streams
        .iter()
        .filter(|row| row.complete_to.is_some_and(|at| at < midnight))
        .collect();
    html! {
        "A report counts what is before the day in its corner"
        @if short.is_empty() { ", so a stream that is behind today changes nothing yet. " }
        @else {
            ": "
            @for (i, row) in short.iter().enumerate() {
                @if i > 0 { ", " }
                (stream_name(&row.stream))
                @if let Some(at) = row.complete_to { " may lack some from " (format::instant(at, input.as_of.year())) " on" }
            }
            ". "
        }
    }
}

fn behind(row: &StreamRow) -> Option<i64> {
    row.slowest.as_ref().and_then(|slowest| slowest.behind_seconds)
}

fn stream_row(input: &ReportInput, row: &StreamRow, most: i64) -> Markup {
    let behind = behind(row);
    let late = is_stale(input, row);
    html! {
        tr {
            td.name { b { (stream_name(&row.stream)) } }
            td { (state(row, late)) }
            td { @match row.complete_to {
                Some(at) => (format::instant(at, input.as_of.year())),
                None => span.quiet { "no events" },
            } }
            td.num { (format::known_or_unknown(behind, |s| format::duration(s.max(0) as f64))) }
            td.grow.wide-only { (bar(behind.unwrap_or(0) as f64 / most as f64, if late { "watch" } else { "retained-line" }, false)) }
            td.num { (format::thousands(row.partitions)) }
            td.num { (format::thousands(row.loaded_files)) }
            td.wide-only.quiet { @if let Some(slowest) = &row.slowest { (place(&slowest.partition)) } }
        }
    }
}

/// Returns whether a stream is further behind than the policy lets plans be.
fn is_stale(input: &ReportInput, row: &StreamRow) -> bool {
    behind(row).is_some_and(|seconds| seconds > input.policy.stale_hours * 3_600)
}

fn state(row: &StreamRow, late: bool) -> Markup {
    let (tier, text) = match (row.complete_to, late) {
        (None, _) => (Tier::InsufficientEvidence, "Nothing yet"),
        (_, true) => (Tier::Watch, "Behind"),
        (_, false) => (Tier::Healthy, "Current"),
    };
    glyph::with_text(tier, text)
}

/// Returns `api-calls` as `API calls`.
pub(super) fn stream_name(stream: &str) -> String {
    let words = format::truncate_to_chars(stream, 32).replace(['-', '_'], " ");
    match words.strip_prefix("api ") {
        Some(rest) => format!("API {rest}"),
        None => format::capitalized(&words),
    }
}

/// Returns a partition as people say it: `topic calls, partition 3`.
fn place(partition: &str) -> Markup {
    let parts: Vec<&str> = partition.split('/').collect();
    let text = match parts.as_slice() {
        ["file", _, digest] => format!("file {}", format::truncate_to_chars(digest, 12)),
        [_, topic, _, number] => format!("{topic}, partition {number}"),
        _ => partition.to_owned(),
    };
    html! { span title=(format::truncate_to_chars(partition, 120)) { (clipped_text::name(&text, 40)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_partitions_have_plain_names() {
        assert_eq!(stream_name("api-calls"), "API calls");
        assert_eq!(stream_name("billing-events"), "Billing events");
        let of = |partition: &str| place(partition).into_string();
        assert!(of("main/calls/Zk3/7").contains("calls, partition 7"));
        assert!(of("file/api-calls/0123456789abcdef").contains("file 0123456789a…"));
    }
}
