//! Test cases of a query: rows given, rows expected, read from `NAME.test.toml`.

use lake_types::{AsOf, Rates};
use serde::Deserialize;
use toml::{Spanned, Table};

use crate::header::Fault;
use crate::mistake::Place;
use crate::tables::Settings;

/// One case: what the tables hold, and what the query must give.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    /// The file and line it begins at, for messages.
    pub place: String,
    pub as_of: AsOf,
    pub settings: Settings,
    /// Rows by table, as SQL names it; `raw.api_calls` and `api_calls` are the same arrivals.
    pub given: Vec<(String, Vec<Table>)>,
    /// In the order the query must give them; an absent column is NULL. Without it and `error`
    /// nothing is expected yet.
    pub expect: Option<Vec<Table>>,
    /// Where each of them stands, and the list.
    pub expect_places: Vec<Place>,
    pub expect_place: Option<Place>,
    /// Instead of `expect`: a part of the error that is due.
    pub error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileToml {
    case: Vec<Spanned<CaseToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseToml {
    name: String,
    as_of: toml::Value,
    reporting_currency: Option<String>,
    #[serde(default)]
    rates: Vec<[String; 3]>,
    #[serde(default)]
    given: Table,
    expect: Option<Spanned<Vec<Spanned<Table>>>>,
    error: Option<String>,
}

/// Reads a file of cases.
///
/// # Errors
/// The first thing that is wrong in it.
pub(crate) fn parse_cases(file: &str, text: &str) -> Result<Vec<Case>, Fault> {
    let parsed: FileToml = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Fault::of_toml(offset, error.message())
    })?;
    parsed
        .case
        .into_iter()
        .map(|case| {
            let offset = case.span().start;
            let line = Place::of(text, offset).line;
            let case = case.into_inner();
            let name = case.name.clone();
            build(case, format!("{file}:{line}"), text)
                .map_err(|message| Fault::new(offset, format!("case \"{name}\": {message}")))
        })
        .collect()
}

fn build(case: CaseToml, place: String, text: &str) -> Result<Case, String> {
    let as_of = scalar_text(&case.as_of).parse::<AsOf>().map_err(|e| e.to_string())?;
    let mut settings = Settings {
        reporting_currency: case.reporting_currency.unwrap_or_else(|| "USD".to_owned()),
        rates: Rates::default(),
        ..Settings::default()
    };
    for [date, currency, rate] in &case.rates {
        settings.rates.add(date, currency, rate).map_err(|e| e.to_string())?;
    }
    let mut given = Vec::new();
    collect_given("", case.given, &mut given)?;
    if case.expect.is_some() && case.error.is_some() {
        return Err("say either `expect = [ … ]` or `error = \"…\"`".to_owned());
    }
    let expect_place = case.expect.as_ref().map(|rows| Place::of(text, rows.span().start));
    let rows = case.expect.map(Spanned::into_inner);
    let places = rows.iter().flatten().map(|row| Place::of(text, row.span().start)).collect();
    Ok(Case {
        name: case.name,
        place,
        as_of,
        settings,
        given,
        expect: rows.map(|rows| rows.into_iter().map(Spanned::into_inner).collect()),
        expect_places: places,
        expect_place,
        error: case.error,
    })
}

/// `given.raw.api_calls` is a table inside a table: its name gets the dot back.
fn collect_given(
    prefix: &str,
    tables: Table,
    into: &mut Vec<(String, Vec<Table>)>,
) -> Result<(), String> {
    for (name, value) in tables {
        match value {
            toml::Value::Array(rows) => {
                let rows = rows
                    .into_iter()
                    .map(|row| match row {
                        toml::Value::Table(row) => Ok(row),
                        other => Err(format!("a row of {prefix}{name} is {other}, not a table")),
                    })
                    .collect::<Result<_, _>>()?;
                into.push((format!("{prefix}{name}"), rows));
            }
            toml::Value::Table(inner) if prefix.is_empty() => {
                collect_given(&format!("{name}."), inner, into)?;
            }
            other => return Err(format!("given.{prefix}{name} is {other}, not a list of rows")),
        }
    }
    Ok(())
}

/// A TOML scalar as the text a person would write.
pub(crate) fn scalar_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_cases() {
        let cases = parse_cases(
            "m.test.toml",
            "[[case]]\nname = \"one\"\nas_of = 2026-01-31\nrates = [[\"2026-01-01\", \"EUR\", \"1.1\"]]\ngiven.api_calls = [ { partner_id = \"a\" } ]\ngiven.raw.partner_events = []\nexpect = []\n\n[[case]]\nname = \"two\"\nas_of = \"2026-02-01T00:00:00Z\"\nerror = \"no exchange rate\"\n",
        )
        .expect("two cases");
        assert_eq!(cases[0].place, "m.test.toml:1");
        assert_eq!(cases[0].given[0].0, "api_calls");
        assert_eq!(cases[0].given[1].0, "raw.partner_events");
        assert_eq!(cases[1].place, "m.test.toml:9");
        assert_eq!(cases[1].error.as_deref(), Some("no exchange rate"));
    }

    #[test]
    fn errors_name_file_and_line() {
        #[track_caller]
        fn check(text: &str, part: &str) {
            let fault = parse_cases("m.test.toml", text).expect_err("no case");
            let error = format!("{}: {}", fault.area(text).place.line, fault.message);
            assert!(error.contains(part), "{error}");
        }
        check("[[case]]\nname = \"x\"\n", "1: missing field `as_of`");
        check("[[case]]\nname = \"x\"\nas_of = \"noon\"\nexpect = []\n", "case \"x\": \"noon\"");
        check(
            "[[case]]\nname = \"x\"\nas_of = 2026-01-01\nexpect = []\nerror = \"e\"\n",
            "either `expect",
        );
        check("[[case]]\nname = \"x\"\nas_of = 2026-01-01\nexpect = []\ngiven.a = 3\n", "given.a");
        check("\n[[case]]\nnom = \"x\"\n", "3: unknown field");
    }
}
