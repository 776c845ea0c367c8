//! The errors that stop ingest. A malformed record is data, not an error.

use std::path::PathBuf;

use domain::{Day, Stream, closest_name};
use lake::LakeError;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use crate::status::IngestCounts;

/// An error that stops ingest. Its message says what an operator can do about it.
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
    AccessDenied { servers: String, reason: String },

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
    TopicRecreated { topic: String, known: String, found: String },

    #[error(
        "{topic}/{partition}: records {from} to {to} are gone from the broker before they were \
         read (its retention is shorter than ingest's lag). To accept the loss and go on with the \
         first record that is left, run ingest once with --accept-gap"
    )]
    OffsetGap { topic: String, partition: i32, from: i64, to: i64 },

    #[error(
        "{rejected} of the first {records} records were rejected, most as {reason}: is this the \
         right topic for {stream}? Nothing further was committed. Run with --accept-rejects to go \
         on all the same"
    )]
    MostlyRejected {
        stream: String,
        records: u64,
        rejected: u64,
        reason: String,
        /// The counts up to the record at which ingest stopped.
        counts: Box<IngestCounts>,
    },

    #[error(
        "{sealed} of the first {records} records are of days before {first}, which retention has \
         sealed: nothing is counted for them any longer. Nothing further was committed. Leave these \
         days out, or run with --accept-rejects to keep them as dead letters"
    )]
    MostlySealed {
        records: u64,
        sealed: u64,
        first: Day,
        /// The counts up to the record at which ingest stopped.
        counts: Box<IngestCounts>,
    },

    #[error(
        "{topic}/{partition}: record {offset} came past its partition's queue; run ingest again"
    )]
    UnexpectedRecord { topic: String, partition: i32, offset: i64 },

    #[error(
        "the schema {id} could not be had: {reason}. Check [kafka.schema_registry] in rapport.toml \
         and that the registry runs, then run this again"
    )]
    SchemaUnavailable { id: u32, reason: String },

    #[error("{reason}. Check [kafka.schema_registry] in rapport.toml and that the registry runs")]
    RegistryUnreachable { reason: String },

    #[error(
        "{topic}/{partition} waits at record {offset} for its schema: {reason}. All else that came \
         before was committed. Check [kafka.schema_registry] in rapport.toml and that the registry \
         runs, then run ingest again"
    )]
    PartitionPaused { topic: String, partition: i32, offset: i64, reason: String },

    #[error("the file {path}: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error(
        "dead letters of {stream} came through the mapping \"{name}\", which can't be used now: \
         {reason}. Bring it back, or give another with --mapping (none for none)"
    )]
    MappingGone { stream: Stream, name: String, reason: String },

    #[error("Kafka setting {0}")]
    Setting(String),

    #[error("Kafka: {0}")]
    Kafka(#[source] KafkaError),

    #[error(transparent)]
    Lake(#[from] LakeError),

    #[error("rows: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Leaves out the value of a property, which may be a secret even where the name is mistyped.
impl From<KafkaError> for IngestError {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(found, reason, name, _) => Self::Setting(format!(
                "[kafka.properties] \"{name}\" {}",
                explain_property(found, &reason, &name)
            )),
            // The message may quote a property's value.
            KafkaError::ClientCreation(_) => {
                Self::Setting("[kafka.properties]: no client can be made of them".to_owned())
            }
            other => Self::Kafka(other),
        }
    }
}

/// Explains what is wrong with a property, with only those messages of librdkafka that quote no
/// value.
fn explain_property(found: RDKafkaConfRes, reason: &str, name: &str) -> String {
    if found == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN {
        return match closest_name(name, COMMON_PROPERTIES) {
            Some(other) => format!("is no such property; did you mean \"{other}\"?"),
            None => "is no such property of librdkafka; its CONFIGURATION.md lists all".to_owned(),
        };
    }
    if let Some((_, range)) = reason.split_once("outside allowed range ") {
        return format!("must lie in {}", range.trim_end());
    }
    let known = [
        ("Expected bool", "must be true or false"),
        ("empty value", "can't be empty"),
        ("not supported in this build", "is not supported by this program"),
        ("dedicated", "can't be set in a file"),
    ];
    let known = known.iter().find(|(phrase, _)| reason.contains(phrase));
    let other = "has a value that it can't have; librdkafka's CONFIGURATION.md lists those it can";
    known.map_or(other, |(_, ours)| ours).to_owned()
}

/// The properties that projects usually set, for suggestions.
const COMMON_PROPERTIES: [&str; 28] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "sasl.kerberos.service.name",
    "sasl.kerberos.principal",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.token.endpoint.url",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "enable.ssl.certificate.verification",
    "ssl.endpoint.identification.algorithm",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "socket.timeout.ms",
];
