//! The data files of a table at one version, and their Parquet scan.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use domain::Day;
use lake::{DataFile, TableDef, TableSnapshot};

use crate::engine::footers::WithPageIndex;
use crate::engine::utf8_view;

/// The bytes that are read first from the end of a file: most footers are shorter.
const FOOTER_BYTES: usize = 64 * 1024;

/// Returns the URL under which the lake's object store is registered. The store itself knows the
/// root of the lake.
pub(crate) fn store_url() -> ObjectStoreUrl {
    // The text is a constant and parses.
    ObjectStoreUrl::parse("lake://root/").unwrap_or_else(|_| ObjectStoreUrl::local_filesystem())
}

/// The data files of a table at one version.
#[derive(Debug, Clone)]
pub(crate) struct FileList {
    /// All columns. The partition column, where there is one, is the last.
    pub schema: SchemaRef,
    pub partition_by: Option<String>,
    pub files: Arc<[DataFile]>,
}

impl FileList {
    /// Returns some files of a table.
    pub(crate) fn of_def(def: &TableDef, files: Arc<[DataFile]>) -> Self {
        Self { schema: Arc::clone(&def.schema), partition_by: def.partition_by.clone(), files }
    }

    /// Returns all files of a snapshot, with strings as `Utf8View`.
    pub(crate) fn of_snapshot(snapshot: &TableSnapshot) -> Self {
        Self {
            schema: Arc::clone(&snapshot.schema),
            partition_by: snapshot.partition_by.clone(),
            files: Arc::clone(&snapshot.files),
        }
        .with_utf8_view()
    }

    /// Returns the same files, of which queries read strings as `Utf8View`.
    pub(crate) fn with_utf8_view(self) -> Self {
        Self { schema: utf8_view::in_views(&self.schema), ..self }
    }

    /// Returns the same files with the optional columns of a definition that came after they were
    /// written, before the partition column.
    pub(crate) fn with_columns_of(self, def: &Schema) -> Self {
        let is_new =
            |field: &&FieldRef| field.is_nullable() && self.schema.index_of(field.name()).is_err();
        let new = def.fields().iter().filter(is_new);
        let own = self.schema.fields();
        let (own, partition) = own.split_at(own.len() - usize::from(self.partition_by.is_some()));
        let fields: Fields = own.iter().chain(new).chain(partition).cloned().collect();
        Self { schema: utf8_view::in_views(&Arc::new(Schema::new(fields))), ..self }
    }

    /// Returns the files of some days, or all files of a table without a partition column.
    pub(crate) fn files_of(&self, days: &[Day]) -> Vec<DataFile> {
        let wanted = |file: &&DataFile| {
            self.partition_by.is_none() || file.day.is_some_and(|day| days.contains(&day))
        };
        self.files.iter().filter(wanted).cloned().collect()
    }

    /// Returns the column indices of a projection.
    pub(crate) fn columns(&self, projection: Option<&Vec<usize>>) -> Vec<usize> {
        projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect())
    }

    /// Returns a scan with one output partition for each group of files. The rows of a partition
    /// come in the order of its files.
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
        // The choice of files has already applied the filters that read only the day.
        let day: Vec<&str> = self.partition_by.as_deref().into_iter().collect();
        let row_filter = conjunction(filters.iter().filter(|f| !only_reads(f, &day)).cloned());
        let has_filter = row_filter.is_some();
        if let Some(filter) = row_filter {
            let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        // Each footer is fetched in one request and parsed once.
        let runtime = state.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let store = runtime.object_store(store_url())?;
        let reader = CachedParquetFileReaderFactory::new(store, footers);
        let reader: Arc<dyn ParquetFileReaderFactory> =
            if has_filter { Arc::new(WithPageIndex(reader)) } else { Arc::new(reader) };
        source =
            source.with_parquet_file_reader_factory(reader).with_metadata_size_hint(FOOTER_BYTES);
        let source: Arc<dyn FileSource> = Arc::new(source);
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
        let config = FileScanConfigBuilder::new(store_url(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            // Without it, partitions take files from a queue that they share, and a scan that is executed
            // again, as groups that do not fit in memory may do, would find nothing.
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

/// Whether the file was written by compaction, so that no event is in it twice.
pub(crate) fn is_compacted(file: &DataFile) -> bool {
    file.tags.contains_key(lake::DROPPED_COPIES_TAG)
}

/// Whether an expression reads at least one column, reads no others than these, and is not
/// volatile.
pub(crate) fn only_reads(filter: &Expr, columns: &[&str]) -> bool {
    let read = filter.column_refs();
    !read.is_empty()
        && read.iter().all(|c| columns.contains(&c.name.as_str()))
        && !filter.is_volatile()
}
