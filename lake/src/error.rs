//! The errors of the lake, by what the caller can do about them.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;

use crate::integrity::damage::Damage;

/// An error of the lake.
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
    NoConditionalPut { root: String },

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

    /// The log was cleaned up during every attempt to read it.
    #[error(
        "the log of table {table} can't be read back to version {version}; run the command again"
    )]
    LogCleanedUp { table: String, version: u64 },

    #[error("table {table} has no version {version} (any longer); its newest is {newest}")]
    NoSuchVersion { table: String, version: u64, newest: u64 },

    #[error("{destination} can't take a copy of the lake: {reason}")]
    BackupRefused { destination: String, reason: String },

    /// Another process has changed what this commit was made from: the caller refreshes and starts
    /// over.
    #[error("table {table} was changed by another process meanwhile; run the command again")]
    Conflict { table: String },

    #[error(transparent)]
    Damaged(#[from] Damage),

    /// A file that another process wrote for this one to commit is not what was asked for.
    #[error(
        "the file {path}, which another process wrote for {table}, {reason}; nothing was committed: \
         run the command again"
    )]
    ForeignFile { table: String, path: String, reason: String },

    #[error("a dead letter sealed with key {key_id} can't be opened with the key in use")]
    SealedWithOtherKey { key_id: String },

    /// The library failed; the message has the first line of its error, because the rest may be a
    /// backtrace.
    #[error(
        "the log of the lake's table {table} can't be read: {}; `rapport lake verify` looks \
         whether it is damaged",
        first_line(.error)
    )]
    Delta { table: String, error: Box<DeltaTableError> },

    #[error(
        "the lake's storage failed: {0}. Nothing that was committed is lost; {advice}",
        advice = storage_advice(.0)
    )]
    Storage(#[source] object_store::Error),

    #[error(
        "the lake's storage: {path}: {source}; check [lake] root in rapport.toml, or {}",
        io_advice(.source.kind())
    )]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("rows for the lake: {0}")]
    Arrow(#[from] arrow::error::ArrowError),

    #[error("Parquet for the lake: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// Returns an error and its causes, from the outermost to the innermost.
pub fn error_chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// Returns whether an error says that this user, or every user, may not write the files.
pub fn is_write_denied(error: &(dyn Error + 'static)) -> bool {
    error_chain(error).any(|cause| {
        let denied_by_store = cause
            .downcast_ref()
            .is_some_and(|error| matches!(error, object_store::Error::PermissionDenied { .. }));
        let system_error = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let denied = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];
        denied_by_store || system_error.is_some_and(|kind| denied.contains(&kind))
    })
}

/// Returns advice on an error of a disk.
pub fn io_advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => {
            "give this user the right to read and write it, or run as one who has it"
        }
        ErrorKind::ReadOnlyFilesystem => "its file system can only be read; mount it for writing",
        ErrorKind::StorageFull => "make room on its disk, then run the command again",
        ErrorKind::QuotaExceeded => {
            "raise this user's quota or make room in it, then run the command again"
        }
        ErrorKind::NotFound => "`rapport lake verify` says what else is missing",
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            "a file stands where a folder is due, or a folder where a file is: move it away"
        }
        ErrorKind::InvalidFilename => "its path is longer than the file system allows",
        _ => "look at the disk (`dmesg` may say more), then run the command again",
    }
}

/// Returns advice on an error of an object store, which may be a local disk.
fn storage_advice(error: &object_store::Error) -> &'static str {
    match error {
        object_store::Error::NotFound { .. } => io_advice(ErrorKind::NotFound),
        object_store::Error::PermissionDenied { .. } => {
            "these credentials have no right to do that; give them the right to get, put, list and \
             delete below the lake's root"
        }
        object_store::Error::Unauthenticated { .. } => {
            "the store does not accept the credentials; check AWS_ACCESS_KEY_ID, \
             AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        }
        other => match error_chain(other).find_map(|cause| cause.downcast_ref::<io::Error>()) {
            Some(error) => io_advice(error.kind()),
            None => "run the command again once the store answers",
        },
    }
}

impl LakeError {
    /// Returns the conversion of the library's errors into errors of a table.
    pub(crate) fn delta(table: &str) -> impl Fn(DeltaTableError) -> Self + '_ {
        move |error| match error {
            DeltaTableError::ObjectStore { source } => source.into(),
            error => match Damage::in_chain(&error) {
                Some(damage) => damage.clone().into(),
                None => Self::Delta { table: table.to_owned(), error: Box::new(error) },
            },
        }
    }

    /// Returns the conversion of the library's commit errors into errors of a table.
    pub(crate) fn transaction(table: &str) -> impl Fn(TransactionError) -> Self + '_ {
        move |error| match error {
            TransactionError::ObjectStore { source } => source.into(),
            error => Self::delta(table)(error.into()),
        }
    }

    /// Returns whether the error is that a file does not exist.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Storage(error) => matches!(error, object_store::Error::NotFound { .. }),
            Self::Damaged(damage) => damage.is_gone(),
            _ => false,
        }
    }
}

impl From<object_store::Error> for LakeError {
    fn from(error: object_store::Error) -> Self {
        match Damage::in_chain(&error) {
            Some(damage) => damage.clone().into(),
            None => Self::Storage(error),
        }
    }
}

fn first_line(error: &DeltaTableError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_disk(kind: ErrorKind) -> LakeError {
        let source = Box::new(io::Error::from(kind));
        LakeError::Storage(object_store::Error::Generic { store: "LocalFileSystem", source })
    }

    #[test]
    fn the_advice_fits_the_error() {
        #[track_caller]
        fn check(error: &LakeError, advice: &str, refused: bool) {
            assert!(error.to_string().ends_with(advice), "{error}");
            assert_eq!(is_write_denied(error), refused, "{error}");
        }
        check(&of_disk(ErrorKind::PermissionDenied), "or run as one who has it", true);
        check(&of_disk(ErrorKind::ReadOnlyFilesystem), "mount it for writing", true);
        check(&of_disk(ErrorKind::StorageFull), "then run the command again", false);
        check(&of_disk(ErrorKind::Other), "then run the command again", false);
        let by_store = |source: Box<dyn Error + Send + Sync>| {
            object_store::Error::PermissionDenied { path: "raw".to_owned(), source }
        };
        check(&LakeError::Storage(by_store("403".into())), "below the lake's root", true);
        let source = io::Error::from(ErrorKind::PermissionDenied);
        let path = PathBuf::from("/lake");
        check(&LakeError::Io { path, source }, "or run as one who has it", true);
        let silent = object_store::Error::Generic { store: "S3", source: "no answer".into() };
        check(&LakeError::Storage(silent), "once the store answers", false);
    }
}
