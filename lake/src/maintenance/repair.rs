//! `lake repair`: restoring what the rest of the lake determines.
//!
//! - A log whose newest state can still be read gets a new checkpoint. Damaged files before the
//!   checkpoint are deleted, together with the older versions that need them.
//! - Missing and damaged files of rollups and scores leave their tables, and their rows are
//!   computed again. A rollup that has lost its log is deleted and computed as a whole.
//!
//! Events, and history that a person wrote, exist nowhere else and stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Day, agree, counted};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::LakeError;
use crate::integrity::block_checksum::BlockChecksums;
use crate::integrity::damage::{Damage, is_computed};
use crate::integrity::witness::{self, newest_path, written_marker};
use crate::lake::Lake;
use crate::log::paths::{HINT_PATH, checkpoint_path};
use crate::log::snapshot::{DataFile, TableSnapshot};
use crate::maintenance::verify::IntegrityFinding;
use crate::maintenance::verify::log::{CheckpointHintState, FileState, LogState};
use crate::object_files::get_if_exists;

/// Which rows of a table can be computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecomputeScope {
    /// No rows: other tables are computed from this one.
    Nothing,
    /// All days, or the days from one on.
    Days(Option<Day>),
    /// All rows, by running the command again that wrote them. The remaining rows stay valid.
    Rows,
}

/// The result of a repair: the problems that were repaired, and those that could not be.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    pub repaired: Vec<IntegrityFinding>,
    pub unrepaired: Vec<IntegrityFinding>,
}

impl RepairReport {
    fn add_repaired(&mut self, table: &str, what: String) {
        self.repaired.push(IntegrityFinding { table: table.to_owned(), what });
    }

    fn add_unrepaired(&mut self, table: &str, what: String) {
        self.unrepaired.push(IntegrityFinding { table: table.to_owned(), what });
    }
}

impl Lake {
    /// Returns all tables, those that have lost their log included. Tables from which others are
    /// computed come first.
    ///
    /// # Errors
    /// When the root can't be listed.
    pub async fn tables_to_repair(&self) -> Result<Vec<String>, LakeError> {
        let mut tables = self.tables_and_remnants().await?;
        tables.sort_by_key(|table| is_computed(table));
        Ok(tables)
    }

    /// Repairs a table as far as possible. No worker may write it meanwhile.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn repair(
        &self,
        table: &str,
        scope: RecomputeScope,
        report: &mut RepairReport,
    ) -> Result<(), LakeError> {
        let log = self.inspect_log(table).await?;
        let damage = log.damage();
        if !damage.is_empty() {
            let Some(base) = log.base() else {
                if scope == RecomputeScope::Days(None) {
                    self.remove_table(table).await?;
                    let what = "its log was lost: the whole rollup is computed anew".to_owned();
                    report.add_repaired(table, what);
                    return Ok(());
                }
                for damage in damage {
                    report.add_unrepaired(
                        table,
                        format!("{}, {}", without_advice(&damage), restore_advice(table)),
                    );
                }
                return Ok(());
            };
            self.repair_log(&log, base).await?;
            for damage in damage {
                report.add_repaired(
                    table,
                    format!("{}: the log was made anew", without_advice(&damage)),
                );
            }
        }
        if let Some(snapshot) = self.snapshot(table, None).await? {
            self.repair_files(&snapshot, scope, report).await?;
            self.delete_damaged_older_files(&snapshot, &log, report).await?;
        }
        Ok(())
    }

    /// Writes a new checkpoint of the newest state, which can be read from version `base` on, and
    /// deletes damaged files of the log.
    async fn repair_log(&self, log: &LogState, base: u64) -> Result<(), LakeError> {
        let table = log.table.as_str();
        let end = log.end().unwrap_or(base);
        let lost = log.missing().into_iter().any(|version| version < base)
            || log
                .entries
                .iter()
                .any(|(version, found)| *version < base && log.is_bad(*version, found));
        let bad: BTreeSet<u64> = log
            .checkpoints
            .iter()
            .filter(|(version, found)| log.is_bad(**version, found))
            .map(|(version, _)| *version)
            .collect();
        for version in &bad {
            self.delete_file(&format!("{table}/{}", checkpoint_path(*version))).await?;
        }
        let names_good_checkpoint = match log.hint {
            CheckpointHintState::Names(version, FileState::Verified) => !bad.contains(&version),
            _ => false,
        };
        if !names_good_checkpoint {
            self.delete_file(&format!("{table}/{HINT_PATH}")).await?;
        }
        for version in log.unmarked_checkpoints().filter(|version| !bad.contains(version)) {
            let marker = format!("{table}/{}", written_marker(version));
            self.unverified_store().put(&Path::from(marker), "".into()).await?;
        }
        let missing = log.markers.written.keys().filter(|v| !log.checkpoints.contains_key(v));
        let store = self.log_store(table).object_store(None);
        let gone = bad.iter().chain(missing).copied().collect();
        witness::delete_stale_markers(store.as_ref(), &gone).await?;
        if log.newest_damage().is_some() {
            witness::record_newest_version(store.as_ref(), table, end).await?;
        }
        self.evict(table).await;
        self.checkpoint(table, end).await?;
        if lost {
            self.delete_log_before(table, end).await?;
        }
        Ok(())
    }

    /// Takes missing and damaged files out of their table, as far as they can be computed again.
    async fn repair_files(
        &self,
        snapshot: &TableSnapshot,
        scope: RecomputeScope,
        report: &mut RepairReport,
    ) -> Result<(), LakeError> {
        let table = snapshot.table.as_str();
        let mut lost: Vec<(&DataFile, Damage)> = Vec::new();
        for file in snapshot.files.iter() {
            match self.read_verified(file).await {
                Ok(_) => {}
                Err(LakeError::Damaged(damage)) => lost.push((file, damage)),
                Err(other) => return Err(other),
            }
        }
        let (again, left): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|(file, _)| scope.covers(file.day));
        for (_, damage) in left {
            report.add_unrepaired(
                table,
                format!("{}, {}", without_advice(&damage), restore_advice(table)),
            );
        }
        if again.is_empty() {
            return Ok(());
        }
        let old: Vec<&DataFile> = again.iter().map(|(file, _)| *file).collect();
        let def = snapshot.definition();
        self.replace_files(&def, snapshot, &old, &[], &BTreeMap::new()).await?;
        for (file, damage) in again {
            self.delete_file(&file.path).await?;
            report.add_repaired(
                table,
                format!("{}: {}", without_advice(&damage), next_step(table, file)),
            );
        }
        Ok(())
    }

    /// Deletes damaged files that only older versions read, as a vacuum would later.
    async fn delete_damaged_older_files(
        &self,
        snapshot: &TableSnapshot,
        log: &LogState,
        report: &mut RepairReport,
    ) -> Result<(), LakeError> {
        let live: BTreeSet<&str> = snapshot.files.iter().map(|f| f.path.as_str()).collect();
        for (path, checksums) in log.added.iter().filter(|(path, _)| !live.contains(path.as_str()))
        {
            let store = self.unverified_store();
            let found = get_if_exists(store.as_ref(), &Path::from(path.as_str())).await?;
            let Some(bytes) = found else { continue };
            if *checksums != BlockChecksums::of(&bytes) {
                self.delete_file(path).await?;
                let what = format!("the file {path}, which only older versions read, is deleted");
                report.add_repaired(&snapshot.table, what);
            }
        }
        Ok(())
    }

    /// Deletes a table. The file that tells that the table existed is deleted last.
    async fn remove_table(&self, table: &str) -> Result<(), LakeError> {
        let store = self.unverified_store();
        let witness = format!("{table}/{}", newest_path());
        let files = store.list(Some(&Path::from(table)));
        let files: Vec<Path> = files.map_ok(|file| file.location).try_collect().await?;
        for file in files.iter().filter(|file| file.as_ref() != witness) {
            self.delete_file(file.as_ref()).await?;
        }
        self.delete_file(&witness).await?;
        self.evict(table).await;
        Ok(())
    }
}

impl RecomputeScope {
    fn covers(self, day: Option<Day>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Rows => true,
            Self::Days(from) => from.is_none_or(|from| day.is_some_and(|day| day >= from)),
        }
    }
}

impl LogState {
    /// Returns whether a file is damaged, or lacks a checksum that it must have.
    fn is_bad(&self, version: u64, found: &FileState) -> bool {
        let requires_checksum = self.checked_from.is_some_and(|from| version >= from);
        found.is_damaged() || (requires_checksum && *found == FileState::Unchecked)
    }

    /// Returns the version from which the newest state can be read: that of a checkpoint with all
    /// entries from its own on, or that of the first entry. Returns `None` when the state is lost.
    fn base(&self) -> Option<u64> {
        let end = self.end()?;
        if self.newest.lower_bound().is_some_and(|lower_bound| lower_bound > end) {
            return None;
        }
        let is_good = |version: &u64| {
            self.entries.get(version).is_some_and(|found| !self.is_bad(*version, found))
        };
        let run = (0..=end).rev().take_while(is_good).last()?;
        let good =
            self.checkpoints.iter().filter(|(version, found)| !self.is_bad(**version, found));
        let newest = good.map(|(version, _)| *version).filter(|v| (run..=end).contains(v)).max();
        newest.or((run == 0).then_some(0))
    }
}

/// Describes damage without advice.
fn without_advice(damage: &Damage) -> String {
    format!("the file {} is damaged: {}", damage.path, damage.what)
}

/// Returns advice on data that can't be computed again.
fn restore_advice(table: &str) -> String {
    let copy = "and nothing else tells what it held: put it back from a copy of the lake";
    if table.starts_with("raw/") && table != crate::schema::dead_letters().name {
        return format!("{copy}; without one, remove the folder {table} and load its events again");
    }
    if is_computed(table) {
        return format!("{copy}; without one, remove the folder {table}, which loses its history");
    }
    copy.to_owned()
}

/// Describes what becomes of the rows of a file that was taken out of its table.
fn next_step(table: &str, file: &DataFile) -> String {
    let rows = || format!("{} {}", counted(file.rows, "row"), agree(file.rows, "is", "are"));
    match file.day {
        Some(day) => format!("{day} is computed anew"),
        None if table.starts_with("scores/") => format!(
            "its {} taken out; `rapport score run --as-of DAY` computes those of a day anew",
            rows()
        ),
        None => format!("its {} taken out", rows()),
    }
}
