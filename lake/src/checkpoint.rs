//! Checkpoints: a table's state as one file, so that nobody reads a long log.
//!
//! They are written beside the commits, not in their way: a commit costs the same however many
//! files and commits a table has. Their own cost grows with the table's files, so a table of many
//! gets them more rarely. A checkpoint only saves time; one that fails is tried again later.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use delta_kernel::Snapshot;
use tokio::task::JoinSet;

use crate::cleanup::Keep;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::library;
use crate::tail::hint;

/// Commits between two checkpoints of a table of few files; whether one is due is looked at after
/// as many.
const EVERY: u64 = 10;

/// And of a table of many: what is left to read without one stays bounded.
const AT_MOST_EVERY: u64 = 500;

/// At every so many commits the log is cleaned up too.
const CLEAN_UP_EVERY: u64 = 1_000;

/// Work of a lake that no commit waits for.
#[derive(Default)]
pub(crate) struct Background(Mutex<Jobs>);

#[derive(Default)]
struct Jobs {
    /// Tables that somebody is at.
    busy: BTreeSet<String>,
    /// May take minutes, and stops anywhere.
    clean_up: JoinSet<()>,
}

impl Background {
    fn with<T>(&self, act: impl FnOnce(&mut Jobs) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lake {
    /// Sees to a table's checkpoints and its log after a commit.
    pub(crate) fn checkpoint_after(&self, table: &str, version: u64) {
        if !version.is_multiple_of(EVERY) {
            return;
        }
        let (lake, name) = (self.clone(), table.to_owned());
        self.background().with(|jobs| {
            if jobs.busy.insert(table.to_owned()) {
                library::begin(async move {
                    if let Err(error) = lake.look_after(&name, version).await {
                        tracing::warn!(table = name, version, %error, "no checkpoint was written");
                    }
                    lake.background().with(|jobs| jobs.busy.remove(&name));
                });
            }
        });
    }

    async fn look_after(&self, table: &str, version: u64) -> Result<(), LakeError> {
        let log = self.log_store(table);
        let last = hint(log.object_store(None).as_ref()).await?;
        let (at, size) = last.map_or((0, 0), |c| (c.version, c.size));
        if !is_due(version, at, size) {
            return Ok(());
        }
        crate::fault::point("checkpoint", table);
        self.checkpoint(table, version).await?;
        if version.is_multiple_of(CLEAN_UP_EVERY) {
            self.clean_up_later(table);
        }
        Ok(())
    }

    fn clean_up_later(&self, table: &str) {
        let (lake, name) = (self.clone(), table.to_owned());
        self.background().with(|jobs| {
            while jobs.clean_up.try_join_next().is_some() {}
            if jobs.clean_up.is_empty() {
                jobs.clean_up.spawn(async move {
                    let done = lake.clean_up(&name, Keep::default(), chrono::Utc::now()).await;
                    if let Err(error) = done {
                        tracing::warn!(table = name, %error, "the log was not cleaned up");
                    }
                });
            }
        });
    }

    /// Writes the checkpoint of a version.
    pub(crate) async fn checkpoint(&self, table: &str, version: u64) -> Result<(), LakeError> {
        let log = self.log_store(table);
        let written = async move {
            let (engine, url) = (log.engine(None), log.root_url().clone());
            let write = tokio::task::spawn_blocking(move || {
                let snapshot =
                    Snapshot::builder_for(url).at_version(version).build(engine.as_ref())?;
                snapshot.checkpoint(engine.as_ref(), None)
            });
            write.await
        };
        match library::to_its_end(written).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(LakeError::delta(table)(error.into())),
            Err(error) => {
                Err(LakeError::delta(table)(deltalake::DeltaTableError::Generic(error.to_string())))
            }
        }
    }
}

/// Whether a checkpoint is due at a version, the last one being of `at` with `size` actions.
fn is_due(version: u64, at: u64, size: u64) -> bool {
    let every = (size / 200).clamp(EVERY, AT_MOST_EVERY) / EVERY * EVERY;
    // Of several workers the one at the multiple does it; the others see to it that it is done.
    version.is_multiple_of(every) || version >= at + 2 * every
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_many_files_have_rarer_checkpoints() {
        let check = |version: u64, at: u64, size: u64, due: bool| {
            assert_eq!(is_due(version, at, size), due, "{version} {at} {size}");
        };
        check(10, 0, 0, true);
        check(15, 0, 0, false);
        check(200, 190, 2_000, true);
        check(210, 200, 4_000, false);
        check(220, 200, 4_000, true);
        check(200, 100, 100_000, false);
        check(500, 100, 100_000, true);
        check(600, 500, 1_000_000, false);
        check(1_500, 500, 100_000, true);
        check(1_600, 500, 100_000, true);
    }
}
