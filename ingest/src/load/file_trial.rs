//! Tries a whole file: what a load would make of its records. Nothing is written.

use std::io;
use std::path::Path;

use domain::Stream;
use lake::Transactions;

use crate::load::file_identity::identify;
use crate::load::line_position::LinePositions;
use crate::load::lines::Lines;
use crate::mapping::{Mapping, Trial, TrialOutcome, TrialRecord, TrialResult};
use crate::status::IngestCounts;

/// How a file is tried.
#[derive(Debug, Clone)]
pub struct FileTrialOptions {
    pub stream: Stream,
    pub mapping: Option<Mapping>,
    /// The arrival of every record in µs.
    pub arrival: i64,
    /// How many of the first records are returned, and how many of the rejected ones after them.
    pub limit: usize,
}

/// What a load would make of a file.
#[derive(Debug, Clone, Default)]
pub struct FileTrial {
    /// The counts of the whole file; none is late.
    pub counts: IngestCounts,
    /// The first records, and the first of those that would be rejected, in their order.
    pub records: Vec<TriedRecord>,
}

/// A record and what would become of it.
#[derive(Debug, Clone)]
pub struct TriedRecord {
    /// Its line, from 1.
    pub line: u64,
    pub value: Vec<u8>,
    pub outcome: TrialOutcome,
}

/// Puts the lines of a file through a mapping and the checks. `name` is what messages call it.
///
/// # Errors
/// Fails when the file can't be read or decompressed.
pub fn try_file(path: &Path, name: &str, options: &FileTrialOptions) -> io::Result<FileTrial> {
    let &FileTrialOptions { stream, arrival, limit, .. } = options;
    let file = identify(path, options.mapping.as_ref(), stream, &Transactions::default())?;
    let topic = file.topic(name);
    let mut lines = Lines::open(path, file.bytes)?;
    let mut trial = Trial::new(stream, options.mapping.clone());
    let mut found = FileTrial::default();
    let mut rejected_after = 0;
    let mut offset = 0i64;
    let mut positions = LinePositions::default();
    while lines.next()? {
        let value = lines.line();
        if offset == 0 {
            positions.begin(value);
        }
        let position = positions.position(value, offset);
        let record = TrialRecord {
            value,
            key: None,
            headers: &[],
            topic: &topic,
            position: &position,
            arrival,
        };
        let outcome = trial.run(&record);
        found.counts.records += 1;
        let mut is_shown = found.counts.records <= limit as u64;
        match &outcome.result {
            TrialResult::Accepted(_) => found.counts.accepted += 1,
            TrialResult::Skipped { .. } => found.counts.skipped += 1,
            TrialResult::Rejected { rejection, .. } => {
                found.counts.record_rejection(stream, (&topic, 0, offset), rejection);
                if !is_shown && rejected_after < limit {
                    rejected_after += 1;
                    is_shown = true;
                }
            }
        }
        if is_shown {
            let line = offset.unsigned_abs() + 1;
            found.records.push(TriedRecord { line, value: value.to_vec(), outcome });
        }
        offset += 1;
    }
    Ok(found)
}
