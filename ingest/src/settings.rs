//! What ingest needs to know: the cluster, the topics, when to commit.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lake_types::{Stream, hide};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use secrecy::{ExposeSecret, SecretString};

use crate::error::IngestError;
use crate::registry::RegistrySettings;

/// The cluster and its topics, as `[kafka]` says.
#[derive(Clone)]
pub struct KafkaSettings {
    pub bootstrap_servers: String,
    pub group_id: String,
    /// The topic of each stream that is on.
    pub topics: BTreeMap<Stream, String>,
    /// Any librdkafka property; these win over ours. None of their values is ever shown: a name
    /// that is mistyped says nothing of what it was meant to hold.
    pub properties: BTreeMap<String, SecretString>,
    /// Where the schemas of Avro records are; without it they are rejected.
    pub registry: Option<RegistrySettings>,
    /// The broker inside the process: it begins anew at every start, see [`crate::Embedded`].
    pub embedded: bool,
}

/// Where to begin in a partition that the lake has no position for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    #[default]
    Earliest,
    Latest,
    /// The first record that arrived at or after this instant, µs.
    Instant(i64),
}

/// When a commit is due: whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub rows: usize,
    pub bytes: usize,
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 500_000, bytes: 192 << 20, age: Duration::from_secs(15) }
    }
}

/// How a run behaves.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    pub from: From,
    /// End at the positions that were the end when the run began.
    pub until_caught_up: bool,
    /// Go on over records that the broker no longer has.
    pub accept_gap: bool,
    /// Go on although most records are rejected.
    pub accept_rejects: bool,
    /// For a producer with a clock of its own that has sent its last record: the instant, µs, that
    /// partitions read to their end have reached once the run is stopped.
    pub clock_at_end: Option<i64>,
    pub limits: Limits,
}

/// Without the values of properties, which may be secrets.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("group_id", &self.group_id)
            .field("topics", &self.topics)
            .field("properties", &self.properties.keys())
            .field("registry", &self.registry)
            .field("embedded", &self.embedded)
            .finish()
    }
}

impl KafkaSettings {
    /// The client configuration that producers and consumers share.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("client.id", "rapport");
        // The OpenSSL inside this program has no certificates of its own: the system's are looked
        // for where systems keep them.
        let set = |name: &str| self.properties.contains_key(name);
        let protocol = self.properties.get("security.protocol");
        let is_ssl = |p: &SecretString| p.expose_secret().to_ascii_lowercase().contains("ssl");
        let encrypted = protocol.is_some_and(is_ssl);
        if encrypted && !set("ssl.ca.location") && !set("ssl.ca.pem") {
            config.set("ssl.ca.location", "probe");
        }
        config
    }

    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // A position the broker no longer has is a stop, never a silent jump.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "range")
            // The lake refuses a zombie's commit, so a killed worker may be given up soon: the
            // default of 45 s would leave its partitions unread for that long.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            // Bounds librdkafka's own memory: the default is 64 MiB a partition.
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "20");
        self.add_properties(&mut config);
        config
    }

    /// Sets what the project says, over what is set already.
    pub(crate) fn add_properties(&self, config: &mut ClientConfig) {
        for (name, value) in &self.properties {
            config.set(name, value.expose_secret());
        }
    }

    /// Why librdkafka makes no client of these settings, without their values.
    pub(crate) fn refused(&self, error: KafkaError) -> IngestError {
        let KafkaError::ClientCreation(reason) = &error else { return error.into() };
        let values = self.properties.values().map(ExposeSecret::expose_secret);
        IngestError::Setting(format!(
            "[kafka.properties]: no client can be made of them: {}",
            hide(reason, values.filter(|value| !is_word_of_librdkafka(value)))
        ))
    }
}

/// Values that are names of protocols and mechanisms: everybody knows them.
fn is_word_of_librdkafka(value: &str) -> bool {
    const WORDS: [&str; 10] = [
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
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_holds_a_value() {
        #[track_caller]
        fn check(name: &str, value: &str, says: &str) {
            let settings = KafkaSettings {
                bootstrap_servers: "127.0.0.1:1".to_owned(),
                group_id: "g".to_owned(),
                topics: BTreeMap::new(),
                properties: [(name.to_owned(), value.into())].into(),
                registry: None,
                embedded: false,
            };
            let made: Result<rdkafka::consumer::BaseConsumer, _> = settings.consumer().create();
            let error = made.map_err(|e| settings.refused(e)).err().expect(name).to_string();
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
