//! The metadata file of a CSV in the form of CSV on the Web: definition, columns, day, run and
//! table versions.
//!
//! The file is `NAME.csv-metadata.json`, as the W3C's "Metadata Vocabulary for Tabular Data"
//! (<https://www.w3.org/TR/tabular-metadata/>) requires. Properties that this vocabulary lacks come
//! from those whose prefixes it knows: Dublin Core (`dc`), schema.org (`schema`) and PROV (`prov`).

use serde_json::{Map, Value, json};

use crate::input::{ColumnDoc, Provenance, QueryDoc, ReportInput};
use crate::{paths, timestamps};

/// Returns the metadata of one of the input's CSVs as JSON.
pub(crate) fn metadata(input: &ReportInput, name: &str) -> String {
    let doc = input.queries.get(name).or_else(|| input.tables.get(name));
    let provenance = input.provenance.get(name).cloned().unwrap_or_else(|| Provenance {
        as_of: input.as_of,
        made_at: input.generated_at,
        run: input.run.clone(),
        versions: input.versions.clone(),
    });
    let mut about = Map::new();
    about.insert("@context".to_owned(), json!("http://www.w3.org/ns/csvw"));
    about.insert("url".to_owned(), json!(file_name(&paths::csv(name))));
    about.insert("dc:title".to_owned(), json!(name));
    if let Some(doc) = doc {
        about.insert("dc:description".to_owned(), json!(doc.description));
        if let Some(owner) = &doc.owner {
            about.insert("dc:creator".to_owned(), json!(owner));
        }
    }
    if input.queries.contains_key(name) {
        let page = format!("../{}", paths::sql(name));
        about.insert("dc:source".to_owned(), json!({ "@id": page }));
    }
    // The rows count everything before this instant, and nothing at or after it.
    about.insert(
        "schema:temporalCoverage".to_owned(),
        json!(format!("../{}", timestamps::midnight(provenance.as_of))),
    );
    if let Some(made_at) = provenance.made_at {
        about.insert(
            "dc:created".to_owned(),
            json!({ "@value": timestamps::rfc_3339(made_at), "@type": "xsd:dateTime" }),
        );
    }
    if let Some(run) = &provenance.run {
        about.insert("prov:wasGeneratedBy".to_owned(), json!({ "dc:identifier": run }));
    }
    let versions: Vec<Value> = provenance
        .versions
        .iter()
        .map(|(table, version)| json!({ "dc:title": table, "schema:version": version }))
        .collect();
    about.insert("prov:wasDerivedFrom".to_owned(), Value::Array(versions));
    about.insert("tableSchema".to_owned(), schema(doc));
    let mut text = format!("{:#}", Value::Object(about));
    text.push('\n');
    text
}

/// Returns the number of rows of a CSV after its header. A line break inside quotes belongs to its
/// field.
pub(crate) fn row_count(csv: &str) -> i64 {
    let mut quoted = false;
    let mut lines: i64 = 0;
    for byte in csv.trim_end().bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => lines += 1,
            _ => {}
        }
    }
    lines
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn schema(doc: Option<&QueryDoc>) -> Value {
    let columns = doc.map_or(&[][..], |doc| doc.columns.as_slice());
    let mut schema = Map::new();
    schema.insert("columns".to_owned(), columns.iter().map(column).collect());
    let grain = doc.map_or(&[][..], |doc| doc.grain.as_slice());
    if !grain.is_empty() {
        schema.insert("primaryKey".to_owned(), json!(grain));
    }
    Value::Object(schema)
}

fn column(doc: &ColumnDoc) -> Value {
    let mut column = Map::new();
    column.insert("name".to_owned(), json!(doc.name));
    column.insert("titles".to_owned(), json!(doc.name));
    column.insert("datatype".to_owned(), json!(datatype(&doc.kind)));
    if let Some(text) = &doc.description {
        column.insert("dc:description".to_owned(), json!(text));
    }
    if let Some(unit) = &doc.unit {
        column.insert("schema:unitText".to_owned(), json!(unit));
    }
    Value::Object(column)
}

/// Returns the XML Schema type of a column. A type without a counterpart is text.
fn datatype(kind: &str) -> &'static str {
    match kind {
        kind if kind.starts_with("Decimal") => "decimal",
        kind if kind.starts_with("Int") || kind.starts_with("UInt") => "integer",
        kind if kind.starts_with("Float") => "double",
        kind if kind.starts_with("Date") => "date",
        kind if kind.starts_with("Timestamp") => "dateTime",
        "Boolean" => "boolean",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_metadata_describes_the_csv() {
        let column = |name: &str, kind: &str, unit: Option<&str>| ColumnDoc {
            name: name.to_owned(),
            kind: kind.to_owned(),
            unit: unit.map(str::to_owned),
            description: None,
        };
        let doc = QueryDoc {
            description: "Active partners by month".to_owned(),
            owner: Some("partner-analytics".to_owned()),
            grain: vec!["month".to_owned()],
            columns: vec![
                column("month", "Date32", None),
                column("gross", "Decimal", Some("reporting_currency")),
            ],
            ..QueryDoc::default()
        };
        let input = ReportInput {
            as_of: "2026-09-15".parse().expect("a date"),
            run: Some("593".to_owned()),
            versions: BTreeMap::from([("raw/api_calls".to_owned(), 12)]),
            queries: BTreeMap::from([("growth".to_owned(), doc)]),
            ..ReportInput::default()
        };
        let about: Value = serde_json::from_str(&metadata(&input, "growth")).expect("JSON");
        assert_eq!(about["@context"], "http://www.w3.org/ns/csvw");
        assert_eq!(about["url"], "growth.csv");
        assert_eq!(about["dc:description"], "Active partners by month");
        assert_eq!(about["dc:source"]["@id"], "../sql/growth.html");
        assert_eq!(about["schema:temporalCoverage"], "../2026-09-15T00:00:00Z");
        assert_eq!(about["prov:wasGeneratedBy"]["dc:identifier"], "593");
        let derived = json!([{ "dc:title": "raw/api_calls", "schema:version": 12 }]);
        assert_eq!(about["prov:wasDerivedFrom"], derived);
        let schema = &about["tableSchema"];
        assert_eq!(schema["primaryKey"], json!(["month"]));
        assert_eq!(schema["columns"][0]["datatype"], "date");
        assert_eq!(schema["columns"][1]["datatype"], "decimal");
        assert_eq!(schema["columns"][1]["schema:unitText"], "reporting_currency");
    }

    #[test]
    fn rows_are_counted() {
        #[track_caller]
        fn check(csv: &str, expected: i64) {
            assert_eq!(row_count(csv), expected);
        }
        check("a,b\n", 0);
        check("a,b\n1,2\n3,4\n", 2);
        check("a\n\"x\ny\"\n", 1);
    }
}
