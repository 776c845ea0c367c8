//! Converts query results to polars frames, and frames of scores to rows of the lake.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use lake::TableDef;
use polars::prelude::{
    BooleanChunked, Column, DataFrame, Float64Chunked, Int32Chunked, Int64Chunked, IntoColumn,
    IntoSeries, NewChunkedArray, PlSmallStr, StringChunked,
};
use transform::QueryResult;

use crate::row_encoder::json_bytes;
use crate::rows::Rows;

/// Converts a result to a frame of text, 32- and 64-bit integers, floats and booleans. Dates become
/// days since 1970 as Int32, instants microseconds since 1970 as Int64.
pub(crate) fn data_frame(result: QueryResult) -> anyhow::Result<DataFrame> {
    let rows = result.batches.iter().map(RecordBatch::num_rows).sum();
    let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); result.schema.fields().len()];
    for batch in result.batches {
        let (_, of_batch, _) = batch.into_parts();
        columns.iter_mut().zip(of_batch).for_each(|(chunks, chunk)| chunks.push(chunk));
    }
    // A history has millions of rows: each column goes once it is converted.
    let convert = |(field, chunks): (&FieldRef, Vec<ArrayRef>)| {
        polars_column(field, &chunks)
            .with_context(|| format!("the column {} of type {}", field.name(), field.data_type()))
    };
    let columns = result.schema.fields().iter().zip(columns).map(convert);
    Ok(DataFrame::new(rows, columns.collect::<anyhow::Result<_>>()?)?)
}

fn polars_column(field: &Field, chunks: &[ArrayRef]) -> anyhow::Result<Column> {
    let name = PlSmallStr::from_str(field.name());
    let cast = |kind: &DataType| -> Result<Vec<ArrayRef>, ArrowError> {
        chunks.iter().map(|chunk| arrow::compute::cast(chunk, kind)).collect()
    };
    let series = match field.data_type() {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            let texts = cast(&DataType::Utf8View)?;
            let values = texts.iter().flat_map(AsArray::as_string_view);
            StringChunked::from_iter_options(name, values).into_series()
        }
        DataType::Boolean => {
            let values = chunks.iter().flat_map(AsArray::as_boolean);
            BooleanChunked::from_iter_options(name, values).into_series()
        }
        DataType::Date32 | DataType::Int32 => {
            let days = cast(&DataType::Int32)?;
            let values = days.iter().flat_map(AsArray::as_primitive::<Int32Type>);
            Int32Chunked::from_iter_options(name, values).into_series()
        }
        DataType::Int64 | DataType::Timestamp(..) => {
            let whole = cast(&DataType::Int64)?;
            let values = whole.iter().flat_map(AsArray::as_primitive::<Int64Type>);
            Int64Chunked::from_iter_options(name, values).into_series()
        }
        _ => {
            let floats = cast(&DataType::Float64)?;
            let values = floats.iter().flat_map(AsArray::as_primitive::<Float64Type>);
            Float64Chunked::from_iter_options(name, values).into_series()
        }
    };
    Ok(series.into_column())
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
    let mut typed = Vec::with_capacity(result.batches.iter().map(RecordBatch::num_rows).sum());
    // As JSON, rows take many times their memory, so a batch is converted at a time.
    for batch in &result.batches {
        let rows = Rows { schema: &result.schema, batches: std::slice::from_ref(batch) };
        typed.extend(serde_json::from_slice::<Vec<T>>(&json_bytes(&rows)?)?);
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Row {
        score: f64,
    }

    proptest! {
        /// A figure of a page is that of the query, to the last digit.
        #[test]
        fn numbers_of_typed_rows_are_exact(
            scores in proptest::collection::vec(POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, 1..200),
        ) {
            let schema = Arc::new(Schema::new(vec![Field::new("score", DataType::Float64, false)]));
            let column: ArrayRef = Arc::new(Float64Array::from(scores.clone()));
            let batch = RecordBatch::try_new(schema.clone(), vec![column])?;
            let rows: Vec<Row> = typed_rows(&QueryResult { schema, batches: vec![batch] })
                .map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
            let read: Vec<u64> = rows.iter().map(|row| row.score.to_bits()).collect();
            let written: Vec<u64> = scores.iter().map(|score| score.to_bits()).collect();
            prop_assert_eq!(read, written);
        }
    }
}
