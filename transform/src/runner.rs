//! Runs the test cases of queries: given rows in, expected rows compared with what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float64Type, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::runtime::SpawnedTask;
use lake_types::{Stream, counted};
use serde::Serialize;
use toml::Table;

use crate::arrivals::{self, ARRIVALS, Arrivals};
use crate::cases::{Case, CaseError};
use crate::catalog::{Catalog, Kind, Query};
use crate::data_checks::Verdict;
use crate::error::Result;
use crate::inputs::arrivals_table;
use crate::provider::{EventSource, EventTable};
use crate::rows::{RowsError, batch_of, fill_event, fill_rollup, sorted, split_by_day};
use crate::session::{QueryResult, Session, context_without_lake};
use crate::{tables, texts};

/// What came of one case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    pub query: String,
    pub case: String,
    /// `queries/metrics/funnel.test.toml:12:1`: the case, or the row that is wrong.
    pub place: String,
    /// `None` when it holds; else what differs, in lines.
    pub failure: Option<String>,
}

/// Runs the cases of every query that `wanted` lets through, as many at once as there are cores;
/// in the order of their names.
pub async fn run_tests(catalog: &Arc<Catalog>, wanted: impl Fn(&str) -> bool) -> Vec<CaseResult> {
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut results = Vec::new();
    let mut running: VecDeque<SpawnedTask<CaseResult>> = VecDeque::new();
    for query in catalog.queries().filter(|q| wanted(&q.name)) {
        for case in &query.cases {
            if running.len() == at_once
                && let Some(first) = running.pop_front()
            {
                results.extend(first.join_unwind().await);
            }
            let (catalog, query, case) = (Arc::clone(catalog), query.clone(), case.clone());
            running.push_back(SpawnedTask::spawn(async move {
                result_of(&catalog, &query, &case).await
            }));
        }
    }
    for task in running {
        results.extend(task.join_unwind().await);
    }
    results
}

async fn result_of(catalog: &Arc<Catalog>, query: &Query, case: &Case) -> CaseResult {
    let failure = run_case(catalog, query, case).await.err();
    let at = failure.as_ref().map(|failure| failure.at.as_str()).unwrap_or_default();
    CaseResult {
        query: query.name.clone(),
        case: case.name.clone(),
        place: case.at(at),
        failure: failure.map(|failure| failure.text),
    }
}

/// Why a case does not hold.
struct Failure {
    /// The part of the case that is wrong or differs, by its path; of the whole case nothing.
    at: String,
    text: String,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { at: String::new(), text }
    }
}

impl From<CaseError> for Failure {
    fn from(error: CaseError) -> Self {
        Self { at: error.at, text: error.message }
    }
}

/// What a query gives for a case.
pub(crate) enum QueryRows {
    Rows(QueryResult),
    Error(String),
}

/// Runs a query over the rows of a case.
///
/// # Errors
/// What is wrong with the case itself.
pub(crate) async fn rows_of(
    catalog: &Arc<Catalog>,
    query: &Query,
    case: &Case,
) -> std::result::Result<QueryRows, CaseError> {
    Ok(rows_in(&session_of(catalog, case)?, query).await)
}

async fn rows_in(session: &Result<Session>, query: &Query) -> QueryRows {
    let rows = match session {
        Ok(session) => session.metric(&query.name).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    rows.map_or_else(QueryRows::Error, QueryRows::Rows)
}

/// Rows that a case expects are rows that the checks of the header let through.
async fn pass_checks(
    session: &Session,
    query: &Query,
    rows: &QueryResult,
) -> std::result::Result<(), Failure> {
    let findings = session.check(&query.name, rows, &Verdict::default()).await;
    let findings = findings.map_err(|error| error.to_string())?;
    match findings.holding() {
        Some(finding) => Err(format!(
            "the rows are as expected, and a check of the header holds them back\n{finding}"
        )
        .into()),
        None => Ok(()),
    }
}

async fn run_case(
    catalog: &Arc<Catalog>,
    query: &Query,
    case: &Case,
) -> std::result::Result<(), Failure> {
    let session = session_of(catalog, case)?;
    match (rows_in(&session, query).await, &case.error) {
        (QueryRows::Rows(result), None) => {
            // Rows of a view have no order of their own.
            compare(&result, case, query.kind != Kind::View)?;
            let Ok(session) = &session else { return Ok(()) };
            pass_checks(session, query, &result).await
        }
        (QueryRows::Rows(_), Some(part)) => {
            Err(CaseError::new("error", format!("expected an error with \"{part}\", got rows"))
                .into())
        }
        (QueryRows::Error(error), Some(part)) if error.contains(part.as_str()) => Ok(()),
        (QueryRows::Error(error), Some(part)) => {
            let message = format!("expected an error with \"{part}\", got: {error}");
            Err(CaseError::new("error", message).into())
        }
        (QueryRows::Error(error), None) => Err(error.into()),
    }
}

/// The session of a case; outside, what is wrong with the case itself.
pub(crate) fn session_of(
    catalog: &Arc<Catalog>,
    case: &Case,
) -> std::result::Result<Result<Session>, CaseError> {
    let mut given: BTreeMap<String, RecordBatch> = BTreeMap::new();
    for (table, rows) in &case.given {
        let at = format!("given.{table}");
        let schema = schema_of(catalog, table).map_err(|text| CaseError::new(&at, text))?;
        let batch = given_batch(catalog, table, &schema, rows).map_err(|error| error.of(&at))?;
        let plain = table.strip_prefix("raw.").unwrap_or(table).to_owned();
        if given.insert(plain, batch).is_some() {
            let message = format!("{at} is given twice");
            return Err(CaseError::new(at, message));
        }
    }
    let providers = providers_of(given).map_err(|text| CaseError::new("given", text))?;
    let ctx = context_without_lake();
    let catalog = Arc::clone(catalog);
    Ok(Session::new(ctx, catalog, case.as_of, &case.settings, providers, BTreeMap::new()))
}

type Providers = Vec<(String, Arc<dyn TableProvider>)>;

/// Every table that a query may read, empty where nothing is given.
fn providers_of(
    mut given: BTreeMap<String, RecordBatch>,
) -> std::result::Result<Providers, String> {
    let mut providers: Providers = Vec::new();
    let mut arrived = Arrivals::default();
    for stream in Stream::ALL {
        let schema = lake::schema::raw(stream).schema;
        let batch = given
            .remove(stream.table())
            .unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&schema)));
        arrived.add_rows(stream, &batch);
        providers.push((format!("{}.{}", tables::RAW_SCHEMA, stream.table()), memory(&batch)?));
        let schema = texts::in_views(&schema);
        let days = texts::cast_to(&batch, &schema).and_then(|batch| split_by_day(&batch));
        let days = days.map_err(|e| e.to_string())?;
        providers.push((
            stream.table().to_owned(),
            Arc::new(EventTable(EventSource::Memory(schema, days))),
        ));
    }
    if !given.contains_key(ARRIVALS) {
        let counted = arrivals_table(&arrived, |_| true).map_err(|e| e.to_string())?;
        providers.push((ARRIVALS.to_owned(), counted));
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
    Ok(providers)
}

fn memory(batch: &RecordBatch) -> std::result::Result<Arc<dyn TableProvider>, String> {
    texts::table_of(batch).map_err(|e| e.to_string())
}

fn schema_of(catalog: &Catalog, table: &str) -> std::result::Result<SchemaRef, String> {
    let plain = table.strip_prefix("raw.").unwrap_or(table);
    if let Some(stream) = Stream::ALL.into_iter().find(|s| s.table() == plain) {
        return Ok(lake::schema::raw(stream).schema);
    }
    if table == ARRIVALS {
        return Ok(arrivals::schema());
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
) -> std::result::Result<RecordBatch, RowsError> {
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

fn compare(result: &QueryResult, case: &Case, ordered: bool) -> std::result::Result<(), Failure> {
    let Some(expect) = &case.expect else {
        return Err("it says neither `expect` nor `error`; --record writes what comes into it"
            .to_owned()
            .into());
    };
    let mut got = concat_batches(&result.schema, &result.batches).map_err(|e| e.to_string())?;
    let nullable: Vec<_> =
        result.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(nullable));
    let mut expected = batch_of(&schema, expect).map_err(|error| error.of("expect"))?;
    if !ordered {
        got = sorted(&got, got.columns()).map_err(|e| e.to_string())?;
        expected = sorted(&expected, expected.columns()).map_err(|e| e.to_string())?;
    }
    let shared = got.num_rows().min(expected.num_rows());
    let wrong = (0..shared).find(|row| !same_row(&expected, &got, *row));
    if wrong.is_none() && got.num_rows() == expected.num_rows() {
        return Ok(());
    }
    // Sorted rows are not where the file has them.
    let row = if ordered { format!("[{}]", wrong.unwrap_or(shared)) } else { String::new() };
    Err(Failure { at: format!("expect{row}"), text: difference(&expected, &got) })
}

/// Whether two tables of the same columns have the same row there.
pub(crate) fn same_row(expected: &RecordBatch, got: &RecordBatch, row: usize) -> bool {
    got.columns().iter().zip(expected.columns()).all(|(a, b)| same_cell(a, b, row))
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

pub(crate) fn text_of(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    let quoted = matches!(array.data_type(), DataType::Utf8);
    let text = ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or_else(|e| e.to_string(), |formatter| formatter.value(row).to_string());
    if quoted { format!("\"{text}\"") } else { text }
}

/// Both tables row by row; of rows that differ, the cells.
pub(crate) fn difference(expected: &RecordBatch, got: &RecordBatch) -> String {
    let mut lines =
        vec![format!("expected {}, got {}", counted(expected.num_rows(), "row"), got.num_rows())];
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
        let text = arrow::compute::cast(&whole, &DataType::Utf8).expect("a cast");
        assert!(!same_cell(&whole, &text, 0));
    }
}
