//! Accepted events to Arrow: the columns of a raw table, but for its partition column.

use std::mem;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Array, Int32Builder, Int64Array, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use lake_types::Stream;

use super::Event;
use super::fields::{self, COMMON};
use super::json::Slot;
use super::words::Words;

/// Columns whose texts seldom come twice; those of all others are kept once.
const DISTINCT: [&str; 6] = ["event_id", "trace_id", "name", "invoice_id", "ticket_id", "extra"];

/// Where a record stands: a Kafka record, or a line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// UTC microseconds.
    pub arrival: i64,
}

/// Accepted events of one stream as growing columns, in the order they were pushed.
pub struct Rows {
    schema: SchemaRef,
    event_id: StringBuilder,
    partner_id: Words,
    occurred_at: Vec<i64>,
    own: Vec<Column>,
    topic: Words,
    partition: Vec<i32>,
    offset: Vec<i64>,
    arrival: Vec<i64>,
    late: BooleanBuilder,
    extra: StringBuilder,
    text_bytes: usize,
}

enum Column {
    Text(StringBuilder),
    Words(Words),
    Int32(Int32Builder),
    Int64(Int64Builder),
}

impl Rows {
    pub fn new(stream: Stream) -> Self {
        // Nothing is reserved: a late event may open columns for itself alone.
        let text = || StringBuilder::with_capacity(0, 0);
        let schema = columns(&lake::schema::raw(stream).file_schema());
        let types = schema.fields().iter().skip(COMMON.len()).take(fields::of(stream).len());
        let own = types.map(|column| match column.data_type() {
            DataType::Int32 => Column::Int32(Int32Builder::with_capacity(0)),
            DataType::Int64 => Column::Int64(Int64Builder::with_capacity(0)),
            DataType::Utf8 => Column::Text(text()),
            _ => Column::Words(Words::default()),
        });
        let own = own.collect();
        Self {
            schema,
            event_id: text(),
            partner_id: Words::default(),
            occurred_at: Vec::new(),
            own,
            topic: Words::default(),
            partition: Vec::new(),
            offset: Vec::new(),
            arrival: Vec::new(),
            late: BooleanBuilder::new(),
            extra: text(),
            text_bytes: 0,
        }
    }

    /// Adds one event of the stream. `late` is the caller's to know: see [`super::is_late`].
    pub fn push(&mut self, event: &Event<'_>, origin: &Origin<'_>, late: bool) {
        self.event_id.append_value(event.event_id());
        self.text_bytes += self.partner_id.push(event.partner_id());
        self.occurred_at.push(event.occurred_at);
        for (column, slot) in self.own.iter_mut().zip(event.own()) {
            self.text_bytes += column.push(slot);
        }
        self.text_bytes += self.topic.push(origin.topic);
        self.partition.push(origin.partition);
        self.offset.push(origin.offset);
        self.arrival.push(origin.arrival);
        self.late.append_value(late);
        self.extra.append_option(event.extra.as_deref());
        self.text_bytes += event.event_id().len() + event.extra.as_deref().map_or(0, str::len);
    }

    pub fn len(&self) -> usize {
        self.occurred_at.len()
    }

    pub fn is_empty(&self) -> bool {
        self.occurred_at.is_empty()
    }

    /// About how much memory the rows take, in bytes. Keep it below 1 GiB: the offsets of Arrow's
    /// strings have 31 bits.
    pub fn bytes(&self) -> usize {
        // Five fixed columns of 8 bytes, one bit here and there, and 8 bytes for each other value.
        self.text_bytes + self.len() * (5 * 8 + 4 * 4 + self.own.len() * 8)
    }

    /// The rows as one batch with the raw table's columns but for its partition column, and no rows
    /// left here; texts that come again are dictionaries. `ingested_at` is in UTC microseconds.
    ///
    /// # Errors
    /// None that a caller could act on: the columns are as long as each other by construction.
    pub fn finish(&mut self, ingested_at: i64) -> Result<RecordBatch, ArrowError> {
        let rows = self.len();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.event_id.finish()),
            self.partner_id.finish(),
            instants(mem::take(&mut self.occurred_at)),
        ];
        columns.extend(self.own.iter_mut().map(Column::finish));
        columns.extend([
            self.topic.finish(),
            Arc::new(Int32Array::from(mem::take(&mut self.partition))),
            Arc::new(Int64Array::from(mem::take(&mut self.offset))),
            instants(mem::take(&mut self.arrival)),
            instants(vec![ingested_at; rows]),
            Arc::new(self.late.finish()),
            Arc::new(self.extra.finish()),
        ]);
        self.text_bytes = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

impl Column {
    /// Appends a value; returns how many bytes of text that takes.
    fn push(&mut self, slot: &Slot<'_>) -> usize {
        match (self, slot) {
            (Self::Words(words), Slot::Text(text)) => return words.push(text),
            (Self::Words(words), Slot::Hash(hash)) => return words.push_shared(hash),
            (Self::Words(words), _) => words.push_null(),
            (Self::Text(builder), slot) => {
                let text = slot.text();
                builder.append_option(text);
                return text.map_or(0, str::len);
            }
            // A 32-bit column's rule has bounds within 32 bits.
            (Self::Int32(builder), Slot::Long(value)) => builder.append_value(*value as i32),
            (Self::Int32(builder), _) => builder.append_null(),
            (Self::Int64(builder), Slot::Long(value)) => builder.append_value(*value),
            (Self::Int64(builder), _) => builder.append_null(),
        }
        0
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Words(words) => words.finish(),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The columns of a raw table as they are gathered here.
fn columns(table: &Schema) -> SchemaRef {
    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    let fields = table.fields().iter().map(|field| {
        let again =
            *field.data_type() == DataType::Utf8 && !DISTINCT.contains(&field.name().as_str());
        let of = if again { dictionary.clone() } else { field.data_type().clone() };
        Field::new(field.name(), of, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn instants(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}
