//! The log of deliveries in the lake. Every append raises one number in the same commit, so an append
//! fails where somebody else appended since the log was read.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{
    ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use chrono::NaiveDate;
use domain::{Day, parse_instant};
use lake::{Lake, schema};
use serde::Deserialize;

use crate::action_plans::read_rows;

/// The transaction id that counts the appends.
const APPENDS: &str = "appends";

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryEntry {
    /// It is about to be sent. Written before, so that nobody else sends it.
    Sending,
    Sent,
    /// Nothing has changed since the one that was sent last.
    Skipped,
    /// Metrics are held back by data checks; the next run looks again.
    Held,
    /// The receiver may take it later; the next run tries again.
    Failed,
    /// The receiver will never take it.
    Refused,
    /// It was sent, perhaps: the program ended before it could tell, or no answer came.
    Unknown,
    /// The digests of all managers have one of the rows above.
    Complete,
    Paused,
    Resumed,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogRow {
    pub(crate) at: i64,
    pub(crate) entry: DeliveryEntry,
    pub(crate) delivery: String,
    /// The date that names the period; `None` for a pause.
    pub(crate) period: Option<NaiveDate>,
    /// Who gets it; `None` where the channel leads to one place.
    pub(crate) recipient: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) as_of: Option<NaiveDate>,
    /// The digest of the figures.
    pub(crate) figures: Option<String>,
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

/// A row as the table holds it.
#[derive(Deserialize)]
struct StoredRow {
    sequence: i64,
    at: String,
    entry: DeliveryEntry,
    delivery: String,
    period: Option<NaiveDate>,
    recipient: Option<String>,
    channel: Option<String>,
    as_of: Option<NaiveDate>,
    figures: Option<String>,
    by: String,
    reason: Option<String>,
}

/// The table.
pub(crate) struct DeliveryLog {
    lake: Lake,
}

impl DeliveryEntry {
    /// Returns the name in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Complete => "complete",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        }
    }
}

impl StoredRow {
    fn row(self) -> anyhow::Result<LogRow> {
        let at = parse_instant(&self.at);
        Ok(LogRow {
            at: at.with_context(|| format!("\"{}\" is no instant", self.at))?,
            entry: self.entry,
            delivery: self.delivery,
            period: self.period,
            recipient: self.recipient,
            channel: self.channel,
            as_of: self.as_of,
            figures: self.figures,
            by: self.by,
            reason: self.reason,
        })
    }
}

impl DeliveryLog {
    pub(crate) fn new(lake: &Lake) -> Self {
        Self { lake: lake.clone() }
    }

    /// Returns all rows in the order of their appends, and the number of appends.
    pub(crate) async fn read(&self) -> anyhow::Result<(Vec<LogRow>, i64)> {
        let found = read_rows::<StoredRow>(&self.lake, schema::delivery_log()).await?;
        let Some((mut rows, table)) = found else { return Ok((Vec::new(), 0)) };
        rows.sort_by_key(|row| row.sequence);
        let rows = rows.into_iter().map(StoredRow::row).collect::<anyhow::Result<_>>()?;
        Ok((rows, table.txns.get(APPENDS).copied().unwrap_or_default()))
    }

    /// Appends a row, unless somebody appended another since `version` was read. Returns whether it
    /// did.
    pub(crate) async fn append(&self, version: i64, row: &LogRow) -> anyhow::Result<bool> {
        let def = schema::delivery_log();
        let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let at = TimestampMicrosecondArray::from(vec![row.at]).with_timezone("UTC");
        let date = |value: Option<NaiveDate>| -> ArrayRef {
            Arc::new(Date32Array::from(vec![value.map(|date| Day::of_date(date).0)]))
        };
        let batch = RecordBatch::try_new(
            Arc::clone(&def.schema),
            vec![
                Arc::new(Int64Array::from(vec![version + 1])),
                Arc::new(at),
                text(Some(row.entry.name())),
                text(Some(&row.delivery)),
                date(row.period),
                text(row.recipient.as_deref()),
                text(row.channel.as_deref()),
                date(row.as_of),
                text(row.figures.as_deref()),
                text(Some(&row.by)),
                text(row.reason.as_deref()),
            ],
        )?;
        Ok(self.lake.append_once(&def, &[batch], APPENDS, version + 1).await?.is_some())
    }

    /// Appends a row whatever others append.
    pub(crate) async fn append_always(&self, row: &LogRow) -> anyhow::Result<()> {
        loop {
            let (_, version) = self.read().await?;
            if self.append(version, row).await? {
                return Ok(());
            }
        }
    }
}
