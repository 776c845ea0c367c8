//! Deleting log entries that a checkpoint replaces, so that the log stays short.
//!
//! Entries are deleted strictly in the order of their versions. `follower` explains why that order
//! keeps a process that slept from committing into the gap.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;

use crate::error::LakeError;
use crate::integrity::witness;
use crate::lake::Lake;
use crate::log::paths::{LOG_FOLDER, parse_log_file};
use crate::object_files::delete_if_exists;

const DAY: Duration = Duration::from_secs(86_400);

/// Which entries of a log are kept although a checkpoint replaces them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogRetention {
    /// Entries younger than this are kept.
    pub(crate) max_age: Duration,
    /// Of the entries older than a day, at most this many of the newest are kept.
    pub(crate) max_entries: u64,
}

impl Default for LogRetention {
    fn default() -> Self {
        Self { max_age: 30 * DAY, max_entries: 50_000 }
    }
}

impl LogRetention {
    /// Keeps no entry that the newest checkpoint replaces.
    pub(crate) const NOTHING: Self = Self { max_age: Duration::ZERO, max_entries: 0 };
}

/// The largest number of files that one clean-up deletes; the next one goes on.
const MAX_DELETIONS: usize = 20_000;

/// Of the checkpoints older than a day, only those at multiples of this version are kept.
const KEPT_CHECKPOINTS_EVERY: u64 = 1_000;

/// An entry or a checkpoint of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LogFile {
    version: u64,
    is_checkpoint: bool,
    age: Duration,
}

impl Lake {
    /// Records that a table's log is complete from a version on, and that older entries may be
    /// gone.
    pub(crate) async fn record_log_start(
        &self,
        table: &str,
        version: u64,
    ) -> Result<(), LakeError> {
        let store = self.log_store(table).object_store(None);
        match witness::record_log_start(store.as_ref(), version).await? {
            Some(marker) => self.sync_file(&format!("{table}/{marker}")).await,
            None => Ok(()),
        }
    }

    /// Deletes the files of a table's log that are not kept, and returns their number.
    pub(crate) async fn clean_up(
        &self,
        table: &str,
        retention: LogRetention,
        now: DateTime<Utc>,
    ) -> Result<usize, LakeError> {
        self.clean_up_until(table, u64::MAX, retention, now).await
    }

    /// Deletes every file of a table's log that the newest checkpoint up to a version replaces. What
    /// others commit meanwhile stays: they may commit as fast as this deletes.
    pub(crate) async fn delete_log_before(
        &self,
        table: &str,
        version: u64,
    ) -> Result<(), LakeError> {
        let none_kept = LogRetention::NOTHING;
        while self.clean_up_until(table, version, none_kept, Utc::now()).await? > 0 {}
        Ok(())
    }

    /// Does the same as [`Lake::clean_up`], as if the log ended at a version.
    async fn clean_up_until(
        &self,
        table: &str,
        until: u64,
        retention: LogRetention,
        now: DateTime<Utc>,
    ) -> Result<usize, LakeError> {
        let store = self.log_store(table).object_store(None);
        let log = Path::from(LOG_FOLDER);
        let mut files: Vec<(LogFile, Path)> = store
            .list(Some(&log))
            .try_filter_map(|file| async move {
                Ok(parse_log_file(&file.location).map(|(version, is_checkpoint)| {
                    let age = (now - file.last_modified).to_std().unwrap_or_default();
                    (LogFile { version, is_checkpoint, age }, file.location)
                }))
            })
            .try_collect()
            .await?;
        files.retain(|(file, _)| file.version <= until);
        files.sort();
        let all: Vec<LogFile> = files.iter().map(|(file, _)| *file).collect();
        let (gone, base) = deletable(&all, retention);
        if gone.iter().any(|index| !all[*index].is_checkpoint) {
            self.record_log_start(table, base).await?;
        }
        for index in gone.iter().take(MAX_DELETIONS) {
            crate::failpoint::hit("log clean-up", table);
            delete_if_exists(store.as_ref(), &files[*index].1).await?;
        }
        let deleted = gone.iter().take(MAX_DELETIONS).map(|index| &all[*index]);
        let checkpoints =
            deleted.filter(|file| file.is_checkpoint).map(|file| file.version).collect();
        if !gone.is_empty() {
            witness::delete_stale_markers(store.as_ref(), &checkpoints).await?;
        }
        Ok(gone.len().min(MAX_DELETIONS))
    }
}

/// Returns the indexes of the files to delete, in the order of deletion, and the version from which
/// on the log stays complete; `files` are sorted.
fn deletable(files: &[LogFile], retention: LogRetention) -> (Vec<usize>, u64) {
    let Some(newest) = files.iter().filter(|f| !f.is_checkpoint).map(|f| f.version).max() else {
        return (Vec::new(), 0);
    };
    let is_kept = |file: &LogFile| {
        let is_among_newest = file.version + retention.max_entries >= newest || file.age < DAY;
        file.age < retention.max_age && is_among_newest
    };
    let first = files.iter().filter(|f| !f.is_checkpoint && is_kept(f)).map(|f| f.version).min();
    let first = first.unwrap_or(newest);
    let checkpoints = || files.iter().filter(|f| f.is_checkpoint).map(|f| f.version);
    // The rest of the log can be read from this checkpoint on.
    let Some(base) = checkpoints().filter(|version| *version <= first).max() else {
        return (Vec::new(), 0);
    };
    let last = checkpoints().max().unwrap_or(base);
    let is_between = |f: &LogFile| base < f.version && f.version < last;
    let is_thinned =
        |f: &LogFile| f.is_checkpoint && is_between(f) && is_thinnable(f.version, f.age);
    let is_deletable = |f: &LogFile| f.version < base || is_thinned(f);
    ((0..files.len()).filter(|index| is_deletable(&files[*index])).collect(), base)
}

/// Returns whether a checkpoint between others may be deleted.
pub(crate) fn is_thinnable(version: u64, age: Duration) -> bool {
    age >= DAY && !version.is_multiple_of(KEPT_CHECKPOINTS_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_without_a_checkpoint_are_kept() {
        // A file is its version, `c` for a checkpoint, and its age in days.
        #[track_caller]
        fn check(files: &[(u64, bool, u32)], retention: LogRetention, expected: &[(u64, bool)]) {
            let of = |(version, is_checkpoint, days): &(u64, bool, u32)| LogFile {
                version: *version,
                is_checkpoint: *is_checkpoint,
                age: *days * DAY,
            };
            let mut files: Vec<LogFile> = files.iter().map(of).collect();
            files.sort();
            let gone: Vec<(u64, bool)> = deletable(&files, retention)
                .0
                .into_iter()
                .map(|i| (files[i].version, files[i].is_checkpoint))
                .collect();
            assert_eq!(gone, expected);
        }
        let (entry, checkpoint) = (false, true);
        let month = LogRetention::default();
        check(&[], month, &[]);
        check(&[(0, entry, 99), (1, entry, 99)], month, &[]);
        let log = [
            (0, entry, 99),
            (1, entry, 98),
            (1, checkpoint, 98),
            (2, entry, 50),
            (3, entry, 40),
            (3, checkpoint, 40),
            (4, entry, 29),
            (5, entry, 0),
            (5, checkpoint, 0),
        ];
        let before_three = [(0, entry), (1, entry), (1, checkpoint), (2, entry)];
        check(&log, month, &before_three);
        check(&log, LogRetention { max_age: 60 * DAY, ..month }, &[(0, entry), (3, checkpoint)]);
        check(&log, LogRetention { max_entries: 1, ..month }, &before_three);
        let most = [&before_three[..], &[(3, entry), (3, checkpoint), (4, entry)]].concat();
        check(&log, LogRetention::NOTHING, &most);
        // Checkpoints between the base and the newest are thinned.
        let long = [
            (0, entry, 9),
            (0, checkpoint, 9),
            (500, checkpoint, 3),
            (1_000, checkpoint, 2),
            (1_500, checkpoint, 2),
            (1_600, checkpoint, 0),
            (1_700, checkpoint, 2),
        ];
        check(&long, month, &[(500, checkpoint), (1_500, checkpoint)]);
    }
}
