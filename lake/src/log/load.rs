//! Loading a table from its log through the Delta library.

use deltalake::DeltaTable;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::delta_runtime::run_to_completion;
use crate::error::LakeError;
use crate::integrity::damage::Damage;
use crate::integrity::witness::{self, NewestVersion};
use crate::log::follower::LogFollower;
use crate::log::paths::LOG_FOLDER;
use crate::store::LakeLocation;

/// Returns whether the lake holds a table of that name.
///
/// # Errors
/// [`LakeError::Damaged`] when the table existed and has lost its log.
pub(crate) async fn has_log(location: &LakeLocation, table: &str) -> Result<bool, LakeError> {
    let found = if let Some(folder) = &location.folder {
        folder.join(table).join(LOG_FOLDER).is_dir()
    } else {
        let log = Path::from(format!("{table}/{LOG_FOLDER}"));
        location.verified.list(Some(&log)).try_next().await?.is_some()
    };
    if !found {
        check_never_committed(location, table).await?;
    }
    Ok(found)
}

/// Checks that a table without a log never had a commit after its creation.
async fn check_never_committed(location: &LakeLocation, table: &str) -> Result<(), LakeError> {
    let log = location.log_store(table);
    match witness::newest(log.object_store(None).as_ref(), table).await? {
        NewestVersion::Absent | NewestVersion::Version(0) | NewestVersion::Unreadable => Ok(()),
        NewestVersion::Version(_) => Err(Damage::gone(format!("{table}/{LOG_FOLDER}")).into()),
    }
}

/// Loads a table at a version, or at its newest one; `None` when the lake holds no such table.
pub(crate) async fn load(
    location: &LakeLocation,
    table: &str,
    version: Option<u64>,
) -> Result<Option<DeltaTable>, LakeError> {
    if !has_log(location, table).await? {
        return Ok(None);
    }
    let mut loaded = DeltaTable::new(location.log_store(table));
    let load = async move {
        match version {
            Some(version) => loaded.load_version(version).await,
            None => loaded.load().await,
        }
        .map(|()| loaded)
    };
    match run_to_completion(load).await {
        Ok(loaded) => Ok(Some(loaded)),
        Err(deltalake::DeltaTableError::NotATable(_)) => {
            check_never_committed(location, table).await?;
            Ok(None)
        }
        Err(source) => Err(diagnosed(location, table, LakeError::delta(table)(source)).await),
    }
}

/// Replaces an error of the library by the damaged file that caused it, where reading the log once
/// more finds one.
async fn diagnosed(location: &LakeLocation, table: &str, error: LakeError) -> LakeError {
    if !matches!(error, LakeError::Delta { .. }) {
        return error;
    }
    match LogFollower::load(location.log_store(table).as_ref(), table, None).await {
        Err(damaged @ LakeError::Damaged(_)) => damaged,
        _ => error,
    }
}
