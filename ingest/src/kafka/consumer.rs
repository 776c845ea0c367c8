//! `ingest run`: a member of a consumer group that reads partitions into the lake exactly once.
//!
//! It is one file of a little over 500 lines, because records, flushes, rebalances and the end of a run all
//! read and write the state of one worker, and their order is what makes it exact.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lake::{Lake, PartitionId, TableSnapshot};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::dead_letters::rejected_record::RecordMetadata;
use crate::decode::CloudEventAttributes;
use crate::error::IngestError;
use crate::kafka::cluster::{Cluster, Topic};
use crate::kafka::native::{self, BATCH_RECORDS, Message, PartitionQueue};
use crate::kafka::rebalance::{RebalanceEvent, RebalanceListener};
use crate::mapping::with_room;
use crate::partition_buffer::PartitionBuffer;
use crate::paused::{self, PausedPartition};
use crate::registry::SchemaRegistry;
use crate::settings::{KafkaSettings, RunOptions, StartPosition};
use crate::sink::{SchemaPending, Sink, SourceRecord};
use crate::status::{IngestCounts, PartitionStatus, Status};

/// How long a partition without new records holds the watermark back.
const IDLE_AFTER: Duration = Duration::from_secs(300);
/// How often the `reached` instants of idle partitions are committed.
const IDLE_COMMIT_INTERVAL: Duration = Duration::from_secs(60);

/// Runs until `stop` is set, or until it has caught up where the options say so, and commits what
/// is buffered before it returns. Blocks the thread; the lake's work runs on `runtime`.
///
/// # Errors
/// See [`IngestError`]. What was committed stays, and the rest is read again by the next run.
pub fn run(
    lake: &Lake,
    settings: &KafkaSettings,
    options: &RunOptions,
    runtime: &tokio::runtime::Handle,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Status),
) -> Result<IngestCounts, IngestError> {
    let mut run = || run_worker(lake, settings, options, runtime, stop, progress);
    if settings.mappings.is_empty() { run() } else { with_room(run) }
}

fn run_worker(
    lake: &Lake,
    settings: &KafkaSettings,
    options: &RunOptions,
    runtime: &tokio::runtime::Handle,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Status),
) -> Result<IngestCounts, IngestError> {
    let consumer: BaseConsumer<RebalanceListener> = create(settings)?;
    let cluster = Cluster::inspect(&consumer, settings)?;
    consumer.context().connected();
    let streams = settings.topics.keys().copied();
    let mut sink =
        runtime.block_on(Sink::open(lake, streams, options.limits, options.accept_rejects))?;
    let registry = settings.registry.as_ref();
    sink.mappings.clone_from(&settings.mappings);
    sink.registry = registry.map(|settings| SchemaRegistry::new(settings, runtime)).transpose()?;
    let ends = if options.until_caught_up { Some(cluster.end_offsets(&consumer)?) } else { None };
    let mut worker = Worker {
        consumer: &consumer,
        cluster: &cluster,
        options,
        runtime,
        sink,
        queues: Vec::new(),
        ends,
        assigned: false,
        last_commit: Instant::now(),
    };
    let mut result = worker.join_group().and_then(|()| worker.read_until_done(stop, progress));
    if matches!(result, Err(IngestError::OffsetGap { .. })) {
        // What was read before the gap may be gone from the broker as well.
        result = worker.commit().and(result);
    }
    // The consumer leaves the group in order even after an error.
    if let Err(error) = runtime.block_on(worker.sink.finish_flush()) {
        result = result.and(Err(error));
    }
    worker.queues.clear();
    let counts = worker.sink.counts.clone();
    consumer.context().close();
    consumer.unsubscribe();
    result.map(|()| counts)
}

fn create(settings: &KafkaSettings) -> Result<BaseConsumer<RebalanceListener>, IngestError> {
    let made = settings.consumer().create_with_context(RebalanceListener::default());
    made.map_err(|e| settings.client_error(e))
}

/// A member of the consumer group with its assigned partitions.
struct Worker<'c> {
    consumer: &'c BaseConsumer<RebalanceListener>,
    cluster: &'c Cluster,
    options: &'c RunOptions,
    runtime: &'c tokio::runtime::Handle,
    sink: Sink,
    /// The queues, with the same indices as `sink.buffers`.
    queues: Vec<AssignedQueue<'c>>,
    /// The ends of the partitions when the run began.
    ends: Option<BTreeMap<(String, i32), i64>>,
    assigned: bool,
    last_commit: Instant,
}

/// The queue of an assigned partition.
struct AssignedQueue<'c> {
    records: PartitionQueue<'c>,
    /// The offset of the next record from the broker.
    next_offset: i64,
    /// Since when the position has been the end of the partition.
    at_end_since: Option<Instant>,
    end: i64,
    /// Set while the next record can't be decoded, so that none after it is read.
    paused: Option<PausedPartition>,
}

impl Worker<'_> {
    /// Joins the group. With the embedded broker, which has one worker, all partitions are assigned
    /// at once.
    fn join_group(&mut self) -> Result<(), IngestError> {
        let topics: Vec<&str> = self.cluster.topics.iter().map(|t| t.name.as_str()).collect();
        if !self.cluster.embedded {
            return Ok(self.consumer.subscribe(&topics)?);
        }
        let all: Vec<_> = self
            .cluster
            .topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(|p| (t.name.clone(), *p)))
            .collect();
        self.assign(&all)
    }

    /// Reads records, and starts and applies flushes, until the run ends.
    fn read_until_done(
        &mut self,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(&Status),
    ) -> Result<(), IngestError> {
        let mut idle = false;
        loop {
            let full = self.sink.is_full();
            self.serve_events(match (full, idle) {
                (true, _) => Duration::from_millis(2),
                (false, true) => Duration::from_millis(20),
                (false, false) => Duration::ZERO,
            })?;
            idle = true;
            // There are no buffers while the group is being rejoined.
            let buffers = if full { 0 } else { self.sink.buffers.len() };
            for index in 0..buffers {
                idle &= !self.drain(index)?;
            }
            self.advance_idle_partitions();
            let caught_up = self.caught_up();
            // Loaded once for each turn, so that the next commit includes everything before the
            // stop.
            let stopping = stop.load(Ordering::Relaxed);
            let stuck = if caught_up { None } else { self.paused_too_long() };
            let ending = caught_up || stopping || stuck.is_some();
            if ending && let Some(clock) = self.options.clock_at_end {
                self.sink.buffers.iter_mut().for_each(|buffer| buffer.advance_reached(clock));
            }
            let idle_commit_due = idle
                && self.last_commit.elapsed() >= IDLE_COMMIT_INTERVAL
                && self.sink.buffers.iter().any(PartitionBuffer::has_changes);
            if (ending && self.commit()?) || (self.sink.is_flush_done() && self.finish_flush()?) {
                self.rejoin_group()?;
            }
            if !self.sink.has_flush_in_flight() && (self.sink.is_flush_due() || idle_commit_due) {
                self.sink.start_flush(self.runtime)?;
            }
            progress(&self.status());
            if let Some(error) = stuck {
                return Err(error);
            }
            // A lost commit may have moved a partition back below its end.
            if stopping || (caught_up && self.caught_up()) {
                return Ok(());
            }
        }
    }

    /// Handles the client's errors and the group's decisions.
    fn serve_events(&mut self, wait: Duration) -> Result<(), IngestError> {
        let consumer = self.consumer;
        match consumer.poll(wait) {
            None => {}
            // The client reconnects to brokers by itself.
            Some(Err(error)) => tracing::debug!(%error, "poll"),
            // Every partition has its own queue before it is assigned.
            Some(Ok(message)) => {
                let (topic, partition) = (message.topic().to_owned(), message.partition());
                return Err(IngestError::UnexpectedRecord {
                    topic,
                    partition,
                    offset: message.offset(),
                });
            }
        }
        let events = self.consumer.context().take_events();
        for event in events {
            match event {
                RebalanceEvent::Assigned(partitions) => self.assign(&partitions)?,
                RebalanceEvent::Revoked => self.revoke()?,
            }
        }
        Ok(())
    }

    /// Assigns partitions at the positions of the lake. The positions are part of the assignment,
    /// because a later seek could let through records that were fetched before it.
    fn assign(&mut self, partitions: &[(String, i32)]) -> Result<(), IngestError> {
        let mut list = TopicPartitionList::new();
        // A flush can only start between two batches.
        let batch = BATCH_RECORDS.min(self.options.limits.rows);
        self.sink.buffers.clear();
        self.queues.clear();
        let dead_letters = self.runtime.block_on(self.sink.dead_letters())?;
        for (name, partition) in partitions {
            let Some(topic) = self.cluster.topics.iter().find(|t| t.name == *name) else {
                continue;
            };
            let buffer = self.resume(&dead_letters, topic, *partition)?;
            // The embedded broker begins again at 0, and the records that the lake has are skipped.
            let next_offset = if self.cluster.embedded { 0 } else { buffer.next_offset };
            list.add_partition_offset(name, *partition, Offset::Offset(next_offset))?;
            // The queue is created before the assignment, so that no record bypasses it.
            let records = PartitionQueue::open(self.consumer.client(), name, *partition, batch)
                .ok_or_else(|| IngestError::Setting(format!("the queue of {name}/{partition}")))?;
            let end = buffer.next_offset;
            self.queues.push(AssignedQueue {
                records,
                next_offset,
                at_end_since: None,
                end,
                paused: None,
            });
            self.sink.buffers.push(buffer);
        }
        lake::failpoint::hit("assigned", "");
        self.consumer.assign(&list)?;
        self.assigned = true;
        tracing::info!(partitions = partitions.len(), "assigned");
        Ok(())
    }

    /// Opens a partition at the lake's position, or at the start position of the options where the
    /// lake has none.
    fn resume(
        &mut self,
        dead_letters: &TableSnapshot,
        topic: &Topic,
        partition: i32,
    ) -> Result<PartitionBuffer, IngestError> {
        let id = PartitionId::kafka(&self.cluster.id, &topic.name, &topic.id, partition);
        let known = self.runtime.block_on(self.sink.transactions(topic.stream))?;
        self.cluster.check_not_recreated(topic, known)?;
        let buffer =
            self.sink.open_partition(dead_letters, topic.stream, &topic.name, partition, id);
        let mut buffer = self.runtime.block_on(buffer)?;
        if self.cluster.embedded {
            return Ok(buffer);
        }
        let (low, high) = self.cluster.offset_bounds(self.consumer, &topic.name, partition)?;
        if buffer.raw_from.is_none() {
            buffer.next_offset = match self.options.start {
                StartPosition::Earliest => low,
                StartPosition::Latest => high,
                StartPosition::Instant(micros) => self
                    .cluster
                    .offset_at(self.consumer, &topic.name, partition, micros)?
                    .unwrap_or(high),
            };
            buffer.dirty = buffer.next_offset > 0;
        } else if buffer.next_offset < low {
            if !self.options.accept_gap {
                let (from, to) = (buffer.next_offset, low - 1);
                return Err(IngestError::OffsetGap {
                    topic: topic.name.clone(),
                    partition,
                    from,
                    to,
                });
            }
            tracing::warn!(
                topic = topic.name,
                partition,
                from = buffer.next_offset,
                to = low,
                "records lost"
            );
            buffer.next_offset = low;
        }
        Ok(buffer)
    }

    /// Commits what is buffered, and then gives up the partitions.
    fn revoke(&mut self) -> Result<(), IngestError> {
        lake::failpoint::hit("revoked", "");
        let committed = self.commit();
        self.queues.clear();
        self.sink.buffers.clear();
        self.assigned = false;
        self.consumer.unassign()?;
        committed.map(drop)
    }

    /// Takes the fetched records of one partition. Returns whether there were any.
    fn drain(&mut self, index: usize) -> Result<bool, IngestError> {
        let queue = &mut self.queues[index];
        let batch = queue.records.drain();
        let (mut records, mut waiting) = (false, None);
        for (at, message) in batch.iter().enumerate() {
            match message.error() {
                None => {
                    if self.cluster.embedded && message.offset() != queue.next_offset {
                        let buffer = &self.sink.buffers[index];
                        let (topic, partition) = (buffer.topic.clone(), buffer.partition);
                        let (from, to) = (queue.next_offset, message.offset() - 1);
                        return Err(IngestError::OffsetGap { topic, partition, from, to });
                    }
                    queue.at_end_since = None;
                    if let Err(why) = accept_message(&mut self.sink, index, &message) {
                        waiting = Some((at, why));
                        break;
                    }
                    records = true;
                    queue.next_offset = message.offset() + 1;
                }
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF) => {
                    let buffer = &mut self.sink.buffers[index];
                    // The end may lie behind control records, which are not delivered.
                    buffer.next_offset = buffer.next_offset.max(message.offset());
                    queue.end = buffer.next_offset;
                    queue.at_end_since.get_or_insert_with(Instant::now);
                }
                Some(
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
                    | RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
                ) => {
                    let buffer = &self.sink.buffers[index];
                    let (topic, partition) = (buffer.topic.clone(), buffer.partition);
                    let (low, _) = self.cluster.offset_bounds(self.consumer, &topic, partition)?;
                    return Err(IngestError::OffsetGap {
                        topic,
                        partition,
                        from: buffer.next_offset,
                        to: low - 1,
                    });
                }
                Some(error) => {
                    tracing::warn!(
                        ?error,
                        text = message.error_text(),
                        "a partition reports a problem"
                    );
                }
            }
        }
        let buffer = &self.sink.buffers[index];
        match waiting {
            Some((at, why)) => {
                batch.keep_from(at);
                paused::update(&mut queue.paused, buffer, why.reason);
            }
            None => paused::update(&mut queue.paused, buffer, None),
        }
        Ok(records)
    }

    /// Moves `reached` of the partitions that have been idle for a while.
    fn advance_idle_partitions(&mut self) {
        for (queue, buffer) in self.queues.iter().zip(&mut self.sink.buffers) {
            if queue.at_end_since.is_some_and(|since| since.elapsed() >= IDLE_AFTER) {
                let now = chrono::Utc::now().timestamp_micros();
                let idle_micros = i64::try_from(IDLE_AFTER.as_micros()).unwrap_or(i64::MAX);
                // Whole minutes, so that an idle worker does not commit at every turn.
                buffer.advance_reached((now - idle_micros).div_euclid(60_000_000) * 60_000_000);
            }
        }
    }

    fn caught_up(&self) -> bool {
        self.assigned && self.ends.is_some() && !self.sink.buffers.iter().any(|p| self.is_behind(p))
    }

    /// Whether a buffer has not reached the end that its partition had when the run began.
    fn is_behind(&self, buffer: &PartitionBuffer) -> bool {
        let Some(ends) = &self.ends else { return false };
        let end = ends.get(&(buffer.topic.clone(), buffer.partition));
        end.is_some_and(|end| buffer.next_offset < *end)
    }

    /// Returns the error of a run that can't catch up, because all partitions that are behind have
    /// been paused for too long.
    fn paused_too_long(&self) -> Option<IngestError> {
        let max_wait = self.sink.registry.as_ref()?.max_wait;
        let behind = self.queues.iter().zip(&self.sink.buffers).filter(|(_, p)| self.is_behind(p));
        let mut first = None;
        for (queue, buffer) in behind {
            let paused = queue.paused.as_ref().filter(|p| p.since.elapsed() >= max_wait)?;
            first.get_or_insert_with(|| paused.error(buffer));
        }
        first
    }

    /// Commits everything. Returns whether another worker has moved a partition on, so that the
    /// group must be rejoined.
    fn commit(&mut self) -> Result<bool, IngestError> {
        let lost = self.runtime.block_on(self.sink.flush())?;
        self.commit_kafka_offsets()?;
        Ok(!lost.is_empty())
    }

    /// Applies the flush that is done. Returns whether another worker has moved a partition on;
    /// then what is buffered of the other partitions is committed too.
    fn finish_flush(&mut self) -> Result<bool, IngestError> {
        let lost = self.runtime.block_on(self.sink.finish_flush())?;
        self.commit_kafka_offsets()?;
        if !lost.is_empty() {
            self.commit()?;
        }
        Ok(!lost.is_empty())
    }

    /// Commits the offsets to Kafka, where only monitoring tools read them.
    fn commit_kafka_offsets(&mut self) -> Result<(), IngestError> {
        lake::failpoint::hit("committed", "");
        self.last_commit = Instant::now();
        let mut list = TopicPartitionList::new();
        for buffer in &self.sink.buffers {
            if let Some(next) = buffer.committed_offset {
                list.add_partition_offset(&buffer.topic, buffer.partition, Offset::Offset(next))?;
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, rdkafka::consumer::CommitMode::Async)
        {
            tracing::debug!(%error, "advisory offsets");
        }
        Ok(())
    }

    /// Joins the group again, so that partitions are assigned at the lake's positions. The records
    /// in the old queues are dropped. Assigning the partitions without the group could remove them
    /// twice when the group takes them away at the same time, as it does from a zombie. librdkafka
    /// aborts on that: "Assertion `rktp->rktp_started' failed".
    fn rejoin_group(&mut self) -> Result<(), IngestError> {
        self.sink.buffers.clear();
        self.assigned = false;
        self.join_group()
    }

    fn status(&self) -> Status {
        let partitions: Vec<PartitionStatus> = self
            .queues
            .iter()
            .zip(&self.sink.buffers)
            .map(|(queue, buffer)| {
                let end = native::cached_end_offset(
                    self.consumer.client(),
                    &buffer.topic,
                    buffer.partition,
                );
                PartitionStatus {
                    stream: buffer.stream,
                    topic: buffer.topic.clone(),
                    partition: buffer.partition,
                    next_offset: buffer.next_offset,
                    lag: (end.unwrap_or(queue.end) - buffer.next_offset).max(0),
                    newest: buffer.newest,
                    reached: buffer.reached,
                    buffered_rows: buffer.rows.len() + buffer.in_flight_rows,
                    buffered_bytes: buffer.rows.bytes() + buffer.in_flight_bytes,
                }
            })
            .collect();
        Status {
            counts: self.sink.counts.clone(),
            lag: partitions.iter().map(|p| p.lag).sum(),
            offsets_read: self.queues.iter().map(|q| q.next_offset).sum(),
            partitions,
            commits: self.sink.commit_times.clone(),
        }
    }
}

fn accept_message(
    sink: &mut Sink,
    index: usize,
    message: &Message<'_>,
) -> Result<(), SchemaPending> {
    // A record without a timestamp, in the oldest message format, arrives when it is read.
    let arrival = message
        .timestamp()
        .map_or_else(|| chrono::Utc::now().timestamp_micros(), |millis| millis * 1_000);
    let record = SourceRecord {
        offset: message.offset(),
        arrival,
        value: message.payload(),
        attributes: CloudEventAttributes::read(|name| message.header(name)),
    };
    sink.accept(index, &record, || RecordMetadata {
        key: message.key(),
        headers: message.headers(),
        position: None,
    })
}
