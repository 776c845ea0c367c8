//! The sentence of the gate that decides a tier.

use domain::counted;
use domain::format::{plain_percent_with_places, plain_signed_percent, thousands, whole_days};

use crate::evaluation::Evaluation;
use crate::frames::ScoreError;
use crate::gates::Gate;

/// Returns why a gate holds, from the inputs of one row. A gate that still holds although its
/// condition has ended says so.
pub(crate) fn gate_reason(
    gate: Gate,
    evaluation: &Evaluation,
    row: usize,
) -> Result<String, ScoreError> {
    let signal = |name: &str| {
        let found = evaluation.signals.iter().find(|signal| signal.signal.name == name);
        found.and_then(|signal| signal.reasons.get(row)).map(str::to_owned)
    };
    let or_default = |reason: Option<String>| reason.unwrap_or_else(|| capitalised(gate));
    Ok(match gate {
        Gate::Dead => dead(evaluation, row)?
            .unwrap_or_else(|| "Calls succeed again, after days on which all failed".to_owned()),
        Gate::Silence => silence(evaluation, row)?,
        Gate::Collapse => fallen_calls(evaluation, row, "Calls had collapsed")?,
        Gate::Decline => fallen_calls(evaluation, row, "Calls had declined")?,
        Gate::RevenueGone => revenue_gone(evaluation, row)?,
        Gate::LowErrors => or_default(signal("errors")),
        Gate::LowGrowth => or_default(signal("growth")),
        Gate::LowRevenue => or_default(signal("revenue")),
        Gate::TwoLowSignals => two_low_signals(evaluation, row),
        Gate::ForecastAtRisk | Gate::ForecastWatch => match evaluation.risk.get(row) {
            Some(risk) => {
                let percent = plain_percent_with_places(risk, 0);
                format!("Forecast: leaves within four weeks with {percent}")
            }
            None => capitalised(gate),
        },
    })
}

fn capitalised(gate: Gate) -> String {
    domain::format::capitalized(&gate.name().replace('_', " "))
}

/// Describes three days of failures; `None` where a call of them succeeded.
fn dead(evaluation: &Evaluation, row: usize) -> Result<Option<String>, ScoreError> {
    let activity = &evaluation.activity;
    let calls = activity.i64("calls_3d")?.get(row).unwrap_or_default();
    if calls == 0 || activity.i64("successes_3d")?.get(row).unwrap_or_default() > 0 {
        return Ok(None);
    }
    let auth = activity.i64("auth_failures_3d")?.get(row).unwrap_or_default();
    let status = activity.i64("status_3d")?.get(row);
    let all = format!("All {} of three days failed", counted(calls, "call"));
    Ok(Some(match status {
        Some(status) if 2 * auth > calls => format!("{all} with {status}: a dead credential"),
        Some(status) => format!("{all}, mostly with {status}"),
        None => all,
    }))
}

fn silence(evaluation: &Evaluation, row: usize) -> Result<String, ScoreError> {
    let silent = evaluation.activity.i64("silent_days")?.get(row).unwrap_or_default();
    if silent == 0 {
        return Ok("Calls again, after a silence that was unusual for it".to_owned());
    }
    let cadence = evaluation.partners.cadence.get(row).unwrap_or(1.0);
    let usual = match cadence.round() {
        days if days <= 1.0 => "usually every day".to_owned(),
        days => format!("usually every {}", counted(days as i64, "day")),
    };
    Ok(format!("No success for {}, {usual}", whole_days(silent)))
}

/// Returns the calls of 14 days beside the usual ones, or a sentence where there are none.
fn fallen_calls(
    evaluation: &Evaluation,
    row: usize,
    without_usual: &str,
) -> Result<String, ScoreError> {
    let growth = &evaluation.growth;
    let calls = growth.f64("calls_14d")?.get(row);
    let usual = growth.f64("baseline_week_median")?.get(row).map(|week| 2.0 * week);
    let Some((calls, usual)) = calls.zip(usual).filter(|(_, usual)| *usual > 0.0) else {
        return Ok(without_usual.to_owned());
    };
    let change = plain_signed_percent(calls / usual - 1.0);
    let (calls, usual) = (thousands(calls.round() as i64), thousands(usual.round() as i64));
    Ok(format!("Calls {change} in two weeks: {calls}, usually {usual}"))
}

fn revenue_gone(evaluation: &Evaluation, row: usize) -> Result<String, ScoreError> {
    let revenue = &evaluation.revenue;
    let gross = revenue.f64("last_month_gross")?.get(row);
    let usual = revenue.f64("median_before")?.get(row);
    let Some((gross, usual)) = gross.zip(usual).filter(|(_, usual)| *usual > 0.0) else {
        return Ok("Gross had gone while calls went on".to_owned());
    };
    let change = plain_signed_percent(gross / usual - 1.0);
    Ok(format!("Gross {change} last month while calls go on"))
}

/// Joins the reasons of the two lowest signals among those that gates look at.
fn two_low_signals(evaluation: &Evaluation, row: usize) -> String {
    let looked_at = ["errors", "growth", "revenue"];
    let mut low: Vec<(f64, &str)> = evaluation
        .signals
        .iter()
        .filter(|signal| looked_at.contains(&signal.signal.name))
        .filter_map(|signal| signal.score.get(row).zip(signal.reasons.get(row)))
        .collect();
    low.sort_by(|a, b| a.0.total_cmp(&b.0));
    let reasons: Vec<&str> = low.into_iter().take(2).map(|(_, reason)| reason).collect();
    match reasons.is_empty() {
        true => capitalised(Gate::TwoLowSignals),
        false => reasons.join("; "),
    }
}
