//! Converts rows to Arrow batches by day, sorted like the raw tables.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;
use domain::Day;
use foldhash::fast::RandomState;

use super::rows::{CellKind, INGESTED_AT, NULL, OCCURRED_AT, PARTNER_ID, Rows};

/// From this product of partners and days on, rows are sorted by comparison instead of into
/// buckets.
const MAX_BUCKETS: usize = 1 << 20;

/// Rows of one stream by the UTC date of `occurred_at`. Days are ascending, and the rows of a day
/// are ordered by (partner_id, occurred_at) and otherwise as they were read.
pub struct DayBatches<'r> {
    inputs: Vec<&'r Rows>,
    /// The rows in their order.
    locations: Vec<RowLocation>,
    days: Vec<(Day, Range<usize>)>,
    /// One dictionary for each interned column.
    dictionaries: Vec<MergedDictionary>,
}

/// The location of a row in the inputs.
#[derive(Debug, Clone, Copy, Default)]
struct RowLocation {
    /// The row's `occurred_at`.
    occurred_at: i64,
    input: u32,
    row: u32,
}

/// The dictionary of a column, merged from the interners of all inputs.
struct MergedDictionary {
    /// By input and its own key, the key in the merged dictionary.
    merged_keys: Vec<Vec<i32>>,
    values: Arc<StringArray>,
}

impl<'r> DayBatches<'r> {
    /// Sorts the rows of several inputs of one stream.
    pub fn new(inputs: Vec<&'r Rows>) -> Self {
        let interners = inputs.first().map_or(0, |rows| rows.interners.len());
        let dictionaries: Vec<MergedDictionary> =
            (0..interners).map(|at| MergedDictionary::merge(&inputs, at)).collect();
        let locations = sorted(&inputs, &dictionaries);
        let mut days = Vec::new();
        let mut start = 0;
        for rows in locations.chunk_by(|a, b| a.day() == b.day()) {
            days.push((rows[0].day(), start..start + rows.len()));
            start += rows.len();
        }
        Self { inputs, locations, days, dictionaries }
    }

    /// Returns each day with the range of its rows.
    pub fn iter(&self) -> impl Iterator<Item = (Day, Range<usize>)> {
        self.days.iter().cloned()
    }

    /// Returns rows of one day with the raw table's columns, without its partition column. Columns
    /// of repeated texts are dictionaries. `ingested_at` is in UTC microseconds.
    ///
    /// # Errors
    /// None that a caller can act on: all columns have the same length by construction.
    pub fn batch(&self, rows: Range<usize>, ingested_at: i64) -> Result<RecordBatch, ArrowError> {
        let locations = &self.locations[rows];
        let Some(first) = self.inputs.first() else {
            return Err(ArrowError::SchemaError("no rows".to_owned()));
        };
        let mut cells = vec![vec![NULL; locations.len()]; first.cell_kinds.len()];
        for (at, location) in locations.iter().enumerate() {
            let row = self.inputs[location.input as usize].row(location.row as usize);
            for (column, cell) in cells.iter_mut().zip(row) {
                column[at] = *cell;
            }
        }
        let mut cells = cells.into_iter().zip(&first.cell_kinds);
        let columns = first.schema.fields().iter().map(|field| {
            if field.name() == INGESTED_AT {
                return numbers(vec![ingested_at; locations.len()], field.data_type());
            }
            match cells.next() {
                Some((cells, CellKind::Text)) => self.texts(&cells, locations),
                Some((cells, CellKind::Interned(of))) => {
                    self.dictionaries[*of].gather(&cells, locations)
                }
                Some((cells, CellKind::Number)) => numbers(cells, field.data_type()),
                None => numbers(Vec::new(), field.data_type()),
            }
        });
        let columns = columns.collect();
        RecordBatch::try_new(Arc::clone(&first.schema), columns)
    }

    fn texts(&self, cells: &[i64], locations: &[RowLocation]) -> ArrayRef {
        let text = |(cell, location): (&i64, &RowLocation)| {
            self.inputs[location.input as usize].text(*cell)
        };
        let all = || cells.iter().zip(locations).map(text);
        let offsets = OffsetBuffer::from_lengths(all().map(<[u8]>::len));
        let mut bytes = Vec::with_capacity(offsets.last().map_or(0, |end| *end as usize));
        all().for_each(|text| bytes.extend_from_slice(text));
        Arc::new(StringArray::new(offsets, bytes.into(), nulls(cells)))
    }
}

impl RowLocation {
    fn day(&self) -> Day {
        Day::of_micros(self.occurred_at)
    }
}

/// Converts cells to an array of a column's type.
fn numbers(cells: Vec<i64>, of: &DataType) -> ArrayRef {
    let nulls = nulls(&cells);
    match of {
        DataType::Boolean => {
            Arc::new(BooleanArray::new(cells.iter().map(|cell| *cell == 1).collect(), nulls))
        }
        // The rule of a 32-bit column has bounds within 32 bits.
        DataType::Int32 => {
            let cells: Vec<i32> = cells.iter().map(|cell| *cell as i32).collect();
            Arc::new(Int32Array::new(cells.into(), nulls))
        }
        DataType::Int64 => Arc::new(Int64Array::new(cells.into(), nulls)),
        _ => Arc::new(TimestampMicrosecondArray::new(cells.into(), nulls).with_timezone("UTC")),
    }
}

fn nulls(cells: &[i64]) -> Option<NullBuffer> {
    let any = cells.iter().fold(false, |any, cell| any | (*cell == NULL));
    any.then(|| cells.iter().map(|cell| *cell != NULL).collect())
}

impl MergedDictionary {
    fn merge(inputs: &[&Rows], at: usize) -> Self {
        let mut known: HashMap<&str, i32, RandomState> = HashMap::default();
        let mut texts: Vec<&str> = Vec::new();
        let merged_keys = inputs.iter().map(|rows| {
            let key = |text| {
                *known.entry(text).or_insert_with(|| {
                    texts.push(text);
                    texts.len() as i32 - 1
                })
            };
            rows.interners[at].texts().map(key).collect()
        });
        let merged_keys = merged_keys.collect();
        Self { merged_keys, values: Arc::new(StringArray::from(texts)) }
    }

    fn gather(&self, cells: &[i64], locations: &[RowLocation]) -> ArrayRef {
        let keys = cells.iter().zip(locations).map(|(cell, location)| {
            // The key under a NULL is ignored.
            let own = usize::try_from(*cell).ok();
            own.map_or(0, |own| self.merged_keys[location.input as usize][own])
        });
        let keys = Int32Array::new(keys.collect::<Vec<_>>().into(), nulls(cells));
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(&self.values) as ArrayRef))
    }

    /// Returns the rank of each value in ascending order.
    fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.values.len() as u32).collect();
        order.sort_unstable_by_key(|at| self.values.value(*at as usize));
        let mut ranks = vec![0; order.len()];
        for (rank, at) in (0..).zip(order) {
            ranks[at as usize] = rank;
        }
        ranks
    }
}

/// Returns all rows in the order of day, partner and time.
fn sorted(inputs: &[&Rows], dictionaries: &[MergedDictionary]) -> Vec<RowLocation> {
    let Some(CellKind::Interned(of)) = inputs.first().map(|rows| rows.cell_kinds[PARTNER_ID])
    else {
        return Vec::new();
    };
    let (partners, ranks) = (&dictionaries[of], dictionaries[of].ranks());
    let mut days: Vec<Day> = Vec::new();
    let mut all: Vec<(u32, RowLocation)> = Vec::with_capacity(inputs.iter().map(|p| p.len()).sum());
    for ((input, rows), numbers) in (0..).zip(inputs).zip(&partners.merged_keys) {
        for (row, cells) in (0..).zip(rows.iter()) {
            let location = RowLocation { occurred_at: cells[OCCURRED_AT], input, row };
            all.push((ranks[numbers[cells[PARTNER_ID] as usize] as usize], location));
            if days.last() != Some(&location.day()) {
                days.push(location.day());
            }
        }
    }
    days.sort_unstable();
    days.dedup();

    let buckets = days.len().saturating_mul(ranks.len());
    if buckets > MAX_BUCKETS.max(all.len()) {
        all.sort_by_key(|(rank, location)| (location.day(), *rank, location.occurred_at));
        return all.into_iter().map(|(_, location)| location).collect();
    }
    let mut last = 0;
    for (bucket, location) in &mut all {
        if days[last] != location.day() {
            last = days.partition_point(|day| *day < location.day());
        }
        *bucket += (last * ranks.len()) as u32;
    }
    bucket_sorted(&all, buckets)
}

/// Sorts the rows into buckets with a counting sort, and then by time within each bucket. Most rows
/// of a partner and day are in order already.
fn bucket_sorted(all: &[(u32, RowLocation)], buckets: usize) -> Vec<RowLocation> {
    let mut starts = vec![0u32; buckets + 1];
    for (bucket, _) in all {
        starts[*bucket as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut locations = vec![RowLocation::default(); all.len()];
    for (bucket, location) in all {
        let at = &mut next[*bucket as usize];
        locations[*at as usize] = *location;
        *at += 1;
    }
    for bounds in starts.windows(2) {
        let rows = &mut locations[bounds[0] as usize..bounds[1] as usize];
        if !rows.is_sorted_by_key(|location| location.occurred_at) {
            rows.sort_by_key(|location| location.occurred_at);
        }
    }
    locations
}
