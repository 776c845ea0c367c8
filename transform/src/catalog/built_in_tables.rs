//! The tables that exist without a query file: names, keys, columns and folders in the lake.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array};
use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use domain::{Day, ExchangeRates, Money, Stream, minor_units};

use crate::catalog::Query;
use crate::catalog::header::Header;

/// The SQL schema of the raw tables, which contain the rows as they arrived, with duplicates.
pub(crate) const RAW_SCHEMA: &str = "raw";

/// The tables of the lake that are neither events nor rollups.
pub(crate) const LAKE_TABLES: [&str; 17] = [
    "dead_letters",
    "runs",
    "partner_health",
    "partner_signals",
    "evaluations",
    "models",
    "overrides",
    "sentiment",
    "notes",
    "annotations",
    "action_log",
    "action_switch",
    "action_episodes",
    "action_plans",
    "snoozes",
    "alert_notes",
    "delivery_log",
];

/// The tables that are made from the configuration, or filled by the program for one session.
pub(crate) const SETTING_TABLES: [&str; 8] = [
    "rates",
    "currencies",
    "sla",
    "sunsets",
    "programme",
    "settings",
    "evaluation_day",
    "late_calls",
];

/// The table with the number of records that arrived for each day of a stream.
pub(crate) const ARRIVALS: &str = "arrivals";

/// A table that exists without a query file.
struct BuiltInTable {
    name: &'static str,
    /// The columns that identify a row. The empty key means that the table has one row, and `None`
    /// that no key is known.
    key: Option<&'static [&'static str]>,
    description: &'static str,
}

const EVENT_KEY: &[&str] = &["event_date", "partner_id", "event_id"];
const RECORD_KEY: &[&str] = &["topic", "kafka_partition", "kafka_offset"];

/// All such tables but those of the streams, which follow from their definitions.
const BUILT_IN_TABLES: [BuiltInTable; 26] = [
    BuiltInTable {
        name: ARRIVALS,
        key: Some(&["stream", "event_date"]),
        description: "How many records arrived for each day of a stream, copies included",
    },
    BuiltInTable {
        name: "dead_letters",
        key: Some(RECORD_KEY),
        description: "Records that broke a rule, with the reason; what they held is sealed",
    },
    BuiltInTable {
        name: "runs",
        key: Some(&["run_id"]),
        description: "Which table versions each run answered from",
    },
    BuiltInTable {
        name: "partner_health",
        key: None,
        description: "Every score ever given, with its reason; the newest revision of a day counts",
    },
    BuiltInTable {
        name: "partner_signals",
        key: None,
        description: "The signals behind every score, a row each, by as_of and revision of partner_health",
    },
    BuiltInTable {
        name: "evaluations",
        key: Some(&["as_of", "revision", "scored_at"]),
        description: "Every scoring of a day: what it was made from, and when",
    },
    BuiltInTable {
        name: "models",
        key: None,
        description: "Every model ever fitted: its kind, its parameters, how well it fits",
    },
    BuiltInTable {
        name: "overrides",
        key: None,
        description: "Tiers that a person set, and their ends, each with reason and author",
    },
    BuiltInTable {
        name: "sentiment",
        key: None,
        description: "How partner managers judge a partner, 1 to 5; never part of a score",
    },
    BuiltInTable { name: "notes", key: None, description: "What people noted of a partner" },
    BuiltInTable {
        name: "annotations",
        key: None,
        description: "Days that scores leave out: the platform's incidents, planned pauses of a partner",
    },
    BuiltInTable {
        name: "action_log",
        key: None,
        description: "What was approved, sent and answered of every action, append-only",
    },
    BuiltInTable {
        name: "action_switch",
        key: None,
        description: "When deliveries were stopped and resumed, by whom and why",
    },
    BuiltInTable {
        name: "action_episodes",
        key: None,
        description: "When rules and alerts began and ceased to hold",
    },
    BuiltInTable {
        name: "action_plans",
        key: None,
        description: "The plans that were decided on or applied, as JSON",
    },
    BuiltInTable {
        name: "snoozes",
        key: None,
        description: "Alerts that nobody is told of for some time, by whom and why",
    },
    BuiltInTable { name: "alert_notes", key: None, description: "What people noted of an alert" },
    BuiltInTable {
        name: "delivery_log",
        key: None,
        description: "Reports that were sent, skipped, held back or failed, and why, append-only",
    },
    BuiltInTable {
        name: "rates",
        key: Some(&["currency", "valid_from"]),
        description: "Exchange rates of the configuration: reporting units for one unit",
    },
    BuiltInTable {
        name: "currencies",
        key: Some(&["code"]),
        description: "ISO 4217: digits after the point, and one minor unit in major ones",
    },
    BuiltInTable {
        name: "sla",
        key: Some(&["plan"]),
        description: "What each plan promises, of the configuration",
    },
    BuiltInTable {
        name: "sunsets",
        key: Some(&["api_version"]),
        description: "When API versions end, of the configuration",
    },
    BuiltInTable {
        name: "programme",
        key: Some(&["month"]),
        description: "What the company earned and the programme cost in each month, of the configuration",
    },
    BuiltInTable { name: "settings", key: Some(&[]), description: "The reporting currency" },
    BuiltInTable {
        name: "evaluation_day",
        key: Some(&["day"]),
        description: "The days as of which a run of scores evaluates the partners; empty elsewhere",
    },
    BuiltInTable {
        name: "late_calls",
        key: Some(&["day", "partner_id", "event_date"]),
        description: "Calls that had not arrived by the evaluated day, for a backtest; empty elsewhere",
    },
];

/// Returns whether a query may not have this name, because a table has it.
pub(crate) fn is_reserved(name: &str) -> bool {
    BUILT_IN_TABLES.iter().any(|table| table.name == name)
        || stream_of(name).is_some()
        || name == RAW_SCHEMA
        || name == "this"
}

/// Returns whether a table, by the name that SQL uses, is stored in the lake and is not a rollup.
/// Such a table contains the rows of every partner.
pub(crate) fn is_of_lake(name: &str) -> bool {
    let plain = name.strip_prefix("raw.").unwrap_or(name);
    stream_of(plain).is_some() || LAKE_TABLES.contains(&name)
}

/// Returns the stream whose events a table contains, each once.
fn stream_of(table: &str) -> Option<Stream> {
    Stream::ALL.into_iter().find(|stream| stream.table() == table)
}

/// Returns the columns that identify a row of a built-in table, by the name that SQL uses; `None`
/// for other tables and for those without a known key.
pub(crate) fn key(name: &str) -> Option<&'static [&'static str]> {
    if name.starts_with("raw.") {
        return Some(RECORD_KEY);
    }
    if stream_of(name).is_some() {
        return Some(EVENT_KEY);
    }
    BUILT_IN_TABLES.iter().find(|table| table.name == name)?.key
}

/// Returns the description of a built-in table, by the name that SQL uses; of another name nothing.
pub(crate) fn description(name: &str) -> &'static str {
    if name.starts_with("raw.") {
        return "As they arrived, with copies";
    }
    if let Some(stream) = stream_of(name) {
        return stream.definition().description;
    }
    let table = BUILT_IN_TABLES.iter().find(|table| table.name == name);
    table.map_or("", |table| table.description)
}

/// The service level that a partner's plan promises.
#[derive(Debug, Clone, PartialEq)]
pub struct SlaRow {
    pub plan: String,
    /// Availability, 0–1.
    pub target: Option<f64>,
    pub latency_target_ms: Option<f64>,
}

/// The day on which an API version ends.
#[derive(Debug, Clone, PartialEq)]
pub struct SunsetRow {
    pub api_version: String,
    pub sunset_on: Day,
}

/// What the whole company earned in a month, and what the programme cost it, in the reporting
/// currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgrammeRow {
    /// The first day of the month.
    pub month: Day,
    pub company_revenue: Option<Money>,
    pub cost: Option<Money>,
}

/// The part of the configuration that queries can read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// An ISO 4217 code.
    pub reporting_currency: String,
    pub rates: ExchangeRates,
    pub sla: Vec<SlaRow>,
    pub sunsets: Vec<SunsetRow>,
    pub programme: Vec<ProgrammeRow>,
}

/// Returns the [`SETTING_TABLES`] with one batch each: `rates` (currency, valid_from, rate),
/// `currencies` (code, minor_units, unit), `sla`, `sunsets`, `programme` and `settings`
/// (reporting_currency), and the empty tables `evaluation_day` (day) and `late_calls`.
///
/// # Errors
/// Arrow's checks of the batches, which pass for settings that were parsed.
pub(crate) fn setting_tables(
    settings: &Settings,
) -> Result<Vec<(&'static str, RecordBatch)>, ArrowError> {
    Ok(vec![
        ("rates", rates(&settings.rates)?),
        ("currencies", currencies()?),
        ("sla", sla(&settings.sla)?),
        ("sunsets", sunsets(&settings.sunsets)?),
        ("programme", programme(&settings.programme)?),
        (
            "settings",
            batch(vec![(
                "reporting_currency",
                Arc::new(StringArray::from(vec![settings.reporting_currency.as_str()])),
            )])?,
        ),
        ("evaluation_day", RecordBatch::new_empty(evaluation_days())),
        ("late_calls", RecordBatch::new_empty(late_calls())),
    ])
}

/// Returns the columns of `evaluation_day`.
fn evaluation_days() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("day", DataType::Date32, true)]))
}

/// Returns the columns of `late_calls`: production calls of a date before `day` that arrived on
/// `day` or later.
fn late_calls() -> SchemaRef {
    let count = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        Field::new("day", DataType::Date32, true),
        Field::new("partner_id", DataType::Utf8, true),
        Field::new("event_date", DataType::Date32, true),
        count("calls"),
        count("successes"),
        count("client_errors"),
        count("auth_failures"),
        count("throttled"),
        count("server_errors"),
    ]))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, c)| c).collect())
}

fn rates(rates: &ExchangeRates) -> Result<RecordBatch, ArrowError> {
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

/// Every currency that an event may have, with the number of its decimal digits.
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

/// Returns the table of currencies. `unit` is the value of one minor unit in major units (0.01 for
/// USD) as Decimal(5, 4), whose product with a rate is exact in twelve decimals.
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

fn programme(rows: &[ProgrammeRow]) -> Result<RecordBatch, ArrowError> {
    let money = |amounts: Decimal128Array| amounts.with_precision_and_scale(38, 12);
    let revenues = rows.iter().map(|r| r.company_revenue.map(|amount| amount.0));
    let costs = rows.iter().map(|r| r.cost.map(|amount| amount.0));
    batch(vec![
        ("month", Arc::new(Date32Array::from_iter_values(rows.iter().map(|r| r.month.0)))),
        ("company_revenue", Arc::new(money(revenues.collect())?)),
        ("cost", Arc::new(money(costs.collect())?)),
    ])
}

/// Returns the schema with which a rollup is stored: the columns of its header, the partition
/// column last.
pub(crate) fn stored_schema(header: &Header, planned: &Schema) -> SchemaRef {
    let mut fields = Vec::new();
    let mut last = Vec::new();
    for column in &header.columns {
        let Ok(field) = planned.field_with_name(&column.name) else { continue };
        let field = Field::new(&column.name, stored_type(field.data_type()), true);
        if column.name == "event_date" { last.push(field) } else { fields.push(field) }
    }
    fields.extend(last);
    Arc::new(Schema::new(fields))
}

/// Whether a rollup's table has the columns of the header: [`stored_schema`] of any plan that the
/// header accepts has these.
pub(crate) fn is_stored_as_declared(query: &Query, stored: &Schema) -> bool {
    let (mut columns, last): (Vec<_>, Vec<_>) =
        query.header.columns.iter().partition(|column| column.name != "event_date");
    columns.extend(last);
    let stored = stored.fields();
    columns.len() == stored.len()
        && columns.iter().zip(stored).all(|(declared, stored)| {
            declared.name == *stored.name() && declared.column_type.accepts(stored.data_type())
        })
}

fn stored_type(of: &DataType) -> DataType {
    match of {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    }
}

/// Returns the folder in the lake of one of the [`LAKE_TABLES`].
pub(crate) fn lake_table(name: &str) -> &str {
    match name {
        "dead_letters" => "raw/dead_letters",
        "partner_health" => "scores/partner_health",
        "partner_signals" => "scores/partner_signals",
        "evaluations" => "scores/evaluations",
        "models" => "scores/models",
        "overrides" => "scores/overrides",
        "sentiment" => "scores/sentiment",
        "notes" => "scores/notes",
        "annotations" => "scores/annotations",
        "action_log" => "actions/log",
        "action_switch" => "actions/switch",
        "action_episodes" => "actions/episodes",
        "action_plans" => "actions/plans",
        "snoozes" => "actions/snoozes",
        "alert_notes" => "actions/alert_notes",
        "delivery_log" => "deliveries/log",
        other => other,
    }
}

/// Returns the schema of one of the [`LAKE_TABLES`].
pub(crate) fn lake_schema(name: &str) -> SchemaRef {
    match name {
        "dead_letters" => lake::schema::dead_letters().schema,
        "runs" => lake::schema::runs().schema,
        "partner_signals" => lake::schema::partner_signals().schema,
        "evaluations" => lake::schema::evaluations().schema,
        "models" => lake::schema::models().schema,
        "overrides" => lake::schema::overrides().schema,
        "sentiment" => lake::schema::sentiment().schema,
        "notes" => lake::schema::notes().schema,
        "annotations" => lake::schema::annotations().schema,
        "action_log" => lake::schema::action_log().schema,
        "action_switch" => lake::schema::action_switch().schema,
        "action_episodes" => lake::schema::action_episodes().schema,
        "action_plans" => lake::schema::action_plans().schema,
        "snoozes" => lake::schema::snoozes().schema,
        "alert_notes" => lake::schema::alert_notes().schema,
        "delivery_log" => lake::schema::delivery_log().schema,
        _ => lake::schema::partner_health().schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_in_the_list() {
        let names: Vec<&str> = BUILT_IN_TABLES.iter().map(|table| table.name).collect();
        let all = [ARRIVALS].into_iter().chain(LAKE_TABLES).chain(SETTING_TABLES);
        assert_eq!(names, all.collect::<Vec<_>>());
    }
}
