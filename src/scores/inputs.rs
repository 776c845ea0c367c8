//! The rows of the scoring queries as frames, for one stretch of evaluated days.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use arrow::array::{Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use domain::{AsOf, Day};
use futures::StreamExt;
use polars::prelude::DataFrame;
use scoring::{ACTIVITY, DormancyModel, EvaluationInput, PARTNERS, RiskModel, evaluation_queries};
use transform::{Catalog, QueryResult, Session};

use crate::metric_pipeline::{MetricPipeline, OutcomePrinter};
use crate::polars_frames::data_frame;
use crate::project::Project;

/// The rows of each query by its name.
type QueryFrames = BTreeMap<String, DataFrame>;

/// A session whose table `evaluation_day` holds the days to evaluate.
pub(crate) struct EvaluatedDays {
    pub(crate) session: Arc<Session>,
}

impl EvaluatedDays {
    /// Opens a session as of `as_of` on the same table versions as another one.
    pub(crate) async fn open(
        project: &Project,
        same_versions: &Session,
        as_of: AsOf,
        days: &[Day],
    ) -> anyhow::Result<Self> {
        let versions = same_versions.versions();
        let session = project.reading_engine().open_session(as_of, Some(versions)).await?;
        session.replace_rows("evaluation_day", &day_rows(days)?)?;
        Ok(Self { session: Arc::new(session) })
    }
}

/// Returns the rows of the table `evaluation_day`.
pub(crate) fn day_rows(days: &[Day]) -> anyhow::Result<RecordBatch> {
    let schema = Arc::new(Schema::new(vec![Field::new("day", DataType::Date32, true)]));
    let days: Date32Array = days.iter().map(|day| Some(day.0)).collect();
    Ok(RecordBatch::try_new(schema, vec![Arc::new(days)])?)
}

/// Runs the scoring queries, and those of `candidates` among the signals. One that is held back is
/// reported, and its signals are not available.
pub(crate) async fn evaluation_input(
    evaluated: &EvaluatedDays,
    candidates: BTreeSet<&'static str>,
    dormancy: Option<DormancyModel>,
    risk: Option<RiskModel>,
    printer: &mut OutcomePrinter,
) -> anyhow::Result<EvaluationInput> {
    let mut queries = evaluation_queries();
    queries.extend(candidates);
    let (frames, held_back) = query_frames(evaluated, &queries, printer).await?;
    Ok(EvaluationInput { frames, held_back, dormancy, risk })
}

/// The queries without whose rows there is nothing to score. No check of the project holds them back.
const ESSENTIAL: [&str; 2] = [PARTNERS, ACTIVITY];

/// Returns the rows of scoring queries by name, and the names of those that are held back, which
/// have no rows.
pub(crate) async fn query_frames(
    evaluated: &EvaluatedDays,
    names: &BTreeSet<&'static str>,
    printer: &mut OutcomePrinter,
) -> anyhow::Result<(QueryFrames, BTreeSet<String>)> {
    let session = &evaluated.session;
    let mut frames = QueryFrames::new();
    let mut held_back = BTreeSet::new();
    for name in ESSENTIAL.into_iter().filter(|name| names.contains(name)) {
        frames.insert(name.to_owned(), data_frame(session.metric(name).await?)?);
    }
    let pipeline = MetricPipeline::of_all_partners(session).await;
    let others = names.iter().filter(|name| !ESSENTIAL.contains(*name));
    let mut outcomes = pin!(pipeline.compute_all(others.map(|name| (*name).to_owned()).collect()));
    while let Some(outcome) = outcomes.next().await {
        printer.print_outcome(&outcome, "scores are made without it");
        let name = outcome.name;
        let rows = match outcome.rows {
            Ok(rows) => rows,
            Err(_) => {
                // What a project puts in place of the query may not be readable, or may have other
                // columns than the signals read.
                let schema = Catalog::built_in()?.find(&name)?.declared_schema();
                held_back.insert(name.clone());
                QueryResult { schema, batches: Vec::new() }
            }
        };
        frames.insert(name, data_frame(rows)?);
    }
    Ok((frames, held_back))
}
