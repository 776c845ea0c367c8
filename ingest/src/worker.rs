//! `ingest run`: a member of a consumer group that reads partitions into the lake exactly once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lake::{Lake, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::cluster::{Cluster, Topic};
use crate::dead::Envelope;
use crate::decode::Attributes;
use crate::error::IngestError;
use crate::native::{Message, PartitionQueue};
use crate::parked::{self, Parked};
use crate::part::Part;
use crate::rebalance::{Rebalance, Rebalances};
use crate::registry::Registry;
use crate::settings::{From, KafkaSettings, RunOptions};
use crate::sink::{Counts, Record, Sink, Waiting};
use crate::status::{PartitionStatus, Status};

/// How many records one drain of a partition's queue takes.
const BATCH: usize = 2048;
/// A partition without new records for so long no longer holds the watermark up.
const QUIET: Duration = Duration::from_secs(300);
/// How often a quiet partition's mark is committed.
const QUIET_COMMIT: Duration = Duration::from_secs(60);

/// Runs until `stop` is set, or until caught up where the options say so; commits what it holds
/// before it returns. Blocks the thread: lake work goes to `runtime`.
///
/// # Errors
/// See [`IngestError`]; what was committed stays, what was not is read again by the next run.
pub fn run(
    lake: &Lake,
    settings: &KafkaSettings,
    options: &RunOptions,
    runtime: &tokio::runtime::Handle,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Status),
) -> Result<Counts, IngestError> {
    let consumer: BaseConsumer<Rebalances> = create(settings)?;
    let cluster = Cluster::inspect(&consumer, settings)?;
    consumer.context().connected();
    let streams = settings.topics.keys().copied();
    let mut sink =
        runtime.block_on(Sink::open(lake, streams, options.limits, options.accept_rejects))?;
    let registry = settings.registry.as_ref();
    sink.registry = registry.map(|settings| Registry::new(settings, runtime)).transpose()?;
    let ends = if options.until_caught_up { Some(cluster.ends(&consumer)?) } else { None };
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
    let mut result = worker.join().and_then(|()| worker.read(stop, progress));
    if matches!(result, Err(IngestError::Gap { .. })) {
        // What was read before the gap may be gone from the broker as well.
        result = worker.commit().and(result);
    }
    // Even after an error the group is left in order; what was not committed is read again.
    if let Err(error) = runtime.block_on(worker.sink.settle()) {
        result = result.and(Err(error));
    }
    worker.queues.clear();
    let counts = worker.sink.counts.clone();
    consumer.context().close();
    consumer.unsubscribe();
    result.map(|()| counts)
}

fn create(settings: &KafkaSettings) -> Result<BaseConsumer<Rebalances>, IngestError> {
    let made = settings.consumer().create_with_context(Rebalances::default());
    made.map_err(|e| settings.refused(e))
}

struct Worker<'c> {
    consumer: &'c BaseConsumer<Rebalances>,
    cluster: &'c Cluster,
    options: &'c RunOptions,
    runtime: &'c tokio::runtime::Handle,
    sink: Sink,
    /// By the same index as `sink.parts`.
    queues: Vec<Queue<'c>>,
    /// Where the partitions ended when the run began.
    ends: Option<BTreeMap<(String, i32), i64>>,
    assigned: bool,
    last_commit: Instant,
}

struct Queue<'c> {
    records: PartitionQueue<'c>,
    /// The offset that the broker gives next, as far as it was read.
    read: i64,
    /// Since when the position has been the partition's end.
    at_end_since: Option<Instant>,
    end: i64,
    /// Its next record can't be taken, and nothing after it.
    parked: Option<Parked>,
}

impl Worker<'_> {
    /// Joins the group; of the embedded broker, which lives for one worker, all is taken at once.
    fn join(&mut self) -> Result<(), IngestError> {
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

    fn read(
        &mut self,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(&Status),
    ) -> Result<(), IngestError> {
        let mut idle = false;
        loop {
            let full = self.sink.is_full();
            self.serve(match (full, idle) {
                (true, _) => Duration::from_millis(2),
                (false, true) => Duration::from_millis(20),
                (false, false) => Duration::ZERO,
            })?;
            idle = true;
            // None while the group is joined again.
            let parts = if full { 0 } else { self.sink.parts.len() };
            for index in 0..parts {
                idle &= !self.drain(index)?;
            }
            self.note_quiet();
            let caught_up = self.caught_up();
            // Looked at once a turn: whoever stops the run after this waits for the next commit.
            let stopping = stop.load(Ordering::Relaxed);
            let stuck = if caught_up { None } else { self.stuck() };
            let ending = caught_up || stopping || stuck.is_some();
            if ending && let Some(clock) = self.options.clock_at_end {
                self.sink.parts.iter_mut().for_each(|part| part.reach(clock));
            }
            let quiet_due = idle
                && self.last_commit.elapsed() >= QUIET_COMMIT
                && self.sink.parts.iter().any(Part::changed);
            if (ending && self.commit()?) || (self.sink.has_landed() && self.land()?) {
                self.rejoin()?;
            }
            if !self.sink.is_in_flight() && (self.sink.due() || quiet_due) {
                self.sink.begin(self.runtime)?;
            }
            progress(&self.status());
            if let Some(error) = stuck {
                return Err(error);
            }
            // A lost race may have taken a partition back below its end.
            if stopping || (caught_up && self.caught_up()) {
                return Ok(());
            }
        }
    }

    /// Serves the client's events: errors, and what the group decided.
    fn serve(&mut self, wait: Duration) -> Result<(), IngestError> {
        let consumer = self.consumer;
        match consumer.poll(wait) {
            None => {}
            // Brokers come and go; the client reconnects by itself.
            Some(Err(error)) => tracing::debug!(%error, "poll"),
            // Every partition has a queue of its own before it is assigned.
            Some(Ok(message)) => {
                let (topic, partition) = (message.topic().to_owned(), message.partition());
                return Err(IngestError::Stray { topic, partition, offset: message.offset() });
            }
        }
        let events = self.consumer.context().take();
        for event in events {
            match event {
                Rebalance::Assigned(partitions) => self.assign(&partitions)?,
                Rebalance::Revoked => self.revoke()?,
            }
        }
        Ok(())
    }

    /// Takes partitions up where the lake stands, in the assignment itself: a seek afterwards
    /// could let records through that were fetched before it.
    fn assign(&mut self, partitions: &[(String, i32)]) -> Result<(), IngestError> {
        let mut list = TopicPartitionList::new();
        // Between two drains is when a commit may come.
        let batch = BATCH.min(self.options.limits.rows);
        self.sink.parts.clear();
        self.queues.clear();
        for (name, partition) in partitions {
            let Some(topic) = self.cluster.topics.iter().find(|t| t.name == *name) else {
                continue;
            };
            let part = self.position(topic, *partition)?;
            // The embedded broker begins anew at 0; what the lake has of it is passed over.
            let read = if self.cluster.embedded { 0 } else { part.next };
            list.add_partition_offset(name, *partition, Offset::Offset(read))?;
            // The queue comes before the assignment, so that no record goes past it.
            let records = PartitionQueue::take(self.consumer.client(), name, *partition, batch)
                .ok_or_else(|| IngestError::Setting(format!("the queue of {name}/{partition}")))?;
            let end = part.next;
            self.queues.push(Queue { records, read, at_end_since: None, end, parked: None });
            self.sink.parts.push(part);
        }
        lake::fault::point("assigned", "");
        self.consumer.assign(&list)?;
        self.assigned = true;
        tracing::info!(partitions = partitions.len(), "assigned");
        Ok(())
    }

    /// The lake's position of a partition; where it has none, the one the options name.
    fn position(&mut self, topic: &Topic, partition: i32) -> Result<Part, IngestError> {
        let id = PartitionId::kafka(&self.cluster.id, &topic.name, &topic.id, partition);
        let known = self.runtime.block_on(self.sink.transactions(topic.stream))?;
        self.cluster.refuse_recreated(topic, known)?;
        let part = self.sink.part(topic.stream, &topic.name, partition, id);
        let mut part = self.runtime.block_on(part)?;
        if self.cluster.embedded {
            return Ok(part);
        }
        let (low, high) = self.cluster.bounds(self.consumer, &topic.name, partition)?;
        if part.raw_from.is_none() {
            part.next = match self.options.from {
                From::Earliest => low,
                From::Latest => high,
                From::Instant(micros) => self
                    .cluster
                    .offset_at(self.consumer, &topic.name, partition, micros)?
                    .unwrap_or(high),
            };
            part.dirty = part.next > 0;
        } else if part.next < low {
            if !self.options.accept_gap {
                let (from, to) = (part.next, low - 1);
                return Err(IngestError::Gap { topic: topic.name.clone(), partition, from, to });
            }
            tracing::warn!(
                topic = topic.name,
                partition,
                from = part.next,
                to = low,
                "records lost"
            );
            part.next = low;
        }
        Ok(part)
    }

    /// Commits what it can, then lets go.
    fn revoke(&mut self) -> Result<(), IngestError> {
        lake::fault::point("revoked", "");
        let committed = self.commit();
        self.queues.clear();
        self.sink.parts.clear();
        self.assigned = false;
        self.consumer.unassign()?;
        committed.map(drop)
    }

    /// Takes what was fetched of one partition; whether there was anything.
    fn drain(&mut self, index: usize) -> Result<bool, IngestError> {
        let queue = &mut self.queues[index];
        let batch = queue.records.drain();
        let (mut records, mut waiting) = (false, None);
        for (at, message) in batch.iter().enumerate() {
            match message.error() {
                None => {
                    if self.cluster.embedded && message.offset() != queue.read {
                        let part = &self.sink.parts[index];
                        let (topic, partition) = (part.topic.clone(), part.partition);
                        let (from, to) = (queue.read, message.offset() - 1);
                        return Err(IngestError::Gap { topic, partition, from, to });
                    }
                    queue.at_end_since = None;
                    if let Err(why) = take(&mut self.sink, index, &message) {
                        waiting = Some((at, why));
                        break;
                    }
                    records = true;
                    queue.read = message.offset() + 1;
                }
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF) => {
                    let part = &mut self.sink.parts[index];
                    // The end may lie behind markers that are no records.
                    part.next = part.next.max(message.offset());
                    queue.end = part.next;
                    queue.at_end_since.get_or_insert_with(Instant::now);
                }
                Some(
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
                    | RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
                ) => {
                    let part = &self.sink.parts[index];
                    let (topic, partition) = (part.topic.clone(), part.partition);
                    let (low, _) = self.cluster.bounds(self.consumer, &topic, partition)?;
                    return Err(IngestError::Gap {
                        topic,
                        partition,
                        from: part.next,
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
        let part = &self.sink.parts[index];
        match waiting {
            Some((at, why)) => {
                batch.keep_from(at);
                parked::note(&mut queue.parked, part, why.reason);
            }
            None => parked::note(&mut queue.parked, part, None),
        }
        Ok(records)
    }

    /// Moves the marks of partitions that have been at their end for a while.
    fn note_quiet(&mut self) {
        for (queue, part) in self.queues.iter().zip(&mut self.sink.parts) {
            if queue.at_end_since.is_some_and(|since| since.elapsed() >= QUIET) {
                let now = chrono::Utc::now().timestamp_micros();
                let quiet = i64::try_from(QUIET.as_micros()).unwrap_or(i64::MAX);
                // Whole minutes, so that an idle worker does not commit at every turn.
                part.reach((now - quiet).div_euclid(60_000_000) * 60_000_000);
            }
        }
    }

    fn caught_up(&self) -> bool {
        self.assigned && self.ends.is_some() && !self.sink.parts.iter().any(|p| self.is_behind(p))
    }

    /// Whether a part has not come to where it ended when the run began.
    fn is_behind(&self, part: &Part) -> bool {
        let Some(ends) = &self.ends else { return false };
        let end = ends.get(&(part.topic.clone(), part.partition));
        end.is_some_and(|end| part.next < *end)
    }

    /// For a run that is to end: why it will not, when all that is left has been parked for long.
    fn stuck(&self) -> Option<IngestError> {
        let patience = self.sink.registry.as_ref()?.patience;
        let behind = self.queues.iter().zip(&self.sink.parts).filter(|(_, p)| self.is_behind(p));
        let mut first = None;
        for (queue, part) in behind {
            let parked = queue.parked.as_ref().filter(|p| p.since.elapsed() >= patience)?;
            first.get_or_insert_with(|| parked.error(part));
        }
        first
    }

    /// Commits everything. Whether another worker has gone on with a partition: it is to be taken up
    /// anew.
    fn commit(&mut self) -> Result<bool, IngestError> {
        let lost = self.runtime.block_on(self.sink.flush())?;
        self.tell()?;
        Ok(!lost.is_empty())
    }

    /// Takes note of what was committed meanwhile. Whether another worker has gone on with a
    /// partition: then what is held of the others is committed too.
    fn land(&mut self) -> Result<bool, IngestError> {
        let lost = self.runtime.block_on(self.sink.settle())?;
        self.tell()?;
        if !lost.is_empty() {
            self.commit()?;
        }
        Ok(!lost.is_empty())
    }

    /// Tells Kafka what was committed; for lag tools only.
    fn tell(&mut self) -> Result<(), IngestError> {
        lake::fault::point("committed", "");
        self.last_commit = Instant::now();
        let mut list = TopicPartitionList::new();
        for part in &self.sink.parts {
            if let Some(next) = part.in_lake {
                list.add_partition_offset(&part.topic, part.partition, Offset::Offset(next))?;
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, rdkafka::consumer::CommitMode::Async)
        {
            tracing::debug!(%error, "advisory offsets");
        }
        Ok(())
    }

    /// Joins the group again, so that partitions are taken up where the lake stands now. What the
    /// old queues still hold is of no use to anybody. To assign these partitions ourselves would
    /// be to remove them twice when the group takes them away at the same time, as it does from a
    /// zombie, and that aborts librdkafka: "Assertion `rktp->rktp_started' failed".
    fn rejoin(&mut self) -> Result<(), IngestError> {
        self.sink.parts.clear();
        self.assigned = false;
        self.join()
    }

    fn status(&self) -> Status {
        let partitions: Vec<PartitionStatus> = self
            .queues
            .iter()
            .zip(&self.sink.parts)
            .map(|(queue, part)| {
                let end = crate::cluster::known_end(self.consumer, &part.topic, part.partition);
                PartitionStatus {
                    stream: part.stream,
                    topic: part.topic.clone(),
                    partition: part.partition,
                    next: part.next,
                    lag: (end.unwrap_or(queue.end) - part.next).max(0),
                    mark: part.mark,
                    reached: part.reached,
                    buffered_rows: part.rows.len() + part.in_flight.0,
                    buffered_bytes: part.rows.bytes() + part.in_flight.1,
                }
            })
            .collect();
        Status {
            counts: self.sink.counts.clone(),
            lag: partitions.iter().map(|p| p.lag).sum(),
            read: self.queues.iter().map(|q| q.read).sum(),
            partitions,
            commits: self.sink.times.clone(),
        }
    }
}

fn take(sink: &mut Sink, index: usize, message: &Message<'_>) -> Result<(), Waiting> {
    // A record without a timestamp (the oldest message format) arrives when it is read.
    let arrival = message
        .timestamp()
        .map_or_else(|| chrono::Utc::now().timestamp_micros(), |millis| millis * 1_000);
    let record = Record {
        offset: message.offset(),
        arrival,
        value: message.payload(),
        attributes: Attributes::read(|name| message.header(name)),
    };
    sink.accept(index, &record, || Envelope { key: message.key(), headers: message.headers() })
}
