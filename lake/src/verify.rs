//! `lake verify`: the log against the files, and no record twice.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use lake_types::Stream;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::schema;
use crate::snapshot::TableSnapshot;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub table: String,
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    pub tables: usize,
    pub files: usize,
    pub rows: u64,
    pub findings: Vec<Finding>,
}

/// Offsets by topic and partition.
type Offsets = BTreeMap<(String, i32), BTreeSet<i64>>;

impl Lake {
    /// Checks that every file the log names is there with its rows, and that no (topic, partition,
    /// offset) stands twice in a stream's raw table and the dead letters.
    ///
    /// # Errors
    /// When a table's log can't be read; a broken file is a finding.
    pub async fn verify(&self) -> Result<Verification, LakeError> {
        let mut result = Verification::default();
        let mut seen = Offsets::new();
        let mut tables = vec![schema::dead_letters().name];
        tables.extend(Stream::ALL.into_iter().map(|s| schema::raw(s).name));
        for table in tables {
            let Some(snapshot) = self.snapshot(&table, None).await? else { continue };
            result.tables += 1;
            self.verify_table(&snapshot, &mut seen, &mut result).await;
        }
        Ok(result)
    }

    async fn verify_table(
        &self,
        snapshot: &TableSnapshot,
        seen: &mut Offsets,
        result: &mut Verification,
    ) {
        let table = snapshot.table.as_str();
        for file in &snapshot.files {
            result.files += 1;
            let mut find = |what: String| {
                result.findings.push(Finding { table: table.to_owned(), what });
            };
            match self.store().head(&Path::from(file.path.as_str())).await {
                Ok(meta) if meta.size == file.size => {}
                Ok(meta) => {
                    find(format!(
                        "{} has {} bytes, the log says {}",
                        file.path, meta.size, file.size
                    ));
                }
                Err(error) => find(format!("{} can't be found: {error}", file.path)),
            }
            let columns = ["topic", "kafka_partition", "kafka_offset"];
            let batches = match self.read_file(&file.path, &columns).await {
                Ok(batches) => batches,
                Err(error) => {
                    find(error.to_string());
                    continue;
                }
            };
            let mut rows = 0;
            for batch in &batches {
                rows += batch.num_rows() as u64;
                for twice in note_offsets(batch, seen) {
                    find(format!("{twice} stands twice, again in {}", file.path));
                }
            }
            if rows != file.rows {
                find(format!("{} has {rows} rows, the log says {}", file.path, file.rows));
            }
            result.rows += rows;
        }
    }
}

/// Adds a batch's offsets; those that were there already.
fn note_offsets(batch: &arrow::array::RecordBatch, seen: &mut Offsets) -> Vec<String> {
    let columns = (
        batch.column_by_name("topic").and_then(|c| c.as_string_opt::<i32>()),
        batch.column_by_name("kafka_partition").and_then(|c| c.as_primitive_opt::<Int32Type>()),
        batch.column_by_name("kafka_offset").and_then(|c| c.as_primitive_opt::<Int64Type>()),
    );
    let (Some(topics), Some(partitions), Some(offsets)) = columns else {
        return vec!["a file without topic, partition and offset".to_owned()];
    };
    let mut twice = Vec::new();
    for row in 0..batch.num_rows() {
        let (topic, partition) = (topics.value(row), partitions.value(row));
        let of = seen.entry((topic.to_owned(), partition)).or_default();
        if !of.insert(offsets.value(row)) {
            twice.push(format!("{topic}/{partition} offset {}", offsets.value(row)));
        }
    }
    twice
}
