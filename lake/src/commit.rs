//! One log entry: put where there is none, and found to be part of the log.

use std::io::ErrorKind;

use bytes::Bytes;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;
use uuid::Uuid;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::log::{Transactions, entry_path};
use crate::schema::TableDef;
use crate::tail::Tail;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committed {
    Done {
        version: u64,
    },
    /// Somebody else's entry has the version; the tail has not been moved.
    Taken,
    /// This process stood still for so long that the entry it followed was deleted meanwhile. The
    /// tail has begun anew, and says what counts: most likely ours does not.
    Cleaned,
}

/// Writes the log entry after the tail, with these actions and ids, and moves the tail.
pub(crate) async fn commit(
    lake: &Lake,
    def: &TableDef,
    log: &LogStoreRef,
    tail: &mut Tail,
    actions: Vec<Action>,
    txns: Transactions,
) -> Result<Committed, LakeError> {
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
    let version = tail.version + 1;
    make_durable(lake, def, tail).await?;
    crate::fault::point("entry", &def.name);
    if !put_entry(log, &def.name, version, &bytes, id).await? {
        return Ok(Committed::Taken);
    }
    crate::fault::point("entry put", &def.name);
    lake.sync_file(&format!("{}/{}", def.name, entry_path(version))).await?;
    if !tail.stands(log.as_ref(), &def.name).await? {
        tracing::warn!(table = def.name, version, "the log was cleaned up before this commit");
        *tail = Tail::load(log.as_ref(), &def.name, None).await?;
        return Ok(Committed::Cleaned);
    }
    tail.push(&bytes, txns);
    lake.witness(&def.name, version).await;
    lake.checkpoint_after(&def.name, version);
    Ok(Committed::Done { version })
}

/// The entry that ours is to follow: after a power cut no entry may be there without the one before
/// it, and somebody else's is read before its writer has made it durable.
async fn make_durable(lake: &Lake, def: &TableDef, tail: &mut Tail) -> Result<(), LakeError> {
    if tail.durable {
        return Ok(());
    }
    match lake.sync_file(&format!("{}/{}", def.name, entry_path(tail.version))).await {
        // It was cleaned up, which is found out after the put.
        Err(LakeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        other => other?,
    }
    tail.durable = true;
    Ok(())
}

/// A put without an answer is repeated so many times, where the log can be read and lacks it.
const PUTS: usize = 3;

/// Puts the log entry where there is none. `false` when somebody else's stands there.
///
/// An error is no refusal, and neither is a refusal always one: a store that tried again by itself
/// may report our own entry as somebody else's. What stands in the log decides; where nothing
/// stands, to put the same entry again is to say the same twice.
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
            Ok(None) if puts < PUTS => {}
            // What failed first says more than what failed while looking.
            Ok(None) | Err(_) => return Err(LakeError::transaction(table)(error)),
        }
    }
}
