//! The rows of an answer as JSON: those of `rapport sql --format json`, with decimals and large integers
//! as text, since readers of JSON take numbers as floats (RFC 8259, section 6).

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use serve::SqlValues;

use super::sql_process::{MAX_BYTES, MAX_ROWS};
use crate::commands::sql::single_statement;

/// The largest integer up to which a float holds every one.
const MAX_INTEGER: u64 = 1 << 53;

/// A column of an answer.
pub(super) struct Column {
    name: String,
    is_decimal: bool,
}

/// Returns the query that has the columns of another one and no rows; `None` for what is no query of
/// rows, such as EXPLAIN, which has no decimals either.
pub(super) fn without_rows(query: &str) -> Option<String> {
    let statement = single_statement(query)?;
    let first: String = statement.chars().take_while(char::is_ascii_alphabetic).collect();
    let has_rows = ["select", "with", "values"].contains(&first.to_lowercase().as_str());
    (has_rows || first.is_empty()).then(|| format!("SELECT * FROM (\n{statement}\n) LIMIT 0"))
}

/// Returns the columns of an answer in Parquet.
pub(super) fn columns_of(parquet: Vec<u8>) -> anyhow::Result<Vec<Column>> {
    let (schema, _) = lake::parquet_rows(parquet)?;
    let columns = schema.fields().iter().map(|field| Column {
        name: field.name().clone(),
        is_decimal: field.data_type().is_decimal(),
    });
    Ok(columns.collect())
}

/// Returns the rows of a JSON array with an object a line, without a last row that is cut. Without
/// `columns` they are those of the first row.
pub(super) fn of_json(json: &[u8], mut columns: Option<Vec<Column>>) -> anyhow::Result<SqlValues> {
    let text = String::from_utf8_lossy(json);
    let mut answer = SqlValues { is_cut: json.len() as u64 == MAX_BYTES, ..SqlValues::default() };
    for line in text.lines() {
        let row = line.trim_start_matches('[').trim_end_matches([',', ']']);
        if row.is_empty() {
            continue;
        }
        let JsonRow(cells) = match serde_json::from_str(row) {
            Ok(row) => row,
            Err(_) if answer.is_cut => break,
            Err(error) => return Err(error.into()),
        };
        if answer.rows.len() == MAX_ROWS {
            answer.is_cut = true;
            break;
        }
        let columns = columns.get_or_insert_with(|| untyped(&cells));
        let values = cells.iter().enumerate().map(|(i, (_, cell))| {
            value(cell, columns.get(i).is_some_and(|column| column.is_decimal))
        });
        answer.rows.push(values.collect::<Result<_, _>>()?);
    }
    answer.columns = columns.into_iter().flatten().map(|column| column.name).collect();
    Ok(answer)
}

fn untyped(cells: &[(String, &RawValue)]) -> Vec<Column> {
    cells.iter().map(|(name, _)| Column { name: name.clone(), is_decimal: false }).collect()
}

/// Returns a value as every reader of JSON reads it.
fn value(cell: &RawValue, is_decimal: bool) -> Result<Value, serde_json::Error> {
    let value: Value = serde_json::from_str(cell.get())?;
    let is_text = match &value {
        Value::Number(number) => {
            let integer = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
            is_decimal || integer.is_some_and(|integer| integer > MAX_INTEGER)
        }
        _ => false,
    };
    Ok(if is_text { Value::String(cell.get().to_owned()) } else { value })
}

/// The values of a row with their names, in the order of the columns.
struct JsonRow<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for JsonRow<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Cells)
    }
}

struct Cells;

impl<'de> Visitor<'de> for Cells {
    type Value = JsonRow<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut cells = Vec::new();
        while let Some(cell) = map.next_entry()? {
            cells.push(cell);
        }
        Ok(JsonRow(cells))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn column(name: &str, is_decimal: bool) -> Column {
        Column { name: name.to_owned(), is_decimal }
    }

    #[test]
    fn values_are_those_of_json_where_it_holds_them() {
        let json = br#"[{"n":1,"text":null,"amount":1.50,"share":0.5,"is":true},
{"n":-9007199254740993,"text":"","amount":null,"share":1.0e17,"is":null}]
"#;
        let columns = [("n", false), ("text", false), ("amount", true), ("share", false)]
            .map(|(name, is_decimal)| column(name, is_decimal));
        let columns = columns.into_iter().chain([column("is", false)]).collect();
        let found = of_json(json, Some(columns)).expect("an answer");
        assert_eq!(found.columns, ["n", "text", "amount", "share", "is"]);
        let rows =
            json!([[1, null, "1.50", 0.5, true], ["-9007199254740993", "", null, 1.0e17, null],]);
        assert_eq!(json!(found.rows), rows);
        assert!(!found.is_cut);
    }

    #[test]
    fn an_answer_without_rows_has_its_columns() {
        let found = of_json(b"[]\n", Some(vec![column("a", false)])).expect("an answer");
        assert_eq!((found.columns.len(), found.rows.len()), (1, 0));
        let found = of_json(b"[{\"b\":1,\"a\":9007199254740992}]\n", None).expect("an answer");
        assert_eq!(found.columns, ["b", "a"]);
        assert_eq!(json!(found.rows), json!([[1, 9_007_199_254_740_992_i64]]));
        assert!(of_json(b"[{\"b\":1,", None).is_err());
    }

    #[test]
    fn the_query_of_the_columns_holds_the_other_one() {
        let check = |query: &str, text: Option<&str>| {
            assert_eq!(without_rows(query).as_deref(), text);
        };
        let one = Some("SELECT * FROM (\nSELECT 1\n) LIMIT 0");
        check("SELECT 1;\n", one);
        check("SELECT 1; -- one", one);
        check("SELECT 1 -- one", Some("SELECT * FROM (\nSELECT 1 -- one\n) LIMIT 0"));
        check("(SELECT 1)", Some("SELECT * FROM (\n(SELECT 1)\n) LIMIT 0"));
        check("EXPLAIN SELECT 1", None);
        check("show tables", None);
    }
}
