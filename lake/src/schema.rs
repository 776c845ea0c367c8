//! The columns of the lake's tables, a contract with the programs that read them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use domain::{FieldRule, Stream};

/// The version of the lake's layout, a property of every table.
///
/// - 2: logs are cleaned up. An older program that slept would commit into the gap.
/// - 3: every written file has a checksum, and every log has a witness.
/// - 4: dead letters have a mapping and a detail, and billing events may be payments, which an older
///   program would count as revenue.
pub const FORMAT_VERSION: u32 = 4;

/// The name and the columns of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableDef {
    /// The table's folder below the lake's root: `raw/api_calls`, `rollup/partner_day`.
    pub name: String,
    /// All columns; the partition column, if there is one, is the last.
    pub schema: SchemaRef,
    /// The partition column, a Date32, whose values are in the folder names and not in the files.
    pub partition_by: Option<String>,
}

impl TableDef {
    /// Returns the columns of the files: all but the partition column.
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

/// Returns the type of every instant: a timestamp in µs, UTC.
pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn required(name: &str, of: DataType) -> Field {
    Field::new(name, of, false)
}

fn optional(name: &str, of: DataType) -> Field {
    Field::new(name, of, true)
}

/// Returns the raw table of a stream: the event's own columns, its origin, and the partition column
/// `event_date`.
pub fn raw(stream: Stream) -> TableDef {
    use DataType::{Boolean, Date32, Int32, Int64, Utf8};
    let mut fields = vec![
        required("event_id", Utf8),
        required("partner_id", Utf8),
        required("occurred_at", instant()),
    ];
    fields.extend(stream.definition().fields.iter().map(|field| {
        Field::new(field.column(), stored_type(field.rule), !field.is_always_stored())
    }));
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

/// Returns the type of the column of a field with this rule.
fn stored_type(rule: FieldRule) -> DataType {
    match rule {
        FieldRule::Integer(_, most) if most <= i64::from(i32::MAX) => DataType::Int32,
        FieldRule::Integer(..) | FieldRule::Millis => DataType::Int64,
        FieldRule::Instant => instant(),
        FieldRule::Text
        | FieldRule::Id
        | FieldRule::Credential
        | FieldRule::Route
        | FieldRule::Method
        | FieldRule::Currency
        | FieldRule::OneOf(..) => DataType::Utf8,
    }
}

/// Returns the table of rejected records, by arrival date. Their content is sealed with the lake's
/// key.
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
            optional("mapping", Utf8),
            optional("detail", Utf8),
            required("arrival_date", Date32),
        ])),
        partition_by: Some("arrival_date".to_owned()),
    }
}

/// Returns the table of runs, with a row for each: what the figures of one run have in common.
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

/// Returns the table of scores, append-only by `as_of`. A day that is scored again after late
/// events has several revisions, numbered from 1; the newest one counts.
pub fn partner_health() -> TableDef {
    use DataType::{Float64, Int64, Utf8};
    let fields = vec![
        required("as_of", instant()),
        required("revision", Int64),
        required("partner_id", Utf8),
        required("stage", Utf8),
        required("tier", Utf8),
        optional("tier_since", instant()),
        optional("gate", Utf8),
        optional("score", Float64),
        optional("score_low", Float64),
        optional("score_high", Float64),
        required("coverage", Float64),
        optional("cap", Float64),
        optional("gates_met", Utf8),
        optional("risk", Float64),
        optional("risk_model", Utf8),
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

/// Returns the table of the signals behind the scores, with the `as_of` and `revision` of
/// `partner_health`. Rows that were migrated from columns of `partner_health` lack `reference` and
/// `weight`.
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

/// Returns the table of evaluations: which inputs each revision of a day's scores was made from.
pub fn evaluations() -> TableDef {
    use DataType::{Int64, Utf8};
    let fields = vec![
        required("as_of", instant()),
        required("revision", Int64),
        required("inputs", Utf8),
        required("policy", Utf8),
        required("policy_version", Utf8),
        optional("dormancy_fitted_at", instant()),
        optional("risk_fitted_at", instant()),
        required("scored_at", instant()),
    ];
    unpartitioned("scores/evaluations", fields)
}

/// Returns the table of fitted models, append-only. `parameters` is JSON.
pub fn models() -> TableDef {
    use DataType::{Float64, Int64, Utf8};
    let fields = vec![
        required("kind", Utf8),
        required("fitted_at", instant()),
        required("as_of", instant()),
        required("parameters", Utf8),
        optional("log_likelihood", Float64),
        required("n", Int64),
        optional("adopted_by", Utf8),
    ];
    unpartitioned("scores/models", fields)
}

/// Returns the table of tiers that a person set, append-only. A row without a tier ends the one
/// before it.
pub fn overrides() -> TableDef {
    use DataType::Utf8;
    let fields = vec![
        required("at", instant()),
        required("by", Utf8),
        required("partner_id", Utf8),
        optional("tier", Utf8),
        required("reason", Utf8),
        optional("until", instant()),
    ];
    unpartitioned("scores/overrides", fields)
}

/// Returns the table of a manager's judgement of a partner, from 1, poor, to 5; append-only.
pub fn sentiment() -> TableDef {
    use DataType::{Int64, Utf8};
    let fields = vec![
        required("at", instant()),
        required("by", Utf8),
        required("partner_id", Utf8),
        required("sentiment", Int64),
        optional("note", Utf8),
    ];
    unpartitioned("scores/sentiment", fields)
}

/// Returns the table of notes about partners, append-only.
pub fn notes() -> TableDef {
    use DataType::Utf8;
    let fields = vec![
        required("at", instant()),
        required("by", Utf8),
        required("partner_id", Utf8),
        required("note", Utf8),
    ];
    unpartitioned("scores/notes", fields)
}

/// Returns the table of days with an explanation, append-only: of one partner, or without one of the
/// whole platform. The newest row of an `annotation_id` counts; one that is `withdrawn` covers no day.
/// Scores leave out days that are `calm`; without a value, as rows of older programs are, they are.
pub fn annotations() -> TableDef {
    use DataType::{Boolean, Date32, Utf8};
    let fields = vec![
        required("at", instant()),
        required("by", Utf8),
        required("annotation_id", Utf8),
        optional("partner_id", Utf8),
        required("first_day", Date32),
        required("last_day", Date32),
        required("text", Utf8),
        required("withdrawn", Boolean),
        optional("calm", Boolean),
    ];
    unpartitioned("scores/annotations", fields)
}

/// Returns the log of actions, append-only: a row for each approval, attempt, answer and end. Rows of
/// one append share a `sequence`, which counts the appends from 1. `from`, `to` and `in_force` are
/// JSON.
pub fn action_log() -> TableDef {
    use DataType::{Int64, Utf8};
    let fields = vec![
        required("sequence", Int64),
        required("at", instant()),
        required("entry", Utf8),
        required("plan_id", Utf8),
        required("key", Utf8),
        required("partner_id", Utf8),
        required("action", Utf8),
        required("origin", Utf8),
        required("rule_id", Utf8),
        optional("from", Utf8),
        optional("to", Utf8),
        optional("in_force", Utf8),
        optional("expires_at", instant()),
        optional("base_per_minute", Int64),
        optional("episode_start", instant()),
        optional("channel", Utf8),
        required("attempt", Int64),
        optional("next_at", instant()),
        required("by", Utf8),
        optional("answer", Utf8),
        required("policy_version", Utf8),
    ];
    unpartitioned("actions/log", fields)
}

/// Returns the table of the kill switch, append-only; the row with the greatest `sequence` counts.
pub fn action_switch() -> TableDef {
    use DataType::{Boolean, Int64, Utf8};
    let fields = vec![
        required("sequence", Int64),
        required("at", instant()),
        required("by", Utf8),
        required("stopped", Boolean),
        required("reason", Utf8),
    ];
    unpartitioned("actions/switch", fields)
}

/// Returns the table of episodes, append-only: when rules and alerts began to hold for a partner, when
/// an evaluation did not find them, and when they ended. The partner of an alert about none is empty.
pub fn action_episodes() -> TableDef {
    use DataType::{Int64, Utf8};
    let fields = vec![
        required("sequence", Int64),
        required("as_of", instant()),
        required("rule_id", Utf8),
        required("partner_id", Utf8),
        required("started_at", instant()),
        required("event", Utf8),
        optional("about", Utf8),
    ];
    unpartitioned("actions/episodes", fields)
}

/// Returns the table of alerts that nobody is told of for some time, append-only. Of one alert and
/// partner the newest row counts; without a partner it is about all of them.
pub fn snoozes() -> TableDef {
    use DataType::Utf8;
    let fields = vec![
        required("at", instant()),
        required("by", Utf8),
        required("alert_id", Utf8),
        optional("partner_id", Utf8),
        required("until", instant()),
        required("reason", Utf8),
    ];
    unpartitioned("actions/snoozes", fields)
}

/// Returns the table of what people note about alerts, append-only.
pub fn alert_notes() -> TableDef {
    use DataType::Utf8;
    let fields = vec![
        required("at", instant()),
        required("by", Utf8),
        required("alert_id", Utf8),
        optional("partner_id", Utf8),
        required("note", Utf8),
    ];
    unpartitioned("actions/alert_notes", fields)
}

/// Returns the table of the views of the list of partners that readers of the served pages have saved,
/// append-only. Of one person and name the newest row counts; one without a path is deleted.
pub fn saved_views() -> TableDef {
    use DataType::Utf8;
    let fields = vec![
        required("at", instant()),
        required("by", Utf8),
        required("name", Utf8),
        optional("path", Utf8),
    ];
    unpartitioned("serve/saved_views", fields)
}

/// Returns the table of plans that were decided on or applied, as JSON.
pub fn action_plans() -> TableDef {
    use DataType::Utf8;
    let fields = vec![required("plan_id", Utf8), required("at", instant()), required("plan", Utf8)];
    unpartitioned("actions/plans", fields)
}

/// Returns the log of the deliveries of reports, append-only: a row for each that is sent, skipped,
/// held back or failed, and for each pause and its end. `sequence` counts the appends from 1.
pub fn delivery_log() -> TableDef {
    use DataType::{Date32, Int64, Utf8};
    let fields = vec![
        required("sequence", Int64),
        required("at", instant()),
        required("entry", Utf8),
        required("delivery", Utf8),
        optional("period", Date32),
        optional("recipient", Utf8),
        optional("channel", Utf8),
        optional("as_of", Date32),
        optional("figures", Utf8),
        required("by", Utf8),
        optional("reason", Utf8),
    ];
    unpartitioned("deliveries/log", fields)
}

fn unpartitioned(name: &str, fields: Vec<Field>) -> TableDef {
    TableDef { name: name.to_owned(), schema: Arc::new(Schema::new(fields)), partition_by: None }
}
