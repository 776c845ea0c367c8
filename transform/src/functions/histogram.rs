//! The latency histogram: its buckets, its Arrow type and the function `histogram_percentile`.
//!
//! Buckets are logarithmic with 64 steps per doubling, as in HdrHistogram (Tene,
//! <https://hdrhistogram.org>): a value v in µs falls into bucket 0 for v = 0, else into bucket
//! 64k + (v >> k) with k = max(0, ⌊log₂ v⌋ − 6). The width of a bucket is at most 1/64 of its lower
//! end, so its middle is within 1/128 of every value in it. Histograms are merged by adding their
//! counts, so the percentile of a month is computed from the histograms of its days.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, ListArray, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Float64Type, Int32Type, Int64Type,
};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ScalarUDF, Signature, Volatility};

use super::histogram_counts::Histogram;
use super::scalar::scalar;
use crate::functions::documentation::FunctionDoc;

pub(super) const HISTOGRAM_PERCENTILE: FunctionDoc = FunctionDoc {
    signature: "histogram_percentile(buckets, p) → Float64",
    description: "The nearest-rank percentile: the middle of the bucket that holds the ⌈p·n⌉-th smallest value, within 1/128 of it; NULL for an empty histogram; 0 < p ≤ 1, to six decimals. Also called percentile_from_histogram",
    unit: "µs",
    source: "buckets as in HdrHistogram (Tene)",
    example: "SELECT histogram_percentile(latency_histogram(x), 0.5) FROM (VALUES (10), (20), (30)) AS t(x)",
    example_result: "20.0",
};

pub(super) fn histogram_percentile() -> ScalarUDF {
    let percentile = scalar(
        HISTOGRAM_PERCENTILE.name(),
        Signature::any(2, Volatility::Immutable),
        DataType::Float64,
        |args| {
            let histograms = histograms_of(&args[0])?;
            let p = cast(&args[1], &DataType::Float64)?;
            let p = p.as_primitive::<Float64Type>();
            let answers =
                (0..histograms.len()).map(|row| percentile(&histograms[row], p.value(row)));
            Ok(Arc::new(answers.collect::<Float64Array>()))
        },
    );
    percentile.with_aliases(["percentile_from_histogram"])
}

/// Returns the Arrow type of a histogram: a list of (bucket, count) in the order of the buckets,
/// without empty buckets.
pub(super) fn histogram_type() -> DataType {
    DataType::List(list_item())
}

fn list_item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(bucket_fields()), true))
}

fn bucket_fields() -> Fields {
    Fields::from(vec![
        Field::new("bucket", DataType::Int32, true),
        Field::new("count", DataType::Int64, true),
    ])
}

/// Returns the bucket of `v` µs.
pub(super) fn bucket_of(v: u64) -> i32 {
    let k = v.checked_ilog2().unwrap_or(0).saturating_sub(6);
    // At most 64·57 + 127.
    i32::try_from(64 * u64::from(k) + (v >> k)).unwrap_or(i32::MAX)
}

/// Returns the middle of the whole numbers that share a bucket, in µs.
fn middle_of(bucket: i32) -> f64 {
    let k = (bucket / 64 - 1).max(0);
    let first = f64::from(bucket - 64 * k) * 2f64.powi(k);
    first + (2f64.powi(k) - 1.0) / 2.0
}

fn percentile(histogram: &Histogram, p: f64) -> Option<f64> {
    let total: i64 = histogram.iter().map(|(_, count)| count).sum();
    // Whole millionths are used because 0.07·100 as a float is above 7, and its ceiling is 8.
    let millionths = (p * 1e6).round() as i128;
    let mut seen = 0;
    for (bucket, count) in histogram.iter() {
        seen += count;
        if i128::from(seen) * 1_000_000 >= millionths * i128::from(total) {
            return Some(middle_of(bucket));
        }
    }
    None
}

/// A column of histograms as Arrow lists of (bucket, count). NULL is the empty histogram.
pub(super) struct HistogramColumn<'a> {
    list: &'a ListArray,
    buckets: &'a Int32Array,
    counts: &'a Int64Array,
}

impl<'a> HistogramColumn<'a> {
    pub(super) fn of(array: &'a ArrayRef) -> Result<Self> {
        let wrong = || {
            plan_err!(
                "a histogram is a list of (bucket Int32, count Int64), not {}",
                array.data_type()
            )
        };
        let Some(list) = array.as_list_opt::<i32>() else { return wrong() };
        let Some(pairs) = list.values().as_struct_opt() else { return wrong() };
        match (pairs.columns().first(), pairs.columns().get(1)) {
            (Some(b), Some(c)) => {
                match (b.as_primitive_opt::<Int32Type>(), c.as_primitive_opt::<Int64Type>()) {
                    (Some(buckets), Some(counts)) => Ok(Self { list, buckets, counts }),
                    _ => wrong(),
                }
            }
            _ => wrong(),
        }
    }

    pub(super) fn add_row(&self, row: usize, to: &mut Histogram) -> Result<()> {
        if self.list.is_null(row) {
            return Ok(());
        }
        let offsets = self.list.value_offsets();
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        to.add_all(&self.buckets.values()[range.clone()], &self.counts.values()[range])
    }
}

fn histograms_of(array: &ArrayRef) -> Result<Vec<Histogram>> {
    if array.data_type().is_null() {
        return Ok(vec![Histogram::default(); array.len()]);
    }
    let lists = HistogramColumn::of(array)?;
    let row = |row| {
        let mut histogram = Histogram::default();
        lists.add_row(row, &mut histogram).map(|()| histogram)
    };
    (0..array.len()).map(row).collect()
}

pub(super) fn to_array(histograms: &[Histogram]) -> ListArray {
    let lengths: Vec<usize> = histograms.iter().map(|h| h.iter().count()).collect();
    let pairs = lengths.iter().sum();
    let (mut buckets, mut counts) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
    for (bucket, count) in histograms.iter().flat_map(Histogram::iter) {
        buckets.push(bucket);
        counts.push(count);
    }
    let (buckets, counts) = (Int32Array::from(buckets), Int64Array::from(counts));
    let structs =
        StructArray::new(bucket_fields(), vec![Arc::new(buckets), Arc::new(counts)], None);
    let offsets = OffsetBuffer::from_lengths(lengths);
    ListArray::new(list_item(), offsets, Arc::new(structs), None)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket_of, middle_of, percentile};

    #[test]
    fn buckets_follow_the_formula() {
        // v, ⌊log₂ v⌋, k, 64k + (v >> k), the values that share it and their middle:
        for (v, bucket, middle) in [
            (0, 0, 0.0),
            (1, 1, 1.0),
            (64, 64, 64.0),
            (127, 127, 127.0),
            (128, 128, 128.5),             // k = 1: 64 + 64; 128..129
            (129, 128, 128.5),             // the same
            (255, 191, 254.5),             // k = 1: 64 + 127; 254..255
            (256, 192, 257.5),             // k = 2: 128 + 64; 256..259
            (1_000, 317, 1_003.5),         // ⌊log₂⌋ 9, k = 3: 192 + 125; 1000..1007
            (1_000_000, 954, 1_003_519.5), // ⌊log₂⌋ 19, k = 13: 832 + 122; 999424..1007615
        ] {
            assert_eq!(bucket_of(v), bucket, "{v}");
            assert_eq!(middle_of(bucket), middle, "{v}");
        }
        assert_eq!(bucket_of(u64::MAX), 64 * 57 + 127);
    }

    #[test]
    fn the_middle_is_within_a_128th() {
        for v in (0..2_000_000u64).step_by(7).chain([u64::from(u32::MAX), 1 << 40]) {
            let error = (middle_of(bucket_of(v)) - v as f64).abs();
            assert!(error <= v as f64 / 128.0, "{v}");
        }
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let ones = |to: i32| Histogram::Sparse((1..=to).map(|v| (v, 1)).collect());
        let ten = ones(10);
        for (p, expected) in [(0.5, 5.0), (0.51, 6.0), (0.9, 9.0), (0.95, 10.0), (1.0, 10.0)] {
            assert_eq!(percentile(&ten, p), Some(expected), "{p}");
        }
        assert_eq!(percentile(&ones(100), 0.07), Some(7.0));
        assert_eq!(percentile(&Histogram::Sparse(vec![(3, 1)]), 0.01), Some(3.0));
        assert_eq!(percentile(&Histogram::default(), 0.5), None);
    }
}
