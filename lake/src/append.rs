//! The commits of ingest: data files, and the positions up to which they hold the records, in one
//! log entry.
//!
//! Each commit refreshes the log, checks the positions and writes the entry. The Delta library
//! would let a stale writer commit: it looks for a transaction id only in commits after the
//! snapshot, and never compares versions. So this module does the check, and the library's retries
//! are not used.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use deltalake::logstore::LogStoreRef;

use crate::error::LakeError;
use crate::files::parquet::PendingFile;
use crate::lake::Lake;
use crate::log::commit::{CommitOutcome, commit};
use crate::log::follower::LogFollower;
use crate::log::transactions::{FileProgress, PartitionId, PartitionPosition, Transactions};
use crate::maintenance::retention::is_for_sealed_day;
use crate::schema::TableDef;

/// The progress of one partition in a commit.
#[derive(Debug, Clone)]
pub struct PositionAdvance {
    pub id: PartitionId,
    /// The position from which the records were read; `None` when the table had none.
    pub from: Option<i64>,
    /// The next offset to read.
    pub to: i64,
    /// The newest event time, by which ingest decides whether an event is late, µs.
    pub newest: Option<i64>,
    /// The greatest min(`occurred_at`, arrival) of the events so far, or a later instant to which
    /// an idle partition was advanced, µs. The watermark is computed from it.
    pub reached: Option<i64>,
    /// The number of tombstones so far; `None` leaves the table's count unchanged.
    pub skipped: Option<i64>,
    /// The arrival of the events of a loaded file, µs.
    pub arrival: Option<i64>,
    /// How far a loaded file has been read.
    pub file_progress: Option<FileProgress>,
    /// For a commit of records that may lie before the position, because they were read before: how many
    /// such commits there had been. `None` for all others.
    pub rereads: Option<i64>,
}

impl PositionAdvance {
    /// Returns the progress of a position, and of nothing else.
    pub fn of_position(id: PartitionId, from: Option<i64>, to: i64) -> Self {
        let (newest, reached, skipped, arrival) = (None, None, None, None);
        let (file_progress, rereads) = (None, None);
        Self { id, from, to, newest, reached, skipped, arrival, file_progress, rereads }
    }

    /// Whether the partition is where it was when the records were read.
    fn holds(&self, current: Option<PartitionPosition>) -> bool {
        let rereads = current.unwrap_or_default().rereads;
        current.map(|p| p.next) == self.from && self.rereads.is_none_or(|then| then == rereads)
    }
}

/// The outcome of [`Appender::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    Committed {
        version: u64,
    },
    /// Nothing was committed: these partitions have moved from the positions from which their
    /// records were read, or some of the records are of a day that was sealed meanwhile. They are
    /// to be read again.
    PositionsMoved(Vec<PartitionId>),
}

/// The first and the longest pause of a worker after another one has committed first.
const MIN_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Returns pauses that grow and differ from worker to worker, so that workers that were refused
/// together don't try again together.
fn contention_pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(MIN_PAUSE)
        .with_max_delay(MAX_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Appends one worker's files to a table.
pub struct Appender {
    lake: Lake,
    def: TableDef,
    log: LogStoreRef,
    follower: LogFollower,
}

impl Appender {
    /// Opens the table, and creates it when it does not exist.
    ///
    /// # Errors
    /// The same as [`Lake::ensure_table`].
    pub async fn open(lake: &Lake, def: TableDef) -> Result<Self, LakeError> {
        lake.ensure_table(&def).await?;
        let log = lake.log_store(&def.name);
        let follower = LogFollower::load(log.as_ref(), &def.name, None).await?;
        Ok(Self { lake: lake.clone(), def, log, follower })
    }

    pub fn def(&self) -> &TableDef {
        &self.def
    }

    /// Reads the commits of other processes since the last refresh, and returns the transaction
    /// ids.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn refresh(&mut self) -> Result<&Transactions, LakeError> {
        self.follower.advance(self.log.as_ref(), &self.def.name, None).await?;
        Ok(&self.follower.txns)
    }

    /// Returns the transaction ids as of the last refresh.
    pub fn transactions(&self) -> &Transactions {
        &self.follower.txns
    }

    /// Returns a partition's position as of the last refresh.
    pub fn position(&self, id: &PartitionId) -> Option<PartitionPosition> {
        id.position(&self.follower.txns)
    }

    /// Commits the files and positions, provided that every partition is still at the position from
    /// which its records were read. A position never goes back: it becomes the greater of itself
    /// and `to`.
    ///
    /// # Errors
    /// When the log can't be read or written; the next refresh then tells whether the
    /// commit counts.
    pub async fn append(
        &mut self,
        advances: &[PositionAdvance],
        files: &[PendingFile],
    ) -> Result<AppendOutcome, LakeError> {
        let mut pauses = contention_pauses();
        loop {
            self.refresh().await?;
            let moved: Vec<PartitionId> = advances
                .iter()
                .filter(|a| !a.holds(self.position(&a.id)))
                .map(|a| a.id.clone())
                .collect();
            if !moved.is_empty() {
                return Ok(AppendOutcome::PositionsMoved(moved));
            }
            if is_for_sealed_day(&self.def, &self.follower.txns, files) {
                return Ok(AppendOutcome::PositionsMoved(
                    advances.iter().map(|a| a.id.clone()).collect(),
                ));
            }
            crate::failpoint::hit("checked", &self.def.name);
            let txns = self.new_transactions(advances);
            let actions = files.iter().map(PendingFile::action).collect();
            let (lake, follower) = (&self.lake, &mut self.follower);
            match commit(lake, &self.def, &self.log, follower, actions, txns).await? {
                CommitOutcome::Committed { version } => {
                    return Ok(AppendOutcome::Committed { version });
                }
                CommitOutcome::VersionTaken => {
                    tokio::time::sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
                }
                // The positions tell whether the entry counts.
                CommitOutcome::LogCleanedUp => {}
            }
        }
    }

    /// Returns the transaction ids of the commit.
    fn new_transactions(&self, advances: &[PositionAdvance]) -> Transactions {
        let mut txns = Transactions::new();
        for advance in advances {
            let current = self.position(&advance.id).unwrap_or_default();
            txns.insert(advance.id.as_str().to_owned(), advance.to.max(current.next));
            if let Some(newest) = advance.newest.max(current.newest) {
                txns.insert(advance.id.newest_id(), newest);
            }
            if let Some(reached) = advance.reached.max(current.reached) {
                txns.insert(advance.id.reached_id(), reached);
            }
            if let Some(skipped) = advance.skipped.filter(|s| *s > current.skipped) {
                txns.insert(advance.id.skipped_id(), skipped);
            }
            // Of two workers that read the same records again, only one may decide what becomes of them.
            if let Some(rereads) = advance.rereads
                && advance.from == Some(advance.to)
            {
                txns.insert(advance.id.rereads_id(), rereads + 1);
            }
            if let Some(arrival) = advance.arrival {
                txns.insert(advance.id.arrival_id(), arrival);
            }
            if let Some(file_progress) = advance.file_progress {
                txns.insert(advance.id.bytes_id(), file_progress.bytes);
                txns.insert(advance.id.text_id(), file_progress.text);
            }
        }
        txns
    }
}
