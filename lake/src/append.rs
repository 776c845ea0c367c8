//! Ingest's commits: files and the positions they stand for, in one log entry.
//!
//! The loop is refresh, check, commit: the library would let a stale writer through (it looks for
//! an id only in commits after the snapshot and never compares versions), so the check is ours and
//! the library's retries are off.

use deltalake::logstore::LogStoreRef;

use crate::commit::{Committed, commit};
use crate::error::LakeError;
use crate::file::PendingFile;
use crate::lake::Lake;
use crate::log::{Extent, PartitionId, Position, Transactions};
use crate::retain::comes_too_late;
use crate::schema::TableDef;
use crate::tail::Tail;

/// One partition's progress in a commit.
#[derive(Debug, Clone)]
pub struct Advance {
    pub id: PartitionId,
    /// The position its records were read from; `None` when the table had none.
    pub from: Option<i64>,
    /// The position to read from next.
    pub to: i64,
    /// The mark that `late` is told by, µs.
    pub newest: Option<i64>,
    pub reached: Option<i64>,
    /// Tombstones counted so far; `None` leaves the count as it is.
    pub skipped: Option<i64>,
    /// For a loaded file: the arrival its events were given, µs.
    pub arrival: Option<i64>,
    /// For a loaded file: its length, and how far it was read.
    pub extent: Option<Extent>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    Done {
        version: u64,
    },
    /// Nothing was committed: these partitions are not where their records were read from, or some
    /// of their records are of a day that was sealed meanwhile. Read them again.
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
            if comes_too_late(&self.def, &self.tail.txns, files) {
                return Ok(Appended::Moved(advances.iter().map(|a| a.id.clone()).collect()));
            }
            crate::fault::point("checked", &self.def.name);
            let txns = self.marks(advances);
            let actions = files.iter().map(PendingFile::action).collect();
            let (lake, tail) = (&self.lake, &mut self.tail);
            match commit(lake, &self.def, &self.log, tail, actions, txns).await? {
                Committed::Done { version } => return Ok(Appended::Done { version }),
                // Where the log was cleaned up, the positions say whether the entry counts.
                Committed::Taken | Committed::Cleaned => {}
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
            if let Some(extent) = advance.extent {
                txns.insert(advance.id.bytes(), extent.bytes);
                txns.insert(advance.id.text(), extent.text);
            }
        }
        txns
    }
}
