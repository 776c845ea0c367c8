//! Fills the rows by day, week and month behind the charts whose grain a reader may choose.

use dashboards::ReportInput;
use transform::Session;

use super::table;
use crate::polars_frames::typed_rows;

/// Adds traffic and revenue of a session. Revenue is left out while `revenue_summary` is held back,
/// because it has the same reason to be wrong.
pub(super) async fn fill(session: &Session, input: &mut ReportInput) -> anyhow::Result<()> {
    let daily = session.metric("partner_traffic").await?;
    input.daily = typed_rows(&daily)?;
    let what = "Production traffic of the last 90 days, as the pages draw it";
    table(input, "partner_traffic", what, &daily)?;
    let weekly = session.metric("partner_traffic_week").await?;
    input.weekly = typed_rows(&weekly)?;
    let what = "Production traffic of the last 13 weeks, each by its Monday";
    table(input, "partner_traffic_week", what, &weekly)?;
    let monthly = session.metric("partner_traffic_month").await?;
    input.monthly = typed_rows(&monthly)?;
    let what = "Production traffic of the last 13 months, each by its first day";
    table(input, "partner_traffic_month", what, &monthly)?;
    if input.held_back.contains_key("revenue_summary") {
        return Ok(());
    }
    let days = session.metric("revenue_day").await?;
    input.revenue_days = typed_rows(&days)?;
    table(input, "revenue_day", "Gross and net revenue of each of the last 28 days", &days)?;
    let weeks = session.metric("revenue_week").await?;
    input.revenue_weeks = typed_rows(&weeks)?;
    let what = "Gross and net revenue of the last 13 weeks, each by its Monday";
    table(input, "revenue_week", what, &weeks)
}
