//! A Kafka broker inside the process, for the demo and for tests that need no durability: the mock
//! cluster of librdkafka.
//!
//! It keeps about 5 MiB or 100,000 batches a partition, drops the rest without an error, and is
//! empty at every start. So the producer must wait for the consumer, the consumer fails on a gap,
//! and an interrupted run produces the same records again, of which the lake skips those that it
//! has.

use std::collections::BTreeMap;

use domain::Stream;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::error::IngestError;
use crate::settings::KafkaSettings;

/// The cluster id in the positions of the embedded broker.
pub const EMBEDDED_CLUSTER_ID: &str = "embedded";

/// The greatest number of records that a producer may be ahead of the consumer. The busiest
/// partition's share of them is no more than the broker keeps.
pub const MAX_PRODUCER_LEAD: i64 = 100_000;

/// A running broker, which ends when it is dropped.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    topics: BTreeMap<Stream, String>,
}

impl EmbeddedBroker {
    /// Starts a broker with a topic for each stream: `call_partitions` partitions for the calls,
    /// and two for each other stream.
    ///
    /// # Errors
    /// Fails when the loopback interface has no free port.
    pub fn start(call_partitions: i32) -> Result<Self, IngestError> {
        let cluster = MockCluster::new(1)?;
        let mut topics = BTreeMap::new();
        for stream in Stream::ALL {
            let partitions = if stream == Stream::ApiCalls { call_partitions } else { 2 };
            cluster.create_topic(stream.name(), partitions, 1)?;
            topics.insert(stream, stream.name().to_owned());
        }
        Ok(Self { cluster, topics })
    }

    /// Returns the settings to connect to it.
    pub fn settings(&self) -> KafkaSettings {
        KafkaSettings {
            bootstrap_servers: self.cluster.bootstrap_servers(),
            group_id: "rapport".to_owned(),
            topics: self.topics.clone(),
            properties: BTreeMap::new(),
            registry: None,
            mappings: BTreeMap::new(),
            embedded: true,
        }
    }
}
