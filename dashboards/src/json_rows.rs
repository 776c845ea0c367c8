//! The rows of a CSV as JSON objects.

use std::str::FromStr;

use serde_json::{Map, Number, Value};

use crate::input::QueryDoc;

/// Returns the rows of a CSV with a header. Integers, floats and booleans are JSON's own, by the type
/// of their column; all else is text, decimals too, so that no digit is lost. An empty field is null.
pub(crate) fn of_csv(csv: &str, doc: Option<&QueryDoc>) -> Vec<Map<String, Value>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    let kind = |name: &str| {
        let column = doc?.columns.iter().find(|column| column.name == name)?;
        Some(column.kind.as_str())
    };
    let kinds: Vec<Option<&str>> = names.iter().map(kind).collect();
    let row = |record: csv::StringRecord| {
        let values = record.iter().zip(&kinds).map(|(text, kind)| value(text, *kind));
        names.iter().map(str::to_owned).zip(values).collect()
    };
    reader.records().filter_map(Result::ok).map(row).collect()
}

fn value(text: &str, kind: Option<&str>) -> Value {
    let as_text = || Value::String(text.to_owned());
    match kind {
        _ if text.is_empty() => Value::Null,
        Some("Boolean") => text.parse().map_or_else(|_| as_text(), Value::Bool),
        Some(kind) if is_number(kind) => {
            Number::from_str(text).map_or_else(|_| as_text(), Value::Number)
        }
        _ => as_text(),
    }
}

fn is_number(kind: &str) -> bool {
    ["Int", "UInt", "Float"].iter().any(|prefix| kind.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::ColumnDoc;

    #[test]
    fn values_have_the_type_of_their_column() {
        let kinds = [
            ("n", "Int64"),
            ("share", "Float64"),
            ("gross", "Decimal(38, 2)"),
            ("name", "Utf8"),
            ("late", "Boolean"),
        ];
        let column = |(name, kind): (&str, &str)| ColumnDoc {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..ColumnDoc::default()
        };
        let doc = QueryDoc { columns: kinds.map(column).into(), ..QueryDoc::default() };
        let csv =
            "n,share,gross,name,late\n9007199254740993,0.25,12.30,\"a, \"\"b\"\"\",true\n,,,,\n";
        let rows = of_csv(csv, Some(&doc)).into_iter().map(Value::Object).collect();
        let expected = json!([
            { "n": 9_007_199_254_740_993_i64, "share": 0.25, "gross": "12.30", "name": "a, \"b\"", "late": true },
            { "n": null, "share": null, "gross": null, "name": null, "late": null },
        ]);
        assert_eq!(Value::Array(rows), expected);
    }
}
