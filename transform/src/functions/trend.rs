//! The functions `median_deviation`, `cusum` and `wilson_lower`, which the metric `error_trend`
//! uses.

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

pub(super) const MEDIAN_DEVIATION: FunctionDoc = FunctionDoc {
    signature: "median_deviation(Float64) → Float64",
    description: "The median of |xᵢ − median x|, an even number's median being the mean of the middle two; 0 for fewer than seven values. Slides over a window",
    unit: "that of the argument",
    source: "MAD, Hampel 1974",
    example: "SELECT median_deviation(x) FROM (VALUES (1), (2), (3), (4), (5), (6), (7)) AS t(x)",
    example_result: "2.0",
};

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
/// The fewest values that have a median deviation; that of fewer values is 0.
const MIN_VALUES: usize = 7;

pub(super) fn median_deviation() -> AggregateUDF {
    let state = Field::new_list("values", Field::new_list_field(DataType::Float64, true), true);
    AggregateUDF::from(SimpleAggregateUDF::new(
        MEDIAN_DEVIATION.name(),
        vec![DataType::Float64],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(MedianDeviation::default()))),
        vec![Arc::new(state)],
    ))
}

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
    use super::{deviation, wilson};
    use crate::functions::test_queries::{check, check_error};

    #[test]
    fn deviations_are_robust() {
        // Median 4; distances 3 2 1 0 1 2 96: median 2.
        assert_eq!(deviation(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]), 2.0);
        // Even: median (4 + 5)/2 = 4.5; distances .5 .5 1.5 1.5 2.5 2.5 3.5 3.5: median 2.
        assert_eq!(deviation(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), 2.0);
        assert_eq!(deviation(&[1.0, 2.0, 3.0, 4.0, 5.0, 60.0]), 0.0);
        assert_eq!(deviation(&[]), 0.0);
    }

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
        check_error("SELECT wilson_lower(1)", "wilson_lower").await;
    }
}
