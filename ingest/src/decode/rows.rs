//! Accepted events as rows, in memory that is reused.
//!
//! A row has one cell of eight bytes for each column. Sorting reads a row as a whole, which would
//! otherwise be spread over as many places as there are columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use domain::Stream;

use super::Event;
use super::fields::{self, COMMON_NAMES};
use super::json::Slot;
use crate::decode::interner::Interner;

/// The cell of a column without a value. No stored number is as small.
pub(super) const NULL: i64 = i64::MIN;
/// The column that has one value for all rows of a commit, and so no cells.
pub(super) const INGESTED_AT: &str = "ingested_at";
/// The indices of the columns that rows are sorted by.
pub(super) const PARTNER_ID: usize = 1;
pub(super) const OCCURRED_AT: usize = 2;

/// Columns whose texts are seldom repeated. The texts of all other columns are interned.
const DISTINCT_TEXT_COLUMNS: [&str; 6] =
    ["event_id", "trace_id", "name", "invoice_id", "ticket_id", "extra"];

/// The source of a row: a Kafka record, or a line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordOrigin<'a> {
    /// The topic, or for a file `file:<name>#<start of its SHA-256>`.
    pub topic: &'a str,
    pub partition: i32,
    /// The offset, or for a file the line number from 0.
    pub offset: i64,
    /// The arrival in UTC microseconds.
    pub arrival: i64,
}

/// What the cells of a column contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    /// The start of a text in the text buffer, and its length.
    Text,
    /// A number of the interner with this index.
    Interned(usize),
    /// The value itself: an integer, an instant in microseconds, or a boolean as 0 or 1.
    Number,
}

/// Accepted events of one stream, in the order in which they were added.
pub struct Rows {
    /// The schema of the batches that are made of the rows.
    pub(super) schema: SchemaRef,
    /// The content of each column of the schema but [`INGESTED_AT`].
    pub(super) cell_kinds: Vec<CellKind>,
    pub(super) interners: Vec<Interner>,
    cells: Vec<i64>,
    text: Vec<u8>,
    /// The number of the stream's own columns.
    own: usize,
    interned_bytes: usize,
}

impl Rows {
    /// Creates rows without reserved memory, because a late event may need rows for itself alone.
    pub fn new(stream: Stream) -> Self {
        let table = lake::schema::raw(stream).file_schema();
        let (mut cell_kinds, mut interners) = (Vec::new(), Vec::new());
        let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        let gathered = table.fields().iter().map(|field| {
            let (name, of) = (field.name().as_str(), field.data_type());
            let cell_kind = match of {
                DataType::Utf8 if DISTINCT_TEXT_COLUMNS.contains(&name) => CellKind::Text,
                DataType::Utf8 => CellKind::Interned(interners.len()),
                _ => CellKind::Number,
            };
            if matches!(cell_kind, CellKind::Interned(_)) {
                interners.push(Interner::default());
            }
            if name != INGESTED_AT {
                cell_kinds.push(cell_kind);
            }
            let of = if matches!(cell_kind, CellKind::Interned(_)) { &dictionary } else { of };
            Field::new(name, of.clone(), field.is_nullable())
        });
        let schema = Arc::new(Schema::new(gathered.collect::<Vec<_>>()));
        let own = fields::own_fields(stream).len();
        let (cells, text) = (Vec::new(), Vec::new());
        Self { schema, cell_kinds, interners, cells, text, own, interned_bytes: 0 }
    }

    /// Adds one event of the stream. The caller decides `late`, see [`crate::lateness`].
    pub fn push(&mut self, event: &Event<'_>, origin: &RecordOrigin<'_>, late: bool) {
        self.cells.reserve(self.cell_kinds.len());
        self.push_text(0, Some(event.event_id()));
        self.push_text(PARTNER_ID, Some(event.partner_id()));
        self.cells.push(event.occurred_at);
        for (slot, at) in event.own_slots()[..self.own].iter().zip(COMMON_NAMES.len()..) {
            match slot {
                Slot::Text(text) => self.push_text(at, Some(text)),
                Slot::Hash(hash) => self.push_shared_text(at, hash),
                Slot::Long(value) => self.cells.push(*value),
                _ => self.cells.push(NULL),
            }
        }
        let origins = COMMON_NAMES.len() + self.own;
        self.push_text(origins, Some(origin.topic));
        self.cells.extend([
            i64::from(origin.partition),
            origin.offset,
            origin.arrival,
            i64::from(late),
        ]);
        self.push_text(self.cell_kinds.len() - 1, event.extra.as_deref());
    }

    #[inline]
    fn push_text(&mut self, column: usize, text: Option<&str>) {
        let cell = match (self.cell_kinds[column], text) {
            (CellKind::Interned(of), Some(text)) => {
                let (number, bytes) = self.interners[of].intern(text);
                self.interned_bytes += bytes;
                number.into()
            }
            (CellKind::Text, Some(text)) => {
                let start = self.text.len() as i64;
                self.text.extend_from_slice(text.as_bytes());
                (start << 32) | text.len() as i64
            }
            (CellKind::Number, _) | (_, None) => NULL,
        };
        self.cells.push(cell);
    }

    #[inline]
    fn push_shared_text(&mut self, column: usize, text: &Arc<str>) {
        let CellKind::Interned(of) = self.cell_kinds[column] else {
            return self.push_text(column, Some(text));
        };
        let (number, bytes) = self.interners[of].intern_shared(text);
        self.interned_bytes += bytes;
        self.cells.push(number.into());
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.cells.len() / self.cell_kinds.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns the approximate memory of the rows in bytes. It must stay below 1 GiB, because the
    /// offsets of Arrow's strings have 31 bits.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.cells[..]) + self.text.len() + self.interned_bytes
    }

    /// Whether the rows use far less than their allocated memory.
    pub fn is_oversized(&self) -> bool {
        self.cells.capacity() > 4 * self.cells.len() + (1 << 16)
            || self.text.capacity() > 4 * self.text.len() + (1 << 16)
    }

    /// Removes all rows and keeps the memory for others.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.text.clear();
        self.interners.iter_mut().for_each(Interner::clear);
        self.interned_bytes = 0;
    }

    /// Returns the cells of each row.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[i64]> {
        self.cells.chunks_exact(self.cell_kinds.len())
    }

    /// Returns the cells of one row.
    #[inline]
    pub(super) fn row(&self, row: usize) -> &[i64] {
        let width = self.cell_kinds.len();
        &self.cells[row * width..(row + 1) * width]
    }

    /// Returns the text of a cell in a text column, which is empty for NULL.
    #[inline]
    pub(super) fn text(&self, cell: i64) -> &[u8] {
        if cell == NULL {
            return &[];
        }
        let (start, length) = ((cell >> 32) as usize, (cell & 0xffff_ffff) as usize);
        &self.text[start..start + length]
    }
}
