//! `rapport lake status`: the tables, the freshness of the streams, and the rejected records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use domain::{Day, Stream, format_instant, thousands};
use lake::{Lake, TableSnapshot, erased_count_id, schema};
use serde::Serialize;

use crate::args::Format;
use crate::output::{self, print_line, print_note, print_verbatim};
use crate::table::Table;

/// Files below this size are small, bytes: `lake compact` merges them.
const SMALL_FILE: u64 = 8 << 20;

/// What the command prints, and the page Data shows.
#[derive(Debug, Serialize)]
pub(crate) struct LakeStatus {
    /// The instant that the API calls are complete to.
    pub(crate) watermark: Option<String>,
    pub(crate) tables: Vec<TableStatus>,
    pub(crate) streams: Vec<StreamStatus>,
    pub(crate) dead_letters: Vec<RejectedCount>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TableStatus {
    pub(crate) table: String,
    pub(crate) version: u64,
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Small files of closed days that have several files.
    pub(crate) small_files: u64,
    /// Duplicate events that compaction dropped.
    pub(crate) copies_dropped: u64,
    /// Records that erasures deleted.
    pub(crate) erased: u64,
    /// Records that were deleted when their day was sealed.
    pub(crate) retired: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct StreamStatus {
    pub(crate) stream: &'static str,
    pub(crate) watermark: Option<String>,
    pub(crate) partitions: usize,
    pub(crate) loaded_files: usize,
    /// The partition that holds the watermark back.
    pub(crate) slowest: Option<SlowestPartition>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SlowestPartition {
    /// `<cluster>/<topic>/<topic id>/<partition>`, or `file/<stream>/<sha256>`.
    pub(crate) partition: String,
    pub(crate) next_offset: i64,
    pub(crate) newest: Option<String>,
    pub(crate) reached: Option<String>,
    pub(crate) age_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RejectedCount {
    pub(crate) stream: String,
    pub(crate) reason: String,
    pub(crate) rows: u64,
}

/// Prints the status. Ages are counted from `now`, µs.
pub(crate) async fn run(lake: &Lake, format: Format, now: i64) -> anyhow::Result<()> {
    let status = read(lake, now).await?;
    match format {
        Format::Json => print_verbatim(&serde_json::to_string_pretty(&status)?),
        Format::Table => show(&status),
        Format::Csv | Format::Parquet => {
            let rows = tables_as_rows(&status.tables)?;
            output::print_batch(&rows, format)
        }
    }
}

/// Reads the status of the lake. Ages are counted from `now`, µs.
pub(crate) async fn read(lake: &Lake, now: i64) -> anyhow::Result<LakeStatus> {
    let watermark = lake.watermark().await?;
    let mut status = LakeStatus {
        watermark: watermark.map(format_instant),
        tables: Vec::new(),
        streams: Vec::new(),
        dead_letters: Vec::new(),
    };
    let mut rejected: BTreeMap<(String, String), u64> = BTreeMap::new();
    for name in lake.tables().await? {
        let Some(snapshot) = lake.snapshot(&name, None).await? else { continue };
        let stream = Stream::ALL.into_iter().find(|s| schema::raw(*s).name == name);
        let own = stream.and_then(|_| lake::watermark_of(&snapshot.txns));
        status.tables.push(table(&snapshot, own.or(watermark).map(Day::of_micros)));
        if let Some(stream) = stream {
            status.streams.push(freshness(stream, &snapshot, now));
        }
        if name == schema::dead_letters().name {
            for file in snapshot.files.iter() {
                for batch in lake.read_file(&file.path, &["stream", "reason"]).await? {
                    let (streams, reasons) =
                        (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
                    for (stream, reason) in streams.iter().zip(reasons).filter_map(both) {
                        *rejected.entry((stream.to_owned(), reason.to_owned())).or_default() += 1;
                    }
                }
            }
        }
    }
    status.dead_letters = rejected
        .into_iter()
        .map(|((stream, reason), rows)| RejectedCount { stream, reason, rows })
        .collect();
    Ok(status)
}

fn both<'a>(pair: (Option<&'a str>, Option<&'a str>)) -> Option<(&'a str, &'a str)> {
    pair.0.zip(pair.1)
}

fn table(snapshot: &TableSnapshot, closed_before: Option<Day>) -> TableStatus {
    let closed = |day: &Day| closed_before.is_some_and(|end| *day < end);
    let days: BTreeSet<Day> = snapshot.files.iter().filter_map(|f| f.day).filter(closed).collect();
    let crowded = days.into_iter().filter(|day| snapshot.of_day(*day).nth(1).is_some());
    let small =
        crowded.map(|day| snapshot.of_day(day).filter(|f| f.size < SMALL_FILE).count() as u64);
    let erased = Stream::ALL
        .iter()
        .filter_map(|stream| snapshot.txns.get(&erased_count_id(stream.name())))
        .filter_map(|n| u64::try_from(*n).ok());
    TableStatus {
        table: snapshot.table.clone(),
        version: snapshot.version,
        rows: snapshot.rows(),
        files: snapshot.files.len() as u64,
        bytes: snapshot.files.iter().map(|f| f.size).sum(),
        small_files: small.sum(),
        copies_dropped: lake::dropped_copies(snapshot),
        erased: erased.sum(),
        retired: lake::retired_records(&snapshot.txns),
    }
}

fn freshness(stream: Stream, snapshot: &TableSnapshot, now: i64) -> StreamStatus {
    let (files, partitions): (Vec<_>, Vec<_>) =
        lake::partitions(&snapshot.txns).partition(|(id, _)| id.is_file());
    let reached = |of: &&(lake::PartitionId, lake::PartitionPosition)| of.1.reached;
    // Loaded files count only where nothing came from Kafka, and then the one that reaches
    // farthest.
    let slowest = partitions
        .iter()
        .filter(|p| p.1.reached.is_some())
        .min_by_key(reached)
        .or_else(|| files.iter().max_by_key(reached));
    StreamStatus {
        stream: stream.name(),
        watermark: lake::watermark_of(&snapshot.txns).map(format_instant),
        partitions: partitions.len(),
        loaded_files: files.len(),
        slowest: slowest.map(|(id, position)| SlowestPartition {
            partition: id.to_string(),
            next_offset: position.next,
            newest: position.newest.map(format_instant),
            reached: position.reached.map(format_instant),
            age_seconds: position.reached.map(|r| (now - r).div_euclid(1_000_000)),
        }),
    }
}

fn show(status: &LakeStatus) -> anyhow::Result<()> {
    let heads =
        ["table", "version", "rows", "files", "MB", "small files", "copies", "erased", "retired"];
    let mut tables = Table::new(heads, &[1, 2, 3, 4, 5, 6, 7, 8]);
    for t in &status.tables {
        let megabytes = t.bytes.div_ceil(1 << 20);
        let counts = [t.small_files, t.copies_dropped, t.erased, t.retired];
        let figures = [t.version, t.rows, t.files, megabytes].into_iter().chain(counts);
        tables.row(std::iter::once(t.table.clone()).chain(figures.map(thousands)));
    }
    output::print_table(&tables)?;
    let heads = ["stream", "complete to", "partitions", "files", "slowest", "next", "behind"];
    let mut streams = Table::new(heads, &[2, 3, 5, 6]);
    for s in &status.streams {
        let slowest = s.slowest.as_ref();
        streams.row([
            s.stream.to_owned(),
            s.watermark.clone().unwrap_or_default(),
            s.partitions.to_string(),
            s.loaded_files.to_string(),
            slowest.map(|p| p.partition.clone()).unwrap_or_default(),
            slowest.map(|p| p.next_offset.to_string()).unwrap_or_default(),
            slowest.and_then(|p| p.age_seconds).map(age).unwrap_or_default(),
        ]);
    }
    print_line("")?;
    output::print_table(&streams)?;
    if !status.dead_letters.is_empty() {
        let mut rejected = Table::new(["stream", "rejected as", "records"], &[2]);
        for r in &status.dead_letters {
            rejected.row([r.stream.clone(), r.reason.clone(), thousands(r.rows)]);
        }
        print_line("")?;
        output::print_table(&rejected)?;
    }
    match &status.watermark {
        Some(watermark) => print_note(&format!("Complete to {watermark} (watermark)")),
        None => print_note("No API calls yet, so no watermark"),
    }
    Ok(())
}

/// Returns 93784 s as "1 d 2 h", 61 s as "1 min".
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

fn tables_as_rows(tables: &[TableStatus]) -> anyhow::Result<RecordBatch> {
    type Figure = (&'static str, fn(&TableStatus) -> u64);
    let figures: [Figure; 8] = [
        ("version", |t| t.version),
        ("rows", |t| t.rows),
        ("files", |t| t.files),
        ("bytes", |t| t.bytes),
        ("small_files", |t| t.small_files),
        ("copies_dropped", |t| t.copies_dropped),
        ("erased", |t| t.erased),
        ("retired", |t| t.retired),
    ];
    let mut fields = vec![Field::new("table", DataType::Utf8, false)];
    let names = StringArray::from_iter_values(tables.iter().map(|t| &t.table));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(names)];
    for (name, figure) in figures {
        fields.push(Field::new(name, DataType::Int64, false));
        let values = tables.iter().map(|t| i64::try_from(figure(t)).unwrap_or(i64::MAX));
        columns.push(Arc::new(Int64Array::from_iter_values(values)));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_in_the_two_largest_units() {
        let check = |seconds: i64, text: &str| assert_eq!(age(seconds), text);
        check(-3, "-3 s");
        check(59, "59 s");
        check(61, "1 min");
        check(3_660, "1 h 1 min");
        check(93_784, "1 d 2 h");
    }

    #[test]
    fn the_slowest_partition_holds_the_stream_back() {
        let txns = [
            ("c/calls/t/0", 7),
            ("c/calls/t/0#reached", 50_000_000),
            ("c/calls/t/1", 9),
            ("c/calls/t/1#reached", 30_000_000),
            ("c/calls/t/2", 0),
            ("file/api-calls/ab", 3),
            ("file/api-calls/ab#reached", 1),
            ("rewrite/2026-01-01", 1),
        ];
        let snapshot = TableSnapshot {
            table: "raw/api_calls".to_owned(),
            version: 1,
            schema: schema::raw(Stream::ApiCalls).schema,
            partition_by: None,
            files: [].into(),
            txns: Arc::new(txns.map(|(id, v)| (id.to_owned(), v)).into()),
        };
        let status = freshness(Stream::ApiCalls, &snapshot, 40_500_000);
        assert_eq!((status.partitions, status.loaded_files), (3, 1));
        let slowest = status.slowest.expect("one");
        assert_eq!((slowest.partition.as_str(), slowest.next_offset), ("c/calls/t/1", 9));
        assert_eq!(slowest.age_seconds, Some(10));
    }
}
