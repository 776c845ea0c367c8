//! Deleting entries of a table's log that a checkpoint stands for, so that the log stays short.
//!
//! Strictly by version: `tail` says why that is what keeps a process that slept from committing
//! into the gap.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::tail::version_of;

const DAY: Duration = Duration::from_secs(86_400);

/// Which part of a log stays, whatever checkpoints there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Entries younger than this.
    pub(crate) age: Duration,
    /// But of those older than a day, so many of the newest at most.
    pub(crate) entries: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { age: 30 * DAY, entries: 50_000 }
    }
}

impl Keep {
    /// Nothing that the newest checkpoint stands for.
    pub(crate) const NOTHING: Self = Self { age: Duration::ZERO, entries: 0 };
}

/// So many deletions at a time; the next time goes on.
const AT_MOST: usize = 20_000;

/// Checkpoints of a day ago are kept at every so many versions.
const CHECKPOINTS_EVERY: u64 = 1_000;

/// A file of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LogFile {
    version: u64,
    checkpoint: bool,
    age: Duration,
}

impl Lake {
    /// Deletes what is not to be kept of a table's log; how many files that were.
    pub(crate) async fn clean_up(
        &self,
        table: &str,
        keep: Keep,
        now: DateTime<Utc>,
    ) -> Result<usize, LakeError> {
        let store = self.log_store(table).object_store(None);
        let log = Path::from("_delta_log");
        let mut files: Vec<(LogFile, Path)> = store
            .list(Some(&log))
            .try_filter_map(|file| async move {
                Ok(version_of(&file.location).map(|(version, checkpoint)| {
                    let age = (now - file.last_modified).to_std().unwrap_or_default();
                    (LogFile { version, checkpoint, age }, file.location)
                }))
            })
            .try_collect()
            .await?;
        files.sort();
        let all: Vec<LogFile> = files.iter().map(|(file, _)| *file).collect();
        let (gone, base) = superfluous(&all, keep);
        if gone.iter().any(|index| !all[*index].checkpoint) {
            self.log_begins(table, base).await?;
        }
        for index in gone.iter().take(AT_MOST) {
            crate::fault::point("log clean-up", table);
            match store.delete(&files[*index].1).await {
                // Somebody else cleans up too.
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let deleted = gone.iter().take(AT_MOST).map(|index| &all[*index]);
        let checkpoints = deleted.filter(|file| file.checkpoint).map(|file| file.version).collect();
        if !gone.is_empty() {
            self.tidy_markers(table, &checkpoints).await?;
        }
        Ok(gone.len().min(AT_MOST))
    }
}

/// The files to delete, in the order to delete them in, and the version from which the log stays;
/// `files` are sorted.
fn superfluous(files: &[LogFile], keep: Keep) -> (Vec<usize>, u64) {
    let Some(newest) = files.iter().filter(|f| !f.checkpoint).map(|f| f.version).max() else {
        return (Vec::new(), 0);
    };
    let stays = |file: &LogFile| {
        let few = file.version + keep.entries >= newest || file.age < DAY;
        file.age < keep.age && few
    };
    let first = files.iter().filter(|f| !f.checkpoint && stays(f)).map(|f| f.version).min();
    let first = first.unwrap_or(newest);
    let checkpoints = || files.iter().filter(|f| f.checkpoint).map(|f| f.version);
    // From here the rest can be read.
    let Some(base) = checkpoints().filter(|version| *version <= first).max() else {
        return (Vec::new(), 0);
    };
    let last = checkpoints().max().unwrap_or(base);
    let between = |f: &LogFile| base < f.version && f.version < last;
    let thinned = |f: &LogFile| f.checkpoint && between(f) && may_be_thinned(f.version, f.age);
    let gone = |f: &LogFile| f.version < base || thinned(f);
    ((0..files.len()).filter(|index| gone(&files[*index])).collect(), base)
}

/// Whether a checkpoint between others may go.
pub(crate) fn may_be_thinned(version: u64, age: Duration) -> bool {
    age >= DAY && !version.is_multiple_of(CHECKPOINTS_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_checkpoint_stands_for_stays() {
        // A file is its version, `c` for a checkpoint, and its age in days.
        #[track_caller]
        fn check(files: &[(u64, bool, u32)], keep: Keep, expected: &[(u64, bool)]) {
            let of = |(version, checkpoint, days): &(u64, bool, u32)| LogFile {
                version: *version,
                checkpoint: *checkpoint,
                age: *days * DAY,
            };
            let mut files: Vec<LogFile> = files.iter().map(of).collect();
            files.sort();
            let gone: Vec<(u64, bool)> = superfluous(&files, keep)
                .0
                .into_iter()
                .map(|i| (files[i].version, files[i].checkpoint))
                .collect();
            assert_eq!(gone, expected);
        }
        let (entry, checkpoint) = (false, true);
        let month = Keep::default();
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
        check(&log, Keep { age: 60 * DAY, ..month }, &[(0, entry), (3, checkpoint)]);
        check(&log, Keep { entries: 1, ..month }, &before_three);
        let most = [&before_three[..], &[(3, entry), (3, checkpoint), (4, entry)]].concat();
        check(&log, Keep::NOTHING, &most);
        // Between the base and the newest some checkpoints are enough.
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
