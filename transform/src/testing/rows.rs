//! Converts the rows of a test case from TOML to Arrow batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, partition, take};
use arrow::datatypes::{DataType, Date32Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use domain::{Day, parse_instant};
use toml::{Table, Value};

use crate::catalog::Query;
use crate::catalog::diagnostics::suggestion::suggest;
use crate::catalog::header::ColumnType;
use crate::catalog::test_cases::{TestCaseError, scalar_text};

/// A problem of the rows of a case, with the row and the column that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowsError {
    pub row: Option<usize>,
    pub column: Option<String>,
    pub message: String,
}

impl RowsError {
    fn new(row: usize, column: &str, message: impl Into<String>) -> Self {
        let column = (!column.is_empty()).then(|| column.to_owned());
        Self { row: Some(row), column, message: message.into() }
    }

    /// Returns the error of the case. `list` is the path of the rows.
    pub(crate) fn in_list(self, list: &str) -> TestCaseError {
        let row = self.row.map(|row| format!("[{row}]")).unwrap_or_default();
        let column = self.column.map(|column| format!(".{column}")).unwrap_or_default();
        TestCaseError::new(format!("{list}{row}{column}"), format!("{list}: {}", self.message))
    }
}

impl From<ArrowError> for RowsError {
    fn from(error: ArrowError) -> Self {
        Self { row: None, column: None, message: error.to_string() }
    }
}

/// Fills the columns of an event that a case leaves out.
pub(crate) fn fill_event(row: &mut Table, i: usize, schema: &Schema) -> Result<(), RowsError> {
    let occurred = row.get("occurred_at").map(scalar_text);
    let missing = || RowsError::new(i, "", format!("row {} has no occurred_at", i + 1));
    let occurred = occurred.ok_or_else(missing)?;
    let micros = parse_instant(&occurred).ok_or_else(|| {
        let message = format!("row {}: \"{occurred}\" is no instant", i + 1);
        RowsError::new(i, "occurred_at", message)
    })?;
    let instant = Value::String(domain::format_instant(micros));
    row.insert("occurred_at".to_owned(), instant.clone());
    row.insert("event_date".to_owned(), Value::String(Day::of_micros(micros).to_string()));
    let defaults = [
        ("event_id", Value::String(format!("event-{i}"))),
        ("environment", Value::String("production".to_owned())),
        ("status", Value::Integer(200)),
        ("topic", Value::String("given".to_owned())),
        ("kafka_partition", Value::Integer(0)),
        ("kafka_offset", Value::Integer(i64::try_from(i).unwrap_or(i64::MAX))),
        ("arrival", instant.clone()),
        ("ingested_at", instant),
        ("late", Value::Boolean(false)),
    ];
    for (name, value) in defaults {
        if schema.field_with_name(name).is_ok() {
            row.entry(name).or_insert(value);
        }
    }
    Ok(())
}

/// Fills the counts and sums of a rollup's row that a case leaves out with 0.
pub(crate) fn fill_rollup(row: &mut Table, query: &Query) {
    for column in &query.header.columns {
        let zero = match column.column_type {
            ColumnType::Int64 | ColumnType::Decimal(..) => Value::Integer(0),
            ColumnType::Utf8 if column.name == "environment" => {
                Value::String("production".to_owned())
            }
            _ => continue,
        };
        row.entry(column.name.clone()).or_insert(zero);
    }
}

/// Returns rows as a batch of a schema; an absent column is NULL.
pub(crate) fn batch_of(schema: &SchemaRef, rows: &[Table]) -> Result<RecordBatch, RowsError> {
    for (i, row) in rows.iter().enumerate() {
        if let Some(unknown) = row.keys().find(|k| schema.field_with_name(k).is_err()) {
            let known: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let message = format!("no column \"{unknown}\"; {}", suggest(unknown, &known));
            return Err(RowsError::new(i, unknown, message));
        }
    }
    let objects = rows.iter().map(|row| object_of(schema, row)).collect::<Result<Vec<_>, _>>()?;
    decoded(schema, &objects)
        .map_err(|error| wrong_cell(schema, rows).unwrap_or_else(|| error.into()))
}

fn decoded(schema: &SchemaRef, rows: &[serde_json::Value]) -> Result<RecordBatch, ArrowError> {
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(Arc::clone(schema)));
    }
    let mut decoder = ReaderBuilder::new(Arc::clone(schema)).build_decoder()?;
    decoder.serialize(rows)?;
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
}

fn object_of(schema: &SchemaRef, row: &Table) -> Result<serde_json::Value, ArrowError> {
    let mut object = serde_json::Map::new();
    for (name, value) in row {
        object.insert(name.clone(), json_of(value, schema.field_with_name(name)?.data_type()));
    }
    Ok(serde_json::Value::Object(object))
}

/// Returns an error for the first cell whose value does not fit its column. The decoder's own error
/// does not name the cell.
fn wrong_cell(schema: &SchemaRef, rows: &[Table]) -> Option<RowsError> {
    for (i, row) in rows.iter().enumerate() {
        for (name, value) in row {
            let field = schema.field_with_name(name).ok()?.clone().with_nullable(true);
            let kind = field.data_type().clone();
            let one: SchemaRef = Arc::new(Schema::new(vec![field]));
            let cell = Table::from_iter([(name.clone(), value.clone())]);
            let read = object_of(&one, &cell).and_then(|object| decoded(&one, &[object]));
            if read.is_err() {
                let message = format!("{name} = {value} is no {kind}");
                return Some(RowsError::new(i, name, message));
            }
        }
    }
    None
}

fn json_of(value: &Value, kind: &DataType) -> serde_json::Value {
    use serde_json::Value as Json;
    match (value, kind) {
        (Value::Array(items), DataType::List(inside)) => {
            Json::Array(items.iter().map(|item| json_of(item, inside.data_type())).collect())
        }
        (Value::Table(row), DataType::Struct(fields)) => Json::Object(
            row.iter()
                .map(|(name, value)| {
                    let field = fields.iter().find(|f| f.name() == name);
                    let kind = field.map_or(&DataType::Null, |f| f.data_type());
                    (name.clone(), json_of(value, kind))
                })
                .collect(),
        ),
        (Value::Boolean(flag), _) => Json::Bool(*flag),
        (Value::Integer(number), DataType::Float64) => Json::from(*number as f64),
        (Value::Float(number), DataType::Float64) => {
            serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number)
        }
        (Value::Integer(number), DataType::Int32 | DataType::Int64) => Json::from(*number),
        // All other values are exact as text: decimals, dates, instants, strings.
        (other, _) => Json::String(scalar_text(other)),
    }
}

/// Returns the events of each day, sorted by (partner_id, occurred_at) as in a file of the lake.
pub(crate) fn split_by_day(batch: &RecordBatch) -> Result<Vec<(Day, RecordBatch)>, ArrowError> {
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let column = |name: &str| -> Result<ArrayRef, ArrowError> {
        Ok(Arc::clone(batch.column(batch.schema().index_of(name)?)))
    };
    let keys = [column("event_date")?, column("partner_id")?, column("occurred_at")?];
    let sorted = sorted(batch, &keys)?;
    let days = Arc::clone(sorted.column(batch.schema().index_of("event_date")?));
    Ok(partition(std::slice::from_ref(&days))?
        .ranges()
        .into_iter()
        .map(|range| {
            let day = Day(days.as_primitive::<Date32Type>().value(range.start));
            (day, sorted.slice(range.start, range.end - range.start))
        })
        .collect())
}

/// Returns the rows sorted by columns.
pub(crate) fn sorted(batch: &RecordBatch, keys: &[ArrayRef]) -> Result<RecordBatch, ArrowError> {
    let keys: Vec<SortColumn> = keys
        .iter()
        .map(|values| SortColumn { values: Arc::clone(values), options: None })
        .collect();
    let order: UInt32Array = lexsort_to_indices(&keys, None)?;
    let columns =
        batch.columns().iter().map(|c| take(c, &order, None)).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(batch.schema(), columns)
}
