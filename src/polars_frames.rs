//! Converts query results to polars frames, and frames of scores to rows of the lake.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use lake::TableDef;
use polars::prelude::{Column, DataFrame};
use transform::QueryResult;

/// Converts a result to a frame of text, 32- and 64-bit integers, floats and booleans. Dates become
/// days since 1970 as Int32, instants microseconds since 1970 as Int64.
pub(crate) fn data_frame(result: &QueryResult) -> anyhow::Result<DataFrame> {
    let all = arrow::compute::concat_batches(&result.schema, &result.batches)?;
    let mut columns = Vec::new();
    for (field, column) in all.schema().fields().iter().zip(all.columns()) {
        columns.push(polars_column(field.name(), column).with_context(|| {
            format!("the column {} of type {}", field.name(), field.data_type())
        })?);
    }
    Ok(DataFrame::new(all.num_rows(), columns)?)
}

fn polars_column(name: &str, column: &ArrayRef) -> anyhow::Result<Column> {
    let as_type = |kind: &DataType| arrow::compute::cast(column, kind);
    Ok(match column.data_type() {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            let text = as_type(&DataType::Utf8)?;
            let values: Vec<Option<&str>> = text.as_string::<i32>().iter().collect();
            Column::new(name.into(), values)
        }
        DataType::Boolean => {
            let values: Vec<Option<bool>> = column.as_boolean().iter().collect();
            Column::new(name.into(), values)
        }
        DataType::Date32 | DataType::Int32 => {
            let days = as_type(&DataType::Int32)?;
            let values: Vec<Option<i32>> = days.as_primitive::<Int32Type>().iter().collect();
            Column::new(name.into(), values)
        }
        DataType::Int64 | DataType::Timestamp(..) => {
            let whole = as_type(&DataType::Int64)?;
            let values: Vec<Option<i64>> = whole.as_primitive::<Int64Type>().iter().collect();
            Column::new(name.into(), values)
        }
        _ => {
            let floats = as_type(&DataType::Float64)?;
            let values: Vec<Option<f64>> = floats.as_primitive::<Float64Type>().iter().collect();
            Column::new(name.into(), values)
        }
    })
}

/// Converts a frame of scores to rows of a table, which also has the revision and may have the
/// instant of the scores, µs.
pub(crate) fn score_rows(
    def: &TableDef,
    frame: &DataFrame,
    revision: i64,
    scored_at: i64,
) -> anyhow::Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for field in def.schema.fields() {
        let repeated = |value: i64| vec![value; frame.height()];
        if field.name() == "revision" {
            columns.push(Arc::new(Int64Array::from(repeated(revision))));
            continue;
        }
        if field.name() == "scored_at" {
            let at = TimestampMicrosecondArray::from(repeated(scored_at));
            columns.push(Arc::new(at.with_timezone("UTC")));
            continue;
        }
        let column = frame.column(field.name())?.as_materialized_series();
        columns.push(match field.data_type() {
            DataType::Utf8 => Arc::new(column.str()?.iter().collect::<StringArray>()),
            DataType::Float64 => Arc::new(column.f64()?.iter().collect::<Float64Array>()),
            DataType::Int64 => Arc::new(column.i64()?.iter().collect::<Int64Array>()),
            DataType::Boolean => Arc::new(column.bool()?.iter().collect::<BooleanArray>()),
            _ => {
                let micros: TimestampMicrosecondArray = column.i64()?.iter().collect();
                Arc::new(micros.with_timezone("UTC"))
            }
        });
    }
    Ok(RecordBatch::try_new(def.schema.clone(), columns)?)
}

/// Deserializes the rows of a result; fields are found by the names of the columns.
pub(crate) fn typed_rows<T: serde::de::DeserializeOwned>(
    result: &QueryResult,
) -> anyhow::Result<Vec<T>> {
    let rows = crate::rows::Rows { schema: &result.schema, batches: &result.batches };
    Ok(serde_json::from_slice(&crate::row_encoder::json_bytes(&rows)?)?)
}
