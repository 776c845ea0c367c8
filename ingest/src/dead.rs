//! Dead letters: records that broke a rule, sealed, and looked up again after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, Int64Type};
use lake::{Lake, PendingFile, SealedRecord, schema};
use lake_types::{Day, Stream};

use crate::decode::{MOST_BYTES, Rejection};
use crate::error::IngestError;
use crate::generation::Slice;
use crate::same::digest_in;

/// Of a record that is too large this much is kept; it can't be replayed.
const KEPT_OF_TOO_LARGE: usize = 64 << 10;

/// A rejected record, sealed as soon as it was rejected.
pub(crate) struct DeadLetter {
    offset: i64,
    arrival: i64,
    rejection: Rejection,
    sealed: Vec<u8>,
}

/// What comes with a record's value.
pub(crate) struct Envelope<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl DeadLetter {
    pub(crate) fn seal(
        lake: &Lake,
        offset: i64,
        arrival: i64,
        rejection: Rejection,
        value: &[u8],
        envelope: &Envelope<'_>,
    ) -> Self {
        let kept = if value.len() > MOST_BYTES { &value[..KEPT_OF_TOO_LARGE] } else { value };
        let record = SealedRecord::new(envelope.key, &envelope.headers, kept);
        Self { offset, arrival, rejection, sealed: lake.key().seal(&record) }
    }
}

/// Writes the slices' dead letters, one file for each arrival date.
pub(crate) async fn write(lake: &Lake, slices: &[Slice]) -> Result<Vec<PendingFile>, IngestError> {
    let mut days: BTreeMap<Day, Vec<(&Slice, &DeadLetter)>> = BTreeMap::new();
    for slice in slices {
        for letter in &slice.letters {
            days.entry(Day::of_micros(letter.arrival)).or_default().push((slice, letter));
        }
    }
    let def = schema::dead_letters();
    let mut files = Vec::new();
    for (day, letters) in days {
        let batch = batch(lake, &letters)?;
        files.push(lake.write_file(&def, Some(day), &[batch], BTreeMap::new()).await?);
    }
    Ok(files)
}

fn batch(lake: &Lake, letters: &[(&Slice, &DeadLetter)]) -> Result<RecordBatch, IngestError> {
    let text = |of: &dyn Fn(&Slice, &DeadLetter) -> String| {
        StringArray::from_iter_values(letters.iter().map(|(slice, letter)| of(slice, letter)))
    };
    let arrival: Vec<i64> = letters.iter().map(|(_, l)| l.arrival).collect();
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(text(&|slice, _| slice.stream.to_string())),
        Arc::new(text(&|slice, _| slice.topic.clone())),
        Arc::new(Int32Array::from_iter_values(letters.iter().map(|(s, _)| s.partition))),
        Arc::new(Int64Array::from_iter_values(letters.iter().map(|(_, l)| l.offset))),
        Arc::new(TimestampMicrosecondArray::from(arrival).with_timezone("UTC")),
        Arc::new(text(&|_, letter| letter.rejection.reason.as_str().to_owned())),
        Arc::new(StringArray::from_iter(letters.iter().map(|(_, l)| l.rejection.field))),
        Arc::new(BinaryArray::from_iter_values(letters.iter().map(|(_, l)| &l.sealed))),
        Arc::new(text(&|_, _| lake.key().id().to_owned())),
    ];
    Ok(RecordBatch::try_new(schema::dead_letters().file_schema(), columns)?)
}

/// The offsets of a stream's partition in `range` that stand in the dead letters: after a crash
/// between the two commits they are read again and must not be written again.
pub(crate) async fn known(
    lake: &Lake,
    stream: Stream,
    (topic, partition): (&str, i32),
    range: Range<i64>,
) -> Result<BTreeSet<i64>, IngestError> {
    let mut offsets = BTreeSet::new();
    let Some(snapshot) = lake.snapshot(&schema::dead_letters().name, None).await? else {
        return Ok(offsets);
    };
    let columns = ["stream", "topic", "kafka_partition", "kafka_offset"];
    // A file may have been given another name, and be loaded as another stream.
    let digest = digest_in(topic);
    let is_ours = |of: &str| of == topic || (digest.is_some() && digest_in(of) == digest);
    for file in &snapshot.files {
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
