//! Reads events from Kafka and from files into the raw tables, each exactly once.
//!
//! This crate is the only home of rdkafka. Its modules, in reading order:
//!
//! - `decode`: turns a record's bytes into a checked event
//! - `registry`: fetches the schemas of Avro records from the Schema Registry
//! - `lateness`: decides whether an event is late
//! - `partition_buffer`: the position and the uncommitted events of one partition or file
//! - `paused`: a partition that waits for a schema
//! - `sink`: sorts records into buffers and decides when to flush them
//! - `flush`: commits what was buffered to the lake's tables
//! - `dead_letters`: writes rejected records, lists them and replays them
//! - `kafka`: the consumer, the producer, the embedded broker and what the broker is asked
//! - `mapping`: turns records in other formats into events, by jq programs
//! - `load`: reads NDJSON files
//! - `settings`: the cluster, the topics and the options of a run
//! - `status`: counts, positions and commit times of a run
//! - `error`: the errors of this crate
//!
//! Architecture invariant: a commit holds the rows and the position up to which they were read. The
//! dead letters are committed before the raw table. Kafka's own committed offsets are advisory.

mod dead_letters;
pub mod decode;
mod error;
mod flush;
mod kafka;
mod lateness;
mod load;
pub mod mapping;
mod partition_buffer;
mod paused;
mod registry;
mod settings;
mod sink;
mod status;
#[cfg(test)]
mod tests;

pub use dead_letters::read::{DeadLetter, dead_letter_table, dead_letters_of_day};
pub use dead_letters::replay::{
    MappingResolver, RejectedBy, ReplayCounts, ReplayMapping, ReplayOptions, rejected_by, replay,
};
pub use error::IngestError;
pub use kafka::consumer::run;
pub use kafka::embedded::{EMBEDDED_CLUSTER_ID, EmbeddedBroker, MAX_PRODUCER_LEAD};
pub use kafka::inspect::{Inspection, PartitionState, TopicState, inspect};
pub use kafka::producer::RecordProducer;
pub use kafka::raw_drain::{RawDrainCounts, TemporaryTopic, raw_drain};
pub use load::file_trial::{FileTrial, FileTrialOptions, TriedRecord, try_file};
pub use load::format_detection::{
    Container, Delimited, FileFormat, FileHead, FileShape, RecordFit, detect_format,
};
pub use load::{LoadOptions, SourceFile, load};
pub use registry::{RegistrySettings, check_registry};
pub use settings::{FlushLimits, KafkaSettings, RunOptions, StartPosition};
pub use status::{
    BrokenRule, CommitTimes, IngestCounts, PartitionStatus, RecordPosition, Rejections, Status,
};
