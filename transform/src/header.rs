//! The header of a query file: TOML in the leading `/*--- … ---*/` comment.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, TimeUnit};
use lake_types::Day;
use serde::Deserialize;
use toml::Spanned;

use crate::mistake::{Area, Place};
use crate::nearest::{nearest, suggest};

const OPEN: &str = "/*---";
const CLOSE: &str = "---*/";

/// What a query file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub description: String,
    pub owner: Option<String>,
    /// The columns that identify a row.
    pub grain: Vec<String>,
    pub tags: Vec<String>,
    /// In the order the query gives them.
    pub columns: Vec<Column>,
    pub checks: Vec<Check>,
    /// Where the SQL of each check stands, in the order of the checks; of another rule the check.
    pub check_places: Vec<CheckPlace>,
    /// Of a rollup: for each table, which of its days one day of the rollup may read.
    pub reads: BTreeMap<String, Reach>,
    /// Of a view: it is read often, so its rows are computed once for a run unless they are many.
    pub keep: bool,
    /// Of a file in `checks/`.
    pub severity: Severity,
    /// Of a view: what becomes of it where only some partners are looked at.
    pub slice: Option<ViewSlice>,
    /// Where `grain` and `reads` stand; the header itself where they don't.
    pub grain_place: Place,
    pub reads_place: Place,
}

/// What a view shows in a session that looks at some partners only. One that does not say is
/// computed from what it reads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewSlice {
    /// The rows whose `partner_id` is one of them.
    PartnerId,
    /// All of it.
    Whole,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: ColumnType,
    /// `ratio`, `reporting_currency`, `seconds` …
    pub unit: Option<String>,
    pub description: Option<String>,
    /// Where its name and its type stand.
    pub place: Place,
    pub type_place: Place,
}

/// Which days of a table one day of a rollup may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Same,
    /// This many days before it, and itself.
    Lookback(i32),
    /// Itself and every day before.
    UpTo,
    All,
}

impl Reach {
    /// Whether it may go back to the first day there is.
    pub fn is_endless(self) -> bool {
        matches!(self, Self::UpTo | Self::All)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "same" => Self::Same,
            "upto" => Self::UpTo,
            "all" => Self::All,
            _ => Self::Lookback(text.strip_prefix("lookback ")?.trim().parse().ok()?),
        })
    }

    /// As a header writes it.
    pub fn text(self) -> String {
        match self {
            Self::Same => "same".to_owned(),
            Self::Lookback(days) => format!("lookback {days}"),
            Self::UpTo => "upto".to_owned(),
            Self::All => "all".to_owned(),
        }
    }

    /// Whether `day` of the rollup may read `input`.
    pub fn covers(self, day: Day, input: Day) -> bool {
        match self {
            Self::Same => input == day,
            Self::Lookback(days) => input <= day && input >= day.plus(-days),
            Self::UpTo => input <= day,
            Self::All => true,
        }
    }
}

/// One expectation on the rows of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub rule: Rule,
    pub severity: Severity,
}

/// Where the text of a check stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckPlace {
    pub place: Place,
    /// The file has the text as it is, without escapes: a place in it is a place in the file.
    pub verbatim: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// These columns together are never the same in two rows.
    Unique(Vec<String>),
    /// These columns are never NULL.
    NotNull(Vec<String>),
    /// A query, over the rows as `this`, that gives those that are wrong.
    Sql(String),
}

/// What becomes of rows that a check finds wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// They are held back, and the last good ones stay.
    #[default]
    Error,
    /// They are published, and it is said.
    Warn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckToml {
    unique: Option<Vec<Spanned<String>>>,
    not_null: Option<Vec<Spanned<String>>>,
    sql: Option<Spanned<String>>,
    #[serde(default)]
    severity: Severity,
}

/// The check and where its text begins in the header's body, with whether it stands there as it is.
fn read_check(
    raw: Spanned<CheckToml>,
    body: &str,
    columns: &[Column],
) -> Result<(Check, usize, bool), Fault> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    let severity = raw.severity;
    let (rule, named) = match (raw.unique, raw.not_null, raw.sql) {
        (Some(named), None, None) => (Rule::Unique as fn(_) -> _, named),
        (None, Some(named), None) => (Rule::NotNull as fn(_) -> _, named),
        (None, None, Some(sql)) => {
            let written = body.get(sql.span()).unwrap_or_default();
            let inside = written.find(sql.as_ref().as_str());
            let at = sql.span().start + inside.unwrap_or_default();
            let rule = Rule::Sql(sql.into_inner());
            return Ok((Check { rule, severity }, at, inside.is_some()));
        }
        _ => {
            let message = "a check says one of: unique = [columns], not_null = [columns], sql = \"SELECT the wrong rows FROM this\"";
            return Err(Fault::new(at, message));
        }
    };
    if let Some(unknown) = named.iter().find(|n| !columns.iter().any(|c| c.name == *n.as_ref())) {
        let known: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let message =
            format!("the check names \"{}\", which is none of the columns", unknown.as_ref());
        let help = suggest(unknown.as_ref(), &known);
        return Err(Fault::new(unknown.span().start, message).help(help));
    }
    let rule = rule(named.into_iter().map(Spanned::into_inner).collect());
    Ok((Check { rule, severity }, at, false))
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unique(columns) => write!(f, "unique = {columns:?}"),
            Self::NotNull(columns) => write!(f, "not_null = {columns:?}"),
            Self::Sql(sql) => {
                f.write_str(sql.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
            }
        }
    }
}

/// The types a column may have, as a header writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    Utf8,
    Boolean,
    Int32,
    Int64,
    Float64,
    Date32,
    /// Microseconds, UTC.
    Timestamp,
    /// `Decimal` alone is money: (38, 12).
    Decimal(u8, i8),
    /// A list of structs; what is in it is the query's business.
    List,
}

impl ColumnType {
    const NAMES: &'static str =
        "Utf8, Boolean, Int32, Int64, Float64, Date32, Timestamp, Decimal, Decimal(p, s), List";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "Utf8" => Self::Utf8,
            "Boolean" => Self::Boolean,
            "Int32" => Self::Int32,
            "Int64" => Self::Int64,
            "Float64" => Self::Float64,
            "Date32" => Self::Date32,
            "Timestamp" => Self::Timestamp,
            "Decimal" => Self::Decimal(38, 12),
            "List" => Self::List,
            _ => {
                let inside = text.strip_prefix("Decimal(")?.strip_suffix(')')?;
                let (precision, scale) = inside.split_once(',')?;
                Self::Decimal(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
            }
        })
    }

    /// Whether a result's column is of this type; how a string is laid out does not matter.
    pub fn accepts(self, actual: &DataType) -> bool {
        match (self, actual) {
            (Self::Utf8, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
            | (Self::Boolean, DataType::Boolean)
            | (Self::Int32, DataType::Int32)
            | (Self::Int64, DataType::Int64)
            | (Self::Float64, DataType::Float64)
            | (Self::Date32, DataType::Date32)
            | (Self::List, DataType::List(_)) => true,
            (Self::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) => {
                zone.as_ref() == "UTC"
            }
            (Self::Decimal(p, s), DataType::Decimal128(precision, scale)) => {
                p == *precision && s == *scale
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for ColumnType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Decimal(p, s) => write!(f, "Decimal({p}, {s})"),
            other => write!(f, "{other:?}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderToml {
    description: String,
    owner: Option<String>,
    grain: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    tags: Vec<String>,
    // The map loses the order of the file; the spans of its values bring it back.
    #[serde(default)]
    columns: BTreeMap<String, Spanned<ColumnToml>>,
    #[serde(default)]
    checks: Vec<Spanned<CheckToml>>,
    reads: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    #[serde(default)]
    keep: bool,
    #[serde(default)]
    severity: Severity,
    slice: Option<ViewSlice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnToml {
    r#type: Spanned<String>,
    unit: Option<String>,
    description: Option<String>,
}

/// What is wrong in a header or a file of cases, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The byte of the file it begins at.
    pub offset: usize,
    pub message: String,
    pub help: Option<String>,
}

impl Fault {
    pub(crate) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), help: None }
    }

    /// What TOML says; of a name that it does not expect, with the nearest of those it does.
    pub(crate) fn of_toml(offset: usize, message: &str) -> Self {
        let fault = Self::new(offset, message.trim_end());
        let mut names = message.split('`').skip(1).step_by(2);
        let name = names.next().filter(|_| message.starts_with("unknown field"));
        match name.and_then(|name| nearest(name, names)) {
            Some(other) => fault.help(format!("did you mean `{other}`?")),
            None => fault,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn area(&self, text: &str) -> Area {
        Area::line_from(text, self.offset)
    }
}

/// Reads the header of a query file.
///
/// # Errors
/// No header, broken TOML, a type that is none, a grain that is no column.
pub(crate) fn parse_header(text: &str) -> Result<Header, Fault> {
    let start = text.len() - text.trim_start().len();
    let Some(body) = text[start..].strip_prefix(OPEN) else {
        let message = format!("a query file begins with its header: {OPEN} … {CLOSE}");
        return Err(
            Fault::new(start, message).help("`rapport metrics new` writes one to begin with")
        );
    };
    let from = start + OPEN.len();
    let Some(length) = body.find(CLOSE) else {
        return Err(Fault::new(start, format!("the header has no end; close it with {CLOSE}")));
    };
    let raw: HeaderToml = toml::from_str(&body[..length]).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Fault::of_toml(from + offset, error.message())
    })?;
    let place = |offset: usize| Place::of(text, from + offset);
    let grain_place = raw.grain.as_ref().map_or(0, |grain| grain.span().start);
    let reads_place = raw.reads.as_ref().map_or(0, |reads| reads.span().start);
    let mut columns: Vec<_> = raw.columns.into_iter().collect();
    columns.sort_by_key(|(_, column)| column.span().start);
    let columns: Vec<Column> = columns
        .into_iter()
        .map(|(name, column)| {
            let at = column.span().start;
            let line = body[..at].rfind('\n').map_or(0, |line| line + 1);
            let column = column.into_inner();
            let type_at = column.r#type.span().start;
            let kind = ColumnType::parse(column.r#type.as_ref()).ok_or_else(|| {
                let message = format!("\"{}\" is no type", column.r#type.as_ref());
                Fault::new(from + type_at, message)
                    .help(format!("a column is one of {}", ColumnType::NAMES))
            })?;
            Ok(Column {
                name,
                kind,
                unit: column.unit,
                description: column.description,
                place: place(line),
                type_place: place(type_at),
            })
        })
        .collect::<Result<_, Fault>>()?;
    let mut checks = Vec::new();
    let mut check_places = Vec::new();
    for check in raw.checks {
        let (check, at, verbatim) = read_check(check, &body[..length], &columns)
            .map_err(|fault| Fault { offset: from + fault.offset, ..fault })?;
        checks.push(check);
        check_places.push(CheckPlace { place: place(at), verbatim });
    }
    let grain = raw.grain.map(Spanned::into_inner).unwrap_or_default();
    if let Some(unknown) = grain.iter().find(|g| !columns.iter().any(|c| c.name == **g)) {
        let known: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let message = format!("the grain \"{unknown}\" is none of the columns");
        return Err(Fault::new(from + grain_place, message).help(suggest(unknown, &known)));
    }
    let reads = raw
        .reads
        .map(Spanned::into_inner)
        .unwrap_or_default()
        .into_iter()
        .map(|(table, text)| {
            let at = from + text.span().start;
            let reach = Reach::parse(text.as_ref()).ok_or_else(|| {
                Fault::new(at, format!("\"{}\" says no days to read", text.as_ref()))
                    .help("write \"same\", \"lookback 7\", \"upto\" or \"all\"")
            })?;
            Ok((table, reach))
        })
        .collect::<Result<_, Fault>>()?;
    Ok(Header {
        description: raw.description,
        owner: raw.owner,
        grain,
        tags: raw.tags,
        columns,
        checks,
        check_places,
        reads,
        keep: raw.keep,
        severity: raw.severity,
        slice: raw.slice,
        grain_place: place(grain_place),
        reads_place: place(reads_place),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_the_order_of_the_file() {
        let header = parse_header(
            "/*---\ndescription = \"d\"\ngrain = [\"z\"]\n\n[columns]\nz = { type = \"Date32\" }\na = { type = \"Decimal\", unit = \"reporting_currency\" }\nm = { type = \"Decimal(38, 0)\" }\n\n[[checks]]\nunique = [\"z\"]\n[[checks]]\nsql = \"SELECT 1\"\nseverity = \"warn\"\n---*/\nSELECT 1",
        )
        .expect("a header");
        let columns: Vec<_> = header.columns.iter().map(|c| (c.name.as_str(), c.kind)).collect();
        assert_eq!(
            columns,
            [
                ("z", ColumnType::Date32),
                ("a", ColumnType::Decimal(38, 12)),
                ("m", ColumnType::Decimal(38, 0))
            ]
        );
        assert_eq!(
            header.checks,
            [
                Check { rule: Rule::Unique(vec!["z".to_owned()]), severity: Severity::Error },
                Check { rule: Rule::Sql("SELECT 1".to_owned()), severity: Severity::Warn }
            ]
        );
    }

    #[test]
    fn the_text_of_a_check_has_its_place() {
        let header = parse_header(
            "/*---\ndescription = \"d\"\n[columns]\nb = { type = \"Utf8\" }\n[[checks]]\nsql = \"SELECT 1\"\n[[checks]]\nsql = \"\"\"\nSELECT 2\"\"\"\n[[checks]]\nsql = \"SELECT \\\"b\\\"\"\n---*/",
        )
        .expect("a header");
        let places: Vec<_> = header
            .check_places
            .iter()
            .map(|c| (c.place.line, c.place.column, c.verbatim))
            .collect();
        assert_eq!(places, [(6, 8, true), (9, 1, true), (11, 7, false)]);
    }

    #[test]
    fn days_that_may_be_read() {
        #[track_caller]
        fn check(text: &str, days: &[i32]) {
            let reach = Reach::parse(text).expect("a reach");
            let read: Vec<i32> = (0..6).filter(|i| reach.covers(Day(4), Day(*i))).collect();
            assert_eq!(read, days, "{text}");
        }
        check("same", &[4]);
        check("lookback 2", &[2, 3, 4]);
        check("upto", &[0, 1, 2, 3, 4]);
        check("all", &[0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn errors_name_file_and_line() {
        #[track_caller]
        fn check(text: &str, start: &str) {
            let fault = parse_header(text).expect_err("no header");
            let place = fault.area(text).place;
            let error = format!("{}:{}: {}", place.line, place.column, fault.message);
            assert!(error.starts_with(start), "{error}");
        }
        check("SELECT 1", "1:1: a query file begins with its header");
        check("\n/*---\ndescription = \"d\"\n", "2:1: the header has no end");
        check("/*---\ndescription = \"d\"\nowner = 3\n[columns]\n---*/", "3:9: ");
        check(
            "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Text\" }\n---*/",
            "4:14: \"Text\"",
        );
        check("/*---\ndescription = \"d\"\ncolour = 1\n[columns]\n---*/", "3:1: unknown field");
        check(
            "/*---\ndescription = \"d\"\nreads = { a = \"some\" }\n[columns]\n---*/",
            "3:15: \"some\"",
        );
        check(
            "/*---\ndescription = \"d\"\ngrain = [\"a\"]\n[columns]\nb = { type = \"Utf8\" }\n---*/",
            "3:9: the grain \"a\"",
        );
        let with = |rule: &str| {
            format!(
                "/*---\ndescription = \"d\"\n[columns]\nb = {{ type = \"Utf8\" }}\n[[checks]]\n{rule}\n---*/"
            )
        };
        check(&with("unique = [\"a\"]"), "6:11: the check names \"a\"");
        check(&with("unique = [\"b\"]\nsql = \"\""), "5:");
        check(&with("severity = \"fatal\"\nunique = [\"b\"]"), "6:");
    }
}
