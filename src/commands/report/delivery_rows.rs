//! The rows of the deliveries of reports.

use dashboards::{DeliveryRow, ReportInput};

use super::text_table::TextTable;
use crate::commands::deliver::delivery_rows;
use crate::project::Project;

/// The newest rows that a report has.
const MOST: usize = 1_000;

const DELIVERIES: TextTable<'static, 7> = TextTable {
    name: "deliveries",
    description: "Reports that were sent, skipped, held back or failed, newest first, whatever as_of",
    columns: [
        ("at", "Utf8"),
        ("entry", "Utf8"),
        ("delivery", "Utf8"),
        ("period", "Utf8"),
        ("recipient", "Utf8"),
        ("channel", "Utf8"),
        ("reason", "Utf8"),
    ],
};

/// Adds the deliveries to the report.
pub(super) async fn fill(project: &Project, input: &mut ReportInput) -> anyhow::Result<()> {
    let mut rows = delivery_rows(&project.lake).await?;
    rows.truncate(MOST);
    DELIVERIES.add(input, rows.iter().map(cells))?;
    input.lake.deliveries = rows;
    Ok(())
}

fn cells(row: &DeliveryRow) -> [String; 7] {
    let at = row.at.map(|at| domain::format_instant(at.timestamp_micros()));
    [
        at.unwrap_or_default(),
        row.entry.clone(),
        row.delivery.clone(),
        row.period.clone(),
        row.recipient.clone(),
        row.channel.clone(),
        row.reason.clone(),
    ]
}
