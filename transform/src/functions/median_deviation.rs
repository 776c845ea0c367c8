//! The aggregate `median_deviation`, for groups and for windows that slide.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, ListArray, ListBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::checked_sum::passes_filter;
use crate::functions::documentation::FunctionDoc;

pub(super) const MEDIAN_DEVIATION: FunctionDoc = FunctionDoc {
    signature: "median_deviation(Float64) → Float64",
    description: "The median of |xᵢ − median x|, an even number's median being the mean of the middle two; 0 for fewer than seven values. Slides over a window",
    unit: "that of the argument",
    source: "MAD, Hampel 1974",
    example: "SELECT median_deviation(x) FROM (VALUES (1), (2), (3), (4), (5), (6), (7)) AS t(x)",
    example_result: "2.0",
};

/// The fewest values that have a median deviation; that of fewer values is 0.
const MIN_VALUES: usize = 7;

pub(super) fn median_deviation() -> AggregateUDF {
    let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
    AggregateUDF::from(MedianDeviationAggregate { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MedianDeviationAggregate {
    signature: Signature,
}

impl AggregateUDFImpl for MedianDeviationAggregate {
    fn name(&self) -> &'static str {
        MEDIAN_DEVIATION.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let item = Field::new_list_field(DataType::Float64, true);
        let name = format_state_name(args.name, "values");
        Ok(vec![Arc::new(Field::new_list(name, item, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(MedianDeviation::default()))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(MedianDeviationGroups::default()))
    }
}

/// The values of a window, sorted, whose median absolute deviation is computed.
#[derive(Debug, Default)]
pub(super) struct MedianDeviation {
    values: Vec<f64>,
}

impl MedianDeviation {
    pub(super) fn insert(&mut self, value: f64) {
        self.values.insert(self.index_of(value), value);
    }

    /// Removes one value, which must be present.
    pub(super) fn remove(&mut self, value: f64) {
        self.values.remove(self.index_of(value));
    }

    pub(super) fn median(&self) -> f64 {
        deviation(&self.values)
    }

    /// Returns the index where a value is or belongs.
    fn index_of(&self, value: f64) -> usize {
        self.values.partition_point(|other| other.total_cmp(&value).is_lt())
    }
}

impl Accumulator for MedianDeviation {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values[0].as_primitive::<Float64Type>().iter().flatten().for_each(|x| self.insert(x));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|list| self.update_batch(&[list]))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values[0].as_primitive::<Float64Type>().iter().flatten().for_each(|x| self.remove(x));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(Some(self.median())))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<_> = self.values.iter().map(|v| ScalarValue::Float64(Some(*v))).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list(&values, &DataType::Float64, true))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }
}

/// The values of all groups of a GROUP BY, in the order in which they come.
#[derive(Debug, Default)]
struct MedianDeviationGroups {
    groups: Vec<Vec<f64>>,
    /// The number of values of all groups.
    len: usize,
}

impl GroupsAccumulator for MedianDeviationGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Vec::new());
        let values = values[0].as_primitive::<Float64Type>();
        for (row, group) in group_indices.iter().enumerate() {
            if values.is_valid(row) && passes_filter(filter, row) {
                self.groups[*group].push(values.value(row));
                self.len += 1;
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Vec::new());
        let lists = states[0].as_list::<i32>();
        let values = lists.values().as_primitive::<Float64Type>().values();
        for (row, group) in group_indices.iter().enumerate().filter(|(row, _)| lists.is_valid(*row))
        {
            let ends = lists.value_offsets();
            let of_group = &values[ends[row] as usize..ends[row + 1] as usize];
            self.groups[*group].extend_from_slice(of_group);
            self.len += of_group.len();
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut groups = emit_to.take_needed(&mut self.groups);
        let deviations: Float64Array = groups
            .iter_mut()
            .map(|values| {
                values.sort_unstable_by(f64::total_cmp);
                Some(deviation(values))
            })
            .collect();
        self.len -= groups.iter().map(Vec::len).sum::<usize>();
        Ok(Arc::new(deviations))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = emit_to.take_needed(&mut self.groups);
        self.len -= groups.iter().map(Vec::len).sum::<usize>();
        Ok(vec![Arc::new(lists(groups.iter().map(Vec::as_slice)))])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<Float64Type>();
        let row = |row: usize| match values.is_valid(row) && passes_filter(filter, row) {
            true => &values.values()[row..=row],
            false => &[],
        };
        Ok(vec![Arc::new(lists((0..values.len()).map(row)))])
    }

    fn size(&self) -> usize {
        // A vector has room for up to twice its values.
        self.groups.capacity() * size_of::<Vec<f64>>() + 2 * self.len * size_of::<f64>()
    }
}

/// Returns a column of lists.
fn lists<'a>(rows: impl Iterator<Item = &'a [f64]>) -> ListArray {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for row in rows {
        lists.values().append_slice(row);
        lists.append(true);
    }
    lists.finish()
}

/// Returns the median absolute deviation of sorted values. The distances from the median ascend
/// to both sides, so merging both sides gives them sorted.
fn deviation(x: &[f64]) -> f64 {
    if x.len() < MIN_VALUES {
        return 0.0;
    }
    let middle = median(x.len(), x.iter().copied());
    let (below, above) = x.split_at(x.partition_point(|x| x.total_cmp(&middle).is_lt()));
    let mut below = below.iter().rev().map(|x| middle - x).peekable();
    let mut above = above.iter().map(|x| x - middle).peekable();
    let ascending = std::iter::from_fn(|| match (below.peek(), above.peek()) {
        (Some(a), Some(b)) if a.total_cmp(b).is_le() => below.next(),
        (Some(_), None) => below.next(),
        _ => above.next(),
    });
    median(x.len(), ascending)
}

/// Returns the median of `count` sorted values, of which there is at least one.
fn median(count: usize, mut ascending: impl Iterator<Item = f64>) -> f64 {
    let lower = ascending.nth((count - 1) / 2).unwrap_or(f64::NAN);
    if count % 2 == 1 { lower } else { (lower + ascending.next().unwrap_or(f64::NAN)) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::deviation;
    use crate::functions::test_queries::check;

    #[test]
    fn deviations_are_robust() {
        // Median 4; distances 3 2 1 0 1 2 96: median 2.
        assert_eq!(deviation(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]), 2.0);
        // Even: median (4 + 5)/2 = 4.5; distances .5 .5 1.5 1.5 2.5 2.5 3.5 3.5: median 2.
        assert_eq!(deviation(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), 2.0);
        assert_eq!(deviation(&[1.0, 2.0, 3.0, 4.0, 5.0, 60.0]), 0.0);
        assert_eq!(deviation(&[]), 0.0);
    }

    #[tokio::test]
    async fn deviations_slide() {
        // Day 8 sees days 1–7, day 9 sees 2–7 (six, for 8 is NULL), day 10 none but 8's NULL and 9.
        check(
            "SELECT d, m FROM (
               SELECT d, median_deviation(x) OVER (ORDER BY d RANGE BETWEEN 7 PRECEDING AND 1 PRECEDING) AS m
               FROM (VALUES (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0), (6, 6.0), (7, 100.0),
                            (8, NULL), (9, 9.0), (16, 1.0)) AS v(d, x)) AS w
             WHERE d >= 7 ORDER BY d",
            &["7,0.0", "8,2.0", "9,0.0", "16,0.0"],
        )
        .await;
    }

    #[tokio::test]
    async fn groups_have_the_deviation_of_their_own_values() {
        // 40,000 groups of eight rows, of which FILTER and NULL take one each from the even ones:
        // 1 to 6 are fewer than seven, 1 to 8 deviate by 2.
        check(
            "SELECT g % 2 AS odd, min(m) AS least, max(m) AS most, count(*) AS groups FROM (
               SELECT g, median_deviation(CASE WHEN g % 2 = 1 OR x < 8 THEN x END)
                        FILTER (WHERE g % 2 = 1 OR x <> 7) AS m
               FROM (SELECT v.value % 40000 AS g, CAST(v.value / 40000 + 1 AS DOUBLE) AS x
                     FROM generate_series(0, 319999) AS v) AS rows
               GROUP BY g) AS of_groups
             GROUP BY g % 2 ORDER BY odd",
            &["0,0.0,0.0,20000", "1,2.0,2.0,20000"],
        )
        .await;
    }
}
