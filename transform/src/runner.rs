//! Runs the test cases of queries: given rows in, expected rows compared with what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, cast, concat_batches, lexsort_to_indices, partition, take};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use lake_types::{Day, Stream, parse_instant};
use toml::{Table, Value};

use crate::cases::{Case, scalar_text};
use crate::catalog::{Catalog, Kind, Query};
use crate::error::Result;
use crate::header::ColumnType;
use crate::provider::{EventSource, EventTable};
use crate::session::{Limits, QueryResult, Session, new_context};
use crate::tables;

/// What came of one case.
#[derive(Debug, Clone)]
pub struct CaseResult {
    pub query: String,
    pub case: String,
    /// `queries/metrics/funnel.test.toml:12`.
    pub place: String,
    /// `None` when it holds; else what differs, in lines.
    pub failure: Option<String>,
}

/// Runs the cases of every query that `wanted` lets through, in the order of their names.
pub async fn run_tests(catalog: &Arc<Catalog>, wanted: impl Fn(&str) -> bool) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for query in catalog.queries().filter(|q| wanted(&q.name)) {
        for case in &query.cases {
            results.push(CaseResult {
                query: query.name.clone(),
                case: case.name.clone(),
                place: case.place.clone(),
                failure: run_case(catalog, query, case).await.err(),
            });
        }
    }
    results
}

async fn run_case(
    catalog: &Arc<Catalog>,
    query: &Query,
    case: &Case,
) -> std::result::Result<(), String> {
    let outcome = match session_of(catalog, case)? {
        Ok(session) => session.metric(&query.name).await,
        Err(error) => Err(error),
    };
    match (outcome, &case.error) {
        // Rows of a view have no order of their own.
        (Ok(result), None) => compare(&result, &case.expect, query.kind != Kind::View),
        (Ok(_), Some(part)) => Err(format!("expected an error with \"{part}\", got rows")),
        (Err(error), Some(part)) if error.to_string().contains(part.as_str()) => Ok(()),
        (Err(error), Some(part)) => Err(format!("expected an error with \"{part}\", got: {error}")),
        (Err(error), None) => Err(error.to_string()),
    }
}

fn session_of(
    catalog: &Arc<Catalog>,
    case: &Case,
) -> std::result::Result<Result<Session>, String> {
    let mut given: BTreeMap<String, RecordBatch> = BTreeMap::new();
    for (table, rows) in &case.given {
        let schema = schema_of(catalog, table)?;
        let batch = given_batch(catalog, table, &schema, rows)
            .map_err(|message| format!("given.{table}: {message}"))?;
        let plain = table.strip_prefix("raw.").unwrap_or(table).to_owned();
        if given.insert(plain, batch).is_some() {
            return Err(format!("given.{table} is given twice"));
        }
    }
    let mut providers: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
    for stream in Stream::ALL {
        let schema = lake::schema::raw(stream).schema;
        let batch = given
            .remove(stream.table())
            .unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&schema)));
        providers.push((format!("{}.{}", tables::RAW_SCHEMA, stream.table()), memory(&batch)?));
        let days = split_by_day(&batch).map_err(|e| e.to_string())?;
        providers.push((
            stream.table().to_owned(),
            Arc::new(EventTable(EventSource::Memory(schema, days))),
        ));
    }
    for name in tables::LAKE_TABLES {
        if !given.contains_key(name) {
            let empty = RecordBatch::new_empty(tables::lake_schema(name));
            providers.push((name.to_owned(), memory(&empty)?));
        }
    }
    for (name, batch) in given {
        providers.push((name, memory(&batch)?));
    }
    let ctx = new_context(Limits::default()).map_err(|e| e.to_string())?;
    let catalog = Arc::clone(catalog);
    Ok(Session::new(ctx, catalog, case.as_of, &case.settings, providers, BTreeMap::new()))
}

fn memory(batch: &RecordBatch) -> std::result::Result<Arc<dyn TableProvider>, String> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]);
    Ok(Arc::new(table.map_err(|e| e.to_string())?))
}

fn schema_of(catalog: &Catalog, table: &str) -> std::result::Result<SchemaRef, String> {
    let plain = table.strip_prefix("raw.").unwrap_or(table);
    if let Some(stream) = Stream::ALL.into_iter().find(|s| s.table() == plain) {
        return Ok(lake::schema::raw(stream).schema);
    }
    if tables::LAKE_TABLES.contains(&table) {
        return Ok(tables::lake_schema(table));
    }
    if tables::SETTING_TABLES.contains(&table) {
        let made = tables::setting_tables(&tables::Settings::default());
        let made = made.map_err(|e| e.to_string())?;
        let found = made.into_iter().find(|(name, _)| *name == table);
        return found.map(|(_, b)| b.schema()).ok_or_else(|| format!("no table {table}"));
    }
    let query = catalog.get(table).ok_or_else(|| {
        format!("given.{table}: there is no such table; use api_calls, partner_day, …")
    })?;
    let fields: Vec<_> = query
        .header
        .columns
        .iter()
        .map(|c| {
            let kind = tables::arrow_type(c.kind).ok_or_else(|| {
                format!("given.{table}: the column {} is a list; give events instead", c.name)
            });
            Ok(arrow::datatypes::Field::new(&c.name, kind?, true))
        })
        .collect::<std::result::Result<_, String>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

fn given_batch(
    catalog: &Catalog,
    table: &str,
    schema: &SchemaRef,
    rows: &[Table],
) -> std::result::Result<RecordBatch, String> {
    let plain = table.strip_prefix("raw.").unwrap_or(table);
    let is_event = Stream::ALL.iter().any(|s| s.table() == plain);
    let rollup = catalog.get(table).filter(|q| q.kind == Kind::Rollup);
    let mut filled = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let mut row = row.clone();
        if is_event {
            fill_event(&mut row, i, schema)?;
        }
        if let Some(query) = rollup {
            fill_rollup(&mut row, query);
        }
        filled.push(row);
    }
    batch_of(schema, &filled)
}

/// What a case need not say of an event.
fn fill_event(row: &mut Table, i: usize, schema: &Schema) -> std::result::Result<(), String> {
    let occurred = row.get("occurred_at").map(scalar_text);
    let occurred = occurred.ok_or_else(|| format!("row {} has no occurred_at", i + 1))?;
    let micros = parse_instant(&occurred)
        .ok_or_else(|| format!("row {}: \"{occurred}\" is no instant", i + 1))?;
    let instant = Value::String(lake_types::format_instant(micros));
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

/// Counts and sums that a case leaves out are 0.
fn fill_rollup(row: &mut Table, query: &Query) {
    for column in &query.header.columns {
        let zero = match column.kind {
            ColumnType::Int64 | ColumnType::Decimal(..) => Value::Integer(0),
            ColumnType::Utf8 if column.name == "environment" => {
                Value::String("production".to_owned())
            }
            _ => continue,
        };
        row.entry(column.name.clone()).or_insert(zero);
    }
}

/// Rows written in TOML as a batch of that schema; an absent column is NULL.
fn batch_of(schema: &SchemaRef, rows: &[Table]) -> std::result::Result<RecordBatch, String> {
    for row in rows {
        if let Some(unknown) = row.keys().find(|k| schema.field_with_name(k).is_err()) {
            let known: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(format!("no column \"{unknown}\"; there are {}", known.join(", ")));
        }
    }
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(Arc::clone(schema)));
    }
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let mut object = serde_json::Map::new();
            for (name, value) in row {
                let field = schema.field_with_name(name).map_err(|e| e.to_string())?;
                object.insert(name.clone(), json_of(value, field.data_type()));
            }
            Ok(serde_json::Value::Object(object))
        })
        .collect::<std::result::Result<_, String>>()?;
    let mut decoder =
        ReaderBuilder::new(Arc::clone(schema)).build_decoder().map_err(|e| e.to_string())?;
    decoder.serialize(&rows).map_err(|e| e.to_string())?;
    let batch = decoder.flush().map_err(|e| e.to_string())?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
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
        // Everything else is exact as text: decimals, dates, instants, strings.
        (other, _) => Json::String(scalar_text(other)),
    }
}

/// The arrivals of each day, sorted by (partner_id, occurred_at) as in a file of the lake.
fn split_by_day(
    batch: &RecordBatch,
) -> std::result::Result<Vec<(Day, RecordBatch)>, arrow::error::ArrowError> {
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let column = |name: &str| -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
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

fn sorted(
    batch: &RecordBatch,
    keys: &[ArrayRef],
) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
    let keys: Vec<SortColumn> = keys
        .iter()
        .map(|values| SortColumn { values: Arc::clone(values), options: None })
        .collect();
    let order: UInt32Array = lexsort_to_indices(&keys, None)?;
    let columns = batch
        .columns()
        .iter()
        .map(|c| take(c, &order, None))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    RecordBatch::try_new(batch.schema(), columns)
}

fn compare(
    result: &QueryResult,
    expect: &[Table],
    ordered: bool,
) -> std::result::Result<(), String> {
    let mut got = concat_batches(&result.schema, &result.batches).map_err(|e| e.to_string())?;
    let nullable: Vec<_> = result
        .schema
        .fields()
        .iter()
        .map(|f| f.as_ref().clone().with_nullable(true))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(nullable));
    let mut expected = batch_of(&schema, expect).map_err(|message| format!("expect: {message}"))?;
    if !ordered {
        got = sorted(&got, got.columns()).map_err(|e| e.to_string())?;
        expected = sorted(&expected, expected.columns()).map_err(|e| e.to_string())?;
    }
    let mut same = got.num_rows() == expected.num_rows();
    for (a, b) in got.columns().iter().zip(expected.columns()) {
        same = same && (0..got.num_rows()).all(|row| same_cell(a, b, row));
    }
    if same {
        return Ok(());
    }
    Err(difference(&expected, &got))
}

/// Floats may differ by a billionth of their size, everything else not at all.
fn same_cell(a: &ArrayRef, b: &ArrayRef, row: usize) -> bool {
    if let (Some(a), Some(b)) =
        (a.as_primitive_opt::<Float64Type>(), b.as_primitive_opt::<Float64Type>())
        && a.is_valid(row)
        && b.is_valid(row)
    {
        let (a, b) = (a.value(row), b.value(row));
        return a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    }
    text_of(a, row) == text_of(b, row)
}

fn text_of(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    let quoted = matches!(array.data_type(), DataType::Utf8);
    let text = ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or_else(|e| e.to_string(), |formatter| formatter.value(row).to_string());
    if quoted { format!("\"{text}\"") } else { text }
}

/// Both tables row by row; of rows that differ, the cells.
fn difference(expected: &RecordBatch, got: &RecordBatch) -> String {
    let mut lines =
        vec![format!("expected {} rows, got {}", expected.num_rows(), got.num_rows())];
    let schema = got.schema();
    let row_text = |batch: &RecordBatch, row: usize| -> String {
        let cells = batch.columns().iter().zip(schema.fields());
        let cells: Vec<_> =
            cells.map(|(c, f)| format!("{} = {}", f.name(), text_of(c, row))).collect();
        cells.join(", ")
    };
    for row in 0..expected.num_rows().max(got.num_rows()) {
        if row >= got.num_rows() {
            lines.push(format!("- row {}: {}", row + 1, row_text(expected, row)));
            continue;
        }
        if row >= expected.num_rows() {
            lines.push(format!("+ row {}: {}", row + 1, row_text(got, row)));
            continue;
        }
        let columns = expected.columns().iter().zip(got.columns()).zip(schema.fields());
        let cells: Vec<_> = columns
            .filter(|((e, g), _)| !same_cell(g, e, row))
            .map(|((e, g), f)| {
                format!("{}: expected {}, got {}", f.name(), text_of(e, row), text_of(g, row))
            })
            .collect();
        if cells.is_empty() {
            lines.push(format!("  row {}: as expected", row + 1));
        } else {
            lines.push(format!("! row {}: {}", row + 1, cells.join("; ")));
            lines.push(format!("    got {}", row_text(got, row)));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `QUERY=funnel cargo test …` runs the cases of one query.
    #[tokio::test]
    async fn every_case_of_the_queries_holds() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../queries");
        let catalog = Arc::new(Catalog::of_folder(&folder).expect("the queries"));
        let only = std::env::var("QUERY").ok();
        let results =
            run_tests(&catalog, |name| only.as_deref().is_none_or(|only| only == name)).await;
        let failed: Vec<String> = results
            .iter()
            .filter_map(|r| {
                let failure = r.failure.as_ref()?;
                Some(format!("{} \"{}\" ({})\n{failure}\n", r.query, r.case, r.place))
            })
            .collect();
        assert!(failed.is_empty(), "{} of {}\n{}", failed.len(), results.len(), failed.join("\n"));
    }

    #[test]
    fn cells_are_compared_by_type() {
        use arrow::array::{Float64Array, Int64Array};
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(0.0), None]));
        let close: ArrayRef = Arc::new(Float64Array::from(vec![1.0 + 1e-10, 1e-300, 0.0]));
        let cells: Vec<bool> = (0..3).map(|row| same_cell(&floats, &close, row)).collect();
        assert_eq!(cells, [true, false, false]);
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let text = cast(&whole, &DataType::Utf8).expect("a cast");
        assert!(!same_cell(&whole, &text, 0));
    }
}
