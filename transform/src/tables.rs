//! The tables that a query finds by name without a query file of theirs, and their columns.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array};
use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use lake_types::{Day, Rates, Stream, minor_units};

use crate::arrivals::ARRIVALS;
use crate::header::ColumnType;

/// The schema that holds the raw tables: rows as they arrived, with copies.
pub(crate) const RAW_SCHEMA: &str = "raw";

/// Tables of the lake that are neither events nor rollups.
pub(crate) const LAKE_TABLES: [&str; 4] =
    ["dead_letters", "runs", "partner_health", "partner_signals"];

/// Small tables made of the configuration.
pub(crate) const SETTING_TABLES: [&str; 5] = ["rates", "currencies", "sla", "sunsets", "settings"];

/// Whether a query file may not have that name.
pub(crate) fn is_reserved(name: &str) -> bool {
    Stream::ALL.iter().any(|s| s.table() == name)
        || name == ARRIVALS
        || LAKE_TABLES.contains(&name)
        || SETTING_TABLES.contains(&name)
        || name == RAW_SCHEMA
        || name == "this"
}

/// Whether a table, as SQL names it, is stored in the lake and no rollup: it holds every partner.
pub(crate) fn is_of_lake(name: &str) -> bool {
    let plain = name.strip_prefix("raw.").unwrap_or(name);
    Stream::ALL.iter().any(|s| s.table() == plain) || LAKE_TABLES.contains(&name)
}

/// What a plan promises.
#[derive(Debug, Clone, PartialEq)]
pub struct SlaRow {
    pub plan: String,
    /// Availability, 0–1.
    pub target: Option<f64>,
    pub latency_target_ms: Option<f64>,
}

/// When an API version ends.
#[derive(Debug, Clone, PartialEq)]
pub struct SunsetRow {
    pub api_version: String,
    pub sunset_on: Day,
}

/// The part of the configuration that queries read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// An ISO 4217 code.
    pub reporting_currency: String,
    pub rates: Rates,
    pub sla: Vec<SlaRow>,
    pub sunsets: Vec<SunsetRow>,
}

/// `rates` (currency, valid_from, rate), `currencies` (code, minor_units, unit), `sla`, `sunsets`,
/// `settings` (reporting_currency): one batch each, by name.
///
/// # Errors
/// None for settings that were parsed; Arrow's own checks.
pub(crate) fn setting_tables(
    settings: &Settings,
) -> Result<Vec<(&'static str, RecordBatch)>, ArrowError> {
    Ok(vec![
        ("rates", rates(&settings.rates)?),
        ("currencies", currencies()?),
        ("sla", sla(&settings.sla)?),
        ("sunsets", sunsets(&settings.sunsets)?),
        (
            "settings",
            batch(vec![(
                "reporting_currency",
                Arc::new(StringArray::from(vec![settings.reporting_currency.as_str()])),
            )])?,
        ),
    ])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, c)| c).collect())
}

fn rates(rates: &Rates) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rates.rows().collect();
    batch(vec![
        ("currency", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)))),
        ("valid_from", Arc::new(Date32Array::from_iter_values(rows.iter().map(|r| r.1.0)))),
        (
            "rate",
            Arc::new(
                Decimal128Array::from_iter_values(rows.iter().map(|r| r.2))
                    .with_precision_and_scale(16, 8)?,
            ),
        ),
    ])
}

/// Every currency an event may carry, and its digits after the point.
static CURRENCIES: LazyLock<Vec<(String, u32)>> = LazyLock::new(|| {
    let mut codes: Vec<String> = Vec::new();
    for a in b'A'..=b'Z' {
        for b in b'A'..=b'Z' {
            for c in b'A'..=b'Z' {
                codes.push([a, b, c].map(char::from).iter().collect());
            }
        }
    }
    codes
        .into_iter()
        .filter_map(|code| minor_units(&code).ok().map(|digits| (code, digits)))
        .collect()
});

/// The currencies with the value of one minor unit in major ones (0.01 for USD): Decimal(5, 4),
/// which times a rate stays exact in twelve decimals.
fn currencies() -> Result<RecordBatch, ArrowError> {
    let rows = &*CURRENCIES;
    batch(vec![
        ("code", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.0)))),
        (
            "minor_units",
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.1.cast_signed()))),
        ),
        (
            "unit",
            Arc::new(
                Decimal128Array::from_iter_values(rows.iter().map(|r| 10_i128.pow(4 - r.1)))
                    .with_precision_and_scale(5, 4)?,
            ),
        ),
    ])
}

fn sla(rows: &[SlaRow]) -> Result<RecordBatch, ArrowError> {
    batch(vec![
        ("plan", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.plan)))),
        ("target", Arc::new(rows.iter().map(|r| r.target).collect::<Float64Array>())),
        (
            "latency_target_ms",
            Arc::new(rows.iter().map(|r| r.latency_target_ms).collect::<Float64Array>()),
        ),
    ])
}

fn sunsets(rows: &[SunsetRow]) -> Result<RecordBatch, ArrowError> {
    batch(vec![
        (
            "api_version",
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.api_version))),
        ),
        ("sunset_on", Arc::new(Date32Array::from_iter_values(rows.iter().map(|r| r.sunset_on.0)))),
    ])
}

/// The columns a rollup is stored with: those of its header, the partition column last.
pub(crate) fn stored_schema(query: &crate::catalog::Query, planned: &Schema) -> SchemaRef {
    let mut fields = Vec::new();
    let mut last = Vec::new();
    for column in &query.header.columns {
        let Ok(field) = planned.field_with_name(&column.name) else { continue };
        let field = Field::new(&column.name, stored_type(field.data_type()), true);
        if column.name == "event_date" { last.push(field) } else { fields.push(field) }
    }
    fields.extend(last);
    Arc::new(Schema::new(fields))
}

fn stored_type(of: &DataType) -> DataType {
    match of {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    }
}

/// The folder of a table in the lake.
pub(crate) fn lake_table(name: &str) -> &str {
    match name {
        "dead_letters" => "raw/dead_letters",
        "partner_health" => "scores/partner_health",
        "partner_signals" => "scores/partner_signals",
        other => other,
    }
}

/// The columns of a table of the lake that has not been written yet.
pub(crate) fn lake_schema(name: &str) -> SchemaRef {
    match name {
        "dead_letters" => lake::schema::dead_letters().schema,
        "runs" => lake::schema::runs().schema,
        "partner_signals" => lake::schema::partner_signals().schema,
        _ => lake::schema::partner_health().schema,
    }
}

/// The Arrow type of a column of a header; `None` for lists, whose inside it does not say.
pub(crate) fn arrow_type(kind: ColumnType) -> Option<DataType> {
    Some(match kind {
        ColumnType::Utf8 => DataType::Utf8,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Date32 => DataType::Date32,
        ColumnType::Timestamp => lake::schema::instant(),
        ColumnType::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
        ColumnType::List => return None,
    })
}
