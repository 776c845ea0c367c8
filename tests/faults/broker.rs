//! What the harness asks of Kafka itself: topics, records that go, and reading a topic to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::faults::feed::TRUTH;

const PATIENCE: Duration = Duration::from_secs(60);

/// A client that may change topics.
pub(crate) struct Admin {
    client: AdminClient<DefaultClientContext>,
    bootstrap: String,
}

/// A record as the topic has it, and what it must become.
pub(crate) struct Sent {
    pub(crate) truth: String,
    pub(crate) partner: String,
    /// Empty for a tombstone.
    pub(crate) value: Vec<u8>,
}

/// A worker's configuration. Workers that are killed or stopped are given up within a second.
pub(crate) fn config(bootstrap: &str, group: &str, topics: &str) -> String {
    format!(
        "[kafka]\nbootstrap_servers = \"{bootstrap}\"\ngroup_id = \"{group}\"\n\
         [kafka.topics]\n{topics}\n\
         [kafka.properties]\n\"session.timeout.ms\" = 1000\n\"heartbeat.interval.ms\" = 200\n\
         \"reconnect.backoff.max.ms\" = 500\n"
    )
}

impl Admin {
    pub(crate) fn new(bootstrap: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "500");
        let client = config.create().expect("a client");
        Self { client, bootstrap: bootstrap.to_owned() }
    }

    pub(crate) fn create(&self, topic: &str, partitions: i32) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let made = block_on(self.client.create_topics([&new], &options()));
        made.expect("an answer")[0].as_ref().expect("a new topic");
    }

    pub(crate) fn delete(&self, topic: &str) {
        let gone = block_on(self.client.delete_topics(&[topic], &options()));
        gone.expect("an answer")[0].as_ref().expect("a topic less");
    }

    /// Takes the records before an offset out of a partition.
    pub(crate) fn truncate(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        block_on(self.client.delete_records(&list, &options())).expect("records less");
    }

    /// Every record of a topic by partition and offset.
    pub(crate) fn read(&self, topic: &str) -> BTreeMap<(i32, i64), Sent> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("group.id", "count");
        let consumer: BaseConsumer =
            config.set("enable.auto.commit", "false").create().expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("an answer");
        let mut list = TopicPartitionList::new();
        let mut due = 0;
        for partition in metadata.topics()[0].partitions() {
            let (low, high) =
                consumer.fetch_watermarks(topic, partition.id(), PATIENCE).expect("its bounds");
            due += high - low;
            list.add_partition_offset(topic, partition.id(), Offset::Offset(low)).expect("a place");
        }
        consumer.assign(&list).expect("an assignment");
        let mut records = BTreeMap::new();
        while (records.len() as i64) < due {
            let message = consumer.poll(PATIENCE).expect("the rest of the topic");
            let message = message.expect("a record");
            records.insert((message.partition(), message.offset()), sent(&message));
        }
        records
    }
}

fn sent(message: &BorrowedMessage<'_>) -> Sent {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let truth = headers.filter(|header| header.key == TRUTH).find_map(|header| header.value);
    Sent {
        truth: text(truth.expect("a record of the harness")),
        partner: text(message.key().expect("a key")),
        value: message.payload().unwrap_or_default().to_vec(),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
