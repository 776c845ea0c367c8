//! The table providers of the lake: tables as they are stored, and events without duplicates.
//!
//! Both scan a fixed list of files and prune it by day. Columns of small tables come from the
//! column cache.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use domain::Day;
use lake::{DataFile, TableSnapshot};

use crate::engine::column_cache::ColumnCache;
use crate::engine::dedup::duplicate_free_days::DuplicateFreeDays;
use crate::engine::dedup::exec::{DayInput, DedupExec, Duplicates};
use crate::engine::dedup::identity::{IDENTITY, columns_with};
use crate::engine::file_list::{FileList, is_compacted, only_reads};
use crate::engine::utf8_view;
use crate::error::TransformError;

/// The rows of one batch of a scan in memory.
const BATCH_ROWS: usize = 8192;

/// A table as it is stored, with every copy of an event.
#[derive(Debug)]
pub(crate) struct StoredTable(pub FileList);

/// A table of events without duplicates.
#[derive(Debug)]
pub(crate) struct EventTable(pub EventSource);

/// The rows that an [`EventTable`] reads, in which copies of an event are possible.
#[derive(Debug)]
pub(crate) enum EventSource {
    Files(FileList),
    /// Rows of a test case: one batch for each day, sorted by partner.
    Memory(SchemaRef, Vec<(Day, RecordBatch)>),
}

/// Returns a snapshot as a table.
pub(crate) fn stored_table(snapshot: &TableSnapshot) -> Arc<dyn TableProvider> {
    Arc::new(StoredTable(FileList::of_snapshot(snapshot)))
}

/// Returns a table without rows.
pub(crate) fn empty_table(
    schema: SchemaRef,
) -> std::result::Result<Arc<dyn TableProvider>, TransformError> {
    let rows = RecordBatch::new_empty(schema);
    utf8_view::table_of(&rows).map_err(TransformError::sql("an empty table"))
}

#[async_trait::async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let day = self.0.partition_by.as_deref();
        Ok(filters
            .iter()
            .map(|filter| {
                if day.is_some_and(|day| only_reads(filter, &[day])) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.0.files_of(&wanted_days(&self.0, state, filters)?);
        let threads = state.config().target_partitions();
        let columns = self.0.columns(projection);
        if let Some(rows) = cached_rows(&self.0, state, &files, &columns).await? {
            let rows: Vec<RecordBatch> = rows.iter().flat_map(split_into_batches).collect();
            let mut groups = split_evenly(rows, threads, |batch| batch.num_rows() as u64);
            if groups.is_empty() {
                groups.push(Vec::new());
            }
            let schema = Arc::new(self.0.schema.project(&columns)?);
            return Ok(MemorySourceConfig::try_new_exec(&groups, schema, None)?);
        }
        let groups = split_evenly(files, threads, |f| f.size);
        // The optimizer pushes filters on rows into the scan later.
        self.0.scan(state, groups, Some(columns), &[])
    }
}

#[async_trait::async_trait]
impl TableProvider for EventTable {
    fn schema(&self) -> SchemaRef {
        match &self.0 {
            EventSource::Files(list) => Arc::clone(&list.schema),
            EventSource::Memory(schema, _) => Arc::clone(schema),
        }
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The copies of an event are sure to agree only in partner and day. So only filters on these
    /// columns may be applied before the duplicates are dropped.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if only_reads(filter, &["event_date"]) {
                    TableProviderFilterPushDown::Exact
                } else if only_reads(filter, &["event_date", "partner_id"]) {
                    TableProviderFilterPushDown::Inexact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let wanted: Vec<usize> =
            projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let days = self.day_inputs(state, &wanted, filters).await?;
        let groups = split_evenly(days, state.config().target_partitions(), |day| day.rows);
        let day = match &self.0 {
            EventSource::Files(list) => list.partition_by.as_deref(),
            EventSource::Memory(..) => None,
        };
        Ok(Arc::new(DedupExec::new(groups, &schema, &wanted, day)?))
    }
}

impl EventTable {
    /// Returns the scans of each day that passes the filters, and whether it can have duplicates.
    async fn day_inputs(
        &self,
        state: &dyn Session,
        wanted: &[usize],
        filters: &[Expr],
    ) -> Result<Vec<DayInput>> {
        let schema = self.schema();
        let with_ids = columns_with(&schema, wanted, &IDENTITY)?;
        match &self.0 {
            EventSource::Files(list) => {
                let with_partner = columns_with(&schema, wanted, &IDENTITY[..1])?;
                let columns = |duplicates| match duplicates {
                    Duplicates::Possible => &with_ids[..],
                    Duplicates::None => &with_partner[..],
                    Duplicates::Compacted => wanted,
                };
                let days = wanted_days(list, state, filters)?;
                let mut found = Vec::with_capacity(days.len());
                for day in days {
                    let mut files = list.files_of(&[day]);
                    files.retain(|file| may_hold_partners(file.partners.as_ref(), filters));
                    if files.is_empty() {
                        continue;
                    }
                    let duplicates = duplicates_in(list, state, &files).await?;
                    if duplicates == Duplicates::Compacted {
                        sort_by_partner(&mut files);
                    }
                    found.push((files, duplicates));
                }
                let all: Vec<DataFile> = found.iter().flat_map(|(f, _)| f).cloned().collect();
                let compacted = found.iter().all(|(_, found)| *found == Duplicates::Compacted);
                let needed = if compacted { wanted } else { &with_ids[..] };
                let cached = cached_rows(list, state, &all, needed).await?;
                let cached: Option<HashMap<&str, RecordBatch>> =
                    cached.map(|rows| all.iter().map(|f| f.path.as_str()).zip(rows).collect());
                let input = |file: DataFile, columns: &[usize]| match &cached {
                    Some(cached) => memory_scan(&cached[file.path.as_str()], &list.schema, columns),
                    None => list.scan(state, vec![vec![file]], Some(columns.to_vec()), filters),
                };
                let day_input = |(files, duplicates): (Vec<DataFile>, Duplicates)| {
                    let rows = files.iter().map(|f| f.rows).sum();
                    let inputs = files.into_iter().map(|file| input(file, columns(duplicates)));
                    Ok(DayInput { inputs: inputs.collect::<Result<_>>()?, rows, duplicates })
                };
                found.into_iter().map(day_input).collect()
            }
            EventSource::Memory(schema, batches) => {
                let days = matching_days(
                    state,
                    "event_date",
                    batches.iter().map(|(day, _)| *day).collect(),
                    filters,
                )?;
                batches
                    .iter()
                    .filter(|(day, _)| days.contains(day))
                    .map(|(_, batch)| {
                        let input = memory_scan(batch, schema, &with_ids)?;
                        let rows = batch.num_rows() as u64;
                        let duplicates = Duplicates::Possible;
                        Ok(DayInput { inputs: vec![input], rows, duplicates })
                    })
                    .collect()
            }
        }
    }
}

/// Returns the days that have files and pass the filters; none for a table without a partition
/// column.
fn wanted_days(list: &FileList, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Day>> {
    let Some(column) = &list.partition_by else { return Ok(Vec::new()) };
    let mut days: Vec<Day> = list.files.iter().filter_map(|f| f.day).collect();
    days.sort_unstable();
    days.dedup();
    matching_days(state, column, days, filters)
}

/// Returns whether a file can have rows that pass the filters on the partner, by its least and its
/// greatest partner, if the log has them.
fn may_hold_partners(partners: Option<&(String, String)>, filters: &[Expr]) -> bool {
    let Some((least, greatest)) = partners else { return true };
    filters.iter().all(|filter| match partner_bound(filter) {
        Some((Operator::Lt, bound)) => least.as_str() < bound,
        Some((Operator::GtEq, bound)) => greatest.as_str() >= bound,
        _ => true,
    })
}

/// Sorts the files of a compacted day by their partners. Their paths do not tell the order, because
/// several threads or machines wrote them; those of older programs, without partners in the log, were
/// written one after the other.
fn sort_by_partner(files: &mut [DataFile]) {
    if files.iter().all(|file| file.partners.is_some()) {
        files.sort_by(|one, other| one.partners.cmp(&other.partners));
    }
}

/// Returns the comparison and the text of a filter that compares the partner with a text.
fn partner_bound(filter: &Expr) -> Option<(Operator, &str)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (Expr::Column(column), Expr::Literal(value, _)) = (left.as_ref(), right.as_ref()) else {
        return None;
    };
    let text = value.try_as_str().flatten()?;
    (column.name == IDENTITY[0]).then_some((*op, text))
}

/// Returns whether the files of a day can hold duplicates.
async fn duplicates_in(
    list: &FileList,
    state: &dyn Session,
    files: &[DataFile],
) -> Result<Duplicates> {
    if files.iter().all(is_compacted) {
        return Ok(Duplicates::Compacted);
    }
    match state.config().get_extension::<DuplicateFreeDays>() {
        Some(known) if known.has_no_duplicates(state, list, files).await? => {
            Ok(if files.len() == 1 { Duplicates::Compacted } else { Duplicates::None })
        }
        _ => Ok(Duplicates::Possible),
    }
}

/// Returns some columns of files from the column cache, one batch for each file. Returns `None`
/// where the session has no cache or the columns are too large for it.
async fn cached_rows(
    list: &FileList,
    state: &dyn Session,
    files: &[DataFile],
    columns: &[usize],
) -> Result<Option<Vec<RecordBatch>>> {
    match state.config().get_extension::<ColumnCache>() {
        Some(cache) => cache.rows(state, list, files, columns).await,
        None => Ok(None),
    }
}

/// Splits rows into batches of the usual size.
fn split_into_batches(rows: &RecordBatch) -> Vec<RecordBatch> {
    let starts = (0..rows.num_rows()).step_by(BATCH_ROWS);
    starts.map(|start| rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start))).collect()
}

/// Returns a scan of some columns of a schema. `rows` may have more columns.
fn memory_scan(
    rows: &RecordBatch,
    schema: &SchemaRef,
    columns: &[usize],
) -> Result<Arc<dyn ExecutionPlan>> {
    let wanted = Arc::new(schema.project(columns)?);
    let positions: Vec<usize> = wanted
        .fields()
        .iter()
        .map(|f| rows.schema().index_of(f.name()))
        .collect::<Result<_, _>>()?;
    let rows = split_into_batches(&rows.project(&positions)?);
    Ok(MemorySourceConfig::try_new_exec(&[rows], wanted, None)?)
}

/// Returns the days that pass every filter that reads only the day.
fn matching_days(
    state: &dyn Session,
    column: &str,
    days: Vec<Day>,
    filters: &[Expr],
) -> Result<Vec<Day>> {
    let day_filters = filters.iter().filter(|f| only_reads(f, &[column])).cloned();
    let Some(filter) = conjunction(day_filters) else { return Ok(days) };
    let field = Field::new(column, DataType::Date32, true);
    let schema = Arc::new(Schema::new(vec![field]));
    let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&schema))?)?;
    let values = Date32Array::from_iter_values(days.iter().map(|day| day.0));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(values)])?;
    let kept = filter.evaluate(&batch)?.into_array(days.len())?;
    let kept = kept.as_boolean();
    Ok(days
        .into_iter()
        .enumerate()
        .filter(|(i, _)| kept.is_valid(*i) && kept.value(*i))
        .map(|(_, day)| day)
        .collect())
}

/// Splits items, in their order, into at most `parts` groups of about the same weight. No group is
/// empty.
fn split_evenly<T>(items: Vec<T>, parts: usize, weight: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let total: u64 = items.iter().map(&weight).sum();
    let share = total.div_ceil(parts.max(1) as u64).max(1);
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut filled = share;
    for item in items {
        if filled >= share && groups.len() < parts.max(1) {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += weight(&item).max(1);
        if let Some(group) = groups.last_mut() {
            group.push(item);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn a_filter_on_the_partner_excludes_files() {
        let check = |partners: Option<(&str, &str)>, filter: &Expr, expected| {
            let partners = partners.map(|(least, most)| (least.to_owned(), most.to_owned()));
            let found = may_hold_partners(partners.as_ref(), std::slice::from_ref(filter));
            assert_eq!(found, expected, "{filter}, {partners:?}");
        };
        let below = col("partner_id").lt(lit("m"));
        let from = col("partner_id").gt_eq(lit("m"));
        for (partners, in_below, in_from) in [
            (Some(("a", "c")), true, false),
            (Some(("a", "m")), true, true),
            (Some(("m", "z")), false, true),
            (None, true, true),
        ] {
            check(partners, &below, in_below);
            check(partners, &from, in_from);
            check(partners, &col("event_id").lt(lit("a")), true);
        }
    }

    #[test]
    fn items_are_split_into_groups_of_equal_weight() {
        let split = |weights: Vec<u64>, parts| split_evenly(weights, parts, |w| *w);
        assert_eq!(split(vec![], 2), Vec::<Vec<u64>>::new());
        assert_eq!(split(vec![1, 1, 1, 1], 2), [[1, 1], [1, 1]]);
        assert_eq!(split(vec![5, 1, 1], 2), [vec![5], vec![1, 1]]);
        assert_eq!(split(vec![0, 0], 4).concat(), [0, 0]);
        assert_eq!(split(vec![1; 7], 3).concat().len(), 7);
    }
}
