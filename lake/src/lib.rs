//! The lake: Delta tables of events, rollups, scores and runs, written exactly once.
//!
//! The only home of deltalake and parquet. Reading order: `schema` (the tables' columns), `place`
//! (where the lake is), `lake` (opening it), `library`
//! (calls of the Delta library), `log` (a table's transaction ids), `tail`
//! (following a log), `commit` (adding to it), `checkpoint`, `cleanup` (keeping it short),
//! `snapshot` (a table's files), `known` (what this process read of them last), `file` and
//! `encoding` (writing and reading Parquet), `append` (ingest's commits), `rewrite` (replacing and
//! compacting days), `vacuum`, `erase`, `key` (hashing and sealing), `watermark`; and, against damage,
//! `checksum` (of data files), `stamped` (files that carry their own), `witness` (what a log must
//! have), `checked` (the store that gives out nothing damaged), `damage`, `verify`, `repair`.
//!
//! Architecture invariant: data files and the positions they stand for become visible in one
//! atomic commit, and nothing but a commit makes a file visible.

mod append;
mod checked;
mod checkpoint;
mod checksum;
mod cleanup;
mod commit;
mod damage;
mod encoding;
mod erase;
mod error;
pub mod fault;
mod file;
mod key;
mod known;
mod lake;
mod library;
mod log;
mod place;
mod repair;
mod retain;
mod rewrite;
mod rotate;
pub mod schema;
mod snapshot;
mod stamped;
mod tail;
#[cfg(test)]
mod tests;
mod upgrade;
mod vacuum;
mod verify;
mod watermark;
mod witness;

pub use append::{Advance, Appended, Appender};
pub use damage::Damage;
pub use erase::{
    Doubt, Erased, Erasure, NotedReport, Place, Scan, Trace, dropped_copies, erased_mark,
};
pub use error::{LakeError, causes, io_advice, refuses_writing};
pub use file::{FileWriter, ParquetEncoder, PendingFile, parquet_bytes, parquet_rows};
pub use key::{LakeKey, SealedRecord, digest};
pub use lake::{Lake, LakeOptions};
pub use library::settle;
pub use log::{Extent, PartitionId, Position, Transactions, partitions};
pub use place::StoreOptions;
pub use repair::{Again, Repaired};
pub use retain::{Sealed, retired, sealed_before};
pub use rewrite::CompactedDay;
pub use schema::{FORMAT_VERSION, TableDef};
pub use snapshot::{COPIES, DataFile, STANDS_FOR, TableSnapshot, identity};
pub use vacuum::Vacuumed;
pub use verify::{Finding, Verification};
pub use watermark::{ALLOWED_LATENESS, watermark_of};
