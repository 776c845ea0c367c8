//! Accepted events as rows, in memory that is filled again and again.
//!
//! A row is one cell of eight bytes for each column: it is read as a whole when the rows are sorted,
//! and would else be fetched from as many places as there are columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use lake_types::Stream;

use super::Event;
use super::fields::{self, COMMON};
use super::json::Slot;
use super::words::Words;

/// The cell of a column without a value. No number that is stored is as small.
pub(super) const NULL: i64 = i64::MIN;
/// The column that has one value for all rows that are committed together, and so no cells.
pub(super) const INGESTED_AT: &str = "ingested_at";
/// The places of the columns that rows are sorted by.
pub(super) const PARTNER_ID: usize = 1;
pub(super) const OCCURRED_AT: usize = 2;

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

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Where in the text of all rows it begins, and its length.
    Text,
    /// A number among these words.
    Word(usize),
    /// The value: a whole number, an instant in microseconds, 0 or 1 for what is not or is.
    Number,
}

/// Accepted events of one stream, in the order they were pushed.
pub struct Rows {
    /// How the columns are gathered.
    pub(super) schema: SchemaRef,
    /// By column, those of the schema without [`INGESTED_AT`].
    pub(super) kinds: Vec<Kind>,
    pub(super) words: Vec<Words>,
    cells: Vec<i64>,
    text: Vec<u8>,
    /// How many of the columns are the stream's own.
    own: usize,
    word_bytes: usize,
}

impl Rows {
    /// Nothing is reserved: a late event may open rows for itself alone.
    pub fn new(stream: Stream) -> Self {
        let table = lake::schema::raw(stream).file_schema();
        let (mut kinds, mut words) = (Vec::new(), Vec::new());
        let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        let gathered = table.fields().iter().map(|field| {
            let (name, of) = (field.name().as_str(), field.data_type());
            let kind = match of {
                DataType::Utf8 if DISTINCT.contains(&name) => Kind::Text,
                DataType::Utf8 => Kind::Word(words.len()),
                _ => Kind::Number,
            };
            if matches!(kind, Kind::Word(_)) {
                words.push(Words::default());
            }
            if name != INGESTED_AT {
                kinds.push(kind);
            }
            let of = if matches!(kind, Kind::Word(_)) { &dictionary } else { of };
            Field::new(name, of.clone(), field.is_nullable())
        });
        let schema = Arc::new(Schema::new(gathered.collect::<Vec<_>>()));
        let own = fields::of(stream).len();
        let (cells, text) = (Vec::new(), Vec::new());
        Self { schema, kinds, words, cells, text, own, word_bytes: 0 }
    }

    /// Adds one event of the stream. `late` is the caller's to know: see [`crate::lateness`].
    pub fn push(&mut self, event: &Event<'_>, origin: &Origin<'_>, late: bool) {
        self.cells.reserve(self.kinds.len());
        self.push_text(0, Some(event.event_id()));
        self.push_text(PARTNER_ID, Some(event.partner_id()));
        self.cells.push(event.occurred_at);
        for (slot, at) in event.own()[..self.own].iter().zip(COMMON.len()..) {
            match slot {
                Slot::Text(text) => self.push_text(at, Some(text)),
                Slot::Hash(hash) => self.push_shared(at, hash),
                Slot::Long(value) => self.cells.push(*value),
                _ => self.cells.push(NULL),
            }
        }
        let origins = COMMON.len() + self.own;
        self.push_text(origins, Some(origin.topic));
        self.cells.extend([
            i64::from(origin.partition),
            origin.offset,
            origin.arrival,
            i64::from(late),
        ]);
        self.push_text(self.kinds.len() - 1, event.extra.as_deref());
    }

    #[inline]
    fn push_text(&mut self, column: usize, text: Option<&str>) {
        let cell = match (self.kinds[column], text) {
            (Kind::Word(of), Some(text)) => {
                let (number, bytes) = self.words[of].number(text);
                self.word_bytes += bytes;
                number.into()
            }
            (Kind::Text, Some(text)) => {
                let start = self.text.len() as i64;
                self.text.extend_from_slice(text.as_bytes());
                (start << 32) | text.len() as i64
            }
            (Kind::Number, _) | (_, None) => NULL,
        };
        self.cells.push(cell);
    }

    #[inline]
    fn push_shared(&mut self, column: usize, text: &Arc<str>) {
        let Kind::Word(of) = self.kinds[column] else {
            return self.push_text(column, Some(text));
        };
        let (number, bytes) = self.words[of].shared_number(text);
        self.word_bytes += bytes;
        self.cells.push(number.into());
    }

    pub fn len(&self) -> usize {
        self.cells.len() / self.kinds.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// About how much memory the rows take, in bytes. Keep it below 1 GiB: the offsets of Arrow's
    /// strings have 31 bits.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.cells[..]) + self.text.len() + self.word_bytes
    }

    /// Whether they lie in far more memory than they need.
    pub fn is_roomy(&self) -> bool {
        self.cells.capacity() > 4 * self.cells.len() + (1 << 16)
            || self.text.capacity() > 4 * self.text.len() + (1 << 16)
    }

    /// Empties the rows; their memory stays for others.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.text.clear();
        self.words.iter_mut().for_each(Words::clear);
        self.word_bytes = 0;
    }

    /// The cells of each row.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[i64]> {
        self.cells.chunks_exact(self.kinds.len())
    }

    #[inline]
    pub(super) fn row(&self, row: usize) -> &[i64] {
        let width = self.kinds.len();
        &self.cells[row * width..(row + 1) * width]
    }

    /// What a cell of a column of texts stands for; of NULL no bytes.
    #[inline]
    pub(super) fn text(&self, cell: i64) -> &[u8] {
        if cell == NULL {
            return &[];
        }
        let (start, length) = ((cell >> 32) as usize, (cell & 0xffff_ffff) as usize);
        &self.text[start..start + length]
    }
}
