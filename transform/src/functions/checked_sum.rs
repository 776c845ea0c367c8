//! `checked_sum`: an exact sum of integers or decimals that fails on overflow.
//!
//! DataFusion's own SUM wraps around on overflow, for integers and for decimals, and a wrapped
//! total of money looks like any other number. The result is Decimal(38, scale of the input). The
//! sum of no rows is 0, as it is in every metric.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use crate::functions::documentation::FunctionDoc;

/// The most digits that a 128-bit Arrow decimal holds.
const PRECISION: u8 = 38;
/// The smallest value that has more than 38 digits.
const OVERFLOW: i128 = 10i128.pow(38);

pub(super) const CHECKED_SUM: FunctionDoc = FunctionDoc {
    signature: "checked_sum(integer or decimal) → Decimal(38, scale of the argument)",
    description: "The exact sum, 0 over nothing; an error where it does not fit 38 digits, where DataFusion's SUM wraps around",
    unit: "that of the argument",
    source: "",
    example: "SELECT checked_sum(x) FROM (VALUES (1), (2), (NULL)) AS t(x)",
    example_result: "3",
};

pub(super) fn checked_sum() -> AggregateUDF {
    AggregateUDF::from(CheckedSum { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    signature: Signature,
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &'static str {
        CHECKED_SUM.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [of] = types else {
            return plan_err!("checked_sum takes one argument, not {}", types.len());
        };
        let scale = match of {
            DataType::Decimal32(_, s) | DataType::Decimal64(_, s) | DataType::Decimal128(_, s) => {
                *s
            }
            t if t.is_integer() || t.is_null() => 0,
            other => {
                return plan_err!("checked_sum sums integers and decimals, not {other}; cast it");
            }
        };
        Ok(vec![DataType::Decimal128(PRECISION, scale)])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        ScalarValue::new_zero(data_type)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "sum");
        Ok(vec![Arc::new(Field::new(name, args.return_field.data_type().clone(), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("checked_sum has no DISTINCT");
        }
        Ok(Box::new(CheckedSumAccumulator { total: 0, scale: scale_of(&args)? }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(CheckedSumGroupsAccumulator { totals: Vec::new(), scale: scale_of(&args)? }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.accumulator(args)
    }
}

fn scale_of(args: &AccumulatorArgs) -> Result<i8> {
    match args.return_field.data_type() {
        DataType::Decimal128(_, scale) => Ok(*scale),
        other => plan_err!("checked_sum was planned to return {other}"),
    }
}

fn add(total: i128, value: i128) -> Result<i128> {
    match total.checked_add(value) {
        Some(sum) => Ok(sum),
        None => overflow(),
    }
}

fn overflow<T>() -> Result<T> {
    exec_err!(
        "a sum does not fit {PRECISION} digits: look for an amount or a rate that is far too large"
    )
}

fn within_precision(total: i128) -> Result<i128> {
    if total.unsigned_abs() >= OVERFLOW.unsigned_abs() { overflow() } else { Ok(total) }
}

/// The sum of one group or of one window.
#[derive(Debug)]
struct CheckedSumAccumulator {
    total: i128,
    scale: i8,
}

impl Accumulator for CheckedSumAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.total = add(self.total, value)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.total = add(self.total, -value)?;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = within_precision(self.total)?;
        Ok(ScalarValue::Decimal128(Some(total), PRECISION, self.scale))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// The sums of all groups of a GROUP BY.
struct CheckedSumGroupsAccumulator {
    totals: Vec<i128>,
    scale: i8,
}

impl GroupsAccumulator for CheckedSumGroupsAccumulator {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.totals.resize(total_num_groups, 0);
        let values = values[0].as_primitive::<Decimal128Type>();
        for (row, &group) in group_indices.iter().enumerate() {
            if values.is_valid(row) && passes_filter(filter, row) {
                self.totals[group] = add(self.totals[group], values.value(row))?;
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let totals = emit_to.take_needed(&mut self.totals);
        let checked = totals.into_iter().map(within_precision).collect::<Result<Vec<_>>>()?;
        let array =
            Decimal128Array::from(checked).with_precision_and_scale(PRECISION, self.scale)?;
        Ok(Arc::new(array))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<Decimal128Type>();
        let kept = (0..values.len())
            .map(|row| {
                (values.is_valid(row) && passes_filter(filter, row)).then(|| values.value(row))
            })
            .collect::<Decimal128Array>();
        Ok(vec![Arc::new(kept.with_precision_and_scale(PRECISION, self.scale)?)])
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<i128>()
    }
}

/// Returns whether a row passes_filter an aggregate's FILTER clause.
pub(super) fn passes_filter(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|f| f.is_valid(row) && f.value(row))
}

#[cfg(test)]
mod tests {
    use crate::functions::test_queries::{check, check_error};

    #[tokio::test]
    async fn sums_are_exact() {
        check(
            "SELECT checked_sum(x) AS s, arrow_typeof(checked_sum(x)) AS t
             FROM (VALUES (9223372036854775807), (9223372036854775807), (NULL)) AS v(x)",
            &["18446744073709551614,Decimal128(38, 0)"],
        )
        .await;
        check(
            "SELECT g, checked_sum(CAST(x AS DECIMAL(38,12))) FILTER (WHERE x > 0) AS s
             FROM (VALUES ('a', 0.10), ('a', 0.20), ('a', -5), ('b', -1)) AS v(g, x)
             GROUP BY g ORDER BY g",
            &["a,0.300000000000", "b,0.000000000000"],
        )
        .await;
    }

    #[tokio::test]
    async fn nothing_sums_to_zero() {
        check("SELECT checked_sum(x) AS s FROM (VALUES (1)) AS v(x) WHERE x > 1", &["0"]).await;
        check("SELECT checked_sum(x) AS s FROM (VALUES (CAST(NULL AS BIGINT))) AS v(x)", &["0"])
            .await;
    }

    #[tokio::test]
    async fn windows_slide() {
        check(
            "SELECT d, checked_sum(x) OVER (ORDER BY d RANGE BETWEEN 2 PRECEDING AND 1 PRECEDING) AS s
             FROM (VALUES (1, 10), (2, 20), (3, 30), (5, 50)) AS v(d, x) ORDER BY d",
            &["1,0", "2,10", "3,30", "5,30"],
        )
        .await;
    }

    #[tokio::test]
    async fn overflow_is_an_error() {
        let large = "99999999999999999999999999.999999999999";
        let grouped = "GROUP BY g";
        for tail in ["", grouped] {
            check_error(
                &format!(
                    "SELECT checked_sum(CAST(x AS DECIMAL(38,12))) AS s
                     FROM (VALUES ('a', '{large}'), ('a', '0.000000000001')) AS v(g, x) {tail}"
                ),
                "does not fit 38 digits",
            )
            .await;
        }
        check_error("SELECT checked_sum(x) FROM (VALUES (1.5e0)) AS v(x)", "cast it").await;
    }
}
