//! Scalar functions that are built from one plain function over whole columns.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF};

/// Builds a scalar function from `function`, which gets its arguments as arrays of one length.
pub(super) fn scalar(
    name: &str,
    signature: Signature,
    result: DataType,
    function: fn(&[ArrayRef]) -> Result<ArrayRef>,
) -> ScalarUDF {
    let call = move |args: &[ColumnarValue]| {
        let constant = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let array = function(&ColumnarValue::values_to_arrays(args)?)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    };
    ScalarUDF::from(SimpleScalarUDF::new_with_signature(name, signature, result, Arc::new(call)))
}
