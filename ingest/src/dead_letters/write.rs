//! Writes rejected records, and finds those that were written before a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, Int64Type};
use domain::{Day, Stream};
use lake::{Lake, PendingFile, TableSnapshot, schema};

use crate::dead_letters::rejected_record::RejectedRecord;
use crate::error::IngestError;
use crate::load::file_identity::digest_of_topic;
use crate::partition_buffer::FlushSlice;

/// Writes the rejected records of slices, one file for each arrival date.
pub(crate) async fn write(
    lake: &Lake,
    slices: &[FlushSlice],
) -> Result<Vec<PendingFile>, IngestError> {
    let mut days: BTreeMap<Day, Vec<(&FlushSlice, &RejectedRecord)>> = BTreeMap::new();
    for slice in slices {
        for record in &slice.rejected {
            days.entry(Day::of_micros(record.arrival)).or_default().push((slice, record));
        }
    }
    let def = schema::dead_letters();
    let mut files = Vec::new();
    for (day, records) in days {
        let batch = record_batch(lake, &records)?;
        files.push(lake.write_file(&def, Some(day), &[batch], BTreeMap::new()).await?);
    }
    Ok(files)
}

fn record_batch(
    lake: &Lake,
    records: &[(&FlushSlice, &RejectedRecord)],
) -> Result<RecordBatch, IngestError> {
    let text = |of: &dyn Fn(&FlushSlice, &RejectedRecord) -> String| {
        StringArray::from_iter_values(records.iter().map(|(slice, record)| of(slice, record)))
    };
    let arrival: Vec<i64> = records.iter().map(|(_, r)| r.arrival).collect();
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(text(&|slice, _| slice.stream.to_string())),
        Arc::new(text(&|slice, _| slice.topic.clone())),
        Arc::new(Int32Array::from_iter_values(records.iter().map(|(s, _)| s.partition))),
        Arc::new(Int64Array::from_iter_values(records.iter().map(|(_, r)| r.offset))),
        Arc::new(TimestampMicrosecondArray::from(arrival).with_timezone("UTC")),
        Arc::new(text(&|_, record| record.rejection.reason.as_str().to_owned())),
        Arc::new(StringArray::from_iter(records.iter().map(|(_, r)| r.rejection.field))),
        Arc::new(BinaryArray::from_iter_values(records.iter().map(|(_, r)| &r.sealed))),
        Arc::new(text(&|_, _| lake.key().id().to_owned())),
        Arc::new(StringArray::from_iter(records.iter().map(|(_, r)| r.mapping.as_deref()))),
        Arc::new(text(&|_, record| record.rejection.detail.clone())),
    ];
    Ok(RecordBatch::try_new(schema::dead_letters().file_schema(), columns)?)
}

/// Returns the offsets of a stream's partition in `range` that the table of dead letters has. After a
/// crash between the two commits of a flush they are read again and must not be written again.
pub(crate) async fn existing_offsets(
    lake: &Lake,
    table: &TableSnapshot,
    (stream, topic, partition): (Stream, &str, i32),
    range: Range<i64>,
) -> Result<BTreeSet<i64>, IngestError> {
    let mut offsets = BTreeSet::new();
    let columns = ["stream", "topic", "kafka_partition", "kafka_offset"];
    // A file may have been renamed and loaded as another stream.
    let digest = digest_of_topic(topic);
    let is_ours = |of: &str| of == topic || (digest.is_some() && digest_of_topic(of) == digest);
    for file in table.files.iter() {
        for batch in lake.read_file(&file.path, &columns).await? {
            let streams = batch.column(0).as_string::<i32>();
            let topics = batch.column(1).as_string::<i32>();
            let partitions = batch.column(2).as_primitive::<Int32Type>();
            let found = batch.column(3).as_primitive::<Int64Type>();
            offsets.extend(
                (0..batch.num_rows())
                    .filter(|row| {
                        partitions.value(*row) == partition
                            && streams.value(*row) == stream.name()
                            && is_ours(topics.value(*row))
                    })
                    .map(|row| found.value(row))
                    .filter(|offset| range.contains(offset)),
            );
        }
    }
    Ok(offsets)
}
