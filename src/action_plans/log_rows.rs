//! Rows of the log of actions as records of the lake, and back.

use std::sync::Arc;

use actions::log::LogEntry;
use anyhow::Context;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use domain::{Setting, parse_instant};
use lake::schema;
use serde::Deserialize;
use transform::QueryResult;

use crate::polars_frames::typed_rows;

/// A row as the lake has it.
#[derive(Deserialize)]
struct StoredEntry {
    sequence: i64,
    at: String,
    entry: String,
    plan_id: String,
    key: String,
    partner_id: String,
    action: String,
    origin: String,
    rule_id: String,
    from: Option<String>,
    to: Option<String>,
    in_force: Option<String>,
    expires_at: Option<String>,
    base_per_minute: Option<i64>,
    episode_start: Option<String>,
    channel: Option<String>,
    attempt: i64,
    next_at: Option<String>,
    by: String,
    answer: Option<String>,
    policy_version: String,
}

impl StoredEntry {
    fn entry(self) -> anyhow::Result<LogEntry> {
        Ok(LogEntry {
            at: instant(&self.at)?,
            kind: self.entry.parse()?,
            plan_id: self.plan_id,
            key: self.key,
            partner_id: self.partner_id,
            action: self.action.parse()?,
            origin: self.origin.parse()?,
            rule_id: self.rule_id,
            from: setting(self.from.as_deref())?,
            to: setting(self.to.as_deref())?,
            in_force: setting(self.in_force.as_deref())?,
            expires_at: self.expires_at.as_deref().map(instant).transpose()?,
            base_per_minute: self.base_per_minute,
            episode_start: self.episode_start.as_deref().map(instant).transpose()?,
            channel: self.channel,
            attempt: u32::try_from(self.attempt)?,
            next_at: self.next_at.as_deref().map(instant).transpose()?,
            by: self.by,
            answer: self.answer,
            policy_version: self.policy_version,
        })
    }
}

fn instant(text: &str) -> anyhow::Result<i64> {
    parse_instant(text).with_context(|| format!("\"{text}\" is no instant"))
}

fn setting(json: Option<&str>) -> anyhow::Result<Option<Setting>> {
    json.map(serde_json::from_str).transpose().context("a setting in the log of actions")
}

/// Returns the rows of a file with their numbers of appends, in the order of the file.
pub(super) fn stored_entries(batches: Vec<RecordBatch>) -> anyhow::Result<Vec<(i64, LogEntry)>> {
    let schema = schema::action_log().schema;
    let rows: Vec<StoredEntry> = typed_rows(&QueryResult { schema, batches })?;
    rows.into_iter().map(|row| Ok((row.sequence, row.entry()?))).collect()
}

/// Returns rows as the lake keeps them.
pub(super) fn entry_rows(entries: &[LogEntry], sequence: i64) -> anyhow::Result<RecordBatch> {
    let texts = |of: &dyn Fn(&LogEntry) -> Option<String>| -> ArrayRef {
        Arc::new(entries.iter().map(of).collect::<StringArray>())
    };
    let instants = |of: &dyn Fn(&LogEntry) -> Option<i64>| -> ArrayRef {
        let micros: TimestampMicrosecondArray = entries.iter().map(of).collect();
        Arc::new(micros.with_timezone("UTC"))
    };
    let numbers = |of: &dyn Fn(&LogEntry) -> Option<i64>| -> ArrayRef {
        Arc::new(entries.iter().map(of).collect::<Int64Array>())
    };
    let settings = |of: fn(&LogEntry) -> &Option<Setting>| -> anyhow::Result<ArrayRef> {
        let json = |entry| of(entry).as_ref().map(serde_json::to_string).transpose();
        let texts: Vec<Option<String>> = entries.iter().map(json).collect::<Result<_, _>>()?;
        Ok(Arc::new(StringArray::from(texts)))
    };
    let columns = vec![
        numbers(&|_| Some(sequence)),
        instants(&|e| Some(e.at)),
        texts(&|e| Some(e.kind.name().to_owned())),
        texts(&|e| Some(e.plan_id.clone())),
        texts(&|e| Some(e.key.clone())),
        texts(&|e| Some(e.partner_id.clone())),
        texts(&|e| Some(e.action.name().to_owned())),
        texts(&|e| Some(e.origin.name().to_owned())),
        texts(&|e| Some(e.rule_id.clone())),
        settings(|e| &e.from)?,
        settings(|e| &e.to)?,
        settings(|e| &e.in_force)?,
        instants(&|e| e.expires_at),
        numbers(&|e| e.base_per_minute),
        instants(&|e| e.episode_start),
        texts(&|e| e.channel.clone()),
        numbers(&|e| Some(i64::from(e.attempt))),
        instants(&|e| e.next_at),
        texts(&|e| Some(e.by.clone())),
        texts(&|e| e.answer.clone()),
        texts(&|e| Some(e.policy_version.clone())),
    ];
    Ok(RecordBatch::try_new(schema::action_log().schema, columns)?)
}

#[cfg(test)]
mod tests {
    use actions::log::{EntryKind, Origin};
    use domain::{ActionKind, SupportRoute};

    use super::*;

    #[test]
    fn rows_are_read_back() {
        let route = SupportRoute { queue: "a".to_owned(), priority: 1, sla_hours: 4 };
        let full = LogEntry {
            at: 1_000_001,
            kind: EntryKind::Acknowledged,
            plan_id: "2026-09-15-00000000".to_owned(),
            key: "k".to_owned(),
            partner_id: "p".to_owned(),
            action: ActionKind::RouteSupport,
            origin: Origin::Rollback,
            rule_id: "at-risk".to_owned(),
            from: Some(Setting::Support(route)),
            to: Some(Setting::Quota { per_minute: 600 }),
            in_force: Some(Setting::Production { approved: true }),
            expires_at: Some(7),
            base_per_minute: Some(300),
            episode_start: Some(8),
            channel: Some("kong".to_owned()),
            attempt: 3,
            next_at: Some(9),
            by: "Ada".to_owned(),
            answer: Some("200 OK".to_owned()),
            policy_version: "2".to_owned(),
        };
        let bare = LogEntry {
            from: None,
            to: None,
            in_force: None,
            expires_at: None,
            base_per_minute: None,
            episode_start: None,
            channel: None,
            next_at: None,
            answer: None,
            ..full.clone()
        };
        let rows = entry_rows(&[full.clone(), bare.clone()], 5).expect("rows");
        assert_eq!(stored_entries(vec![rows]).expect("entries"), [(5, full), (5, bare)]);
    }
}
