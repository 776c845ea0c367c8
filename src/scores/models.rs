//! The models that scores use: dormancy, fitted monthly, and risk, where a person adopted one; and
//! that of partners that become paying, fitted monthly too.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use domain::{AsOf, Day, month_of};
use lake::schema;
use scoring::{DormancyModel, PAYING, PayingModel, RiskModel, fit_dormancy};
use serde::Deserialize;
use transform::Session;

use super::inputs::{EvaluatedDays, query_frames};
use crate::metric_pipeline::OutcomePrinter;
use crate::polars_frames::typed_rows;
use crate::project::Project;

/// Days between the histories of the fall-back and their outcomes.
const OUTCOME_DAYS: i32 = 28;

/// The kinds of models in the table `models`.
const DORMANCY: &str = "dormancy";
pub(crate) const RISK: &str = "risk";
const PAYING_KIND: &str = "paying";

/// A row of the query `latest_models`.
#[derive(Deserialize)]
struct ModelRow {
    kind: String,
    as_of_us: i64,
    fitted_at_us: i64,
    parameters: String,
}

/// A dormancy model, and the day as of which it was fitted.
pub(crate) struct Dormancy {
    pub(crate) model: Option<DormancyModel>,
    pub(crate) as_of: Day,
}

/// Returns the dormancy model of a day: the one fitted as of the first day of its month. It is
/// fitted and stored the first time that a day of the month is scored.
pub(crate) async fn dormancy_model(
    project: &Project,
    session: &Session,
    day: Day,
) -> anyhow::Result<Dormancy> {
    let as_of = month_of(day);
    if let Some(row) = stored_as_of(session, DORMANCY, as_of).await? {
        return Ok(Dormancy { model: Some(serde_json::from_str(&row.parameters)?), as_of });
    }
    let model = fit_as_of(project, session, as_of).await?;
    if let Some(model) = &model {
        let stored = StoredModel {
            kind: DORMANCY,
            fitted_at: project.now,
            as_of,
            parameters: serde_json::to_string(model)?,
            log_likelihood: model.log_likelihood(),
            n: i64::try_from(model.n()).unwrap_or(i64::MAX),
            adopted_by: None,
        };
        store(project, session, &stored).await?;
    }
    Ok(Dormancy { model, as_of })
}

/// Appends a fitted model to the table `models`, and to what the session reads of it.
async fn store(project: &Project, session: &Session, model: &StoredModel) -> anyhow::Result<()> {
    let row = model_row(model)?;
    project.append(&schema::models(), row.clone()).await?;
    session.add_rows("models", &row).await?;
    Ok(())
}

/// Returns the model of partners that become paying of a day: the one fitted as of the first day of
/// its month. It is fitted and stored the first time that it is asked for; `None` where too little is
/// known to fit one.
pub(crate) async fn paying_model(
    project: &Project,
    session: &Session,
    day: Day,
) -> anyhow::Result<Option<PayingModel>> {
    let as_of = month_of(day);
    if let Some(row) = stored_as_of(session, PAYING_KIND, as_of).await? {
        return Ok(Some(serde_json::from_str(&row.parameters)?));
    }
    let evaluated = EvaluatedDays::open(project, session, AsOf::of_day(as_of), &[as_of]).await?;
    let queries = BTreeSet::from([PAYING]);
    let (frames, _) = query_frames(&evaluated, &queries, &mut OutcomePrinter::default()).await?;
    let Some(frame) = frames.into_values().next() else { return Ok(None) };
    let Some(model) = PayingModel::fit(frame, as_of)? else { return Ok(None) };
    let stored = StoredModel {
        kind: PAYING_KIND,
        fitted_at: project.now,
        as_of,
        parameters: serde_json::to_string(&model)?,
        log_likelihood: None,
        n: i64::try_from(model.partners).unwrap_or(i64::MAX),
        adopted_by: None,
    };
    store(project, session, &stored).await?;
    Ok(Some(model))
}

/// Fits the dormancy model to what was known as of a day; `None` where nobody was live long enough.
pub(crate) async fn fit_as_of(
    project: &Project,
    session: &Session,
    as_of: Day,
) -> anyhow::Result<Option<DormancyModel>> {
    let earlier = as_of.plus(-OUTCOME_DAYS);
    let evaluated =
        EvaluatedDays::open(project, session, AsOf::of_day(as_of), &[earlier, as_of]).await?;
    let queries = BTreeSet::from(["scoring_dormancy"]);
    let (frames, _) = query_frames(&evaluated, &queries, &mut OutcomePrinter::default()).await?;
    let Some(frame) = frames.into_values().next() else { return Ok(None) };
    Ok(fit_dormancy(frame, earlier, as_of)?)
}

/// Returns the model of a kind that was fitted as of a day.
async fn stored_as_of(
    session: &Session,
    kind: &str,
    as_of: Day,
) -> anyhow::Result<Option<ModelRow>> {
    let stored = stored_models(session).await?.into_iter();
    let mut of_day = stored.filter(|row| row.as_of_us == as_of.start_micros());
    Ok(of_day.find(|row| row.kind == kind))
}

async fn stored_models(session: &Session) -> anyhow::Result<Vec<ModelRow>> {
    typed_rows(&session.metric("latest_models").await?)
}

/// Returns the risk model in force on a day: the newest that a person adopted before it.
pub(crate) async fn risk_model(
    session: &Session,
    day: Day,
) -> anyhow::Result<Option<(i64, RiskModel)>> {
    let adopted = stored_models(session)
        .await?
        .into_iter()
        .filter(|row| row.kind == RISK && row.as_of_us <= day.start_micros());
    let Some(newest) = adopted.max_by_key(|row| (row.as_of_us, row.fitted_at_us)) else {
        return Ok(None);
    };
    Ok(Some((newest.fitted_at_us, serde_json::from_str(&newest.parameters)?)))
}

/// A model as it is stored.
pub(crate) struct StoredModel {
    pub(crate) kind: &'static str,
    /// µs.
    pub(crate) fitted_at: i64,
    pub(crate) as_of: Day,
    /// JSON.
    pub(crate) parameters: String,
    pub(crate) log_likelihood: Option<f64>,
    pub(crate) n: i64,
    pub(crate) adopted_by: Option<String>,
}

/// Returns the row of a model in the table `models`.
pub(crate) fn model_row(model: &StoredModel) -> anyhow::Result<RecordBatch> {
    let instant =
        |micros| Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"));
    let text = |text: Option<&str>| Arc::new(StringArray::from(vec![text]));
    Ok(RecordBatch::try_new(
        schema::models().schema,
        vec![
            text(Some(model.kind)),
            instant(model.fitted_at),
            instant(model.as_of.start_micros()),
            text(Some(&model.parameters)),
            Arc::new(Float64Array::from(vec![model.log_likelihood])),
            Arc::new(Int64Array::from(vec![model.n])),
            text(model.adopted_by.as_deref()),
        ],
    )?)
}
