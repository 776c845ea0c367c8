//! The latency histogram: `latency_histogram`, `merge_histograms` and `histogram_percentile`.
//!
//! Buckets are logarithmic with 64 steps to a doubling, as in HdrHistogram (Tene): for v µs,
//! 0 → 0, else k = max(0, ⌊log₂ v⌋ − 6) and bucket = 64k + (v >> k). A bucket is at most 1/64 of
//! its lower end wide, so its middle is within 1/128 of every value in it. Histograms merge by
//! adding counts, which is why a percentile of a month can be had from days.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray,
    StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Float64Type, Int32Type, Int64Type,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ScalarUDF, Signature,
    Volatility,
};

use super::checked_sum::passes;
use super::scalar::scalar;

/// `latency_histogram(us)`: the histogram of whole microseconds; NULLs are left out, a negative
/// value is an error.
pub(super) fn latency_histogram() -> AggregateUDF {
    histogram_aggregate("latency_histogram", Input::Values)
}

/// `merge_histograms(buckets)`: the histogram of all that its inputs hold.
pub(super) fn merge_histograms() -> AggregateUDF {
    histogram_aggregate("merge_histograms", Input::Buckets)
}

/// `histogram_percentile(buckets, p)`: the nearest-rank percentile, that is the middle, in µs, of
/// the bucket that holds the ⌈p·n⌉-th smallest value; NULL for an empty histogram. 0 < p ≤ 1, to
/// six decimals.
pub(super) fn histogram_percentile() -> ScalarUDF {
    scalar(
        "histogram_percentile",
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
    )
}

/// The Arrow type of a histogram: a list of (bucket, count), by bucket, without empty ones.
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

/// The bucket of `v` µs.
fn bucket_of(v: u64) -> i32 {
    let k = v.checked_ilog2().unwrap_or(0).saturating_sub(6);
    // At most 64·57 + 127.
    i32::try_from(64 * u64::from(k) + (v >> k)).unwrap_or(i32::MAX)
}

/// The middle of the whole numbers that share a bucket, in µs.
fn middle_of(bucket: i32) -> f64 {
    let k = (bucket / 64 - 1).max(0);
    let first = f64::from(bucket - 64 * k) * 2f64.powi(k);
    first + (2f64.powi(k) - 1.0) / 2.0
}

fn percentile(histogram: &Histogram, p: f64) -> Option<f64> {
    let total: i64 = histogram.iter().map(|(_, count)| count).sum();
    // In millionths: as floats 0.07·100 is above 7, and its ceiling 8.
    let millionths = (p * 1e6).round() as i128;
    let mut seen = 0;
    for (bucket, count) in histogram {
        seen += count;
        if i128::from(seen) * 1_000_000 >= millionths * i128::from(total) {
            return Some(middle_of(*bucket));
        }
    }
    None
}

/// (bucket, count) by bucket.
type Histogram = Vec<(i32, i64)>;

fn add(histogram: &mut Histogram, bucket: i32, count: i64) -> Result<()> {
    match histogram.binary_search_by_key(&bucket, |(b, _)| *b) {
        Ok(at) => match histogram[at].1.checked_add(count) {
            Some(sum) => histogram[at].1 = sum,
            None => return exec_err!("a histogram's count does not fit 64 bits"),
        },
        Err(at) => histogram.insert(at, (bucket, count)),
    }
    Ok(())
}

/// Lists of (bucket, count) as they come from a table; NULL is the empty histogram.
struct Lists<'a> {
    list: &'a ListArray,
    buckets: &'a Int32Array,
    counts: &'a Int64Array,
}

impl<'a> Lists<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
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

    fn add_row(&self, row: usize, to: &mut Histogram) -> Result<()> {
        if self.list.is_null(row) {
            return Ok(());
        }
        let offsets = self.list.value_offsets();
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        range.into_iter().try_for_each(|i| add(to, self.buckets.value(i), self.counts.value(i)))
    }
}

fn histograms_of(array: &ArrayRef) -> Result<Vec<Histogram>> {
    if array.data_type().is_null() {
        return Ok(vec![Histogram::new(); array.len()]);
    }
    let lists = Lists::of(array)?;
    let row = |row| {
        let mut histogram = Histogram::new();
        lists.add_row(row, &mut histogram).map(|()| histogram)
    };
    (0..array.len()).map(row).collect()
}

fn to_array(histograms: &[Histogram]) -> ListArray {
    let pairs = || histograms.iter().flatten();
    let buckets = pairs().map(|(bucket, _)| *bucket).collect::<Int32Array>();
    let counts = pairs().map(|(_, count)| *count).collect::<Int64Array>();
    let structs =
        StructArray::new(bucket_fields(), vec![Arc::new(buckets), Arc::new(counts)], None);
    let offsets = OffsetBuffer::from_lengths(histograms.iter().map(Vec::len));
    ListArray::new(list_item(), offsets, Arc::new(structs), None)
}

/// What an aggregate's argument holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Input {
    Values,
    Buckets,
}

impl Input {
    /// Adds the rows that `group_of` names a histogram for.
    fn add(
        self,
        values: &ArrayRef,
        histograms: &mut [Histogram],
        group_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<()> {
        let rows = (0..values.len()).filter_map(|row| Some((row, group_of(row)?)));
        match self {
            Self::Buckets => {
                let lists = Lists::of(values)?;
                for (row, group) in rows {
                    lists.add_row(row, &mut histograms[group])?;
                }
            }
            Self::Values => {
                let values = values.as_primitive::<Int64Type>();
                for (row, group) in rows.filter(|(row, _)| values.is_valid(*row)) {
                    let Ok(v) = u64::try_from(values.value(row)) else {
                        return exec_err!("a latency of {} µs is below 0", values.value(row));
                    };
                    add(&mut histograms[group], bucket_of(v), 1)?;
                }
            }
        }
        Ok(())
    }
}

fn histogram_aggregate(name: &'static str, input: Input) -> AggregateUDF {
    let signature = match input {
        Input::Values => Signature::exact(vec![DataType::Int64], Volatility::Immutable),
        Input::Buckets => Signature::any(1, Volatility::Immutable),
    };
    AggregateUDF::from(HistogramAggregate { name, input, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HistogramAggregate {
    name: &'static str,
    input: Input,
    signature: Signature,
}

impl AggregateUDFImpl for HistogramAggregate {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(histogram_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "buckets");
        Ok(vec![Arc::new(Field::new(name, histogram_type(), true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { input: self.input, histogram: Histogram::new() }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Grouped { input: self.input, histograms: Vec::new() }))
    }
}

/// The histogram of a whole table or window.
#[derive(Debug)]
struct One {
    input: Input,
    histogram: Histogram,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.input.add(&values[0], std::slice::from_mut(&mut self.histogram), |_| Some(0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        Input::Buckets.add(&states[0], std::slice::from_mut(&mut self.histogram), |_| Some(0))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let list = to_array(std::slice::from_ref(&self.histogram));
        Ok(ScalarValue::List(Arc::new(list)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.histogram.capacity() * size_of::<(i32, i64)>()
    }
}

/// A histogram for each group of a GROUP BY.
struct Grouped {
    input: Input,
    histograms: Vec<Histogram>,
}

impl GroupsAccumulator for Grouped {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.histograms.resize(total_num_groups, Histogram::new());
        self.input.add(&values[0], &mut self.histograms, |row| {
            passes(filter, row).then(|| group_indices[row])
        })
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.histograms.resize(total_num_groups, Histogram::new());
        Input::Buckets.add(&values[0], &mut self.histograms, |row| Some(group_indices[row]))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(to_array(&emit_to.take_needed(&mut self.histograms))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut histograms = vec![Histogram::new(); values[0].len()];
        self.input.add(&values[0], &mut histograms, |row| passes(filter, row).then_some(row))?;
        Ok(vec![Arc::new(to_array(&histograms))])
    }

    fn size(&self) -> usize {
        let one = |h: &Histogram| size_of::<Histogram>() + h.capacity() * size_of::<(i32, i64)>();
        self.histograms.iter().map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use super::{bucket_of, middle_of, percentile};

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
        let ten: Vec<_> = (1..=10).map(|v| (v, 1)).collect();
        for (p, expected) in [(0.5, 5.0), (0.51, 6.0), (0.9, 9.0), (0.95, 10.0), (1.0, 10.0)] {
            assert_eq!(percentile(&ten, p), Some(expected), "{p}");
        }
        let hundred: Vec<_> = (1..=100).map(|v| (v, 1)).collect();
        assert_eq!(percentile(&hundred, 0.07), Some(7.0));
        assert_eq!(percentile(&vec![(3, 1)], 0.01), Some(3.0));
        assert_eq!(percentile(&Vec::new(), 0.5), None);
    }

    #[tokio::test]
    async fn histograms_are_built_and_merged_in_sql() {
        check(
            "SELECT g, latency_histogram(v) FILTER (WHERE v < 1000) AS h
             FROM (VALUES ('a', 128), ('a', 129), ('a', 5), ('a', 1000), ('b', NULL)) AS t(g, v)
             GROUP BY g ORDER BY g",
            &["a,[{bucket: 5, count: 1}, {bucket: 128, count: 2}]", "b,[]"],
        )
        .await;
        check(
            "SELECT histogram_percentile(h, 0.5) AS p50, histogram_percentile(h, 0.99) AS p99,
                    histogram_percentile(NULL, 0.5) AS none
             FROM (SELECT merge_histograms(h) AS h
                   FROM (SELECT g, latency_histogram(v) AS h
                         FROM (VALUES (1, 10), (1, 20), (2, 20), (2, 30), (3, NULL)) AS t(g, v)
                         GROUP BY g) AS by_group) AS merged",
            &["20.0,30.0,"],
        )
        .await;
        check(
            "SELECT histogram_percentile(latency_histogram(v), 0.5) AS p FROM (VALUES (1)) AS t(v) WHERE v > 1",
            &[""],
        )
        .await;
    }

    #[tokio::test]
    async fn wrong_input_is_named() {
        check_error("SELECT latency_histogram(v) FROM (VALUES (-1)) AS t(v)", "-1 µs is below 0")
            .await;
        check_error("SELECT merge_histograms(v) FROM (VALUES (1)) AS t(v)", "not Int64").await;
    }
}
