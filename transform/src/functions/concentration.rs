//! The aggregates `gini` and `hhi`, which measure how unevenly money is spread.

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::AggregateUDF;
use domain::{MONEY_SCALE, to_f64};

use super::collect::collecting_aggregate;
use crate::functions::documentation::FunctionDoc;

pub(super) const GINI: FunctionDoc = FunctionDoc {
    signature: "gini(money) → Float64",
    description: "How unevenly money is spread: 2Σ i·xᵢ / (nΣx) − (n + 1)/n, x ascending from i = 1; 0 is even, 1 − 1/n is all with one; NULL without values or where Σx is 0",
    unit: "0–1",
    source: "Gini 1912, in the form of Sen 1973",
    example: "SELECT gini(CAST(x AS DECIMAL(38, 12))) FROM (VALUES (1), (3)) AS t(x)",
    example_result: "0.25",
};

pub(super) const HHI: FunctionDoc = FunctionDoc {
    signature: "hhi(money) → Float64",
    description: "How concentrated money is: Σ (xᵢ/Σx)², from 1/n to 1; NULL without values or where Σx is 0",
    unit: "0–1",
    source: "the Herfindahl–Hirschman index",
    example: "SELECT hhi(CAST(x AS DECIMAL(38, 12))) FROM (VALUES (1), (3)) AS t(x)",
    example_result: "0.625",
};

pub(super) fn gini() -> AggregateUDF {
    collecting_aggregate(GINI.name(), vec![money()], DataType::Float64, |columns| {
        let x = ascending(&columns[0]);
        let n = x.len() as i128;
        // 2Σ i·xᵢ − (n + 1)Σx is computed as one exact sum, so that even shares give exactly 0.
        let spread = x
            .iter()
            .zip(1i128..)
            .try_fold(0i128, |sum, (x, i)| sum.checked_add(x.checked_mul(2 * i - n - 1)?));
        let (Some(spread), Some(total)) = (spread, total(&x)) else { return overflow() };
        let share = to_f64(spread, MONEY_SCALE) / (n as f64 * to_f64(total, MONEY_SCALE));
        Ok(ScalarValue::Float64((total != 0).then_some(share)))
    })
}

pub(super) fn hhi() -> AggregateUDF {
    collecting_aggregate(HHI.name(), vec![money()], DataType::Float64, |columns| {
        let x = ascending(&columns[0]);
        let Some(total) = total(&x) else { return overflow() };
        let whole = to_f64(total, MONEY_SCALE);
        let squares = x.iter().map(|x| (to_f64(*x, MONEY_SCALE) / whole).powi(2));
        Ok(ScalarValue::Float64((total != 0).then(|| squares.sum())))
    })
}

fn money() -> DataType {
    DataType::Decimal128(38, 12)
}

/// Returns the values sorted, so that a float sum over them does not depend on the order of rows.
fn ascending(column: &ArrayRef) -> Vec<i128> {
    let mut values: Vec<i128> = column.as_primitive::<Decimal128Type>().iter().flatten().collect();
    values.sort_unstable();
    values
}

fn total(x: &[i128]) -> Option<i128> {
    x.iter().try_fold(0i128, |sum, x| sum.checked_add(*x))
}

fn overflow<T>() -> Result<T> {
    exec_err!("amounts of money do not fit 38 digits: look for a rate that is far too large")
}

#[cfg(test)]
mod tests {
    use crate::functions::test_queries::check;

    async fn check_both(values: &str, expected: &str) {
        let sql = format!(
            "SELECT gini(x) AS g, hhi(x) AS h FROM (SELECT CAST(x AS DECIMAL(38,12)) AS x FROM (VALUES {values}) AS v(x))"
        );
        check(&sql, &[expected]).await;
    }

    #[tokio::test]
    async fn shares_are_measured() {
        // Even: 2(1+2+3+4)/(4·4) − 5/4 = 0; 4·(1/4)² = 1/4.
        check_both("(5), (5), (5), (5)", "0.0,0.25").await;
        // All with one of two: 2(1·0 + 2·8)/(2·8) − 3/2 = 1/2; 1.
        check_both("(8), (0)", "0.5,1.0").await;
        // 1, 3: 2(1 + 6)/(2·4) − 3/2 = 1/4; 1/16 + 9/16 = 5/8. In any order.
        check_both("(1), (3)", "0.25,0.625").await;
        check_both("(3), (1)", "0.25,0.625").await;
        check_both("(NULL), (3), (1)", "0.25,0.625").await;
        check_both("(7)", "0.0,1.0").await;
        check_both("(0), (0)", ",").await;
        check_both("(NULL)", ",").await;
    }
}
