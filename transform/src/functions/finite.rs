//! The function `finite`, which leaves out what is no number.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::documentation::FunctionDoc;

pub(super) const FINITE: FunctionDoc = FunctionDoc {
    signature: "finite(x) → the type of x",
    description: "x, and NULL where it is NaN or an infinity; what is no floating-point number stays as it is",
    unit: "that of x",
    source: "",
    example: "SELECT coalesce(finite(CAST('Infinity' AS DOUBLE)), 0.5)",
    example_result: "0.5",
};

pub(super) fn finite() -> ScalarUDF {
    ScalarUDF::from(Finite { signature: Signature::any(1, Volatility::Immutable) })
}

/// A function whose result has the type of its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Finite {
    signature: Signature,
}

impl ScalarUDFImpl for Finite {
    fn name(&self) -> &str {
        FINITE.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [one] => Ok(one.clone()),
            _ => not_impl_err!("finite has one argument"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(finite_values(values))),
            [ColumnarValue::Scalar(value)] => {
                let value = finite_values(&value.to_array()?);
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?))
            }
            _ => not_impl_err!("finite has one argument"),
        }
    }
}

fn finite_values(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float16 => {
            let values = values.as_primitive::<Float16Type>();
            Arc::new(values.unary_opt::<_, Float16Type>(|x| x.is_finite().then_some(x)))
        }
        DataType::Float32 => {
            let values = values.as_primitive::<Float32Type>();
            Arc::new(values.unary_opt::<_, Float32Type>(|x| x.is_finite().then_some(x)))
        }
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>();
            Arc::new(values.unary_opt::<_, Float64Type>(|x| x.is_finite().then_some(x)))
        }
        _ => Arc::clone(values),
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::test_queries::check;

    #[tokio::test]
    async fn only_finite_numbers_are_left() {
        check(
            "SELECT finite(x) AS x, finite(CAST(x AS FLOAT)) AS f, finite(n) AS n, finite(t) AS t
             FROM (VALUES (1.5, 1, 'a'), (CAST('NaN' AS DOUBLE), 2, NULL),
                          (CAST('-Infinity' AS DOUBLE), NULL, 'NaN'), (NULL, 4, 'd')) AS v(x, n, t)",
            &["1.5,1.5,1,a", ",,2,", ",,,NaN", ",,4,d"],
        )
        .await;
        check(
            "SELECT finite(NULL) AS a, finite(2) AS b, finite(DATE '2026-03-01') AS c",
            &[",2,2026-03-01"],
        )
        .await;
    }
}
