//! The header of a query file: TOML in the leading `/*--- … ---*/` comment.
//!
//! - `column`: the columns and their types
//! - `check`: the checks on the rows
//! - `day_range`: the days of its inputs that one day of a rollup may read

mod check;
mod column;
mod day_range;

use std::collections::BTreeMap;

use domain::Position;
use serde::Deserialize;
use toml::Spanned;

use crate::catalog::diagnostics::parse_error::ParseError;
use crate::catalog::diagnostics::suggestion::suggest;
use check::{CheckToml, parse_check};
use column::{ColumnToml, parse_columns};

pub use check::{Check, CheckPosition, CheckRule, CheckSeverity};
pub use column::{Column, ColumnType};
pub use day_range::DayRange;

const OPEN: &str = "/*---";
const CLOSE: &str = "---*/";

/// The header of a query file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub description: String,
    pub owner: Option<String>,
    /// The columns that identify a row.
    pub grain: Vec<String>,
    pub tags: Vec<String>,
    /// In the order of the file.
    pub columns: Vec<Column>,
    pub checks: Vec<Check>,
    /// One for each check, in the same order.
    pub check_positions: Vec<CheckPosition>,
    /// Of a rollup: the days of each table that one day of the rollup may read.
    pub reads: BTreeMap<String, DayRange>,
    /// Of a view: whether its rows are computed once per run, unless they are many.
    pub keep: bool,
    /// Of a file in `checks/`.
    pub severity: CheckSeverity,
    /// Of a view: its rows in a session over some of the partners. Without it the view is computed
    /// from the sliced tables that it reads.
    pub slice: Option<ViewSlice>,
    /// The position of `grain`, or of the header where there is none.
    pub grain_position: Position,
    /// The position of `reads`, or of the header where there is none.
    pub reads_position: Position,
}

/// The rows of a view in a session over some of the partners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewSlice {
    /// The rows whose `partner_id` is one of these partners.
    PartnerId,
    /// All rows.
    Whole,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderToml {
    description: String,
    owner: Option<String>,
    grain: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    tags: Vec<String>,
    // The map does not keep the order of the file, but the spans of its values tell it.
    #[serde(default)]
    columns: BTreeMap<String, Spanned<ColumnToml>>,
    #[serde(default)]
    checks: Vec<Spanned<CheckToml>>,
    reads: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    #[serde(default)]
    keep: bool,
    #[serde(default)]
    severity: CheckSeverity,
    slice: Option<ViewSlice>,
}

/// The TOML of a header and its position in the file.
struct HeaderText<'a> {
    file: &'a str,
    body: &'a str,
    /// The byte of the file where the body begins.
    offset: usize,
}

impl<'a> HeaderText<'a> {
    /// Finds the header of a query file.
    fn find(file: &'a str) -> Result<Self, ParseError> {
        let start = file.len() - file.trim_start().len();
        let Some(body) = file[start..].strip_prefix(OPEN) else {
            let message = format!("a query file begins with its header: {OPEN} … {CLOSE}");
            let help = "`rapport metrics new` writes one to begin with";
            return Err(ParseError::new(start, message).with_help(help));
        };
        let Some(length) = body.find(CLOSE) else {
            let message = format!("the header has no end; close it with {CLOSE}");
            return Err(ParseError::new(start, message));
        };
        Ok(Self { file, body: &body[..length], offset: start + OPEN.len() })
    }

    /// Returns the position in the file of a byte of the body.
    fn position(&self, byte: usize) -> Position {
        Position::at_offset(self.file, self.offset + byte)
    }
}

/// Parses the header of a query file.
///
/// # Errors
/// No header, wrong TOML, an unknown column type, a grain that is no column.
pub(crate) fn parse_header(file: &str) -> Result<Header, ParseError> {
    let text = HeaderText::find(file)?;
    let raw: HeaderToml = toml::from_str(text.body).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        ParseError::from_toml(text.offset + start, error.message())
    })?;
    let grain_start = raw.grain.as_ref().map_or(0, |grain| grain.span().start);
    let reads_start = raw.reads.as_ref().map_or(0, |reads| reads.span().start);
    let columns = parse_columns(raw.columns, &text)?;
    let mut checks = Vec::new();
    let mut check_positions = Vec::new();
    for check in raw.checks {
        let (check, start, verbatim) = parse_check(check, text.body, &columns)
            .map_err(|error| ParseError { offset: text.offset + error.offset, ..error })?;
        checks.push(check);
        check_positions.push(CheckPosition { position: text.position(start), verbatim });
    }
    let grain = raw.grain.map(Spanned::into_inner).unwrap_or_default();
    if let Some(unknown) = grain.iter().find(|g| !columns.iter().any(|c| c.name == **g)) {
        let known: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let message = format!("the grain \"{unknown}\" is none of the columns");
        let error = ParseError::new(text.offset + grain_start, message);
        return Err(error.with_help(suggest(unknown, &known)));
    }
    let reads = raw.reads.map(Spanned::into_inner).unwrap_or_default();
    Ok(Header {
        description: raw.description,
        owner: raw.owner,
        grain,
        tags: raw.tags,
        columns,
        checks,
        check_positions,
        reads: parse_reads(reads, text.offset)?,
        keep: raw.keep,
        severity: raw.severity,
        slice: raw.slice,
        grain_position: text.position(grain_start),
        reads_position: text.position(reads_start),
    })
}

fn parse_reads(
    reads: BTreeMap<String, Spanned<String>>,
    offset: usize,
) -> Result<BTreeMap<String, DayRange>, ParseError> {
    let range = |(table, text): (String, Spanned<String>)| {
        let start = offset + text.span().start;
        let range = DayRange::parse(text.as_ref()).ok_or_else(|| {
            ParseError::new(start, format!("\"{}\" says no days to read", text.as_ref()))
                .with_help("write \"same\", \"lookback 7\", \"upto\" or \"all\"")
        })?;
        Ok((table, range))
    };
    reads.into_iter().map(range).collect()
}

#[cfg(test)]
mod tests;
