//! The test cases of a query, which `NAME.test.toml` contains: input rows and expected rows.

use std::iter::repeat;

use domain::{AsOf, ExchangeRates, Position};
use serde::Deserialize;
use toml::{Spanned, Table};

use crate::catalog::built_in_tables::Settings;
use crate::catalog::diagnostics::parse_error::ParseError;
use crate::catalog::test_case_positions::CasePositions;

/// One test case of a query.
#[derive(Debug, Clone)]
pub struct TestCase {
    pub name: String,
    /// The file and the line where the case begins, for messages.
    pub location: String,
    pub as_of: AsOf,
    pub settings: Settings,
    /// The input rows of each table, by the name that SQL uses. `api_calls` and `raw.api_calls` are
    /// two names for the same rows.
    pub given: Vec<(String, Vec<Table>)>,
    /// The expected rows in the order of the query; an absent column is NULL. A case without
    /// `expect` and `error` has no expectation yet.
    pub expect: Option<Vec<Table>>,
    /// A part of the expected error message; only without `expect`.
    pub error: Option<String>,
    pub(crate) positions: CasePositions,
}

impl TestCase {
    /// Returns `file:line:column` of a part, or of the innermost part around it that the file
    /// contains.
    pub(crate) fn location_of(&self, path: &str) -> String {
        let file = self.location.rsplit_once(':').map_or(self.location.as_str(), |(file, _)| file);
        match self.positions.position(path) {
            Some(position) => format!("{file}:{position}"),
            None => format!("{}:1", self.location),
        }
    }
}

/// A problem of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestCaseError {
    /// The path of the part that is wrong.
    pub path: String,
    pub message: String,
}

impl TestCaseError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesToml {
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

/// Parses a file of cases.
///
/// # Errors
/// The first problem of the file.
pub(crate) fn parse_cases(file: &str, text: &str) -> Result<Vec<TestCase>, ParseError> {
    let parsed: CasesToml = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        ParseError::from_toml(offset, error.message())
    })?;
    let positions = CasePositions::of_cases(text);
    let cases = parsed.case.into_iter().zip(positions.into_iter().map(Some).chain(repeat(None)));
    cases
        .map(|(case, positions)| {
            let offset = case.span().start;
            let line = Position::at_offset(text, offset).line;
            let case = case.into_inner();
            let (name, positions) = (case.name.clone(), positions.unwrap_or_default());
            build(case, format!("{file}:{line}"), positions.clone()).map_err(|error| {
                let offset = positions.offset(&error.path).unwrap_or(offset);
                ParseError::new(offset, format!("case \"{name}\": {}", error.message))
            })
        })
        .collect()
}

fn build(
    case: CaseToml,
    location: String,
    positions: CasePositions,
) -> Result<TestCase, TestCaseError> {
    let as_of = scalar_text(&case.as_of).parse::<AsOf>();
    let as_of = as_of.map_err(|e| TestCaseError::new("as_of", e.to_string()))?;
    let mut settings = Settings {
        reporting_currency: case.reporting_currency.unwrap_or_else(|| "USD".to_owned()),
        rates: ExchangeRates::default(),
        ..Settings::default()
    };
    for (i, [date, currency, rate]) in case.rates.iter().enumerate() {
        let added = settings.rates.add(date, currency, rate);
        added.map_err(|e| TestCaseError::new(format!("rates[{i}]"), e.to_string()))?;
    }
    let mut given = Vec::new();
    collect_given("", case.given, &mut given)?;
    if case.expect.is_some() && case.error.is_some() {
        return Err(TestCaseError::new("error", "say either `expect = [ … ]` or `error = \"…\"`"));
    }
    Ok(TestCase {
        name: case.name,
        location,
        as_of,
        settings,
        given,
        expect: case.expect,
        error: case.error,
        positions,
    })
}

/// Collects the input rows by table. TOML reads `given.raw.api_calls` as a table inside a table,
/// whose name is put together again.
fn collect_given(
    prefix: &str,
    tables: Table,
    into: &mut Vec<(String, Vec<Table>)>,
) -> Result<(), TestCaseError> {
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
                            Err(TestCaseError::new(format!("{at}[{i}]"), message))
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
                return Err(TestCaseError::new(at, message));
            }
        }
    }
    Ok(())
}

/// Returns a TOML scalar as text; a string has no quotes.
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
        assert_eq!(cases[0].location, "m.test.toml:1");
        assert_eq!(cases[0].given[0].0, "api_calls");
        assert_eq!(cases[0].given[1].0, "raw.partner_events");
        assert_eq!(cases[1].location, "m.test.toml:9");
        assert_eq!(cases[1].error.as_deref(), Some("no exchange rate"));
    }

    #[test]
    fn errors_name_file_and_line() {
        #[track_caller]
        fn check(text: &str, part: &str) {
            let error = parse_cases("m.test.toml", text).expect_err("no case");
            let error = format!("{}: {}", error.span(text).start.line, error.message);
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
