//! Rows on the lake itself: its streams, its rejected records, its tables.

use chrono::{DateTime, Utc};

/// What the lake knows of itself, whatever `as_of`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeRows {
    /// One row for each stream, in the order of the streams.
    pub streams: Vec<StreamRow>,
    /// One row for each stream and reason.
    pub rejected: Vec<RejectedRow>,
    pub tables: Vec<TableRow>,
    /// The deliveries of reports, newest first.
    pub deliveries: Vec<DeliveryRow>,
}

/// How far a stream has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    pub stream: String,
    /// The instant up to which the stream is complete: its watermark. `None`: it has no events.
    pub complete_to: Option<DateTime<Utc>>,
    pub partitions: i64,
    pub loaded_files: i64,
    /// The partition that holds the watermark back, or the file that reaches farthest.
    pub slowest: Option<SlowestPartition>,
}

/// The partition that holds a stream back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowestPartition {
    /// `<cluster>/<topic>/<topic id>/<partition>`, or `file/<stream>/<sha256>`.
    pub partition: String,
    pub reached: Option<DateTime<Utc>>,
    /// How far it was behind the clock when the report was made.
    pub behind_seconds: Option<i64>,
}

/// The records of a stream that were rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    pub stream: String,
    /// `missing_field` and the others of `docs/events.md`.
    pub reason: String,
    pub records: i64,
}

/// A table of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    pub table: String,
    pub version: i64,
    pub rows: i64,
    pub files: i64,
    pub bytes: i64,
    /// Small files of closed days that have several files.
    pub small_files: i64,
    /// Duplicate events that compaction dropped.
    pub copies_dropped: i64,
    /// Records that erasures deleted.
    pub erased: i64,
    /// Records that were deleted when their day was sealed.
    pub retired: i64,
}

/// A row of the log of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    pub at: Option<DateTime<Utc>>,
    pub delivery: String,
    /// Who got it, or was to; empty for a channel of chat.
    pub recipient: String,
    pub channel: String,
    /// The date that names the period; empty for a pause.
    pub period: String,
    /// `sent`, `skipped`, `held`, `failed` and others.
    pub entry: String,
    /// Why, or what the receiver answered.
    pub reason: String,
}
