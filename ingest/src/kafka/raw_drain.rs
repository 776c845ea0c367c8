//! Reads a topic with librdkafka alone, as the baseline that the benchmark compares ingest with.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::error::IngestError;
use crate::kafka::native::{BATCH_RECORDS, PartitionQueue};
use crate::settings::KafkaSettings;

const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the drain waits for the next record before it fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A topic that is created for a measurement and deleted when this is dropped.
pub struct TemporaryTopic {
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Handle,
    name: String,
    group: String,
    partitions: i32,
}

/// What was read from the topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawDrainCounts {
    /// Records that were read.
    pub records: u64,
    /// Bytes of the records' values.
    pub bytes: u64,
}

impl TemporaryTopic {
    /// Creates the topic. Its consumer group is deleted together with it.
    ///
    /// # Errors
    /// Fails when the cluster can't be reached, or does not let this client create topics.
    pub fn create(
        settings: &KafkaSettings,
        name: &str,
        partitions: i32,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, IngestError> {
        let admin: AdminClient<DefaultClientContext> =
            settings.consumer().create().map_err(|e| settings.client_error(e))?;
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let servers = settings.bootstrap_servers.clone();
        let refused =
            |reason: String| IngestError::Unreachable { servers: servers.clone(), reason };
        let made = runtime.block_on(admin.create_topics([&topic], &options));
        for result in made.map_err(|e| refused(e.to_string()))? {
            result.map_err(|(_, code)| refused(format!("no topic could be made: {code}")))?;
        }
        let (name, group) = (name.to_owned(), settings.group_id.clone());
        Ok(Self { admin, runtime: runtime.clone(), name, group, partitions })
    }
}

impl Drop for TemporaryTopic {
    fn drop(&mut self) {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let deleted = self.runtime.block_on(self.admin.delete_topics(&[&self.name], &options));
        if !deleted.is_ok_and(|results| results.iter().all(Result::is_ok)) {
            tracing::warn!(topic = self.name, "the topic could not be deleted; delete it yourself");
        }
        // The group may not exist, because nobody joined it.
        drop(self.runtime.block_on(self.admin.delete_groups(&[&self.group], &options)));
    }
}

/// Reads a topic once from its beginning to its end, with the batches and the client settings of
/// ingest, and discards the records.
///
/// # Errors
/// Fails when the cluster can't be reached, or stops giving records before the end.
pub fn raw_drain(
    settings: &KafkaSettings,
    topic: &TemporaryTopic,
) -> Result<RawDrainCounts, IngestError> {
    let consumer: BaseConsumer =
        settings.consumer().create().map_err(|e| settings.client_error(e))?;
    let mut list = TopicPartitionList::new();
    let mut queues = Vec::new();
    for partition in 0..topic.partitions {
        list.add_partition_offset(&topic.name, partition, Offset::Beginning)?;
        let queue = PartitionQueue::open(consumer.client(), &topic.name, partition, BATCH_RECORDS);
        queues.push((queue.ok_or_else(|| IngestError::Setting("a queue".to_owned()))?, false));
    }
    consumer.assign(&list)?;
    let mut drained = RawDrainCounts::default();
    let mut last = Instant::now();
    while queues.iter().any(|(_, at_end)| !at_end) {
        let before = drained.records;
        for (queue, at_end) in &mut queues {
            for message in queue.drain().iter() {
                match message.error() {
                    None => {
                        drained.records += 1;
                        drained.bytes += message.payload().map_or(0, <[u8]>::len) as u64;
                    }
                    Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF) => *at_end = true,
                    Some(error) => tracing::debug!(?error, "draining"),
                }
            }
        }
        let idle = drained.records == before;
        drop(consumer.poll(if idle { Duration::from_millis(5) } else { Duration::ZERO }));
        if !idle {
            last = Instant::now();
        } else if last.elapsed() > IDLE_TIMEOUT {
            let servers = settings.bootstrap_servers.clone();
            let reason = format!("nothing came for {} s", IDLE_TIMEOUT.as_secs());
            return Err(IngestError::Unreachable { servers, reason });
        }
    }
    Ok(drained)
}
