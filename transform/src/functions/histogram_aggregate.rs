//! The aggregates `latency_histogram` and `merge_histograms`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::checked_sum::passes_filter;
use super::histogram::{HistogramColumn, bucket_of, histogram_type, to_array};
use super::histogram_counts::Histogram;
use crate::functions::documentation::FunctionDoc;

pub(super) const LATENCY_HISTOGRAM: FunctionDoc = FunctionDoc {
    signature: "latency_histogram(us: Int64) → List(bucket Int32, count Int64)",
    description: "How many values fall into each bucket, none empty: v → 0 for 0, else 64k + (v >> k) with k = max(0, ⌊log₂ v⌋ − 6); NULLs are left out, a negative value is an error",
    unit: "values",
    source: "buckets as in HdrHistogram (Tene)",
    example: "SELECT latency_histogram(x) FROM (VALUES (7), (128), (129)) AS t(x)",
    example_result: "[{bucket: 7, count: 1}, {bucket: 128, count: 2}]",
};

pub(super) const MERGE_HISTOGRAMS: FunctionDoc = FunctionDoc {
    signature: "merge_histograms(buckets) → List(bucket Int32, count Int64)",
    description: "The histogram of all that its inputs hold, so that days add up to months",
    unit: "values",
    source: "",
    example: "SELECT merge_histograms(h) FROM (SELECT latency_histogram(x) AS h FROM (VALUES (7), (128)) AS t(x) GROUP BY x) AS days",
    example_result: "[{bucket: 7, count: 1}, {bucket: 128, count: 1}]",
};

pub(super) fn latency_histogram() -> AggregateUDF {
    histogram_aggregate(LATENCY_HISTOGRAM.name(), HistogramInput::Values)
}

pub(super) fn merge_histograms() -> AggregateUDF {
    histogram_aggregate(MERGE_HISTOGRAMS.name(), HistogramInput::Buckets)
}

/// What the argument of an aggregate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum HistogramInput {
    Values,
    Buckets,
}

impl HistogramInput {
    /// Adds each row to the histogram whose index `group_of` returns; rows with `None` are skipped.
    fn add(
        self,
        values: &ArrayRef,
        histograms: &mut [Histogram],
        group_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<()> {
        let rows = (0..values.len()).filter_map(|row| Some((row, group_of(row)?)));
        match self {
            Self::Buckets => {
                let lists = HistogramColumn::of(values)?;
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
                    histograms[group].add(bucket_of(v), 1)?;
                }
            }
        }
        Ok(())
    }
}

fn histogram_aggregate(name: &'static str, input: HistogramInput) -> AggregateUDF {
    let signature = match input {
        HistogramInput::Values => Signature::exact(vec![DataType::Int64], Volatility::Immutable),
        HistogramInput::Buckets => Signature::any(1, Volatility::Immutable),
    };
    AggregateUDF::from(HistogramAggregate { name, input, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HistogramAggregate {
    name: &'static str,
    input: HistogramInput,
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
        Ok(Box::new(HistogramAccumulator { input: self.input, histogram: Histogram::default() }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(HistogramGroupsAccumulator { input: self.input, histograms: Vec::new() }))
    }
}

/// The histogram of one group or of one window.
#[derive(Debug)]
struct HistogramAccumulator {
    input: HistogramInput,
    histogram: Histogram,
}

impl Accumulator for HistogramAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.input.add(&values[0], std::slice::from_mut(&mut self.histogram), |_| Some(0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        HistogramInput::Buckets
            .add(&states[0], std::slice::from_mut(&mut self.histogram), |_| Some(0))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let list = to_array(std::slice::from_ref(&self.histogram));
        Ok(ScalarValue::List(Arc::new(list)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.histogram.heap_bytes()
    }
}

/// The histograms of all groups of a GROUP BY.
struct HistogramGroupsAccumulator {
    input: HistogramInput,
    histograms: Vec<Histogram>,
}

impl GroupsAccumulator for HistogramGroupsAccumulator {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.histograms.resize(total_num_groups, Histogram::default());
        self.input.add(&values[0], &mut self.histograms, |row| {
            passes_filter(filter, row).then(|| group_indices[row])
        })
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.histograms.resize(total_num_groups, Histogram::default());
        HistogramInput::Buckets
            .add(&values[0], &mut self.histograms, |row| Some(group_indices[row]))
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
        let mut histograms = vec![Histogram::default(); values[0].len()];
        self.input
            .add(&values[0], &mut histograms, |row| passes_filter(filter, row).then_some(row))?;
        Ok(vec![Arc::new(to_array(&histograms))])
    }

    fn size(&self) -> usize {
        self.histograms.iter().map(|h| size_of::<Histogram>() + h.heap_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::test_queries::{check, check_error};

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
    async fn wrong_input_is_an_error() {
        check_error("SELECT latency_histogram(v) FROM (VALUES (-1)) AS t(v)", "-1 µs is below 0")
            .await;
        check_error("SELECT merge_histograms(v) FROM (VALUES (1)) AS t(v)", "not Int64").await;
    }
}
