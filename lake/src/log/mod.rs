//! A table's log: reading and following it, committing to it, and keeping it short.
//!
//! - `paths`: the names of the log's files
//! - `transactions`: the transaction ids of a table, and the positions that they hold
//! - `follower`: a reader of the log that follows it from commit to commit
//! - `snapshot`: a table at one version, with its files
//! - `folder_log_store`: the log of a table in a folder, as the Delta library reads it
//! - `load`: loading a table through the Delta library
//! - `commit`: writing one log entry
//! - `background_jobs`: work that no commit waits for
//! - `checkpoint`: writing checkpoints
//! - `cleanup`: deleting old log entries

pub(crate) mod background_jobs;
pub(crate) mod checkpoint;
pub(crate) mod cleanup;
pub(crate) mod commit;
pub(crate) mod folder_log_store;
pub(crate) mod follower;
pub(crate) mod load;
pub(crate) mod paths;
pub(crate) mod snapshot;
pub(crate) mod transactions;
