//! Columns of files, decoded once for every query of a process.
//!
//! Metrics read the same few columns of the same rollups again and again, in many small files. A
//! file never changes, so what is held of it stays true. Tables that are too large are read anew by
//! each query, and only the row groups and pages it needs.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::Result;
use futures::{StreamExt, TryStreamExt};
use lake::DataFile;
use tokio::sync::Mutex;

use crate::provider::FileList;

/// Decoded columns, at most about so many bytes of them: what a file takes is guessed before it is
/// read.
#[derive(Debug)]
pub(crate) struct Held {
    limit: usize,
    files: Mutex<Files>,
}

/// By the path of a file and the name of a column.
type Columns = HashMap<String, ArrayRef>;

#[derive(Debug, Default)]
struct Files {
    by_path: HashMap<String, Columns>,
    bytes: usize,
}

impl Held {
    /// `limit` in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, files: Mutex::default() }
    }

    /// Some columns of some files of a list, a batch a file; `None` where they are too large to be
    /// held.
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
        if expected_bytes(&schema, files) > self.limit as u64 {
            return Ok(None);
        }
        // Held while files are read: who wants the same columns waits for them.
        let mut held = self.files.lock().await;
        // Files that lack a column, and the columns that one of them lacks.
        let lacks = |file: &DataFile, name: &String| {
            held.by_path.get(&file.path).is_none_or(|columns| !columns.contains_key(name))
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
            let read = decode(state, list, &unread, &missing).await?;
            let new = expected_bytes(&list.schema.project(&missing)?, &unread);
            if held.bytes as u64 + new > self.limit as u64 {
                held.keep_only(files, &schema);
            }
            for (file, rows) in unread.iter().zip(read) {
                let columns: Columns = rows
                    .schema()
                    .fields()
                    .iter()
                    .zip(rows.columns())
                    .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
                    .collect();
                held.bytes += bytes_of(&columns);
                held.by_path.entry(file.path.clone()).or_default().extend(columns);
            }
        }
        files.iter().map(|file| batch(&held, &schema, file)).collect::<Result<_>>().map(Some)
    }
}

impl Files {
    /// What runs keeps what it has; the rest is decoded when it is asked for again.
    fn keep_only(&mut self, files: &[DataFile], schema: &Schema) {
        let kept = files.iter().filter_map(|file| self.by_path.remove_entry(&file.path));
        self.by_path = kept.collect();
        for columns in self.by_path.values_mut() {
            columns.retain(|name, _| schema.field_with_name(name).is_ok());
        }
        self.bytes = self.by_path.values().map(bytes_of).sum();
    }
}

fn batch(held: &Files, schema: &SchemaRef, file: &DataFile) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .filter_map(|field| held.by_path.get(&file.path)?.get(field.name()).cloned())
        .collect();
    let rows = usize::try_from(file.rows).ok();
    let options = RecordBatchOptions::new().with_row_count(rows);
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn bytes_of(columns: &Columns) -> usize {
    columns.values().map(|column| column.get_array_memory_size()).sum()
}

/// A guess, before anything is read.
fn expected_bytes(schema: &Schema, files: &[DataFile]) -> u64 {
    let rows: u64 = files.iter().map(|f| f.rows).sum();
    let width = |kind: &DataType| match kind {
        DataType::List(_) => 256,
        other => other.primitive_width().unwrap_or(24),
    };
    let row: usize = schema.fields().iter().map(|field| width(field.data_type())).sum();
    rows * row as u64
}

/// Reads whole columns, as many files at once as a query has threads.
async fn decode(
    state: &dyn Session,
    list: &FileList,
    files: &[DataFile],
    columns: &[usize],
) -> Result<Vec<RecordBatch>> {
    let groups = files.iter().map(|file| vec![file.clone()]).collect();
    let plan = list.scan(state, groups, Some(columns.to_vec()), &[])?;
    let tasks = (0..files.len()).map(|partition| {
        let stream = plan.execute(partition, state.task_ctx());
        let schema = plan.schema();
        async move {
            let rows = tokio::spawn(async move {
                let batches: Vec<RecordBatch> = stream?.try_collect().await?;
                Ok(concat_batches(&schema, &batches)?)
            });
            rows.await.map_err(|e| datafusion::common::DataFusionError::External(e.into()))?
        }
    });
    futures::stream::iter(tasks).buffered(state.config().target_partitions()).try_collect().await
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{Field, Int64Type};
    use lake::TableDef;
    use lake_types::Day;

    use super::*;
    use crate::world::World;

    const ROWS: i64 = 1000;

    /// Files of two columns, the numbers of the n-th from `n * ROWS` on.
    async fn table(world: &World, files: i64) -> FileList {
        let number = |name| Field::new(name, DataType::Int64, true);
        let day = Field::new("event_date", DataType::Date32, true);
        let def = TableDef {
            name: "rollup/numbers".to_owned(),
            schema: Arc::new(Schema::new(vec![number("a"), number("b"), day])),
            partition_by: Some("event_date".to_owned()),
        };
        let mut written = Vec::new();
        for n in 0..files {
            let numbers: ArrayRef =
                Arc::new(Int64Array::from_iter_values(n * ROWS..(n + 1) * ROWS));
            let columns = vec![Arc::clone(&numbers), numbers];
            let rows = RecordBatch::try_new(def.file_schema(), columns).expect("rows");
            let day = Some(Day(20_000));
            let file = world.lake.write_file(&def, day, &[rows], Default::default()).await;
            written.push(file.expect("a file").written(&def, day));
        }
        FileList { schema: def.schema, partition_by: def.partition_by, files: written }
    }

    #[tokio::test]
    async fn what_runs_takes_the_room_of_what_ran() {
        let world = World::with_queries(&[]).await;
        let list = table(&world, 4).await;
        let state = world.engine.context().state();
        // Two columns of two files and a bit.
        let held = Held::new(5 * ROWS as usize * size_of::<i64>());
        let firsts = async |files: &[DataFile], columns: &[usize]| {
            let rows = held.rows(&state, &list, files, columns).await?;
            let first = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().value(0);
            Ok::<_, datafusion::error::DataFusionError>(
                rows.map(|rows| rows.iter().map(first).collect::<Vec<_>>()),
            )
        };
        let (two, others) = list.files.split_at(2);
        assert_eq!(firsts(two, &[0, 1]).await.expect("rows"), Some(vec![0, ROWS]));
        assert_eq!(firsts(&list.files, &[0, 1]).await.expect("too many"), None);
        // They need the room of the first two.
        assert_eq!(firsts(others, &[0]).await.expect("rows"), Some(vec![2 * ROWS, 3 * ROWS]));
        assert_eq!(firsts(others, &[1]).await.expect("rows"), Some(vec![2 * ROWS, 3 * ROWS]));
        for file in &list.files {
            std::fs::remove_file(world.folder.path().join("lake").join(&file.path))
                .expect("a file");
        }
        assert_eq!(firsts(others, &[1]).await.expect("held"), Some(vec![2 * ROWS, 3 * ROWS]));
        assert!(firsts(two, &[0]).await.is_err());
        let files = held.files.lock().await;
        assert!(files.by_path.len() <= 2 && files.bytes <= 6 * ROWS as usize * size_of::<i64>());
    }
}
