//! The settings of ingest: the cluster, the topics, and when to flush.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use domain::{Stream, redact};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use secrecy::{ExposeSecret, SecretString};

use crate::error::IngestError;
use crate::mapping::Mapping;
use crate::registry::RegistrySettings;

/// The cluster and its topics, from `[kafka]` of rapport.toml.
#[derive(Clone)]
pub struct KafkaSettings {
    /// The brokers to connect to first, as `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// The id of the consumer group.
    pub group_id: String,
    /// The topic of each stream that is turned on.
    pub topics: BTreeMap<Stream, String>,
    /// Properties of librdkafka, which take precedence over ours. No message contains their values,
    /// because even a mistyped name may have a secret value.
    pub properties: BTreeMap<String, SecretString>,
    /// The registry with the schemas of Avro records. Without it Avro records are rejected.
    pub registry: Option<RegistrySettings>,
    /// The mappings of the streams whose records are no events.
    pub mappings: BTreeMap<Stream, Mapping>,
    /// Whether the broker is the embedded one, which is empty at every start, see
    /// [`crate::EmbeddedBroker`].
    pub embedded: bool,
}

/// Where to start in a partition that the lake has no position for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartPosition {
    #[default]
    Earliest,
    Latest,
    /// The first record that arrived at or after this instant, in µs.
    Instant(i64),
}

/// The limits of a buffer. The first one that is reached starts a flush.
#[derive(Debug, Clone, Copy)]
pub struct FlushLimits {
    /// The number of buffered rows.
    pub rows: usize,
    /// The memory of the buffered rows in bytes.
    pub bytes: usize,
    /// The time since the first record was buffered.
    pub age: Duration,
}

impl Default for FlushLimits {
    fn default() -> Self {
        Self { rows: 500_000, bytes: 192 << 20, age: Duration::from_secs(15) }
    }
}

/// The options of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Where to start in partitions without a position.
    pub start: StartPosition,
    /// End at the positions that were the ends of the partitions when the run began.
    pub until_caught_up: bool,
    /// Skip records that the broker no longer has, instead of failing.
    pub accept_gap: bool,
    /// Go on although most records are rejected.
    pub accept_rejects: bool,
    /// For a producer with its own clock that has sent its last record: the instant, in µs, that
    /// partitions read to their end count as read up to when the run is stopped.
    pub clock_at_end: Option<i64>,
    /// When to flush.
    pub limits: FlushLimits,
}

/// Leaves out the values of properties, which may be secrets.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("group_id", &self.group_id)
            .field("topics", &self.topics)
            .field("properties", &self.properties.keys())
            .field("registry", &self.registry)
            .field("mappings", &self.mappings)
            .field("embedded", &self.embedded)
            .finish()
    }
}

impl KafkaSettings {
    /// Returns the client configuration that producers and consumers share.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("client.id", "rapport");
        // The OpenSSL inside this program has no certificates of its own. It looks for those of the
        // system where systems keep them.
        let set = |name: &str| self.properties.contains_key(name);
        let protocol = self.properties.get("security.protocol");
        let is_ssl = |p: &SecretString| p.expose_secret().to_ascii_lowercase().contains("ssl");
        let encrypted = protocol.is_some_and(is_ssl);
        if encrypted && !set("ssl.ca.location") && !set("ssl.ca.pem") {
            config.set("ssl.ca.location", "probe");
        }
        config
    }

    /// Returns the configuration of a consumer.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // A position that the broker no longer has must be an error, never a silent jump.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "range")
            // The lake refuses the commit of a zombie worker, so the group may give up a killed
            // worker soon. The default of 45 s would leave its partitions unread for that long.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            // Limits librdkafka's own memory. The default is 64 MiB for each partition.
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "20");
        self.add_properties(&mut config);
        config
    }

    /// Sets the project's properties over what is set already.
    pub(crate) fn add_properties(&self, config: &mut ClientConfig) {
        for (name, value) in &self.properties {
            config.set(name, value.expose_secret());
        }
    }

    /// Returns the error for a client that librdkafka does not create, without the values of
    /// settings.
    pub(crate) fn client_error(&self, error: KafkaError) -> IngestError {
        let KafkaError::ClientCreation(reason) = &error else { return error.into() };
        let values = self.properties.values().map(ExposeSecret::expose_secret);
        IngestError::Setting(format!(
            "[kafka.properties]: no client can be made of them: {}",
            redact(reason, values.filter(|value| !is_protocol_name(value)))
        ))
    }
}

/// Whether a value is the name of a protocol or mechanism, which is not a secret.
fn is_protocol_name(value: &str) -> bool {
    const NAMES: [&str; 10] = [
        "PLAINTEXT",
        "SSL",
        "SASL_PLAINTEXT",
        "SASL_SSL",
        "PLAIN",
        "GSSAPI",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
        "OAUTHBEARER",
        "probe",
    ];
    NAMES.iter().any(|word| word.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_do_not_contain_property_values() {
        #[track_caller]
        fn check(name: &str, value: &str, says: &str) {
            let settings = KafkaSettings {
                bootstrap_servers: "127.0.0.1:1".to_owned(),
                group_id: "g".to_owned(),
                topics: BTreeMap::new(),
                properties: [(name.to_owned(), value.into())].into(),
                registry: None,
                mappings: BTreeMap::new(),
                embedded: false,
            };
            let made: Result<rdkafka::consumer::BaseConsumer, _> = settings.consumer().create();
            let error = made.map_err(|e| settings.client_error(e)).err().expect(name).to_string();
            assert!(error.contains(says) && error.contains("[kafka.properties]"), "{error}");
            assert!(!error.contains("hunter") && !error.contains("4711"), "{error}");
            assert!(!format!("{settings:?}").contains(value));
        }
        check("sasl.pasword", "hunter2", "no such property; did you mean \"sasl.password\"?");
        check("colour", "hunter2", "no such property");
        check("enable.auto.commit", "hunter2", "must be true or false");
        check("session.timeout.ms", "hunter2", "can't have");
        check("session.timeout.ms", "4711000", "must lie in 1..3600000");
        check("security.protocol", "hunter2", "can't have");
        check("debug", "all,hunter2", "can't have");
        check("plugin.library.paths", "/hunter2/hunter2.so", "");
    }
}
