//! The lake's tables as DataFusion reads them: a fixed list of files, pruned by day.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use lake::DataFile;
use lake_types::Day;

use crate::dedup::{Apart, Copies, DayInput, DedupExec, IDENTITY, columns_with};
use crate::held::Held;
use crate::texts;

/// Rows of a batch that comes from memory.
const BATCH_ROWS: usize = 8192;

/// Read from the end of a file in the first place: the footer of most.
const FOOTER_BYTES: usize = 64 * 1024;

/// The URL that the lake's object store is registered under; its own root is inside the store.
pub(crate) fn store_url() -> ObjectStoreUrl {
    // The text is a constant and parses.
    ObjectStoreUrl::parse("lake://root/").unwrap_or_else(|_| ObjectStoreUrl::local_filesystem())
}

/// The files of a table at one version.
#[derive(Debug, Clone)]
pub(crate) struct FileList {
    /// The partition column, where there is one, last.
    pub schema: SchemaRef,
    pub partition_by: Option<String>,
    pub files: Vec<DataFile>,
}

/// A table as it is stored.
#[derive(Debug)]
pub(crate) struct StoredTable(pub FileList);

/// A table of events, each given once.
#[derive(Debug)]
pub(crate) struct EventTable(pub EventSource);

/// Where the arrivals are.
#[derive(Debug)]
pub(crate) enum EventSource {
    Files(FileList),
    /// For tests of queries: each batch of one day, sorted by partner.
    Memory(SchemaRef, Vec<(Day, RecordBatch)>),
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
        let files = self.0.files_of(&self.0.days(state, filters)?);
        let threads = state.config().target_partitions();
        let columns = self.0.columns(projection);
        if let Some(rows) = self.0.held(state, &files, &columns).await? {
            let rows: Vec<RecordBatch> = rows.iter().flat_map(batches).collect();
            let mut groups = split_evenly(rows, threads, |batch| batch.num_rows() as u64);
            if groups.is_empty() {
                groups.push(Vec::new());
            }
            let schema = Arc::new(self.0.schema.project(&columns)?);
            return Ok(MemorySourceConfig::try_new_exec(&groups, schema, None)?);
        }
        let groups = split_evenly(files, threads, |f| f.size);
        // Filters on rows come down once more, by themselves.
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

    /// Copies share partner and day and nothing else: only filters on these may come before the
    /// choice among copies.
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
    /// The days that the filters let through, each with what is known of copies in it.
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
                let columns = |copies| match copies {
                    Copies::Possible => &with_ids[..],
                    Copies::None => &with_partner[..],
                    Copies::Compacted => wanted,
                };
                let days = list.days(state, filters)?;
                let mut found = Vec::with_capacity(days.len());
                for day in days {
                    let files = list.files_of(&[day]);
                    let copies = list.copies(state, &files).await?;
                    found.push((files, copies));
                }
                let all: Vec<DataFile> = found.iter().flat_map(|(f, _)| f).cloned().collect();
                let compacted = found.iter().all(|(_, copies)| *copies == Copies::Compacted);
                let held = if compacted { wanted } else { &with_ids[..] };
                let held = list.held(state, &all, held).await?;
                let held: Option<HashMap<&str, RecordBatch>> =
                    held.map(|rows| all.iter().map(|f| f.path.as_str()).zip(rows).collect());
                let input = |file: DataFile, columns: &[usize]| match &held {
                    Some(held) => in_memory(&held[file.path.as_str()], &list.schema, columns),
                    None => list.scan(state, vec![vec![file]], Some(columns.to_vec()), filters),
                };
                let day_input = |(files, copies): (Vec<DataFile>, Copies)| {
                    let rows = files.iter().map(|f| f.rows).sum();
                    let inputs = files.into_iter().map(|file| input(file, columns(copies)));
                    Ok(DayInput { inputs: inputs.collect::<Result<_>>()?, rows, copies })
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
                        let input = in_memory(batch, schema, &with_ids)?;
                        let rows = batch.num_rows() as u64;
                        Ok(DayInput { inputs: vec![input], rows, copies: Copies::Possible })
                    })
                    .collect()
            }
        }
    }
}

impl FileList {
    /// The same, to be read by queries.
    pub(crate) fn in_views(self) -> Self {
        Self { schema: texts::in_views(&self.schema), ..self }
    }

    /// The days that have files and that the filters let through; empty for a table without days.
    fn days(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Day>> {
        let Some(column) = &self.partition_by else { return Ok(Vec::new()) };
        let mut days: Vec<Day> = self.files.iter().filter_map(|f| f.day).collect();
        days.sort_unstable();
        days.dedup();
        matching_days(state, column, days, filters)
    }

    /// The files of some days, or all of a table without days.
    fn files_of(&self, days: &[Day]) -> Vec<DataFile> {
        let wanted = |file: &&DataFile| {
            self.partition_by.is_none() || file.day.is_some_and(|day| days.contains(&day))
        };
        self.files.iter().filter(wanted).cloned().collect()
    }

    /// What is known of copies in the files of a day.
    async fn copies(&self, state: &dyn Session, files: &[DataFile]) -> Result<Copies> {
        if files.iter().all(is_compacted) {
            return Ok(Copies::Compacted);
        }
        match state.config().get_extension::<Apart>() {
            Some(apart) if apart.holds(state, self, files).await? => {
                Ok(if files.len() == 1 { Copies::Compacted } else { Copies::None })
            }
            _ => Ok(Copies::Possible),
        }
    }

    /// The indices of a projection.
    fn columns(&self, projection: Option<&Vec<usize>>) -> Vec<usize> {
        projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect())
    }

    /// Some columns of files, a batch a file, where this process holds what it read and they are
    /// small enough for it.
    async fn held(
        &self,
        state: &dyn Session,
        files: &[DataFile],
        columns: &[usize],
    ) -> Result<Option<Vec<RecordBatch>>> {
        match state.config().get_extension::<Held>() {
            Some(held) => held.rows(state, self, files, columns).await,
            None => Ok(None),
        }
    }

    /// A scan of groups of files, one output partition a group; rows in the order of the files.
    pub(crate) fn scan(
        &self,
        state: &dyn Session,
        groups: Vec<Vec<DataFile>>,
        projection: Option<Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if groups.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(&columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let rows: u64 = groups.iter().flatten().map(|f| f.rows).sum();
        let groups = groups
            .into_iter()
            .map(|files| FileGroup::new(files.iter().map(|f| self.partitioned_file(f)).collect()))
            .collect();
        let mut source = ParquetSource::new(self.table_schema())
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_pushdown_filters(true);
        // What reads only the day has been answered by the choice of files.
        let day: Vec<&str> = self.partition_by.as_deref().into_iter().collect();
        let on_rows = filters.iter().filter(|f| !only_reads(f, &day)).cloned();
        if let Some(filter) = conjunction(on_rows) {
            let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        // A footer is fetched at once, and parsed once.
        let runtime = state.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let store = runtime.object_store(store_url())?;
        let reader = CachedParquetFileReaderFactory::new(store, footers);
        source = source
            .with_parquet_file_reader_factory(Arc::new(reader))
            .with_metadata_size_hint(FOOTER_BYTES);
        let source: Arc<dyn FileSource> = Arc::new(source);
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
        let config = FileScanConfigBuilder::new(store_url(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_preserve_order(true)
            .with_projection_indices(projection)?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn table_schema(&self) -> TableSchema {
        let (partition, inside): (Vec<_>, Vec<_>) = self
            .schema
            .fields()
            .iter()
            .cloned()
            .partition(|field| Some(field.name()) == self.partition_by.as_ref());
        TableSchema::builder(Arc::new(Schema::new(inside)))
            .with_table_partition_cols(partition)
            .build()
    }

    fn partitioned_file(&self, file: &DataFile) -> PartitionedFile {
        let values = match &self.partition_by {
            Some(_) => vec![ScalarValue::Date32(file.day.map(|day| day.0))],
            None => Vec::new(),
        };
        PartitionedFile::new(file.path.clone(), file.size).with_partition_values(values)
    }
}

/// Rows in batches as operators like them.
fn batches(rows: &RecordBatch) -> Vec<RecordBatch> {
    let starts = (0..rows.num_rows()).step_by(BATCH_ROWS);
    starts.map(|start| rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start))).collect()
}

/// A scan of rows that have at least these columns of a schema.
fn in_memory(
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
    let rows = batches(&rows.project(&positions)?);
    Ok(MemorySourceConfig::try_new_exec(&[rows], wanted, None)?)
}

/// Whether no event stands in it twice.
pub(crate) fn is_compacted(file: &DataFile) -> bool {
    file.tags.contains_key(lake::COPIES)
}

/// Keeps the days for which every filter that reads nothing but the day holds.
fn matching_days(
    state: &dyn Session,
    column: &str,
    days: Vec<Day>,
    filters: &[Expr],
) -> Result<Vec<Day>> {
    let on_day = filters.iter().filter(|f| only_reads(f, &[column])).cloned();
    let Some(filter) = conjunction(on_day) else { return Ok(days) };
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

/// Whether an expression reads none but these columns, and gives the same each time.
fn only_reads(filter: &Expr, columns: &[&str]) -> bool {
    let read = filter.column_refs();
    !read.is_empty()
        && read.iter().all(|c| columns.contains(&c.name.as_str()))
        && !filter.is_volatile()
}

/// Neighbours stay together: at most `parts` runs of about the same weight, none empty.
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
    use super::*;

    #[test]
    fn items_are_split_by_weight() {
        let split = |weights: Vec<u64>, parts| split_evenly(weights, parts, |w| *w);
        assert_eq!(split(vec![], 2), Vec::<Vec<u64>>::new());
        assert_eq!(split(vec![1, 1, 1, 1], 2), [[1, 1], [1, 1]]);
        assert_eq!(split(vec![5, 1, 1], 2), [vec![5], vec![1, 1]]);
        assert_eq!(split(vec![0, 0], 4).concat(), [0, 0]);
        assert_eq!(split(vec![1; 7], 3).concat().len(), 7);
    }
}
