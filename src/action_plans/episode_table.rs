//! The episodes of the rules in the lake.

use std::sync::Arc;

use actions::{EpisodeRow, Episodes};
use anyhow::Context;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use domain::parse_instant;
use lake::{Lake, schema};
use serde::Deserialize;

use super::table_rows::read_rows;

/// The transaction id that counts the appends.
const APPENDS: &str = "appends";

#[derive(Deserialize)]
struct StoredRow {
    sequence: i64,
    as_of: String,
    rule_id: String,
    partner_id: String,
    started_at: String,
    event: String,
    about: Option<String>,
}

impl StoredRow {
    fn row(self) -> anyhow::Result<EpisodeRow> {
        let instant =
            |text: &str| parse_instant(text).with_context(|| format!("\"{text}\" is no instant"));
        Ok(EpisodeRow {
            as_of: instant(&self.as_of)?,
            rule_id: self.rule_id,
            subject: self.partner_id,
            started_at: instant(&self.started_at)?,
            event: self.event.parse()?,
            about: self.about,
        })
    }
}

/// Reads the episodes, and the number of appends.
pub(crate) async fn read_episodes(lake: &Lake) -> anyhow::Result<(Episodes, i64)> {
    let found = read_rows::<StoredRow>(lake, schema::action_episodes()).await?;
    let Some((mut rows, table)) = found else { return Ok((Episodes::default(), 0)) };
    rows.sort_by_key(|row| row.sequence);
    let rows: Vec<EpisodeRow> =
        rows.into_iter().map(StoredRow::row).collect::<anyhow::Result<_>>()?;
    let version = table.txns.get(APPENDS).copied().unwrap_or_default();
    Ok((Episodes::of(&rows), version))
}

/// Appends rows, unless somebody appended others since `version` was read. Returns whether it did.
pub(super) async fn append_episodes(
    lake: &Lake,
    version: i64,
    rows: &[EpisodeRow],
) -> anyhow::Result<bool> {
    let def = schema::action_episodes();
    let texts = |of: fn(&EpisodeRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let instants = |of: fn(&EpisodeRow) -> i64| -> ArrayRef {
        let micros = TimestampMicrosecondArray::from_iter_values(rows.iter().map(of));
        Arc::new(micros.with_timezone("UTC"))
    };
    let batch = RecordBatch::try_new(
        Arc::clone(&def.schema),
        vec![
            Arc::new(Int64Array::from(vec![version + 1; rows.len()])),
            instants(|row| row.as_of),
            texts(|row| &row.rule_id),
            texts(|row| &row.subject),
            instants(|row| row.started_at),
            texts(|row| row.event.name()),
            Arc::new(rows.iter().map(|row| row.about.as_deref()).collect::<StringArray>()),
        ],
    )?;
    Ok(lake.append_once(&def, &[batch], APPENDS, version + 1).await?.is_some())
}
