//! A reader that follows a table's log: it holds the transaction ids up to a version, and can tell
//! whether that version is still part of the log.
//!
//! The Delta library finds one transaction id at a time by replaying the log. A worker needs all of
//! them at each commit, so a follower reads them once from a checkpoint, and then from each new
//! entry.
//!
//! Old entries are deleted (`cleanup`), and a worker may sleep until entries after its own version
//! are gone. The next entry is then missing because it was deleted, not because it was never
//! written. The store would accept a new entry in its place, which no reader would ever see. Three
//! rules prevent that:
//!
//! - Entries are deleted in the order of their versions. A checkpoint is deleted together with the
//!   entry of its version, before the next entry.
//! - A follower remembers a hash of the entry at its own version. While that entry is in the log,
//!   no entry after it has been deleted: entries read after it belong to the log, and an entry put
//!   after it counts.
//! - A follower therefore calls [`LogFollower::is_still_in_log`] after each read that found new
//!   entries, and after each put. When the answer is no, what it read or put does not count, and it
//!   starts anew from a checkpoint.
//!
//! These rules need no clock, and no bound on how long a process sleeps.
//!
//! When nothing was cleaned up, a log that ends before the version in its witness has lost its end.
//!
//! - `tests`: logs that are cleaned up while workers sleep
//! - `scale_tests`: the cost of a commit on large logs, and many concurrent workers

#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
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
use serde::de::IgnoredAny;

use crate::error::LakeError;
use crate::integrity::damage::Damage;
use crate::integrity::log_checksum;
use crate::integrity::witness;
use crate::log::paths::{
    CheckpointHint, HINT_PATH, LOG_FOLDER, checkpoint_path, entry_path, parse_log_file,
};
use crate::log::transactions::Transactions;
use crate::object_files::get_if_exists;

/// The transaction ids of a table at a version, and the means to follow its log from there.
#[derive(Debug, Clone)]
pub(crate) struct LogFollower {
    pub(crate) version: u64,
    pub(crate) txns: Transactions,
    /// The hash of the entry at `version`, as [`entry_hash`] computes it.
    entry_hash: u64,
    /// Whether that entry is known to be durable. An entry of another process may be read before
    /// its writer has made it durable.
    pub(crate) durable: bool,
}

#[derive(Deserialize)]
struct TxnLine {
    txn: Option<TxnAction>,
}

#[derive(Deserialize)]
struct TxnAction {
    #[serde(rename = "appId")]
    app_id: String,
    version: i64,
}

/// A line of an entry, as far as it tells an entry that only adds files from others.
#[derive(Deserialize)]
struct ActionLine {
    add: Option<AddAction>,
    remove: Option<IgnoredAny>,
    #[serde(rename = "metaData")]
    metadata: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct AddAction {
    #[serde(rename = "partitionValues")]
    partition_values: BTreeMap<String, Option<String>>,
}

/// Returns the error for a line of an entry that can't be parsed.
fn damaged_entry(table: &str) -> impl Fn(serde_json::Error) -> Damage {
    move |error| Damage::new(format!("{table}/{LOG_FOLDER}"), error.to_string())
}

/// The number of attempts to read a log that is cleaned up meanwhile.
const MAX_ATTEMPTS: usize = 4;

/// The number of entries that are requested concurrently, once the first new one was found.
const READ_AHEAD: usize = 16;

impl LogFollower {
    /// Reads the ids at version `up_to`, or at the newest version.
    ///
    /// # Errors
    /// [`LakeError::LogCleanedUp`] when the log no longer reaches back to `up_to`;
    /// [`LakeError::Damaged`] when entries are missing.
    pub(crate) async fn load(
        log: &dyn LogStore,
        table: &str,
        up_to: Option<u64>,
    ) -> Result<Self, LakeError> {
        for attempt in 0..MAX_ATTEMPTS {
            // The hint may name an old checkpoint: from the second attempt on the log is listed.
            let Some(mut follower) = Self::start(log, table, up_to, attempt == 0).await? else {
                continue;
            };
            if follower.follow(log, table, up_to).await?.is_some() {
                return Ok(follower);
            }
        }
        let store = log.object_store(None);
        let newest = newest_checkpoint(store.as_ref(), None).await?.unwrap_or_default();
        match up_to {
            Some(version) if version < newest => {
                Err(LakeError::LogCleanedUp { table: table.to_owned(), version })
            }
            // The entry of the newest checkpoint is never cleaned up.
            _ => Err(Damage::gone(format!("{table}/{}", entry_path(newest))).into()),
        }
    }

    /// Reads the entries after this version, up to `up_to` or to the newest one.
    pub(crate) async fn advance(
        &mut self,
        log: &dyn LogStore,
        table: &str,
        up_to: Option<u64>,
    ) -> Result<(), LakeError> {
        if self.follow(log, table, up_to).await?.is_none() {
            *self = Self::load(log, table, up_to).await?;
        }
        Ok(())
    }

    /// Reads the entries after this version, and returns the partition values of the files that they
    /// add, which a table without partitions does not have. The result is `None` when one of the
    /// entries does more than adding files, or what they did is no longer known.
    pub(crate) async fn advance_over_appends(
        &mut self,
        log: &dyn LogStore,
        table: &str,
    ) -> Result<Option<Vec<Option<String>>>, LakeError> {
        let Some(entries) = self.follow(log, table, None).await? else {
            *self = Self::load(log, table, None).await?;
            return Ok(None);
        };
        let mut added = Vec::new();
        for line in entries.iter().flat_map(|bytes| lines(bytes)).filter(|l| !l.is_empty()) {
            let line: ActionLine = serde_json::from_slice(line).map_err(damaged_entry(table))?;
            if line.remove.is_some() || line.metadata.is_some() || line.protocol.is_some() {
                return Ok(None);
            }
            added.extend(line.add.map(|add| add.partition_values.into_values().flatten().next()));
        }
        Ok(Some(added))
    }

    /// Returns whether the entry at this version is still in the log, so that no entry after it has
    /// been deleted.
    pub(crate) async fn is_still_in_log(
        &self,
        log: &dyn LogStore,
        table: &str,
    ) -> Result<bool, LakeError> {
        let found = read_entry(log, table, self.version).await?;
        Ok(found.is_some_and(|bytes| entry_hash(&bytes) == self.entry_hash))
    }

    /// Returns whether this version is the newest one.
    pub(crate) async fn is_newest(
        &self,
        log: &dyn LogStore,
        table: &str,
    ) -> Result<bool, LakeError> {
        Ok(read_entry(log, table, self.version + 1).await?.is_none()
            && self.is_still_in_log(log, table).await?)
    }

    /// Advances to the next version, whose entry this process has written durably.
    pub(crate) fn push_own_entry(&mut self, bytes: &Bytes, txns: Transactions) {
        self.version += 1;
        self.entry_hash = entry_hash(bytes);
        self.durable = true;
        self.txns.extend(txns);
    }

    /// Returns a follower at a checkpoint, or at the first entry when there is no checkpoint;
    /// `None` when that file has been deleted.
    async fn start(
        log: &dyn LogStore,
        table: &str,
        up_to: Option<u64>,
        use_hint: bool,
    ) -> Result<Option<Self>, LakeError> {
        let store = log.object_store(None);
        let is_early_enough = |c: &CheckpointHint| up_to.is_none_or(|u| c.version <= u);
        let hint = checkpoint_hint(store.as_ref()).await?;
        let from = match hint.filter(|_| use_hint).filter(is_early_enough) {
            Some(checkpoint) => Some(checkpoint.version),
            None if use_hint && hint.is_none() => None,
            None => newest_checkpoint(store.as_ref(), up_to).await?,
        };
        let version = from.unwrap_or(0);
        let Some(bytes) = read_entry(log, table, version).await? else { return Ok(None) };
        let txns = Transactions::new();
        let mut follower = Self { version, txns, entry_hash: entry_hash(&bytes), durable: false };
        match from {
            None => follower.apply(table, &bytes)?,
            Some(version) => match checkpoint_txns(store.as_ref(), table, version).await {
                Err(error) if error.is_gone() => return Ok(None),
                txns => follower.txns = txns?,
            },
        }
        Ok(Some(follower))
    }

    /// Reads, applies and returns the entries after this version. Returns `None`, and changes
    /// nothing, when this version is no longer part of the log.
    async fn follow(
        &mut self,
        log: &dyn LogStore,
        table: &str,
        up_to: Option<u64>,
    ) -> Result<Option<Vec<Bytes>>, LakeError> {
        let end = up_to.unwrap_or(u64::MAX);
        // The witness is read before the log: a version that it names is in the log by now.
        let lower_bound = match up_to {
            Some(_) => None,
            None => witness::newest(log.object_store(None).as_ref(), table).await?.lower_bound(),
        };
        let mut found = Vec::new();
        // Mostly there is no new entry, or one.
        while self.version + (found.len() as u64) < end {
            let next = self.version + 1 + found.len() as u64;
            let ahead = if found.is_empty() { 1 } else { READ_AHEAD as u64 };
            let last = end.min(next + ahead - 1);
            let entries = futures::stream::iter(next..=last).map(|v| read_entry(log, table, v));
            let entries: Vec<Option<Bytes>> = entries.buffered(READ_AHEAD).try_collect().await?;
            let requested = entries.len();
            found.extend(entries.into_iter().map_while(|bytes| bytes));
            if (found.len() as u64) < next - self.version - 1 + requested as u64 {
                break;
            }
        }
        let reached = self.version + found.len() as u64;
        let completeness = witness::check_not_truncated(table, reached, lower_bound);
        if found.is_empty() && completeness.is_ok() {
            return Ok(Some(found));
        }
        if !self.is_still_in_log(log, table).await? {
            return Ok(None);
        }
        completeness?;
        for bytes in &found {
            self.apply(table, bytes)?;
            self.version += 1;
            self.entry_hash = entry_hash(bytes);
            self.durable = false;
        }
        Ok(Some(found))
    }

    /// Takes the transaction ids of an entry over.
    fn apply(&mut self, table: &str, bytes: &Bytes) -> Result<(), LakeError> {
        for line in lines(bytes).filter(|l| l.starts_with(br#"{"txn""#)) {
            let parsed: TxnLine = serde_json::from_slice(line).map_err(damaged_entry(table))?;
            if let Some(txn) = parsed.txn {
                self.txns.insert(txn.app_id, txn.version);
            }
        }
        Ok(())
    }
}

/// Returns a hash of an entry without its checksum and its add actions: an erasure rewrites an
/// entry without the bounds of the added files, and gives it another checksum.
fn entry_hash(entry: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    for line in lines(&log_checksum::without_checksum(entry))
        .filter(|l| !l.is_empty() && !l.starts_with(br#"{"add""#))
    {
        line.hash(&mut hasher);
    }
    hasher.finish()
}

fn lines(entry: &[u8]) -> impl Iterator<Item = &[u8]> {
    entry.split(|b| *b == b'\n')
}

async fn read_entry(
    log: &dyn LogStore,
    table: &str,
    version: u64,
) -> Result<Option<Bytes>, LakeError> {
    log.read_commit_entry(version).await.map_err(LakeError::delta(table))
}

/// Reads the hint at a recent checkpoint, mostly the newest one; `store` is the table's.
pub(crate) async fn checkpoint_hint(
    store: &dyn ObjectStore,
) -> Result<Option<CheckpointHint>, LakeError> {
    let found = get_if_exists(store, &Path::from(HINT_PATH)).await?;
    Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Returns the version of the newest checkpoint, at most `up_to`, by listing the log.
async fn newest_checkpoint(
    store: &dyn ObjectStore,
    up_to: Option<u64>,
) -> Result<Option<u64>, LakeError> {
    let log = Path::from(LOG_FOLDER);
    let mut files = store.list(Some(&log));
    let mut newest = None;
    while let Some(file) = files.try_next().await? {
        if let Some((version, true)) = parse_log_file(&file.location)
            && up_to.is_none_or(|u| version <= u)
        {
            newest = newest.max(Some(version));
        }
    }
    Ok(newest)
}

/// Reads the transaction ids of a checkpoint.
async fn checkpoint_txns(
    store: &dyn ObjectStore,
    table: &str,
    version: u64,
) -> Result<Transactions, LakeError> {
    let path = checkpoint_path(version);
    let damaged = |e: String| Damage::new(format!("{table}/{path}"), e);
    let bytes = store.get(&path).await?.bytes().await?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| damaged(e.to_string()))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn"]);
    let mut txns = Transactions::new();
    let rows = builder.with_projection(mask).build().map_err(|e| damaged(e.to_string()))?;
    for batch in rows {
        let batch = batch.map_err(|e| damaged(e.to_string()))?;
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
