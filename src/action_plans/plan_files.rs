//! Plans as files, and in the lake once something was decided on them.

use std::path::Path;
use std::sync::Arc;

use actions::Plan;
use actions::log::History;
use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use domain::{MICROS_PER_DAY, closest_name, parse_instant};
use lake::{Lake, schema};
use serde::Deserialize;

use super::log_table::LogTable;
use super::table_rows::read_rows;
use crate::atomic_file::write_file;
use crate::errors::usage_error;

#[derive(Deserialize)]
struct StoredPlan {
    at: String,
    plan_id: String,
    plan: String,
}

/// Writes a plan to a file.
pub(crate) fn write_plan(plan: &Plan, out: &Path) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(plan)?;
    text.push('\n');
    write_file(out, text.as_bytes())
}

/// Reads a plan from a file, or by its id from the lake.
pub(crate) async fn read_plan(lake: &Lake, given: &str) -> anyhow::Result<Plan> {
    let path = Path::new(given);
    if path.exists() {
        let text = std::fs::read_to_string(path)
            .map_err(|e| usage_error(format!("the plan {given} can't be read: {e}")))?;
        return serde_json::from_str(&text).map_err(|e| {
            usage_error(format!("{given} is no plan of this version of Rapport: {e}"))
        });
    }
    let stored = stored_plans(lake).await?;
    if let Some(plan) = stored.iter().find(|stored| stored.plan_id == given) {
        return Ok(serde_json::from_str(&plan.plan)?);
    }
    let ids = stored.iter().map(|stored| stored.plan_id.as_str());
    let meant = closest_name(given, ids)
        .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
    Err(usage_error(format!(
        "there is no file \"{given}\", and no plan of this id was approved or applied{meant}"
    )))
}

async fn stored_plans(lake: &Lake) -> anyhow::Result<Vec<StoredPlan>> {
    let found = read_rows::<StoredPlan>(lake, schema::action_plans()).await?;
    let mut plans = found.map(|(plans, _)| plans).unwrap_or_default();
    plans.sort_by(|a, b| (&a.at, &a.plan_id).cmp(&(&b.at, &b.plan_id)));
    Ok(plans)
}

/// Returns the plans of the last days of which something may still be sent, the oldest first.
pub(crate) async fn open_plans(lake: &Lake, now: i64) -> anyhow::Result<Vec<Plan>> {
    let oldest = now - actions::PLAN_DAYS * MICROS_PER_DAY;
    let history = History::of(&LogTable::new(lake.clone()).read().await?.0);
    let mut open = Vec::new();
    for stored in stored_plans(lake).await? {
        if parse_instant(&stored.at).is_none_or(|at| at >= oldest) {
            let plan: Plan = serde_json::from_str(&stored.plan)?;
            if !actions::is_finished(&plan, &history) {
                open.push(plan);
            }
        }
    }
    Ok(open)
}

/// Keeps a plan in the lake, once.
pub(crate) async fn store_plan(lake: &Lake, plan: &Plan, now: i64) -> anyhow::Result<()> {
    if stored_plans(lake).await?.iter().any(|stored| stored.plan_id == plan.plan_id) {
        return Ok(());
    }
    let def = schema::action_plans();
    let at = TimestampMicrosecondArray::from(vec![now]).with_timezone("UTC");
    let rows = RecordBatch::try_new(
        Arc::clone(&def.schema),
        vec![
            Arc::new(StringArray::from(vec![plan.plan_id.as_str()])),
            Arc::new(at),
            Arc::new(StringArray::from(vec![serde_json::to_string(plan)?])),
        ],
    )?;
    lake.append(&def, &[rows]).await?;
    Ok(())
}
