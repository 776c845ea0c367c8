//! What can go wrong with the lake, by what the caller can do about it.

use std::path::PathBuf;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;

#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("no lake at {root}: run `rapport ingest` first, or check [lake] root in rapport.toml")]
    Missing { root: String },

    #[error("[lake] root = \"{root}\" can't be used: {reason}")]
    Root { root: String, reason: String },

    #[error(
        "the lake at {root} can't be reached; check [lake] root and [lake.store] in rapport.toml, \
         and the AWS_* credentials in the environment: {source}"
    )]
    Unreachable {
        root: String,
        #[source]
        source: object_store::Error,
    },

    #[error(
        "the store of {root} overwrites a file that it was asked to put only where there is none \
         (If-None-Match: *): two workers could lose each other's commits; use a store that honours \
         it"
    )]
    Overwrites { root: String },

    #[error("the key file {path} {reason}")]
    Key { path: PathBuf, reason: String },

    #[error(
        "the key in {path} (fingerprint {given}) is not the key of this lake ({expected}); \
         restore the key file that this lake was made with, or was given last"
    )]
    OtherKey { path: PathBuf, given: String, expected: String },

    #[error(
        "table {table} has format {found}, this program writes format {ours}; use a newer rapport"
    )]
    NewerFormat { table: String, found: u32, ours: u32 },

    #[error(
        "the lake has format {found}, this program needs {ours}: stop all workers, run \
         `rapport lake upgrade`, and start them again with this program"
    )]
    OlderFormat { found: u32, ours: u32 },

    #[error("table {table} has columns {found}, expected {expected}")]
    SchemaChanged { table: String, found: String, expected: String },

    /// The log was cleaned up while it was read, again and again.
    #[error(
        "the log of table {table} can't be read back to version {version}; run the command again"
    )]
    Cleaned { table: String, version: u64 },

    #[error("table {table} has no version {version} (any longer); its newest is {newest}")]
    NoSuchVersion { table: String, version: u64, newest: u64 },

    /// Someone else rewrote what this commit was made from: refresh and start over.
    #[error("table {table} was changed by another process meanwhile; run the command again")]
    Conflict { table: String },

    #[error("the file {path} of the lake can't be read: {reason}")]
    Corrupt { path: String, reason: String },

    #[error("a dead letter sealed with key {key_id} can't be opened with the key in use")]
    Sealed { key_id: String },

    #[error("the lake's table {table}: {source}")]
    Delta {
        table: String,
        #[source]
        source: Box<DeltaTableError>,
    },

    #[error(
        "the lake's storage failed; nothing that was committed is lost, run the command again once \
         it answers and has room: {0}"
    )]
    Storage(#[from] object_store::Error),

    #[error(
        "the lake's storage: {path}: {source}; check [lake] root in rapport.toml, and that its \
         folder can be written"
    )]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error("rows for the lake: {0}")]
    Arrow(#[from] arrow::error::ArrowError),

    #[error("Parquet for the lake: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

impl LakeError {
    pub(crate) fn delta(table: &str) -> impl Fn(DeltaTableError) -> Self + '_ {
        move |source| match source {
            DeltaTableError::ObjectStore { source } => Self::Storage(source),
            source => Self::Delta { table: table.to_owned(), source: Box::new(source) },
        }
    }

    pub(crate) fn transaction(table: &str) -> impl Fn(TransactionError) -> Self + '_ {
        move |source| match source {
            TransactionError::ObjectStore { source } => Self::Storage(source),
            source => Self::Delta { table: table.to_owned(), source: Box::new(source.into()) },
        }
    }
}
