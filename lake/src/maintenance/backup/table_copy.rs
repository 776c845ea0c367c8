//! The copy of one table: its data files, then its log, then its witness.
//!
//! Whenever the copying stops, what is there can be read: a log entry comes after the data files
//! that it names, and after the entries before it; the witness never names a version that is not
//! there. What the table no longer uses is deleted at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;

use super::CopiedLake;
use crate::error::LakeError;
use crate::integrity::witness::{self, WITNESS};
use crate::lake::Lake;
use crate::log::cleanup::LogRetention;
use crate::log::follower::checkpoint_hint;
use crate::log::paths::{HINT_PATH, LOG_FOLDER, checkpoint_path, entry_path, parse_log_file};
use crate::log::snapshot::{DataFile, TableSnapshot};
use crate::object_files::{delete_if_exists, exists, get_if_exists};

/// The number of data files that are copied at a time. Each is in memory as a whole.
const AT_A_TIME: usize = 4;

pub(super) struct TableCopy<'a> {
    pub(super) lake: &'a Lake,
    pub(super) copy: &'a Lake,
    /// The version to copy.
    pub(super) snapshot: &'a TableSnapshot,
}

impl TableCopy<'_> {
    pub(super) async fn run(&self, done: &mut CopiedLake) -> Result<(), LakeError> {
        let (table, version) = (self.table(), self.snapshot.version);
        let end = self.end_of_copy().await?;
        let present = self.data_files_of_copy().await?;
        self.copy_data_files(&present, done).await?;
        let base = newest_checkpoint(self.lake, table, version).await?;
        self.copy_entries(end, base.unwrap_or_default()).await?;
        if let Some(base) = base {
            self.copy_checkpoint(base).await?;
        }
        let store = self.copy.log_store(table).object_store(None);
        witness::record_newest_version(store.as_ref(), table, version).await?;
        self.sync(&format!("{WITNESS}/newest")).await?;
        if base.is_some() {
            self.copy.clean_up(table, LogRetention::NOTHING, chrono::Utc::now()).await?;
        }
        self.delete_unused(present, done).await
    }

    fn table(&self) -> &str {
        &self.snapshot.table
    }

    fn path(&self, below: &str) -> Path {
        Path::from(format!("{}/{below}", self.table()))
    }

    async fn sync(&self, below: &str) -> Result<(), LakeError> {
        self.copy.sync_file(self.path(below).as_ref()).await
    }

    /// Returns the newest version that the copy has of the table.
    ///
    /// # Errors
    /// [`LakeError::BackupRefused`] when that version is none of this lake.
    async fn end_of_copy(&self) -> Result<Option<u64>, LakeError> {
        let log = log_files(self.copy, self.table()).await?;
        let Some(end) = log.into_iter().filter(|file| !file.1).map(|file| file.0).max() else {
            return Ok(None);
        };
        let path = self.path(&entry_path(end));
        let ours = get_if_exists(self.lake.unverified_store().as_ref(), &path).await?;
        let theirs = get_if_exists(self.copy.unverified_store().as_ref(), &path).await?;
        let is_ours = end <= self.snapshot.version && (ours.is_none() || ours == theirs);
        if is_ours {
            return Ok(Some(end));
        }
        Err(LakeError::BackupRefused {
            destination: self.copy.root_url().to_string(),
            reason: format!(
                "its table {} went another way than the lake's: it is no copy of this lake, or the lake \
                 was restored from an older one; name an empty place",
                self.table()
            ),
        })
    }

    /// Returns the sizes of the data files that the copy has, by path below the root.
    async fn data_files_of_copy(&self) -> Result<BTreeMap<String, u64>, LakeError> {
        let store = self.copy.unverified_store();
        let folders = [LOG_FOLDER, WITNESS].map(|folder| format!("{}/{folder}/", self.table()));
        let table = Path::from(self.table());
        let files = store.list(Some(&table)).try_filter_map(|file| {
            let path = file.location.to_string();
            let is_data = !folders.iter().any(|folder| path.starts_with(folder));
            futures::future::ready(Ok(is_data.then_some((path, file.size))))
        });
        Ok(files.try_collect().await?)
    }

    async fn copy_data_files(
        &self,
        present: &BTreeMap<String, u64>,
        done: &mut CopiedLake,
    ) -> Result<(), LakeError> {
        let (kept, missing): (Vec<&DataFile>, Vec<&DataFile>) = self
            .snapshot
            .files
            .iter()
            .partition(|file| present.get(&file.path) == Some(&file.size));
        done.kept += kept.len() as u64;
        let copies = missing.into_iter().map(|file| self.copy_data_file(file));
        let mut copies = futures::stream::iter(copies).buffer_unordered(AT_A_TIME);
        while let Some(bytes) = copies.try_next().await? {
            done.files += 1;
            done.bytes += bytes;
        }
        Ok(())
    }

    async fn copy_data_file(&self, file: &DataFile) -> Result<u64, LakeError> {
        let bytes = match self.lake.read_verified(file).await {
            Err(error) if error.is_gone() && !self.is_still_used(file).await? => {
                return Err(LakeError::Conflict { table: self.table().to_owned() });
            }
            read => read?,
        };
        crate::failpoint::hit("backup file", self.table());
        let size = bytes.len() as u64;
        let path = Path::from(file.path.as_str());
        self.copy.unverified_store().put(&path, bytes.into()).await?;
        self.copy.sync_file(&file.path).await?;
        Ok(size)
    }

    /// Returns whether the newest version of the table names a file.
    async fn is_still_used(&self, file: &DataFile) -> Result<bool, LakeError> {
        let newest = self.lake.latest(self.table()).await?;
        Ok(newest.is_some_and(|(newest, _)| newest.files.iter().any(|f| f.path == file.path)))
    }

    /// Copies the entries after the end of the copy, or those from the base on where the lake no
    /// longer has the ones between.
    async fn copy_entries(&self, end: Option<u64>, base: u64) -> Result<(), LakeError> {
        let from = self.lake.unverified_store();
        let first = match end {
            Some(end) if exists(from.as_ref(), &self.path(&entry_path(end + 1))).await? => end + 1,
            Some(end) if end >= self.snapshot.version => return Ok(()),
            _ => base,
        };
        for version in first..=self.snapshot.version {
            let Some(bytes) = self.read(&entry_path(version)).await? else {
                return Err(LakeError::Conflict { table: self.table().to_owned() });
            };
            let entry = entry_path(version);
            self.copy.unverified_store().put(&self.path(&entry), bytes.into()).await?;
            self.sync(&entry).await?;
        }
        Ok(())
    }

    /// Reads a file of the lake's log through the store that checks it.
    async fn read(&self, below: &str) -> Result<Option<Bytes>, LakeError> {
        let store: Arc<dyn ObjectStore> = self.lake.store();
        Ok(get_if_exists(store.as_ref(), &self.path(below)).await?)
    }

    /// Copies the checkpoint of a version. Writing it through the copy's own store makes its markers.
    async fn copy_checkpoint(&self, version: u64) -> Result<(), LakeError> {
        let (store, table) = (self.copy.store(), self.table());
        let log = self.copy.log_store(table).object_store(None);
        if checkpoint_hint(log.as_ref()).await?.is_some_and(|hint| hint.version == version) {
            return Ok(());
        }
        let Some(bytes) = self.read(checkpoint_path(version).as_ref()).await? else {
            return Err(LakeError::Conflict { table: table.to_owned() });
        };
        store.put(&self.path(checkpoint_path(version).as_ref()), bytes.into()).await?;
        self.sync(checkpoint_path(version).as_ref()).await?;
        self.copy.record_log_start(table, version).await?;
        let hint = json!({ "version": version, "size": self.snapshot.files.len() });
        store.put(&self.path(HINT_PATH), hint.to_string().into()).await?;
        self.sync(HINT_PATH).await
    }

    /// Deletes the data files of the copy that the version does not name.
    async fn delete_unused(
        &self,
        present: BTreeMap<String, u64>,
        done: &mut CopiedLake,
    ) -> Result<(), LakeError> {
        let used: BTreeSet<&str> = self.snapshot.files.iter().map(|f| f.path.as_str()).collect();
        let store = self.copy.unverified_store();
        for path in present.into_keys().filter(|path| !used.contains(path.as_str())) {
            delete_if_exists(store.as_ref(), &Path::from(path)).await?;
            done.deleted += 1;
        }
        Ok(())
    }
}

/// Returns the versions of the files of a table's log, each with whether it is a checkpoint.
async fn log_files(lake: &Lake, table: &str) -> Result<Vec<(u64, bool)>, LakeError> {
    let store = lake.unverified_store();
    let log = Path::from(format!("{table}/{LOG_FOLDER}"));
    let files: Vec<Path> =
        store.list(Some(&log)).map_ok(|file| file.location).try_collect().await?;
    Ok(files.iter().filter_map(parse_log_file).collect())
}

/// Returns the version of the newest checkpoint up to a version.
async fn newest_checkpoint(lake: &Lake, table: &str, up_to: u64) -> Result<Option<u64>, LakeError> {
    let files = log_files(lake, table).await?.into_iter();
    Ok(files
        .filter(|(version, is_checkpoint)| *is_checkpoint && *version <= up_to)
        .map(|file| file.0)
        .max())
}
