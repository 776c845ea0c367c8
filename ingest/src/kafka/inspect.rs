//! Inspects the broker for an operator before ingest runs: whether it answers, whether the topics
//! exist, and which records it still has.

use std::time::Duration;

use domain::Stream;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::error::IngestError;
use crate::kafka::native;
use crate::kafka::rebalance::RebalanceListener;
use crate::settings::KafkaSettings;

const TIMEOUT: Duration = Duration::from_secs(10);
/// This timeout is short because an operator waits for the answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// The state of the broker and of the topics that are turned on.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// The cluster id, or `None` when the broker does not give one.
    pub cluster_id: Option<String>,
    /// The topics, in the order of the streams.
    pub topics: Vec<TopicState>,
}

/// The state of a topic.
#[derive(Debug, Clone)]
pub struct TopicState {
    pub stream: Stream,
    /// The topic's name.
    pub name: String,
    /// The broker's id of the topic, or `-` where it does not give one, as in the ids of positions.
    pub id: String,
    /// The partitions, which are empty when there is no such topic.
    pub partitions: Vec<PartitionState>,
    /// The value of `message.timestamp.type`: `CreateTime` or `LogAppendTime`. `None` when the
    /// broker does not give it, or not to this user.
    pub timestamps: Option<String>,
}

/// The state of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// The partition's number.
    pub partition: i32,
    /// The first offset, or `None` when the partition does not answer.
    pub first: Option<i64>,
    /// The offset after the last record.
    pub end: Option<i64>,
}

/// Asks the broker for its state. Blocks the thread; the admin client runs on `runtime`.
///
/// # Errors
/// Fails with [`IngestError::Unreachable`] when no broker answers, and with
/// [`IngestError::Setting`] when the settings are invalid.
pub fn inspect(
    settings: &KafkaSettings,
    runtime: &tokio::runtime::Handle,
) -> Result<Inspection, IngestError> {
    let config = settings.consumer();
    let consumer: BaseConsumer<RebalanceListener> = config
        .create_with_context(RebalanceListener::default())
        .map_err(|e| settings.client_error(e))?;
    let servers = &settings.bootstrap_servers;
    let metadata = consumer
        .fetch_metadata(None, FIRST_ANSWER)
        .map_err(|e| RebalanceListener::explain(&consumer, servers, &e))?;
    let admin: Option<AdminClient<DefaultClientContext>> = config.create().ok();
    let mut topics = Vec::new();
    for (stream, name) in &settings.topics {
        let found = metadata.topics().iter().find(|t| t.name() == name && t.error().is_none());
        let mut ids: Vec<i32> = found.map_or_else(Vec::new, |t| {
            t.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect()
        });
        ids.sort_unstable();
        let partitions = ids.into_iter().map(|id| partition(&consumer, name, id)).collect();
        let timestamps = match (&admin, found) {
            (Some(admin), Some(_)) => runtime.block_on(timestamps(admin, name)),
            _ => None,
        };
        let id = found.and_then(|_| native::topic_id(consumer.client(), name, TIMEOUT));
        topics.push(TopicState {
            stream: *stream,
            name: name.clone(),
            id: id.unwrap_or_else(|| "-".to_owned()),
            partitions,
            timestamps,
        });
    }
    Ok(Inspection { cluster_id: consumer.client().fetch_cluster_id(TIMEOUT), topics })
}

fn partition(
    consumer: &BaseConsumer<RebalanceListener>,
    topic: &str,
    partition: i32,
) -> PartitionState {
    let bounds = consumer.fetch_watermarks(topic, partition, TIMEOUT).ok();
    PartitionState { partition, first: bounds.map(|b| b.0), end: bounds.map(|b| b.1) }
}

async fn timestamps(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Option<String> {
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await;
    let topic = described.ok()?.into_iter().next()?.ok()?;
    topic.get("message.timestamp.type")?.value.clone()
}
