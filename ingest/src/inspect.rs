//! What an operator wants to know of the broker before ingest runs: is it there, are the topics,
//! and which records does it still have.

use std::time::Duration;

use lake_types::Stream;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::error::IngestError;
use crate::native;
use crate::rebalance::Rebalances;
use crate::settings::KafkaSettings;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Who waits for the answer sits before a terminal.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// What the broker says of itself and of the topics that are on.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// `None` when the broker does not tell.
    pub cluster_id: Option<String>,
    /// In the order of the streams.
    pub topics: Vec<TopicState>,
}

#[derive(Debug, Clone)]
pub struct TopicState {
    pub stream: Stream,
    pub name: String,
    /// The broker's id of the topic; `-` where it does not say, as in the ids of positions.
    pub id: String,
    /// None when there is no such topic.
    pub partitions: Vec<PartitionState>,
    /// `message.timestamp.type`: `CreateTime` or `LogAppendTime`; `None` when the broker does not
    /// tell, or not us.
    pub timestamps: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    pub partition: i32,
    /// The first offset there is; `None` when the partition does not answer.
    pub first: Option<i64>,
    /// The offset after the last.
    pub end: Option<i64>,
}

/// Asks the broker. Blocks the thread, `runtime` waits for the part that can be waited for.
///
/// # Errors
/// [`IngestError::Unreachable`] when nobody answers, [`IngestError::Setting`] when the settings
/// make no client.
pub fn inspect(
    settings: &KafkaSettings,
    runtime: &tokio::runtime::Handle,
) -> Result<Inspection, IngestError> {
    let config = settings.consumer();
    let consumer: BaseConsumer<Rebalances> =
        config.create_with_context(Rebalances::default()).map_err(|e| settings.refused(e))?;
    let servers = &settings.bootstrap_servers;
    let metadata = consumer
        .fetch_metadata(None, FIRST_ANSWER)
        .map_err(|e| Rebalances::explain(&consumer, servers, &e))?;
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

fn partition(consumer: &BaseConsumer<Rebalances>, topic: &str, partition: i32) -> PartitionState {
    let bounds = consumer.fetch_watermarks(topic, partition, TIMEOUT).ok();
    PartitionState { partition, first: bounds.map(|b| b.0), end: bounds.map(|b| b.1) }
}

async fn timestamps(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Option<String> {
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await;
    let topic = described.ok()?.into_iter().next()?.ok()?;
    topic.get("message.timestamp.type")?.value.clone()
}
