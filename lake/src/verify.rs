//! `lake verify`: every file against what was written, and no record twice.
//!
//! Here all tables and their data files, in `log` their logs.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use futures::TryStreamExt;
use lake_types::Stream;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use roaring::RoaringTreemap;

use crate::checksum::Checksums;
use crate::damage::Damage;
use crate::error::LakeError;
use crate::file::batches;
use crate::lake::Lake;
use crate::log::partitions;
use crate::schema;
use crate::snapshot::{DataFile, TableSnapshot};
use crate::witness::WITNESS;
use log::LogState;

pub(crate) mod log;

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
    /// Files in use, those of the logs included, that an older program wrote without a checksum.
    pub unchecked: usize,
    pub findings: Vec<Finding>,
}

/// Offsets by stream, topic and partition: the lines of one file may have been loaded as two streams.
type Offsets = BTreeMap<(String, String, i32), RoaringTreemap>;

/// Where Kafka's partitions are to be read from next, by topic and partition.
type Positions = BTreeMap<(String, i32), i64>;

impl Lake {
    /// Reads every file of every table, those of the logs included, and compares it with what was
    /// written; looks that no (topic, partition, offset) stands twice in a stream's raw table and
    /// the dead letters, and that none lies beyond its partition's position, from where it would be
    /// read again.
    ///
    /// # Errors
    /// When the storage fails; damage is a finding.
    pub async fn verify(&self) -> Result<Verification, LakeError> {
        let mut result = Verification::default();
        let mut seen = Offsets::new();
        let mut tables = self.tables_and_remains().await?;
        // Records are looked for in the order that ingest commits them in.
        tables.sort_by_key(|table| *table != schema::dead_letters().name);
        for table in tables {
            result.tables += 1;
            let log = self.examine_log(&table).await?;
            result.unchecked += log.unchecked();
            for damage in log.damage() {
                result.add(&table, damage.to_string());
            }
            match self.snapshot(&table, None).await {
                Ok(None) => {}
                Ok(Some(snapshot)) => {
                    self.verify_files(&snapshot, &mut seen, &mut result).await?;
                    self.verify_older(&snapshot, &log, &mut result).await?;
                }
                Err(error) => result.add(&table, error.to_string()),
            }
        }
        Ok(result)
    }

    /// Looks for damage by what is cheap: every log, and that the files in use are there, of their
    /// sizes.
    ///
    /// # Errors
    /// When the storage fails; damage is a finding.
    pub async fn look_over(&self) -> Result<Verification, LakeError> {
        let mut result = Verification::default();
        for table in self.tables_and_remains().await? {
            result.tables += 1;
            let log = self.examine_log(&table).await?;
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
            for file in snapshot.iter().flat_map(|snapshot| &snapshot.files) {
                result.files += 1;
                if let Err(damage) = compare_size(file, sizes.get(&file.path).copied()) {
                    result.add(&table, damage.to_string());
                }
            }
        }
        Ok(result)
    }

    /// The tables below the root, and those whose log is gone.
    pub(crate) async fn tables_and_remains(&self) -> Result<Vec<String>, LakeError> {
        self.folders_with(&["_delta_log", WITNESS]).await
    }

    /// The files below a folder, with their sizes.
    async fn sizes(&self, folder: &str) -> Result<BTreeMap<String, u64>, LakeError> {
        let store = self.unchecked();
        let files = store.list(Some(&Path::from(folder)));
        Ok(files.map_ok(|file| (file.location.to_string(), file.size)).try_collect().await?)
    }

    /// That the files in use are there, of their sizes.
    pub(crate) async fn check_sizes(&self, snapshot: &TableSnapshot) -> Result<(), LakeError> {
        let sizes = self.sizes(&snapshot.table).await?;
        for file in &snapshot.files {
            compare_size(file, sizes.get(&file.path).copied())?;
        }
        Ok(())
    }

    /// Reads a data file that is in use, whole and of the bytes that were written.
    pub(crate) async fn read_sound(&self, file: &DataFile) -> Result<Bytes, LakeError> {
        let bytes = match self.unchecked().get(&Path::from(file.path.as_str())).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(Damage::gone(file.path.as_str()).into());
            }
            Err(error) => return Err(error.into()),
        };
        compare_size(file, Some(bytes.len() as u64))?;
        match &file.checksums {
            Some(checksums) if !checksums.agree(0, &bytes) => {
                Err(Damage::changed(file.path.as_str()).into())
            }
            _ => Ok(bytes),
        }
    }

    async fn verify_files(
        &self,
        snapshot: &TableSnapshot,
        seen: &mut Offsets,
        result: &mut Verification,
    ) -> Result<(), LakeError> {
        let table = snapshot.table.as_str();
        let stream = Stream::ALL.into_iter().find(|stream| schema::raw(*stream).name == table);
        let of_records = *table == schema::dead_letters().name || stream.is_some();
        let stream = stream.map_or("", Stream::name);
        let positions = positions(snapshot);
        for file in &snapshot.files {
            result.files += 1;
            result.unchecked += usize::from(file.checksums.is_none());
            let bytes = match self.read_sound(file).await {
                Ok(bytes) => bytes,
                Err(LakeError::Damaged(damage)) => {
                    result.add(table, damage.to_string());
                    continue;
                }
                Err(other) => return Err(other),
            };
            // What has its checksum is what was written, and was written whole.
            if !of_records && file.checksums.is_some() {
                result.rows += file.rows;
                continue;
            }
            let mut rows = 0;
            let decoded = decode(bytes, file, |batch| {
                rows += batch.num_rows() as u64;
                if of_records {
                    for wrong in note_offsets(batch, stream, &positions, seen) {
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

    /// Files that older versions name and that were not vacuumed.
    async fn verify_older(
        &self,
        snapshot: &TableSnapshot,
        log: &LogState,
        result: &mut Verification,
    ) -> Result<(), LakeError> {
        let live: BTreeSet<&str> = snapshot.files.iter().map(|f| f.path.as_str()).collect();
        let there = self.sizes(&snapshot.table).await?;
        let older = log.added.iter().filter(|(path, _)| !live.contains(path.as_str()));
        for (path, checksums) in older.filter(|(path, _)| there.contains_key(*path)) {
            let bytes = match self.unchecked().get(&Path::from(path.as_str())).await {
                Ok(found) => found.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if *checksums != Checksums::of(&bytes) {
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
        let finding = Finding { table: table.to_owned(), what };
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

/// Hands on the rows of a file.
pub(crate) fn decode(
    bytes: Bytes,
    file: &DataFile,
    mut each: impl FnMut(&RecordBatch),
) -> Result<(), LakeError> {
    for batch in batches(bytes, &file.path)? {
        each(&batch?);
    }
    Ok(())
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

/// Adds a batch's offsets, of this stream where no column says of which; those that were there
/// already, or lie where they can't.
fn note_offsets(
    batch: &RecordBatch,
    stream: &str,
    positions: &Positions,
    seen: &mut Offsets,
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
    let place = |row: usize| {
        let stream = streams.map_or(stream, |streams| streams.value(row));
        (stream, topics.value(row), partitions.value(row))
    };
    let mut row = 0;
    while row < batch.num_rows() {
        let (stream, topic, partition) = place(row);
        let end = positions.get(&(topic.to_owned(), partition)).copied();
        let known = seen.entry((stream.to_owned(), topic.to_owned(), partition)).or_default();
        // One look for a whole run of rows from one partition.
        while row < batch.num_rows() && place(row) == (stream, topic, partition) {
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
            let of = |stream: &str| (stream.to_owned(), "calls".to_owned(), 1);
            let known = |offset: u64| [offset].into_iter().collect();
            let mut seen = Offsets::from([(of("api-calls"), known(3)), (of("other"), known(6))]);
            assert_eq!(note_offsets(&batch, "api-calls", &positions, &mut seen), expected);
        };
        check(&[("calls", 0, 0), ("calls", 0, 6), ("calls", 1, 6), ("file:a#0", 0, 9)], &[]);
        check(&[("calls", 0, 7)], &["calls/0 offset 7 lies beyond the position 7"]);
        check(&[("calls", 1, 3)], &["calls/1 offset 3 stands twice"]);
        let back_and_forth = [("calls", 0, 1), ("calls", 1, 1), ("calls", 0, 1)];
        check(&back_and_forth, &["calls/0 offset 1 stands twice"]);
    }
}
