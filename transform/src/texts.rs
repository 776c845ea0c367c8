//! Texts are views in what queries read and plain in what they give.
//!
//! To group or join by a view of at most twelve bytes is to compare one word, and a text that a
//! page of a file says once is in memory once. What reads a result finds one type for all texts,
//! `Utf8`.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;

/// The schema with texts as views.
pub(crate) fn in_views(schema: &Schema) -> SchemaRef {
    with_texts(schema, &DataType::Utf8View)
}

/// The schema with texts as `Utf8`.
pub(crate) fn plain(schema: &Schema) -> SchemaRef {
    with_texts(schema, &DataType::Utf8)
}

fn with_texts(schema: &Schema, kind: &DataType) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            field.as_ref().clone().with_data_type(kind.clone())
        }
        _ => field.as_ref().clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// Rows in the types of a schema of the same columns.
///
/// # Errors
/// A value that its new type can't hold.
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

/// Rows as a table for queries.
///
/// # Errors
/// None for rows that were made; Arrow's own checks.
pub(crate) fn table_of(rows: &RecordBatch) -> Result<Arc<dyn TableProvider>> {
    let schema = in_views(&rows.schema());
    let rows = cast_to(rows, &schema)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
}
