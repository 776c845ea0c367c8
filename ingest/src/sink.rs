//! Between the records and the lake: what is accepted is buffered by partition, and committed
//! together with the positions it was read up to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use lake::{Appended, Appender, Lake, PartitionId, PendingFile, schema};
use lake_types::Stream;

use crate::dead::{self, DeadLetter, Envelope};
use crate::decode::{Attributes, Decoder, Event, Input, Rows, by_day, schema_id};
use crate::error::IngestError;
use crate::part::Part;
use crate::registry::{LookUp, Registry};
use crate::settings::Limits;

/// From so many records on, more rejected than accepted ones stop the run.
const ENOUGH_TO_JUDGE: u64 = 10_000;

/// What a run has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records read, tombstones included; a record read again after a lost race counts again.
    pub records: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub tombstones: u64,
    pub late: u64,
    /// Records that came again although the lake has them; they were passed over.
    pub repeated: u64,
    /// Commits of raw tables.
    pub commits: u64,
    /// Bytes of Parquet committed.
    pub bytes: u64,
    pub by_reason: BTreeMap<&'static str, u64>,
}

/// A record as it came.
pub(crate) struct Record<'a> {
    pub(crate) offset: i64,
    /// µs.
    pub(crate) arrival: i64,
    /// `None` for a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    /// Of a CloudEvents record in binary mode.
    pub(crate) attributes: Option<Attributes<'a>>,
}

/// A record can't be taken before its schema is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Why it is not; `None` when nothing has gone wrong yet.
    pub(crate) reason: Option<String>,
}

/// The partitions of one worker on their way into the lake.
pub(crate) struct Sink {
    pub(crate) lake: Lake,
    pub(crate) parts: Vec<Part>,
    pub(crate) counts: Counts,
    /// Where the schemas of Avro records are; without it they are rejected.
    pub(crate) registry: Option<Registry>,
    dead: Appender,
    raw: BTreeMap<Stream, Appender>,
    decoders: BTreeMap<Stream, Decoder>,
    limits: Limits,
    accept_rejects: bool,
    buffered_since: Option<Instant>,
}

impl Sink {
    pub(crate) async fn open(
        lake: &Lake,
        streams: impl IntoIterator<Item = Stream>,
        limits: Limits,
        accept_rejects: bool,
    ) -> Result<Self, IngestError> {
        let mut raw = BTreeMap::new();
        let mut decoders = BTreeMap::new();
        for stream in streams {
            raw.insert(stream, Appender::open(lake, schema::raw(stream)).await?);
            let keyed = lake.clone();
            let hash = Arc::new(move |credential: &str| keyed.key().hash_credential(credential));
            decoders.insert(stream, Decoder::new(stream, hash));
        }
        Ok(Self {
            lake: lake.clone(),
            parts: Vec::new(),
            counts: Counts::default(),
            registry: None,
            dead: Appender::open(lake, schema::dead_letters()).await?,
            raw,
            decoders,
            limits,
            accept_rejects,
            buffered_since: None,
        })
    }

    /// The ids of a stream's raw table, newest.
    pub(crate) async fn transactions(
        &mut self,
        stream: Stream,
    ) -> Result<&lake::Transactions, IngestError> {
        let appender = self.raw.get_mut(&stream).ok_or(IngestError::NoStreams)?;
        let transactions = appender.refresh().await?;
        let sealed = lake::sealed_before(transactions);
        if let Some((first, decoder)) = sealed.zip(self.decoders.get_mut(&stream)) {
            decoder.seal_before(first);
        }
        Ok(transactions)
    }

    /// A partition as the tables know it now, with an empty buffer. Its `next` is the raw table's
    /// position, or 0 where that has none: then `raw_from` is `None`.
    pub(crate) async fn part(
        &mut self,
        stream: Stream,
        topic: &str,
        partition: i32,
        id: PartitionId,
    ) -> Result<Part, IngestError> {
        let raw = id.position(self.transactions(stream).await?);
        let dead_from = id.position(self.dead.refresh().await?).map(|p| p.next);
        let next = raw.map_or(0, |p| p.next);
        let dead_known = match dead_from {
            Some(to) if to > next => dead::known(&self.lake, topic, partition, next, to).await?,
            _ => BTreeSet::new(),
        };
        let marks = raw.unwrap_or_default();
        Ok(Part {
            stream,
            topic: topic.to_owned(),
            partition,
            id,
            next,
            arrival: marks.arrival,
            raw_from: raw.map(|p| p.next),
            dead_from,
            dead_known,
            newest: marks.newest,
            reached: marks.reached,
            skipped: marks.skipped,
            dirty: false,
            rows: Rows::new(stream),
            dead: Vec::new(),
        })
    }

    /// Takes one record of the part at `index`. A record below the part's position is passed over:
    /// the lake has it.
    ///
    /// # Errors
    /// When it has to wait for its schema: nothing has happened, and it is to be given again before
    /// those after it.
    pub(crate) fn accept<'e>(
        &mut self,
        index: usize,
        record: &Record<'_>,
        envelope: impl FnOnce() -> Envelope<'e>,
    ) -> Result<(), Waiting> {
        let part = &mut self.parts[index];
        if record.offset < part.next {
            self.counts.repeated += 1;
            return Ok(());
        }
        let id = record.value.and_then(schema_id);
        let schema = match self.registry.as_mut().zip(id).map(|(r, id)| r.look_up(id)) {
            None => None,
            Some(LookUp::Found(schema)) => schema,
            Some(LookUp::Waiting(reason)) => return Err(Waiting { reason }),
        };
        part.next = record.offset + 1;
        self.counts.records += 1;
        self.buffered_since.get_or_insert_with(Instant::now);
        let Some(value) = record.value else {
            part.skipped += 1;
            self.counts.tombstones += 1;
            return Ok(());
        };
        let Some(decoder) = self.decoders.get_mut(&part.stream) else { return Ok(()) };
        let (arrival, attributes) = (record.arrival, record.attributes);
        let input = Input { value, arrival, attributes, schema: schema.as_deref() };
        let mut event = Event::default();
        match decoder.read(&input, &mut event) {
            // It was rejected before a crash, its schema being unknown then: it stays so.
            Ok(()) if !part.dead_known.is_empty() && part.dead_known.contains(&record.offset) => {
                self.counts.rejected += 1;
            }
            Ok(()) => {
                self.counts.accepted += 1;
                let late = part.take(&event, record.offset, record.arrival);
                self.counts.late += u64::from(late);
            }
            Err(rejection) => {
                self.counts.rejected += 1;
                *self.counts.by_reason.entry(rejection.reason.as_str()).or_default() += 1;
                tracing::debug!(topic = part.topic, partition = part.partition, offset = record.offset, %rejection, "rejected");
                if !part.dead_known.contains(&record.offset) {
                    let (offset, arrival) = (record.offset, record.arrival);
                    let lake = &self.lake;
                    part.dead.push(DeadLetter::seal(
                        lake,
                        offset,
                        arrival,
                        rejection,
                        value,
                        &envelope(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether a commit is due.
    pub(crate) fn due(&self) -> bool {
        let Some(since) = self.buffered_since else { return false };
        let rows: usize = self.parts.iter().map(|p| p.rows.len()).sum();
        let bytes: usize = self.parts.iter().map(|p| p.rows.bytes()).sum();
        rows >= self.limits.rows || bytes >= self.limits.bytes || since.elapsed() >= self.limits.age
    }

    /// Commits what is buffered: the dead letters first, then each stream's raw table. The indices
    /// of parts that another worker has moved on meanwhile: nothing of theirs was committed to the
    /// raw table, their buffers are empty, and they are to be assigned anew.
    pub(crate) async fn flush(&mut self) -> Result<Vec<usize>, IngestError> {
        self.judge()?;
        self.buffered_since = None;
        let mut live: Vec<usize> =
            (0..self.parts.len()).filter(|i| self.parts[*i].changed()).collect();
        let mut lost = self.flush_dead(&mut live).await?;
        lake::fault::point("dead letters committed", "");
        let streams: BTreeSet<Stream> = live.iter().map(|i| self.parts[*i].stream).collect();
        for stream in streams {
            let of_stream: Vec<usize> =
                live.iter().copied().filter(|i| self.parts[*i].stream == stream).collect();
            lost.extend(self.flush_raw(stream, of_stream).await?);
        }
        for index in &lost {
            let part = &mut self.parts[*index];
            part.rows = Rows::new(part.stream);
            part.dead.clear();
        }
        Ok(lost)
    }

    /// More rejected than accepted: a wrong topic must not fill the dead letters.
    fn judge(&self) -> Result<(), IngestError> {
        let counts = &self.counts;
        let mostly = counts.records >= ENOUGH_TO_JUDGE && counts.rejected * 2 > counts.records;
        if self.accept_rejects || !mostly {
            return Ok(());
        }
        let worst = self.parts.iter().max_by_key(|p| p.dead.len());
        let reason = counts.by_reason.iter().max_by_key(|(_, n)| **n);
        Err(IngestError::MostlyRejected {
            stream: worst.map_or_else(String::new, |p| p.stream.to_string()),
            records: counts.records,
            rejected: counts.rejected,
            reason: reason.map_or_else(String::new, |(reason, _)| (*reason).to_owned()),
        })
    }

    /// Commits the dead letters of the live parts, always, even without rows: what stands there is
    /// how a zombie is found out first. Takes moved parts out of `live` and returns them.
    async fn flush_dead(&mut self, live: &mut Vec<usize>) -> Result<Vec<usize>, IngestError> {
        let mut lost = Vec::new();
        while !live.is_empty() {
            let parts: Vec<&Part> = live.iter().map(|i| &self.parts[*i]).collect();
            let files = dead::write(&self.lake, &parts).await?;
            let advances: Vec<_> = parts.iter().map(|p| p.advance_dead()).collect();
            match self.dead.append(&advances, &files).await? {
                Appended::Done { .. } => break,
                Appended::Moved(ids) => lost.extend(self.take_moved(live, &ids)),
            }
        }
        Ok(lost)
    }

    async fn flush_raw(
        &mut self,
        stream: Stream,
        mut live: Vec<usize>,
    ) -> Result<Vec<usize>, IngestError> {
        let mut lost = Vec::new();
        let mut batches = BTreeMap::new();
        let now = chrono::Utc::now().timestamp_micros();
        for index in &live {
            let rows = &mut self.parts[*index].rows;
            if !rows.is_empty() {
                batches.insert(*index, rows.finish(now)?);
            }
        }
        while !live.is_empty() {
            let files = self.write_raw(stream, &batches).await?;
            let advances: Vec<_> = live.iter().map(|i| self.parts[*i].advance_raw()).collect();
            let Some(appender) = self.raw.get_mut(&stream) else { break };
            match appender.append(&advances, &files).await? {
                Appended::Done { version } => {
                    self.counts.commits += 1;
                    self.counts.bytes += files.iter().map(|f| f.bytes).sum::<u64>();
                    let rows: u64 = files.iter().map(|f| f.rows).sum();
                    tracing::debug!(%stream, version, rows, files = files.len(), "committed");
                    break;
                }
                Appended::Moved(ids) => {
                    let moved = self.take_moved(&mut live, &ids);
                    batches.retain(|index, _| !moved.contains(index));
                    lost.extend(moved);
                }
            }
        }
        for index in live {
            self.parts[index].committed();
        }
        Ok(lost)
    }

    async fn write_raw(
        &self,
        stream: Stream,
        batches: &BTreeMap<usize, arrow::array::RecordBatch>,
    ) -> Result<Vec<PendingFile>, IngestError> {
        let def = schema::raw(stream);
        let all: Vec<_> = batches.values().cloned().collect();
        let mut files = Vec::new();
        for (day, batch) in by_day(&all)? {
            files.push(self.lake.write_file(&def, Some(day), &[batch], BTreeMap::new()).await?);
        }
        Ok(files)
    }

    fn take_moved(&self, live: &mut Vec<usize>, ids: &[PartitionId]) -> Vec<usize> {
        let (moved, rest) = live.iter().partition(|i| ids.contains(&self.parts[**i].id));
        *live = rest;
        for index in &moved {
            let part: &Part = &self.parts[*index];
            tracing::warn!(
                topic = part.topic,
                partition = part.partition,
                "another worker has gone on with this partition; what was read here is dropped and read again"
            );
        }
        moved
    }
}
