//! The tables of scores: what is kept of a run, once, and how its newest revision is read.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use lake::{Lake, LakeError, TableDef, refuses_writing, schema};
use lake_types::AsOf;
use scoring::{ScoreOutput, Signal};
use transform::Session;

use crate::frames::score_rows;
use crate::output::{Rows, csv_text};
use crate::project::Project;

/// Rows of `partner_health` as of the session's instant: those of its newest revision.
pub(crate) const HEALTH: &str = "SELECT * FROM partner_health WHERE as_of = $as_of AND revision =
    (SELECT max(revision) FROM partner_health WHERE as_of = $as_of)";

/// Rows of `partner_signals` that belong to [`HEALTH`].
pub(crate) const SIGNALS: &str = "SELECT * FROM partner_signals WHERE as_of = $as_of AND revision =
    (SELECT max(revision) FROM partner_health WHERE as_of = $as_of)";

/// Rows of `partner_health` up to the session's instant, of each day its newest revision.
pub(crate) const HISTORY: &str = "SELECT * FROM (
    SELECT *, max(revision) OVER (PARTITION BY as_of) AS newest
    FROM partner_health WHERE as_of <= $as_of) WHERE revision = newest";

/// The application id that a table of signals raises when it took over the rows of an older program.
const TAKEN_OVER: &str = "taken over";

/// Tries to get a revision of its own before it gives up: each failure is another program's score.
const ATTEMPTS: usize = 20;

/// A row a partner: [`HEALTH`] with five columns for each signal, `errors_score` and so on.
pub(crate) fn health_and_signals() -> String {
    let (mut named, mut picked) = (Vec::new(), Vec::new());
    for signal in Signal::all() {
        let name = signal.name();
        for column in ["value", "score", "contribution", "n", "reason"] {
            named.push(format!("s.{name}_{column}"));
            picked
                .push(format!("max({column}) FILTER (WHERE signal = '{name}') AS {name}_{column}"));
        }
    }
    format!(
        "SELECT h.*, {} FROM ({HEALTH}) h
         LEFT JOIN (SELECT partner_id, {} FROM ({SIGNALS}) GROUP BY partner_id) s
           ON s.partner_id = h.partner_id",
        named.join(", "),
        picked.join(", ")
    )
}

/// Appends the scores under a new revision, unless the newest one says the same; which revision
/// that is.
///
/// The signals come first, with the id that claims the revision: whoever reads goes by the
/// revisions of `partner_health`, and nobody else writes under the same one.
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
            Err(error) if refuses_writing(error.as_ref()) => {
                project.read_only(error.as_ref()).await?;
            }
            put => return put,
        }
    }
    // Where they can't be kept, those who ask for them now see them all the same.
    let revision = newest + 1;
    let rows = score_rows(&health, &scored.health, revision, project.now)?;
    session.add_rows("partner_health", &rows).await?;
    let rows = score_rows(&signals, &scored.signals, revision, project.now)?;
    session.add_rows("partner_signals", &rows).await?;
    Ok(revision)
}

/// Writes the scores under a revision of their own.
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

/// The newest revision of the session's day; 0 before the first.
async fn newest(session: &Session) -> anyhow::Result<i64> {
    let sql =
        "SELECT COALESCE(max(revision), 0) AS newest FROM partner_health WHERE as_of = $as_of";
    let batches = session.sql(sql).await?.batches;
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    Ok(first.map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0)))
}

/// Whether that revision holds exactly these scores; when they were made does not matter.
async fn same(
    session: &Session,
    scored: &ScoreOutput,
    revision: i64,
    now: i64,
) -> anyhow::Result<bool> {
    let (health, signals) = (schema::partner_health(), schema::partner_signals());
    let order = "ORDER BY partner_id";
    let kept = session.sql(&format!("{HEALTH} {order}")).await?;
    let rows = score_rows(&health, &scored.health, revision, now)?;
    if text(&health, &[rows])? != text(&health, &kept.batches)? {
        return Ok(false);
    }
    let of_signal = |batches: &[RecordBatch]| -> anyhow::Result<Vec<String>> {
        // The rows of a partner have no order of their own.
        let mut lines: Vec<String> = text(&signals, batches)?.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        Ok(lines)
    };
    let kept = session.sql(SIGNALS).await?;
    let rows = score_rows(&signals, &scored.signals, revision, now)?;
    Ok(of_signal(&[rows])? == of_signal(&kept.batches)?)
}

/// The rows as text, without `scored_at`.
fn text(def: &TableDef, batches: &[RecordBatch]) -> anyhow::Result<String> {
    let timeless: Vec<usize> = (0..def.schema.fields().len())
        .filter(|i| def.schema.field(*i).name() != "scored_at")
        .collect();
    let batches: Vec<RecordBatch> =
        batches.iter().map(|b| b.project(&timeless)).collect::<Result<_, _>>()?;
    let schema = std::sync::Arc::new(def.schema.project(&timeless)?);
    Ok(String::from_utf8(csv_text(&Rows { schema: &schema, batches: &batches })?)?)
}

/// Gives `partner_health` the columns of this program where an older one made it; what that one
/// said of the signals goes to `partner_signals`. Killed half-way it begins again and doubles nothing.
async fn take_over(project: &Project, as_of: AsOf) -> anyhow::Result<()> {
    let (health, signals) = (schema::partner_health(), schema::partner_signals());
    let Some(base) = project.lake.snapshot(&health.name, None).await? else { return Ok(()) };
    if Lake::has_columns(&base, &health)? {
        return Ok(());
    }
    let session = project.engine.at(as_of, None).await?;
    if session.versions().get(&health.name) != Some(&base.version) {
        return Err(LakeError::Conflict { table: health.name }.into());
    }
    let read = async |def: &TableDef| -> anyhow::Result<Vec<RecordBatch>> {
        let columns: Vec<&str> = def.schema.fields().iter().map(|f| f.name().as_str()).collect();
        let table = def.name.trim_start_matches("scores/");
        let columns = columns.join(", ");
        let sql = format!("SELECT {columns} FROM {table} ORDER BY as_of, revision, partner_id");
        session.sql(&sql).await?.batches.iter().map(|rows| as_stored(def, rows)).collect()
    };
    let rows = read(&signals).await?;
    project.lake.append_once(&signals, &rows, TAKEN_OVER, 1).await?;
    let rows = read(&health).await?;
    let file = project.lake.write_file(&health, None, &rows, BTreeMap::new()).await?;
    project.lake.replace_columns(&health, &base, vec![(None, vec![file])]).await?;
    Ok(())
}

/// Rows of a query in the types of a table.
fn as_stored(def: &TableDef, rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let columns = def.schema.fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, column)| arrow::compute::cast(column, field.data_type()));
    Ok(RecordBatch::try_new(def.schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_may_speak_of_every_signal() {
        let sql = health_and_signals();
        for signal in Signal::all() {
            assert!(sql.contains(&format!(" AS {}_score", signal.name())), "{sql}");
        }
    }
}
