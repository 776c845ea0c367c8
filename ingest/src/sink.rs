//! Between the records and the lake: what is accepted is buffered by partition, and committed
//! together with the positions it was read up to, a [generation](crate::generation) at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use lake::{Lake, PartitionId};
use lake_types::{Day, Stream};
use tokio::task::JoinHandle;

use crate::dead::{self, DeadLetter, Envelope};
use crate::decode::{Attributes, Decoder, Event, Input, Rows, schema_id};
use crate::error::IngestError;
use crate::generation::{Committer, Outcome, Slice};
use crate::part::Part;
use crate::registry::{LookUp, Registry};
use crate::settings::Limits;
use crate::status::CommitTimes;

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
    /// Of the rejected ones those of days that retention has sealed.
    pub of_sealed_days: u64,
    /// The first day that is not.
    pub sealed_before: Option<Day>,
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
    pub(crate) times: CommitTimes,
    /// Away while a generation is in flight.
    committer: Option<Committer>,
    in_flight: Option<JoinHandle<(Committer, Result<Outcome, IngestError>)>>,
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
        let streams: Vec<Stream> = streams.into_iter().collect();
        let mut decoders = BTreeMap::new();
        for stream in &streams {
            let keyed = lake.clone();
            let hash = Arc::new(move |credential: &str| keyed.key().hash_credential(credential));
            decoders.insert(*stream, Decoder::new(*stream, hash));
        }
        Ok(Self {
            lake: lake.clone(),
            parts: Vec::new(),
            counts: Counts::default(),
            registry: None,
            times: CommitTimes::default(),
            committer: Some(Committer::open(lake, streams).await?),
            in_flight: None,
            decoders,
            limits,
            accept_rejects,
            buffered_since: None,
        })
    }

    /// The ids of a stream's raw table, newest; nothing may be in flight.
    pub(crate) async fn transactions(
        &mut self,
        stream: Stream,
    ) -> Result<&lake::Transactions, IngestError> {
        let committer = self.committer.as_mut().ok_or(IngestError::NoStreams)?;
        let transactions = committer.transactions(stream).await?;
        let sealed = lake::sealed_before(transactions);
        if let Some((first, decoder)) = sealed.zip(self.decoders.get_mut(&stream)) {
            decoder.seal_before(first);
        }
        Ok(transactions)
    }

    /// A partition as the tables know it now, with an empty buffer. Its `next` is the raw table's
    /// position, or 0 where that has none: then `raw_from` is `None`. Nothing may be in flight.
    pub(crate) async fn part(
        &mut self,
        stream: Stream,
        topic: &str,
        partition: i32,
        id: PartitionId,
    ) -> Result<Part, IngestError> {
        let raw = id.position(self.transactions(stream).await?);
        let committer = self.committer.as_mut().ok_or(IngestError::NoStreams)?;
        let dead_from = id.position(committer.dead_transactions().await?).map(|p| p.next);
        let next = raw.map_or(0, |p| p.next);
        let dead_known = match dead_from {
            Some(to) if to > next => {
                dead::known(&self.lake, stream, (topic, partition), next..to).await?
            }
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
            extent: marks.extent,
            raw_from: raw.map(|p| p.next),
            dead_from,
            in_lake: raw.map(|p| p.next),
            in_flight: (0, 0),
            dead_known,
            // A lake of a program that took any clock's word for the mark has one ahead of what was
            // reached; else it never is.
            mark: marks.newest.min(marks.reached),
            reached: marks.reached,
            skipped: marks.skipped,
            dirty: false,
            rows: Rows::new(stream),
            spare: None,
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
                self.counts.of_sealed_days += u64::from(rejection.sealed_before.is_some());
                self.counts.sealed_before = self.counts.sealed_before.max(rejection.sealed_before);
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
        since.elapsed() >= self.limits.age || self.is_large()
    }

    fn is_large(&self) -> bool {
        let rows: usize = self.parts.iter().map(|p| p.rows.len()).sum();
        let bytes: usize = self.parts.iter().map(|p| p.rows.bytes()).sum();
        rows >= self.limits.rows || bytes >= self.limits.bytes
    }

    /// Whether nothing more may be read: the next commit is due, and the one before is not done.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight.is_some() && self.is_large()
    }

    /// Begins to commit what is buffered, on another thread; nothing may be in flight. What becomes
    /// of it is to be had from [`Sink::settle`].
    pub(crate) fn begin(&mut self, runtime: &tokio::runtime::Handle) -> Result<(), IngestError> {
        let (slices, now) = (self.cut()?, chrono::Utc::now().timestamp_micros());
        let Some(mut committer) = self.committer.take() else { return Ok(()) };
        let inside = runtime.clone();
        self.in_flight = Some(runtime.spawn_blocking(move || {
            let outcome = inside.block_on(committer.commit(slices, now));
            (committer, outcome)
        }));
        Ok(())
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether what is in flight has come down, so that [`Sink::settle`] does not wait.
    pub(crate) fn has_landed(&self) -> bool {
        self.in_flight.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits for what is in flight and takes note of what became of it. The indices of parts that
    /// another worker has moved on meanwhile: what was in flight of theirs is not in the raw table,
    /// their buffers are empty, and they are to be assigned anew.
    pub(crate) async fn settle(&mut self) -> Result<Vec<usize>, IngestError> {
        let Some(task) = self.in_flight.take() else { return Ok(Vec::new()) };
        let (committer, outcome) = match task.await {
            Ok(landed) => landed,
            // The task is never cancelled.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.committer = Some(committer);
        Ok(self.note(outcome?))
    }

    /// Commits what is in flight and what is buffered; the lost parts of both, as
    /// [`Sink::settle`] has it.
    pub(crate) async fn flush(&mut self) -> Result<Vec<usize>, IngestError> {
        let mut lost = self.settle().await?;
        let (slices, now) = (self.cut()?, chrono::Utc::now().timestamp_micros());
        if let Some(committer) = &mut self.committer {
            let outcome = committer.commit(slices, now).await?;
            lost.extend(self.note(outcome));
        }
        Ok(lost)
    }

    /// Cuts off what is buffered of all parts.
    fn cut(&mut self) -> Result<Vec<Slice>, IngestError> {
        self.judge()?;
        self.buffered_since = None;
        let changed = self.parts.iter_mut().enumerate().filter(|(_, part)| part.changed());
        Ok(changed.map(|(index, part)| part.cut(index)).collect())
    }

    fn note(&mut self, outcome: Outcome) -> Vec<usize> {
        self.counts.commits += outcome.commits;
        self.counts.bytes += outcome.bytes;
        if outcome.commits > 0 {
            self.times.add(outcome.took);
        }
        for part in &mut self.parts {
            part.in_flight = (0, 0);
        }
        for (index, next) in outcome.committed {
            self.parts[index].in_lake = Some(next);
        }
        for (index, rows) in outcome.spare {
            self.parts[index].spare = Some(rows);
        }
        for index in &outcome.lost {
            self.parts[*index].let_go();
        }
        for (stream, first) in outcome.sealed {
            if let Some(decoder) = self.decoders.get_mut(&stream) {
                decoder.seal_before(first);
            }
        }
        outcome.lost
    }

    /// More rejected than accepted: a wrong topic must not fill the dead letters.
    fn judge(&self) -> Result<(), IngestError> {
        let counts = &self.counts;
        let mostly = counts.records >= ENOUGH_TO_JUDGE && counts.rejected * 2 > counts.records;
        if self.accept_rejects || !mostly {
            return Ok(());
        }
        let worst = self.parts.iter().max_by_key(|p| p.dead.len());
        let sealed = counts.of_sealed_days;
        if let Some(first) = counts.sealed_before.filter(|_| sealed * 2 > counts.rejected) {
            return Err(IngestError::MostlySealed { records: counts.records, sealed, first });
        }
        let reason = counts.by_reason.iter().max_by_key(|(_, n)| **n);
        Err(IngestError::MostlyRejected {
            stream: worst.map_or_else(String::new, |p| p.stream.to_string()),
            records: counts.records,
            rejected: counts.rejected,
            reason: reason.map_or_else(String::new, |(reason, _)| (*reason).to_owned()),
        })
    }
}
