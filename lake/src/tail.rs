//! The log of a table as a writer follows it: the ids up to a version, and whether that version is
//! still part of the log.
//!
//! The library finds one id at a time by replaying the log; a worker needs all of them at each
//! commit, so they are read once from a checkpoint and then from each new entry.
//!
//! Entries older than a checkpoint are deleted one day (`cleanup`), and a worker may sleep for
//! longer than that. Where it slept, the next entry is missing because it is gone, not because it
//! was never written, and the store would take a new one in its place, which nobody reads. So:
//!
//! - Entries are deleted one after the other, by version; a checkpoint goes together with the
//!   entry of its version, before the next one.
//! - A tail remembers what the entry at its own version said. While that entry stands, none after
//!   it has been deleted yet: what was read after it is the log, and what was put after it counts.
//! - So a tail looks whether it [`Tail::stands`] after each look ahead that found something, and
//!   after each put. Where it does not, what it read or put says nothing, and it begins anew from a
//!   checkpoint.
//!
//! That needs no clock, and no promise of how long a process sleeps.
//!
//! Where nobody cleaned up, a log that ends before what its witness says has lost its end.

#[cfg(test)]
mod large;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use deltalake::logstore::LogStore;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use crate::damage::Damage;
use crate::error::LakeError;
use crate::log::{Transactions, entry_path};
use crate::stamped;
use crate::witness;

/// The transaction ids at a version, able to follow the log.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) version: u64,
    pub(crate) txns: Transactions,
    /// What the entry at `version` said.
    stamp: u64,
    /// Whether that entry is known to be durable; somebody else's may have been read before it was.
    pub(crate) durable: bool,
}

/// A checkpoint that the log's hint names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) version: u64,
    /// Its actions: about as many as the table has files.
    #[serde(default)]
    pub(crate) size: u64,
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

/// A log that is cleaned up while it is read is read again so many times.
const ATTEMPTS: usize = 4;

/// Entries that are asked for at once, after the first one was there.
const AT_ONCE: usize = 16;

impl Tail {
    /// Reads the ids as of `upto`, or as of the newest version.
    pub(crate) async fn load(
        log: &dyn LogStore,
        table: &str,
        upto: Option<u64>,
    ) -> Result<Self, LakeError> {
        for attempt in 0..ATTEMPTS {
            // The hint may be behind: where it led nowhere, look for oneself.
            let Some(mut tail) = Self::begin(log, table, upto, attempt == 0).await? else {
                continue;
            };
            if tail.follow(log, table, upto).await? {
                return Ok(tail);
            }
        }
        if let Some(version) = upto {
            return Err(LakeError::Cleaned { table: table.to_owned(), version });
        }
        let store = log.object_store(None);
        let version = newest_checkpoint(store.as_ref(), None).await?.unwrap_or_default();
        Err(Damage::gone(format!("{table}/{}", entry_path(version))).into())
    }

    /// Reads the entries that came since, up to `upto` or the newest.
    pub(crate) async fn advance(
        &mut self,
        log: &dyn LogStore,
        table: &str,
        upto: Option<u64>,
    ) -> Result<(), LakeError> {
        if !self.follow(log, table, upto).await? {
            *self = Self::load(log, table, upto).await?;
        }
        Ok(())
    }

    /// Whether the entry at this version still stands, so that none after it was ever deleted.
    pub(crate) async fn stands(&self, log: &dyn LogStore, table: &str) -> Result<bool, LakeError> {
        let found = entry(log, table, self.version).await?;
        Ok(found.is_some_and(|bytes| stamp(&bytes) == self.stamp))
    }

    /// Whether no entry has come after this version.
    pub(crate) async fn is_newest(
        &self,
        log: &dyn LogStore,
        table: &str,
    ) -> Result<bool, LakeError> {
        Ok(entry(log, table, self.version + 1).await?.is_none() && self.stands(log, table).await?)
    }

    /// Takes up our own entry, the one after this version, which is durable.
    pub(crate) fn push(&mut self, bytes: &Bytes, txns: Transactions) {
        self.version += 1;
        self.stamp = stamp(bytes);
        self.durable = true;
        self.txns.extend(txns);
    }

    /// The ids as of a checkpoint, or of the first entry; `None` when it is gone.
    async fn begin(
        log: &dyn LogStore,
        table: &str,
        upto: Option<u64>,
        by_hint: bool,
    ) -> Result<Option<Self>, LakeError> {
        let store = log.object_store(None);
        let before = |c: &Checkpoint| upto.is_none_or(|u| c.version <= u);
        let hint = hint(store.as_ref()).await?;
        let from = match hint.filter(|_| by_hint).filter(before) {
            Some(checkpoint) => Some(checkpoint.version),
            None if by_hint && hint.is_none() => None,
            None => newest_checkpoint(store.as_ref(), upto).await?,
        };
        let version = from.unwrap_or(0);
        let Some(bytes) = entry(log, table, version).await? else { return Ok(None) };
        let txns = Transactions::new();
        let mut tail = Self { version, txns, stamp: stamp(&bytes), durable: false };
        match from {
            None => tail.apply(table, &bytes)?,
            Some(version) => match checkpoint_txns(store.as_ref(), table, version).await {
                Err(error) if error.is_gone() => return Ok(None),
                txns => tail.txns = txns?,
            },
        }
        Ok(Some(tail))
    }

    /// Reads on; `false`, and nothing is taken up, when this version is no longer part of the log.
    async fn follow(
        &mut self,
        log: &dyn LogStore,
        table: &str,
        upto: Option<u64>,
    ) -> Result<bool, LakeError> {
        let end = upto.unwrap_or(u64::MAX);
        // It is asked before the log: what it says was committed is there now.
        let floor = match upto {
            Some(_) => None,
            None => witness::newest(log.object_store(None).as_ref(), table).await?.floor(),
        };
        let mut found = Vec::new();
        // Mostly there is none, or one.
        while self.version + (found.len() as u64) < end {
            let next = self.version + 1 + found.len() as u64;
            let ahead = if found.is_empty() { 1 } else { AT_ONCE as u64 };
            let last = end.min(next + ahead - 1);
            let entries = futures::stream::iter(next..=last).map(|v| entry(log, table, v));
            let entries: Vec<Option<Bytes>> = entries.buffered(AT_ONCE).try_collect().await?;
            let asked = entries.len();
            found.extend(entries.into_iter().map_while(|bytes| bytes));
            if (found.len() as u64) < next - self.version - 1 + asked as u64 {
                break;
            }
        }
        let reached = self.version + found.len() as u64;
        let cut_off = witness::cut_off(table, reached, floor);
        if found.is_empty() && cut_off.is_ok() {
            return Ok(true);
        }
        if !self.stands(log, table).await? {
            return Ok(false);
        }
        cut_off?;
        for bytes in &found {
            self.apply(table, bytes)?;
            self.version += 1;
            self.stamp = stamp(bytes);
            self.durable = false;
        }
        Ok(true)
    }

    fn apply(&mut self, table: &str, bytes: &Bytes) -> Result<(), LakeError> {
        for line in lines(bytes).filter(|l| l.starts_with(br#"{"txn""#)) {
            let parsed: Entry = serde_json::from_slice(line)
                .map_err(|e| Damage::new(format!("{table}/_delta_log"), e.to_string()))?;
            if let Some(txn) = parsed.txn {
                self.txns.insert(txn.app_id, txn.version);
            }
        }
        Ok(())
    }
}

/// The checkpoint's path below the table.
pub(crate) fn checkpoint_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.checkpoint.parquet"))
}

/// The version that a file of a log is of, and whether it is its checkpoint.
pub(crate) fn version_of(path: &Path) -> Option<(u64, bool)> {
    let (version, kind) = path.filename()?.split_at_checked(20)?;
    let checkpoint = match kind {
        ".json" => false,
        ".checkpoint.parquet" => true,
        _ => return None,
    };
    Some((version.parse().ok()?, checkpoint))
}

/// What an entry says, but for the files it adds: an erasure takes their bounds away, and gives it
/// another checksum.
fn stamp(entry: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    for line in
        lines(&stamped::without(entry)).filter(|l| !l.is_empty() && !l.starts_with(br#"{"add""#))
    {
        line.hash(&mut hasher);
    }
    hasher.finish()
}

fn lines(entry: &[u8]) -> impl Iterator<Item = &[u8]> {
    entry.split(|b| *b == b'\n')
}

async fn entry(log: &dyn LogStore, table: &str, version: u64) -> Result<Option<Bytes>, LakeError> {
    log.read_commit_entry(version).await.map_err(LakeError::delta(table))
}

/// The checkpoint that `_last_checkpoint` names: mostly the newest, but no promise.
pub(crate) async fn hint(store: &dyn ObjectStore) -> Result<Option<Checkpoint>, LakeError> {
    match store.get(&Path::from("_delta_log/_last_checkpoint")).await {
        Ok(found) => Ok(serde_json::from_slice(&found.bytes().await?).ok()),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The newest checkpoint there is, not after `upto`.
async fn newest_checkpoint(
    store: &dyn ObjectStore,
    upto: Option<u64>,
) -> Result<Option<u64>, LakeError> {
    let log = Path::from("_delta_log");
    let mut files = store.list(Some(&log));
    let mut newest = None;
    while let Some(file) = files.try_next().await? {
        if let Some((version, true)) = version_of(&file.location)
            && upto.is_none_or(|u| version <= u)
        {
            newest = newest.max(Some(version));
        }
    }
    Ok(newest)
}

async fn checkpoint_txns(
    store: &dyn ObjectStore,
    table: &str,
    version: u64,
) -> Result<Transactions, LakeError> {
    let path = checkpoint_path(version);
    let broken = |e: String| Damage::new(format!("{table}/{path}"), e);
    let bytes = store.get(&path).await?.bytes().await?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| broken(e.to_string()))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn"]);
    let mut txns = Transactions::new();
    let rows = builder.with_projection(mask).build().map_err(|e| broken(e.to_string()))?;
    for batch in rows {
        let batch = batch.map_err(|e| broken(e.to_string()))?;
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
