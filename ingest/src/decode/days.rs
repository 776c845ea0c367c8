//! Gathered rows by the day they are filed under, sorted the way the raw tables are.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Int32Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use foldhash::fast::RandomState;
use lake_types::Day;

/// Partners times days, from which on rows are compared instead of dealt out.
const MOST_BUCKETS: usize = 1 << 20;

/// Splits rows of one stream by the UTC date of `occurred_at`, days ascending, each day's rows
/// ordered by (partner_id, occurred_at) and else as they came. Dictionaries stay such.
///
/// # Errors
/// When the batches are of different streams.
pub fn by_day(batches: &[RecordBatch]) -> Result<Vec<(Day, RecordBatch)>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let schema = first.schema();
    let (order, days) = {
        let partners = joined(&column(batches, schema.index_of("partner_id")?));
        let times = concat(&column(batches, schema.index_of("occurred_at")?))?;
        sorted(&partners, times.as_primitive::<TimestampMicrosecondType>().values())
    };
    // A column after the other: what one has needed the next may use again.
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let parts = column(batches, at);
        match field.data_type() {
            DataType::Dictionary(..) => take(&joined(&parts), &order, None),
            _ => take(&concat(&parts)?, &order, None),
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    let sorted = RecordBatch::try_new(schema, columns)?;
    let mut start = 0;
    let days = days.into_iter().map(|(day, rows)| {
        let batch = sorted.slice(start, rows);
        start += rows;
        (day, batch)
    });
    Ok(days.collect())
}

fn column(batches: &[RecordBatch], at: usize) -> Vec<&dyn Array> {
    batches.iter().map(|batch| batch.column(at).as_ref()).collect()
}

/// Dictionary columns one after the other, under one dictionary of distinct texts.
fn joined(parts: &[&dyn Array]) -> DictionaryArray<Int32Type> {
    let mut numbers: HashMap<&str, i32, RandomState> = HashMap::default();
    let mut texts: Vec<&str> = Vec::new();
    let mut keys: Vec<i32> = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    let mut present: Vec<bool> = Vec::new();
    let nulls = parts.iter().any(|part| part.null_count() > 0);
    for part in parts {
        let part = part.as_dictionary::<Int32Type>();
        let values = part.values().as_string::<i32>();
        let number_of: Vec<i32> = (0..values.len())
            .map(|at| {
                let text = values.value(at);
                *numbers.entry(text).or_insert_with(|| {
                    texts.push(text);
                    texts.len() as i32 - 1
                })
            })
            .collect();
        // What stands under a NULL is no key.
        let key = |at: &i32| usize::try_from(*at).ok().and_then(|at| number_of.get(at));
        keys.extend(part.keys().values().iter().map(|at| key(at).copied().unwrap_or(0)));
        if nulls {
            present.extend((0..part.len()).map(|row| part.is_valid(row)));
        }
    }
    let keys = Int32Array::new(keys.into(), nulls.then(|| NullBuffer::from(present)));
    DictionaryArray::new(keys, Arc::new(StringArray::from(texts)))
}

/// The rows in order of day, partner and time, and how many are of each day.
fn sorted(
    partners: &DictionaryArray<Int32Type>,
    times: &[i64],
) -> (UInt32Array, Vec<(Day, usize)>) {
    let ranks = ranks(partners.values().as_string::<i32>());
    let day = |row: u32| Day::of_micros(times[row as usize]);
    let rank = |row: u32| ranks[partners.keys().value(row as usize) as usize];
    let mut days: Vec<Day> = times.iter().map(|at| Day::of_micros(*at)).collect();
    days.dedup();
    days.sort_unstable();
    days.dedup();

    let rows = 0..times.len() as u32;
    let order = if days.len().saturating_mul(ranks.len()) <= MOST_BUCKETS.max(times.len()) {
        let mut last = 0;
        let buckets = rows.map(|row| {
            if days[last] != day(row) {
                last = days.partition_point(|d| *d < day(row));
            }
            last * ranks.len() + rank(row) as usize
        });
        dealt(&buckets.collect::<Vec<_>>(), days.len() * ranks.len(), times)
    } else {
        let mut order: Vec<u32> = rows.collect();
        order.sort_by_key(|row| (day(*row), rank(*row), times[*row as usize]));
        order
    };
    let counts = order.chunk_by(|a, b| day(*a) == day(*b)).map(|rows| (day(rows[0]), rows.len()));
    let counts = counts.collect();
    (UInt32Array::from(order), counts)
}

/// The rows dealt out to their buckets as they came, and put in order of time within each: what a
/// partner sends in a day comes in order but for a few.
fn dealt(buckets: &[usize], count: usize, times: &[i64]) -> Vec<u32> {
    let mut starts = vec![0; count + 1];
    for bucket in buckets {
        starts[bucket + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut order = vec![0; buckets.len()];
    for (row, bucket) in (0u32..).zip(buckets) {
        order[next[*bucket]] = row;
        next[*bucket] += 1;
    }
    for bounds in starts.windows(2) {
        let rows = &mut order[bounds[0]..bounds[1]];
        if !rows.is_sorted_by_key(|row| times[*row as usize]) {
            rows.sort_by_key(|row| times[*row as usize]);
        }
    }
    order
}

/// The place of each text in order.
fn ranks(texts: &StringArray) -> Vec<u32> {
    let mut order: Vec<u32> = (0..texts.len() as u32).collect();
    order.sort_unstable_by_key(|at| texts.value(*at as usize));
    let mut ranks = vec![0; order.len()];
    for (rank, at) in (0..).zip(order) {
        ranks[at as usize] = rank;
    }
    ranks
}
