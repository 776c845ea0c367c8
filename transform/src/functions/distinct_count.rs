//! DataFusion's `count`, with one hash table for the distinct values of all groups.
//!
//! For texts, dates and instants, DataFusion's `count(DISTINCT …)` keeps a table for each group,
//! which takes 32 KiB before it holds a value: the products of 20,000 partners took 780 MB. Here a
//! pair of group and value is one entry, as it is in a GROUP BY of both. Integers have such a table
//! in DataFusion already.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, UInt64Array,
};
use datafusion::arrow::buffer::{BooleanBuffer, OffsetBuffer};
use datafusion::arrow::compute::{filter, not, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, UInt64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::functions_aggregate::count::Count;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator,
    ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use crate::functions::checked_sum::passes_filter;

/// The most values that are looked for at once.
const INSERTED_AT_ONCE: usize = 8192;

/// Returns `count`, to be registered in place of DataFusion's.
pub(super) fn count() -> AggregateUDF {
    AggregateUDF::from(DistinctCount { inner: Count::new() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DistinctCount {
    inner: Count,
}

/// Returns whether the distinct values of an aggregate are kept in one table for all groups.
fn has_one_table(args: &AccumulatorArgs) -> bool {
    let is_one_column = args.exprs.len() == 1;
    let of_type = |field: &FieldRef| {
        let data_type = field.data_type();
        data_type.is_string() || data_type.is_temporal() || *data_type == DataType::Boolean
    };
    args.is_distinct && is_one_column && args.expr_fields.iter().all(of_type)
}

impl AggregateUDFImpl for DistinctCount {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        has_one_table(&args) || self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        if !has_one_table(&args) {
            return self.inner.create_groups_accumulator(args);
        }
        let values = args.expr_fields[0].data_type();
        Ok(Box::new(DistinctCountGroupsAccumulator::new(values)?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }
}

/// The distinct values of all groups of a GROUP BY.
struct DistinctCountGroupsAccumulator {
    /// The pairs of a group and one of its values.
    pairs: Box<dyn GroupValues>,
    value_field: FieldRef,
    groups: usize,
    /// The numbers of the pairs of a batch, which nobody reads.
    scratch: Vec<usize>,
}

impl DistinctCountGroupsAccumulator {
    fn new(values: &DataType) -> Result<Self> {
        let group = Field::new("group", DataType::UInt64, false);
        let pair = Schema::new(vec![group, Field::new("value", values.clone(), false)]);
        Ok(Self {
            pairs: new_group_values(Arc::new(pair), &GroupOrdering::None)?,
            value_field: Arc::new(Field::new_list_field(values.clone(), true)),
            groups: 0,
            scratch: Vec::new(),
        })
    }

    fn insert(&mut self, groups: &UInt64Array, values: &dyn Array) -> Result<()> {
        // The states of a batch of groups may hold millions of values, and each takes room while it is
        // looked for.
        for start in (0..groups.len()).step_by(INSERTED_AT_ONCE) {
            let length = INSERTED_AT_ONCE.min(groups.len() - start);
            let columns = [Arc::new(groups.slice(start, length)) as _, values.slice(start, length)];
            self.pairs.intern(&columns, &mut self.scratch)?;
        }
        Ok(())
    }

    /// Takes the pairs of the first groups out, in any order. The groups after them move down.
    fn take_pairs(&mut self, emit_to: EmitTo) -> Result<Pairs> {
        let groups = std::mem::take(&mut self.groups);
        let mut columns = self.pairs.emit(EmitTo::All)?;
        // The table still has the numbers of the pairs that were taken out.
        self.pairs.clear_shrink(0);
        let (Some(values), Some(of)) = (columns.pop(), columns.pop()) else {
            return internal_err!("pairs have two columns");
        };
        let of = of.as_primitive::<UInt64Type>().clone();
        let EmitTo::First(taken) = emit_to else { return Ok(Pairs { groups, of, values }) };
        self.groups = groups - taken;
        let is_taken: BooleanArray =
            of.values().iter().map(|group| Some(*group < taken as u64)).collect();
        let stays = not(&is_taken)?;
        let staying = filter(&of, &stays)?;
        let staying = staying.as_primitive::<UInt64Type>().unary(|group| group - taken as u64);
        self.insert(&staying, &filter(&values, &stays)?)?;
        let of = filter(&of, &is_taken)?.as_primitive::<UInt64Type>().clone();
        Ok(Pairs { groups: taken, of, values: filter(&values, &is_taken)? })
    }

    /// Returns one list for each group.
    fn lists(&self, lengths: Vec<usize>, values: ArrayRef) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::from_lengths(lengths);
        let field = Arc::clone(&self.value_field);
        Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
    }
}

/// Groups and their distinct values.
struct Pairs {
    groups: usize,
    /// The group of each value.
    of: UInt64Array,
    values: ArrayRef,
}

impl Pairs {
    /// Returns how many values each group has.
    fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.groups];
        for group in self.of.values() {
            lengths[*group as usize] += 1;
        }
        lengths
    }

    /// Returns the values, those of each group together, in the order of the groups.
    fn values_by_group(&self, lengths: &[usize]) -> Result<ArrayRef> {
        let mut starts = vec![0; self.groups];
        let mut next = 0;
        for (start, length) in starts.iter_mut().zip(lengths) {
            *start = next;
            next += length;
        }
        let mut order = vec![0_u64; self.of.len()];
        for (row, group) in self.of.values().iter().enumerate() {
            let place = &mut starts[*group as usize];
            order[*place] = row as u64;
            *place += 1;
        }
        Ok(take(&self.values, &UInt64Array::from(order), None)?)
    }
}

/// Returns which values are counted; `None` when all are.
fn counted(values: &dyn Array, passes: Option<&BooleanArray>) -> Option<BooleanArray> {
    if values.null_count() == 0 && passes.is_none() {
        return None;
    }
    let is_counted = |row| values.is_valid(row) && passes_filter(passes, row);
    Some(BooleanArray::new(BooleanBuffer::collect_bool(values.len(), is_counted), None))
}

impl GroupsAccumulator for DistinctCountGroupsAccumulator {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        let groups = UInt64Array::from_iter_values(group_indices.iter().map(|g| *g as u64));
        let Some(counted) = counted(&values[0], opt_filter) else {
            return self.insert(&groups, &values[0]);
        };
        let groups = filter(&groups, &counted)?;
        self.insert(groups.as_primitive::<UInt64Type>(), &filter(&values[0], &counted)?)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        let lists = values[0].as_list::<i32>();
        let of_each = group_indices.iter().zip(lists.offsets().lengths());
        let groups: Vec<usize> =
            of_each.flat_map(|(group, length)| std::iter::repeat_n(*group, length)).collect();
        let first = lists.value_offsets()[0] as usize;
        let values = lists.values().slice(first, groups.len());
        self.update_batch(&[values], &groups, None, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let lengths = self.take_pairs(emit_to)?.lengths();
        Ok(Arc::new(Int64Array::from_iter_values(lengths.into_iter().map(|n| n as i64))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let pairs = self.take_pairs(emit_to)?;
        let lengths = pairs.lengths();
        let values = pairs.values_by_group(&lengths)?;
        Ok(vec![self.lists(lengths, values)?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let Some(counted) = counted(&values[0], opt_filter) else {
            return Ok(vec![self.lists(vec![1; values[0].len()], Arc::clone(&values[0]))?]);
        };
        let lengths = counted.values().iter().map(usize::from).collect();
        Ok(vec![self.lists(lengths, filter(&values[0], &counted)?)?])
    }

    fn size(&self) -> usize {
        self.pairs.size() + self.scratch.capacity() * size_of::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{RecordBatch, StringArray, StringViewArray};
    use datafusion::arrow::compute::{cast, concat_batches};
    use datafusion::arrow::datatypes::{Int64Type, TimeUnit};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::functions::test_queries::check;

    const VALUES: &str = "(VALUES ('a', 'x', 1), ('b', NULL, 1), ('a', 'y', 2), ('a', 'x', 3),
        ('c', 'a text that is longer than a view', 1), ('a', NULL, 1), ('c', 'x', -1),
        ('c', 'a text that is longer than a view', 2)) AS v(g, t, n)";

    #[tokio::test]
    async fn values_are_counted_once_a_group() {
        check(
            &format!(
                "SELECT g, count(DISTINCT t), count(t), count(*), count(DISTINCT n),
                     count(DISTINCT t) FILTER (WHERE n > 0), count(DISTINCT t = 'x')
                 FROM {VALUES} GROUP BY g ORDER BY g"
            ),
            &["a,2,3,4,3,2,2", "b,0,0,1,1,0,0", "c,2,3,3,3,1,2"],
        )
        .await;
    }

    #[tokio::test]
    async fn ordered_groups_are_counted_as_they_end() {
        check(
            &format!(
                "SELECT g, n, count(DISTINCT t), count(DISTINCT upper(t)), max(t)
                 FROM (SELECT * FROM {VALUES} ORDER BY g, n) GROUP BY g, n ORDER BY g, n"
            ),
            &[
                "a,1,1,1,x",
                "a,2,1,1,y",
                "a,3,1,1,x",
                "b,1,0,0,",
                "c,-1,1,1,x",
                "c,1,1,1,a text that is longer than a view",
                "c,2,1,1,a text that is longer than a view",
            ],
        )
        .await;
    }

    /// Returns the rows of a query over pseudo-random rows, by threads and with either function.
    async fn counts(values: &ArrayRef, query: &str, threads: usize, ours: bool) -> RecordBatch {
        let config = SessionConfig::new().with_target_partitions(threads).with_batch_size(100);
        let context = SessionContext::new_with_config(config);
        if ours {
            context.register_udaf(count());
        }
        let rows = values.len() as u64;
        let group = |n: u64| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 23;
        let groups: ArrayRef = Arc::new(UInt64Array::from_iter_values((0..rows).map(group)));
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("g", groups, false),
            ("x", Arc::clone(values), true),
        ]);
        let batch = batch.expect("two columns");
        context.register_batch("rows", batch).expect("registered");
        let rows = context.sql(query).await.expect("a plan").collect().await.expect("rows");
        let schema = rows[0].schema();
        concat_batches(&schema, &rows).expect("a batch")
    }

    #[tokio::test]
    async fn counts_as_datafusion_does() {
        let texts: StringArray = (0..5_000_u64)
            .map(|n| (n % 7 != 0).then(|| format!("text {}", n.wrapping_mul(0x2545_F491) % 331)))
            .collect();
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter(
            (0..5_000_i64).map(|n| (n % 11 != 0).then_some(n * 7_919 % 401)),
        ));
        let texts: ArrayRef = Arc::new(texts);
        let cast = |from: &ArrayRef, to: &DataType| cast(from, to).expect("a cast");
        let mut columns =
            vec![cast(&texts, &DataType::Utf8View), cast(&texts, &DataType::LargeUtf8)];
        columns.push(texts);
        columns.push(cast(&cast(&numbers, &DataType::Int32), &DataType::Date32));
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        columns.push(cast(&numbers, &utc));
        columns.push(cast(&numbers, &DataType::Boolean));
        columns.push(Arc::new(StringViewArray::new_null(10)));
        let queries = [
            "SELECT g, count(DISTINCT x) AS n, min(x) AS least FROM rows GROUP BY g ORDER BY g",
            "SELECT g, n, count(DISTINCT x) AS d, count(x) AS c \
             FROM (SELECT g, x, 1 AS n FROM rows ORDER BY g) GROUP BY g, n ORDER BY g",
            "SELECT count(DISTINCT x) AS n, count(DISTINCT g) AS groups FROM rows",
        ];
        for column in &columns {
            for query in queries {
                let expected = counts(column, query, 1, false).await;
                for threads in [1, 3] {
                    let counted = counts(column, query, threads, true).await;
                    assert_eq!(counted, expected, "{query} on {}", column.data_type());
                }
            }
        }
    }

    #[test]
    fn first_groups_are_taken_out_and_the_others_stay() {
        let mut counts = DistinctCountGroupsAccumulator::new(&DataType::Utf8).expect("texts");
        let values: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "x", "x", "z"]));
        counts.update_batch(&[values], &[0, 1, 1, 3, 3], None, 5).expect("counted");
        let taken = counts.state(EmitTo::First(2)).expect("their state");
        assert_eq!(taken[0].as_list::<i32>().offsets().lengths().collect::<Vec<_>>(), [1, 2]);
        let more: ArrayRef = Arc::new(StringArray::from(vec!["z", "w"]));
        counts.update_batch(&[more], &[1, 1], None, 3).expect("counted");
        counts.merge_batch(&taken, &[0, 2], 3).expect("merged");
        let all = counts.evaluate(EmitTo::All).expect("counts");
        assert_eq!(all.as_primitive::<Int64Type>().values(), &[1, 3, 2]);
        assert!(counts.pairs.is_empty() && counts.groups == 0);
    }

    #[test]
    fn a_row_is_converted_to_a_state_of_its_own() {
        let counts = DistinctCountGroupsAccumulator::new(&DataType::Utf8).expect("texts");
        let values: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("y")]));
        let passes = BooleanArray::from(vec![Some(true), Some(true), None]);
        let lengths = |states: Vec<ArrayRef>| {
            states[0].as_list::<i32>().offsets().lengths().collect::<Vec<_>>()
        };
        let all = counts.convert_to_state(&[Arc::clone(&values)], None).expect("states");
        assert_eq!(lengths(all), [1, 0, 1]);
        let some = counts.convert_to_state(&[values], Some(&passes)).expect("states");
        assert_eq!(lengths(some), [1, 0, 0]);
    }
}
