//! Machine words of the values of a column: what texts, numbers and instants are compared by where only
//! equality counts.

use arrow::array::{Array, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowNativeType, DataType};
use datafusion::common::{Result, internal_err};

/// The word of NULL. No value has it: a view begins with the length of its text, which is an `i32`, and
/// numbers take half of a word.
pub(super) const NULL_WORD: u128 = u128::MAX;

/// The longest text in bytes that a view holds whole.
const INLINE_BYTES: u128 = 12;

/// Whether a type is a whole number to Arrow: floating-point numbers have two zeros, which are equal.
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Date32
                | DataType::Date64
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(..)
                | DataType::Duration(_)
        )
}

/// Whether the word of a text is a place in a buffer of its column. Of other columns, and for equal texts
/// in several places, it is another one.
#[inline]
pub(super) fn is_place(word: u128, data_type: &DataType) -> bool {
    *data_type == DataType::Utf8View
        && word != NULL_WORD
        && word & u128::from(u32::MAX) > INLINE_BYTES
}

/// Calls a function with each row and a word for its value. Equal words are equal values, and equal values
/// have equal words, but for long texts ([`is_place`]).
///
/// # Errors
/// A type without words.
pub(super) fn for_each_word(column: &dyn Array, mut f: impl FnMut(usize, u128)) -> Result<()> {
    if let Some(nulls) = nulls(column) {
        // What is stored below a NULL is arbitrary.
        let or_null = |row, word| f(row, if nulls.is_valid(row) { word } else { NULL_WORD });
        return for_each_stored(column, or_null);
    }
    for_each_stored(column, f)
}

fn for_each_stored(column: &dyn Array, mut f: impl FnMut(usize, u128)) -> Result<()> {
    fn each<T: Copy + Into<u128>>(values: &[T], mut f: impl FnMut(usize, u128)) {
        values.iter().enumerate().for_each(|(row, value)| f(row, (*value).into()));
    }
    match column.data_type() {
        DataType::Utf8View => each(column.as_string_view().views(), f),
        DataType::Boolean => {
            let values = column.as_boolean().values().iter().enumerate();
            values.for_each(|(row, value)| f(row, value.into()));
        }
        kind if is_number(kind) => {
            let (data, rows) = (column.to_data(), column.len());
            match kind.primitive_width() {
                Some(1) => each(&data.buffer::<u8>(0)[..rows], f),
                Some(2) => each(&data.buffer::<u16>(0)[..rows], f),
                Some(4) => each(&data.buffer::<u32>(0)[..rows], f),
                _ => each(&data.buffer::<u64>(0)[..rows], f),
            }
        }
        other => return internal_err!("{other} has no words"),
    }
    Ok(())
}

/// Returns the word of all values of a column of numbers, if they are equal: a day read from one file is
/// such a column.
pub(super) fn word_of_all(column: &dyn Array) -> Option<u128> {
    fn first_of_equal<T: ArrowNativeType>(values: &[T]) -> Option<T> {
        let first = *values.first()?;
        values.iter().all(|value| *value == first).then_some(first)
    }
    if !is_number(column.data_type()) || nulls(column).is_some() {
        return None;
    }
    let (data, rows) = (column.to_data(), column.len());
    match column.data_type().primitive_width()? {
        1 => first_of_equal(&data.buffer::<u8>(0)[..rows]).map(u128::from),
        2 => first_of_equal(&data.buffer::<u16>(0)[..rows]).map(u128::from),
        4 => first_of_equal(&data.buffer::<u32>(0)[..rows]).map(u128::from),
        8 => first_of_equal(&data.buffer::<u64>(0)[..rows]).map(u128::from),
        _ => None,
    }
}

fn nulls(column: &dyn Array) -> Option<&NullBuffer> {
    column.nulls().filter(|nulls| nulls.null_count() > 0)
}
