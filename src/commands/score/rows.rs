//! The rows of a backtest as CSV: every partner at every origin.

use anyhow::Context;

use crate::backtest::Replay;

/// The columns before the features.
const COLUMNS: [&str; 18] = [
    "origin",
    "label_end",
    "partner_id",
    "left",
    "risk",
    "is_risk_fitted",
    "health",
    "tier",
    "days_since_last_call",
    "calls_a_day",
    "gross_share",
    "cadence",
    "last_success",
    "warned_on",
    "has_action",
    "size",
    "plan",
    "region",
];

/// Returns a header and a row for each partner and origin; unknown values are empty.
pub(super) fn csv(replay: &Replay) -> anyhow::Result<String> {
    let sample = &replay.sample;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let features = sample.feature_names.iter().map(|name| format!("feature_{name}"));
    writer.write_record(COLUMNS.into_iter().map(str::to_owned).chain(features))?;
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for (row, features) in sample.rows.iter().zip(&sample.features) {
        let partner = replay.partner_ids.get(row.partner as usize);
        let cells = [
            row.origin.to_string(),
            row.label_end.to_string(),
            partner.context("a partner without an id")?.clone(),
            row.left.to_string(),
            number(row.risk),
            row.is_risk_fitted.to_string(),
            number(row.health),
            row.tier.name().to_owned(),
            row.days_since_last_call.to_string(),
            row.call_frequency.to_string(),
            row.gross_share.to_string(),
            row.cadence.to_string(),
            row.last_success.to_string(),
            row.warned_on.map_or_else(String::new, |day| day.to_string()),
            row.has_action.to_string(),
            row.size.clone(),
            row.plan.clone(),
            row.region.clone(),
        ];
        writer
            .write_record(cells.into_iter().chain(features.iter().map(|value| number(*value))))?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8(bytes)?)
}
