//! The Kafka channel: an idempotent producer that waits for the brokers' acknowledgement.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::redact;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, ClientContext};
use secrecy::{ExposeSecret, SecretString};

use super::message::message;
use super::secrets::Secrets;
use super::{Channel, Delivery, DeliveryError, Idempotency, Receipt};

/// How the cluster is reached.
pub(crate) struct KafkaSettings {
    pub(crate) bootstrap_servers: String,
    pub(crate) topic: String,
    /// Properties of librdkafka, over those that are set here.
    pub(crate) properties: BTreeMap<String, SecretString>,
    pub(crate) timeout: Duration,
}

/// Produces deliveries to a topic.
pub(crate) struct Kafka {
    name: String,
    topic: String,
    servers: String,
    timeout: Duration,
    producer: FutureProducer<LastError>,
    last_error: LastError,
    secrets: Secrets,
}

/// The last connection error that the client reported. librdkafka tells the reason of a failure as
/// an event beside the failed call.
#[derive(Clone, Default)]
struct LastError(Arc<Mutex<Option<String>>>);

impl ClientContext for LastError {
    fn error(&self, error: KafkaError, reason: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" only follows from the errors of each broker.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) || last.is_none() {
            *last = Some(reason.to_owned());
        }
    }
}

impl Kafka {
    /// Makes a producer, which connects when it is first used.
    ///
    /// # Errors
    /// A sentence on a property that librdkafka does not have, without its value.
    pub(crate) fn new(
        name: &str,
        settings: KafkaSettings,
        secrets: Secrets,
    ) -> Result<Self, String> {
        let KafkaSettings { bootstrap_servers: servers, topic, properties, timeout } = settings;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &servers)
            .set("client.id", "rapport")
            .set("compression.type", "lz4")
            .set("linger.ms", "0")
            .set("message.timeout.ms", timeout.as_millis().to_string());
        // The OpenSSL inside this program has no certificates of its own. It looks for those of
        // the system where systems keep them.
        let protocol = properties.get("security.protocol").map(ExposeSecret::expose_secret);
        let is_encrypted = protocol.is_some_and(|p| p.to_ascii_lowercase().contains("ssl"));
        let has_certificates =
            ["ssl.ca.location", "ssl.ca.pem"].iter().any(|name| properties.contains_key(*name));
        if is_encrypted && !has_certificates {
            config.set("ssl.ca.location", "probe");
        }
        for (property, value) in &properties {
            config.set(property, value.expose_secret());
        }
        // Nothing may turn these off: each delivery is in the topic once, on all replicas.
        config.set("enable.idempotence", "true").set("acks", "all");
        let last_error = LastError::default();
        let producer = config.create_with_context(last_error.clone()).map_err(|e| {
            let reason = match &e {
                KafkaError::ClientConfig(_, reason, property, _) => format!("{property}: {reason}"),
                other => other.to_string(),
            };
            // Even a mistyped property may have a secret as its value.
            let values = properties.values().map(ExposeSecret::expose_secret);
            format!("no Kafka client can be made of the properties: {}", redact(&reason, values))
        })?;
        Ok(Self { name: name.to_owned(), topic, servers, timeout, producer, last_error, secrets })
    }

    /// Fails while no broker answers or the topic is missing, before anything is sent.
    async fn connect(&self) -> Result<(), DeliveryError> {
        let (producer, topic, timeout) = (self.producer.clone(), self.topic.clone(), self.timeout);
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&topic), timeout)?;
            Ok::<_, KafkaError>(metadata.topics().iter().all(|topic| topic.error().is_none()))
        });
        match asked.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(self.retryable(&format!(
                "the brokers at {} have no topic {}; create it, or let this client see it",
                self.servers, self.topic
            ))),
            Ok(Err(error)) => Err(self.retryable(&format!(
                "no Kafka broker answers at {} ({})",
                self.servers,
                self.reason(&error)
            ))),
            Err(_) => Err(self.retryable("the question for the topic was stopped half-way")),
        }
    }

    /// Returns why a call failed.
    fn reason(&self, error: &KafkaError) -> String {
        let last = self.last_error.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let code = || error.rdkafka_error_code().map_or(error.to_string(), |code| code.to_string());
        self.secrets.redact(&last.unwrap_or_else(code))
    }

    fn retryable(&self, reason: &str) -> DeliveryError {
        let message = format!("channel \"{}\": {reason}", self.name);
        DeliveryError::Retryable { message, after_seconds: None }
    }

    /// Returns what the failure of a produced record means.
    fn failure(&self, error: &KafkaError) -> DeliveryError {
        let (name, topic) = (&self.name, &self.topic);
        let says = |words: &str| {
            format!("channel \"{name}\": the topic {topic} {words} ({})", self.reason(error))
        };
        match error.rdkafka_error_code() {
            Some(
                Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::InvalidTopic
                | Code::MessageSizeTooLarge
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::InvalidRecord
                | Code::PolicyViolation,
            ) => DeliveryError::Permanent(says("does not take the record")),
            Some(
                Code::QueueFull
                | Code::NotEnoughReplicas
                | Code::NotEnoughReplicasAfterAppend
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition,
            ) => DeliveryError::Retryable {
                message: says("does not take the record at present"),
                after_seconds: None,
            },
            _ => DeliveryError::Ambiguous(says("did not acknowledge the record")),
        }
    }
}

#[async_trait]
impl Channel for Kafka {
    fn name(&self) -> &str {
        &self.name
    }

    /// Consumers drop a record whose header `key` they have seen.
    fn idempotency(&self) -> Idempotency {
        Idempotency::Keyed
    }

    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        let body = message(delivery)?;
        self.connect().await?;
        let key = Header { key: "key", value: Some(&delivery.key) };
        let record = FutureRecord::to(&self.topic)
            .key(&delivery.partner_id)
            .payload(&body)
            .timestamp(delivery.created_at.div_euclid(1_000))
            .headers(OwnedHeaders::new().insert(key));
        match self.producer.send(record, self.timeout).await {
            Ok(taken) => Ok(Receipt {
                answer: format!("partition {}, offset {}", taken.partition, taken.offset),
                in_force: None,
            }),
            Err((error, _)) => Err(self.failure(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Message;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::Headers;
    use rdkafka::mocking::MockCluster;
    use rdkafka::{Offset, TopicPartitionList};
    use std::time::Instant;

    use super::*;
    use crate::deliver::tests::delivery;

    fn channel(servers: &str, properties: &[(&str, &str)]) -> Result<Kafka, String> {
        let properties: BTreeMap<String, SecretString> =
            properties.iter().map(|(n, v)| ((*n).to_owned(), (*v).into())).collect();
        let mut secrets = Secrets::default();
        for (name, value) in &properties {
            secrets.insert(name, value.clone());
        }
        let settings = KafkaSettings {
            bootstrap_servers: servers.to_owned(),
            topic: "partner-actions".to_owned(),
            properties,
            timeout: Duration::from_secs(10),
        };
        Kafka::new("bus", settings, secrets)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_record_is_acknowledged_and_bears_its_key() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("partner-actions", 1, 1).expect("a topic");
        let servers = cluster.bootstrap_servers();
        let channel = channel(&servers, &[]).expect("a channel");
        let delivery = delivery();
        let receipt = channel.send(&delivery).await.expect("acknowledged");
        assert_eq!(receipt.answer, "partition 0, offset 0");

        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &servers)
            .set("group.id", "reader")
            .create()
            .expect("a consumer");
        let mut first = TopicPartitionList::new();
        first.add_partition_offset("partner-actions", 0, Offset::Beginning).expect("a partition");
        consumer.assign(&first).expect("assigned");
        let until = Instant::now() + Duration::from_secs(60);
        let record = loop {
            match consumer.poll(Duration::from_millis(100)) {
                Some(record) => break record.expect("no error"),
                None => assert!(Instant::now() < until, "no record came"),
            }
        };
        assert_eq!(record.key(), Some(delivery.partner_id.as_bytes()));
        let header = record.headers().expect("headers").get(0);
        assert_eq!((header.key, header.value), ("key", Some(delivery.key.as_bytes())));
        let body: serde_json::Value =
            serde_json::from_slice(record.payload().expect("a body")).expect("JSON");
        assert_eq!((&body["schema"], &body["key"]), (&1.into(), &delivery.key.as_str().into()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_that_is_missing_is_said_and_tried_again() {
        let Ok(servers) = std::env::var("TEMPORARY_BROKER") else { return };
        let mut channel = channel(&servers, &[]).expect("a channel");
        let receipt = channel.send(&delivery()).await.expect("acknowledged");
        assert!(receipt.answer.starts_with("partition "), "{receipt:?}");
        channel.topic = "no-such-topic".to_owned();
        let error = channel.send(&delivery()).await.expect_err("no topic");
        panic!("{receipt:?} {error:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_a_broker_it_is_tried_again() {
        let mut channel = channel("127.0.0.1:1", &[]).expect("a channel");
        channel.timeout = Duration::from_secs(2);
        let error = channel.send(&delivery()).await.expect_err("no broker");
        assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
        assert!(error.to_string().contains("no Kafka broker answers at 127.0.0.1:1"), "{error}");
    }

    #[test]
    fn a_wrong_property_is_said_without_its_value() {
        for (property, words) in [("sasl.pasword", "sasl.pasword"), ("linger.ms", "linger.ms")] {
            let error = channel("127.0.0.1:1", &[(property, "hunter2hunter2")]).err();
            let error = error.expect("no such property");
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }
}
