//! The rows of a result as text: cells, and tables for people.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use domain::{format_instant, printable, truncate_to_width};

use crate::table::Table;

/// Rows and their schema, which is known also where there are none.
pub(crate) struct Rows<'a> {
    pub(crate) schema: &'a SchemaRef,
    pub(crate) batches: &'a [RecordBatch],
}

/// Returns a batch of text columns without NULL, from their names and values.
pub(crate) fn text_batch<'a>(
    columns: impl IntoIterator<Item = (&'a str, Vec<String>)>,
) -> anyhow::Result<RecordBatch> {
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (name, values) in columns {
        fields.push(Field::new(name, DataType::Utf8, false));
        arrays.push(Arc::new(StringArray::from(values)));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// Returns the first rows as one batch.
pub(crate) fn first_rows(rows: &Rows<'_>, limit: usize) -> anyhow::Result<RecordBatch> {
    let all = arrow::compute::concat_batches(rows.schema, rows.batches)?;
    Ok(all.slice(0, limit.min(all.num_rows())))
}

/// Returns every cell as text, column by column; `None` is NULL.
pub(crate) fn cell_texts(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<Option<String>>>> {
    batch.columns().iter().map(|column| column_texts(column.as_ref())).collect()
}

fn column_texts(column: &dyn Array) -> anyhow::Result<Vec<Option<String>>> {
    if let Some(instants) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return Ok(instants.iter().map(|v| v.map(format_instant)).collect());
    }
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    (0..column.len())
        .map(|row| {
            if column.is_null(row) {
                return Ok(None);
            }
            Ok(Some(formatter.value(row).try_to_string()?))
        })
        .collect()
}

/// Returns the rows as a table for people. Numbers are aligned right, with as many decimals as
/// their column needs and four at most; text is cut to `max_width` terminal columns.
pub(crate) fn format_table(rows: &Rows<'_>, max_width: Option<usize>) -> anyhow::Result<String> {
    let fields = rows.schema.fields();
    let numbers: Vec<usize> =
        (0..fields.len()).filter(|c| fields[*c].data_type().is_numeric()).collect();
    let mut table = Table::new(fields.iter().map(|f| f.name()), &numbers);
    for row in format_cells(rows, max_width)? {
        table.row(row);
    }
    Ok(table.text())
}

/// Returns the cells of such a table, row by row.
pub(crate) fn format_cells(
    rows: &Rows<'_>,
    max_width: Option<usize>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let fields = rows.schema.fields();
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); fields.len()];
    for batch in rows.batches {
        for (column, texts) in columns.iter_mut().zip(cell_texts(batch)?) {
            column.extend(texts.into_iter().map(Option::unwrap_or_default));
        }
    }
    for (column, field) in columns.iter_mut().zip(fields) {
        match field.data_type() {
            DataType::Float64 => align_decimals(column, 1, 4),
            // Money is shown in cents; CSV and Parquet have every digit.
            DataType::Decimal128(_, 1..) => align_decimals(column, 2, 2),
            _ => {}
        }
        if let Some(max_width) = max_width {
            column.iter_mut().for_each(|text| {
                *text = truncate_to_width(&printable(text), max_width).into_owned();
            });
        }
    }
    let count = rows.batches.iter().map(RecordBatch::num_rows).sum();
    let row = |row: usize| -> Vec<String> {
        columns.iter_mut().map(|column| std::mem::take(&mut column[row])).collect()
    };
    Ok((0..count).map(row).collect())
}

/// Gives the numbers of a column the same number of decimals, between `min` and `max`.
fn align_decimals(column: &mut [String], min: usize, max: usize) {
    let fraction = |text: &String| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = column.iter().map(fraction).max().unwrap_or(0).clamp(min, max);
    for text in column {
        if let Some(rounded) = round_decimal(text, digits) {
            *text = rounded;
        }
    }
}

/// Rounds a decimal number, half away from zero. It works on the text, so it is exact where a float
/// is not. Of a number with an exponent it rounds the digits before that. Returns `None` for text
/// that is no decimal number.
fn round_decimal(text: &str, digits: usize) -> Option<String> {
    let (sign, number) = text.strip_prefix('-').map_or(("", text), |number| ("-", number));
    if let Some((digits_before, exponent)) = number.split_once('e') {
        return Some(format!("{sign}{}e{exponent}", round_decimal(digits_before, digits)?));
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() {
        return None;
    }
    let kept = &fraction[..digits.min(fraction.len())];
    let mut value: u128 = format!("{whole}{kept:0<digits$}").parse().ok()?;
    if fraction.as_bytes().get(digits).is_some_and(|digit| *digit >= b'5') {
        value += 1;
    }
    let sign = if value == 0 { "" } else { sign };
    let text = format!("{value:0>width$}", width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    Some(if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_escape_and_cut_their_cells() {
        let fields = vec![Field::new("x\u{1b}[2J", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let ids = ["a\u{1b}[2Jb", "c\r\nforged  9", "株式会社"];
        let column: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
        let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("rows");
        let rows = Rows { schema: &schema, batches: &[batch] };
        let text = format_table(&rows, None).expect("a table");
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("a\\u{1b}[2Jb") && text.contains("c\\r\\nforged  9"), "{text}");
        assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        let cut = format_table(&rows, Some(6)).expect("a table");
        assert!(cut.contains("a\\u{1…") && cut.contains("株式…"), "{cut}");
    }

    #[test]
    fn decimals_are_rounded_half_away_from_zero() {
        let check = |text: &str, digits: usize, to: Option<&str>| {
            assert_eq!(round_decimal(text, digits).as_deref(), to, "{text}");
        };
        check("0.66666", 4, Some("0.6667"));
        check("1", 2, Some("1.00"));
        check("99.995", 2, Some("100.00"));
        check("-0.125", 2, Some("-0.13"));
        check("-0.001", 2, Some("0.00"));
        check("12345678901234567890123456.785000000000", 2, Some("12345678901234567890123456.79"));
        check("7.5", 0, Some("8"));
        // A share of millions is no share of one.
        check("3.96826939607e-6", 4, Some("3.9683e-6"));
        check("-1.5e-7", 4, Some("-1.5000e-7"));
        check("1e-7", 4, Some("1.0000e-7"));
        check("NaN", 4, None);
        check("", 4, None);
    }
}
