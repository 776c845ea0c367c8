//! Runs the test cases of queries and compares the rows that they return with the expected ones.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::runtime::SpawnedTask;
use domain::{Stream, counted};
use serde::Serialize;
use toml::Table;

use crate::catalog::built_in_tables;
use crate::catalog::built_in_tables::ARRIVALS;
use crate::catalog::test_cases::{TestCase, TestCaseError};
use crate::catalog::{Catalog, Query, QueryKind};
use crate::data_checks::CheckOutcome;
use crate::engine::Engine;
use crate::engine::arrivals::{self, Arrivals, arrivals_table};
use crate::engine::context::context_without_lake;
use crate::engine::scan::{EventSource, EventTable};
use crate::engine::session::Session;
use crate::engine::session::query::QueryResult;
use crate::engine::utf8_view;
use crate::error::Result;
use crate::testing::cells::{same_cell, same_row, text_of};
use crate::testing::rows::{RowsError, batch_of, fill_event, fill_rollup, sorted, split_by_day};

/// The result of one test case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    pub query: String,
    pub case: String,
    /// The position of the case or of its wrong row: `queries/metrics/funnel.test.toml:12:1`.
    #[serde(rename = "place")]
    pub location: String,
    /// The differences, in lines; `None` where the case passes.
    pub failure: Option<String>,
}

/// Runs the cases of the queries for which `wanted` is true, as many at once as there are cores.
/// Results come in the order of the queries' names.
pub async fn run_tests(catalog: &Arc<Catalog>, wanted: impl Fn(&str) -> bool) -> Vec<CaseResult> {
    let max_running = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut results = Vec::new();
    let mut running: VecDeque<SpawnedTask<CaseResult>> = VecDeque::new();
    for query in catalog.queries().filter(|q| wanted(&q.name)) {
        for case in query.cases() {
            if running.len() == max_running
                && let Some(first) = running.pop_front()
            {
                results.extend(first.join_unwind().await);
            }
            let (catalog, query, case) = (Arc::clone(catalog), query.clone(), case.clone());
            running.push_back(SpawnedTask::spawn(async move {
                case_result(&catalog, &query, &case).await
            }));
        }
    }
    for task in running {
        results.extend(task.join_unwind().await);
    }
    results
}

impl Engine {
    /// Runs the cases of the named queries, or of all queries where no name is given.
    pub async fn test(&self, names: &[String]) -> Vec<CaseResult> {
        let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
        run_tests(&self.catalog, wanted).await
    }
}

async fn case_result(catalog: &Arc<Catalog>, query: &Query, case: &TestCase) -> CaseResult {
    let failure = run_case(catalog, query, case).await.err();
    let path = failure.as_ref().map(|failure| failure.path.as_str()).unwrap_or_default();
    CaseResult {
        query: query.name.clone(),
        case: case.name.clone(),
        location: case.location_of(path),
        failure: failure.map(|failure| failure.message),
    }
}

/// Why a case fails.
struct CaseFailure {
    /// The path of the part of the case that is wrong or differs; empty for the whole case.
    path: String,
    message: String,
}

impl From<String> for CaseFailure {
    fn from(message: String) -> Self {
        Self { path: String::new(), message }
    }
}

impl From<TestCaseError> for CaseFailure {
    fn from(error: TestCaseError) -> Self {
        Self { path: error.path, message: error.message }
    }
}

/// The rows that a query returns for a case, or its error.
pub(crate) enum QueryOutcome {
    Rows(QueryResult),
    Error(String),
}

/// Runs a query over the input rows of a case.
///
/// # Errors
/// A case that is wrong itself.
pub(crate) async fn rows_of(
    catalog: &Arc<Catalog>,
    query: &Query,
    case: &TestCase,
) -> std::result::Result<QueryOutcome, TestCaseError> {
    Ok(rows_in(&session_of(catalog, case)?, query).await)
}

async fn rows_in(session: &Result<Session>, query: &Query) -> QueryOutcome {
    let rows = match session {
        Ok(session) => session.metric(&query.name).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    rows.map_or_else(QueryOutcome::Error, QueryOutcome::Rows)
}

/// Runs the checks of the header over rows that are as expected. A case fails where a check blocks
/// them.
async fn run_header_checks(
    session: &Session,
    query: &Query,
    rows: &QueryResult,
) -> std::result::Result<(), CaseFailure> {
    let violations = session.check(&query.name, rows, &CheckOutcome::default()).await;
    let violations = violations.map_err(|error| error.to_string())?;
    match violations.blocking() {
        Some(violation) => Err(format!(
            "the rows are as expected, and a check of the header holds them back\n{violation}"
        )
        .into()),
        None => Ok(()),
    }
}

async fn run_case(
    catalog: &Arc<Catalog>,
    query: &Query,
    case: &TestCase,
) -> std::result::Result<(), CaseFailure> {
    let session = session_of(catalog, case)?;
    match (rows_in(&session, query).await, &case.error) {
        (QueryOutcome::Rows(result), None) => {
            // A view has no order of its own.
            compare(&result, case, query.kind != QueryKind::View)?;
            let Ok(session) = &session else { return Ok(()) };
            run_header_checks(session, query, &result).await
        }
        (QueryOutcome::Rows(_), Some(part)) => {
            Err(TestCaseError::new("error", format!("expected an error with \"{part}\", got rows"))
                .into())
        }
        (QueryOutcome::Error(error), Some(part)) if error.contains(part.as_str()) => Ok(()),
        (QueryOutcome::Error(error), Some(part)) => {
            let message = format!("expected an error with \"{part}\", got: {error}");
            Err(TestCaseError::new("error", message).into())
        }
        (QueryOutcome::Error(error), None) => Err(error.into()),
    }
}

/// Returns a session over the input rows of a case. The outer error is that of a case that is wrong
/// itself, the inner one is that of the session.
pub(crate) fn session_of(
    catalog: &Arc<Catalog>,
    case: &TestCase,
) -> std::result::Result<Result<Session>, TestCaseError> {
    let mut given: BTreeMap<String, RecordBatch> = BTreeMap::new();
    for (table, rows) in &case.given {
        let at = format!("given.{table}");
        let schema = schema_of(catalog, table).map_err(|text| TestCaseError::new(&at, text))?;
        let batch =
            given_batch(catalog, table, &schema, rows).map_err(|error| error.in_list(&at))?;
        let plain = table.strip_prefix("raw.").unwrap_or(table).to_owned();
        if given.insert(plain, batch).is_some() {
            let message = format!("{at} is given twice");
            return Err(TestCaseError::new(at, message));
        }
    }
    let providers = providers_of(given).map_err(|text| TestCaseError::new("given", text))?;
    let ctx = context_without_lake();
    let catalog = Arc::clone(catalog);
    Ok(Session::new(ctx, catalog, case.as_of, &case.settings, providers, BTreeMap::new()))
}

/// Table providers by name.
type Providers = Vec<(String, Arc<dyn TableProvider>)>;

/// Returns every table that a query may read. A table that the case does not give is empty.
fn providers_of(
    mut given: BTreeMap<String, RecordBatch>,
) -> std::result::Result<Providers, String> {
    let mut providers: Providers = Vec::new();
    let mut arrivals = Arrivals::default();
    for stream in Stream::ALL {
        let schema = lake::schema::raw(stream).schema;
        let batch = given
            .remove(stream.table())
            .unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&schema)));
        arrivals.add_rows(stream, &batch);
        providers
            .push((format!("{}.{}", built_in_tables::RAW_SCHEMA, stream.table()), memory(&batch)?));
        let schema = utf8_view::in_views(&schema);
        let days = utf8_view::cast_to(&batch, &schema).and_then(|batch| split_by_day(&batch));
        let days = days.map_err(|e| e.to_string())?;
        providers.push((
            stream.table().to_owned(),
            Arc::new(EventTable(EventSource::Memory(schema, days))),
        ));
    }
    if !given.contains_key(ARRIVALS) {
        let counted = arrivals_table(&arrivals, |_| true).map_err(|e| e.to_string())?;
        providers.push((ARRIVALS.to_owned(), counted));
    }
    for name in built_in_tables::LAKE_TABLES {
        if !given.contains_key(name) {
            let empty = RecordBatch::new_empty(built_in_tables::lake_schema(name));
            providers.push((name.to_owned(), memory(&empty)?));
        }
    }
    for (name, batch) in given {
        providers.push((name, memory(&batch)?));
    }
    Ok(providers)
}

fn memory(batch: &RecordBatch) -> std::result::Result<Arc<dyn TableProvider>, String> {
    utf8_view::table_of(batch).map_err(|e| e.to_string())
}

/// Returns the columns of the rows that a case gives for a table.
fn schema_of(catalog: &Catalog, table: &str) -> std::result::Result<SchemaRef, String> {
    let plain = table.strip_prefix("raw.").unwrap_or(table);
    if let Some(stream) = Stream::ALL.into_iter().find(|s| s.table() == plain) {
        return Ok(lake::schema::raw(stream).schema);
    }
    if table == ARRIVALS {
        return Ok(arrivals::schema());
    }
    if built_in_tables::LAKE_TABLES.contains(&table) {
        return Ok(built_in_tables::lake_schema(table));
    }
    if built_in_tables::SETTING_TABLES.contains(&table) {
        let made = built_in_tables::setting_tables(&built_in_tables::Settings::default());
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
            let kind = c.column_type.arrow_type().ok_or_else(|| {
                format!("given.{table}: the column {} is a list; give events instead", c.name)
            });
            Ok(Field::new(&c.name, kind?, true))
        })
        .collect::<std::result::Result<_, String>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Returns the rows that a case gives for a table, with defaults for absent columns.
fn given_batch(
    catalog: &Catalog,
    table: &str,
    schema: &SchemaRef,
    rows: &[Table],
) -> std::result::Result<RecordBatch, RowsError> {
    let plain = table.strip_prefix("raw.").unwrap_or(table);
    let is_event = Stream::ALL.iter().any(|s| s.table() == plain);
    let rollup = catalog.get(table).filter(|q| q.kind == QueryKind::Rollup);
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

/// Compares the rows of a query with those that the case expects.
fn compare(
    result: &QueryResult,
    case: &TestCase,
    ordered: bool,
) -> std::result::Result<(), CaseFailure> {
    let Some(expect) = &case.expect else {
        return Err("it says neither `expect` nor `error`; --record writes what comes into it"
            .to_owned()
            .into());
    };
    let mut got = concat_batches(&result.schema, &result.batches).map_err(|e| e.to_string())?;
    let nullable: Vec<_> =
        result.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(nullable));
    let mut expected = batch_of(&schema, expect).map_err(|error| error.in_list("expect"))?;
    if !ordered {
        got = sorted(&got, got.columns()).map_err(|e| e.to_string())?;
        expected = sorted(&expected, expected.columns()).map_err(|e| e.to_string())?;
    }
    let shared = got.num_rows().min(expected.num_rows());
    let wrong = (0..shared).find(|row| !same_row(&expected, &got, *row));
    if wrong.is_none() && got.num_rows() == expected.num_rows() {
        return Ok(());
    }
    // Rows of a view were sorted, so their index is not that in the file.
    let row = if ordered { format!("[{}]", wrong.unwrap_or(shared)) } else { String::new() };
    Err(CaseFailure { path: format!("expect{row}"), message: difference(&expected, &got) })
}

/// Describes both batches row by row, and rows that differ cell by cell.
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
    async fn every_case_of_the_queries_passes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../queries");
        let catalog = Arc::new(Catalog::of_folder(&folder).expect("the queries"));
        let only = std::env::var("QUERY").ok();
        let results =
            run_tests(&catalog, |name| only.as_deref().is_none_or(|only| only == name)).await;
        let failed: Vec<String> = results
            .iter()
            .filter_map(|r| {
                let failure = r.failure.as_ref()?;
                Some(format!("{} \"{}\" ({})\n{failure}\n", r.query, r.case, r.location))
            })
            .collect();
        assert!(failed.is_empty(), "{} of {}\n{}", failed.len(), results.len(), failed.join("\n"));
    }
}
