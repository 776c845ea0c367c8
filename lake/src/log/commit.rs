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

/// Does the same as [`commit`], and again after each lost race in which the others only added
/// files. A rewrite of old files would otherwise never win against workers that commit all the time:
/// reading the whole table again takes longer than their commits.
///
/// `holds` tells whether the actions still hold after files with these partition values were added.
/// The transaction ids were computed from the follower's; when one of them has moved, nothing is
/// committed.
pub(crate) async fn commit_over_appends(
    lake: &Lake,
    def: &TableDef,
    log: &LogStoreRef,
    follower: &mut LogFollower,
    actions: Vec<Action>,
    txns: Transactions,
    holds: impl Fn(&[Option<String>]) -> bool,
) -> Result<CommitOutcome, LakeError> {
    let before: Vec<Option<i64>> = txns.keys().map(|id| follower.txns.get(id).copied()).collect();
    loop {
        let outcome = commit(lake, def, log, follower, actions.clone(), txns.clone()).await?;
        if outcome != CommitOutcome::VersionTaken {
            return Ok(outcome);
        }
        let added = follower.advance_over_appends(log.as_ref(), &def.name).await?;
        let now = txns.keys().map(|id| follower.txns.get(id).copied());
        if !added.is_some_and(|values| holds(&values)) || !now.eq(before.iter().copied()) {
            return Ok(CommitOutcome::VersionTaken);
        }
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::Day;

    use super::*;
    use crate::tests::{advance, def, options, rows};
    use crate::{Appender, PartitionId, TableSnapshot};

    const OLD: Day = Day(20_000);
    const NEW: Day = Day(20_001);

    /// Adds a file of a day.
    async fn append(lake: &Lake, day: Day) {
        let mut table = Appender::open(lake, def()).await.expect("a table");
        let id = PartitionId::kafka("c", "things", "t", 0);
        let from = table.position(&id).map(|p| p.next);
        let file = lake.write_file(&def(), Some(day), &[rows(&[1])], BTreeMap::new()).await;
        let step = advance(&id, from, from.unwrap_or(0) + 1);
        table.append(&[step], &[file.expect("a file")]).await.expect("a commit");
    }

    async fn latest(lake: &Lake) -> (TableSnapshot, LogFollower) {
        lake.latest(&def().name).await.expect("read").expect("there")
    }

    /// Prepares a commit that raises an id, lets others commit, and then commits from the version
    /// before them.
    async fn commit_after(
        others: impl AsyncFnOnce(&Lake),
        holds: impl Fn(&[Option<String>]) -> bool,
    ) -> CommitOutcome {
        let dir = tempfile::tempdir().expect("a folder");
        let ours = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
        let theirs = Lake::open(&options(&dir)).await.expect("the same lake");
        append(&theirs, OLD).await;
        let (_, mut follower) = latest(&ours).await;
        others(&theirs).await;
        let (def, log) = (def(), ours.log_store(&def().name));
        let txns = Transactions::from([("rewrite/2024-10-04".to_owned(), 1)]);
        commit_over_appends(&ours, &def, &log, &mut follower, Vec::new(), txns, holds)
            .await
            .expect("an answer")
    }

    #[tokio::test]
    async fn a_commit_goes_after_files_that_others_added() {
        let added = async |lake: &Lake| {
            append(lake, OLD).await;
            append(lake, NEW).await;
        };
        assert_eq!(commit_after(added, |_| true).await, CommitOutcome::Committed { version: 4 });
        let none_of_old = |days: &[Option<String>]| {
            assert_eq!(days, [OLD, NEW].map(|day| Some(day.to_string())));
            false
        };
        assert_eq!(commit_after(added, none_of_old).await, CommitOutcome::VersionTaken);
    }

    #[tokio::test]
    async fn a_commit_is_prepared_anew_when_others_removed_files_or_raised_its_ids() {
        let emptied = async |lake: &Lake| {
            let (base, _) = latest(lake).await;
            lake.replace_days(&def(), &base, vec![(OLD, vec![])]).await.expect("a commit");
        };
        assert_eq!(commit_after(emptied, |_| true).await, CommitOutcome::VersionTaken);
        // A day that had no file is rewritten without removing one.
        let filled = async |lake: &Lake| {
            let day: Day = "2024-10-04".parse().expect("a day");
            let (base, _) = latest(lake).await;
            let base = TableSnapshot { files: [].into(), ..base };
            lake.replace_days(&def(), &base, vec![(day, vec![])]).await.expect("a commit");
        };
        assert_eq!(commit_after(filled, |_| true).await, CommitOutcome::VersionTaken);
    }

    #[tokio::test]
    async fn a_commit_is_prepared_anew_when_the_columns_changed() {
        let widened = async |lake: &Lake| {
            let (base, _) = latest(lake).await;
            lake.replace_columns(&def(), &base, Vec::new()).await.expect("a commit");
        };
        assert_eq!(commit_after(widened, |_| true).await, CommitOutcome::VersionTaken);
    }
}
