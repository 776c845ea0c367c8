//! Writes the rows that queries return into their test cases, and keeps the rest of the file.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType,
};
use domain::{counted, format_instant};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use crate::catalog::test_cases::TestCase;
use crate::catalog::{Catalog, Query, QueryKind};
use crate::testing::cells::{same_row, text_of};
use crate::testing::rows::{batch_of, sorted};
use crate::testing::runner::{QueryOutcome, difference, rows_of};

/// A file of cases with the recorded rows.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The whole file.
    pub text: String,
    /// The cases whose expectation changed.
    pub changes: Vec<CaseChange>,
    /// The cases that can't be recorded.
    pub failures: Vec<CaseChange>,
}

/// A case that was recorded, or that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseChange {
    pub case: String,
    pub location: String,
    /// What changed, or why the case can't be recorded.
    pub text: String,
}

/// Runs the cases of a query and writes the returned rows into the text of their file.
///
/// # Errors
/// A text that is no TOML.
pub async fn record(
    catalog: &Arc<Catalog>,
    query: &Query,
    text: &str,
) -> Result<Recording, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| e.to_string())?;
    let (mut changes, mut failures) = (Vec::new(), Vec::new());
    for (i, case) in query.cases().iter().enumerate() {
        let table = document
            .get_mut("case")
            .and_then(Item::as_array_of_tables_mut)
            .and_then(|cases| cases.get_mut(i))
            .ok_or("write each case as [[case]]")?;
        let change = |text: String| CaseChange {
            case: case.name.clone(),
            location: case.location.clone(),
            text,
        };
        match record_case(catalog, query, case, table).await {
            Ok(None) => {}
            Ok(Some(text)) => changes.push(change(text)),
            Err(text) => failures.push(change(text)),
        }
    }
    Ok(Recording { text: document.to_string(), changes, failures })
}

/// Records one case, and returns what changed, if anything.
async fn record_case(
    catalog: &Arc<Catalog>,
    query: &Query,
    case: &TestCase,
    table: &mut Table,
) -> Result<Option<String>, String> {
    let result = match rows_of(catalog, query, case).await.map_err(|error| error.message)? {
        QueryOutcome::Rows(result) => result,
        QueryOutcome::Error(error) => {
            return match &case.error {
                Some(part) if error.contains(part.as_str()) => Ok(None),
                _ => Err(format!("the query fails: {error}")),
            };
        }
    };
    let mut got = concat_batches(&result.schema, &result.batches).map_err(|e| e.to_string())?;
    if query.kind == QueryKind::View {
        // A view has no order of its own.
        got = sorted(&got, got.columns()).map_err(|e| e.to_string())?;
    }
    let expected = expected_rows(case, &got.schema());
    let is_unchanged = |row: usize| {
        expected.as_ref().is_some_and(|e| row < e.num_rows() && same_row(e, &got, row))
    };
    let same_length = expected.as_ref().is_some_and(|e| e.num_rows() == got.num_rows());
    if same_length
        && case.error.is_none()
        && case.expect.is_some()
        && (0..got.num_rows()).all(is_unchanged)
    {
        return Ok(None);
    }
    let rows = (0..got.num_rows())
        .map(|row| if is_unchanged(row) { Ok(None) } else { row_value(&got, row).map(Some) })
        .collect::<Result<Vec<_>, String>>()?;
    table.remove("error");
    let array = table.entry("expect").or_insert_with(|| Item::Value(Value::Array(Array::new())));
    write_rows(array.as_array_mut().ok_or("`expect` is no list")?, rows);
    Ok(Some(match expected {
        Some(expected) => difference(&expected, &got),
        None => format!("{} written", counted(got.num_rows(), "row")),
    }))
}

/// Returns the rows that a case expects, where they fit the columns.
fn expected_rows(case: &TestCase, schema: &SchemaRef) -> Option<RecordBatch> {
    let fields: Vec<_> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let schema: SchemaRef = Arc::new(arrow::datatypes::Schema::new(fields));
    batch_of(&schema, case.expect.as_ref()?).ok()
}

/// Writes rows into a list. `None` keeps the row of the file.
fn write_rows(array: &mut Array, rows: Vec<Option<InlineTable>>) {
    let was_empty = array.is_empty();
    while array.len() > rows.len() {
        array.remove(array.len() - 1);
    }
    let count = rows.len();
    for (i, row) in rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        if i < array.len() {
            array.replace(i, row);
        } else {
            let mut value = Value::InlineTable(row);
            value.decor_mut().set_prefix("\n    ");
            value.decor_mut().set_suffix("");
            array.push_formatted(value);
        }
    }
    if count == 0 {
        array.set_trailing("");
        array.set_trailing_comma(false);
    } else if was_empty || count > 1 {
        array.set_trailing("\n");
        array.set_trailing_comma(true);
    }
}

fn row_value(batch: &RecordBatch, row: usize) -> Result<InlineTable, String> {
    let mut table = InlineTable::new();
    for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
        if let Some(value) = cell(column, row)? {
            table.insert(field.name(), value);
        }
    }
    Ok(table)
}

/// Returns a cell as TOML, or `None` for NULL, which is left out.
fn cell(column: &ArrayRef, row: usize) -> Result<Option<Value>, String> {
    if column.is_null(row) {
        return Ok(None);
    }
    Ok(Some(match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int32 => i64::from(column.as_primitive::<Int32Type>().value(row)).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Timestamp(..) => {
            format_instant(column.as_primitive::<TimestampMicrosecondType>().value(row)).into()
        }
        DataType::Date32 => {
            let date: toml_edit::Datetime =
                text_of(column, row).parse().map_err(|e| format!("a date: {e}"))?;
            date.into()
        }
        DataType::Decimal128(..) => {
            let text = text_of(column, row);
            let text = if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                text
            };
            text.into()
        }
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let values = (0..items.len()).map(|i| cell(&items, i));
            let mut array = Array::new();
            for value in values {
                array.push(value?.ok_or("a NULL in a list")?);
            }
            array.into()
        }
        DataType::Struct(fields) => {
            let mut table = InlineTable::new();
            for (inner, field) in column.as_struct().columns().iter().zip(fields) {
                if let Some(value) = cell(inner, row)? {
                    table.insert(field.name(), value);
                }
            }
            table.into()
        }
        other => return Err(format!("a case can't hold a {other}")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "/*---\ndescription = \"d\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = { type = \"Utf8\" }\nmonth = { type = \"Date32\" }\nshare = { type = \"Float64\" }\namount = { type = \"Decimal(38, 2)\" }\nat = { type = \"Timestamp\" }\n---*/\nSELECT partner_id, month_start(event_date) AS month, CAST(status AS DOUBLE) / 400 AS share,\n  CAST(latency_us AS DECIMAL(38, 2)) AS amount, occurred_at AS at\nFROM api_calls ORDER BY partner_id, event_id";

    fn recorded(cases: &str) -> Recording {
        let files = [("metrics/m.sql", SQL), ("metrics/m.test.toml", cases)];
        let catalog = Arc::new(Catalog::of_texts(&files));
        assert_eq!(catalog.diagnostics(), []);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let query = catalog.get("m").expect("the query");
        runtime.block_on(record(&catalog, query, cases)).expect("a recording")
    }

    #[test]
    fn rows_are_recorded_and_the_rest_is_kept() {
        let head = "# why\n[[case]]\nname = \"one\" # here\nas_of = 2026-02-01\ngiven.api_calls = [\n    { partner_id = \"a\", occurred_at = \"2026-01-02\", status = 200, latency_us = 5 },\n    { partner_id = \"b\", occurred_at = \"2026-01-03T01:02:03.5Z\", status = 400 },\n]\n";
        let a = "{ partner_id = \"a\", month = 2026-01-01, share = 0.5, amount = \"5\", at = \"2026-01-02T00:00:00Z\" }";
        let b = "{ partner_id = \"b\", month = 2026-01-01, share = 1.0, at = \"2026-01-03T01:02:03.5Z\" }";
        let tail = "\n[[case]]\nname = \"two\"\nas_of = 2026-02-01\nexpect = []\n";
        let recorded_text = format!("{head}expect = [\n    {a},\n    {b},\n]\n{tail}");
        // A case without an expectation, with an empty list or with an error is recorded the same.
        for before in ["", "expect = []\n", "error = \"x\"\n"] {
            let recording = recorded(&format!("{head}{before}{tail}"));
            assert_eq!(recording.text, recorded_text, "{before}");
            assert_eq!(recording.changes.len(), 1, "{before}");
            assert_eq!(recording.failures, []);
        }
        let wrong = recorded_text.replace("share = 1.0", "share = 0.9");
        let recording = recorded(&wrong);
        assert_eq!(recording.text, recorded_text);
        assert!(recording.changes[0].text.contains("share: expected 0.9, got 1.0"));
        assert_eq!(recorded(&recorded_text).text, recorded_text);
        assert_eq!(recorded(&recorded_text).changes, []);
    }

    #[test]
    fn an_unchanged_row_keeps_its_comment() {
        let cases = "[[case]]\nname = \"one\"\nas_of = 2026-02-01\ngiven.api_calls = [{ partner_id = \"a\", occurred_at = \"2026-01-02\" }]\nexpect = [\n    # half\n    { partner_id = \"a\",   share = 0.5, month = \"2026-01-01\", at = \"2026-01-02\" },\n    { partner_id = \"z\" },\n]\n";
        let expected = cases.replace("    { partner_id = \"z\" },\n", "");
        assert_eq!(recorded(cases).text, expected);
    }
}
