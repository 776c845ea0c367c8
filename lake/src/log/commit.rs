//! Committing: writing the next entry of a log, and checking that it counts.

use std::io::ErrorKind;

use bytes::Bytes;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;
use uuid::Uuid;

use crate::error::LakeError;
use crate::integrity::witness;
use crate::lake::Lake;
use crate::log::follower::LogFollower;
use crate::log::paths::entry_path;
use crate::log::transactions::Transactions;
use crate::schema::TableDef;

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    Committed {
        version: u64,
    },
    /// Another process has committed the version; the follower has not moved.
    VersionTaken,
    /// This process slept until the entry that it followed was deleted. The follower has been
    /// loaded anew and tells what counts: most likely this process's entry does not.
    LogCleanedUp,
}

/// Writes the log entry after the follower's version, with actions and transaction ids, and
/// advances the follower.
///
/// # Errors
/// When the log can't be read or written; whether the entry counts is then unknown.
pub(crate) async fn commit(
    lake: &Lake,
    def: &TableDef,
    log: &LogStoreRef,
    follower: &mut LogFollower,
    actions: Vec<Action>,
    txns: Transactions,
) -> Result<CommitOutcome, LakeError> {
    let id = Uuid::now_v7();
    let operation = DeltaOperation::Write {
        mode: SaveMode::Append,
        partition_by: def.partition_by.clone().map(|c| vec![c]),
        predicate: None,
    };
    let info = [("rapportCommit".to_owned(), json!(id.to_string()))].into_iter().collect();
    let ids = txns.iter().map(|(app, version)| Transaction::new(app, *version)).collect();
    let bytes = CommitData::new(actions, operation, info, ids)
        .get_bytes()
        .map_err(LakeError::transaction(&def.name))?;
    let version = follower.version + 1;
    make_durable(lake, def, follower).await?;
    crate::failpoint::hit("entry", &def.name);
    if !put_entry(log, &def.name, version, &bytes, id).await? {
        return Ok(CommitOutcome::VersionTaken);
    }
    crate::failpoint::hit("entry put", &def.name);
    lake.sync_file(&format!("{}/{}", def.name, entry_path(version))).await?;
    if !follower.is_still_in_log(log.as_ref(), &def.name).await? {
        tracing::warn!(table = def.name, version, "the log was cleaned up before this commit");
        *follower = LogFollower::load(log.as_ref(), &def.name, None).await?;
        return Ok(CommitOutcome::LogCleanedUp);
    }
    follower.push_own_entry(&bytes, txns);
    lake.record_commit(&def.name, version).await;
    lake.checkpoint_after(&def.name, version);
    Ok(CommitOutcome::Committed { version })
}

impl Lake {
    /// Records in the table's witness that a version was committed. An error is only logged: the
    /// commit stands, and the witness lags behind it.
    pub(crate) async fn record_commit(&self, table: &str, version: u64) {
        crate::failpoint::hit("witness", table);
        let store = self.log_store(table).object_store(None);
        if let Err(error) = witness::record_newest_version(store.as_ref(), table, version).await {
            tracing::warn!(table, version, %error, "the witness of the table's log is behind");
        }
    }
}

/// Makes the entry at the follower's version durable. After a power cut no entry may exist without
/// the one before it, and an entry of another process may be read before its writer has synced it.
async fn make_durable(
    lake: &Lake,
    def: &TableDef,
    follower: &mut LogFollower,
) -> Result<(), LakeError> {
    if follower.durable {
        return Ok(());
    }
    match lake.sync_file(&format!("{}/{}", def.name, entry_path(follower.version))).await {
        // The entry was cleaned up, which the check after the put detects.
        Err(LakeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        other => other?,
    }
    follower.durable = true;
    Ok(())
}

/// The number of attempts to put an entry, when a put fails and the log does not have the entry.
const PUT_ATTEMPTS: usize = 3;

/// Puts a log entry unless its version exists. Returns `false` when the version has the entry of
/// another process.
///
/// An error does not mean that the entry was not put, and "already exists" does not mean that
/// another process put it: a store that retries by itself may report this process's own entry. The
/// entry in the log decides, by its commit id. When the log has no entry, putting the same one
/// again is safe.
async fn put_entry(
    log: &LogStoreRef,
    table: &str,
    version: u64,
    bytes: &Bytes,
    id: Uuid,
) -> Result<bool, LakeError> {
    let mut puts = 0;
    loop {
        puts += 1;
        let entry = CommitOrBytes::LogBytes(bytes.clone());
        let error = match log.write_commit_entry(version, entry, id).await {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        let refused = matches!(error, TransactionError::VersionAlreadyExists(_));
        match log.read_commit_entry(version).await {
            Ok(Some(found)) => {
                return Ok(memchr::memmem::find(&found, id.to_string().as_bytes()).is_some());
            }
            Ok(None) if refused => return Ok(false),
            Ok(None) if puts < PUT_ATTEMPTS => {}
            // The error of the put says more than an error of the read after it.
            Ok(None) | Err(_) => return Err(LakeError::transaction(table)(error)),
        }
    }
}
