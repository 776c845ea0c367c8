//! Ingest's commits: files and the positions they stand for, in one log entry.
//!
//! The loop is refresh, check, commit: the library would let a stale writer through (it looks for
//! an id only in commits after the snapshot and never compares versions), so the check is ours and
//! the library's retries are off.

use bytes::Bytes;
use deltalake::DeltaTable;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;
use uuid::Uuid;

use crate::error::LakeError;
use crate::file::PendingFile;
use crate::lake::Lake;
use crate::log::{PartitionId, Position, Tail, Transactions};
use crate::schema::TableDef;

/// A checkpoint is written at every so many versions, so that nobody replays a long log.
const CHECKPOINT_EVERY: u64 = 100;

/// One partition's progress in a commit.
#[derive(Debug, Clone)]
pub struct Advance {
    pub id: PartitionId,
    /// The position its records were read from; `None` when the table had none.
    pub from: Option<i64>,
    /// The position to read from next.
    pub to: i64,
    pub newest: Option<i64>,
    pub reached: Option<i64>,
    /// Tombstones counted so far; `None` leaves the count as it is.
    pub skipped: Option<i64>,
    /// For a loaded file: the arrival its events were given, µs.
    pub arrival: Option<i64>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    Done {
        version: u64,
    },
    /// Nothing was committed: these partitions are not where their records were read from.
    Moved(Vec<PartitionId>),
}

/// A table that one worker appends to.
pub struct Appender {
    lake: Lake,
    def: TableDef,
    log: LogStoreRef,
    tail: Tail,
}

impl Appender {
    /// Opens the table, making it when it is new.
    ///
    /// # Errors
    /// As [`Lake::ensure_table`].
    pub async fn open(lake: &Lake, def: TableDef) -> Result<Self, LakeError> {
        lake.ensure_table(&def).await?;
        let log = lake.log_store(&def.name);
        let tail = Tail::load(log.as_ref(), &def.name, None).await?;
        Ok(Self { lake: lake.clone(), def, log, tail })
    }

    pub fn def(&self) -> &TableDef {
        &self.def
    }

    /// Reads what other processes committed since.
    pub async fn refresh(&mut self) -> Result<&Transactions, LakeError> {
        self.tail.advance(self.log.as_ref(), &self.def.name, None).await?;
        Ok(&self.tail.txns)
    }

    /// The ids as of the last refresh.
    pub fn transactions(&self) -> &Transactions {
        &self.tail.txns
    }

    pub fn position(&self, id: &PartitionId) -> Option<Position> {
        id.position(&self.tail.txns)
    }

    /// Makes the files and positions visible, if every partition still stands where its records
    /// were read from. A position never goes back: it becomes the greater of itself and `to`.
    ///
    /// # Errors
    /// When the log can't be read or written; whether the commit stands is then found out by the
    /// next refresh.
    pub async fn append(
        &mut self,
        advances: &[Advance],
        files: &[PendingFile],
    ) -> Result<Appended, LakeError> {
        loop {
            self.refresh().await?;
            let moved: Vec<PartitionId> = advances
                .iter()
                .filter(|a| self.position(&a.id).map(|p| p.next) != a.from)
                .map(|a| a.id.clone())
                .collect();
            if !moved.is_empty() {
                return Ok(Appended::Moved(moved));
            }
            crate::fault::point("checked", &self.def.name);
            let txns = self.marks(advances);
            let actions = files.iter().map(PendingFile::action).collect();
            let version = self.tail.version + 1;
            if commit_at(&self.lake, &self.def, &self.log, version, actions, &txns).await? {
                self.tail.version = version;
                self.tail.txns.extend(txns);
                return Ok(Appended::Done { version });
            }
        }
    }

    /// The transaction ids the commit carries.
    fn marks(&self, advances: &[Advance]) -> Transactions {
        let mut txns = Transactions::new();
        for advance in advances {
            let current = self.position(&advance.id).unwrap_or_default();
            txns.insert(advance.id.as_str().to_owned(), advance.to.max(current.next));
            if let Some(newest) = advance.newest.max(current.newest) {
                txns.insert(advance.id.newest(), newest);
            }
            if let Some(reached) = advance.reached.max(current.reached) {
                txns.insert(advance.id.reached(), reached);
            }
            if let Some(skipped) = advance.skipped.filter(|s| *s > current.skipped) {
                txns.insert(advance.id.skipped(), skipped);
            }
            if let Some(arrival) = advance.arrival {
                txns.insert(advance.id.arrival(), arrival);
            }
        }
        txns
    }
}

/// Writes the log entry of exactly this version. `false` when another commit took the version.
pub(crate) async fn commit_at(
    lake: &Lake,
    def: &TableDef,
    log: &LogStoreRef,
    version: u64,
    actions: Vec<Action>,
    txns: &Transactions,
) -> Result<bool, LakeError> {
    let id = Uuid::now_v7();
    let operation = DeltaOperation::Write {
        mode: SaveMode::Append,
        partition_by: def.partition_by.clone().map(|c| vec![c]),
        predicate: None,
    };
    let info = [("rapportCommit".to_owned(), json!(id.to_string()))].into_iter().collect();
    let txns = txns.iter().map(|(app, version)| Transaction::new(app, *version)).collect();
    let bytes = CommitData::new(actions, operation, info, txns)
        .get_bytes()
        .map_err(LakeError::transaction(&def.name))?;
    crate::fault::point("entry", &def.name);
    if !put_entry(log, &def.name, version, bytes, id).await? {
        return Ok(false);
    }
    crate::fault::point("entry put", &def.name);
    lake.sync_file(&format!("{}/{}", def.name, crate::log::entry_path(version))).await?;
    if version.is_multiple_of(CHECKPOINT_EVERY) {
        crate::fault::point("checkpoint", &def.name);
        checkpoint(lake, def, version).await;
    }
    Ok(true)
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
    bytes: Bytes,
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

/// A checkpoint only saves time, so a failure is no error of the commit.
async fn checkpoint(lake: &Lake, def: &TableDef, version: u64) {
    let table: Result<Option<DeltaTable>, LakeError> = lake.delta(&def.name).await;
    let written = match table {
        Ok(Some(table)) => {
            deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(|e| e.to_string())
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = written {
        tracing::warn!(table = def.name, version, error, "no checkpoint was written");
    }
}
