//! Reads from the broker the cluster id, the topics and their ids, and the offsets of partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Stream;
use lake::Transactions;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::error::IngestError;
use crate::kafka::embedded::EMBEDDED_CLUSTER_ID;
use crate::kafka::native;
use crate::kafka::rebalance::RebalanceListener;
use crate::settings::KafkaSettings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the metadata of a topic is requested. A broker that has just started answers before it
/// knows its topics.
const METADATA_ATTEMPTS: usize = 11;
/// The pause between two requests for metadata.
const METADATA_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The cluster and the topics of the streams that are turned on.
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) topics: Vec<Topic>,
    /// Whether it is the embedded broker, which loses everything when it ends.
    pub(crate) embedded: bool,
}

/// A topic and its partitions.
pub(crate) struct Topic {
    pub(crate) stream: Stream,
    pub(crate) name: String,
    /// The broker's id of the topic, or `-` where the broker does not give one. A topic that is
    /// deleted and created again has another id.
    pub(crate) id: String,
    pub(crate) partitions: Vec<i32>,
}

impl Cluster {
    /// Asks the broker for its id and the topics of the settings.
    pub(crate) fn inspect(
        consumer: &BaseConsumer<RebalanceListener>,
        settings: &KafkaSettings,
    ) -> Result<Self, IngestError> {
        if settings.topics.is_empty() {
            return Err(IngestError::NoStreams);
        }
        let servers = settings.bootstrap_servers.clone();
        let mut topics = Vec::new();
        for (stream, name) in &settings.topics {
            let partitions = partitions(consumer, &servers, name)?;
            let id = if settings.embedded {
                None
            } else {
                native::topic_id(consumer.client(), name, TIMEOUT)
            };
            let id = id.unwrap_or_else(|| "-".to_owned());
            topics.push(Topic { stream: *stream, name: name.clone(), id, partitions });
        }
        if settings.embedded {
            return Ok(Self { id: EMBEDDED_CLUSTER_ID.to_owned(), topics, embedded: true });
        }
        let id = consumer.client().fetch_cluster_id(TIMEOUT).ok_or_else(|| {
            IngestError::Unreachable {
                servers,
                reason: "it does not tell its cluster id".to_owned(),
            }
        })?;
        Ok(Self { id, topics, embedded: false })
    }

    /// Fails when the lake has positions under another id of the same topic, because offsets have
    /// started over then.
    pub(crate) fn check_not_recreated(
        &self,
        topic: &Topic,
        known: &Transactions,
    ) -> Result<(), IngestError> {
        let prefix = format!("{}/{}/", self.id, topic.name);
        let other = known
            .range(prefix.clone()..)
            .take_while(|(id, _)| id.starts_with(&prefix))
            .filter_map(|(id, _)| id[prefix.len()..].rsplit_once('/'))
            .map(|(topic_id, _)| topic_id)
            .find(|id| *id != topic.id);
        match other {
            Some(other) => Err(IngestError::TopicRecreated {
                topic: topic.name.clone(),
                known: other.to_owned(),
                found: topic.id.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Returns the first offset of a partition, and the one after the last.
    pub(crate) fn offset_bounds<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        topic: &str,
        partition: i32,
    ) -> Result<(i64, i64), IngestError> {
        Ok(consumer.fetch_watermarks(topic, partition, TIMEOUT)?)
    }

    /// Returns the end offsets of all partitions of all topics.
    pub(crate) fn end_offsets<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
    ) -> Result<BTreeMap<(String, i32), i64>, IngestError> {
        let mut ends = BTreeMap::new();
        for topic in &self.topics {
            for partition in &topic.partitions {
                let (_, end) = self.offset_bounds(consumer, &topic.name, *partition)?;
                ends.insert((topic.name.clone(), *partition), end);
            }
        }
        Ok(ends)
    }

    /// Returns the offset of the first record that arrived at or after an instant, or `None` past
    /// the end.
    pub(crate) fn offset_at<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        topic: &str,
        partition: i32,
        micros: i64,
    ) -> Result<Option<i64>, IngestError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(
            topic,
            partition,
            Offset::Offset((micros + 999).div_euclid(1_000)),
        )?;
        let found = consumer.offsets_for_times(list, TIMEOUT)?;
        let offset = found
            .elements()
            .first()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
        Ok(match offset {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }
}

/// Returns the partitions of a topic, which must have at least one.
fn partitions(
    consumer: &BaseConsumer<RebalanceListener>,
    servers: &str,
    name: &str,
) -> Result<Vec<i32>, IngestError> {
    for attempt in 0..METADATA_ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(METADATA_RETRY_INTERVAL);
        }
        let metadata = consumer
            .fetch_metadata(Some(name), TIMEOUT)
            .map_err(|e| RebalanceListener::explain(consumer, servers, &e))?;
        let found = metadata.topics().iter().find(|t| t.name() == name && t.error().is_none());
        let partitions = found.map(MetadataTopic::partitions).unwrap_or_default();
        if !partitions.is_empty() {
            return Ok(partitions.iter().map(MetadataPartition::id).collect());
        }
    }
    Err(IngestError::NoTopic { topic: name.to_owned(), servers: servers.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recreated_topic_is_refused() {
        let topic = |id: &str| Topic {
            stream: Stream::ApiCalls,
            name: "calls".to_owned(),
            id: id.to_owned(),
            partitions: vec![0],
        };
        let cluster = Cluster { id: "c".to_owned(), topics: Vec::new(), embedded: false };
        let known: Transactions =
            ["c/calls/a-_1/0", "c/calls/a-_1/0#newest", "c/calls2/b/0", "d/calls/z/0"]
                .map(|id| (id.to_owned(), 1))
                .into();
        assert!(cluster.check_not_recreated(&topic("a-_1"), &known).is_ok());
        let error = cluster.check_not_recreated(&topic("b"), &known).expect_err("another topic");
        assert!(error.to_string().contains("as a-_1, it is b now"), "{error}");
        assert!(cluster.check_not_recreated(&topic("b"), &Transactions::new()).is_ok());
    }
}
