//! The window functions `trailing_sum` and `trailing_deviation` over the days before a row's day.
//!
//! The frame is that of `RANGE BETWEEN INTERVAL '84 days' PRECEDING AND INTERVAL '1 day'
//! PRECEDING`. DataFusion finds the ends of such a frame by comparing boxed values for each row;
//! here two indices move along the sorted dates, which is several times as fast.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::expressions::Literal;

use super::median_deviation::MedianDeviation;
use crate::functions::documentation::FunctionDoc;

pub(super) const TRAILING_SUM: FunctionDoc = FunctionDoc {
    signature: "trailing_sum(x: Int64, day: Date, days) OVER (… ORDER BY day) → Int64",
    description: "The sum of x over the rows of the 1 to so many days before the row's own, however many days lack one; 0 where there are none. The same as a sum over RANGE BETWEEN INTERVAL 'n days' PRECEDING AND INTERVAL '1 day' PRECEDING, several times as fast. One that does not fit 64 bits is an error",
    unit: "that of x",
    source: "",
    example: "SELECT last_value(s ORDER BY d) FROM (SELECT d, trailing_sum(x, d, 7) OVER (ORDER BY d) AS s FROM (VALUES (DATE '2026-01-01', 1), (DATE '2026-01-02', 2), (DATE '2026-01-05', 3), (DATE '2026-01-09', 4)) AS v(d, x)) AS sums",
    example_result: "5",
};

pub(super) const TRAILING_DEVIATION: FunctionDoc = FunctionDoc {
    signature: "trailing_deviation(x: Float64, day: Date, days) OVER (… ORDER BY day) → Float64",
    description: "The median_deviation of x over the rows of the 1 to so many days before the row's own: 0 for fewer than seven values",
    unit: "that of x",
    source: "MAD, Hampel 1974",
    example: "SELECT last_value(s ORDER BY d) FROM (SELECT d, trailing_deviation(x, d, 84) OVER (ORDER BY d) AS s FROM (SELECT DATE '2026-01-01' + CAST(value AS INT) AS d, value AS x FROM generate_series(1, 8)) AS v) AS deviations",
    example_result: "2.0",
};

pub(super) fn trailing_sum() -> WindowUDF {
    trailing(TRAILING_SUM.name(), TrailingValue::Sum)
}

pub(super) fn trailing_deviation() -> WindowUDF {
    trailing(TRAILING_DEVIATION.name(), TrailingValue::Deviation)
}

/// The value that is computed over a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum TrailingValue {
    Sum,
    Deviation,
}

impl TrailingValue {
    fn value_type(self) -> DataType {
        match self {
            Self::Sum => DataType::Int64,
            Self::Deviation => DataType::Float64,
        }
    }
}

fn trailing(name: &'static str, kind: TrailingValue) -> WindowUDF {
    let arguments = vec![kind.value_type(), DataType::Date32, DataType::Int64];
    let signature = Signature::exact(arguments, Volatility::Immutable);
    WindowUDF::from(TrailingWindow { name, kind, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TrailingWindow {
    name: &'static str,
    kind: TrailingValue,
    signature: Signature,
}

impl WindowUDFImpl for TrailingWindow {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let days = args.input_exprs().get(2).and_then(|days| days.downcast_ref::<Literal>());
        let days = match days.map(Literal::value) {
            Some(ScalarValue::Int64(Some(days))) => i32::try_from(*days).ok().filter(|d| *d > 0),
            _ => None,
        };
        let Some(days) = days else {
            return plan_err!("{}: give how many days as a whole number above 0", self.name);
        };
        Ok(Box::new(TrailingEvaluator { name: self.name, kind: self.kind, days }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), self.kind.value_type(), false)))
    }
}

/// Evaluates one partition of a window.
#[derive(Debug)]
struct TrailingEvaluator {
    name: &'static str,
    kind: TrailingValue,
    days: i32,
}

impl PartitionEvaluator for TrailingEvaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let dates = values[1].as_primitive::<Date32Type>();
        if dates.null_count() > 0 || !dates.values().is_sorted() {
            return exec_err!(
                "{0}: write {0}(…) OVER (… ORDER BY day), no day being NULL",
                self.name
            );
        }
        let dates = dates.values();
        Ok(match self.kind {
            TrailingValue::Sum => {
                let window = SlidingSum { values: values[0].as_primitive::<Int64Type>(), sum: 0 };
                Arc::new(Int64Array::from(slide(dates, self.days, window)?))
            }
            TrailingValue::Deviation => {
                let values = values[0].as_primitive::<Float64Type>();
                let window = SlidingDeviation { values, window: MedianDeviation::default() };
                Arc::new(Float64Array::from(slide(dates, self.days, window)?))
            }
        })
    }
}

/// A value over a frame that rows enter and leave.
trait SlidingValue {
    type Value;

    fn enter(&mut self, row: usize) -> Result<()>;
    fn leave(&mut self, row: usize) -> Result<()>;
    fn value(&self) -> Self::Value;
}

/// Returns the value of each row; `dates` are sorted.
fn slide<S: SlidingValue>(dates: &[i32], days: i32, mut window: S) -> Result<Vec<S::Value>> {
    let (mut from, mut to) = (0, 0);
    let mut answers = Vec::with_capacity(dates.len());
    for date in dates {
        while dates[to] < *date {
            window.enter(to)?;
            to += 1;
        }
        while dates[from] < date.saturating_sub(days) {
            window.leave(from)?;
            from += 1;
        }
        answers.push(window.value());
    }
    Ok(answers)
}

struct SlidingSum<'a> {
    values: &'a Int64Array,
    sum: i64,
}

impl SlidingSum<'_> {
    fn change(&mut self, row: usize, change: impl Fn(i64, i64) -> Option<i64>) -> Result<()> {
        let value = if self.values.is_null(row) { 0 } else { self.values.value(row) };
        match change(self.sum, value) {
            Some(sum) => self.sum = sum,
            None => return exec_err!("a trailing sum does not fit 64 bits"),
        }
        Ok(())
    }
}

impl SlidingValue for SlidingSum<'_> {
    type Value = i64;

    fn enter(&mut self, row: usize) -> Result<()> {
        self.change(row, i64::checked_add)
    }

    fn leave(&mut self, row: usize) -> Result<()> {
        self.change(row, i64::checked_sub)
    }

    fn value(&self) -> i64 {
        self.sum
    }
}

struct SlidingDeviation<'a> {
    values: &'a Float64Array,
    window: MedianDeviation,
}

impl SlidingValue for SlidingDeviation<'_> {
    type Value = f64;

    fn enter(&mut self, row: usize) -> Result<()> {
        if self.values.is_valid(row) {
            self.window.insert(self.values.value(row));
        }
        Ok(())
    }

    fn leave(&mut self, row: usize) -> Result<()> {
        if self.values.is_valid(row) {
            self.window.remove(self.values.value(row));
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.window.median()
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::test_queries::{check, check_error};

    /// Rows of (p, day, x, f): some days occur twice, some not at all, and some values are NULL.
    const ROWS: &str = "(SELECT i % 3 AS p, DATE '2026-01-01' + CAST(i * i % 997 / 3 AS INT) AS day, x, \
         CAST(x AS DOUBLE) / 7 AS f \
         FROM (SELECT value AS i, CASE WHEN value % 11 > 0 THEN value * 7919 % 1009 - 400 END AS x \
               FROM generate_series(1, 700)) AS v)";

    #[tokio::test]
    async fn equal_to_a_range_frame() {
        for days in [1, 7, 84] {
            let own = "OVER (PARTITION BY p ORDER BY day)";
            let range = format!(
                "OVER (PARTITION BY p ORDER BY day \
                 RANGE BETWEEN INTERVAL '{days} days' PRECEDING AND INTERVAL '1 day' PRECEDING)"
            );
            let sql = format!(
                "SELECT count(*) AS rows, count(*) FILTER (WHERE s <> es OR d <> ed) AS different, \
                   count(DISTINCT s) > 100 AS varied \
                 FROM (SELECT trailing_sum(x, day, {days}) {own} AS s, coalesce(sum(x) {range}, 0) AS es, \
                         trailing_deviation(f, day, {days}) {own} AS d, \
                         coalesce(median_deviation(f) {range}, 0) AS ed FROM {ROWS}) AS both"
            );
            check(&sql, &["700,0,true"]).await;
        }
    }

    #[tokio::test]
    async fn wrong_use_is_an_error() {
        let sum = |call: &str| format!("SELECT {call} FROM {ROWS}");
        check_error(&sum("trailing_sum(x, day, 7) OVER ()"), "ORDER BY day").await;
        check_error(&sum("trailing_sum(x, day, 7)"), "trailing_sum").await;
        check_error(&sum("trailing_sum(x, day, 7) OVER (ORDER BY day DESC)"), "ORDER BY day").await;
        check_error(&sum("trailing_sum(x, day, 0) OVER (ORDER BY day)"), "above 0").await;
        check_error(&sum("trailing_sum(x, day, x) OVER (ORDER BY day)"), "above 0").await;
        let large = "trailing_sum(9223372036854775807, day, 84) OVER (PARTITION BY p ORDER BY day)";
        check_error(&sum(large), "64 bits").await;
    }
}
