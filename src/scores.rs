//! Stores the scores of a run once, under a revision, and reads the newest revision.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use domain::AsOf;
use lake::{Lake, LakeError, TableDef, is_write_denied, schema};
use scoring::{ScoreOutput, signal_names};
use transform::Session;

use crate::polars_frames::score_rows;
use crate::project::Project;
use crate::row_encoder::csv_bytes;
use crate::rows::Rows;

/// The application id in the table of signals that says that the rows of an older program were moved
/// there.
const TAKEN_OVER: &str = "taken over";

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

/// Appends the scores under a new revision, unless the newest revision has the same scores. Returns
/// the revision that has them.
///
/// The signals are written first, with a transaction id that claims the revision. Readers use the
/// revisions of `partner_health`, so they never see signals without scores, and no other program
/// writes under the same revision.
pub(crate) async fn keep(
    project: &Project,
    session: &Session,
    scored: &ScoreOutput,
) -> anyhow::Result<i64> {
    let (health, signals) = (schema::partner_health(), schema::partner_signals());
    let newest = newest(session).await?;
    if scored.partners.is_empty() || same(session, scored, newest, project.now).await? {
        return Ok(newest);
    }
    if !project.is_read_only() {
        match put(project, session, scored, newest).await {
            Err(error) if is_write_denied(error.as_ref()) => {
                project.switch_to_read_only(error.as_ref()).await?;
            }
            put => return put,
        }
    }
    // The lake cannot be written, so only this session sees the scores.
    let revision = newest + 1;
    let rows = score_rows(&health, &scored.health, revision, project.now)?;
    session.add_rows("partner_health", &rows).await?;
    let rows = score_rows(&signals, &scored.signals, revision, project.now)?;
    session.add_rows("partner_signals", &rows).await?;
    Ok(revision)
}

/// Writes the scores under a new revision, and returns it.
async fn put(
    project: &Project,
    session: &Session,
    scored: &ScoreOutput,
    newest: i64,
) -> anyhow::Result<i64> {
    let (health, signals) = (schema::partner_health(), schema::partner_signals());
    take_over(project, session.as_of()).await?;
    let mark = format!("scored/{}", session.as_of().day());
    for _ in 0..ATTEMPTS {
        let claimed = match project.lake.snapshot(&signals.name, None).await? {
            Some(kept) => kept.txns.get(&mark).copied().unwrap_or_default(),
            None => 0,
        };
        let revision = claimed.max(newest) + 1;
        let rows = score_rows(&signals, &scored.signals, revision, project.now)?;
        let appended = project.lake.append_once(&signals, &[rows], &mark, revision).await?;
        if appended.is_some() {
            let rows = score_rows(&health, &scored.health, revision, project.now)?;
            project.lake.append(&health, &[rows]).await?;
            return Ok(revision);
        }
    }
    Err(LakeError::Conflict { table: signals.name }.into())
}

/// Returns the newest revision of the session's day, or 0 if there is none.
async fn newest(session: &Session) -> anyhow::Result<i64> {
    let batches = session.metric("latest_scores").await?.batches;
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    let revision = first.and_then(|batch| batch.column_by_name("revision"));
    Ok(revision.map_or(0, |column| column.as_primitive::<Int64Type>().value(0)))
}

/// Returns whether a revision has exactly these scores. The time of scoring is not compared.
async fn same(
    session: &Session,
    scored: &ScoreOutput,
    revision: i64,
    now: i64,
) -> anyhow::Result<bool> {
    let (health, signals) = (schema::partner_health(), schema::partner_signals());
    let kept = session.metric("latest_scores").await?;
    let rows = score_rows(&health, &scored.health, revision, now)?;
    if text(&health, &[rows])? != text(&health, &kept.batches)? {
        return Ok(false);
    }
    let of_signal = |batches: &[RecordBatch]| -> anyhow::Result<Vec<String>> {
        // The rows of one partner have no defined order.
        let mut lines: Vec<String> = text(&signals, batches)?.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        Ok(lines)
    };
    let kept = session.metric("latest_signals").await?;
    let rows = score_rows(&signals, &scored.signals, revision, now)?;
    Ok(of_signal(&[rows])? == of_signal(&kept.batches)?)
}

/// Returns the rows as text, without `scored_at`.
fn text(def: &TableDef, batches: &[RecordBatch]) -> anyhow::Result<String> {
    let timeless: Vec<usize> = (0..def.schema.fields().len())
        .filter(|i| def.schema.field(*i).name() != "scored_at")
        .collect();
    let batches: Vec<RecordBatch> =
        batches.iter().map(|b| b.project(&timeless)).collect::<Result<_, _>>()?;
    let schema = std::sync::Arc::new(def.schema.project(&timeless)?);
    Ok(String::from_utf8(csv_bytes(&Rows { schema: &schema, batches: &batches })?)?)
}

/// Changes a `partner_health` of an older program to today's columns, and moves what it has of
/// signals to `partner_signals`. After a kill it starts again and duplicates nothing.
async fn take_over(project: &Project, as_of: AsOf) -> anyhow::Result<()> {
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
