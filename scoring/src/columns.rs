//! Arithmetic on columns of numbers, a partner a row; NULL means that nothing is known.

use polars::prelude::{BooleanChunked, ChunkFillNullValue, Float64Chunked, Int64Chunked, arity};

/// A column of numbers.
pub(crate) type Numbers = Float64Chunked;

/// What polars' arithmetic lacks for formulas: `+`, `-`, `*` and `/` it has.
pub(crate) trait ColumnMath {
    /// Applies a function to every known value.
    fn map(&self, function: impl Fn(f64) -> f64) -> Numbers;
    /// Combines two columns; NULL where either is.
    fn zip(&self, other: &Numbers, function: impl Fn(f64, f64) -> f64) -> Numbers;
    /// Replaces NULL by a value.
    fn or(&self, value: f64) -> Numbers;
    /// Keeps the values where the condition is true; NULL elsewhere.
    fn only_where(&self, condition: &BooleanChunked) -> Numbers;

    /// Limits every value to `low..=high`.
    fn clip(&self, low: f64, high: f64) -> Numbers {
        self.map(|value| value.clamp(low, high))
    }

    /// Returns the lesser of two columns; NULL where either is.
    fn lesser(&self, other: &Numbers) -> Numbers {
        self.zip(other, f64::min)
    }

    /// Returns the greater of two columns; NULL where either is.
    fn greater(&self, other: &Numbers) -> Numbers {
        self.zip(other, f64::max)
    }

    /// Returns the ratio of two columns; NULL where the denominator is 0.
    fn over(&self, denominator: &Numbers) -> Numbers;

    /// Returns where a known value satisfies a condition; false where nothing is known.
    fn is(&self, condition: impl Fn(f64) -> bool) -> BooleanChunked;
}

impl ColumnMath for Numbers {
    fn map(&self, function: impl Fn(f64) -> f64) -> Numbers {
        arity::unary_elementwise_values(self, function)
    }

    fn zip(&self, other: &Numbers, function: impl Fn(f64, f64) -> f64) -> Numbers {
        arity::binary_elementwise_values(self, other, function)
    }

    fn or(&self, value: f64) -> Numbers {
        // Only a column of another type can fail.
        self.fill_null_with_values(value).unwrap_or_else(|_| self.clone())
    }

    fn only_where(&self, condition: &BooleanChunked) -> Numbers {
        arity::binary_elementwise(self, condition, |value: Option<f64>, holds: Option<bool>| {
            value.filter(|_| holds == Some(true))
        })
    }

    fn over(&self, denominator: &Numbers) -> Numbers {
        arity::binary_elementwise(self, denominator, |n: Option<f64>, d: Option<f64>| {
            let d = d.filter(|d| *d != 0.0)?;
            Some(n? / d)
        })
    }

    fn is(&self, condition: impl Fn(f64) -> bool) -> BooleanChunked {
        self.iter().map(|value| Some(value.is_some_and(&condition))).collect()
    }
}

/// Returns a column of whole numbers as numbers.
pub(crate) fn numbers(column: &Int64Chunked) -> Numbers {
    column.iter().map(|value| value.map(|v| v as f64)).collect()
}

/// Returns a column with the same value in every row.
pub(crate) fn constant(value: f64, rows: usize) -> Numbers {
    std::iter::repeat_n(Some(value), rows).collect()
}

/// Returns a condition that is the same in every row.
pub(crate) fn everywhere(value: bool, rows: usize) -> BooleanChunked {
    std::iter::repeat_n(Some(value), rows).collect()
}

/// Returns the values of `here` where the condition is true, of `elsewhere` where it is not.
pub(crate) fn choose(condition: &BooleanChunked, here: &Numbers, elsewhere: &Numbers) -> Numbers {
    arity::ternary_elementwise(
        condition,
        here,
        elsewhere,
        |holds: Option<bool>, here: Option<f64>, elsewhere: Option<f64>| {
            if holds == Some(true) { here } else { elsewhere }
        },
    )
}
