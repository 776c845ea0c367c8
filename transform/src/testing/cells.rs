//! The cells of Arrow columns as text, and their comparison.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Two floats are equal when they differ by at most this share of the larger one.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// Whether two floats are equal within the relative tolerance.
pub(crate) fn floats_are_close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= RELATIVE_TOLERANCE * a.abs().max(b.abs())
}

/// Whether a row is equal in two batches with the same columns.
pub(crate) fn same_row(expected: &RecordBatch, got: &RecordBatch, row: usize) -> bool {
    got.columns().iter().zip(expected.columns()).all(|(a, b)| same_cell(a, b, row))
}

/// Whether a cell is equal in two columns. Floats are compared with a tolerance.
pub(crate) fn same_cell(a: &ArrayRef, b: &ArrayRef, row: usize) -> bool {
    if let (Some(a), Some(b)) =
        (a.as_primitive_opt::<Float64Type>(), b.as_primitive_opt::<Float64Type>())
        && a.is_valid(row)
        && b.is_valid(row)
    {
        return floats_are_close(a.value(row), b.value(row));
    }
    text_of(a, row) == text_of(b, row)
}

/// Returns a cell as text. Strings are quoted, and NULL is `NULL`.
pub(crate) fn text_of(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    let quoted = matches!(array.data_type(), DataType::Utf8);
    let text = ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or_else(|e| e.to_string(), |formatter| formatter.value(row).to_string());
    if quoted { format!("\"{text}\"") } else { text }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn cells_are_compared_by_type() {
        use arrow::array::{Float64Array, Int64Array};
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(0.0), None]));
        let close: ArrayRef = Arc::new(Float64Array::from(vec![1.0 + 1e-10, 1e-300, 0.0]));
        let cells: Vec<bool> = (0..3).map(|row| same_cell(&floats, &close, row)).collect();
        assert_eq!(cells, [true, false, false]);
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let text = arrow::compute::cast(&whole, &DataType::Utf8).expect("a cast");
        assert!(!same_cell(&whole, &text, 0));
    }
}
