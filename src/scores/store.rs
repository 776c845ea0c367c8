//! Stores the scores of a stretch of days once, under a revision, and reads what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::DataType::{self, Int64};
use arrow::datatypes::{Int64Type, TimeUnit};
use arrow::row::{OwnedRow, RowConverter, SortField};
use domain::{AsOf, Day};
use lake::{Lake, LakeError, TableDef, is_write_denied, schema};
use polars::prelude::{BooleanChunked, Column, DataFrame};
use scoring::{ScoreError, ScoreHistory, ScoreOutput, signal_names};
use transform::{QueryResult, Session};

use crate::polars_frames::{data_frame, score_rows};
use crate::project::Project;

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

/// Appends the scores of those days under a new revision whose newest revision has other scores.
/// `evaluated` is the session that they were computed in.
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
    let kept = Kept::of(evaluated).await?;
    let changed = kept.changed_days(scored, project.now)?;
    let is_new = |e: &&Evaluation| changed.contains(&e.day.start_micros()) || !e.is_known;
    let evaluations: Vec<&Evaluation> = evaluations.iter().filter(is_new).collect();
    if evaluations.is_empty() {
        return Ok(());
    }
    let changed_scores = ChangedScores::of(scored, &changed)?;
    if !project.is_read_only() {
        match put(project, &changed_scores, &kept, &evaluations).await {
            Err(error) if is_write_denied(error.as_ref()) => {
                project.switch_to_read_only(error.as_ref()).await?;
            }
            put => return put,
        }
    }
    // The lake cannot be written, so only this session sees the scores.
    let revision = kept.newest_revision() + 1;
    for (def, frame) in changed_scores.tables() {
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

/// Returns the tables of scores in the order in which they are written.
fn score_tables() -> [TableDef; 2] {
    [schema::partner_signals(), schema::partner_health()]
}

/// The scores of the days that changed.
struct ChangedScores {
    /// The days with a partner, by their instants, µs.
    days: BTreeSet<i64>,
    signals: DataFrame,
    health: DataFrame,
}

impl ChangedScores {
    /// Picks days by their instants, µs.
    fn of(scored: &ScoreOutput, changed: &BTreeSet<i64>) -> anyhow::Result<Self> {
        let of_days = |frame: &DataFrame| -> anyhow::Result<DataFrame> {
            let days = frame.column("as_of")?.as_materialized_series().i64()?;
            let picked: BooleanChunked =
                days.iter().map(|day| day.is_some_and(|day| changed.contains(&day))).collect();
            Ok(frame.filter(&picked)?)
        };
        let mut signals = DataFrame::empty();
        for frame in scored.signal_frames() {
            let of_signal = of_days(&frame?)?;
            match signals.width() {
                0 => signals = of_signal,
                _ => drop(signals.vstack_mut(&of_signal)?),
            }
        }
        let health = of_days(&scored.health)?;
        Ok(Self { days: days_of(&health)?, signals, health })
    }

    fn tables(&self) -> [(TableDef, &DataFrame); 2] {
        let [signals, health] = score_tables();
        [(signals, &self.signals), (health, &self.health)]
    }
}

/// Writes the scores under a new revision, and what they were made from. Days whose scores are the
/// same as before keep their revision.
async fn put(
    project: &Project,
    changed: &ChangedScores,
    kept: &Kept,
    evaluations: &[&Evaluation],
) -> anyhow::Result<()> {
    let revision = match changed.health.height() {
        0 => None,
        _ => Some(put_scores(project, changed, kept.newest_revision()).await?),
    };
    let revision_of = |evaluation: &&Evaluation| {
        let day = evaluation.day.start_micros();
        let changed = revision.filter(|_| changed.days.contains(&day));
        // A day without a partner has no scores, and no revision.
        changed.or_else(|| kept.revisions.get(&day).copied()).unwrap_or_default()
    };
    let revisions: Vec<i64> = evaluations.iter().map(revision_of).collect();
    let def = schema::evaluations();
    let rows = evaluation_rows(&def, evaluations, revisions, project.now)?;
    project.lake.append(&def, &[rows]).await?;
    Ok(())
}

/// Writes the scores under a revision that no other program has claimed, and returns it.
async fn put_scores(
    project: &Project,
    changed: &ChangedScores,
    newest: i64,
) -> anyhow::Result<i64> {
    let [(signals, signal_rows), (health, health_rows)] = changed.tables();
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
    evaluations: &[&Evaluation],
    revisions: Vec<i64>,
    now: i64,
) -> anyhow::Result<RecordBatch> {
    let instants = |of: &dyn Fn(&Evaluation) -> Option<i64>| -> ArrayRef {
        let micros: TimestampMicrosecondArray = evaluations.iter().map(|e| of(e)).collect();
        Arc::new(micros.with_timezone("UTC"))
    };
    let text = |of: fn(&Evaluation) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(evaluations.iter().map(|e| of(e))))
    };
    let columns = vec![
        instants(&|e| Some(e.day.start_micros())),
        Arc::new(Int64Array::from(revisions)),
        text(|e| &e.inputs),
        text(|e| &e.policy),
        text(|e| &e.policy_version),
        instants(&|e| e.dormancy_fitted_as_of),
        instants(&|e| e.risk_fitted_at),
        instants(&|_| Some(now)),
    ];
    Ok(RecordBatch::try_new(Arc::clone(&def.schema), columns)?)
}

/// What the lake has of the evaluated days.
struct Kept {
    /// The newest revision of each day, by its instant, µs.
    revisions: BTreeMap<i64, i64>,
    /// The rows of both tables by day.
    rows: [DayRows; 2],
}

/// The rows of each day, by its instant, in µs; they are sorted, and encoded without `revision` and
/// `scored_at`.
type DayRows = BTreeMap<i64, Vec<OwnedRow>>;

impl Kept {
    async fn of(evaluated: &Session) -> anyhow::Result<Self> {
        let [signals, health] = score_tables();
        let scores = evaluated.metric("evaluated_scores").await?.batches;
        let mut revisions = BTreeMap::new();
        for batch in &scores {
            let (days, numbers) = (instants_of(batch)?, as_type(batch, "revision", &Int64)?);
            let numbers = numbers.as_primitive::<Int64Type>();
            revisions.extend(days.values().iter().copied().zip(numbers.values().iter().copied()));
        }
        let kept = evaluated.metric("evaluated_signals").await?.batches;
        let rows = [day_rows(&signals, &kept)?, day_rows(&health, &scores)?];
        Ok(Self { revisions, rows })
    }

    /// Returns the newest revision of all days, or 0 if there is none.
    fn newest_revision(&self) -> i64 {
        self.revisions.values().copied().max().unwrap_or_default()
    }

    /// Returns the days whose scores are not exactly these, by their instants, µs.
    fn changed_days(&self, scored: &ScoreOutput, now: i64) -> anyhow::Result<BTreeSet<i64>> {
        if self.rows.iter().all(BTreeMap::is_empty) {
            return days_of(&scored.health);
        }
        let [signals, health] = score_tables();
        let of_signal =
            |frame: Result<DataFrame, ScoreError>| score_rows(&signals, &frame?, 0, now);
        let of_signals = scored.signal_frames().map(of_signal).collect::<Result<Vec<_>, _>>()?;
        let of_health = score_rows(&health, &scored.health, 0, now)?;
        let rows = [day_rows(&signals, &of_signals)?, day_rows(&health, &[of_health])?];
        let mut changed = BTreeSet::new();
        for (rows, kept) in rows.iter().zip(&self.rows) {
            changed
                .extend(rows.iter().filter(|(day, rows)| kept.get(day) != Some(rows)).map(|d| d.0));
            changed.extend(kept.keys().filter(|day| !rows.contains_key(day)));
        }
        Ok(changed)
    }
}

/// Returns the days of a frame's rows as instants, µs.
fn days_of(frame: &DataFrame) -> anyhow::Result<BTreeSet<i64>> {
    let days = frame.column("as_of")?.as_materialized_series().i64()?;
    Ok(days.iter().flatten().collect())
}

/// Encodes the rows of each day so that equal rows are equal bytes.
fn day_rows(def: &TableDef, batches: &[RecordBatch]) -> anyhow::Result<DayRows> {
    let is_compared = |name: &str| !["revision", "scored_at"].contains(&name);
    let fields = || def.schema.fields().iter().filter(|field| is_compared(field.name()));
    let encodings = fields().map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(encodings)?;
    let mut days = DayRows::new();
    for batch in batches {
        let columns: Vec<ArrayRef> = fields()
            .map(|field| as_type(batch, field.name(), field.data_type()))
            .collect::<Result<_, _>>()?;
        let rows = converter.convert_columns(&columns)?;
        for (day, row) in instants_of(batch)?.values().iter().zip(rows.iter()) {
            days.entry(*day).or_default().push(row.owned());
        }
    }
    days.values_mut().for_each(|rows| rows.sort_unstable());
    Ok(days)
}

/// Returns the days of the rows as instants, µs.
fn instants_of(batch: &RecordBatch) -> anyhow::Result<TimestampMicrosecondArray> {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    Ok(as_type(batch, "as_of", &instant)?.as_primitive().clone())
}

fn as_type(batch: &RecordBatch, column: &str, kind: &DataType) -> anyhow::Result<ArrayRef> {
    let column = batch.column(batch.schema().index_of(column)?);
    Ok(arrow::compute::cast(column, kind)?)
}

/// Returns the scores over which tiers fold, those as of the session's instant included.
pub(crate) async fn history(session: &Session) -> anyhow::Result<ScoreHistory> {
    let mut history = ScoreHistory::default();
    let mut rows = session.stream("SELECT * FROM recent_scores", "recent_scores").await?;
    while let Some(batch) = rows.next().await? {
        let of_batch = QueryResult { schema: batch.schema(), batches: vec![batch] };
        history.add(data_frame(of_batch)?)?;
    }
    Ok(history)
}

/// Returns every tier that persons set, from when to when it held or holds.
pub(crate) async fn overrides(session: &Session) -> anyhow::Result<DataFrame> {
    let all = data_frame(session.metric("override_history").await?)?;
    let instants = |name: &str| anyhow::Ok(all.column(name)?.as_materialized_series().i64()?);
    let (until, ended) = (instants("until")?, instants("ended_at")?);
    let ends = until.iter().zip(ended.iter());
    let ends: Vec<Option<i64>> =
        ends.map(|(until, ended)| until.into_iter().chain(ended).min()).collect();
    let mut overrides = all.select(["partner_id", "tier", "at"])?;
    overrides.with_column(Column::new("end".into(), ends))?;
    Ok(overrides)
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
    let fields = def.schema.fields().iter();
    let columns = fields.map(|field| as_type(rows, field.name(), field.data_type()));
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
