//! The counts of a run or a load, for people and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{agree, counted, thousands};
use ingest::IngestCounts;
use serde::Serialize;

use super::rejections::{RejectionJson, rejections_json};
use crate::output::print_note;

/// The counts as scripts read them.
#[derive(Debug, Serialize)]
pub(super) struct CountsJson {
    seconds: f64,
    records: u64,
    accepted: u64,
    late: u64,
    rejected: u64,
    skipped: u64,
    tombstones: u64,
    already_stored: u64,
    by_reason: BTreeMap<&'static str, u64>,
    rejections: Vec<RejectionJson>,
}

impl CountsJson {
    pub(super) fn new(counts: &IngestCounts, took: Duration) -> Self {
        Self {
            seconds: (took.as_secs_f64() * 1e3).round() / 1e3,
            records: counts.records,
            accepted: counts.accepted,
            late: counts.late,
            rejected: counts.rejected,
            skipped: counts.skipped,
            tombstones: counts.tombstones,
            already_stored: counts.already_stored,
            by_reason: counts.by_reason.clone(),
            rejections: rejections_json(&counts.rejections),
        }
    }
}

/// Returns the counts in a line.
pub(super) fn line(counts: &IngestCounts, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    format!("{} in {seconds:.1} s: {}", counted(counts.records, "record"), outcome(counts))
}

/// Returns what became of the records.
pub(super) fn outcome(counts: &IngestCounts) -> String {
    let mut text = format!(
        "{} accepted ({} late), {} rejected",
        thousands(counts.accepted),
        thousands(counts.late),
        thousands(counts.rejected),
    );
    for (index, (reason, n)) in counts.by_reason.iter().enumerate() {
        text.push_str(if index == 0 { " (" } else { ", " });
        text.push_str(&format!("{reason} {}", thousands(*n)));
    }
    if !counts.by_reason.is_empty() {
        text.push(')');
    }
    if counts.skipped > 0 {
        text.push_str(&format!(", {} left out by the mapping", thousands(counts.skipped)));
    }
    if counts.tombstones > 0 {
        text.push_str(&format!(", {}", counted(counts.tombstones, "tombstone")));
    }
    text
}

/// Prints what became of records for days that retention has sealed, and what can be done.
pub(crate) fn print_sealed_note(counts: &IngestCounts) {
    let Some(first) = counts.sealed_before else { return };
    let n = counts.sealed_days;
    let (of, are) = (thousands(n), agree(n, "is", "are"));
    print_note(&format!(
        "{of} of the rejected records {are} of days before {first}, which retention has sealed: what was computed of these days stays, and nothing more is counted for them, also no copy of an event that was there. They are among the dead letters as out_of_range. To keep days longer, lengthen [lake.retention] in rapport.toml before `rapport lake retain` seals them."
    ));
}
