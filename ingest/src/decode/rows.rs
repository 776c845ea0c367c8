//! Accepted events to Arrow: the columns of a raw table, but for its partition column.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Int32Array, Int32Builder, Int64Array, Int64Builder,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use lake_types::{Day, Stream};

use super::fields::{self, COMMON};
use super::{Cell, Event};

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
    partner_id: StringBuilder,
    occurred_at: Vec<i64>,
    own: Vec<Column>,
    topic: StringBuilder,
    partition: Vec<i32>,
    offset: Vec<i64>,
    arrival: Vec<i64>,
    late: BooleanBuilder,
    extra: StringBuilder,
    text_bytes: usize,
}

enum Column {
    Text(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
}

impl Rows {
    pub fn new(stream: Stream) -> Self {
        // Nothing is reserved: a late event may open columns for itself alone.
        let text = || StringBuilder::with_capacity(0, 0);
        let schema = lake::schema::raw(stream).file_schema();
        let types = schema.fields().iter().skip(COMMON.len()).take(fields::of(stream).len());
        let own = types.map(|column| match column.data_type() {
            DataType::Int32 => Column::Int32(Int32Builder::with_capacity(0)),
            DataType::Int64 => Column::Int64(Int64Builder::with_capacity(0)),
            _ => Column::Text(text()),
        });
        let own = own.collect();
        Self {
            schema,
            event_id: text(),
            partner_id: text(),
            occurred_at: Vec::new(),
            own,
            topic: text(),
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
        self.event_id.append_value(&event.event_id);
        self.partner_id.append_value(&event.partner_id);
        self.occurred_at.push(event.occurred_at);
        for (column, cell) in self.own.iter_mut().zip(&event.cells) {
            self.text_bytes += column.push(cell);
        }
        self.topic.append_value(origin.topic);
        self.partition.push(origin.partition);
        self.offset.push(origin.offset);
        self.arrival.push(origin.arrival);
        self.late.append_value(late);
        self.extra.append_option(event.extra.as_deref());
        self.text_bytes += event.event_id.len()
            + event.partner_id.len()
            + origin.topic.len()
            + event.extra.as_deref().map_or(0, str::len);
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

    /// The rows as one batch in the raw table's schema without its partition column, and no rows
    /// left here. `ingested_at` is in UTC microseconds.
    ///
    /// # Errors
    /// None that a caller could act on: the columns are as long as each other by construction.
    pub fn finish(&mut self, ingested_at: i64) -> Result<RecordBatch, ArrowError> {
        let rows = self.len();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.event_id.finish()),
            Arc::new(self.partner_id.finish()),
            instants(mem::take(&mut self.occurred_at)),
        ];
        columns.extend(self.own.iter_mut().map(Column::finish));
        columns.extend([
            Arc::new(self.topic.finish()) as ArrayRef,
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
    /// Appends a value; returns how many bytes of text it has.
    fn push(&mut self, cell: &Cell<'_>) -> usize {
        match self {
            Self::Text(builder) => {
                let text = match cell {
                    Cell::Text(text) => Some(text.as_ref()),
                    Cell::Hash(hash) => Some(hash.as_ref()),
                    Cell::Null | Cell::Integer(_) => None,
                };
                builder.append_option(text);
                return text.map_or(0, str::len);
            }
            // A 32-bit column's rule has bounds within 32 bits.
            Self::Int32(builder) => {
                builder.append_option(cell.integer().and_then(|v| i32::try_from(v).ok()));
            }
            Self::Int64(builder) => builder.append_option(cell.integer()),
        }
        0
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
        }
    }
}

impl Cell<'_> {
    fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Null | Self::Text(_) | Self::Hash(_) => None,
        }
    }
}

/// Splits rows of one stream by the UTC date of `occurred_at`, days ascending, each day's rows
/// ordered by (partner_id, occurred_at) and else as they came.
///
/// # Errors
/// When the batches are of different streams.
pub fn by_day(batches: &[RecordBatch]) -> Result<Vec<(Day, RecordBatch)>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let all = concat_batches(&first.schema(), batches)?;
    let occurred_at = column(&all, "occurred_at")?.as_primitive::<TimestampMicrosecondType>();
    let ranks = ranks(column(&all, "partner_id")?.as_string::<i32>());
    let mut order: Vec<(Day, u32, i64, u32)> = (0u32..)
        .zip(ranks)
        .zip(occurred_at.values())
        .map(|((row, rank), at)| (Day::of_micros(*at), rank, *at, row))
        .collect();
    order.sort_unstable();
    let sorted =
        take_record_batch(&all, &UInt32Array::from_iter_values(order.iter().map(|o| o.3)))?;
    let mut start = 0;
    let days = order.chunk_by(|a, b| a.0 == b.0).map(|day| {
        let batch = sorted.slice(start, day.len());
        start += day.len();
        (day[0].0, batch)
    });
    Ok(days.collect())
}

/// The place of each text among the distinct ones, in order: partners are few, and comparing
/// numbers is many times faster than comparing texts.
fn ranks(texts: &StringArray) -> Vec<u32> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut seen: Vec<u32> = Vec::with_capacity(texts.len());
    for text in texts.iter().flatten() {
        let next = numbers.len() as u32;
        seen.push(*numbers.entry(text).or_insert(next));
    }
    let mut distinct: Vec<(&str, u32)> = numbers.into_iter().collect();
    distinct.sort_unstable();
    let mut rank_of = vec![0; distinct.len()];
    for (rank, (_, number)) in (0u32..).zip(distinct) {
        rank_of[number as usize] = rank;
    }
    seen.into_iter().map(|number| rank_of[number as usize]).collect()
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| {
        ArrowError::SchemaError(format!("the rows of a raw table have a column {name}"))
    })
}

fn instants(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}
