//! Rows by the day they are filed under, sorted the way the raw tables are, as Arrow.

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
use foldhash::fast::RandomState;
use lake_types::Day;

use super::rows::{INGESTED_AT, Kind, NULL, OCCURRED_AT, PARTNER_ID, Rows};

/// Partners times days, from which on rows are compared instead of dealt out.
const MOST_BUCKETS: usize = 1 << 20;

/// Rows of one stream by the UTC date of `occurred_at`, days ascending, each day's rows ordered by
/// (partner_id, occurred_at) and else as they came.
pub struct Days<'r> {
    parts: Vec<&'r Rows>,
    /// The rows in their order.
    places: Vec<Place>,
    days: Vec<(Day, Range<usize>)>,
    /// By what the rows call their words.
    joined: Vec<Joined>,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Its `occurred_at`.
    time: i64,
    part: u32,
    row: u32,
}

/// The words of all parts under one numbering.
struct Joined {
    /// By part and its own number.
    numbers: Vec<Vec<i32>>,
    texts: Arc<StringArray>,
}

impl<'r> Days<'r> {
    /// The rows of parts of one stream.
    pub fn new(parts: Vec<&'r Rows>) -> Self {
        let words = parts.first().map_or(0, |rows| rows.words.len());
        let joined: Vec<Joined> = (0..words).map(|at| Joined::of(&parts, at)).collect();
        let places = sorted(&parts, &joined);
        let mut days = Vec::new();
        let mut start = 0;
        for rows in places.chunk_by(|a, b| a.day() == b.day()) {
            days.push((rows[0].day(), start..start + rows.len()));
            start += rows.len();
        }
        Self { parts, places, days, joined }
    }

    /// Each day with the range of its rows.
    pub fn iter(&self) -> impl Iterator<Item = (Day, Range<usize>)> {
        self.days.iter().cloned()
    }

    /// Rows of one day with the raw table's columns but for its partition column; texts that come
    /// again are dictionaries. `ingested_at` is in UTC microseconds.
    ///
    /// # Errors
    /// None that a caller could act on: the columns are as long as each other by construction.
    pub fn batch(&self, rows: Range<usize>, ingested_at: i64) -> Result<RecordBatch, ArrowError> {
        let places = &self.places[rows];
        let Some(first) = self.parts.first() else {
            return Err(ArrowError::SchemaError("no rows".to_owned()));
        };
        let mut cells = vec![vec![NULL; places.len()]; first.kinds.len()];
        for (at, place) in places.iter().enumerate() {
            let row = self.parts[place.part as usize].row(place.row as usize);
            for (column, cell) in cells.iter_mut().zip(row) {
                column[at] = *cell;
            }
        }
        let mut cells = cells.into_iter().zip(&first.kinds);
        let columns = first.schema.fields().iter().map(|field| {
            if field.name() == INGESTED_AT {
                return numbers(vec![ingested_at; places.len()], field.data_type());
            }
            match cells.next() {
                Some((cells, Kind::Text)) => self.texts(&cells, places),
                Some((cells, Kind::Word(of))) => self.joined[*of].gather(&cells, places),
                Some((cells, Kind::Number)) => numbers(cells, field.data_type()),
                None => numbers(Vec::new(), field.data_type()),
            }
        });
        let columns = columns.collect();
        RecordBatch::try_new(Arc::clone(&first.schema), columns)
    }

    fn texts(&self, cells: &[i64], places: &[Place]) -> ArrayRef {
        let text = |(cell, place): (&i64, &Place)| self.parts[place.part as usize].text(*cell);
        let all = || cells.iter().zip(places).map(text);
        let offsets = OffsetBuffer::from_lengths(all().map(<[u8]>::len));
        let mut bytes = Vec::with_capacity(offsets.last().map_or(0, |end| *end as usize));
        all().for_each(|text| bytes.extend_from_slice(text));
        Arc::new(StringArray::new(offsets, bytes.into(), nulls(cells)))
    }
}

impl Place {
    fn day(&self) -> Day {
        Day::of_micros(self.time)
    }
}

/// Numbers in a column's type.
fn numbers(cells: Vec<i64>, of: &DataType) -> ArrayRef {
    let nulls = nulls(&cells);
    match of {
        DataType::Boolean => {
            Arc::new(BooleanArray::new(cells.iter().map(|cell| *cell == 1).collect(), nulls))
        }
        // A 32-bit column's rule has bounds within 32 bits.
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

impl Joined {
    fn of(parts: &[&Rows], at: usize) -> Self {
        let mut known: HashMap<&str, i32, RandomState> = HashMap::default();
        let mut texts: Vec<&str> = Vec::new();
        let numbers = parts.iter().map(|rows| {
            let number = |text| {
                *known.entry(text).or_insert_with(|| {
                    texts.push(text);
                    texts.len() as i32 - 1
                })
            };
            rows.words[at].texts().map(number).collect()
        });
        let numbers = numbers.collect();
        Self { numbers, texts: Arc::new(StringArray::from(texts)) }
    }

    fn gather(&self, cells: &[i64], places: &[Place]) -> ArrayRef {
        let keys = cells.iter().zip(places).map(|(cell, place)| {
            // What stands under a NULL is of no interest.
            let own = usize::try_from(*cell).ok();
            own.map_or(0, |own| self.numbers[place.part as usize][own])
        });
        let keys = Int32Array::new(keys.collect::<Vec<_>>().into(), nulls(cells));
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(&self.texts) as ArrayRef))
    }

    /// The place of each text in order.
    fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.texts.len() as u32).collect();
        order.sort_unstable_by_key(|at| self.texts.value(*at as usize));
        let mut ranks = vec![0; order.len()];
        for (rank, at) in (0..).zip(order) {
            ranks[at as usize] = rank;
        }
        ranks
    }
}

/// All rows in order of day, partner and time.
fn sorted(parts: &[&Rows], joined: &[Joined]) -> Vec<Place> {
    let Some(Kind::Word(of)) = parts.first().map(|rows| rows.kinds[PARTNER_ID]) else {
        return Vec::new();
    };
    let (partners, ranks) = (&joined[of], joined[of].ranks());
    let mut days: Vec<Day> = Vec::new();
    let mut all: Vec<(u32, Place)> = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
    for ((part, rows), numbers) in (0..).zip(parts).zip(&partners.numbers) {
        for (row, cells) in (0..).zip(rows.iter()) {
            let place = Place { time: cells[OCCURRED_AT], part, row };
            all.push((ranks[numbers[cells[PARTNER_ID] as usize] as usize], place));
            if days.last() != Some(&place.day()) {
                days.push(place.day());
            }
        }
    }
    days.sort_unstable();
    days.dedup();

    let buckets = days.len().saturating_mul(ranks.len());
    if buckets > MOST_BUCKETS.max(all.len()) {
        all.sort_by_key(|(rank, place)| (place.day(), *rank, place.time));
        return all.into_iter().map(|(_, place)| place).collect();
    }
    let mut last = 0;
    for (bucket, place) in &mut all {
        if days[last] != place.day() {
            last = days.partition_point(|day| *day < place.day());
        }
        *bucket += (last * ranks.len()) as u32;
    }
    dealt(&all, buckets)
}

/// The rows dealt out to their buckets as they came, and put in order of time within each: what a
/// partner sends in a day comes in order but for a few.
fn dealt(all: &[(u32, Place)], buckets: usize) -> Vec<Place> {
    let mut starts = vec![0u32; buckets + 1];
    for (bucket, _) in all {
        starts[*bucket as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut places = vec![Place::default(); all.len()];
    for (bucket, place) in all {
        let at = &mut next[*bucket as usize];
        places[*at as usize] = *place;
        *at += 1;
    }
    for bounds in starts.windows(2) {
        let rows = &mut places[bounds[0] as usize..bounds[1] as usize];
        if !rows.is_sorted_by_key(|place| place.time) {
            rows.sort_by_key(|place| place.time);
        }
    }
    places
}
