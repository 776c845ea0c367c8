//! Replacing whole days of a table, by compacted or by new files, and appending to tables without
//! partitions.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::{Action, MetadataExt};
use domain::Day;

use crate::delta_schema::delta_schema;
use crate::error::LakeError;
use crate::files::parquet::PendingFile;
use crate::lake::{Lake, columns};
use crate::log::commit::{CommitOutcome, commit, commit_over_appends};
use crate::log::snapshot::{DataFile, TableSnapshot};
use crate::log::transactions::{Transactions, rewrite_mark};
use crate::schema::TableDef;

/// The new files of a day.
#[derive(Debug, Clone)]
pub struct CompactedDay {
    pub day: Day,
    pub files: Vec<PendingFile>,
    /// Whether the day has other rows than before, because copies of events were dropped.
    pub data_change: bool,
}

/// Returns days whose rows have changed.
fn changed_days(days: Vec<(Day, Vec<PendingFile>)>) -> Vec<CompactedDay> {
    days.into_iter().map(|(day, files)| CompactedDay { day, files, data_change: true }).collect()
}

impl Lake {
    /// Replaces whole days: one commit removes the files that `base` has of each day, adds the
    /// pending ones, and raises the day's rewrite mark. A day without pending files becomes empty.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when another process has changed a day since `base`: the
    /// caller reads the table again and starts over.
    pub async fn replace_days(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        days: Vec<(Day, Vec<PendingFile>)>,
    ) -> Result<(), LakeError> {
        self.rewrite(def, base, changed_days(days), &Transactions::new()).await
    }

    /// Does the same as [`Lake::replace_days`], and sets transaction ids in the same commit.
    ///
    /// # Errors
    /// The same as [`Lake::replace_days`].
    pub async fn replace_days_marked(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        days: Vec<(Day, Vec<PendingFile>)>,
        marks: &Transactions,
    ) -> Result<(), LakeError> {
        self.rewrite(def, base, changed_days(days), marks).await
    }

    /// Replaces the files of days by fewer ones with the same events. Files that were added since
    /// `base` stay. A day without dropped copies is committed without a data change, so that
    /// followers of the table need not read it again.
    ///
    /// # Errors
    /// The same as [`Lake::replace_days`].
    pub async fn compact_days(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        days: Vec<CompactedDay>,
    ) -> Result<(), LakeError> {
        self.rewrite(def, base, days, &Transactions::new()).await
    }

    async fn rewrite(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        days: Vec<CompactedDay>,
        marks: &Transactions,
    ) -> Result<(), LakeError> {
        let log = self.log_store(&def.name);
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        loop {
            let (now, mut follower) = self.latest(&def.name).await?.ok_or_else(conflict)?;
            let columns_changed = now.schema != base.schema;
            if columns_changed || days.iter().any(|d| is_changed(base, &now, Some(d.day))) {
                return Err(conflict());
            }
            let mut actions = Vec::new();
            let mut txns = marks.clone();
            for CompactedDay { day, files, data_change } in &days {
                actions.extend(base.of_day(*day).map(|f| f.remove_action(def, *data_change)));
                actions.extend(files.iter().map(|f| f.action_with(*data_change)));
                let mark = rewrite_mark(Some(*day));
                let count = now.txns.get(&mark).copied().unwrap_or_default();
                txns.insert(mark, count + 1);
            }
            // Files that were added since stay, so they change nothing.
            let outcome =
                commit_over_appends(self, def, &log, &mut follower, actions, txns, |_| true);
            if matches!(outcome.await?, CommitOutcome::Committed { .. }) {
                return Ok(());
            }
        }
    }

    /// Gives a table other columns: one commit removes all files of `base` and adds files with the
    /// new columns, by day when the table has days. Older versions keep their columns.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when the table has changed since `base`.
    pub async fn replace_columns(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        days: Vec<(Option<Day>, Vec<PendingFile>)>,
    ) -> Result<(), LakeError> {
        let log = self.log_store(&def.name);
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        loop {
            let (now, mut follower) = self.latest(&def.name).await?.ok_or_else(conflict)?;
            let old_days = base.files.iter().chain(now.files.iter()).map(|f| f.day);
            let all: BTreeSet<Option<Day>> =
                old_days.chain(days.iter().map(|(day, _)| *day)).collect();
            if now.schema != base.schema || all.iter().any(|day| is_changed(base, &now, *day)) {
                return Err(conflict());
            }
            let mut actions = vec![self.metadata_action(def).await?];
            actions.extend(base.files.iter().map(|f| f.remove_action(def, true)));
            actions.extend(days.iter().flat_map(|(_, files)| files).map(PendingFile::action));
            let mark = |day| {
                let mark = rewrite_mark(day);
                let count = now.txns.get(&mark).copied().unwrap_or_default();
                (mark, count + 1)
            };
            let txns: Transactions = all.into_iter().map(mark).collect();
            let outcome = commit(self, def, &log, &mut follower, actions, txns).await?;
            if matches!(outcome, CommitOutcome::Committed { .. }) {
                return Ok(());
            }
        }
    }

    /// Returns the action that gives the table the columns of a definition.
    async fn metadata_action(&self, def: &TableDef) -> Result<Action, LakeError> {
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let delta = self.delta(&def.name).await?.ok_or_else(conflict)?;
        let failed = LakeError::delta(&def.name);
        let metadata = delta.snapshot().map_err(&failed)?.metadata().clone();
        let metadata = metadata.with_schema(&delta_schema(def)?);
        Ok(Action::Metadata(metadata.map_err(|e| failed(DeltaTableError::from(e)))?))
    }

    /// Replaces single files by others, in one commit that raises the rewrite marks of their days
    /// and adds `counts` to counters that are transaction ids.
    ///
    /// # Errors
    /// The same as [`Lake::replace_days`].
    pub(crate) async fn replace_files(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        old: &[&DataFile],
        new: &[PendingFile],
        counts: &BTreeMap<String, u64>,
    ) -> Result<(), LakeError> {
        let log = self.log_store(&def.name);
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let days: BTreeSet<Option<Day>> = old.iter().map(|f| f.day).collect();
        loop {
            let (now, mut follower) = self.latest(&def.name).await?.ok_or_else(conflict)?;
            if days.iter().any(|day| is_changed(base, &now, *day)) {
                return Err(conflict());
            }
            let mut actions: Vec<Action> = old.iter().map(|f| f.remove_action(def, true)).collect();
            actions.extend(new.iter().map(PendingFile::action));
            let marks = days.iter().map(|day| (rewrite_mark(*day), 1));
            let counts = counts.iter().map(|(id, n)| (id.clone(), i64::try_from(*n).unwrap_or(0)));
            let txns: Transactions = marks
                .chain(counts)
                .map(|(id, more)| {
                    let current = now.txns.get(&id).copied().unwrap_or_default();
                    (id, current + more)
                })
                .collect();
            // Files that were added since stay, so they change nothing.
            let outcome =
                commit_over_appends(self, def, &log, &mut follower, actions, txns, |_| true);
            if matches!(outcome.await?, CommitOutcome::Committed { .. }) {
                return Ok(());
            }
        }
    }

    /// Appends rows to a table without partitions, creates the table when it does not exist, and
    /// returns the version of the commit.
    ///
    /// # Errors
    /// When the rows are not of the table's types, or can't be written;
    /// [`LakeError::Conflict`] when the process slept so long that it can't tell whether its commit
    /// counts.
    pub async fn append(&self, def: &TableDef, batches: &[RecordBatch]) -> Result<u64, LakeError> {
        let done = self.append_with(def, batches, None).await?;
        done.ok_or_else(|| LakeError::Conflict { table: def.name.clone() })
    }

    /// Appends rows as [`Lake::append`] does, and raises a transaction id in the same commit.
    /// Returns `None`, and appends nothing, when the id has that value or a higher one already.
    ///
    /// # Errors
    /// The same as [`Lake::append`].
    pub async fn append_once(
        &self,
        def: &TableDef,
        batches: &[RecordBatch],
        mark: &str,
        to: i64,
    ) -> Result<Option<u64>, LakeError> {
        self.append_with(def, batches, Some((mark, to))).await
    }

    /// Creates the table unless it exists, and gives one of an older program the columns that have come
    /// since: optional ones at the end, which are NULL in the rows that it has.
    async fn ensure_columns(&self, def: &TableDef) -> Result<(), LakeError> {
        loop {
            let Err(error) = self.ensure_table(def).await else { return Ok(()) };
            let LakeError::SchemaChanged { expected, .. } = &error else {
                return Err(error);
            };
            let conflict = || LakeError::Conflict { table: def.name.clone() };
            let (now, mut follower) = self.latest(&def.name).await?.ok_or_else(conflict)?;
            let found = columns(&now.schema);
            if found == *expected {
                return Ok(());
            }
            let mut new = def.schema.fields().iter().skip(now.schema.fields().len());
            if !expected.starts_with(&format!("{found}, ")) || !new.all(|f| f.is_nullable()) {
                return Err(error);
            }
            let actions = vec![self.metadata_action(def).await?];
            let log = self.log_store(&def.name);
            // A commit of somebody else in between is seen by the next round.
            commit(self, def, &log, &mut follower, actions, Transactions::new()).await?;
        }
    }

    async fn append_with(
        &self,
        def: &TableDef,
        batches: &[RecordBatch],
        mark: Option<(&str, i64)>,
    ) -> Result<Option<u64>, LakeError> {
        self.ensure_columns(def).await?;
        let file = self.write_file(def, None, batches, BTreeMap::new()).await?;
        let log = self.log_store(&def.name);
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let (_, mut follower) = self.latest(&def.name).await?.ok_or_else(conflict)?;
        loop {
            if mark.is_some_and(|(id, to)| follower.txns.get(id).is_some_and(|is| *is >= to)) {
                return Ok(None);
            }
            let txns = mark.iter().map(|(id, to)| ((*id).to_owned(), *to)).collect();
            match commit(self, def, &log, &mut follower, vec![file.action()], txns).await? {
                CommitOutcome::Committed { version } => return Ok(Some(version)),
                CommitOutcome::VersionTaken => {
                    follower.advance(log.as_ref(), &def.name, None).await?;
                }
                // The commit may count after all, and a second one would append the rows twice.
                CommitOutcome::LogCleanedUp => return Err(conflict()),
            }
        }
    }
}

/// Returns whether another process has rewritten the day, or removed one of its files.
pub(crate) fn is_changed(base: &TableSnapshot, now: &TableSnapshot, day: Option<Day>) -> bool {
    let mark = rewrite_mark(day);
    if base.txns.get(&mark) != now.txns.get(&mark) {
        return true;
    }
    let of_day = |files: &'_ [DataFile]| -> BTreeSet<String> {
        files.iter().filter(|f| f.day == day).map(|f| f.path.clone()).collect()
    };
    !of_day(&base.files).is_subset(&of_day(&now.files))
}
