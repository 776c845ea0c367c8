//! `lake backup` and `lake restore`: copying a lake while it is written.
//!
//! A copy is a lake itself, of the same layout and key. It is consistent across tables, because the
//! versions to copy are chosen in an order that the writers respect (`versions`), and within a
//! table, because data files never change and a log entry is copied after the files that it names
//! (`table_copy`). A copy can be brought up to date: files that it has are not copied again.
//!
//! - this file: what is copied, and to where
//! - `versions`: one version of each table
//! - `table_copy`: one table

mod table_copy;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::LakeError;
use crate::key::LakeKey;
use crate::lake::{Lake, LakeOptions};
use crate::log::load::has_log;
use crate::maintenance::erasure::REPORTS_FOLDER;
use crate::object_files::{delete_if_exists, exists, get_if_exists};
use crate::schema;
use crate::store::LakeLocation;
use table_copy::TableCopy;

/// The file below the root of a copy that says that it is not complete.
const UNDER_WAY: &str = "copy-under-way";

/// What a backup or a restore has copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopiedLake {
    pub tables: usize,
    /// Data files that were copied, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// Data files that the copy had already.
    pub kept: u64,
    /// Data files that were deleted from the copy, since the lake no longer uses them.
    pub deleted: u64,
}

impl Lake {
    /// Copies the lake to a folder or bucket, or brings the copy there up to date. `table` is called
    /// with the name of each table before it is copied.
    ///
    /// # Errors
    /// [`LakeError::BackupRefused`] when the destination holds something else or lies in the lake;
    /// [`LakeError::Damaged`] when a file of the lake is damaged; [`LakeError::Conflict`] when a
    /// vacuum or an erasure deleted a file meanwhile. It can be run again.
    pub async fn backup(
        &self,
        destination: &str,
        options: &LakeOptions,
        table: &mut (dyn FnMut(&str) + Send),
    ) -> Result<CopiedLake, LakeError> {
        let copy = open_copy(destination, options)?;
        check_apart(self, &copy, destination)?;
        check_holds_nothing_else(self, &copy, destination).await?;
        copy_lake(self, &copy, table).await
    }

    /// Copies a backup to the root of `options`, where there must be no lake. The positions of the
    /// topics come with it.
    ///
    /// # Errors
    /// As [`Lake::backup`]; [`LakeError::BackupRefused`] also when there is a lake at the root.
    pub async fn restore(
        backup: &str,
        options: &LakeOptions,
        table: &mut (dyn FnMut(&str) + Send),
    ) -> Result<CopiedLake, LakeError> {
        let source = LakeOptions { root: backup.to_owned(), ..options.clone() };
        // A backup of an older format is upgraded after it is back.
        let source = Self::open_as(&source, true).await?;
        let copy = open_copy(&options.root, options)?;
        check_apart(&source, &copy, &options.root)?;
        let was_interrupted = exists(copy.unverified_store().as_ref(), &UNDER_WAY.into()).await?;
        if !was_interrupted && has_log(copy.location(), &schema::dead_letters().name).await? {
            return Err(LakeError::BackupRefused {
                destination: options.root.clone(),
                reason: "there is a lake; move it away, or name another place as [lake] root"
                    .to_owned(),
            });
        }
        check_holds_nothing_else(&source, &copy, &options.root).await?;
        copy.location().probe().await?;
        copy_lake(&source, &copy, table).await
    }
}

/// Returns the lake that a copy becomes.
fn open_copy(root: &str, options: &LakeOptions) -> Result<Lake, LakeError> {
    let location = LakeLocation::new(root, &options.store)?;
    Ok(Lake::new(location, LakeKey::read(&options.key_file)?))
}

fn check_apart(lake: &Lake, copy: &Lake, destination: &str) -> Result<(), LakeError> {
    let (one, other) = (lake.root_url().as_str(), copy.root_url().as_str());
    if !one.starts_with(other) && !other.starts_with(one) {
        return Ok(());
    }
    Err(LakeError::BackupRefused {
        destination: destination.to_owned(),
        reason: format!("it and the lake at {one} lie in each other; choose another place"),
    })
}

/// Returns the names below a lake's root.
async fn top_level(lake: &Lake) -> Result<BTreeSet<String>, LakeError> {
    let listed = lake.unverified_store().list_with_delimiter(None).await?;
    let files = listed.objects.into_iter().map(|file| file.location);
    let names = listed.common_prefixes.into_iter().chain(files);
    Ok(names.filter_map(|path| path.filename().map(str::to_owned)).collect())
}

/// Checks that the destination is empty, or a copy of the lake that may have been interrupted.
async fn check_holds_nothing_else(
    lake: &Lake,
    copy: &Lake,
    destination: &str,
) -> Result<(), LakeError> {
    if let Some(folder) = &copy.location().folder {
        std::fs::create_dir_all(folder)
            .map_err(|source| LakeError::Io { path: folder.clone(), source })?;
    }
    let ours = top_level(lake).await?;
    let mut theirs = top_level(copy).await?.into_iter();
    match theirs.find(|name| !ours.contains(name) && name != UNDER_WAY) {
        None => Ok(()),
        Some(other) => Err(LakeError::BackupRefused {
            destination: destination.to_owned(),
            reason: format!("it holds {other}, which is no part of the lake; name an empty place"),
        }),
    }
}

async fn copy_lake(
    lake: &Lake,
    copy: &Lake,
    table: &mut (dyn FnMut(&str) + Send),
) -> Result<CopiedLake, LakeError> {
    let mut snapshots = versions::consistent(lake).await?;
    // A new copy is a lake once it has the table of dead letters, which therefore comes last. An
    // older copy gets it first: dead letters are committed before the rows read with them.
    let dead_letters = schema::dead_letters().name;
    let is_new = !has_log(copy.location(), &dead_letters).await?;
    let under_way = Path::from(UNDER_WAY);
    copy.unverified_store().put(&under_way, "".into()).await?;
    snapshots.sort_by_key(|snapshot| (snapshot.table == dead_letters) == is_new);
    let mut done = CopiedLake::default();
    for snapshot in &snapshots {
        table(&snapshot.table);
        crate::failpoint::hit("backup", &snapshot.table);
        TableCopy { lake, copy, snapshot }.run(&mut done).await?;
        done.tables += 1;
    }
    copy_report_records(lake, copy).await?;
    delete_if_exists(copy.unverified_store().as_ref(), &under_way).await?;
    Ok(done)
}

/// Copies the records of the reports that were written from the lake.
async fn copy_report_records(lake: &Lake, copy: &Lake) -> Result<(), LakeError> {
    let folder = Path::from(REPORTS_FOLDER);
    let (from, to) = (lake.unverified_store(), copy.unverified_store());
    let listed = async |store: &dyn object_store::ObjectStore| {
        store.list(Some(&folder)).map_ok(|file| file.location).try_collect::<BTreeSet<_>>().await
    };
    let (ours, theirs) = (listed(from.as_ref()).await?, listed(to.as_ref()).await?);
    for path in &ours {
        if let Some(bytes) = get_if_exists(from.as_ref(), path).await? {
            to.put(path, bytes.into()).await?;
            copy.sync_file(path.as_ref()).await?;
        }
    }
    for path in theirs.difference(&ours) {
        delete_if_exists(to.as_ref(), path).await?;
    }
    Ok(())
}
