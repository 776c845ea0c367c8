//! `lake repair`: what can be made anew from the rest of the lake is.
//!
//! - A log whose newest state can still be read gets a new checkpoint, and loses what was damaged
//!   before it, with the older versions that it told of.
//! - Files of rollups and scores that are gone or damaged leave their tables; what they held is
//!   computed again. A rollup whose log is lost goes as a whole.
//!
//! Events, and the history that a person wrote, come from nowhere else: they stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use futures::TryStreamExt;
use lake_types::{Day, agree, counted};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::checksum::Checksums;
use crate::cleanup::Keep;
use crate::damage::{Damage, is_computed};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::snapshot::{DataFile, TableSnapshot};
use crate::tail::checkpoint_path;
use crate::verify::Finding;
use crate::verify::log::{Found, Hint, LogState};
use crate::witness::{WITNESS, written_marker};

/// What of a table can be had again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing: it is what others are computed from.
    Never,
    /// All its days, or those from one on.
    Days(Option<Day>),
    /// Its rows, by running what wrote them once more; without them the others stay true.
    Rows,
}

/// What was done, and what nobody can do.
#[derive(Debug, Clone, Default)]
pub struct Repaired {
    pub done: Vec<Finding>,
    pub left: Vec<Finding>,
}

impl Repaired {
    fn done(&mut self, table: &str, what: String) {
        self.done.push(Finding { table: table.to_owned(), what });
    }

    fn left(&mut self, table: &str, what: String) {
        self.left.push(Finding { table: table.to_owned(), what });
    }
}

impl Lake {
    /// The tables that there are, also those that lost their log, what others are computed from
    /// first.
    ///
    /// # Errors
    /// When the root can't be listed.
    pub async fn tables_to_repair(&self) -> Result<Vec<String>, LakeError> {
        let mut tables = self.tables_and_remains().await?;
        tables.sort_by_key(|table| is_computed(table));
        Ok(tables)
    }

    /// Repairs a table as far as can be. Nobody writes it meanwhile.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn repair(
        &self,
        table: &str,
        again: Again,
        repaired: &mut Repaired,
    ) -> Result<(), LakeError> {
        let log = self.examine_log(table).await?;
        let damage = log.damage();
        if !damage.is_empty() {
            let Some(base) = log.base() else {
                if again == Again::Days(None) {
                    self.remove_table(table).await?;
                    let what = "its log was lost: the whole rollup is computed anew".to_owned();
                    repaired.done(table, what);
                    return Ok(());
                }
                for damage in damage {
                    repaired.left(table, format!("{}, {}", bare(&damage), copy_of(table)));
                }
                return Ok(());
            };
            self.repair_log(&log, base).await?;
            for damage in damage {
                repaired.done(table, format!("{}: the log was made anew", bare(&damage)));
            }
        }
        if let Some(snapshot) = self.snapshot(table, None).await? {
            self.repair_files(&snapshot, again, repaired).await?;
            self.delete_older(&snapshot, &log, repaired).await?;
        }
        Ok(())
    }

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
            self.delete_quietly(&format!("{table}/{}", checkpoint_path(*version))).await?;
        }
        if !matches!(log.hint, Hint::Names(version, Found::Sound) if !bad.contains(&version)) {
            self.delete_quietly(&format!("{table}/_delta_log/_last_checkpoint")).await?;
        }
        for version in log.unmarked().filter(|version| !bad.contains(version)) {
            let marker = format!("{table}/{}", written_marker(version));
            self.unchecked().put(&Path::from(marker), "".into()).await?;
        }
        let missing = log.markers.written.keys().filter(|v| !log.checkpoints.contains_key(v));
        self.tidy_markers(table, &bad.iter().chain(missing).copied().collect()).await?;
        if log.of_newest().is_some() {
            self.put_newest(table, end).await?;
        }
        self.forget_known(table).await;
        self.checkpoint(table, end).await?;
        if lost {
            while self.clean_up(table, Keep::NOTHING, Utc::now()).await? > 0 {}
        }
        Ok(())
    }

    async fn repair_files(
        &self,
        snapshot: &TableSnapshot,
        again: Again,
        repaired: &mut Repaired,
    ) -> Result<(), LakeError> {
        let table = snapshot.table.as_str();
        let mut lost: Vec<(&DataFile, Damage)> = Vec::new();
        for file in &snapshot.files {
            match self.read_sound(file).await {
                Ok(_) => {}
                Err(LakeError::Damaged(damage)) => lost.push((file, damage)),
                Err(other) => return Err(other),
            }
        }
        let (again, left): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|(file, _)| again.covers(file.day));
        for (_, damage) in left {
            repaired.left(table, format!("{}, {}", bare(&damage), copy_of(table)));
        }
        if again.is_empty() {
            return Ok(());
        }
        let old: Vec<&DataFile> = again.iter().map(|(file, _)| *file).collect();
        let def = crate::erase::definition(snapshot);
        self.replace_files(&def, snapshot, &old, &[], &BTreeMap::new()).await?;
        for (file, damage) in again {
            self.delete_quietly(&file.path).await?;
            repaired.done(table, format!("{}: {}", bare(&damage), next_step(table, file)));
        }
        Ok(())
    }

    /// Damaged files that only older versions read: as if vacuumed.
    async fn delete_older(
        &self,
        snapshot: &TableSnapshot,
        log: &LogState,
        repaired: &mut Repaired,
    ) -> Result<(), LakeError> {
        let live: BTreeSet<&str> = snapshot.files.iter().map(|f| f.path.as_str()).collect();
        for (path, checksums) in log.added.iter().filter(|(path, _)| !live.contains(path.as_str()))
        {
            let bytes = match self.unchecked().get(&Path::from(path.as_str())).await {
                Ok(found) => found.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if *checksums != Checksums::of(&bytes) {
                self.delete_quietly(path).await?;
                let what = format!("the file {path}, which only older versions read, is deleted");
                repaired.done(&snapshot.table, what);
            }
        }
        Ok(())
    }

    /// Deletes a table; what says that there is one goes last.
    async fn remove_table(&self, table: &str) -> Result<(), LakeError> {
        let store = self.unchecked();
        let witness = format!("{table}/{WITNESS}/newest");
        let files = store.list(Some(&Path::from(table)));
        let files: Vec<Path> = files.map_ok(|file| file.location).try_collect().await?;
        for file in files.iter().filter(|file| file.as_ref() != witness) {
            self.delete_quietly(file.as_ref()).await?;
        }
        self.delete_quietly(&witness).await?;
        self.forget_known(table).await;
        Ok(())
    }

    async fn delete_quietly(&self, path: &str) -> Result<(), LakeError> {
        match self.unchecked().delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Again {
    fn covers(self, day: Option<Day>) -> bool {
        match self {
            Self::Never => false,
            Self::Rows => true,
            Self::Days(from) => from.is_none_or(|from| day.is_some_and(|day| day >= from)),
        }
    }
}

impl LogState {
    fn is_bad(&self, version: u64, found: &Found) -> bool {
        let due = self.checked_from.is_some_and(|from| version >= from);
        found.is_damaged() || (due && *found == Found::Unchecked)
    }

    /// From where the newest state can be read: a checkpoint with all entries from its own on, or
    /// the first entry. `None` where that state is lost.
    fn base(&self) -> Option<u64> {
        let end = self.end()?;
        if self.newest.floor().is_some_and(|floor| floor > end) {
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

/// What is damaged, without advice.
fn bare(damage: &Damage) -> String {
    format!("the file {} is damaged: {}", damage.path, damage.what)
}

fn copy_of(table: &str) -> String {
    let copy = "and nothing else tells what it held: put it back from a copy of the lake";
    if table.starts_with("raw/") && table != crate::schema::dead_letters().name {
        return format!("{copy}; without one, remove the folder {table} and load its events again");
    }
    if is_computed(table) {
        return format!("{copy}; without one, remove the folder {table}, which loses its history");
    }
    copy.to_owned()
}

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
