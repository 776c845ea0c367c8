//! What was read between two commits, and its way into the lake.
//!
//! A worker has at most two generations: one is filled while the one before it is sorted, written
//! and committed on another thread.
//!
//! ```text
//! filled ──cut──▶ in flight ──committed──▶ in the lake
//!   │                 ├──another worker has gone on──▶ these partitions lose both generations
//!   │                 └──failed──▶ the run ends, and nothing after it is committed
//!   └──full while one is in flight──▶ nothing is read until that one is done
//! ```
//!
//! A generation begins where the one before it ends: that becomes the table's position when the one
//! before is committed, and else the table refuses it. So no more than the order has to be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lake::{Advance, Appended, Appender, Lake, PartitionId, PendingFile, schema};
use lake_types::{Day, Stream};

use crate::dead::{self, DeadLetter};
use crate::decode::{Days, Rows};
use crate::error::IngestError;

/// So many rows are gathered and encoded at a time: few enough to stay near the processor.
const PIECE: usize = 4_096;

/// One partition's share of a generation.
pub(crate) struct Slice {
    /// Its part's place among the worker's.
    pub(crate) index: usize,
    pub(crate) stream: Stream,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) raw: Advance,
    pub(crate) dead: Advance,
    pub(crate) rows: Rows,
    pub(crate) letters: Vec<DeadLetter>,
}

/// What became of a generation.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The parts whose share the lake has, with the position to read from next.
    pub(crate) committed: Vec<(usize, i64)>,
    /// The parts that another worker has moved on meanwhile: nothing of theirs is in the raw table.
    pub(crate) lost: Vec<usize>,
    /// Commits of raw tables.
    pub(crate) commits: u64,
    /// Bytes of Parquet committed.
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// The first day of each stream that still takes events.
    pub(crate) sealed: BTreeMap<Stream, Day>,
    /// By part, the rows it had, emptied: their memory is used again.
    pub(crate) spare: Vec<(usize, Rows)>,
}

/// The tables that generations are committed to, one generation after the other.
pub(crate) struct Committer {
    lake: Lake,
    dead: Appender,
    raw: BTreeMap<Stream, Appender>,
}

impl Committer {
    pub(crate) async fn open(
        lake: &Lake,
        streams: impl IntoIterator<Item = Stream>,
    ) -> Result<Self, IngestError> {
        let mut raw = BTreeMap::new();
        for stream in streams {
            raw.insert(stream, Appender::open(lake, schema::raw(stream)).await?);
        }
        let dead = Appender::open(lake, schema::dead_letters()).await?;
        Ok(Self { lake: lake.clone(), dead, raw })
    }

    /// The ids of a stream's raw table, newest.
    pub(crate) async fn transactions(
        &mut self,
        stream: Stream,
    ) -> Result<&lake::Transactions, IngestError> {
        let appender = self.raw.get_mut(&stream).ok_or(IngestError::NoStreams)?;
        Ok(appender.refresh().await?)
    }

    /// The ids of the dead letters, newest.
    pub(crate) async fn dead_transactions(&mut self) -> Result<&lake::Transactions, IngestError> {
        Ok(self.dead.refresh().await?)
    }

    /// Commits the dead letters first, then each stream's raw table. `now` becomes `ingested_at`, µs.
    pub(crate) async fn commit(
        &mut self,
        mut live: Vec<Slice>,
        now: i64,
    ) -> Result<Outcome, IngestError> {
        let began = Instant::now();
        let mut outcome = Outcome::default();
        self.commit_dead(&mut live, &mut outcome).await?;
        lake::fault::point("dead letters committed", "");
        let streams: BTreeSet<Stream> = live.iter().map(|slice| slice.stream).collect();
        for stream in streams {
            let (of_stream, rest) = live.into_iter().partition(|slice| slice.stream == stream);
            live = rest;
            self.commit_raw(stream, of_stream, now, &mut outcome).await?;
        }
        outcome.took = began.elapsed();
        Ok(outcome)
    }

    /// Commits the dead letters of the live slices, always, even without rows: what stands there is
    /// how a zombie is found out first.
    async fn commit_dead(
        &mut self,
        live: &mut Vec<Slice>,
        outcome: &mut Outcome,
    ) -> Result<(), IngestError> {
        while !live.is_empty() {
            let files = dead::write(&self.lake, live).await?;
            let advances: Vec<_> = live.iter().map(|slice| slice.dead.clone()).collect();
            match self.dead.append(&advances, &files).await? {
                Appended::Done { .. } => break,
                Appended::Moved(ids) => take_moved(live, &ids, outcome),
            }
        }
        Ok(())
    }

    async fn commit_raw(
        &mut self,
        stream: Stream,
        mut live: Vec<Slice>,
        now: i64,
        outcome: &mut Outcome,
    ) -> Result<(), IngestError> {
        while !live.is_empty() {
            let rows = live.iter().map(|slice| &slice.rows).collect();
            let files = write_rows(&self.lake, stream, rows, now).await?;
            let advances: Vec<_> = live.iter().map(|slice| slice.raw.clone()).collect();
            let Some(appender) = self.raw.get_mut(&stream) else { break };
            match appender.append(&advances, &files).await? {
                Appended::Done { version } => {
                    outcome.commits += 1;
                    outcome.bytes += files.iter().map(|f| f.bytes).sum::<u64>();
                    outcome.committed.extend(live.iter().map(|slice| (slice.index, slice.raw.to)));
                    let sealed = lake::sealed_before(appender.transactions());
                    outcome.sealed.extend(sealed.map(|first| (stream, first)));
                    let rows: u64 = files.iter().map(|f| f.rows).sum();
                    tracing::debug!(%stream, version, rows, files = files.len(), "committed");
                    break;
                }
                Appended::Moved(ids) => take_moved(&mut live, &ids, outcome),
            }
        }
        for mut slice in live {
            if !slice.rows.is_roomy() {
                slice.rows.clear();
                outcome.spare.push((slice.index, slice.rows));
            }
        }
        Ok(())
    }
}

/// Writes rows of a stream, one file for each day. `now` becomes `ingested_at`, µs.
pub(crate) async fn write_rows(
    lake: &Lake,
    stream: Stream,
    parts: Vec<&Rows>,
    now: i64,
) -> Result<Vec<PendingFile>, IngestError> {
    let def = schema::raw(stream);
    let days = Days::new(parts);
    let mut files = Vec::new();
    for (day, rows) in days.iter() {
        let mut writer = lake.file_writer(&def, Some(day))?;
        for start in rows.clone().step_by(PIECE) {
            writer.write(&days.batch(start..rows.end.min(start + PIECE), now)?)?;
        }
        files.push(writer.finish(BTreeMap::new()).await?);
    }
    Ok(files)
}

fn take_moved(live: &mut Vec<Slice>, ids: &[PartitionId], outcome: &mut Outcome) {
    live.retain(|slice| {
        let moved = ids.contains(&slice.raw.id);
        if moved {
            outcome.lost.push(slice.index);
            tracing::warn!(
                topic = slice.topic,
                partition = slice.partition,
                "another worker has gone on with this partition; what was read here is dropped and read again"
            );
        }
        !moved
    });
}
