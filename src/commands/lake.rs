//! `rapport lake verify | status`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use lake::{Lake, schema};
use lake_types::{Stream, format_instant};

use crate::args::LakeCommand;
use crate::config::Config;
use crate::failure::Found;
use crate::output::{self, Rows, line, note};
use crate::progress::{Stage, count};

pub(crate) async fn run(command: &LakeCommand, config: Config, quiet: bool) -> anyhow::Result<()> {
    let lake = Lake::open(&config.lake()).await?;
    match command {
        LakeCommand::Verify => verify(&lake, quiet).await,
        LakeCommand::Status { format } => status(&lake, *format).await,
    }
}

async fn verify(lake: &Lake, quiet: bool) -> anyhow::Result<()> {
    let stage = Stage::begin("verify", quiet);
    let found = lake.verify().await?;
    drop(stage);
    for finding in &found.findings {
        line(&format!("{}: {}", finding.table, finding.what))?;
    }
    line(&format!(
        "{} tables, {} files, {} rows looked at, {} findings",
        found.tables,
        count(found.files as u64),
        count(found.rows),
        found.findings.len()
    ))?;
    if found.findings.is_empty() {
        return Ok(());
    }
    Err(Found(format!("the lake has {} faults", found.findings.len())).into())
}

async fn status(lake: &Lake, format: output::Format) -> anyhow::Result<()> {
    let mut names: Vec<String> = Stream::ALL.into_iter().map(|s| schema::raw(s).name).collect();
    names.push(schema::dead_letters().name);
    let rollups = ["partner_day", "latency_histogram", "partner_minute_peak", "billing_day"];
    names.extend(rollups.map(|r| format!("rollup/{r}")));
    names.extend(["scores/partner_health".to_owned(), "runs".to_owned()]);
    let mut rows = Vec::new();
    for name in names {
        if let Some(snapshot) = lake.snapshot(&name, None).await? {
            let bytes: u64 = snapshot.files.iter().map(|f| f.size).sum();
            let figures = [snapshot.version, snapshot.rows(), snapshot.files.len() as u64, bytes];
            rows.push((name, figures));
        }
    }
    let heads = ["version", "rows", "files", "bytes"];
    let mut fields = vec![Field::new("table", DataType::Utf8, false)];
    fields.extend(heads.map(|h| Field::new(h, DataType::Int64, false)));
    let schema = Arc::new(Schema::new(fields));
    let names = StringArray::from_iter_values(rows.iter().map(|(name, _)| name));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(names)];
    for index in 0..heads.len() {
        let values = rows.iter().map(|(_, f)| i64::try_from(f[index]).unwrap_or(i64::MAX));
        columns.push(Arc::new(Int64Array::from_iter_values(values)));
    }
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    output::print(&Rows { schema: &schema, batches: &[batch] }, format)?;
    match lake.watermark().await? {
        Some(watermark) => note(&format!("Complete to {} (watermark)", format_instant(watermark))),
        None => note("No API calls yet, so no watermark"),
    }
    Ok(())
}
