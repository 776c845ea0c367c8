//! `rapport deliver log`: what was sent, skipped, held back or failed.

use chrono::{DateTime, Utc};
use dashboards::DeliveryRow;
use domain::{format_instant, printable};
use lake::Lake;

use crate::args::DeliveryLogArgs;
use crate::commands::score_records::print_list;
use crate::deliveries::{DeliveryLog, LogRow};
use crate::project::Project;
use crate::rows::text_batch;

/// Prints the rows, newest first.
pub(super) async fn run(project: &Project, options: &DeliveryLogArgs) -> anyhow::Result<()> {
    let (mut rows, _) = DeliveryLog::new(&project.lake).read().await?;
    rows.reverse();
    if let Some(name) = &options.only {
        rows.retain(|row| row.delivery == *name);
    }
    rows.truncate(options.limit);
    let column = |of: &dyn Fn(&LogRow) -> String| -> Vec<String> {
        rows.iter().map(|row| printable(&of(row)).into_owned()).collect()
    };
    let date = |date: Option<chrono::NaiveDate>| date.map(|d| d.to_string()).unwrap_or_default();
    let second = |at: i64| format_instant(at - at.rem_euclid(1_000_000));
    let columns = [
        ("at", column(&|row| second(row.at))),
        ("entry", column(&|row| row.entry.name().to_owned())),
        ("delivery", column(&|row| row.delivery.clone())),
        ("period", column(&|row| date(row.period))),
        ("recipient", column(&|row| row.recipient.clone().unwrap_or_default())),
        ("channel", column(&|row| row.channel.clone().unwrap_or_default())),
        ("as_of", column(&|row| date(row.as_of))),
        ("by", column(&|row| row.by.clone())),
        ("reason", column(&|row| row.reason.clone().unwrap_or_default())),
    ];
    print_list(&text_batch(columns)?, options.format, "No delivery was sent, skipped or held back")
}

/// Returns the rows as pages show them, newest first.
pub(crate) async fn delivery_rows(lake: &Lake) -> anyhow::Result<Vec<DeliveryRow>> {
    let (rows, _) = DeliveryLog::new(lake).read().await?;
    let shown = rows.into_iter().rev().map(|row| DeliveryRow {
        at: DateTime::<Utc>::from_timestamp_micros(row.at),
        delivery: row.delivery,
        recipient: row.recipient.unwrap_or_default(),
        channel: row.channel.unwrap_or_default(),
        period: row.period.map(|date| date.to_string()).unwrap_or_default(),
        entry: row.entry.name().to_owned(),
        reason: row.reason.unwrap_or_default(),
    });
    Ok(shown.collect())
}
