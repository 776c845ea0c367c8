//! A table's transaction ids: the positions and rewrite marks that its commits carry.
//!
//! The library finds one id at a time by replaying the log; a worker needs all of them at each
//! commit, so they are read once from the checkpoint and then from each new log entry.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use deltalake::logstore::LogStore;
use lake_types::Day;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use crate::error::LakeError;

/// Application id → version, of every `txn` action up to a version of the table.
pub type Transactions = BTreeMap<String, i64>;

/// A partition as the log names it: `<cluster>/<topic>/<topic id>/<partition>`, or
/// `file/<stream>/<sha256>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(String);

impl PartitionId {
    pub fn kafka(cluster: &str, topic: &str, topic_id: &str, partition: i32) -> Self {
        Self(format!("{cluster}/{topic}/{topic_id}/{partition}"))
    }

    pub fn file(stream: lake_types::Stream, sha256: &str) -> Self {
        Self(format!("file/{stream}/{sha256}"))
    }

    /// The mark that replays of a stream's dead letters move, in its raw table first.
    pub fn replay(stream: lake_types::Stream) -> Self {
        Self(format!("replay/{stream}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_file(&self) -> bool {
        self.0.starts_with("file/")
    }

    pub(crate) fn newest(&self) -> String {
        format!("{}#newest", self.0)
    }

    pub(crate) fn reached(&self) -> String {
        format!("{}#reached", self.0)
    }

    pub(crate) fn skipped(&self) -> String {
        format!("{}#skipped", self.0)
    }

    pub(crate) fn arrival(&self) -> String {
        format!("{}#arrival", self.0)
    }

    /// What the table knows of the partition; `None` when it has no position yet.
    pub fn position(&self, txns: &Transactions) -> Option<Position> {
        Some(Position {
            next: *txns.get(&self.0)?,
            newest: txns.get(&self.newest()).copied(),
            reached: txns.get(&self.reached()).copied(),
            skipped: txns.get(&self.skipped()).copied().unwrap_or_default(),
            arrival: txns.get(&self.arrival()).copied(),
        })
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The partitions a table has positions of, by id; loaded files are told by [`PartitionId::is_file`].
pub fn partitions(txns: &Transactions) -> impl Iterator<Item = (PartitionId, Position)> + '_ {
    txns.keys().map(|id| PartitionId(id.clone())).filter_map(|id| {
        let parts = id.0.split('/').count();
        let of_records = !id.0.contains('#') && (parts == 4 || id.is_file());
        let position = id.position(txns).filter(|_| of_records)?;
        Some((id, position))
    })
}

/// How far a partition has come in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The offset to read from next.
    pub next: i64,
    /// The greatest `occurred_at` seen, µs.
    pub newest: Option<i64>,
    /// The greatest min(`occurred_at`, arrival), µs.
    pub reached: Option<i64>,
    /// Tombstones counted.
    pub skipped: i64,
    /// For a loaded file: the arrival of its events, µs.
    pub arrival: Option<i64>,
}

/// The mark that every rewrite of a day moves; a table without days has one for all.
pub(crate) fn rewrite_mark(day: Option<Day>) -> String {
    day.map_or_else(|| "rewrite/all".to_owned(), |day| format!("rewrite/{day}"))
}

/// The transaction ids at a version, able to follow the log.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) version: u64,
    pub(crate) txns: Transactions,
}

#[derive(Deserialize)]
struct Entry {
    txn: Option<Txn>,
}

#[derive(Deserialize)]
struct Txn {
    #[serde(rename = "appId")]
    app_id: String,
    version: i64,
}

#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

impl Tail {
    /// Reads the ids as of `upto`, or as of the newest version.
    pub(crate) async fn load(
        log: &dyn LogStore,
        table: &str,
        upto: Option<u64>,
    ) -> Result<Self, LakeError> {
        let mut attempt = 0;
        let mut tail = loop {
            match Self::begin(log, table, upto).await {
                // An erasure has just put another checkpoint in the place of the newest.
                Err(LakeError::Storage(object_store::Error::NotFound { .. })) if attempt < 3 => {
                    attempt += 1;
                }
                begun => break begun?,
            }
        };
        tail.advance(log, table, upto).await?;
        Ok(tail)
    }

    /// The ids as of the last checkpoint, or of the first entry.
    async fn begin(log: &dyn LogStore, table: &str, upto: Option<u64>) -> Result<Self, LakeError> {
        Ok(match last_checkpoint(log).await? {
            Some(version) if upto.is_none_or(|u| version <= u) => {
                Self { version, txns: checkpoint_txns(log, version).await? }
            }
            _ => {
                let first = entry(log, table, 0).await?.ok_or_else(|| LakeError::Corrupt {
                    path: format!("{table}/{}", entry_path(0)),
                    reason: "the log begins later and has no checkpoint before that version"
                        .to_owned(),
                })?;
                let mut tail = Self { version: 0, txns: Transactions::new() };
                tail.apply(table, &first)?;
                tail
            }
        })
    }

    /// Reads the entries that came since, up to `upto` or the newest.
    pub(crate) async fn advance(
        &mut self,
        log: &dyn LogStore,
        table: &str,
        upto: Option<u64>,
    ) -> Result<(), LakeError> {
        while upto.is_none_or(|u| self.version < u) {
            let Some(bytes) = entry(log, table, self.version + 1).await? else { break };
            self.apply(table, &bytes)?;
            self.version += 1;
        }
        Ok(())
    }

    fn apply(&mut self, table: &str, bytes: &Bytes) -> Result<(), LakeError> {
        for line in bytes.split(|b| *b == b'\n').filter(|l| l.starts_with(br#"{"txn""#)) {
            let parsed: Entry = serde_json::from_slice(line).map_err(|e| LakeError::Corrupt {
                path: format!("{table}/_delta_log"),
                reason: e.to_string(),
            })?;
            if let Some(txn) = parsed.txn {
                self.txns.insert(txn.app_id, txn.version);
            }
        }
        Ok(())
    }
}

/// The log entry's path below the table.
pub(crate) fn entry_path(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

async fn entry(log: &dyn LogStore, table: &str, version: u64) -> Result<Option<Bytes>, LakeError> {
    log.read_commit_entry(version).await.map_err(LakeError::delta(table))
}

async fn last_checkpoint(log: &dyn LogStore) -> Result<Option<u64>, LakeError> {
    let store = log.object_store(None);
    match store.get(&Path::from("_delta_log/_last_checkpoint")).await {
        Ok(found) => {
            let bytes = found.bytes().await?;
            Ok(serde_json::from_slice::<LastCheckpoint>(&bytes).ok().map(|c| c.version))
        }
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn checkpoint_txns(log: &dyn LogStore, version: u64) -> Result<Transactions, LakeError> {
    let path = Path::from(format!("_delta_log/{version:020}.checkpoint.parquet"));
    let bytes = log.object_store(None).get(&path).await?.bytes().await?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn"]);
    let mut txns = Transactions::new();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let Some(txn) = batch.column_by_name("txn").and_then(|c| c.as_struct_opt()) else {
            continue;
        };
        let ids = txn.column_by_name("appId").and_then(|c| c.as_string_opt::<i32>());
        let versions =
            txn.column_by_name("version").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let (Some(ids), Some(versions)) = (ids, versions) else { continue };
        for row in (0..txn.len()).filter(|r| txn.is_valid(*r)) {
            txns.insert(ids.value(row).to_owned(), versions.value(row));
        }
    }
    Ok(txns)
}
