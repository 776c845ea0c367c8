//! Replacing whole days of a table, compacted or anew, and appending to tables without partitions.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::{Action, MetadataExt, Remove};
use lake_types::Day;

use crate::commit::{Committed, commit};
use crate::error::LakeError;
use crate::file::PendingFile;
use crate::lake::{Lake, kernel_schema};
use crate::log::{Transactions, rewrite_mark};
use crate::schema::TableDef;
use crate::snapshot::{DataFile, TableSnapshot};

/// The new files of a day.
#[derive(Debug, Clone)]
pub struct CompactedDay {
    pub day: Day,
    pub files: Vec<PendingFile>,
    /// Whether it holds other events than before: copies of some are gone.
    pub data_change: bool,
}

/// Days that hold something else from now on.
fn anew(days: Vec<(Day, Vec<PendingFile>)>) -> Vec<CompactedDay> {
    days.into_iter().map(|(day, files)| CompactedDay { day, files, data_change: true }).collect()
}

impl Lake {
    /// Replaces whole days: every file of each day that `base` names goes, the pending ones come,
    /// in one commit that moves the day's rewrite mark. A day without files becomes empty.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when a mark has moved, or a file is gone, since `base`: read the
    /// table again and start over.
    pub async fn replace_days(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        days: Vec<(Day, Vec<PendingFile>)>,
    ) -> Result<(), LakeError> {
        self.rewrite(def, base, anew(days), &Transactions::new()).await
    }

    /// As [`Lake::replace_days`], setting application ids in the same commit.
    ///
    /// # Errors
    /// As [`Lake::replace_days`].
    pub async fn replace_days_marked(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        days: Vec<(Day, Vec<PendingFile>)>,
        marks: &Transactions,
    ) -> Result<(), LakeError> {
        self.rewrite(def, base, anew(days), marks).await
    }

    /// Replaces the files of days by fewer ones that hold the same events. Files that came since
    /// `base` stay. Where no copy was dropped a day carries no data change, so that nobody who
    /// follows the table reads it again.
    ///
    /// # Errors
    /// As [`Lake::replace_days`].
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
            let (now, mut tail) = self.followed(&def.name).await?.ok_or_else(conflict)?;
            let columns_changed = now.schema != base.schema;
            if columns_changed || days.iter().any(|d| moved(base, &now, Some(d.day))) {
                return Err(conflict());
            }
            let mut actions = Vec::new();
            let mut txns = marks.clone();
            for CompactedDay { day, files, data_change } in &days {
                actions.extend(base.of_day(*day).map(|f| remove(def, f, *data_change)));
                actions.extend(files.iter().map(|f| f.action_with(*data_change)));
                let mark = rewrite_mark(Some(*day));
                let count = now.txns.get(&mark).copied().unwrap_or_default();
                txns.insert(mark, count + 1);
            }
            let done = commit(self, def, &log, &mut tail, actions, txns).await?;
            if matches!(done, Committed::Done { .. }) {
                return Ok(());
            }
        }
    }

    /// Gives a table other columns: every file of `base` goes, and these, of the new columns, come,
    /// in one commit, by day where the table has days. Versions before it keep the columns they had.
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
            let (now, mut tail) = self.followed(&def.name).await?.ok_or_else(conflict)?;
            let held = base.files.iter().chain(&now.files).map(|f| f.day);
            let all: BTreeSet<Option<Day>> = held.chain(days.iter().map(|(day, _)| *day)).collect();
            if now.schema != base.schema || all.iter().any(|day| moved(base, &now, *day)) {
                return Err(conflict());
            }
            let mut actions = vec![self.with_columns(def).await?];
            actions.extend(base.files.iter().map(|f| remove(def, f, true)));
            actions.extend(days.iter().flat_map(|(_, files)| files).map(PendingFile::action));
            let mark = |day| {
                let mark = rewrite_mark(day);
                let count = now.txns.get(&mark).copied().unwrap_or_default();
                (mark, count + 1)
            };
            let txns: Transactions = all.into_iter().map(mark).collect();
            let done = commit(self, def, &log, &mut tail, actions, txns).await?;
            if matches!(done, Committed::Done { .. }) {
                return Ok(());
            }
        }
    }

    /// What the log says of the table, with these columns.
    async fn with_columns(&self, def: &TableDef) -> Result<Action, LakeError> {
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let delta = self.delta(&def.name).await?.ok_or_else(conflict)?;
        let fail = LakeError::delta(&def.name);
        let metadata = delta.snapshot().map_err(&fail)?.metadata().clone();
        let metadata = metadata.with_schema(&kernel_schema(def)?);
        Ok(Action::Metadata(metadata.map_err(|e| fail(DeltaTableError::from(e)))?))
    }

    /// Replaces single files by others, in one commit that moves the marks of their days and adds
    /// to counters kept as application ids.
    ///
    /// # Errors
    /// As [`Lake::replace_days`].
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
            let (now, mut tail) = self.followed(&def.name).await?.ok_or_else(conflict)?;
            if days.iter().any(|day| moved(base, &now, *day)) {
                return Err(conflict());
            }
            let mut actions: Vec<Action> = old.iter().map(|f| remove(def, f, true)).collect();
            actions.extend(new.iter().map(PendingFile::action));
            let marks = days.iter().map(|day| (rewrite_mark(*day), 1));
            let counts = counts.iter().map(|(id, n)| (id.clone(), i64::try_from(*n).unwrap_or(0)));
            let txns: Transactions = marks
                .chain(counts)
                .map(|(id, more)| {
                    let known = now.txns.get(&id).copied().unwrap_or_default();
                    (id, known + more)
                })
                .collect();
            let done = commit(self, def, &log, &mut tail, actions, txns).await?;
            if matches!(done, Committed::Done { .. }) {
                return Ok(());
            }
        }
    }

    /// Appends rows to a table without partition, making the table when it is new; the version.
    ///
    /// # Errors
    /// When the rows are not of the table's types, or can't be written; [`LakeError::Conflict`] when
    /// the process stood still so long that nobody can tell.
    pub async fn append(&self, def: &TableDef, batches: &[RecordBatch]) -> Result<u64, LakeError> {
        let done = self.append_with(def, batches, None).await?;
        done.ok_or_else(|| LakeError::Conflict { table: def.name.clone() })
    }

    /// As [`Lake::append`], and raises an application id in the same commit; `None`, and nothing is
    /// appended, where it has been raised as far already.
    ///
    /// # Errors
    /// As [`Lake::append`].
    pub async fn append_once(
        &self,
        def: &TableDef,
        batches: &[RecordBatch],
        mark: &str,
        to: i64,
    ) -> Result<Option<u64>, LakeError> {
        self.append_with(def, batches, Some((mark, to))).await
    }

    async fn append_with(
        &self,
        def: &TableDef,
        batches: &[RecordBatch],
        mark: Option<(&str, i64)>,
    ) -> Result<Option<u64>, LakeError> {
        self.ensure_table(def).await?;
        let file = self.write_file(def, None, batches, BTreeMap::new()).await?;
        let log = self.log_store(&def.name);
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let (_, mut tail) = self.followed(&def.name).await?.ok_or_else(conflict)?;
        loop {
            if mark.is_some_and(|(id, to)| tail.txns.get(id).is_some_and(|is| *is >= to)) {
                return Ok(None);
            }
            let txns = mark.iter().map(|(id, to)| ((*id).to_owned(), *to)).collect();
            match commit(self, def, &log, &mut tail, vec![file.action()], txns).await? {
                Committed::Done { version } => return Ok(Some(version)),
                Committed::Taken => tail.advance(log.as_ref(), &def.name, None).await?,
                // It may count after all, and once more would be twice.
                Committed::Cleaned => return Err(conflict()),
            }
        }
    }
}

/// Whether somebody else rewrote the day, or took one of its files away.
pub(crate) fn moved(base: &TableSnapshot, now: &TableSnapshot, day: Option<Day>) -> bool {
    let mark = rewrite_mark(day);
    if base.txns.get(&mark) != now.txns.get(&mark) {
        return true;
    }
    let of_day = |files: &'_ [DataFile]| -> BTreeSet<String> {
        files.iter().filter(|f| f.day == day).map(|f| f.path.clone()).collect()
    };
    !of_day(&base.files).is_subset(&of_day(&now.files))
}

pub(crate) fn remove(def: &TableDef, file: &DataFile, data_change: bool) -> Action {
    let below = file.path.strip_prefix(&format!("{}/", def.name)).unwrap_or(&file.path);
    let values = def.partition_by.iter().map(|c| (c.clone(), file.day.map(|d| d.to_string())));
    Action::Remove(Remove {
        path: below.to_owned(),
        data_change,
        deletion_timestamp: Some(chrono::Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(values.collect()),
        size: i64::try_from(file.size).ok(),
        ..Remove::default()
    })
}
