//! Kafka: consuming, producing, and asking the broker.
//!
//! - `consumer`: the member of a consumer group that reads partitions into the lake
//! - `rebalance`: the decisions of the group
//! - `cluster`: the cluster id, topics and offsets
//! - `native`: the functions of librdkafka that rdkafka does not wrap
//! - `broker_error`: why no broker answers
//! - `inspect`: the broker's state for an operator
//! - `producer`: produces records
//! - `embedded`: a broker inside the process
//! - `raw_drain`: reads a topic without ingest, for benchmarks

pub(crate) mod broker_error;
pub(crate) mod cluster;
pub(crate) mod consumer;
pub(crate) mod embedded;
pub(crate) mod inspect;
pub(crate) mod native;
pub(crate) mod producer;
pub(crate) mod raw_drain;
pub(crate) mod rebalance;
