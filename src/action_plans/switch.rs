//! The kill switch: the newest row says whether anything may be delivered.

use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use domain::format_instant;
use lake::{Lake, schema};
use serde::Deserialize;

use super::table_rows::read_rows;

/// The transaction id that counts the rows.
const ROWS: &str = "rows";

/// The newest row.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Switch {
    sequence: i64,
    pub(crate) at: String,
    pub(crate) by: String,
    pub(crate) stopped: bool,
    pub(crate) reason: String,
}

impl Switch {
    /// Reads the newest row; `None` while the switch was never touched.
    pub(crate) async fn read(lake: &Lake) -> anyhow::Result<Option<Self>> {
        let found = read_rows::<Self>(lake, schema::action_switch()).await?;
        let rows = found.map(|(rows, _)| rows).unwrap_or_default();
        Ok(rows.into_iter().max_by_key(|row| row.sequence))
    }

    /// Returns who stopped deliveries, when and why, if they are stopped.
    pub(crate) async fn stopped(lake: &Lake) -> anyhow::Result<Option<String>> {
        let newest = Self::read(lake).await?.filter(|row| row.stopped);
        Ok(newest.map(|row| format!("by {} at {}: {}", row.by, row.at, row.reason)))
    }
}

/// Stops or resumes all deliveries. Returns the time as it was written.
pub(crate) async fn set_switch(
    lake: &Lake,
    stopped: bool,
    by: &str,
    reason: &str,
    now: i64,
) -> anyhow::Result<String> {
    let def = schema::action_switch();
    loop {
        let table = lake.snapshot(&def.name, None).await?;
        let before = table.and_then(|table| table.txns.get(ROWS).copied()).unwrap_or_default();
        let at = TimestampMicrosecondArray::from(vec![now]).with_timezone("UTC");
        let rows = RecordBatch::try_new(
            Arc::clone(&def.schema),
            vec![
                Arc::new(Int64Array::from(vec![before + 1])),
                Arc::new(at),
                Arc::new(StringArray::from(vec![by])),
                Arc::new(BooleanArray::from(vec![stopped])),
                Arc::new(StringArray::from(vec![reason])),
            ],
        )?;
        if lake.append_once(&def, &[rows], ROWS, before + 1).await?.is_some() {
            return Ok(format_instant(now));
        }
    }
}
