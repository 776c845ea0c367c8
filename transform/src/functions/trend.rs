//! The functions `cusum` and `wilson_lower`, which the metric `error_trend` uses.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, ScalarUDF, Signature, SimpleAggregateUDF, Volatility,
};

use super::scalar::scalar;
use crate::functions::documentation::FunctionDoc;

pub(super) const CUSUM: FunctionDoc = FunctionDoc {
    signature: "cusum(z: Float64) OVER (… ORDER BY …) → Float64",
    description: "The one-sided cumulative sum C = min(10, max(0, C + z − 0.5)) from 0; a NULL leaves C as it was. Only over a window with an order, from its first row on",
    unit: "standard deviations",
    source: "Page 1954",
    example: "SELECT max(c) FROM (SELECT cusum(z) OVER (ORDER BY t) AS c FROM (VALUES (1, 2.5), (2, 1.0), (3, -9.0)) AS v(t, z)) AS sums",
    example_result: "2.5",
};

pub(super) const WILSON_LOWER: FunctionDoc = FunctionDoc {
    signature: "wilson_lower(k, n) → Float64",
    description: "The lower end of the 95 % interval for the share k/n; NULL for n = 0",
    unit: "0–1",
    source: "Wilson 1927",
    example: "SELECT round(wilson_lower(5, 10), 4)",
    example_result: "0.2366",
};

/// The z value of a two-sided 95 % interval.
const Z_95: f64 = 1.959964;
/// The slack of the CUSUM per step, in standard deviations.
const CUSUM_SLACK: f64 = 0.5;
/// The upper limit of the CUSUM, so that the end of an incident shows within days.
const CUSUM_LIMIT: f64 = 10.0;

pub(super) fn cusum() -> AggregateUDF {
    AggregateUDF::from(SimpleAggregateUDF::new(
        CUSUM.name(),
        vec![DataType::Float64],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Cusum(0.0)))),
        vec![Arc::new(Field::new("c", DataType::Float64, true))],
    ))
}

pub(super) fn wilson_lower() -> ScalarUDF {
    scalar(
        WILSON_LOWER.name(),
        Signature::any(2, Volatility::Immutable),
        DataType::Float64,
        |args| {
            let float = |i: usize| cast(&args[i], &DataType::Float64);
            let (k, n) = (float(0)?, float(1)?);
            let rows = k.as_primitive::<Float64Type>().iter().zip(n.as_primitive::<Float64Type>());
            Ok(Arc::new(rows.map(|(k, n)| wilson(k?, n?)).collect::<Float64Array>()))
        },
    )
}

fn wilson(k: f64, n: f64) -> Option<f64> {
    if n == 0.0 {
        return None;
    }
    let (p, z2) = (k / n, Z_95 * Z_95);
    let centre = p + z2 / (2.0 * n);
    let spread = Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    Some((centre - spread) / (1.0 + z2 / n))
}

/// The cumulative sum up to the current row.
#[derive(Debug)]
struct Cusum(f64);

impl Accumulator for Cusum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for z in values[0].as_primitive::<Float64Type>().iter().flatten() {
            self.0 = (self.0 + z - CUSUM_SLACK).clamp(0.0, CUSUM_LIMIT);
        }
        Ok(())
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        not_impl_err!("cusum depends on order: write cusum(z) OVER (… ORDER BY …)")
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(Some(self.0)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        not_impl_err!("cusum depends on order: write cusum(z) OVER (… ORDER BY …)")
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::wilson;
    use crate::functions::test_queries::{check, check_error};

    #[test]
    fn wilson_as_published() {
        // Newcombe (1998), table I: 81 of 263 is 0.2553 to 0.3662, 15 of 148 0.0624, 0 of 20 0.
        for (k, n, lower) in [(81.0, 263.0, 0.2553), (15.0, 148.0, 0.0624), (0.0, 20.0, 0.0)] {
            let got = wilson(k, n).expect("a bound");
            assert!((got - lower).abs() < 5e-5, "{k} of {n}: {got}");
        }
        assert_eq!(wilson(0.0, 0.0), None);
    }

    #[tokio::test]
    async fn sums_accumulate_in_order() {
        // 0 + 3 − .5 = 2.5; NULL leaves it; 2.5 − 4 − .5 → 0; 0 + 20 − .5 → 10; 10 + .25 − .5.
        check(
            "SELECT d, cusum(z) OVER (PARTITION BY p ORDER BY d) AS c
             FROM (VALUES ('a', 1, 3.0), ('a', 2, NULL), ('a', 3, -4.0), ('a', 4, 20.0), ('a', 5, 0.25),
                          ('b', 6, 1.0)) AS v(p, d, z) ORDER BY d",
            &["1,2.5", "2,2.5", "3,0.0", "4,10.0", "5,9.75", "6,0.5"],
        )
        .await;
    }

    #[tokio::test]
    async fn a_missing_argument_is_an_error() {
        check_error("SELECT wilson_lower(1)", "wilson_lower").await;
    }
}
