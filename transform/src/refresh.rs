//! Brings rollups up to date: the days whose input or whose query changed, and no other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{SessionContext, col};
use futures::{Stream, StreamExt, stream};
use lake::{Lake, LakeError, PendingFile, TableDef};
use lake_types::Day;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinError;

use crate::catalog::{Kind, Query};
use crate::data_checks::{Checked, Finding, unproven};
use crate::days::{DayWriter, split_days};
use crate::dedup::Apart;
use crate::engine::{Engine, rollup_table};
use crate::error::{Result, TransformError};
use crate::header::{Check, Severity};
use crate::inputs::Input;
use crate::provider::{FileList, StoredTable};
use crate::reach;
use crate::stale::{Due, file_tags, stored_tags};
use crate::statement::Statement;
use crate::tables;

/// The column a rollup is partitioned by.
const DAY_COLUMN: &str = "event_date";

/// Input rows of one query: enough to be worth a plan, few enough to hold its groups in memory.
const CHUNK_ROWS: u64 = 1_000_000;

/// Rollups that are refreshed at once: while some wait for the disk others compute, no more of them
/// than there are threads.
const AT_ONCE: usize = 8;

/// Starts after another process rewrote a day in between.
const ATTEMPTS: usize = 5;

/// Files of days that are in no commit yet.
pub(crate) type DayFiles = Vec<(Day, Vec<PendingFile>)>;

/// A rollup as its query is now.
#[derive(Clone, Copy)]
pub(crate) struct Rollup<'a> {
    pub query: &'a Query,
    pub statement: &'a Statement,
    pub inputs: &'a [Input],
    pub def: &'a TableDef,
    pub checks: &'a [Check],
    /// What this refresh knows of copies.
    pub apart: &'a Arc<Apart>,
}

/// How far a rollup has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub rollup: String,
    pub days_done: usize,
    pub days: usize,
}

/// What was done, a line a rollup, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct RefreshReport {
    pub rollups: Vec<RollupReport>,
    /// Rollups whose query is wrong, with why; what is stored of them stays and is not read.
    pub failed: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
pub struct RollupReport {
    pub name: String,
    /// Days computed anew.
    pub days: usize,
    /// Days that no input is left of.
    pub removed: usize,
    /// Rows written.
    pub rows: u64,
    /// What the checks of its header found in days computed anew.
    pub findings: Vec<Finding>,
    /// Days that a check of severity error holds back: what was stored of them before stays.
    pub held: Vec<Day>,
    pub took: Duration,
}

impl Engine {
    /// Brings every rollup up to date with the newest events. One whose query is wrong is left out
    /// of every session until a refresh finds it right.
    ///
    /// # Errors
    /// A rollup that another process keeps rewriting; the lake's own.
    pub async fn refresh(&self, progress: &mut dyn FnMut(Progress)) -> Result<RefreshReport> {
        self.refresh_only(&|_| true, progress).await
    }

    /// As `refresh`, of the rollups that `wanted` lets through.
    ///
    /// # Errors
    /// As `refresh`.
    pub async fn refresh_only(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<RefreshReport> {
        let started = Instant::now();
        let mut report = RefreshReport::default();
        let (tell, mut told) = unbounded_channel();
        let apart: Arc<Apart> = Arc::default();
        let wanted = self.catalog.of_kind(Kind::Rollup).filter(|query| wanted(&query.name));
        let refreshed = wanted.map(|query| {
            let (engine, name) = (self.clone(), query.name.clone());
            let (tell, apart) = (tell.clone(), Arc::clone(&apart));
            async move {
                let work = async move { engine.refresh_rollup(&name, &apart, &tell).await };
                (query, SpawnedTask::spawn(work).join_unwind().await)
            }
        });
        let mut refreshed = pin!(stream::iter(refreshed).buffered(AT_ONCE));
        loop {
            let (query, result) = tokio::select! {
                biased;
                Some(news) = told.recv() => {
                    progress(news);
                    continue;
                }
                next = refreshed.next() => match next {
                    Some(next) => next,
                    None => break,
                },
            };
            let failed = |e: JoinError| {
                TransformError::sql(&query.file)(DataFusionError::External(e.into()))
            };
            match result.map_err(failed).flatten() {
                Ok(rollup) => report.rollups.push(rollup),
                Err(error) if error.is_of_a_query() => {
                    report.failed.insert(query.name.clone(), error.to_string());
                }
                Err(other) => return Err(other),
            }
        }
        let milliseconds = started.elapsed().as_millis();
        tracing::info!(rollups = report.rollups.len(), milliseconds, "refreshed");
        report.failed.clone_into(&mut self.broken.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(report)
    }

    async fn refresh_rollup(
        &self,
        name: &str,
        apart: &Arc<Apart>,
        tell: &UnboundedSender<Progress>,
    ) -> Result<RollupReport> {
        let started = Instant::now();
        let query = self.catalog.find(name)?;
        // Nobody listens any more when the refresh was given up.
        let progress = |news| drop(tell.send(news));
        let mut report = RollupReport { name: query.name.clone(), ..RollupReport::default() };
        for _ in 0..ATTEMPTS {
            match self.bring_up_to_date(query, apart, &mut report, &progress).await {
                Err(TransformError::Lake(LakeError::Conflict { table })) => {
                    tracing::debug!(table, "rewritten by someone else, starting over");
                }
                Err(other) => return Err(other),
                Ok(()) => {
                    report.took = started.elapsed();
                    tracing::info!(
                        rollup = report.name,
                        days = report.days,
                        rows = report.rows,
                        milliseconds = report.took.as_millis(),
                        "brought up to date"
                    );
                    return Ok(report);
                }
            }
        }
        Err(TransformError::Contended { table: query.name.clone(), attempts: ATTEMPTS })
    }

    async fn bring_up_to_date(
        &self,
        query: &Query,
        apart: &Arc<Apart>,
        report: &mut RollupReport,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<()> {
        let began = Instant::now();
        let reached = |what: &str| {
            let milliseconds = began.elapsed().as_millis();
            tracing::debug!(rollup = query.name, milliseconds, "{what}");
        };
        let statement = Statement::parse(&query.sql, &query.file)?;
        let inputs = self.inputs(query, &statement).await?;
        reached("its input is listed");
        let nothing = inputs.iter().all(|input| input.days().is_empty());
        if nothing && self.lake.snapshot(&rollup_table(&query.name), None).await?.is_none() {
            return Ok(());
        }
        let (statement, inputs) = (&statement, inputs.as_slice());
        let (def, checks) = self.definition(query, statement, inputs).await?;
        let rollup = Rollup { query, statement, inputs, def: &def, checks: &checks, apart };
        let base = match self.lake.ensure_table(&def).await {
            Err(LakeError::SchemaChanged { .. }) => {
                return self.rebuild(rollup, report, progress).await;
            }
            base => base?,
        };
        reached("its own table is read");
        let Due { tags, stale, gone } =
            Due::of(&statement.normalized(), inputs, &stored_tags(&base));
        let stale: Vec<Day> = stale.into_iter().map(|(day, _)| day).collect();
        if !gone.is_empty() {
            report.removed += gone.len();
            let empty = gone.into_iter().map(|day| (day, Vec::new())).collect();
            self.lake.replace_days(&def, &base, empty).await?;
        }
        let mut done = 0;
        report.findings.clear();
        report.held.clear();
        if !stale.is_empty() {
            progress(Progress { rollup: query.name.clone(), days_done: 0, days: stale.len() });
        }
        let mut computed = pin!(self.computed(rollup, &stale, &tags));
        while let Some(files) = computed.next().await {
            let files = files?;
            reached("days are computed");
            done += files.len();
            let files = self.hold_back(rollup, files, report).await?;
            report.rows += files.iter().flat_map(|(_, f)| f).map(|f| f.rows).sum::<u64>();
            let published = files.len();
            // Its days are no other chunk's: as of `base` they are as they were.
            self.lake.replace_days(&def, &base, files).await?;
            reached("they are committed");
            report.days += published;
            progress(Progress { rollup: query.name.clone(), days_done: done, days: stale.len() });
        }
        Ok(())
    }

    pub(crate) async fn definition(
        &self,
        query: &Query,
        statement: &Statement,
        inputs: &[Input],
    ) -> Result<(TableDef, Vec<Check>)> {
        let ctx = self.context();
        let frame = frame(&ctx, query, statement, inputs, &[]).await?;
        crate::session::check_columns(query, frame.schema().as_arrow())?;
        if let Some(broken) = reach::verify(query, frame.logical_plan()).into_iter().next() {
            return Err(TransformError::File {
                file: query.file.clone(),
                line: query.header.reads_place.line,
                message: format!("{}; {}", broken.message, broken.help),
            });
        }
        let schema = tables::stored_schema(query, frame.schema().as_arrow());
        if schema.field_with_name(DAY_COLUMN).is_err() {
            return Err(TransformError::File {
                file: query.file.clone(),
                line: 1,
                message: format!("a rollup is kept by day and needs a column {DAY_COLUMN}"),
            });
        }
        let def = TableDef {
            name: rollup_table(&query.name),
            schema,
            partition_by: Some(DAY_COLUMN.to_owned()),
        };
        Ok((def, unproven(&query.header.checks, frame.schema())))
    }

    /// Runs the checks over days that were written and are in no commit yet, and leaves out those
    /// in which one of severity error finds something.
    pub(crate) async fn hold_back(
        &self,
        rollup: Rollup<'_>,
        files: DayFiles,
        report: &mut RollupReport,
    ) -> Result<DayFiles> {
        let found = self.findings(rollup, &files).await?;
        let holds = |f: &Finding| f.severity == Severity::Error;
        if !found.iter().any(holds) {
            report.findings.extend(found);
            return Ok(files);
        }
        let mut kept = Vec::new();
        for day in files {
            let found = self.findings(rollup, std::slice::from_ref(&day)).await?;
            if found.iter().any(holds) {
                report.held.push(day.0);
            } else {
                kept.push(day);
            }
            report.findings.extend(found);
        }
        Ok(kept)
    }

    async fn findings(
        &self,
        Rollup { query, def, checks, .. }: Rollup<'_>,
        days: &[(Day, Vec<PendingFile>)],
    ) -> Result<Vec<Finding>> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let written = |(day, files): &(Day, Vec<PendingFile>)| {
            files.iter().map(|f| f.written(def, Some(*day))).collect::<Vec<_>>()
        };
        let list = FileList {
            schema: Arc::clone(&def.schema),
            partition_by: def.partition_by.clone(),
            files: days.iter().flat_map(written).collect(),
        }
        .in_views();
        let this = Arc::new(StoredTable(list));
        Checked { query, this, session: None }.run_in(&self.context(), checks).await
    }

    /// Computes days and writes their files, in the order of the days: some days at a time on each
    /// thread. A day without rows has an empty file, which remembers its tag.
    pub(crate) fn computed<'a>(
        &'a self,
        rollup: Rollup<'a>,
        days: &[Day],
        tags: &'a BTreeMap<Day, String>,
    ) -> impl Stream<Item = Result<DayFiles>> + use<'a> {
        let chunks = chunks(days, rollup.inputs).into_iter();
        let computed = chunks.map(move |days| self.compute(rollup, days, tags));
        stream::iter(computed).buffered(self.limits.threads())
    }

    async fn compute(
        &self,
        Rollup { query, statement, inputs, def, apart, .. }: Rollup<'_>,
        days: Vec<Day>,
        tags: &BTreeMap<Day, String>,
    ) -> Result<DayFiles> {
        let fail = || TransformError::sql(&query.file);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        tracing::debug!(rollup = query.name, days = days.len(), "its turn");
        let ctx = self.context_beside(apart);
        let rows = frame(&ctx, query, statement, inputs, &days).await?;
        let rows = rows.execute_stream().await.map_err(fail())?;
        tracing::debug!(rollup = query.name, "planned");
        let tags_of =
            |day: Day| tags.get(&day).map(|tag| file_tags(tag, inputs)).unwrap_or_default();
        let days: Tags = days.into_iter().map(|day| (day, tags_of(day))).collect();
        let (lake, def, file) = (self.lake.clone(), def.clone(), query.file.clone());
        let written = SpawnedTask::spawn(async move {
            let mut writer = DayWriter::new(&lake, &def);
            compute_days(&mut writer, &file, rows, &days).await?;
            // The disk is waited for while others compute.
            drop(turn);
            write_days(writer, &lake, &def, days).await
        });
        written.join_unwind().await.map_err(|e| fail()(DataFusionError::External(e.into())))?
    }
}

/// The rollup's query over what these days may read, sorted by day and then by its grain.
async fn frame(
    ctx: &SessionContext,
    query: &Query,
    statement: &Statement,
    inputs: &[Input],
    days: &[Day],
) -> Result<DataFrame> {
    let fail = || TransformError::sql(&query.file);
    crate::session::add_raw_schema(ctx).map_err(fail())?;
    for input in inputs {
        ctx.register_table(input.name.as_str(), input.table(days)?).map_err(fail())?;
    }
    // A rollup knows no as_of; a query that asks for one fails here.
    let parsed = statement.clone().unbound();
    let plan = ctx.state().statement_to_plan(parsed).await.map_err(fail())?;
    let frame = ctx.execute_logical_plan(plan).await.map_err(fail())?;
    let mut order = vec![DAY_COLUMN];
    order.extend(query.header.grain.iter().map(String::as_str).filter(|g| *g != DAY_COLUMN));
    frame.sort(order.into_iter().map(|c| col(c).sort(true, false)).collect()).map_err(fail())
}

/// What the files of days are marked with.
type Tags = BTreeMap<Day, BTreeMap<String, String>>;

/// Hands on rows that come day by day.
async fn compute_days(
    writer: &mut DayWriter<'_>,
    query_file: &str,
    mut rows: SendableRecordBatchStream,
    days: &Tags,
) -> Result<()> {
    let fail = || TransformError::sql(query_file);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(fail())?;
        for (day, part) in split_days(&batch, DAY_COLUMN).map_err(fail())? {
            // A query that looks back reads days that it is not asked for.
            if let Some(tags) = days.get(&day) {
                writer.push(day, part, tags).await?;
            }
        }
    }
    Ok(())
}

/// A file a day, an empty one of a day without rows.
async fn write_days(
    writer: DayWriter<'_>,
    lake: &Lake,
    def: &TableDef,
    days: Tags,
) -> Result<DayFiles> {
    let mut files = writer.finish().await?;
    for (day, tags) in days {
        if let Entry::Vacant(missing) = files.entry(day) {
            let empty = [RecordBatch::new_empty(def.file_schema())];
            missing.insert(lake.write_file(def, Some(day), &empty, tags).await?);
        }
    }
    Ok(files.into_iter().map(|(day, file)| (day, vec![file])).collect())
}

/// Days that are computed together: as many as their input rows allow, at least one.
fn chunks(days: &[Day], inputs: &[Input]) -> Vec<Vec<Day>> {
    let mut by_day: BTreeMap<Day, u64> = BTreeMap::new();
    for (day, rows) in inputs.iter().flat_map(Input::rows) {
        *by_day.entry(day).or_default() += rows;
    }
    let mut chunks: Vec<Vec<Day>> = Vec::new();
    let mut filled = 0;
    for day in days {
        let rows = by_day.get(day).copied().unwrap_or_default();
        if chunks.is_empty() || filled + rows > CHUNK_ROWS {
            chunks.push(Vec::new());
            filled = 0;
        }
        filled += rows;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(*day);
        }
    }
    chunks
}
