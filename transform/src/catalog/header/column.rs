//! The columns that a header declares, and their types.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, TimeUnit};
use domain::Position;
use serde::Deserialize;
use toml::Spanned;

use super::HeaderText;
use crate::catalog::diagnostics::parse_error::ParseError;

/// A column that a header declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
    /// `ratio`, `reporting_currency`, `seconds` …
    pub unit: Option<String>,
    pub description: Option<String>,
    /// The start of the line of its name.
    pub position: Position,
    /// The start of the text of its type.
    pub type_position: Position,
}

/// The type of a column, under the name that a header gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    Utf8,
    Boolean,
    Int32,
    Int64,
    Float64,
    Date32,
    /// An instant in microseconds, UTC.
    Timestamp,
    /// Precision and scale; `Decimal` without them is money, (38, 12).
    Decimal(u8, i8),
    /// A list of structs; a header does not declare their fields.
    List,
}

impl ColumnType {
    pub(super) const NAMES: &'static str =
        "Utf8, Boolean, Int32, Int64, Float64, Date32, Timestamp, Decimal, Decimal(p, s), List";

    pub(super) fn parse(text: &str) -> Option<Self> {
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

    /// Returns the Arrow type; `None` for a list, whose fields are not declared.
    pub(crate) fn arrow_type(self) -> Option<DataType> {
        Some(match self {
            Self::Utf8 => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Date32 => DataType::Date32,
            Self::Timestamp => lake::schema::instant(),
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::List => return None,
        })
    }

    /// Returns whether a column of a result has this type. All string layouts of Arrow are Utf8
    /// here.
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
pub(super) struct ColumnToml {
    r#type: Spanned<String>,
    unit: Option<String>,
    description: Option<String>,
}

/// Returns the declared columns in the order of the file.
///
/// # Errors
/// A type that does not exist.
pub(super) fn parse_columns(
    columns: BTreeMap<String, Spanned<ColumnToml>>,
    text: &HeaderText<'_>,
) -> Result<Vec<Column>, ParseError> {
    let mut columns: Vec<_> = columns.into_iter().collect();
    columns.sort_by_key(|(_, column)| column.span().start);
    let column = |(name, column): (String, Spanned<ColumnToml>)| {
        let start = column.span().start;
        let line = text.body[..start].rfind('\n').map_or(0, |line| line + 1);
        let column = column.into_inner();
        let type_start = column.r#type.span().start;
        let column_type = ColumnType::parse(column.r#type.as_ref()).ok_or_else(|| {
            let message = format!("\"{}\" is no type", column.r#type.as_ref());
            ParseError::new(text.offset + type_start, message)
                .with_help(format!("a column is one of {}", ColumnType::NAMES))
        })?;
        Ok(Column {
            name,
            column_type,
            unit: column.unit,
            description: column.description,
            position: text.position(line),
            type_position: text.position(type_start),
        })
    };
    columns.into_iter().map(column).collect()
}
