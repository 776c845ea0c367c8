//! Test cases of a query: rows given, rows expected, read from `NAME.test.toml`.

use std::iter::repeat;

use lake_types::{AsOf, Rates};
use serde::Deserialize;
use toml::{Spanned, Table};

use crate::case_places::Places;
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
    /// Instead of `expect`: a part of the error that is due.
    pub error: Option<String>,
    /// Where its parts stand, by their paths: `given.api_calls[2].status`.
    pub places: Places,
}

impl Case {
    /// `file:line:column` of a part, or of the nearest one around it that is written down.
    pub(crate) fn at(&self, path: &str) -> String {
        let file = self.place.rsplit_once(':').map_or(self.place.as_str(), |(file, _)| file);
        match self.places.find(path) {
            Some(place) => format!("{file}:{}:{}", place.line, place.column),
            None => format!("{}:1", self.place),
        }
    }
}

/// Something that is wrong with a case, by the path of the part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaseError {
    pub at: String,
    pub message: String,
}

impl CaseError {
    pub(crate) fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }
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
    expect: Option<Vec<Table>>,
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
    let places = Places::of_cases(text);
    let cases = parsed.case.into_iter().zip(places.into_iter().map(Some).chain(repeat(None)));
    cases
        .map(|(case, places)| {
            let offset = case.span().start;
            let line = Place::of(text, offset).line;
            let case = case.into_inner();
            let (name, places) = (case.name.clone(), places.unwrap_or_default());
            build(case, format!("{file}:{line}"), places.clone()).map_err(|error| {
                let offset = places.offset(&error.at).unwrap_or(offset);
                Fault::new(offset, format!("case \"{name}\": {}", error.message))
            })
        })
        .collect()
}

fn build(case: CaseToml, place: String, places: Places) -> Result<Case, CaseError> {
    let as_of = scalar_text(&case.as_of).parse::<AsOf>();
    let as_of = as_of.map_err(|e| CaseError::new("as_of", e.to_string()))?;
    let mut settings = Settings {
        reporting_currency: case.reporting_currency.unwrap_or_else(|| "USD".to_owned()),
        rates: Rates::default(),
        ..Settings::default()
    };
    for (i, [date, currency, rate]) in case.rates.iter().enumerate() {
        let added = settings.rates.add(date, currency, rate);
        added.map_err(|e| CaseError::new(format!("rates[{i}]"), e.to_string()))?;
    }
    let mut given = Vec::new();
    collect_given("", case.given, &mut given)?;
    if case.expect.is_some() && case.error.is_some() {
        return Err(CaseError::new("error", "say either `expect = [ … ]` or `error = \"…\"`"));
    }
    Ok(Case {
        name: case.name,
        place,
        as_of,
        settings,
        given,
        expect: case.expect,
        error: case.error,
        places,
    })
}

/// `given.raw.api_calls` is a table inside a table: its name gets the dot back.
fn collect_given(
    prefix: &str,
    tables: Table,
    into: &mut Vec<(String, Vec<Table>)>,
) -> Result<(), CaseError> {
    for (name, value) in tables {
        let at = format!("given.{prefix}{name}");
        match value {
            toml::Value::Array(rows) => {
                let rows = rows
                    .into_iter()
                    .enumerate()
                    .map(|(i, row)| match row {
                        toml::Value::Table(row) => Ok(row),
                        other => {
                            let message =
                                format!("a row of {prefix}{name} is {other}, not a table");
                            Err(CaseError::new(format!("{at}[{i}]"), message))
                        }
                    })
                    .collect::<Result<_, _>>()?;
                into.push((format!("{prefix}{name}"), rows));
            }
            toml::Value::Table(inner) if prefix.is_empty() => {
                collect_given(&format!("{name}."), inner, into)?;
            }
            other => {
                let message = format!("{at} is {other}, not a list of rows");
                return Err(CaseError::new(at, message));
            }
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
        check("[[case]]\nname = \"x\"\nas_of = \"noon\"\nexpect = []\n", "3: case \"x\": \"noon\"");
        check(
            "[[case]]\nname = \"x\"\nas_of = 2026-01-01\nrates = [\n[\"2026-01-01\", \"EUR\", \"x\"]]\nexpect = []\n",
            "5: case \"x\"",
        );
        check(
            "[[case]]\nname = \"x\"\nas_of = 2026-01-01\nexpect = []\ngiven.raw.api_calls = [\n{},\n3]\n",
            "7: case \"x\": a row of raw.api_calls is 3",
        );
        check(
            "[[case]]\nname = \"x\"\nas_of = 2026-01-01\nexpect = []\nerror = \"e\"\n",
            "either `expect",
        );
        check("[[case]]\nname = \"x\"\nas_of = 2026-01-01\nexpect = []\ngiven.a = 3\n", "given.a");
        check("\n[[case]]\nnom = \"x\"\n", "3: unknown field");
    }
}
