//! What the tests share: the program in a project, simulated worlds, and real servers.
//!
//! - `program`: runs the compiled program in a project of its own
//! - `fake_clock`: another time for the program
//! - `simulated_world`: simulated worlds, and what a lake must hold of them
//! - `metric_files`: the files of a run of all metrics
//! - `files`: listings of folders
//! - `seeded_random`: random choices that a seed repeats
//! - `kafka_broker`: a real Kafka broker
//! - `kafka_project`: projects that read a broker
//! - `schema_registry`: a real Schema Registry
//! - `s3_server`: a real server that speaks S3
//! - `action_project`: projects whose actions are planned and applied
//! - `gateway`: a server that speaks a part of Kong's Admin API
//! - `mail_server`: a real mail server
//! - `chat_server`: a server that takes messages as a chat does
//! - `page_server`: a running `rapport serve`
//! - `bi_tool_server`: a running `rapport serve --postgres`, and clients of PostgreSQL
//! - `openid_provider`: a real OpenID provider, and a browser that signs in there
//! - `lossy_proxy`: a proxy that loses some of a server's answers

pub(crate) mod action_project;
#[cfg(feature = "postgres")]
pub(crate) mod bi_tool_server;
pub(crate) mod chat_server;
pub(crate) mod fake_clock;
pub(crate) mod files;
pub(crate) mod gateway;
pub(crate) mod kafka_broker;
pub(crate) mod kafka_project;
pub(crate) mod lossy_proxy;
pub(crate) mod mail_server;
pub(crate) mod metric_files;
pub(crate) mod openid_provider;
pub(crate) mod page_server;
pub(crate) mod program;
pub(crate) mod s3_server;
pub(crate) mod schema_registry;
pub(crate) mod seeded_random;
pub(crate) mod simulated_world;
