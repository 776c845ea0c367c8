//! Retention: sealing days that are older than the retention. Their events are deleted, the results
//! computed from them stay, and new events of these days are rejected.
//!
//! The first day that is not sealed is stored as a transaction id of the table. A commit with files
//! of a sealed day is refused in the same way as a commit from an old position: the worker reads
//! the transaction id, reads its records again, and rejects those of sealed days as `out_of_range`.

use std::collections::BTreeSet;

use domain::{Day, Stream};

use crate::error::LakeError;
use crate::files::parquet::PendingFile;
use crate::lake::Lake;
use crate::log::commit::{CommitOutcome, commit_over_appends};
use crate::log::snapshot::{DataFile, TableSnapshot};
use crate::log::transactions::{
    PartitionId, PartitionPosition, Transactions, partitions, rewrite_mark,
};
use crate::schema::{self, TableDef};

/// The transaction id with the first day that is not sealed, in days since 1970.
const SEALED: &str = "sealed";

/// The transaction id that counts the records which were deleted with their day.
const RETIRED: &str = "retired";

/// Returns the first day of a table of events that is not sealed; `None` when no day is sealed.
pub fn sealed_before(txns: &Transactions) -> Option<Day> {
    txns.get(SEALED).and_then(|day| i32::try_from(*day).ok()).map(Day)
}

/// Returns the number of records that were deleted with their day, copies that compaction had
/// dropped included.
pub fn retired_records(txns: &Transactions) -> u64 {
    txns.get(RETIRED).and_then(|n| u64::try_from(*n).ok()).unwrap_or_default()
}

/// What was sealed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedDays {
    pub days: usize,
    pub files: usize,
    /// The number of records, as [`retired_records`] counts them.
    pub records: u64,
}

impl Lake {
    /// Seals the days before a day in a raw table, or deletes the dead letters that arrived before
    /// it. With `dry_run` nothing is written. `base` is the version from which the caller has
    /// computed the results of these days.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when these days have changed since `base`, or a worker is
    /// between its two commits: the caller starts over.
    pub async fn seal(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        before: Day,
        dry_run: bool,
    ) -> Result<SealedDays, LakeError> {
        let log = self.log_store(&def.name);
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let is_event_table = is_event_table(def);
        loop {
            let (now, mut follower) = self.latest(&def.name).await?.ok_or_else(conflict)?;
            let old: Vec<&DataFile> =
                now.files.iter().filter(|f| f.day.is_some_and(|day| day < before)).collect();
            if old.iter().any(|f| !base.files.contains(f)) {
                return Err(conflict());
            }
            let sealed = sealed_before(&now.txns).is_some_and(|day| day >= before);
            if dry_run || (old.is_empty() && (sealed || !is_event_table)) {
                return Ok(sealed_days(&old));
            }
            if !is_event_table && self.is_between_commits(&now.txns).await? {
                return Err(conflict());
            }
            let actions = old.iter().map(|f| f.remove_action(def, true)).collect();
            let txns = new_transactions(&now, &old, is_event_table.then_some(before));
            crate::failpoint::hit("seal", &def.name);
            // Where a file was added to one of the days, or dead letters, which a worker adds before its
            // events, the days are looked at again.
            let stays = |added: &Option<String>| {
                is_event_table
                    && added
                        .as_deref()
                        .and_then(|d| d.parse::<Day>().ok())
                        .is_some_and(|d| d >= before)
            };
            let holds = |added: &[Option<String>]| added.iter().all(stays);
            let outcome =
                commit_over_appends(self, def, &log, &mut follower, actions, txns, holds).await?;
            if let CommitOutcome::Committed { .. } = outcome {
                return Ok(sealed_days(&old));
            }
        }
    }

    /// Returns whether a worker has committed dead letters, but not yet the events of the same
    /// records. It needs these dead letters when it reads the records again.
    async fn is_between_commits(&self, dead_letters: &Transactions) -> Result<bool, LakeError> {
        let mut raw = Vec::new();
        for stream in Stream::ALL {
            raw.push(self.transactions(&schema::raw(stream).name).await?);
        }
        let is_ahead = |(id, position): (PartitionId, PartitionPosition)| {
            let committed = raw.iter().filter_map(|txns| id.position(txns)).map(|p| p.next).max();
            committed.unwrap_or_default() < position.next
        };
        Ok(partitions(dead_letters).any(is_ahead))
    }
}

fn is_event_table(def: &TableDef) -> bool {
    def.name != schema::dead_letters().name
}

fn sealed_days(old: &[&DataFile]) -> SealedDays {
    let days: BTreeSet<Day> = old.iter().filter_map(|f| f.day).collect();
    SealedDays { days: days.len(), files: old.len(), records: record_count(old) }
}

/// Returns the number of records of files, copies that compaction had dropped included.
fn record_count(old: &[&DataFile]) -> u64 {
    old.iter().map(|f| f.rows + f.dropped_copies()).sum()
}

/// Returns the transaction ids of the commit that seals days.
fn new_transactions(now: &TableSnapshot, old: &[&DataFile], sealed: Option<Day>) -> Transactions {
    let days: BTreeSet<Day> = old.iter().filter_map(|f| f.day).collect();
    let rewritten = days.into_iter().map(|day| (rewrite_mark(Some(day)), 1));
    let counted = (RETIRED.to_owned(), i64::try_from(record_count(old)).unwrap_or_default());
    let current = |id: &str| now.txns.get(id).copied().unwrap_or_default();
    let mut txns: Transactions =
        rewritten.chain([counted]).map(|(id, more)| (id.clone(), current(&id) + more)).collect();
    if let Some(day) = sealed.max(sealed_before(&now.txns)) {
        txns.insert(SEALED.to_owned(), i64::from(day.0));
    }
    txns
}

/// Returns whether one of the files is of a sealed day of the table.
pub(crate) fn is_for_sealed_day(
    def: &TableDef,
    txns: &Transactions,
    files: &[PendingFile],
) -> bool {
    let Some(first) = sealed_before(txns).filter(|_| is_event_table(def)) else { return false };
    let Some(column) = &def.partition_by else { return false };
    files
        .iter()
        .filter_map(|f| f.add.partition_values.get(column)?.as_ref()?.parse::<Day>().ok())
        .any(|day| day < first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tests::{advance, def, options, rows};
    use crate::{AppendOutcome, Appender, DROPPED_COPIES_TAG};

    #[tokio::test]
    async fn a_sealed_day_accepts_no_more_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
        let mut table = Appender::open(&lake, def()).await.expect("a table");
        let mut other = Appender::open(&lake, def()).await.expect("the same table");
        let ids = [0, 1].map(|p| PartitionId::kafka("c", "t", "i", p));
        let write = async |day: i32, tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            let tags: BTreeMap<String, String> = tags.collect();
            lake.write_file(&def(), Some(Day(day)), &[rows(&[1, 2])], tags).await.expect("a file")
        };
        let files = [
            write(1, &[]).await,
            write(2, &[(DROPPED_COPIES_TAG, "5")]).await,
            write(3, &[]).await,
        ];
        table.append(&[advance(&ids[0], None, 6)], &files).await.expect("a commit");
        let base = lake.snapshot("raw/things", None).await.expect("read").expect("there");

        let expected = SealedDays { days: 2, files: 2, records: 2 + 2 + 5 };
        let dry = lake.seal(&def(), &base, Day(3), true).await.expect("an answer");
        assert_eq!(dry, expected);
        // An event has come that no result includes yet.
        let late = write(1, &[]).await;
        table.append(&[advance(&ids[0], Some(6), 8)], &[late]).await.expect("a commit");
        let early = lake.seal(&def(), &base, Day(3), false).await;
        assert!(matches!(early, Err(LakeError::Conflict { .. })), "{early:?}");

        let base = lake.snapshot("raw/things", None).await.expect("read").expect("there");
        let sealed = lake.seal(&def(), &base, Day(3), false).await.expect("sealed");
        assert_eq!(sealed, SealedDays { files: 3, records: 11, ..expected });
        let after = lake.snapshot("raw/things", None).await.expect("read").expect("there");
        assert_eq!((after.rows(), retired_records(&after.txns)), (2, 11));
        assert_eq!(sealed_before(&after.txns), Some(Day(3)));
        let again = lake.seal(&def(), &after, Day(2), false).await.expect("nothing to do");
        assert_eq!(again, SealedDays::default());

        // A worker that has not read the transaction id commits nothing of a sealed day.
        let late = [write(2, &[]).await, write(3, &[]).await];
        let answer = other.append(&[advance(&ids[1], None, 4)], &late).await.expect("an answer");
        assert_eq!(answer, AppendOutcome::PositionsMoved(vec![ids[1].clone()]));
        let answer = other.append(&[advance(&ids[1], None, 4)], &late[1..]).await;
        assert!(matches!(answer.expect("a commit"), AppendOutcome::Committed { .. }));
    }
}
