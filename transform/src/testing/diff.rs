//! Compares two results of one metric: joins their rows on the grain and compares the cells.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::engine::session::query::QueryResult;
use crate::error::{Result, TransformError};
use crate::testing::cells::floats_are_close;

/// The differences between two results of a metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResultDiff {
    pub rows_before: usize,
    pub rows_after: usize,
    /// The number of rows whose grain is in both results.
    pub joined: usize,
    /// The grain of the first few rows that only one result has.
    pub only_before: Vec<String>,
    pub only_after: Vec<String>,
    /// The columns that both results have, without those of the grain.
    pub columns: Vec<ColumnDiff>,
    /// The columns that only one result has.
    pub removed: Vec<String>,
    pub added: Vec<String>,
    /// The first few cells that differ.
    pub cells: Vec<CellDiff>,
}

/// One column of both results.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDiff {
    pub name: String,
    /// The number of equal cells in the joined rows.
    pub same: usize,
    /// The sum of a column of counts or money, the mean of a column of floats; `None` for other
    /// types.
    pub before: Option<f64>,
    pub after: Option<f64>,
}

/// A cell that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellDiff {
    /// The grain of its row: `month = 2026-01-01`.
    pub row: String,
    pub column: String,
    pub before: String,
    pub after: String,
}

impl ResultDiff {
    /// Whether the results are equal.
    pub fn is_empty(&self) -> bool {
        self.rows_before == self.joined
            && self.rows_after == self.joined
            && self.removed.is_empty()
            && self.added.is_empty()
            && self.columns.iter().all(|c| c.same == self.joined)
    }
}

/// Joins two results on the grain, or row by row where there is no grain. Of the differences the
/// first `examples` rows and cells are kept.
///
/// # Errors
/// A column of the grain that one result lacks.
pub fn diff_results(
    grain: &[String],
    before: &QueryResult,
    after: &QueryResult,
    examples: usize,
) -> Result<ResultDiff> {
    let (before, after) = (single_batch(before)?, single_batch(after)?);
    let (keys_before, keys_after) = (grain_keys(grain, &before)?, grain_keys(grain, &after)?);
    let at: HashMap<&String, usize> = keys_before.iter().zip(0..).collect();
    let mut pairs = Vec::new();
    let mut diff = ResultDiff {
        rows_before: before.num_rows(),
        rows_after: after.num_rows(),
        ..ResultDiff::default()
    };
    for (row, key) in keys_after.iter().enumerate() {
        match at.get(key) {
            Some(other) => pairs.push((*other, row)),
            None if diff.only_after.len() < examples => diff.only_after.push(key.clone()),
            None => {}
        }
    }
    let keys: BTreeSet<&String> = keys_after.iter().collect();
    let removed = keys_before.iter().filter(|key| !keys.contains(key));
    diff.only_before = removed.take(examples).cloned().collect();
    diff.joined = pairs.len();

    let names = |batch: &RecordBatch| -> Vec<String> {
        batch.schema().fields().iter().map(|f| f.name().clone()).collect()
    };
    let (old, new) = (names(&before), names(&after));
    diff.removed = old.iter().filter(|n| !new.contains(n)).cloned().collect();
    diff.added = new.iter().filter(|n| !old.contains(n)).cloned().collect();
    for name in new.iter().filter(|n| old.contains(n) && !grain.contains(n)) {
        let (Some(a), Some(b)) = (before.column_by_name(name), after.column_by_name(name)) else {
            continue;
        };
        let (texts_a, texts_b) = (cell_texts(a)?, cell_texts(b)?);
        let mut same = 0;
        for (i, j) in &pairs {
            if texts_a[*i] == texts_b[*j] || floats_equal(a, *i, b, *j) {
                same += 1;
            } else if diff.cells.len() < examples {
                diff.cells.push(CellDiff {
                    row: keys_after[*j].clone(),
                    column: name.clone(),
                    before: texts_a[*i].clone(),
                    after: texts_b[*j].clone(),
                });
            }
        }
        let column = ColumnDiff {
            name: name.clone(),
            same,
            before: total_or_mean(a)?,
            after: total_or_mean(b)?,
        };
        diff.columns.push(column);
    }
    Ok(diff)
}

fn single_batch(result: &QueryResult) -> Result<RecordBatch> {
    concat_batches(&result.schema, &result.batches).map_err(of_arrow)
}

/// Returns the grain of each row as text, or the number of the row where there is no grain.
fn grain_keys(grain: &[String], rows: &RecordBatch) -> Result<Vec<String>> {
    if grain.is_empty() {
        return Ok((1..=rows.num_rows()).map(|row| format!("row {row}")).collect());
    }
    let mut keys = vec![String::new(); rows.num_rows()];
    for name in grain {
        let column = rows.column_by_name(name).ok_or_else(|| TransformError::UnknownQuery {
            name: name.clone(),
            hint: "a column of the grain is missing on one side, so rows can't be joined"
                .to_owned(),
        })?;
        for (key, text) in keys.iter_mut().zip(cell_texts(column)?) {
            if !key.is_empty() {
                key.push_str(", ");
            }
            key.push_str(&format!("{name} = {text}"));
        }
    }
    Ok(keys)
}

fn cell_texts(column: &ArrayRef) -> Result<Vec<String>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(of_arrow)?;
    let text = |row: usize| match column.is_null(row) {
        true => "NULL".to_owned(),
        false => formatter.value(row).to_string(),
    };
    Ok((0..column.len()).map(text).collect())
}

/// Whether two cells are floats that are equal within the tolerance.
fn floats_equal(a: &ArrayRef, i: usize, b: &ArrayRef, j: usize) -> bool {
    let (Some(a_values), Some(b_values)) =
        (a.as_primitive_opt::<Float64Type>(), b.as_primitive_opt::<Float64Type>())
    else {
        return false;
    };
    if a.is_null(i) || b.is_null(j) {
        return false;
    }
    floats_are_close(a_values.value(i), b_values.value(j))
}

/// Returns the sum of counts and of money, or the mean of floats.
fn total_or_mean(column: &ArrayRef) -> Result<Option<f64>> {
    if let Some(decimals) = column.as_primitive_opt::<Decimal128Type>() {
        let scale = 10_f64.powi(i32::from(decimals.scale()));
        return Ok(Some(decimals.iter().flatten().map(|v| v as f64 / scale).sum()));
    }
    let is_float = matches!(column.data_type(), DataType::Float64);
    if !is_float && !matches!(column.data_type(), DataType::Int32 | DataType::Int64) {
        return Ok(None);
    }
    let values = cast(column, &DataType::Float64).map_err(of_arrow)?;
    let values: Vec<f64> = values.as_primitive::<Float64Type>().iter().flatten().collect();
    let sum: f64 = values.iter().sum();
    Ok(match (is_float, values.len()) {
        (false, _) => Some(sum),
        (true, 0) => None,
        (true, n) => Some(sum / n as f64),
    })
}

fn of_arrow(error: arrow::error::ArrowError) -> TransformError {
    TransformError::sql("the comparison")(error.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn result(columns: Vec<(&str, ArrayRef)>) -> QueryResult {
        let fields: Vec<Field> =
            columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = columns.into_iter().map(|(_, c)| c).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("rows");
        QueryResult { schema, batches: vec![batch] }
    }

    fn ids(ids: &[&str]) -> (&'static str, ArrayRef) {
        ("id", Arc::new(StringArray::from(ids.to_vec())))
    }

    #[test]
    fn rows_are_joined_on_the_grain() {
        let before = result(vec![
            ids(&["a", "b", "c"]),
            ("calls", Arc::new(Int64Array::from(vec![1, 2, 3]))),
            ("rate", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(0.25)]))),
            ("old", Arc::new(Int64Array::from(vec![0, 0, 0]))),
        ]);
        let after = result(vec![
            ids(&["c", "a", "d"]),
            ("calls", Arc::new(Int64Array::from(vec![3, 9, 4]))),
            ("rate", Arc::new(Float64Array::from(vec![None, Some(0.5 + 1e-12), None]))),
            ("new", Arc::new(Int64Array::from(vec![0, 0, 0]))),
        ]);
        let diff = diff_results(&["id".to_owned()], &before, &after, 5).expect("a comparison");
        let cell = |row: &str, column: &str, before: &str, after: &str| CellDiff {
            row: row.to_owned(),
            column: column.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let expected = ResultDiff {
            rows_before: 3,
            rows_after: 3,
            joined: 2,
            only_before: vec!["id = b".to_owned()],
            only_after: vec!["id = d".to_owned()],
            columns: vec![
                ColumnDiff {
                    name: "calls".to_owned(),
                    same: 1,
                    before: Some(6.0),
                    after: Some(16.0),
                },
                ColumnDiff {
                    name: "rate".to_owned(),
                    same: 1,
                    before: Some(0.375),
                    after: Some(0.5 + 1e-12),
                },
            ],
            removed: vec!["old".to_owned()],
            added: vec!["new".to_owned()],
            cells: vec![cell("id = a", "calls", "1", "9"), cell("id = c", "rate", "0.25", "NULL")],
        };
        assert_eq!(diff, expected);
        assert!(!diff.is_empty());
        let same = diff_results(&[], &before, &before, 5).expect("a comparison");
        assert!(same.is_empty() && same.joined == 3);
        diff_results(&["old".to_owned()], &before, &after, 5).expect_err("no grain to join on");
    }
}
