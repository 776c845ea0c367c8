//! Checkpoints: a table's state in one file, so that a reader need not replay a long log.
//!
//! They are written in the background, so that the cost of a commit does not depend on the number
//! of files and commits of the table. The cost of a checkpoint grows with the number of files, so
//! tables of many files get them more rarely. A checkpoint only saves time; a failed one is retried
//! later.

use delta_kernel::Snapshot;

use crate::delta_runtime;
use crate::error::LakeError;
use crate::integrity::witness;
use crate::lake::Lake;
use crate::log::cleanup::LogRetention;
use crate::log::follower::checkpoint_hint;

/// The number of commits between two checkpoints of a table of few files, and between two looks
/// whether a checkpoint is needed.
const CHECKPOINT_EVERY: u64 = 10;

/// The largest number of commits between two checkpoints, which bounds the entries to replay.
const MAX_CHECKPOINT_EVERY: u64 = 500;

/// The number of commits between two clean-ups of the log.
const CLEAN_UP_EVERY: u64 = 1_000;

impl Lake {
    /// Starts a background job after a commit that writes a checkpoint, and cleans up the log, when
    /// they are needed.
    pub(crate) fn checkpoint_after(&self, table: &str, version: u64) {
        if !version.is_multiple_of(CHECKPOINT_EVERY) {
            return;
        }
        let (lake, name) = (self.clone(), table.to_owned());
        self.background_jobs().with(|jobs| {
            if jobs.busy.insert(table.to_owned()) {
                delta_runtime::spawn_background(async move {
                    if let Err(error) = lake.checkpoint_if_needed(&name, version).await {
                        tracing::warn!(table = name, version, %error, "no checkpoint was written");
                    }
                    lake.background_jobs().with(|jobs| jobs.busy.remove(&name));
                });
            }
        });
    }

    /// Writes a checkpoint of a version unless a recent one exists.
    async fn checkpoint_if_needed(&self, table: &str, version: u64) -> Result<(), LakeError> {
        let log = self.log_store(table);
        let last = checkpoint_hint(log.object_store(None).as_ref()).await?;
        let (last, size) = last.map_or((0, 0), |c| (c.version, c.size));
        if !needs_checkpoint(version, last, size) {
            return Ok(());
        }
        let store = log.object_store(None);
        witness::mark_interrupted_checkpoints(store.as_ref(), last + 1..version).await?;
        crate::failpoint::hit("checkpoint", table);
        self.checkpoint(table, version).await?;
        if version.is_multiple_of(CLEAN_UP_EVERY) {
            self.clean_up_later(table);
        }
        Ok(())
    }

    /// Starts a background clean-up of a table's log, unless one runs.
    fn clean_up_later(&self, table: &str) {
        let (lake, name) = (self.clone(), table.to_owned());
        self.background_jobs().with(|jobs| {
            while jobs.clean_up.try_join_next().is_some() {}
            if jobs.clean_up.is_empty() {
                jobs.clean_up.spawn(async move {
                    let done =
                        lake.clean_up(&name, LogRetention::default(), chrono::Utc::now()).await;
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
        match delta_runtime::run_to_completion(written).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(LakeError::delta(table)(error.into())),
            Err(error) => {
                Err(LakeError::delta(table)(deltalake::DeltaTableError::Generic(error.to_string())))
            }
        }
    }
}

/// Returns whether a version needs a checkpoint, where the last one is of version `last` and has
/// `size` actions.
fn needs_checkpoint(version: u64, last: u64, size: u64) -> bool {
    let every = (size / 200).clamp(CHECKPOINT_EVERY, MAX_CHECKPOINT_EVERY) / CHECKPOINT_EVERY
        * CHECKPOINT_EVERY;
    // Of several workers, the one that commits the multiple writes the checkpoint. The others write
    // it when it is overdue.
    version.is_multiple_of(every) || version >= last + 2 * every
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_many_files_have_rarer_checkpoints() {
        let check = |version: u64, last: u64, size: u64, needed: bool| {
            assert_eq!(needs_checkpoint(version, last, size), needed, "{version} {last} {size}");
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
