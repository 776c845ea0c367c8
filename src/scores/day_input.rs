//! What the scores of one past day were made from, to compare it with another day.

use chrono::NaiveDate;
use domain::Day;
use scoring::explain::DayInput;
use scoring::{Policy, PolicyError, candidate_queries};
use serde::Deserialize;
use transform::Session;

use super::inputs::{EvaluatedDays, evaluation_input};
use super::models::dormancy_model;
use crate::metric_pipeline::OutcomePrinter;
use crate::polars_frames::typed_rows;
use crate::project::Project;

/// Returns the inputs of a day, which is the only one of the session, with the dormancy model of its
/// month. Risk is no part of a score, so that its model is left out. The policy of the other day may
/// weigh candidates that this one does not.
pub(crate) async fn day_input(
    project: &Project,
    evaluated: &EvaluatedDays,
    day: Day,
    policy: Policy,
    printer: &mut OutcomePrinter,
) -> anyhow::Result<DayInput> {
    let dormancy = dormancy_model(project, &evaluated.session, day).await?.model;
    let candidates = candidate_queries();
    let evaluation = evaluation_input(evaluated, candidates, dormancy, None, printer).await?;
    Ok(DayInput { day, evaluation, policy })
}

#[derive(Deserialize)]
struct PolicyRow {
    day: NaiveDate,
    policy: String,
}

/// Returns the policy that the newest scores of an evaluated day were computed by, or why this
/// program can't read it; `None` where no scores of the day are stored.
pub(crate) async fn policy_of_day(
    session: &Session,
    day: Day,
) -> anyhow::Result<Option<Result<Policy, PolicyError>>> {
    let rows: Vec<PolicyRow> = typed_rows(&session.metric("evaluated_policy").await?)?;
    let row = rows.into_iter().find(|row| Day::of_date(row.day) == day);
    Ok(row.map(|row| Policy::parse(&row.policy)))
}
