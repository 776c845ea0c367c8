//! The column cache: decoded columns of files, shared by all queries of an engine.
//!
//! Metrics read the same few columns of the same rollups again and again, in many small files. A
//! data file never changes, so a cached column never becomes stale. A table that is too large for
//! the cache is read by each query, and then only the row groups and pages that the query needs.
//!
//! - `whole_file`: a small file that is fetched in one request

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt};
use lake::DataFile;
use tokio::sync::Mutex;

use crate::engine::file_list::{FileList, store_url};
use whole_file::{MAX_WHOLE_FILE_BYTES, WholeFile};

mod whole_file;

/// Decoded columns by file. The limit holds approximately, because the size of a file is estimated
/// before the file is read.
#[derive(Debug)]
pub(crate) struct ColumnCache {
    limit: usize,
    files: Mutex<CachedFiles>,
}

#[derive(Debug, Default)]
struct CachedFiles {
    by_path: HashMap<String, CachedFile>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct CachedFile {
    columns: HashMap<String, ArrayRef>,
    /// The undecoded file, from which further columns are decoded.
    whole: Option<WholeFile>,
}

impl ColumnCache {
    /// `limit` is in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, files: Mutex::default() }
    }

    /// Returns some columns of some files, one batch for each file, and reads what is not cached.
    /// Returns `None` where the columns are too large for the cache.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(crate) async fn rows(
        &self,
        state: &dyn Session,
        list: &FileList,
        files: &[DataFile],
        columns: &[usize],
    ) -> Result<Option<Vec<RecordBatch>>> {
        let schema = Arc::new(list.schema.project(columns)?);
        if estimated_bytes(&schema, files) > self.limit as u64 {
            return Ok(None);
        }
        // The lock is kept while files are read, so that no query reads the same columns again.
        let mut cached = self.files.lock().await;
        // The columns that at least one file lacks, and the files that lack one of them.
        let lacks = |file: &DataFile, name: &String| {
            cached.by_path.get(&file.path).is_none_or(|file| !file.columns.contains_key(name))
        };
        let name = |column: &usize| list.schema.field(*column).name();
        let missing: Vec<usize> = columns
            .iter()
            .copied()
            .filter(|column| files.iter().any(|file| lacks(file, name(column))))
            .collect();
        let unread: Vec<DataFile> = files
            .iter()
            .filter(|file| missing.iter().any(|column| lacks(file, name(column))))
            .cloned()
            .collect();
        if !unread.is_empty() {
            let whole = |file: &DataFile| cached.by_path.get(&file.path)?.whole.clone();
            let sources = unread.into_iter().map(|file| (whole(&file), file)).collect();
            let read = decode(state, list, sources, &missing).await?;
            let new: usize = read.iter().map(|(_, file)| file.bytes()).sum();
            if cached.bytes + new > self.limit {
                cached.evict_all_but(files, &schema);
            }
            read.into_iter().for_each(|(path, file)| cached.add(path, file));
        }
        files.iter().map(|file| batch(&cached, &schema, file)).collect::<Result<_>>().map(Some)
    }
}

impl CachedFiles {
    fn add(&mut self, path: String, file: CachedFile) {
        let cached = self.by_path.entry(path).or_default();
        self.bytes -= cached.bytes();
        cached.columns.extend(file.columns);
        cached.whole = file.whole;
        self.bytes += cached.bytes();
    }

    /// Removes everything but these columns of these files, which the current query reads.
    fn evict_all_but(&mut self, files: &[DataFile], schema: &Schema) {
        let before = self.bytes;
        let kept = files.iter().filter_map(|file| self.by_path.remove_entry(&file.path));
        self.by_path = kept.collect();
        for file in self.by_path.values_mut() {
            file.columns.retain(|name, _| schema.field_with_name(name).is_ok());
        }
        self.bytes = self.by_path.values().map(CachedFile::bytes).sum();
        tracing::debug!(before, bytes = self.bytes, "columns were evicted from the cache");
    }
}

impl CachedFile {
    fn of(rows: RecordBatch, whole: Option<WholeFile>) -> Self {
        let (schema, columns, _) = rows.into_parts();
        let names = schema.fields().iter().map(|field| field.name().clone());
        Self { columns: names.zip(columns).collect(), whole }
    }

    fn bytes(&self) -> usize {
        let columns: usize = self.columns.values().map(|c| c.get_array_memory_size()).sum();
        columns + self.whole.as_ref().map_or(0, WholeFile::bytes)
    }
}

/// Returns cached columns of a file as a batch.
fn batch(cached: &CachedFiles, schema: &SchemaRef, file: &DataFile) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .filter_map(|field| cached.by_path.get(&file.path)?.columns.get(field.name()).cloned())
        .collect();
    let rows = usize::try_from(file.rows).ok();
    let options = RecordBatchOptions::new().with_row_count(rows);
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Estimates the decoded size of columns by their types and the number of rows.
fn estimated_bytes(schema: &Schema, files: &[DataFile]) -> u64 {
    let rows: u64 = files.iter().map(|f| f.rows).sum();
    let width = |kind: &DataType| match kind {
        DataType::List(_) => 256,
        other => other.primitive_width().unwrap_or(24),
    };
    let row: usize = schema.fields().iter().map(|field| width(field.data_type())).sum();
    rows * row as u64
}

/// Reads whole columns of files, as many files at once as a query has threads. Small files are
/// fetched whole, others are scanned.
async fn decode(
    state: &dyn Session,
    list: &FileList,
    files: Vec<(Option<WholeFile>, DataFile)>,
    columns: &[usize],
) -> Result<Vec<(String, CachedFile)>> {
    let store = state.runtime_env().object_store(store_url())?;
    let schema = Arc::new(list.schema.project(columns)?);
    let tasks = files.into_iter().map(|(whole, file)| {
        let small = whole.is_some() || file.size <= MAX_WHOLE_FILE_BYTES;
        let scan = (!small).then(|| {
            let plan = list.scan(state, vec![vec![file.clone()]], Some(columns.to_vec()), &[])?;
            plan.execute(0, state.task_ctx())
        });
        let (store, schema, day) =
            (Arc::clone(&store), Arc::clone(&schema), list.partition_by.clone());
        let read = async move {
            let Some(scan) = scan else {
                let whole = match whole {
                    Some(whole) => whole,
                    None => WholeFile::fetch(store.as_ref(), &file).await?,
                };
                let rows = whole.rows(&schema, &file, day.as_deref())?;
                return Ok((file.path, CachedFile::of(rows, Some(whole))));
            };
            let batches: Vec<RecordBatch> = scan?.try_collect().await?;
            Ok((file.path, CachedFile::of(concat_batches(&schema, &batches)?, None)))
        };
        async move {
            let done = SpawnedTask::spawn(read).join_unwind().await;
            done.map_err(|e| DataFusionError::External(e.into()))?
        }
    });
    futures::stream::iter(tasks).buffered(state.config().target_partitions()).try_collect().await
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Int64Array};
    use arrow::datatypes::{Date32Type, Field, Int64Type};
    use domain::Day;
    use lake::TableDef;

    use super::*;
    use crate::tests::engine::TestProject;

    const ROWS: i64 = 1000;
    const DAY: Day = Day(20_000);

    /// Files of one day with the same numbers in two columns.
    async fn table(project: &TestProject, files: impl IntoIterator<Item = Vec<i64>>) -> FileList {
        let number = |name| Field::new(name, DataType::Int64, true);
        let day = Field::new("event_date", DataType::Date32, true);
        let def = TableDef {
            name: "rollup/numbers".to_owned(),
            schema: Arc::new(Schema::new(vec![number("a"), number("b"), day])),
            partition_by: Some("event_date".to_owned()),
        };
        let mut written = Vec::new();
        for numbers in files {
            let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
            let columns = vec![Arc::clone(&numbers), numbers];
            let rows = RecordBatch::try_new(def.file_schema(), columns).expect("rows");
            let file = project.lake.write_file(&def, Some(DAY), &[rows], Default::default()).await;
            written.push(file.expect("a file").to_data_file(&def, Some(DAY)));
        }
        FileList { schema: def.schema, partition_by: def.partition_by, files: written.into() }
    }

    #[tokio::test]
    async fn small_and_large_files_give_the_same_rows() {
        let project = TestProject::with_queries(&[]).await;
        // Numbers that do not compress.
        let mixed = |n: i64| (n ^ (n >> 31)).wrapping_mul(0x1E37_79B9_7F4A_7C15);
        let noise = |n: i64| mixed(mixed(mixed(n)));
        let files = [(0..100).collect(), (0..200_000).map(noise).collect(), vec![]];
        let mut list = table(&project, files.clone()).await;
        let is_small = |file: &DataFile| file.size <= MAX_WHOLE_FILE_BYTES;
        assert_eq!(list.files.iter().map(is_small).collect::<Vec<_>>(), [true, false, true]);
        // A column that the files lack.
        let later = Arc::new(Field::new("c", DataType::Utf8View, true));
        let mut fields = list.schema.fields().to_vec();
        fields.insert(2, later);
        list.schema = Arc::new(Schema::new(fields));
        let (cache, state) = (ColumnCache::new(64 << 20), project.engine.context().state());
        for columns in [vec![2, 1], vec![3], vec![1, 3, 2], vec![]] {
            let read = cache.rows(&state, &list, &list.files, &columns).await.expect("rows");
            for (rows, numbers) in read.expect("cached rows").iter().zip(&files) {
                assert_eq!(rows.num_rows(), numbers.len());
                assert_eq!(
                    rows.schema().as_ref(),
                    &list.schema.project(&columns).expect("columns")
                );
                for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
                    match field.name().as_str() {
                        "b" => assert_eq!(column.as_primitive::<Int64Type>().values(), numbers),
                        "c" => assert_eq!(column.null_count(), numbers.len()),
                        _ => assert!(
                            column.as_primitive::<Date32Type>().iter().all(|d| d == Some(DAY.0))
                        ),
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn the_columns_of_a_new_query_evict_older_ones() {
        let project = TestProject::with_queries(&[]).await;
        let list = table(&project, (0..4).map(|n| (n * ROWS..(n + 1) * ROWS).collect())).await;
        let state = project.engine.context().state();
        // Room for a little more than two columns of two files.
        let cache = ColumnCache::new(5 * ROWS as usize * size_of::<i64>());
        let firsts = async |files: &[DataFile], columns: &[usize]| {
            let rows = cache.rows(&state, &list, files, columns).await?;
            let first = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().value(0);
            Ok::<_, DataFusionError>(rows.map(|rows| rows.iter().map(first).collect::<Vec<_>>()))
        };
        let (two, others) = list.files.split_at(2);
        assert_eq!(firsts(two, &[0, 1]).await.expect("rows"), Some(vec![0, ROWS]));
        assert_eq!(firsts(&list.files, &[0, 1]).await.expect("too many"), None);
        // These columns evict those of the first two files.
        assert_eq!(firsts(others, &[0]).await.expect("rows"), Some(vec![2 * ROWS, 3 * ROWS]));
        assert_eq!(firsts(others, &[1]).await.expect("rows"), Some(vec![2 * ROWS, 3 * ROWS]));
        for file in list.files.iter() {
            std::fs::remove_file(project.folder.path().join("lake").join(&file.path))
                .expect("a file");
        }
        assert_eq!(
            firsts(others, &[1]).await.expect("cached rows"),
            Some(vec![2 * ROWS, 3 * ROWS])
        );
        assert!(firsts(two, &[0]).await.is_err());
        let files = cache.files.lock().await;
        assert!(files.by_path.len() <= 2 && files.bytes <= 6 * ROWS as usize * size_of::<i64>());
    }
}
