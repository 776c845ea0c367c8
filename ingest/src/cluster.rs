//! What the broker says of itself: cluster id, topics and their ids, the bounds of partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use lake::Transactions;
use lake_types::Stream;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::embedded::EMBEDDED_CLUSTER;
use crate::error::IngestError;
use crate::native;
use crate::rebalance::Rebalances;
use crate::settings::KafkaSettings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A broker that has just started answers before it knows its topics: it is asked so often,
const QUESTIONS: usize = 11;
/// each time after so long.
const BETWEEN: Duration = Duration::from_millis(500);

/// The cluster and the topics of the streams that are on.
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) topics: Vec<Topic>,
    /// The broker inside the process: it forgets everything when it ends.
    pub(crate) embedded: bool,
}

pub(crate) struct Topic {
    pub(crate) stream: Stream,
    pub(crate) name: String,
    /// The broker's id of the topic, which a topic made anew does not share; `-` where the broker
    /// does not say.
    pub(crate) id: String,
    pub(crate) partitions: Vec<i32>,
}

impl Cluster {
    pub(crate) fn inspect(
        consumer: &BaseConsumer<Rebalances>,
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
            return Ok(Self { id: EMBEDDED_CLUSTER.to_owned(), topics, embedded: true });
        }
        let id = consumer.client().fetch_cluster_id(TIMEOUT).ok_or_else(|| {
            IngestError::Unreachable {
                servers,
                reason: "it does not tell its cluster id".to_owned(),
            }
        })?;
        Ok(Self { id, topics, embedded: false })
    }

    /// Positions under another id of the same topic: offsets would start over unnoticed.
    pub(crate) fn refuse_recreated(
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
            Some(other) => Err(IngestError::Recreated {
                topic: topic.name.clone(),
                known: other.to_owned(),
                found: topic.id.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The first offset there is, and the one after the last.
    pub(crate) fn bounds<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        topic: &str,
        partition: i32,
    ) -> Result<(i64, i64), IngestError> {
        Ok(consumer.fetch_watermarks(topic, partition, TIMEOUT)?)
    }

    /// The ends of all partitions of all topics.
    pub(crate) fn ends<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
    ) -> Result<BTreeMap<(String, i32), i64>, IngestError> {
        let mut ends = BTreeMap::new();
        for topic in &self.topics {
            for partition in &topic.partitions {
                let (_, end) = self.bounds(consumer, &topic.name, *partition)?;
                ends.insert((topic.name.clone(), *partition), end);
            }
        }
        Ok(ends)
    }

    /// The offset of the first record that arrived at or after an instant; `None` past the end.
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

/// The end of a partition as the last fetch told it, without asking the broker.
pub(crate) fn known_end<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    native::known_end(consumer.client(), topic, partition)
}

/// The partitions of a topic, which has some.
fn partitions(
    consumer: &BaseConsumer<Rebalances>,
    servers: &str,
    name: &str,
) -> Result<Vec<i32>, IngestError> {
    for question in 0..QUESTIONS {
        if question > 0 {
            std::thread::sleep(BETWEEN);
        }
        let metadata = consumer
            .fetch_metadata(Some(name), TIMEOUT)
            .map_err(|e| Rebalances::explain(consumer, servers, &e))?;
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
    fn a_topic_made_anew_is_refused() {
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
        assert!(cluster.refuse_recreated(&topic("a-_1"), &known).is_ok());
        let error = cluster.refuse_recreated(&topic("b"), &known).expect_err("another topic");
        assert!(error.to_string().contains("as a-_1, it is b now"), "{error}");
        assert!(cluster.refuse_recreated(&topic("b"), &Transactions::new()).is_ok());
    }
}
