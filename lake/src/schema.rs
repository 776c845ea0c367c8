//! The columns of the lake's tables: the contract that other programs read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use lake_types::Stream;

/// The version of the lake's layout, kept as a property of every table.
///
/// 2: logs are cleaned up. A program of before would commit into the gap where it slept.
/// 3: whatever is written carries a checksum, and a log has a witness.
pub const FORMAT_VERSION: u32 = 3;

/// Lakes of this version are used as they are; what has no checksum can't be checked.
pub(crate) const OPENED_FROM: u32 = 2;

/// What a table is called and made of.
#[derive(Debug, Clone, PartialEq)]
pub struct TableDef {
    /// Its folder below the lake's root: `raw/api_calls`, `rollup/partner_day`.
    pub name: String,
    /// Every column; the partition column, where there is one, last.
    pub schema: SchemaRef,
    /// A Date32 column that is kept in the folder names instead of the files.
    pub partition_by: Option<String>,
}

impl TableDef {
    /// The columns that stand in the files: all but the partition column.
    pub fn file_schema(&self) -> SchemaRef {
        let fields: Vec<_> = self
            .schema
            .fields()
            .iter()
            .filter(|f| Some(f.name()) != self.partition_by.as_ref())
            .cloned()
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// Timestamp(µs, UTC), the type of every instant.
pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn required(name: &str, of: DataType) -> Field {
    Field::new(name, of, false)
}

fn optional(name: &str, of: DataType) -> Field {
    Field::new(name, of, true)
}

/// A raw table: the event's own columns, where it came from, and the partition column `event_date`.
pub fn raw(stream: Stream) -> TableDef {
    use DataType::{Boolean, Date32, Int32, Int64, Utf8};
    let mut fields = vec![
        required("event_id", Utf8),
        required("partner_id", Utf8),
        required("occurred_at", instant()),
    ];
    fields.extend(match stream {
        Stream::ApiCalls => vec![
            optional("credential_id", Utf8),
            required("environment", Utf8),
            optional("product", Utf8),
            optional("endpoint", Utf8),
            optional("method", Utf8),
            optional("api_version", Utf8),
            required("status", Int32),
            optional("latency_us", Int64),
            optional("request_bytes", Int64),
            optional("response_bytes", Int64),
            optional("trace_id", Utf8),
        ],
        Stream::PartnerEvents => vec![
            required("type", Utf8),
            optional("name", Utf8),
            optional("segment", Utf8),
            optional("plan", Utf8),
            optional("integration_level", Int32),
            optional("manager", Utf8),
            optional("region", Utf8),
            optional("quota_per_minute", Int64),
            optional("merged_into", Utf8),
        ],
        Stream::BillingEvents => vec![
            required("kind", Utf8),
            required("amount_minor", Int64),
            required("currency", Utf8),
            optional("product", Utf8),
            optional("units", Int64),
            optional("invoice_id", Utf8),
        ],
        Stream::SupportEvents => vec![
            required("type", Utf8),
            required("ticket_id", Utf8),
            optional("severity", Int32),
            optional("csat", Int32),
        ],
    });
    fields.extend([
        required("topic", Utf8),
        required("kafka_partition", Int32),
        required("kafka_offset", Int64),
        required("arrival", instant()),
        required("ingested_at", instant()),
        required("late", Boolean),
        optional("extra", Utf8),
        required("event_date", Date32),
    ]);
    TableDef {
        name: format!("raw/{}", stream.table()),
        schema: Arc::new(Schema::new(fields)),
        partition_by: Some("event_date".to_owned()),
    }
}

/// Records that broke a rule, by arrival date; what they held is sealed with the lake's key.
pub fn dead_letters() -> TableDef {
    use DataType::{Binary, Date32, Int32, Int64, Utf8};
    TableDef {
        name: "raw/dead_letters".to_owned(),
        schema: Arc::new(Schema::new(vec![
            required("stream", Utf8),
            required("topic", Utf8),
            required("kafka_partition", Int32),
            required("kafka_offset", Int64),
            required("arrival", instant()),
            required("reason", Utf8),
            optional("field", Utf8),
            required("sealed", Binary),
            required("key_id", Utf8),
            required("arrival_date", Date32),
        ])),
        partition_by: Some("arrival_date".to_owned()),
    }
}

/// One row a run: what figures of one page share.
pub fn runs() -> TableDef {
    use DataType::Utf8;
    TableDef {
        name: "runs".to_owned(),
        schema: Arc::new(Schema::new(vec![
            required("run_id", Utf8),
            required("started_at", instant()),
            required("as_of", instant()),
            required("config_digest", Utf8),
            required("versions", Utf8),
        ])),
        partition_by: None,
    }
}

/// The scores, append-only by `as_of`. Scored again after late events a day has several revisions,
/// counted from 1: the newest counts.
pub fn partner_health() -> TableDef {
    use DataType::{Float64, Int64, Utf8};
    let fields = vec![
        required("as_of", instant()),
        required("revision", Int64),
        required("partner_id", Utf8),
        required("stage", Utf8),
        required("tier", Utf8),
        optional("tier_since", instant()),
        optional("score", Float64),
        required("coverage", Float64),
        optional("impact_share", Float64),
        optional("impact_rank", Int64),
        required("top_reason", Utf8),
        required("policy_version", Utf8),
        required("computed_tier", Utf8),
        optional("override_until", instant()),
        required("scored_at", instant()),
    ];
    TableDef {
        name: "scores/partner_health".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        partition_by: None,
    }
}

/// The signals behind the scores, a row each, under the `as_of` and `revision` of `partner_health`.
/// Rows that were columns of `partner_health` once lack `reference` and `weight`.
pub fn partner_signals() -> TableDef {
    use DataType::{Boolean, Float64, Int64, Utf8};
    let fields = vec![
        required("as_of", instant()),
        required("revision", Int64),
        required("partner_id", Utf8),
        required("signal", Utf8),
        required("available", Boolean),
        optional("value", Float64),
        optional("score", Float64),
        optional("reference", Float64),
        optional("contribution", Float64),
        optional("weight", Float64),
        required("n", Int64),
        optional("reason", Utf8),
    ];
    TableDef {
        name: "scores/partner_signals".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        partition_by: None,
    }
}
