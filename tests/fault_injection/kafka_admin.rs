//! Creates, deletes and truncates topics, and reads a topic to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::fault_injection::background_producer::OUTCOME_HEADER;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A client that changes and reads topics.
pub(crate) struct KafkaAdmin {
    client: AdminClient<DefaultClientContext>,
    bootstrap: String,
}

/// A record of a topic, and its expected outcome.
pub(crate) struct TopicRecord {
    pub(crate) expected_outcome: String,
    pub(crate) partner: String,
    /// Empty for a tombstone.
    pub(crate) value: Vec<u8>,
}

/// Returns a worker's configuration. The broker gives up a worker that is killed or stopped within
/// a second.
pub(crate) fn config(bootstrap: &str, group: &str, topics: &str) -> String {
    format!(
        "[kafka]\nbootstrap_servers = \"{bootstrap}\"\ngroup_id = \"{group}\"\n\
         [kafka.topics]\n{topics}\n\
         [kafka.properties]\n\"session.timeout.ms\" = 1000\n\"heartbeat.interval.ms\" = 200\n\
         \"reconnect.backoff.max.ms\" = 500\n"
    )
}

impl KafkaAdmin {
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
        gone.expect("an answer")[0].as_ref().expect("the topic is deleted");
    }

    /// Deletes the records before an offset of a partition.
    pub(crate) fn truncate(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        block_on(self.client.delete_records(&list, &options())).expect("the records are deleted");
    }

    /// Returns every record of a topic by partition and offset.
    pub(crate) fn read(&self, topic: &str) -> BTreeMap<(i32, i64), TopicRecord> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("group.id", "accounting");
        let consumer: BaseConsumer =
            config.set("enable.auto.commit", "false").create().expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).expect("an answer");
        let mut list = TopicPartitionList::new();
        let mut expected = 0;
        for partition in metadata.topics()[0].partitions() {
            let (low, high) =
                consumer.fetch_watermarks(topic, partition.id(), TIMEOUT).expect("its bounds");
            expected += high - low;
            list.add_partition_offset(topic, partition.id(), Offset::Offset(low))
                .expect("an offset");
        }
        consumer.assign(&list).expect("an assignment");
        let mut records = BTreeMap::new();
        while (records.len() as i64) < expected {
            let message = consumer.poll(TIMEOUT).expect("the rest of the topic");
            let message = message.expect("a record");
            records.insert((message.partition(), message.offset()), topic_record(&message));
        }
        records
    }
}

fn topic_record(message: &BorrowedMessage<'_>) -> TopicRecord {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let expected_outcome =
        headers.filter(|header| header.key == OUTCOME_HEADER).find_map(|header| header.value);
    TopicRecord {
        expected_outcome: text(expected_outcome.expect("a record of the harness")),
        partner: text(message.key().expect("a key")),
        value: message.payload().unwrap_or_default().to_vec(),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
