//! Computes units of a rollup and writes their files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{SessionContext, col};
use domain::Day;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use lake::{Lake, PendingFile, TableDef};

use crate::analysis::day_range;
use crate::catalog::Query;
use crate::catalog::built_in_tables;
use crate::catalog::header::Check;
use crate::catalog::statement::Statement;
use crate::data_checks::unproven;
use crate::engine::context::add_raw_schema;
use crate::engine::dedup::duplicate_free_days::DuplicateFreeDays;
use crate::engine::optimizer::common_subplan::compute_repeated_once;
use crate::engine::query_columns::check_columns;
use crate::engine::{Engine, rollup_table};
use crate::error::{Result, TransformError};
use crate::rollups::day_writer::{DayWriter, split_days};
use crate::rollups::inputs::RollupInput;
use crate::rollups::tags::file_tags;
use crate::rollups::unit::{PartnerRange, RollupUnit, UnitOutput};

/// The partition column of every rollup.
const DAY_COLUMN: &str = "event_date";

/// The files of days, written and not committed yet.
pub(crate) type DayFiles = Vec<(Day, Vec<PendingFile>)>;

/// A rollup with its current query and inputs.
#[derive(Clone, Copy)]
pub(crate) struct RollupQuery<'a> {
    pub query: &'a Query,
    pub statement: &'a Statement,
    pub inputs: &'a [RollupInput],
    pub def: &'a TableDef,
    /// The checks that the plan does not already prove.
    pub checks: &'a [Check],
    /// Shared by the queries of a refresh.
    pub duplicate_free_days: &'a Arc<DuplicateFreeDays>,
}

impl Engine {
    /// Returns the table of a rollup, and the checks that its plan does not already prove.
    ///
    /// # Errors
    /// A query with other columns than its header, or one that reads days outside of its header's
    /// `reads`.
    pub(crate) async fn definition(
        &self,
        query: &Query,
        statement: &Statement,
        inputs: &[RollupInput],
    ) -> Result<(TableDef, Vec<Check>)> {
        let ctx = self.context();
        let frame = frame(&ctx, query, statement, inputs, &[], None).await?;
        check_columns(query, frame.schema().as_arrow())?;
        let undeclared = day_range::undeclared_reads(query, frame.logical_plan());
        if let Some(read) = undeclared.into_iter().next() {
            return Err(TransformError::File {
                file: query.file.clone(),
                line: query.header.reads_position.line,
                message: format!("{}; {}", read.message, read.help),
            });
        }
        let schema = built_in_tables::stored_schema(&query.header, frame.schema().as_arrow());
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

    /// Computes a unit with one query on one thread, and writes its files.
    pub(crate) async fn compute_unit(
        &self,
        rollup: RollupQuery<'_>,
        unit: RollupUnit,
    ) -> Result<UnitOutput> {
        let RollupQuery { query, statement, inputs, def, duplicate_free_days, .. } = rollup;
        let fail = || TransformError::sql(&query.file);
        let permit = Arc::clone(&self.compute_permits).acquire_owned().await;
        tracing::debug!(rollup = query.name, days = unit.days.len(), "starts to compute");
        // To look for the duplicates of a whole day would cost each range as much as the day.
        let shared = unit.partners.is_none().then_some(duplicate_free_days);
        let ctx = self.single_threaded_context(shared);
        let days: Vec<Day> = unit.days.keys().copied().collect();
        let rows = frame(&ctx, query, statement, inputs, &days, unit.partners.as_ref()).await?;
        let (state, mut plan) = rows.into_parts();
        // A CTE that is computed by itself would be computed for all partners, not for a range.
        if unit.partners.is_none() {
            plan = compute_repeated_once(&ctx, plan).await.map_err(fail())?;
        }
        let rows = DataFrame::new(state, plan).execute_stream().await.map_err(fail())?;
        tracing::debug!(rollup = query.name, "planned");
        let days: DayTags =
            unit.days.iter().map(|(day, tag)| (*day, file_tags(tag, &unit.versions))).collect();
        let (lake, def, file) = (self.lake.clone(), def.clone(), query.file.clone());
        let whole_days = unit.partners.is_none();
        let written = SpawnedTask::spawn(async move {
            let mut writer = DayWriter::new(&lake, &def);
            compute_days(&mut writer, &file, rows, &days).await?;
            // Another unit may compute while this one waits for the disk.
            drop(permit);
            let mut files = writer.finish().await?;
            if whole_days {
                write_empty_days(&mut files, &lake, &def, days).await?;
            }
            Ok::<_, TransformError>(UnitOutput { files: files.into_iter().collect(), copies: 0 })
        });
        written.join_unwind().await.map_err(|e| fail()(DataFusionError::External(e.into())))?
    }
}

/// Runs the units of one rollup in this process, one on each thread.
pub(crate) struct LocalRunner<'a> {
    pub engine: &'a Engine,
    pub rollup: RollupQuery<'a>,
}

impl LocalRunner<'_> {
    /// Runs units. The outputs come in the order of the units.
    pub(crate) fn run(&self, units: Vec<RollupUnit>) -> BoxStream<'_, Result<UnitOutput>> {
        let computed = units.into_iter().map(|unit| self.engine.compute_unit(self.rollup, unit));
        stream::iter(computed).buffered(self.engine.limits.threads()).boxed()
    }
}

/// Returns the rollup's query over the rows that these days may read, sorted by day and then by the
/// grain. With a range it has the rows of these partners only; the optimizer applies the range as
/// early as the query allows.
async fn frame(
    ctx: &SessionContext,
    query: &Query,
    statement: &Statement,
    inputs: &[RollupInput],
    days: &[Day],
    partners: Option<&PartnerRange>,
) -> Result<DataFrame> {
    let fail = || TransformError::sql(&query.file);
    add_raw_schema(ctx).map_err(fail())?;
    for input in inputs {
        ctx.register_table(input.name.as_str(), input.table(days)?).map_err(fail())?;
    }
    // A rollup has no `as_of`. A query with `$as_of` fails here.
    let parsed = statement.clone().unbound();
    let plan = ctx.state().statement_to_plan(parsed).await.map_err(fail())?;
    let mut frame = ctx.execute_logical_plan(plan).await.map_err(fail())?;
    if let Some(range) = partners {
        let condition = range.condition(frame.schema());
        frame = frame.filter(condition).map_err(fail())?;
    }
    let mut order = vec![DAY_COLUMN];
    order.extend(query.header.grain.iter().map(String::as_str).filter(|g| *g != DAY_COLUMN));
    frame.sort(order.into_iter().map(|c| col(c).sort(true, false)).collect()).map_err(fail())
}

/// The tags of the files of each day.
type DayTags = BTreeMap<Day, BTreeMap<String, String>>;

/// Writes the rows of a query, which come sorted by day.
async fn compute_days(
    writer: &mut DayWriter<'_>,
    query_file: &str,
    mut rows: SendableRecordBatchStream,
    days: &DayTags,
) -> Result<()> {
    let fail = || TransformError::sql(query_file);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(fail())?;
        for (day, rows) in split_days(&batch, DAY_COLUMN).map_err(fail())? {
            // A query that reads earlier days also returns rows for them, which are dropped.
            if let Some(tags) = days.get(&day) {
                writer.push(day, rows, tags).await?;
            }
        }
    }
    Ok(())
}

/// Writes an empty file for each day without rows. It carries the tags of the day.
async fn write_empty_days(
    files: &mut BTreeMap<Day, PendingFile>,
    lake: &Lake,
    def: &TableDef,
    days: DayTags,
) -> Result<()> {
    for (day, tags) in days {
        if let Entry::Vacant(missing) = files.entry(day) {
            let empty = [RecordBatch::new_empty(def.file_schema())];
            missing.insert(lake.write_file(def, Some(day), &empty, tags).await?);
        }
    }
    Ok(())
}
