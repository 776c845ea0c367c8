//! Stores the scores of a stretch of days once, under a revision, and reads what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use domain::{AsOf, Day};
use lake::{Lake, LakeError, TableDef, is_write_denied, schema};
use polars::prelude::{ChunkCompareIneq, DataFrame};
use scoring::{ScoreOutput, signal_names};
use transform::Session;

use crate::polars_frames::{data_frame, score_rows};
use crate::project::Project;
use crate::row_encoder::csv_bytes;
use crate::rows::Rows;

/// The application id in the table of signals that says that the rows of an older program were moved
/// there.
const TAKEN_OVER: &str = "taken over";

/// The application id in the table of signals that claims a revision. Revisions are numbered over the
/// whole lake, so that no two programs write under the same one.
const REVISION_MARK: &str = "scored";

/// How often a revision is tried. An attempt fails when another program scores at the same time.
const ATTEMPTS: usize = 20;

/// Returns the SQL of one row for each partner: the columns of `latest_scores`, and for each signal
/// five columns from `latest_signals`, such as `errors_score`. The columns follow the registry of
/// signals, which is why this SQL is not a file.
pub(crate) fn scores_and_signals() -> String {
    let (mut named, mut picked) = (Vec::new(), Vec::new());
    for name in signal_names() {
        for column in ["value", "score", "contribution", "n", "reason"] {
            named.push(format!("s.{name}_{column}"));
            picked
                .push(format!("max({column}) FILTER (WHERE signal = '{name}') AS {name}_{column}"));
        }
    }
    format!(
        "SELECT h.*, {} FROM latest_scores h
         LEFT JOIN (SELECT partner_id, {} FROM latest_signals GROUP BY partner_id) s
           ON s.partner_id = h.partner_id",
        named.join(", "),
        picked.join(", ")
    )
}

/// Appends the scores of a stretch of days under a new revision, unless the newest revisions have
/// the same scores. `evaluated` is the session that they were computed in.
///
/// The signals are written first, with a transaction id that claims the revision. Readers use the
/// revisions of `partner_health`, so they never see signals without scores, and no other program
/// writes under the same revision. What the scores were made from is written last: without it a day
/// counts as not scored.
pub(crate) async fn keep(
    project: &Project,
    session: &Session,
    evaluated: &Session,
    scored: &ScoreOutput,
    evaluations: &[Evaluation],
) -> anyhow::Result<()> {
    let newest = newest_revision(evaluated).await?;
    let is_same = newest > 0 && same(evaluated, scored, project.now).await?;
    if is_same && evaluations.iter().all(|evaluation| evaluation.is_known) {
        return Ok(());
    }
    if !project.is_read_only() {
        match put(project, scored, newest, is_same, evaluations).await {
            Err(error) if is_write_denied(error.as_ref()) => {
                project.switch_to_read_only(error.as_ref()).await?;
            }
            put => return put,
        }
    }
    // The lake cannot be written, so only this session sees the scores.
    let revision = newest + 1;
    for (def, frame) in score_tables(scored) {
        let rows = score_rows(&def, frame, revision, project.now)?;
        let name = def.name.trim_start_matches("scores/");
        session.add_rows(name, &rows).await?;
    }
    Ok(())
}

/// What the scores of a day were made from.
pub(crate) struct Evaluation {
    pub(crate) day: Day,
    /// The digest of the inputs.
    pub(crate) inputs: String,
    /// The text of the policy.
    pub(crate) policy: String,
    pub(crate) policy_version: String,
    /// µs.
    pub(crate) dormancy_fitted_as_of: Option<i64>,
    pub(crate) risk_fitted_at: Option<i64>,
    /// The lake says already that the day was scored from these inputs.
    pub(crate) is_known: bool,
}

/// Returns the names of the tables that scoring writes.
pub(crate) fn tables() -> [String; 4] {
    [
        schema::partner_health().name,
        schema::partner_signals().name,
        schema::evaluations().name,
        schema::models().name,
    ]
}

/// Returns the tables of scores in the order in which they are written, with their rows.
fn score_tables(scored: &ScoreOutput) -> [(TableDef, &DataFrame); 2] {
    [(schema::partner_signals(), &scored.signals), (schema::partner_health(), &scored.health)]
}

/// Writes the scores under a new revision, and what they were made from.
async fn put(
    project: &Project,
    scored: &ScoreOutput,
    newest: i64,
    is_same: bool,
    evaluations: &[Evaluation],
) -> anyhow::Result<()> {
    let revision = match is_same {
        true => newest,
        false => put_scores(project, scored, newest).await?,
    };
    let def = schema::evaluations();
    let rows = evaluation_rows(&def, evaluations, revision, project.now)?;
    project.lake.append(&def, &[rows]).await?;
    Ok(())
}

/// Writes the scores under a revision that no other program has claimed, and returns it.
async fn put_scores(project: &Project, scored: &ScoreOutput, newest: i64) -> anyhow::Result<i64> {
    let [(signals, signal_rows), (health, health_rows)] = score_tables(scored);
    for _ in 0..ATTEMPTS {
        let claimed = match project.lake.snapshot(&signals.name, None).await? {
            Some(kept) => kept.txns.get(REVISION_MARK).copied().unwrap_or_default(),
            None => 0,
        };
        let revision = claimed.max(newest) + 1;
        let rows = score_rows(&signals, signal_rows, revision, project.now)?;
        let appended = project.lake.append_once(&signals, &[rows], REVISION_MARK, revision).await?;
        if appended.is_some() {
            let rows = score_rows(&health, health_rows, revision, project.now)?;
            project.lake.append(&health, &[rows]).await?;
            return Ok(revision);
        }
    }
    Err(LakeError::Conflict { table: signals.name }.into())
}

fn evaluation_rows(
    def: &TableDef,
    evaluations: &[Evaluation],
    revision: i64,
    now: i64,
) -> anyhow::Result<RecordBatch> {
    let instants = |of: &dyn Fn(&Evaluation) -> Option<i64>| -> ArrayRef {
        let micros: TimestampMicrosecondArray = evaluations.iter().map(of).collect();
        Arc::new(micros.with_timezone("UTC"))
    };
    let text = |of: fn(&Evaluation) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(evaluations.iter().map(of)))
    };
    let columns = vec![
        instants(&|e| Some(e.day.start_micros())),
        Arc::new(Int64Array::from(vec![revision; evaluations.len()])),
        text(|e| &e.inputs),
        text(|e| &e.policy),
        text(|e| &e.policy_version),
        instants(&|e| e.dormancy_fitted_as_of),
        instants(&|e| e.risk_fitted_at),
        instants(&|_| Some(now)),
    ];
    Ok(RecordBatch::try_new(Arc::clone(&def.schema), columns)?)
}

/// Returns the newest revision of the evaluated days, or 0 if there is none.
async fn newest_revision(evaluated: &Session) -> anyhow::Result<i64> {
    let batches = evaluated.metric("evaluated_scores").await?.batches;
    let columns = batches.iter().filter_map(|batch| batch.column_by_name("revision"));
    let revisions = columns.flat_map(|column| column.as_primitive::<Int64Type>().iter().flatten());
    Ok(revisions.max().unwrap_or_default())
}

/// Returns whether the newest revisions of the evaluated days have exactly these scores. Revisions
/// and the times of scoring are not compared.
async fn same(evaluated: &Session, scored: &ScoreOutput, now: i64) -> anyhow::Result<bool> {
    for (def, frame) in score_tables(scored) {
        let query = match def.name.as_str() {
            "scores/partner_health" => "evaluated_scores",
            _ => "evaluated_signals",
        };
        let kept = evaluated.metric(query).await?;
        let rows = score_rows(&def, frame, 0, now)?;
        if lines(&def, &[rows])? != lines(&def, &kept.batches)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the rows as sorted lines, without `revision` and `scored_at`.
fn lines(def: &TableDef, batches: &[RecordBatch]) -> anyhow::Result<Vec<String>> {
    let compared: Vec<usize> = (0..def.schema.fields().len())
        .filter(|i| !["revision", "scored_at"].contains(&def.schema.field(*i).name().as_str()))
        .collect();
    let batches: Vec<RecordBatch> =
        batches.iter().map(|b| b.project(&compared)).collect::<Result<_, _>>()?;
    let schema = Arc::new(def.schema.project(&compared)?);
    let text = String::from_utf8(csv_bytes(&Rows { schema: &schema, batches: &batches })?)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    Ok(lines)
}

/// Returns the scores over which tiers fold, those as of the session's instant included.
pub(crate) async fn history(session: &Session) -> anyhow::Result<DataFrame> {
    data_frame(&session.metric("recent_scores").await?)
}

/// Returns the overrides that are in force by the clock.
pub(crate) async fn overrides(session: &Session, now: i64) -> anyhow::Result<DataFrame> {
    let all = data_frame(&session.metric("active_override").await?)?;
    let in_force = all.column("until")?.as_materialized_series().i64()?.gt(now);
    Ok(all.filter(&in_force)?)
}

/// Changes a `partner_health` of an older program to today's columns, and moves what it has of
/// signals to `partner_signals`. After a kill it starts again and duplicates nothing.
pub(crate) async fn take_over(project: &Project, as_of: AsOf) -> anyhow::Result<()> {
    let (health, signals) = (schema::partner_health(), schema::partner_signals());
    let Some(base) = project.lake.snapshot(&health.name, None).await? else { return Ok(()) };
    if Lake::has_columns(&base, &health)? {
        return Ok(());
    }
    let session = project.engine.open_session(as_of, None).await?;
    if session.versions().get(&health.name) != Some(&base.version) {
        return Err(LakeError::Conflict { table: health.name }.into());
    }
    let read = async |def: &TableDef| -> anyhow::Result<Vec<RecordBatch>> {
        let table = def.name.trim_start_matches("scores/");
        let order = ["as_of", "revision", "partner_id"];
        let rows = session.ordered_rows(table, &order, None).await?;
        rows.batches.iter().map(|rows| as_stored(def, rows)).collect()
    };
    let rows = read(&signals).await?;
    project.lake.append_once(&signals, &rows, TAKEN_OVER, 1).await?;
    let rows = read(&health).await?;
    let file = project.lake.write_file(&health, None, &rows, BTreeMap::new()).await?;
    project.lake.replace_columns(&health, &base, vec![(None, vec![file])]).await?;
    Ok(())
}

/// Returns the columns of a table from the rows of a query, in the table's types.
fn as_stored(def: &TableDef, rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let columns = def.schema.fields().iter().map(|field| {
        let column = rows.column(rows.schema().index_of(field.name())?);
        arrow::compute::cast(column, field.data_type())
    });
    Ok(RecordBatch::try_new(def.schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_may_speak_of_every_signal() {
        let sql = scores_and_signals();
        for name in signal_names() {
            assert!(sql.contains(&format!(" AS {name}_score")), "{sql}");
        }
    }
}
