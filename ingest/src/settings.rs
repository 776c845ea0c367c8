//! What ingest needs to know: the cluster, the topics, when to commit.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lake_types::Stream;
use rdkafka::ClientConfig;

use crate::registry::RegistrySettings;

/// The cluster and its topics, as `[kafka]` says.
#[derive(Clone)]
pub struct KafkaSettings {
    pub bootstrap_servers: String,
    pub group_id: String,
    /// The topic of each stream that is on.
    pub topics: BTreeMap<Stream, String>,
    /// Any librdkafka property; these win over ours.
    pub properties: BTreeMap<String, String>,
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
        let encrypted = protocol.is_some_and(|p| p.to_ascii_lowercase().contains("ssl"));
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
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }
}
