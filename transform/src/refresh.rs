//! Brings rollups up to date: the days whose input or whose query changed, and no other.
//!
//! Each file of a rollup's day carries, as a tag, a digest of what it was made of: the query, this
//! engine's version and the identity of the input files. Files never change, and a compacted one
//! stands for those it was made of, so equal digests are equal rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use aws_lc_rs::digest::{Context, SHA256};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::col;
use futures::StreamExt;
use lake::{LakeError, PendingFile, TableDef, TableSnapshot};
use lake_types::Day;

use crate::catalog::{Kind, Query};
use crate::checks::{Checked, Finding, unproven};
use crate::days::{DayWriter, split_days};
use crate::engine::{Engine, rollup_table};
use crate::error::{Result, TransformError};
use crate::header::{Check, Severity};
use crate::inputs::Input;
use crate::provider::{FileList, StoredTable};
use crate::statement::Statement;
use crate::tables;

/// Raised when rows that come out of the same query and input change.
const ENGINE_VERSION: &str = "1";

/// The tag of a rollup's files that holds the digest of their input.
const INPUTS_TAG: &str = "inputs";

/// The column a rollup is partitioned by.
const DAY_COLUMN: &str = "event_date";

/// Input rows of one query: enough to keep it busy, few enough to hold its groups in memory.
const CHUNK_ROWS: u64 = 2_000_000;

/// Starts after another process rewrote a day in between.
const ATTEMPTS: usize = 5;

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
    /// Brings every rollup up to date with the newest events.
    ///
    /// # Errors
    /// A rollup whose query fails, or that another process keeps rewriting; the lake's own.
    pub async fn refresh(&self, progress: &mut dyn FnMut(Progress)) -> Result<RefreshReport> {
        let mut report = RefreshReport::default();
        for query in self.catalog.of_kind(Kind::Rollup) {
            report.rollups.push(self.refresh_rollup(query, progress).await?);
        }
        Ok(report)
    }

    async fn refresh_rollup(
        &self,
        query: &Query,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<RollupReport> {
        let started = Instant::now();
        let mut report = RollupReport { name: query.name.clone(), ..RollupReport::default() };
        for _ in 0..ATTEMPTS {
            match self.bring_up_to_date(query, &mut report, progress).await {
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
        report: &mut RollupReport,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let statement = Statement::parse(&query.sql, &query.file)?;
        let inputs = self.inputs(query, &statement).await?;
        if inputs.iter().all(|input| input.days().is_empty()) {
            return self.clear(query, &inputs, report).await;
        }
        let (def, checks) = self.definition(query, &statement, &inputs).await?;
        let mut base = self.lake.ensure_table(&def).await?;
        let text = statement.normalized();
        let days: BTreeSet<Day> = inputs.iter().flat_map(Input::days).collect();
        let digests: BTreeMap<Day, String> =
            days.iter().map(|day| (*day, digest(&text, &inputs, *day))).collect();
        let stored = stored_digests(&base);
        let open = |day: &Day| is_open(&inputs, *day);
        let stale: Vec<Day> = days
            .iter()
            .copied()
            .filter(open)
            .filter(|day| {
                stored.get(day).and_then(Option::as_deref) != digests.get(day).map(String::as_str)
            })
            .collect();
        let gone: Vec<Day> =
            stored.keys().copied().filter(|day| !days.contains(day)).filter(open).collect();
        if !gone.is_empty() {
            let empty = gone.iter().map(|day| (*day, Vec::new())).collect();
            base = self.lake.replace_days(&def, &base, empty).await?;
            report.removed += gone.len();
        }
        let mut done = 0;
        report.findings.clear();
        report.held.clear();
        if !stale.is_empty() {
            progress(Progress { rollup: query.name.clone(), days_done: 0, days: stale.len() });
        }
        for chunk in chunks(&stale, &inputs) {
            let files = self.compute(query, &statement, &inputs, &def, &chunk, &digests).await?;
            let files = self.hold_back(query, &checks, &def, files, report).await?;
            report.rows += files.iter().flat_map(|(_, f)| f).map(|f| f.rows).sum::<u64>();
            let published = files.len();
            base = self.lake.replace_days(&def, &base, files).await?;
            done += chunk.len();
            report.days += published;
            progress(Progress { rollup: query.name.clone(), days_done: done, days: stale.len() });
        }
        Ok(())
    }

    /// Removes what is stored of a rollup whose input is empty.
    async fn clear(
        &self,
        query: &Query,
        inputs: &[Input],
        report: &mut RollupReport,
    ) -> Result<()> {
        let name = rollup_table(&query.name);
        let Some(base) = self.lake.snapshot(&name, None).await? else { return Ok(()) };
        let stored = stored_digests(&base).into_keys().filter(|day| is_open(inputs, *day));
        let days: Vec<_> = stored.map(|day| (day, Vec::new())).collect();
        if days.is_empty() {
            return Ok(());
        }
        report.removed += days.len();
        let partition_by = base.partition_by.clone();
        let def = TableDef { name, schema: Arc::clone(&base.schema), partition_by };
        self.lake.replace_days(&def, &base, days).await?;
        Ok(())
    }

    async fn definition(
        &self,
        query: &Query,
        statement: &Statement,
        inputs: &[Input],
    ) -> Result<(TableDef, Vec<Check>)> {
        let frame = self.frame(query, statement, inputs, &[]).await?;
        crate::session::check_columns(query, frame.schema().as_arrow())?;
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
    async fn hold_back(
        &self,
        query: &Query,
        checks: &[Check],
        def: &TableDef,
        files: Vec<(Day, Vec<PendingFile>)>,
        report: &mut RollupReport,
    ) -> Result<Vec<(Day, Vec<PendingFile>)>> {
        let found = self.findings(query, checks, def, &files).await?;
        let holds = |f: &Finding| f.severity == Severity::Error;
        if !found.iter().any(holds) {
            report.findings.extend(found);
            return Ok(files);
        }
        let mut kept = Vec::new();
        for day in files {
            let found = self.findings(query, checks, def, std::slice::from_ref(&day)).await?;
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
        query: &Query,
        checks: &[Check],
        def: &TableDef,
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
        };
        let this = Arc::new(StoredTable(list));
        Checked { query, this, session: None }.run_in(&self.context()?, checks).await
    }

    /// The rollup's query over what these days may read, sorted by day and then by its grain.
    async fn frame(
        &self,
        query: &Query,
        statement: &Statement,
        inputs: &[Input],
        days: &[Day],
    ) -> Result<DataFrame> {
        let fail = || TransformError::sql(&query.file);
        let ctx = self.context()?;
        crate::session::add_raw_schema(&ctx).map_err(fail())?;
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

    /// Computes some days and writes their files; a day without rows has an empty file, which
    /// remembers its digest.
    async fn compute(
        &self,
        query: &Query,
        statement: &Statement,
        inputs: &[Input],
        def: &TableDef,
        days: &[Day],
        digests: &BTreeMap<Day, String>,
    ) -> Result<Vec<(Day, Vec<PendingFile>)>> {
        let fail = || TransformError::sql(&query.file);
        let frame = self.frame(query, statement, inputs, days).await?;
        let mut rows = frame.execute_stream().await.map_err(fail())?;
        let mut writer = DayWriter::new(&self.lake, def);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(fail())?;
            for (day, part) in split_days(&batch, DAY_COLUMN).map_err(fail())? {
                if let Some(digest) = digests.get(&day).filter(|_| days.contains(&day)) {
                    writer.push(day, part, &tags(digest)).await?;
                }
            }
        }
        let mut files = writer.finish().await?;
        for day in days {
            if !files.contains_key(day) {
                let empty = [RecordBatch::new_empty(def.file_schema())];
                let tags = digests.get(day).map(|d| tags(d)).unwrap_or_default();
                files.insert(*day, self.lake.write_file(def, Some(*day), &empty, tags).await?);
            }
        }
        Ok(files.into_iter().map(|(day, file)| (day, vec![file])).collect())
    }
}

/// Whether a day can still be computed from all that it reads.
fn is_open(inputs: &[Input], day: Day) -> bool {
    inputs.iter().all(|input| input.is_open(day))
}

fn tags(digest: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(INPUTS_TAG.to_owned(), digest.to_owned())])
}

/// What a day of the rollup is made of, in hexadecimal.
fn digest(text: &str, inputs: &[Input], day: Day) -> String {
    let mut context = Context::new(&SHA256);
    let mut add = |part: &str| {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    };
    add(ENGINE_VERSION);
    add(text);
    for input in inputs {
        add(&input.name);
        for identity in input.identities(day) {
            add(&identity);
        }
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest each stored day was made of; `None` where its files disagree or have none.
fn stored_digests(base: &TableSnapshot) -> BTreeMap<Day, Option<String>> {
    let mut digests: BTreeMap<Day, Option<String>> = BTreeMap::new();
    for file in &base.files {
        let Some(day) = file.day else { continue };
        let tag = file.tags.get(INPUTS_TAG).cloned();
        digests
            .entry(day)
            .and_modify(|held| {
                if *held != tag {
                    *held = None;
                }
            })
            .or_insert(tag);
    }
    digests
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
