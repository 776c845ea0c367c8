//! Reads dead letters: lists them, opens them, and finds those that a replay may take.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use domain::{Day, Stream};
use lake::{Lake, SealedRecord, TableSnapshot, Transactions, schema};

use crate::error::IngestError;
use crate::load::file_identity::digest_of_topic;

/// A rejected record as the lake stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The stream's name.
    pub stream: String,
    /// The topic, or for a file `file:<name>#<start of its SHA-256>`.
    pub topic: String,
    pub partition: i32,
    /// The offset, or for a file the line number from 0.
    pub offset: i64,
    /// The arrival in µs since 1970 UTC.
    pub arrival: i64,
    /// The reason's name, see [`crate::decode::RejectReason`].
    pub reason: String,
    /// The field that broke the rule.
    pub field: Option<String>,
    /// The id of the key that the record is sealed with.
    pub key_id: String,
    /// The name of the mapping that the record came through.
    pub mapping: Option<String>,
    /// The rule that was broken, in a sentence that quotes nothing of the record. Dead letters of
    /// older versions have none.
    pub detail: Option<String>,
    sealed: Vec<u8>,
}

impl DeadLetter {
    /// Decrypts the record.
    ///
    /// # Errors
    /// Fails when it was sealed with another key.
    pub fn open(&self, lake: &Lake) -> Result<SealedRecord, IngestError> {
        Ok(lake.key().open(&self.sealed, &self.key_id)?)
    }

    /// Whether its partition has been read past it, so that no worker will read it again.
    pub(crate) fn is_read_past(&self, stream: Stream, txns: &Transactions) -> bool {
        if let Some(hash) = digest_of_topic(&self.topic) {
            let prefix = format!("file/{stream}/{hash}");
            let mut ids =
                txns.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix));
            return ids.any(|(id, next)| !id.contains('#') && *next > self.offset);
        }
        let partition = self.partition.to_string();
        txns.iter().any(|(id, next)| {
            let mut parts = id.split('/').skip(1);
            parts.next() == Some(&self.topic)
                && parts.nth(1) == Some(&partition)
                && *next > self.offset
        })
    }
}

/// Returns the dead letters of one arrival date, ordered by topic, partition and offset.
///
/// # Errors
/// Fails when a file can't be read.
pub async fn dead_letters_of_day(
    lake: &Lake,
    snapshot: &TableSnapshot,
    day: Day,
) -> Result<Vec<DeadLetter>, IngestError> {
    let mut dead_letters = Vec::new();
    for file in snapshot.of_day(day) {
        for batch in lake.read_file(&file.path, &[]).await? {
            dead_letters.extend(dead_letters_of(&batch)?);
        }
    }
    dead_letters
        .sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
    Ok(dead_letters)
}

/// Returns the newest snapshot of the dead-letter table.
///
/// # Errors
/// Fails when the table's log can't be read.
pub async fn dead_letter_table(lake: &Lake) -> Result<TableSnapshot, IngestError> {
    Ok(lake.ensure_table(&schema::dead_letters()).await?)
}

fn dead_letters_of(batch: &RecordBatch) -> Result<Vec<DeadLetter>, IngestError> {
    let column = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| {
            arrow::error::ArrowError::SchemaError(format!("dead letters without {name}"))
        })
    };
    let text = |name: &str| Ok::<_, IngestError>(column(name)?.as_string::<i32>().clone());
    // Files of older formats lack the newer columns.
    let newer = |name: &str| batch.column_by_name(name).map(AsArray::as_string::<i32>);
    let value = |column: Option<&StringArray>, row: usize| {
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row).to_owned())
    };
    let (mappings, details) = (newer("mapping"), newer("detail"));
    let (streams, topics, reasons) = (text("stream")?, text("topic")?, text("reason")?);
    let (fields, key_ids) = (text("field")?, text("key_id")?);
    let partitions = column("kafka_partition")?.as_primitive::<Int32Type>();
    let offsets = column("kafka_offset")?.as_primitive::<Int64Type>();
    let arrivals = column("arrival")?.as_primitive::<TimestampMicrosecondType>();
    let sealed = column("sealed")?.as_binary::<i32>();
    Ok((0..batch.num_rows())
        .map(|row| DeadLetter {
            stream: streams.value(row).to_owned(),
            topic: topics.value(row).to_owned(),
            partition: partitions.value(row),
            offset: offsets.value(row),
            arrival: arrivals.value(row),
            reason: reasons.value(row).to_owned(),
            field: value(Some(&fields), row),
            mapping: value(mappings, row),
            detail: value(details, row),
            key_id: key_ids.value(row).to_owned(),
            sealed: sealed.value(row).to_vec(),
        })
        .collect())
}

/// Converts dead letters back to rows of the table.
pub(crate) fn record_batch(dead_letters: &[&DeadLetter]) -> Result<RecordBatch, IngestError> {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, TimestampMicrosecondArray};

    let text = |of: fn(&DeadLetter) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(dead_letters.iter().map(|l| of(l))))
    };
    let optional = |of: fn(&DeadLetter) -> Option<&str>| -> ArrayRef {
        Arc::new(dead_letters.iter().map(|l| of(l)).collect::<StringArray>())
    };
    let arrivals: Vec<i64> = dead_letters.iter().map(|l| l.arrival).collect();
    let columns: Vec<ArrayRef> = vec![
        text(|l| &l.stream),
        text(|l| &l.topic),
        Arc::new(Int32Array::from_iter_values(dead_letters.iter().map(|l| l.partition))),
        Arc::new(Int64Array::from_iter_values(dead_letters.iter().map(|l| l.offset))),
        Arc::new(TimestampMicrosecondArray::from(arrivals).with_timezone("UTC")),
        text(|l| &l.reason),
        optional(|l| l.field.as_deref()),
        Arc::new(BinaryArray::from_iter_values(dead_letters.iter().map(|l| &l.sealed))),
        text(|l| &l.key_id),
        optional(|l| l.mapping.as_deref()),
        optional(|l| l.detail.as_deref()),
    ];
    Ok(RecordBatch::try_new(schema::dead_letters().file_schema(), columns)?)
}
