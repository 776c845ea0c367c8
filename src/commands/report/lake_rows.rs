//! The rows of the streams and tables of the lake, and of its rejected records.

use chrono::{DateTime, Utc};
use dashboards::{LakeRows, RejectedRow, ReportInput, SlowestPartition, StreamRow, TableRow};
use domain::parse_instant;

use super::text_table::{TextTable, optional};
use crate::commands::status::{self, LakeStatus, RejectedCount, StreamStatus, TableStatus};
use crate::project::Project;

const STREAMS: TextTable<'static, 7> = TextTable {
    name: "lake_streams",
    description: "How far each stream had come when the report was made, whatever as_of",
    columns: [
        ("stream", "Utf8"),
        ("complete_to", "Utf8"),
        ("partitions", "Int64"),
        ("loaded_files", "Int64"),
        ("slowest", "Utf8"),
        ("reached", "Utf8"),
        ("behind_seconds", "Int64"),
    ],
};

const REJECTED: TextTable<'static, 3> = TextTable {
    name: "lake_rejected",
    description: "The rejected records of the lake, by stream and by the first rule they broke",
    columns: [("stream", "Utf8"), ("reason", "Utf8"), ("records", "Int64")],
};

const TABLES: TextTable<'static, 9> = TextTable {
    name: "lake_tables",
    description: "The tables of the lake and their sizes when the report was made",
    columns: [
        ("table", "Utf8"),
        ("version", "Int64"),
        ("rows", "Int64"),
        ("files", "Int64"),
        ("bytes", "Int64"),
        ("small_files", "Int64"),
        ("copies_dropped", "Int64"),
        ("erased", "Int64"),
        ("retired", "Int64"),
    ],
};

/// Adds the state of the lake to the report.
pub(super) async fn fill(project: &Project, input: &mut ReportInput) -> anyhow::Result<()> {
    let LakeStatus { tables, streams, dead_letters, .. } =
        status::read(&project.lake, project.now).await?;
    input.lake = LakeRows {
        streams: streams.iter().map(stream_row).collect(),
        rejected: dead_letters.iter().map(rejected_row).collect(),
        tables: tables.iter().map(table_row).collect(),
        ..LakeRows::default()
    };
    STREAMS.add(input, streams.iter().map(stream_cells))?;
    let rejected = dead_letters.into_iter();
    REJECTED.add(input, rejected.map(|row| [row.stream, row.reason, row.rows.to_string()]))?;
    TABLES.add(input, tables.into_iter().map(table_cells))
}

/// Returns an instant that is written as text.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    parse_instant(text).and_then(DateTime::<Utc>::from_timestamp_micros)
}

fn count<N: TryInto<i64>>(n: N) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

fn stream_row(status: &StreamStatus) -> StreamRow {
    let slowest = status.slowest.as_ref().map(|slowest| SlowestPartition {
        partition: slowest.partition.clone(),
        reached: slowest.reached.as_deref().and_then(instant),
        behind_seconds: slowest.age_seconds,
    });
    StreamRow {
        stream: status.stream.to_owned(),
        complete_to: status.watermark.as_deref().and_then(instant),
        partitions: count(status.partitions),
        loaded_files: count(status.loaded_files),
        slowest,
    }
}

fn stream_cells(status: &StreamStatus) -> [String; 7] {
    let slowest = status.slowest.as_ref();
    [
        status.stream.to_owned(),
        optional(status.watermark.as_ref()),
        status.partitions.to_string(),
        status.loaded_files.to_string(),
        optional(slowest.map(|slowest| &slowest.partition)),
        optional(slowest.and_then(|slowest| slowest.reached.as_ref())),
        optional(slowest.and_then(|slowest| slowest.age_seconds)),
    ]
}

fn rejected_row(count_of: &RejectedCount) -> RejectedRow {
    RejectedRow {
        stream: count_of.stream.clone(),
        reason: count_of.reason.clone(),
        records: count(count_of.rows),
    }
}

fn table_row(status: &TableStatus) -> TableRow {
    TableRow {
        table: status.table.clone(),
        version: count(status.version),
        rows: count(status.rows),
        files: count(status.files),
        bytes: count(status.bytes),
        small_files: count(status.small_files),
        copies_dropped: count(status.copies_dropped),
        erased: count(status.erased),
        retired: count(status.retired),
    }
}

fn table_cells(status: TableStatus) -> [String; 9] {
    let figures = [
        status.version,
        status.rows,
        status.files,
        status.bytes,
        status.small_files,
        status.copies_dropped,
        status.erased,
        status.retired,
    ];
    let [version, rows, files, bytes, small_files, copies, erased, retired] =
        figures.map(|figure| figure.to_string());
    [status.table, version, rows, files, bytes, small_files, copies, erased, retired]
}
