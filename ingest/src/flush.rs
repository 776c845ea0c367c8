//! Flushes: commits what was buffered to the dead letters and the raw tables.
//!
//! A worker has at most two flushes: one is filled while the one before it is sorted, written and
//! committed on another thread.
//!
//! ```text
//! filled ──take_slices──▶ in flight ──committed──▶ in the lake
//!   │                         ├──another worker has moved on──▶ these partitions lose both flushes
//!   │                         └──failed──▶ the run ends, and nothing after it is committed
//!   └──full while one is in flight──▶ nothing is read until that one is done
//! ```
//!
//! A flush begins at the position where the one before it ends. The table has that position once the
//! one before is committed, and otherwise refuses the commit. So only the order must be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use domain::{Day, Stream};
use lake::{AppendOutcome, Appender, Lake, PartitionId, PendingFile, schema};

use crate::dead_letters::write;
use crate::decode::{DayBatches, Rows};
use crate::error::IngestError;
use crate::partition_buffer::FlushSlice;

/// The number of rows that are gathered and encoded together, small enough for the processor's
/// cache.
const ROWS_PER_BATCH: usize = 4_096;

/// The result of a flush.
#[derive(Default)]
pub(crate) struct FlushOutcome {
    /// The buffers whose slices are committed, each with its new position.
    pub(crate) committed: Vec<(usize, i64)>,
    /// The buffers whose partition another worker has moved on: nothing of their slices is in the
    /// raw table.
    pub(crate) lost: Vec<usize>,
    /// The number of commits to raw tables.
    pub(crate) commits: u64,
    /// The bytes of Parquet that were committed.
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// For each stream, the first day that retention has not sealed.
    pub(crate) sealed: BTreeMap<Stream, Day>,
    /// The emptied rows of each buffer, whose memory is reused.
    pub(crate) spare_rows: Vec<(usize, Rows)>,
}

/// Commits flushes to the lake's tables, one after the other.
pub(crate) struct Committer {
    lake: Lake,
    dead_letters: Appender,
    raw: BTreeMap<Stream, Appender>,
}

impl Committer {
    /// Opens the dead-letter table and the raw tables of the streams.
    pub(crate) async fn open(
        lake: &Lake,
        streams: impl IntoIterator<Item = Stream>,
    ) -> Result<Self, IngestError> {
        let mut raw = BTreeMap::new();
        for stream in streams {
            raw.insert(stream, Appender::open(lake, schema::raw(stream)).await?);
        }
        let dead_letters = Appender::open(lake, schema::dead_letters()).await?;
        Ok(Self { lake: lake.clone(), dead_letters, raw })
    }

    /// Returns the newest transaction ids of a stream's raw table.
    pub(crate) async fn transactions(
        &mut self,
        stream: Stream,
    ) -> Result<&lake::Transactions, IngestError> {
        let appender = self.raw.get_mut(&stream).ok_or(IngestError::NoStreams)?;
        Ok(appender.refresh().await?)
    }

    /// Commits the dead letters first, then each stream's raw table. `now` becomes `ingested_at`,
    /// in µs.
    #[tracing::instrument(name = "commit", skip_all)]
    pub(crate) async fn commit(
        &mut self,
        mut slices: Vec<FlushSlice>,
        now: i64,
    ) -> Result<FlushOutcome, IngestError> {
        let started = Instant::now();
        let mut outcome = FlushOutcome::default();
        self.commit_dead_letters(&mut slices, &mut outcome).await?;
        lake::failpoint::hit("dead letters committed", "");
        let streams: BTreeSet<Stream> = slices.iter().map(|slice| slice.stream).collect();
        for stream in streams {
            let (of_stream, rest) = slices.into_iter().partition(|slice| slice.stream == stream);
            slices = rest;
            self.commit_raw(stream, of_stream, now, &mut outcome).await?;
        }
        outcome.took = started.elapsed();
        Ok(outcome)
    }

    /// Commits the dead letters of the slices, even where there are none: the commit of the
    /// position detects a zombie worker before it writes to a raw table.
    async fn commit_dead_letters(
        &mut self,
        slices: &mut Vec<FlushSlice>,
        outcome: &mut FlushOutcome,
    ) -> Result<(), IngestError> {
        while !slices.is_empty() {
            let files = write::write(&self.lake, slices).await?;
            let advances: Vec<_> = slices.iter().map(|slice| slice.dead_letters.clone()).collect();
            match self.dead_letters.append(&advances, &files).await? {
                AppendOutcome::Committed { .. } => break,
                AppendOutcome::PositionsMoved(ids) => drop_moved(slices, &ids, outcome),
            }
        }
        Ok(())
    }

    async fn commit_raw(
        &mut self,
        stream: Stream,
        mut slices: Vec<FlushSlice>,
        now: i64,
        outcome: &mut FlushOutcome,
    ) -> Result<(), IngestError> {
        while !slices.is_empty() {
            let rows = slices.iter().map(|slice| &slice.rows).collect();
            let files = write_rows(&self.lake, stream, rows, now).await?;
            let advances: Vec<_> = slices.iter().map(|slice| slice.raw.clone()).collect();
            let Some(appender) = self.raw.get_mut(&stream) else { break };
            match appender.append(&advances, &files).await? {
                AppendOutcome::Committed { version } => {
                    outcome.commits += 1;
                    outcome.bytes += files.iter().map(|f| f.bytes).sum::<u64>();
                    outcome
                        .committed
                        .extend(slices.iter().map(|slice| (slice.index, slice.raw.to)));
                    let sealed = lake::sealed_before(appender.transactions());
                    outcome.sealed.extend(sealed.map(|first| (stream, first)));
                    let rows: u64 = files.iter().map(|f| f.rows).sum();
                    tracing::debug!(%stream, version, rows, files = files.len(), "committed");
                    break;
                }
                AppendOutcome::PositionsMoved(ids) => drop_moved(&mut slices, &ids, outcome),
            }
        }
        for mut slice in slices {
            if !slice.rows.is_oversized() {
                slice.rows.clear();
                outcome.spare_rows.push((slice.index, slice.rows));
            }
        }
        Ok(())
    }
}

/// Writes the rows of a stream, one file for each day. `now` becomes `ingested_at`, in µs.
pub(crate) async fn write_rows(
    lake: &Lake,
    stream: Stream,
    inputs: Vec<&Rows>,
    now: i64,
) -> Result<Vec<PendingFile>, IngestError> {
    let def = schema::raw(stream);
    let days = DayBatches::new(inputs);
    let mut files = Vec::new();
    for (day, rows) in days.iter() {
        let mut writer = lake.file_writer(&def, Some(day))?;
        for start in rows.clone().step_by(ROWS_PER_BATCH) {
            writer.write(&days.batch(start..rows.end.min(start + ROWS_PER_BATCH), now)?)?;
        }
        files.push(writer.finish(BTreeMap::new()).await?);
    }
    Ok(files)
}

fn drop_moved(slices: &mut Vec<FlushSlice>, ids: &[PartitionId], outcome: &mut FlushOutcome) {
    slices.retain(|slice| {
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
