//! What the days before a row's hold: `trailing_sum` and `trailing_deviation`.
//!
//! SQL's own words for it, `RANGE BETWEEN INTERVAL '84 days' PRECEDING AND INTERVAL '1 day'
//! PRECEDING`, find the ends of each row's frame by comparing boxed values; here two indices move
//! along the dates.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::expressions::Literal;

use super::document::Function;
use super::trend::Deviation;

pub(super) const TRAILING_SUM: Function = Function {
    signature: "trailing_sum(x: Int64, day: Date, days) OVER (… ORDER BY day) → Int64",
    does: "The sum of x over the rows of the 1 to so many days before the row's own, however many days lack one; 0 where there are none. The same as a sum over RANGE BETWEEN INTERVAL 'n days' PRECEDING AND INTERVAL '1 day' PRECEDING, several times as fast. One that does not fit 64 bits is an error",
    unit: "that of x",
    source: "",
    example: "SELECT last_value(s ORDER BY d) FROM (SELECT d, trailing_sum(x, d, 7) OVER (ORDER BY d) AS s FROM (VALUES (DATE '2026-01-01', 1), (DATE '2026-01-02', 2), (DATE '2026-01-05', 3), (DATE '2026-01-09', 4)) AS v(d, x)) AS sums",
    gives: "5",
};

pub(super) const TRAILING_DEVIATION: Function = Function {
    signature: "trailing_deviation(x: Float64, day: Date, days) OVER (… ORDER BY day) → Float64",
    does: "The median_deviation of x over the rows of the 1 to so many days before the row's own: 0 for fewer than seven values",
    unit: "that of x",
    source: "MAD, Hampel 1974",
    example: "SELECT last_value(s ORDER BY d) FROM (SELECT d, trailing_deviation(x, d, 84) OVER (ORDER BY d) AS s FROM (SELECT DATE '2026-01-01' + CAST(value AS INT) AS d, value AS x FROM generate_series(1, 8)) AS v) AS deviations",
    gives: "2.0",
};

pub(super) fn trailing_sum() -> WindowUDF {
    trailing(TRAILING_SUM.name(), Kind::Sum)
}

pub(super) fn trailing_deviation() -> WindowUDF {
    trailing(TRAILING_DEVIATION.name(), Kind::Deviation)
}

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Deviation,
}

impl Kind {
    fn value_type(self) -> DataType {
        match self {
            Self::Sum => DataType::Int64,
            Self::Deviation => DataType::Float64,
        }
    }
}

fn trailing(name: &'static str, kind: Kind) -> WindowUDF {
    let arguments = vec![kind.value_type(), DataType::Date32, DataType::Int64];
    let signature = Signature::exact(arguments, Volatility::Immutable);
    WindowUDF::from(Trailing { name, kind, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Trailing {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

impl WindowUDFImpl for Trailing {
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
        Ok(Box::new(Frames { name: self.name, kind: self.kind, days }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), self.kind.value_type(), false)))
    }
}

/// One partition of a window.
#[derive(Debug)]
struct Frames {
    name: &'static str,
    kind: Kind,
    days: i32,
}

impl PartitionEvaluator for Frames {
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
            Kind::Sum => {
                let inside = Sums { values: values[0].as_primitive::<Int64Type>(), sum: 0 };
                Arc::new(Int64Array::from(slide(dates, self.days, inside)?))
            }
            Kind::Deviation => {
                let values = values[0].as_primitive::<Float64Type>();
                let inside = Deviations { values, inside: Deviation::default() };
                Arc::new(Float64Array::from(slide(dates, self.days, inside)?))
            }
        })
    }
}

/// What rows that come and go add up to.
trait Sliding {
    type Out;

    fn enter(&mut self, row: usize) -> Result<()>;
    fn leave(&mut self, row: usize) -> Result<()>;
    fn out(&self) -> Self::Out;
}

/// The answer of each row, for dates that ascend.
fn slide<S: Sliding>(dates: &[i32], days: i32, mut inside: S) -> Result<Vec<S::Out>> {
    let (mut from, mut to) = (0, 0);
    let mut answers = Vec::with_capacity(dates.len());
    for date in dates {
        while dates[to] < *date {
            inside.enter(to)?;
            to += 1;
        }
        while dates[from] < date.saturating_sub(days) {
            inside.leave(from)?;
            from += 1;
        }
        answers.push(inside.out());
    }
    Ok(answers)
}

struct Sums<'a> {
    values: &'a Int64Array,
    sum: i64,
}

impl Sums<'_> {
    fn change(&mut self, row: usize, change: impl Fn(i64, i64) -> Option<i64>) -> Result<()> {
        let value = if self.values.is_null(row) { 0 } else { self.values.value(row) };
        match change(self.sum, value) {
            Some(sum) => self.sum = sum,
            None => return exec_err!("a trailing sum does not fit 64 bits"),
        }
        Ok(())
    }
}

impl Sliding for Sums<'_> {
    type Out = i64;

    fn enter(&mut self, row: usize) -> Result<()> {
        self.change(row, i64::checked_add)
    }

    fn leave(&mut self, row: usize) -> Result<()> {
        self.change(row, i64::checked_sub)
    }

    fn out(&self) -> i64 {
        self.sum
    }
}

struct Deviations<'a> {
    values: &'a Float64Array,
    inside: Deviation,
}

impl Sliding for Deviations<'_> {
    type Out = f64;

    fn enter(&mut self, row: usize) -> Result<()> {
        if self.values.is_valid(row) {
            self.inside.insert(self.values.value(row));
        }
        Ok(())
    }

    fn leave(&mut self, row: usize) -> Result<()> {
        if self.values.is_valid(row) {
            self.inside.remove(self.values.value(row));
        }
        Ok(())
    }

    fn out(&self) -> f64 {
        self.inside.median()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};

    /// Rows of (p, day, x, f): some days twice, some not at all, some values NULL.
    const ROWS: &str = "(SELECT i % 3 AS p, DATE '2026-01-01' + CAST(i * i % 997 / 3 AS INT) AS day, x, \
         CAST(x AS DOUBLE) / 7 AS f \
         FROM (SELECT value AS i, CASE WHEN value % 11 > 0 THEN value * 7919 % 1009 - 400 END AS x \
               FROM generate_series(1, 700)) AS v)";

    #[tokio::test]
    async fn they_are_as_a_range_of_days() {
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
    async fn wrong_use_is_named() {
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
