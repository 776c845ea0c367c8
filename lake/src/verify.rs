//! `lake verify`: the log against the files, and no record twice.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use lake_types::Stream;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use roaring::RoaringTreemap;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::log::partitions;
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
type Offsets = BTreeMap<(String, i32), RoaringTreemap>;

/// Where Kafka's partitions are to be read from next, by topic and partition.
type Positions = BTreeMap<(String, i32), i64>;

impl Lake {
    /// Checks that every file the log names is there with its rows, that no (topic, partition,
    /// offset) stands twice in a stream's raw table and the dead letters, and that none lies beyond
    /// its partition's position, from where it would be read again.
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
        let positions = positions(snapshot);
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
                for wrong in note_offsets(batch, &positions, seen) {
                    find(format!("{wrong}, in {}", file.path));
                }
            }
            if rows != file.rows {
                find(format!("{} has {rows} rows, the log says {}", file.path, file.rows));
            }
            result.rows += rows;
        }
    }
}

/// The positions that the table has of Kafka's partitions.
fn positions(snapshot: &TableSnapshot) -> Positions {
    let all = partitions(&snapshot.txns).filter(|(id, _)| !id.is_file());
    all.filter_map(|(id, position)| {
        let mut parts = id.as_str().split('/').skip(1);
        let topic = parts.next()?.to_owned();
        let partition = parts.nth(1)?.parse().ok()?;
        Some(((topic, partition), position.next))
    })
    .collect()
}

/// Adds a batch's offsets; those that were there already, or lie where they can't.
fn note_offsets(batch: &RecordBatch, positions: &Positions, seen: &mut Offsets) -> Vec<String> {
    let columns = (
        batch.column_by_name("topic").and_then(|c| c.as_string_opt::<i32>()),
        batch.column_by_name("kafka_partition").and_then(|c| c.as_primitive_opt::<Int32Type>()),
        batch.column_by_name("kafka_offset").and_then(|c| c.as_primitive_opt::<Int64Type>()),
    );
    let (Some(topics), Some(partitions), Some(offsets)) = columns else {
        return vec!["a file without topic, partition and offset".to_owned()];
    };
    let mut wrong = Vec::new();
    let place = |row: usize| (topics.value(row), partitions.value(row));
    let mut row = 0;
    while row < batch.num_rows() {
        let (topic, partition) = place(row);
        let of = (topic.to_owned(), partition);
        let end = positions.get(&of).copied();
        let known = seen.entry(of).or_default();
        // One look for a whole run of rows from one partition.
        while row < batch.num_rows() && place(row) == (topic, partition) {
            let offset = offsets.value(row);
            if !known.insert(u64::try_from(offset).unwrap_or_default()) {
                wrong.push(format!("{topic}/{partition} offset {offset} stands twice"));
            }
            if let Some(end) = end.filter(|end| offset >= *end) {
                wrong.push(format!(
                    "{topic}/{partition} offset {offset} lies beyond the position {end}"
                ));
            }
            row += 1;
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn each_offset_once_and_below_the_position() {
        let check = |rows: &[(&str, i32, i64)], expected: &[&str]| {
            let topics: ArrayRef =
                Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
            let partitions: ArrayRef =
                Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.1)));
            let offsets: ArrayRef =
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2)));
            let columns =
                [("topic", topics), ("kafka_partition", partitions), ("kafka_offset", offsets)];
            let batch = RecordBatch::try_from_iter(columns).expect("a batch");
            let positions = Positions::from([(("calls".to_owned(), 0), 7)]);
            let mut seen = Offsets::from([(("calls".to_owned(), 1), [3].into_iter().collect())]);
            assert_eq!(note_offsets(&batch, &positions, &mut seen), expected);
        };
        check(&[("calls", 0, 0), ("calls", 0, 6), ("calls", 1, 6), ("file:a#0", 0, 9)], &[]);
        check(&[("calls", 0, 7)], &["calls/0 offset 7 lies beyond the position 7"]);
        check(&[("calls", 1, 3)], &["calls/1 offset 3 stands twice"]);
        let back_and_forth = [("calls", 0, 1), ("calls", 1, 1), ("calls", 0, 1)];
        check(&back_and_forth, &["calls/0 offset 1 stands twice"]);
    }
}
