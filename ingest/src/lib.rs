//! From Kafka and files to the raw tables, exactly once.
//!
//! The only home of rdkafka. Reading order: `decode` (a record's bytes to a checked event),
//! `registry` (the schemas of Avro records), `part` (what is known of a partition), `lateness` (what `late` is told by), `parked` (one that waits), `sink` (buffers), `generation` (their commits), `dead` (rejected records), `letters` and `replay` (reading them back),
//! `worker` and `rebalance` (a member of a consumer group), `status` (what it tells of itself), `load` (files; `same` which they are, `lines` what stands in them), `cluster`,
//! `inspect` and `native` (what the broker and librdkafka are asked), `embedded` (a broker inside the process), `produce`,
//! `yardstick` (what the benchmark measures against).
//!
//! Architecture invariant: a position is committed together with the rows read up to it, the dead
//! letters before the raw table; Kafka's own committed offsets are advisory.

mod cluster;
mod dead;
pub mod decode;
mod embedded;
mod error;
mod generation;
mod inspect;
mod lateness;
mod letters;
mod lines;
mod load;
mod native;
mod parked;
mod part;
mod problem;
mod produce;
mod rebalance;
mod registry;
mod replay;
mod same;
mod settings;
mod sink;
mod status;
#[cfg(test)]
mod tests;
mod worker;
mod yardstick;

pub use embedded::{EMBEDDED_CLUSTER, Embedded, WINDOW};
pub use error::IngestError;
pub use inspect::{Inspection, PartitionState, TopicState, inspect};
pub use letters::{Letter, dead_letters, letters_of_day};
pub use load::{LoadOptions, Source, load};
pub use produce::RecordProducer;
pub use registry::{RegistrySettings, check_registry};
pub use replay::{Replayed, replay};
pub use settings::{From, KafkaSettings, Limits, RunOptions};
pub use sink::Counts;
pub use status::{CommitTimes, PartitionStatus, Status};
pub use worker::run;
pub use yardstick::{Drained, TemporaryTopic, drain};
