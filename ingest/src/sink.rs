//! Sorts accepted and rejected records into partition buffers, and commits the buffers together
//! with their positions, a [flush](crate::flush) at a time.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use domain::Stream;
use lake::{Lake, PartitionId, TableSnapshot};
use tokio::task::JoinHandle;

use crate::dead_letters::read::dead_letter_table;
use crate::dead_letters::rejected_record::{RecordMetadata, RejectedRecord, RejectionCause};
use crate::dead_letters::write;
use crate::decode::{CloudEventAttributes, Decoder, Event, RecordInput, Rows, schema_id};
use crate::error::IngestError;
use crate::flush::{Committer, FlushOutcome};
use crate::mapping::{Mapped, Mapping, MappingContext, MappingFailure, record_position};
use crate::partition_buffer::{FlushSlice, PartitionBuffer};
use crate::registry::{SchemaLookup, SchemaRegistry};
use crate::settings::FlushLimits;
use crate::status::{CommitTimes, IngestCounts};

/// From this number of records on a run fails when more of them are rejected than accepted.
const REJECT_RATE_MIN_RECORDS: u64 = 10_000;

/// A record from Kafka or a line of a file.
pub(crate) struct SourceRecord<'a> {
    pub(crate) offset: i64,
    /// The arrival in µs since 1970 UTC.
    pub(crate) arrival: i64,
    /// `None` for a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    /// The attributes of a CloudEvents record in binary mode.
    pub(crate) attributes: Option<CloudEventAttributes<'a>>,
}

/// A record can't be decoded before its schema is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaPending {
    /// Why the schema is not known, or `None` when nothing has failed yet.
    pub(crate) reason: Option<String>,
}

/// The buffers of one worker, and the decoders and tables that they need.
pub(crate) struct Sink {
    pub(crate) lake: Lake,
    pub(crate) buffers: Vec<PartitionBuffer>,
    pub(crate) counts: IngestCounts,
    /// The registry with the schemas of Avro records. Without it Avro records are rejected.
    pub(crate) registry: Option<SchemaRegistry>,
    /// The mappings of the streams whose records are no events. A buffer takes its mapping when it
    /// is opened.
    pub(crate) mappings: BTreeMap<Stream, Mapping>,
    pub(crate) commit_times: CommitTimes,
    /// `None` while a flush is in flight.
    committer: Option<Committer>,
    in_flight: Option<JoinHandle<(Committer, Result<FlushOutcome, IngestError>)>>,
    decoders: BTreeMap<Stream, Decoder>,
    limits: FlushLimits,
    accept_rejects: bool,
    buffered_since: Option<Instant>,
}

impl Sink {
    /// Opens the tables of the streams, without any buffer.
    pub(crate) async fn open(
        lake: &Lake,
        streams: impl IntoIterator<Item = Stream>,
        limits: FlushLimits,
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
            buffers: Vec::new(),
            counts: IngestCounts::default(),
            registry: None,
            mappings: BTreeMap::new(),
            commit_times: CommitTimes::default(),
            committer: Some(Committer::open(lake, streams).await?),
            in_flight: None,
            decoders,
            limits,
            accept_rejects,
            buffered_since: None,
        })
    }

    /// Returns the newest transaction ids of a stream's raw table. No flush may be in flight.
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

    /// Returns the dead letters as they are now, to open partitions by. They are read before the
    /// positions of the raw tables: a replay takes a dead letter away only after that position has passed
    /// it, so those after the position are all there.
    pub(crate) async fn dead_letters(&self) -> Result<TableSnapshot, IngestError> {
        dead_letter_table(&self.lake).await
    }

    /// Returns an empty buffer at the position that the tables have for a partition. Where the raw
    /// table has none, `next_offset` is 0 and `raw_from` is `None`. No flush may be in flight.
    pub(crate) async fn open_partition(
        &mut self,
        dead_letters: &TableSnapshot,
        stream: Stream,
        topic: &str,
        partition: i32,
        id: PartitionId,
    ) -> Result<PartitionBuffer, IngestError> {
        let raw = id.position(self.transactions(stream).await?);
        let of_dead_letters = id.position(&dead_letters.txns);
        let dead_letters_from = of_dead_letters.map(|p| p.next);
        let next = raw.map_or(0, |p| p.next);
        let known_dead_letters = match dead_letters_from {
            Some(to) if to > next => {
                let of_partition = (stream, topic, partition);
                write::existing_offsets(&self.lake, dead_letters, of_partition, next..to).await?
            }
            _ => BTreeSet::new(),
        };
        let stored = raw.unwrap_or_default();
        Ok(PartitionBuffer {
            stream,
            topic: topic.to_owned(),
            partition,
            id,
            next_offset: next,
            arrival: stored.arrival,
            file_progress: stored.file_progress,
            raw_from: raw.map(|p| p.next),
            dead_letters_from,
            dead_letter_rereads: of_dead_letters.map_or(0, |p| p.rereads),
            committed_offset: raw.map(|p| p.next),
            in_flight_rows: 0,
            in_flight_bytes: 0,
            known_dead_letters,
            // Lakes of older versions may have a `newest` that is ahead of `reached`.
            newest: stored.newest.min(stored.reached),
            reached: stored.reached,
            skipped: stored.skipped,
            mapping: self.mappings.get(&stream).cloned(),
            dirty: false,
            rows: Rows::new(stream),
            spare_rows: None,
            rejected: Vec::new(),
        })
    }

    /// Decodes one record and adds it to the buffer at `index`. Skips a record below the buffer's
    /// position, because the lake has it already.
    ///
    /// # Errors
    /// Fails when the record's schema is not known yet. Nothing has changed then, and the caller
    /// must give the record again before those after it.
    pub(crate) fn accept<'e>(
        &mut self,
        index: usize,
        record: &SourceRecord<'_>,
        metadata: impl FnOnce() -> RecordMetadata<'e>,
    ) -> Result<(), SchemaPending> {
        let buffer = &mut self.buffers[index];
        if record.offset < buffer.next_offset {
            self.counts.already_stored += 1;
            return Ok(());
        }
        let id = record.value.and_then(schema_id);
        let schema = match self.registry.as_mut().zip(id).map(|(r, id)| r.look_up(id)) {
            None => None,
            Some(SchemaLookup::Found(schema)) => schema,
            Some(SchemaLookup::Pending(reason)) => return Err(SchemaPending { reason }),
        };
        buffer.next_offset = record.offset + 1;
        self.counts.records += 1;
        self.buffered_since.get_or_insert_with(Instant::now);
        let Some(value) = record.value else {
            buffer.skipped += 1;
            self.counts.tombstones += 1;
            return Ok(());
        };
        let Some(decoder) = self.decoders.get_mut(&buffer.stream) else { return Ok(()) };
        let (arrival, attributes) = (record.arrival, record.attributes);
        let input = RecordInput { value, arrival, attributes, schema: schema.as_deref() };
        let metadata = LazyCell::new(metadata);
        let is_known_dead_letter = !buffer.known_dead_letters.is_empty()
            && buffer.known_dead_letters.contains(&record.offset);
        let mapped = buffer.mapping.as_ref().map(|mapping| {
            let of_record = || record_position(&buffer.topic, buffer.partition, record.offset);
            let position = metadata.position.clone().unwrap_or_else(of_record);
            map_record(&self.lake, mapping, &input, &metadata, (&buffer.topic, &position))
        });
        let mut event = Event::default();
        let mut message = None;
        let decoded = match &mapped {
            None => decoder.parse_into(&input, &mut event),
            Some(Ok(Mapped::Event(json))) => {
                let value = json.as_bytes();
                let input = RecordInput { value, arrival, attributes: None, schema: None };
                decoder.parse_into(&input, &mut event)
            }
            Some(Ok(Mapped::Skipped { .. })) if is_known_dead_letter => {
                self.counts.rejected += 1;
                return Ok(());
            }
            Some(Ok(Mapped::Skipped { .. })) => {
                buffer.skipped += 1;
                self.counts.skipped += 1;
                return Ok(());
            }
            Some(Err(failure)) => {
                message.clone_from(&failure.message);
                Err(failure.rejection.clone())
            }
        };
        match decoded {
            // It was rejected before a crash, when its schema was unknown or its mapping another.
            // It stays a dead letter.
            Ok(()) if is_known_dead_letter => {
                self.counts.rejected += 1;
            }
            Ok(()) => {
                self.counts.accepted += 1;
                let late = buffer.push_event(&event, record.offset, record.arrival);
                self.counts.late += u64::from(late);
            }
            Err(rejection) => {
                let position = (buffer.topic.as_str(), buffer.partition, record.offset);
                self.counts.record_rejection(buffer.stream, position, &rejection);
                tracing::debug!(topic = buffer.topic, partition = buffer.partition, offset = record.offset, %rejection, "rejected");
                if !is_known_dead_letter {
                    let (offset, arrival) = (record.offset, record.arrival);
                    let mapping = buffer.mapping.as_ref().map(|m| m.name().to_owned());
                    let cause = RejectionCause { rejection, mapping, message };
                    let sealed =
                        RejectedRecord::seal(&self.lake, offset, arrival, cause, value, &metadata);
                    buffer.rejected.push(sealed);
                }
            }
        }
        Ok(())
    }

    /// Whether a flush should start now.
    pub(crate) fn is_flush_due(&self) -> bool {
        let Some(since) = self.buffered_since else { return false };
        since.elapsed() >= self.limits.age || self.exceeds_limits()
    }

    fn exceeds_limits(&self) -> bool {
        let rows: usize = self.buffers.iter().map(|p| p.rows.len()).sum();
        let bytes: usize = self.buffers.iter().map(|p| p.rows.bytes()).sum();
        rows >= self.limits.rows || bytes >= self.limits.bytes
    }

    /// Whether reading must stop, because a flush is due and the one before it is still in flight.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight.is_some() && self.exceeds_limits()
    }

    /// Starts to commit what is buffered, on another thread. No flush may be in flight.
    /// [`Sink::finish_flush`] takes the result.
    pub(crate) fn start_flush(
        &mut self,
        runtime: &tokio::runtime::Handle,
    ) -> Result<(), IngestError> {
        let (slices, now) = (self.take_slices()?, chrono::Utc::now().timestamp_micros());
        let Some(mut committer) = self.committer.take() else { return Ok(()) };
        let inside = runtime.clone();
        self.in_flight = Some(runtime.spawn_blocking(move || {
            let outcome = inside.block_on(committer.commit(slices, now));
            (committer, outcome)
        }));
        Ok(())
    }

    /// Whether a flush is in flight.
    pub(crate) fn has_flush_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether the flush in flight is done, so that [`Sink::finish_flush`] returns at once.
    pub(crate) fn is_flush_done(&self) -> bool {
        self.in_flight.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits for the flush in flight and applies its result. Returns the indices of the buffers
    /// whose partition another worker has moved on: their slices are not in the raw table, the
    /// buffers are empty, and their partitions must be opened again.
    pub(crate) async fn finish_flush(&mut self) -> Result<Vec<usize>, IngestError> {
        let Some(task) = self.in_flight.take() else { return Ok(Vec::new()) };
        let (committer, outcome) = match task.await {
            Ok(landed) => landed,
            // The task is never cancelled.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.committer = Some(committer);
        Ok(self.apply_outcome(outcome?))
    }

    /// Commits the flush in flight and what is buffered. Returns the lost buffers of both, as
    /// [`Sink::finish_flush`] does.
    pub(crate) async fn flush(&mut self) -> Result<Vec<usize>, IngestError> {
        let mut lost = self.finish_flush().await?;
        let (slices, now) = (self.take_slices()?, chrono::Utc::now().timestamp_micros());
        if let Some(committer) = &mut self.committer {
            let outcome = committer.commit(slices, now).await?;
            lost.extend(self.apply_outcome(outcome));
        }
        Ok(lost)
    }

    /// Takes the slices of all buffers that have changes.
    fn take_slices(&mut self) -> Result<Vec<FlushSlice>, IngestError> {
        self.check_reject_rate()?;
        self.buffered_since = None;
        let changed =
            self.buffers.iter_mut().enumerate().filter(|(_, buffer)| buffer.has_changes());
        Ok(changed.map(|(index, buffer)| buffer.take_slice(index)).collect())
    }

    fn apply_outcome(&mut self, outcome: FlushOutcome) -> Vec<usize> {
        self.counts.commits += outcome.commits;
        self.counts.bytes += outcome.bytes;
        if outcome.commits > 0 {
            self.commit_times.add(outcome.took);
        }
        for buffer in &mut self.buffers {
            (buffer.in_flight_rows, buffer.in_flight_bytes) = (0, 0);
        }
        for (index, next) in outcome.committed {
            self.buffers[index].committed_offset = Some(next);
        }
        for (index, rows) in outcome.spare_rows {
            self.buffers[index].spare_rows = Some(rows);
        }
        for index in &outcome.lost {
            self.buffers[*index].discard();
        }
        for (stream, first) in outcome.sealed {
            if let Some(decoder) = self.decoders.get_mut(&stream) {
                decoder.seal_before(first);
            }
        }
        outcome.lost
    }

    /// Fails when more records are rejected than accepted, so that a wrong topic does not fill the
    /// dead letters.
    fn check_reject_rate(&self) -> Result<(), IngestError> {
        let counts = &self.counts;
        let mostly =
            counts.records >= REJECT_RATE_MIN_RECORDS && counts.rejected * 2 > counts.records;
        if self.accept_rejects || !mostly {
            return Ok(());
        }
        let worst = self.buffers.iter().max_by_key(|p| p.rejected.len());
        let sealed = counts.sealed_days;
        if let Some(first) = counts.sealed_before.filter(|_| sealed * 2 > counts.rejected) {
            let (records, counts) = (counts.records, Box::new(counts.clone()));
            return Err(IngestError::MostlySealed { records, sealed, first, counts });
        }
        let reason = counts.by_reason.iter().max_by_key(|(_, n)| **n);
        Err(IngestError::MostlyRejected {
            stream: worst.map_or_else(String::new, |p| p.stream.to_string()),
            records: counts.records,
            rejected: counts.rejected,
            reason: reason.map_or_else(String::new, |(reason, _)| (*reason).to_owned()),
            counts: Box::new(counts.clone()),
        })
    }
}

/// Maps a record. One of Avro is turned into its JSON first.
fn map_record(
    lake: &Lake,
    mapping: &Mapping,
    record: &RecordInput<'_>,
    metadata: &RecordMetadata<'_>,
    (topic, position): (&str, &str),
) -> Result<Mapped, Box<MappingFailure>> {
    let (key, headers, arrival) = (metadata.key, metadata.headers.as_slice(), record.arrival);
    let pseudonym = &|credential: &str| lake.key().pseudonym(credential);
    let context = MappingContext { key, headers, topic, position, arrival, pseudonym };
    mapping.run_encoded(record.value, record.schema, &context)
}
