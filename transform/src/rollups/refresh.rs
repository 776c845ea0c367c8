//! Refreshes rollups: computes the days whose input or whose query changed.

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use domain::Day;
use futures::{StreamExt, stream};
use lake::LakeError;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinError;
use tracing::Instrument;

use crate::catalog::{Query, QueryKind, built_in_tables};
use crate::engine::dedup::duplicate_free_days::DuplicateFreeDays;
use crate::engine::{Engine, rollup_table};
use crate::error::{Result, TransformError};
use crate::rollups::compute::{LocalRunner, RollupQuery};
use crate::rollups::inputs::RollupInput;
use crate::rollups::report::{RefreshProgress, RefreshReport, RollupReport};
use crate::rollups::stale::StaleDays;
use crate::rollups::tags::{sql_prefix, stored_tags};

/// The most rollups that are refreshed at once. While some wait for the disk others compute, of
/// which there are at most as many as threads.
const MAX_CONCURRENT_ROLLUPS: usize = 8;

/// How often a rollup is tried that another process rewrites at the same time.
const MAX_ATTEMPTS: usize = 5;

impl Engine {
    /// Refreshes every rollup with the newest events. A rollup whose query is wrong can't be read
    /// until a later refresh succeeds.
    ///
    /// # Errors
    /// A rollup that another process keeps rewriting; errors of the lake.
    pub async fn refresh(
        &self,
        progress: &mut dyn FnMut(RefreshProgress),
    ) -> Result<RefreshReport> {
        self.refresh_only(&|_| true, progress).await
    }

    /// Refreshes the rollups for which `wanted` is true.
    ///
    /// # Errors
    /// Those of [`Engine::refresh`].
    pub async fn refresh_only(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        progress: &mut dyn FnMut(RefreshProgress),
    ) -> Result<RefreshReport> {
        let started = Instant::now();
        let mut report = RefreshReport::default();
        let (sender, mut receiver) = unbounded_channel();
        let duplicate_free_days: Arc<DuplicateFreeDays> = Arc::default();
        let wanted = self.catalog.of_kind(QueryKind::Rollup).filter(|query| wanted(&query.name));
        let refreshed = wanted.map(|query| {
            let (engine, name) = (self.clone(), query.name.clone());
            let (sender, days) = (sender.clone(), Arc::clone(&duplicate_free_days));
            async move {
                let work = async move { engine.refresh_rollup(&name, &days, &sender).await };
                (query, SpawnedTask::spawn(work.in_current_span()).join_unwind().await)
            }
        });
        let mut refreshed = pin!(stream::iter(refreshed).buffered(MAX_CONCURRENT_ROLLUPS));
        loop {
            let (query, result) = tokio::select! {
                biased;
                Some(message) = receiver.recv() => {
                    progress(message);
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
                Err(error) if error.is_query_error() => {
                    report.failed.insert(query.name.clone(), error.to_string());
                }
                Err(other) => return Err(other),
            }
        }
        let milliseconds = started.elapsed().as_millis();
        tracing::info!(rollups = report.rollups.len(), milliseconds, "refreshed");
        report
            .failed
            .clone_into(&mut self.failed_rollups.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(report)
    }

    /// Refreshes one rollup, and starts again where another process rewrote it meanwhile.
    #[tracing::instrument(name = "rollup", skip_all, fields(rollup = name))]
    async fn refresh_rollup(
        &self,
        name: &str,
        duplicate_free_days: &Arc<DuplicateFreeDays>,
        sender: &UnboundedSender<RefreshProgress>,
    ) -> Result<RollupReport> {
        let started = Instant::now();
        let query = self.catalog.find(name)?;
        // Sending fails after the refresh was cancelled.
        let progress = |message| drop(sender.send(message));
        let mut report = RollupReport { name: query.name.clone(), ..RollupReport::default() };
        for _ in 0..MAX_ATTEMPTS {
            match self.refresh_once(query, duplicate_free_days, &mut report, &progress).await {
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
        Err(TransformError::WriteConflict { table: query.name.clone(), attempts: MAX_ATTEMPTS })
    }

    /// Whether nothing has to be computed: the stored columns are those of the header, and this SQL
    /// computed each stored day from its current input. Such a query needs no plan.
    async fn is_current(&self, query: &Query, inputs: &[RollupInput]) -> Result<bool> {
        if self.recomputes_all {
            return Ok(false);
        }
        let Some(stored) = self.lake.snapshot(&rollup_table(&query.name), None).await? else {
            return Ok(false);
        };
        let sql = query.statement()?.normalized();
        let (tags, prefix) = (stored_tags(&stored), sql_prefix(&sql));
        let is_of_this_sql =
            |tag: &Option<String>| tag.as_ref().is_some_and(|t| t.starts_with(&prefix));
        Ok(built_in_tables::is_stored_as_declared(query, &stored.schema)
            && !tags.is_empty()
            && tags.values().all(is_of_this_sql)
            && StaleDays::of(&sql, inputs, &tags).is_empty())
    }

    /// # Errors
    /// [`LakeError::Conflict`] where another process rewrote a day meanwhile; errors of the query.
    async fn refresh_once(
        &self,
        query: &Query,
        duplicate_free_days: &Arc<DuplicateFreeDays>,
        report: &mut RollupReport,
        progress: &(dyn Fn(RefreshProgress) + Sync),
    ) -> Result<()> {
        let started = Instant::now();
        let log_step = |step: &str| {
            let milliseconds = started.elapsed().as_millis();
            tracing::debug!(rollup = query.name, milliseconds, "{step}");
        };
        let statement = query.statement()?;
        let inputs = self.inputs(query, statement).await?;
        log_step("its input is listed");
        let no_input = inputs.iter().all(|input| input.days().is_empty());
        if no_input && self.lake.snapshot(&rollup_table(&query.name), None).await?.is_none() {
            return Ok(());
        }
        report.violations.clear();
        report.blocked.clear();
        if self.is_current(query, &inputs).await? {
            log_step("nothing changed");
            return Ok(());
        }
        let inputs = inputs.as_slice();
        let (def, checks) = self.definition(query, statement, inputs).await?;
        let rollup = RollupQuery {
            query,
            statement,
            inputs,
            def: &def,
            checks: &checks,
            duplicate_free_days,
        };
        let base = match self.lake.ensure_table(&def).await {
            Err(LakeError::SchemaChanged { .. }) => {
                return self.rebuild(rollup, report, progress).await;
            }
            base => base?,
        };
        log_step("its own table is read");
        let mut stored = stored_tags(&base);
        if self.recomputes_all {
            stored.values_mut().for_each(|tag| *tag = None);
        }
        let StaleDays { tags, stale, without_input } =
            StaleDays::of(&statement.normalized(), inputs, &stored);
        let stale: Vec<Day> = stale.into_iter().map(|(day, _)| day).collect();
        if !without_input.is_empty() {
            report.removed += without_input.len();
            let empty = without_input.into_iter().map(|day| (day, Vec::new())).collect();
            self.lake.replace_days(&def, &base, empty).await?;
        }
        let mut done = 0;
        if !stale.is_empty() {
            progress(RefreshProgress {
                rollup: query.name.clone(),
                days_done: 0,
                days: stale.len(),
            });
        }
        let units = self.units(rollup, &stale, &tags).await?;
        let local = LocalRunner { engine: self, rollup };
        let mut results = self.results(rollup, units, &local);
        while let Some(files) = results.next().await? {
            log_step("days are computed");
            done += files.len();
            let files = self.audit(rollup, files, report).await?;
            report.rows += files.iter().flat_map(|(_, f)| f).map(|f| f.rows).sum::<u64>();
            let published = files.len();
            // No other unit has these days, so they are unchanged since `base`.
            self.lake.replace_days(&def, &base, files).await?;
            log_step("they are committed");
            report.days += published;
            progress(RefreshProgress {
                rollup: query.name.clone(),
                days_done: done,
                days: stale.len(),
            });
        }
        Ok(())
    }
}
