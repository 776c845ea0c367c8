//! The rows of metrics that pages show, typed.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use chrono::NaiveDate;
use dashboards::{ErrorAlarmRow, ReportInput, mark_unbilled_months};
use serde::Deserialize;
use transform::{QueryResult, Session};

use crate::polars_frames;

/// Adds the rows of the metrics to the report. A metric without a result has none.
pub(super) fn fill(
    results: &BTreeMap<String, QueryResult>,
    input: &mut ReportInput,
) -> anyhow::Result<()> {
    input.funnel = typed(results, "funnel")?;
    input.onboarding_steps = typed(results, "onboarding_steps")?;
    input.time_to_first_call = typed(results, "time_to_first_call")?;
    input.time_to_production = typed(results, "time_to_production")?;
    input.activation = typed(results, "activation")?;
    input.self_service = typed(results, "self_service")?;
    input.growth = typed(results, "growth")?;
    input.cohort_retention = typed(results, "cohort_retention")?;
    input.revenue_summary = typed(results, "revenue_summary")?;
    input.revenue_per_partner = typed(results, "revenue_per_partner")?;
    input.partner_reliability = typed(results, "partner_reliability")?;
    input.throttling = typed(results, "throttling")?;
    input.product_usage = typed(results, "product_usage")?;
    input.endpoint_usage = typed(results, "endpoint_usage")?;
    input.sla_breaches = typed(results, "sla_breaches")?;
    input.version_adoption = typed(results, "version_adoption")?;
    input.error_alarms = results.get("error_trend").map_or_else(|| Ok(Vec::new()), alarms)?;
    input.data_quality = typed(results, "data_quality")?;
    if results.contains_key("stuck_partners") {
        input.stuck_partners = Some(typed(results, "stuck_partners")?);
    }
    input.churn_causes = typed(results, "churn_causes")?;
    input.revenue_bridge = typed(results, "revenue_bridge")?;
    input.revenue_by_product = typed(results, "revenue_by_product")?;
    input.revenue_by_kind = typed(results, "revenue_by_kind")?;
    input.free_to_paid = typed(results, "free_to_paid")?;
    Ok(())
}

#[derive(Deserialize)]
struct LastChargeRow {
    charged_on: Option<NaiveDate>,
}

/// Takes the months in which no partner at all has been charged yet as unfinished. The session sees all
/// partners, whatever the report is restricted to.
pub(super) async fn mark_unbilled(
    session: &Session,
    input: &mut ReportInput,
) -> anyhow::Result<()> {
    let last = session.metric("last_charge_day").await?;
    let last = polars_frames::typed_rows::<LastChargeRow>(&last)?.pop();
    mark_unbilled_months(&mut input.revenue_bridge, last.and_then(|row| row.charged_on));
    Ok(())
}

fn typed<T: serde::de::DeserializeOwned>(
    results: &BTreeMap<String, QueryResult>,
    name: &str,
) -> anyhow::Result<Vec<T>> {
    results.get(name).map_or_else(|| Ok(Vec::new()), polars_frames::typed_rows)
}

/// Returns the days of `error_trend` with an alarm: few of its many rows.
fn alarms(rows: &QueryResult) -> anyhow::Result<Vec<ErrorAlarmRow>> {
    let raised = |batch: &RecordBatch| -> anyhow::Result<RecordBatch> {
        let alarm = batch.column_by_name("alarm").and_then(|column| column.as_boolean_opt());
        let alarm = alarm.context("error_trend has no column alarm of true and false")?;
        Ok(filter_record_batch(batch, alarm)?)
    };
    let batches = rows.batches.iter().map(raised).collect::<anyhow::Result<Vec<_>>>()?;
    polars_frames::typed_rows(&QueryResult { schema: Arc::clone(&rows.schema), batches })
}
