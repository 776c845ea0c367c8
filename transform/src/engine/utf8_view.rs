//! Strings are `Utf8View` in the tables that queries read, and `Utf8` in their results.
//!
//! To group or join by a view of at most twelve bytes takes one comparison of a word, and a string
//! that a Parquet page stores once is in memory once. Readers of results get one type for all
//! strings.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;

/// Returns the schema with strings as `Utf8View`.
pub(crate) fn in_views(schema: &Schema) -> SchemaRef {
    with_string_type(schema, &DataType::Utf8View)
}

/// Returns the schema with strings as `Utf8`.
pub(crate) fn plain(schema: &Schema) -> SchemaRef {
    with_string_type(schema, &DataType::Utf8)
}

fn with_string_type(schema: &Schema, string_type: &DataType) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            field.as_ref().clone().with_data_type(string_type.clone())
        }
        _ => field.as_ref().clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// Casts rows to the types of a schema with the same columns.
///
/// # Errors
/// A value that its new type can't represent.
pub(crate) fn cast_to(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<std::result::Result<_, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)
}

/// Returns rows as a table for queries.
///
/// # Errors
/// Errors of Arrow, which valid rows do not cause.
pub(crate) fn table_of(rows: &RecordBatch) -> Result<Arc<dyn TableProvider>> {
    let schema = in_views(&rows.schema());
    let rows = cast_to(rows, &schema)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
}
