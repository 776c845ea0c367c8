//! `lake verify`: comparing every file with what was written, and finding records that are stored
//! twice.
//!
//! - this file: the tables and their data files
//! - `log`: their logs

pub(crate) mod log;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use domain::Stream;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use roaring::RoaringTreemap;

use crate::error::LakeError;
use crate::files::parquet::for_each_batch;
use crate::integrity::block_checksum::BlockChecksums;
use crate::integrity::damage::Damage;
use crate::integrity::witness::WITNESS;
use crate::lake::Lake;
use crate::log::paths::LOG_FOLDER;
use crate::log::snapshot::{DataFile, TableSnapshot};
use crate::log::transactions::partitions;
use crate::object_files::get_if_exists;
use crate::schema;
use log::LogState;

/// A problem of a table that a verification or a repair reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrityFinding {
    pub table: String,
    /// The description of the problem.
    pub what: String,
}

/// The result of a verification: what was read, and the problems.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    pub tables: usize,
    pub files: usize,
    pub rows: u64,
    /// The files in use, those of the logs included, that an older program wrote without checksums.
    pub unchecked: usize,
    pub findings: Vec<IntegrityFinding>,
}

/// The offsets that were seen, by stream, topic and partition. The stream is a part of the key
/// because the lines of one file may have been loaded as two streams.
type SeenOffsets = BTreeMap<(String, String, i32), RoaringTreemap>;

/// The next offset to read of each Kafka partition, by topic and partition.
type NextOffsets = BTreeMap<(String, i32), i64>;

impl Lake {
    /// Reads every file of every table, those of the logs included, and compares it with what was
    /// written. Checks that no (topic, partition, offset) occurs twice in a stream's raw table and
    /// the dead letters, and that none is beyond its partition's position, from which it would be
    /// read again.
    ///
    /// # Errors
    /// When the storage fails. Damage is a finding.
    pub async fn verify(&self) -> Result<Verification, LakeError> {
        let mut result = Verification::default();
        let mut seen = SeenOffsets::new();
        let mut tables = self.tables_and_remnants().await?;
        // The tables are read in the order in which ingest commits them.
        tables.sort_by_key(|table| *table != schema::dead_letters().name);
        for table in tables {
            result.tables += 1;
            let log = self.inspect_log(&table).await?;
            result.unchecked += log.unchecked();
            for damage in log.damage() {
                result.add(&table, damage.to_string());
            }
            match self.snapshot(&table, None).await {
                Ok(None) => {}
                Ok(Some(snapshot)) => {
                    self.verify_files(&snapshot, &mut seen, &mut result).await?;
                    self.verify_older_files(&snapshot, &log, &mut result).await?;
                }
                Err(error) => result.add(&table, error.to_string()),
            }
        }
        Ok(result)
    }

    /// Makes the cheap checks: reads every log, and compares the sizes of the files in use.
    ///
    /// # Errors
    /// When the storage fails. Damage is a finding.
    pub async fn quick_check(&self) -> Result<Verification, LakeError> {
        let mut result = Verification::default();
        for table in self.tables_and_remnants().await? {
            result.tables += 1;
            let log = self.inspect_log(&table).await?;
            for damage in log.damage() {
                result.add(&table, damage.to_string());
            }
            let snapshot = match self.snapshot(&table, None).await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    result.add(&table, error.to_string());
                    continue;
                }
            };
            let sizes = self.sizes(&table).await?;
            for file in snapshot.iter().flat_map(|snapshot| snapshot.files.iter()) {
                result.files += 1;
                if let Err(damage) = compare_size(file, sizes.get(&file.path).copied()) {
                    result.add(&table, damage.to_string());
                }
            }
        }
        Ok(result)
    }

    /// Returns the tables below the root, those whose log is gone included.
    pub(crate) async fn tables_and_remnants(&self) -> Result<Vec<String>, LakeError> {
        self.folders_with(&[LOG_FOLDER, WITNESS]).await
    }

    /// Returns the sizes of the files below a folder, by path.
    async fn sizes(&self, folder: &str) -> Result<BTreeMap<String, u64>, LakeError> {
        let store = self.unverified_store();
        let files = store.list(Some(&Path::from(folder)));
        Ok(files.map_ok(|file| (file.location.to_string(), file.size)).try_collect().await?)
    }

    /// Checks that the files in use exist and have the sizes that were written.
    pub(crate) async fn check_sizes(&self, snapshot: &TableSnapshot) -> Result<(), LakeError> {
        let sizes = self.sizes(&snapshot.table).await?;
        for file in snapshot.files.iter() {
            compare_size(file, sizes.get(&file.path).copied())?;
        }
        Ok(())
    }

    /// Reads a data file in use, and checks its size and checksums.
    ///
    /// # Errors
    /// [`LakeError::Damaged`].
    pub(crate) async fn read_verified(&self, file: &DataFile) -> Result<Bytes, LakeError> {
        let path = Path::from(file.path.as_str());
        let bytes = get_if_exists(self.unverified_store().as_ref(), &path)
            .await?
            .ok_or_else(|| Damage::gone(file.path.as_str()))?;
        compare_size(file, Some(bytes.len() as u64))?;
        match &file.checksums {
            Some(checksums) if !checksums.matches(0, &bytes) => {
                Err(Damage::changed(file.path.as_str()).into())
            }
            _ => Ok(bytes),
        }
    }

    async fn verify_files(
        &self,
        snapshot: &TableSnapshot,
        seen: &mut SeenOffsets,
        result: &mut Verification,
    ) -> Result<(), LakeError> {
        let table = snapshot.table.as_str();
        let stream = Stream::ALL.into_iter().find(|stream| schema::raw(*stream).name == table);
        let holds_records = *table == schema::dead_letters().name || stream.is_some();
        let stream = stream.map_or("", Stream::name);
        let positions = next_offsets(snapshot);
        for file in snapshot.files.iter() {
            result.files += 1;
            result.unchecked += usize::from(file.checksums.is_none());
            let bytes = match self.read_verified(file).await {
                Ok(bytes) => bytes,
                Err(LakeError::Damaged(damage)) => {
                    result.add(table, damage.to_string());
                    continue;
                }
                Err(other) => return Err(other),
            };
            // A file with a matching checksum is complete, so its rows need not be decoded.
            if !holds_records && file.checksums.is_some() {
                result.rows += file.rows;
                continue;
            }
            let mut rows = 0;
            let decoded = for_each_batch(bytes, &file.path, |batch| {
                rows += batch.num_rows() as u64;
                if holds_records {
                    for wrong in check_offsets(batch, stream, &positions, seen) {
                        result.add(table, format!("{wrong}, in {}", file.path));
                    }
                }
            });
            if let Err(error) = decoded {
                result.add(table, error.to_string());
            } else if rows != file.rows {
                let what = format!("{} has {rows} rows, the log says {}", file.path, file.rows);
                result.add(table, what);
            }
            result.rows += rows;
        }
        Ok(())
    }

    /// Checks the files that only older versions name, as far as they still exist.
    async fn verify_older_files(
        &self,
        snapshot: &TableSnapshot,
        log: &LogState,
        result: &mut Verification,
    ) -> Result<(), LakeError> {
        let live: BTreeSet<&str> = snapshot.files.iter().map(|f| f.path.as_str()).collect();
        let existing = self.sizes(&snapshot.table).await?;
        let older = log.added.iter().filter(|(path, _)| !live.contains(path.as_str()));
        for (path, checksums) in older.filter(|(path, _)| existing.contains_key(*path)) {
            let store = self.unverified_store();
            let found = get_if_exists(store.as_ref(), &Path::from(path.as_str())).await?;
            let Some(bytes) = found else { continue };
            if *checksums != BlockChecksums::of(&bytes) {
                let damage = format!("the file {path} is not what was written");
                let use_of = "older versions read it, the newest does not; `rapport lake vacuum` \
                              deletes it after its week";
                result.add(&snapshot.table, format!("{damage}; {use_of}"));
            }
        }
        Ok(())
    }
}

impl Verification {
    fn add(&mut self, table: &str, what: String) {
        let finding = IntegrityFinding { table: table.to_owned(), what };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

fn compare_size(file: &DataFile, found: Option<u64>) -> Result<(), Damage> {
    match found {
        None => Err(Damage::gone(file.path.as_str())),
        Some(size) if size != file.size => Err(Damage::size(file.path.as_str(), size, file.size)),
        Some(_) => Ok(()),
    }
}

/// Returns the table's positions in Kafka's partitions.
fn next_offsets(snapshot: &TableSnapshot) -> NextOffsets {
    let all = partitions(&snapshot.txns).filter(|(id, _)| !id.is_file());
    all.filter_map(|(id, position)| {
        let mut parts = id.as_str().split('/').skip(1);
        let topic = parts.next()?.to_owned();
        let partition = parts.nth(1)?.parse().ok()?;
        Some(((topic, partition), position.next))
    })
    .collect()
}

/// Adds a batch's offsets to those that were seen, and describes those that occur twice or are
/// beyond their position. `stream` is the stream of a batch without a column `stream`.
fn check_offsets(
    batch: &RecordBatch,
    stream: &str,
    positions: &NextOffsets,
    seen: &mut SeenOffsets,
) -> Vec<String> {
    let columns = (
        batch.column_by_name("topic").and_then(|c| c.as_string_opt::<i32>()),
        batch.column_by_name("kafka_partition").and_then(|c| c.as_primitive_opt::<Int32Type>()),
        batch.column_by_name("kafka_offset").and_then(|c| c.as_primitive_opt::<Int64Type>()),
    );
    let (Some(topics), Some(partitions), Some(offsets)) = columns else {
        return vec!["a file without topic, partition and offset".to_owned()];
    };
    let streams = batch.column_by_name("stream").and_then(|c| c.as_string_opt::<i32>());
    let mut wrong = Vec::new();
    let source_of = |row: usize| {
        let stream = streams.map_or(stream, |streams| streams.value(row));
        (stream, topics.value(row), partitions.value(row))
    };
    let mut row = 0;
    while row < batch.num_rows() {
        let (stream, topic, partition) = source_of(row);
        let end = positions.get(&(topic.to_owned(), partition)).copied();
        let offsets_seen =
            seen.entry((stream.to_owned(), topic.to_owned(), partition)).or_default();
        // A run of rows of one partition takes one lookup.
        while row < batch.num_rows() && source_of(row) == (stream, topic, partition) {
            let offset = offsets.value(row);
            if !offsets_seen.insert(u64::try_from(offset).unwrap_or_default()) {
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
    fn repeated_offsets_and_offsets_beyond_the_position_are_found() {
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
            let positions = NextOffsets::from([(("calls".to_owned(), 0), 7)]);
            let of = |stream: &str| (stream.to_owned(), "calls".to_owned(), 1);
            let known = |offset: u64| [offset].into_iter().collect();
            let mut seen =
                SeenOffsets::from([(of("api-calls"), known(3)), (of("other"), known(6))]);
            assert_eq!(check_offsets(&batch, "api-calls", &positions, &mut seen), expected);
        };
        check(&[("calls", 0, 0), ("calls", 0, 6), ("calls", 1, 6), ("file:a#0", 0, 9)], &[]);
        check(&[("calls", 0, 7)], &["calls/0 offset 7 lies beyond the position 7"]);
        check(&[("calls", 1, 3)], &["calls/1 offset 3 stands twice"]);
        let back_and_forth = [("calls", 0, 1), ("calls", 1, 1), ("calls", 0, 1)];
        check(&back_and_forth, &["calls/0 offset 1 stands twice"]);
    }
}
