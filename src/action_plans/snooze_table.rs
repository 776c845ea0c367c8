//! The snoozes of alerts in the lake.

use actions::{Snooze, Snoozes};
use anyhow::Context;
use domain::parse_instant;
use lake::{Lake, schema};
use serde::Deserialize;

use super::table_rows::read_rows;

#[derive(Deserialize)]
struct StoredSnooze {
    at: String,
    alert_id: String,
    partner_id: Option<String>,
    until: String,
}

/// Reads the snoozes.
pub(crate) async fn read_snoozes(lake: &Lake) -> anyhow::Result<Snoozes> {
    let found = read_rows::<StoredSnooze>(lake, schema::snoozes()).await?;
    let mut rows = found.map(|(rows, _)| rows).unwrap_or_default();
    rows.sort_by(|a, b| a.at.cmp(&b.at));
    let snoozes = rows.into_iter().map(|row| {
        let until = parse_instant(&row.until);
        let until = until.with_context(|| format!("\"{}\" is no instant", row.until))?;
        Ok(Snooze { alert_id: row.alert_id, partner_id: row.partner_id, until })
    });
    Ok(Snoozes::of(snoozes.collect::<anyhow::Result<Vec<_>>>()?))
}
