//! The lake: Delta tables of events, rollups, scores and runs, written exactly once.
//!
//! This crate is the only home of `deltalake` and `parquet`. In reading order:
//!
//! - `schema`: the columns of the tables
//! - `delta_schema`: these columns as Delta has them
//! - `table_properties`: the properties that every table carries
//! - `store`: the location of a lake, a folder or a bucket
//! - `local_store`: the local file system, read without leaving the thread
//! - `object_files`: reading and deleting files that may be absent
//! - `lake`: opening and creating a lake and its tables
//! - `table_cache`: the tables as this process last read them
//! - `delta_runtime`: running calls of the Delta library to completion
//! - `log`: following a table's log, committing to it, and keeping it short
//! - `files`: writing and reading Parquet files
//! - `append`: the commits of ingest
//! - `temporary`: a lake for a benchmark
//! - `watermark`: the instant up to which events are complete
//! - `key`: hashing credentials, and sealing dead letters
//! - `integrity`: detecting damaged files
//! - `maintenance`: compaction, vacuum, retention, erasure, verification, repair, upgrade
//!   and backup
//! - `failpoint`: moments at which a test can stop the program
//! - `error`: the errors of the lake
//!
//! Architecture invariant: data files, and the positions up to which they hold the records, become
//! visible in one atomic commit, and nothing but a commit makes a file visible.

mod append;
mod delta_runtime;
mod delta_schema;
mod error;
pub mod failpoint;
mod files;
mod integrity;
mod key;
mod lake;
mod local_store;
mod log;
mod maintenance;
mod object_files;
pub mod schema;
mod store;
mod table_cache;
mod table_properties;
mod temporary;
#[cfg(test)]
mod tests;
mod watermark;

pub use append::{AppendOutcome, Appender, PositionAdvance};
pub use delta_runtime::wait_for_background_work;
pub use error::{LakeError, error_chain, io_advice, is_write_denied};
pub use files::parquet::{FileWriter, ParquetEncoder, PendingFile, parquet_bytes, parquet_rows};
pub use integrity::damage::Damage;
pub use key::{LakeKey, SealedRecord, sha256_hex};
pub use lake::{Lake, LakeOptions};
pub use log::snapshot::{
    COMPACTED_FROM_TAG, DROPPED_COPIES_TAG, DataFile, TableSnapshot, content_identity,
};
pub use log::transactions::{
    FileProgress, PartitionId, PartitionPosition, Transactions, partitions,
};
pub use maintenance::backup::CopiedLake;
pub use maintenance::erasure::{
    AmbiguousValue, Erasure, ErasureScan, FileMatch, FileRole, RecordedReport, TableErasure,
    UnreadReason, dropped_copies, erased_count_id,
};
pub use maintenance::repair::{RecomputeScope, RepairReport};
pub use maintenance::retention::{SealedDays, retired_records, sealed_before};
pub use maintenance::rewrite::CompactedDay;
pub use maintenance::vacuum::VacuumedTable;
pub use maintenance::verify::{IntegrityFinding, Verification};
pub use schema::{FORMAT_VERSION, TableDef};
pub use store::StoreOptions;
pub use temporary::TemporaryLake;
pub use watermark::{ALLOWED_LATENESS, watermark_of};
