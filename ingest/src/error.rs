//! What stops ingest, by what an operator can do about it. A bad record is data, not an error.

use std::path::PathBuf;

use lake::LakeError;
use rdkafka::error::KafkaError;

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(
        "no Kafka broker answers at {servers} ({reason}); check [kafka] bootstrap_servers in \
         rapport.toml and that the broker runs"
    )]
    Unreachable { servers: String, reason: String },

    #[error(
        "the Kafka broker at {servers} refuses this client ({reason}); check the security.*, \
         sasl.* and ssl.* settings in [kafka.properties] of rapport.toml"
    )]
    Refused { servers: String, reason: String },

    #[error(
        "the topic \"{topic}\" does not exist on {servers}; create it, correct [kafka.topics] in \
         rapport.toml, or turn the stream off with an empty name"
    )]
    NoTopic { topic: String, servers: String },

    #[error("every stream is turned off: name at least one topic in [kafka.topics]")]
    NoStreams,

    #[error(
        "the topic \"{topic}\" was deleted and made anew: the lake has read it as {known}, it is \
         {found} now, so offsets start over. Records of the old one that were not read are lost. \
         Give the new topic another name to go on"
    )]
    Recreated { topic: String, known: String, found: String },

    #[error(
        "{topic}/{partition}: records {from} to {to} are gone from the broker before they were \
         read (its retention is shorter than ingest's lag). To accept the loss and go on with the \
         first record that is left, run ingest once with --accept-gap"
    )]
    Gap { topic: String, partition: i32, from: i64, to: i64 },

    #[error(
        "{rejected} of the first {records} records were rejected, most as {reason}: is this the \
         right topic for {stream}? Nothing further was committed. Run with --accept-rejects to go \
         on all the same"
    )]
    MostlyRejected { stream: String, records: u64, rejected: u64, reason: String },

    #[error(
        "{topic}/{partition}: record {offset} came past its partition's queue; run ingest again"
    )]
    Stray { topic: String, partition: i32, offset: i64 },

    #[error(
        "the schema {id} could not be had: {reason}. Check [kafka.schema_registry] in rapport.toml \
         and that the registry runs, then run this again"
    )]
    Registry { id: u32, reason: String },

    #[error("{reason}. Check [kafka.schema_registry] in rapport.toml and that the registry runs")]
    RegistrySilent { reason: String },

    #[error(
        "{topic}/{partition} waits at record {offset} for its schema: {reason}. All else that came \
         before was committed. Check [kafka.schema_registry] in rapport.toml and that the registry \
         runs, then run ingest again"
    )]
    Parked { topic: String, partition: i32, offset: i64, reason: String },

    #[error("the file {path}: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error("Kafka setting {0}")]
    Setting(String),

    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),

    #[error(transparent)]
    Lake(#[from] LakeError),

    #[error("rows: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl IngestError {
    /// What librdkafka says of a client that it can't make, without the values of secrets.
    pub(crate) fn client(error: KafkaError) -> Self {
        let KafkaError::ClientConfig(_, reason, name, value) = error else { return error.into() };
        let secret = ["password", "secret", "pem", "jaas", "oauthbearer.config"];
        let shown = if secret.iter().any(|word| name.contains(word)) {
            format!("[kafka.properties] {name} is not accepted")
        } else {
            format!("[kafka.properties] {name} = \"{value}\": {reason}")
        };
        Self::Setting(shown)
    }
}
