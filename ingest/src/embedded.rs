//! A Kafka broker inside the process: librdkafka's mock cluster, for the demo and for tests that
//! need no durability.
//!
//! It keeps about 5 MiB or 100,000 batches a partition and drops the rest silently, and begins
//! anew with every start. So the producer must wait for the consumer, the consumer fails on a gap,
//! and an interrupted run produces the same records again, of which the lake passes over what it
//! has.

use std::collections::BTreeMap;

use lake_types::Stream;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::error::IngestError;
use crate::settings::KafkaSettings;

/// The cluster id that positions of the embedded broker are kept under.
pub const EMBEDDED_CLUSTER: &str = "embedded";

/// How many records a producer may be ahead of the consumer: of the busiest partition's share not
/// more than the broker keeps.
pub const WINDOW: i64 = 100_000;

/// The running broker; dropping it ends it.
pub struct Embedded {
    cluster: MockCluster<'static, DefaultProducerContext>,
    topics: BTreeMap<Stream, String>,
}

impl Embedded {
    /// Starts a broker with a topic for each stream: many partitions for the calls, one else.
    ///
    /// # Errors
    /// When the loopback interface has no port left.
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

    /// How to reach it.
    pub fn settings(&self) -> KafkaSettings {
        KafkaSettings {
            bootstrap_servers: self.cluster.bootstrap_servers(),
            group_id: "rapport".to_owned(),
            topics: self.topics.clone(),
            properties: BTreeMap::new(),
            registry: None,
            embedded: true,
        }
    }
}
