//! The witness of a table's log: files in the table's folder `_witness`, outside of the log, that
//! tell what the log must contain, so that a log that has lost its end is detected.
//!
//! - `newest` holds the newest committed version. It is written after the entry is durable, so it
//!   may lag behind the log and never leads it. Each writer looks for entries that were committed
//!   meanwhile and then records those too, so that the last of several writers leaves the newest
//!   version.
//! - `from.V` is written before the log is cleaned up: from version V on every entry exists.
//! - `checkpoint.V.SIZE.CRC` is written before a checkpoint of version V, and `checkpoint.V` after
//!   it. The first one tells what the checkpoint may be, the second one that there is a checkpoint.
//!   Several processes may write the same checkpoint. Where its writer died in between, whoever writes
//!   the next checkpoint writes the second marker.
//!
//! Only `newest` has content. The other files are empty markers: their names tell everything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::LakeError;
use crate::integrity::damage::Damage;
use crate::key::sha256_hex;
use crate::log::paths::{checkpoint_path, entry_path};
use crate::object_files::{delete_if_exists, exists, get_if_exists};

/// The folder of a table's witness, below the table.
pub(crate) const WITNESS: &str = "_witness";

/// What a witness tells of the newest committed version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewestVersion {
    /// There is no file: an older program wrote the table, or the file is lost.
    Absent,
    Version(u64),
    /// The file is damaged.
    Unreadable,
}

impl NewestVersion {
    /// Returns the version that the log must contain.
    pub(crate) fn lower_bound(self) -> Option<u64> {
        match self {
            Self::Version(version) => Some(version),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// The markers of a table, as their names tell.
#[derive(Debug, Default)]
pub(crate) struct WitnessMarkers {
    /// The version from which on the log is complete.
    pub(crate) log_start: u64,
    /// The size and the CRC-32 of the files that a checkpoint may be, by version.
    pub(crate) checkpoints: BTreeMap<u64, BTreeSet<(u64, u32)>>,
    /// The instants at which checkpoints were written, by version.
    pub(crate) written: BTreeMap<u64, DateTime<Utc>>,
    /// The name of every marker, with its version.
    names: Vec<(String, u64)>,
}

/// Returns the path of the newest committed version, below the table.
pub(crate) fn newest_path() -> Path {
    Path::from(format!("{WITNESS}/newest"))
}

/// Returns the path of the marker that announces a checkpoint.
pub(crate) fn checkpoint_marker(version: u64, size: u64, crc: u32) -> String {
    format!("{WITNESS}/checkpoint.{version:020}.{size}.{crc:08x}")
}

/// Returns the path of the marker of a written checkpoint.
pub(crate) fn written_marker(version: u64) -> String {
    format!("{WITNESS}/checkpoint.{version:020}")
}

fn log_start_marker(version: u64) -> String {
    format!("{WITNESS}/from.{version:020}")
}

/// Returns the content of `newest`: the version, and a checksum of table and version.
fn newest_content(table: &str, version: u64) -> String {
    let checksum = sha256_hex(format!("{table}\n{version}").as_bytes());
    format!("{version} {}\n", &checksum[..16])
}

/// Reads the newest committed version; `store` is the table's.
pub(crate) async fn newest(
    store: &dyn ObjectStore,
    table: &str,
) -> Result<NewestVersion, LakeError> {
    let Some(found) = get_if_exists(store, &newest_path()).await? else {
        return Ok(NewestVersion::Absent);
    };
    let content = std::str::from_utf8(&found).ok();
    let version = content.and_then(|content| content.split(' ').next()?.parse().ok());
    Ok(match version.filter(|version| found == newest_content(table, *version).as_bytes()) {
        Some(version) => NewestVersion::Version(version),
        None => NewestVersion::Unreadable,
    })
}

/// Checks that a log which ends at a version reaches the version of its witness.
///
/// # Errors
/// The first missing entry.
pub(crate) fn check_not_truncated(
    table: &str,
    end: u64,
    lower_bound: Option<u64>,
) -> Result<(), Damage> {
    match lower_bound {
        Some(lower_bound) if lower_bound > end => {
            let path = format!("{table}/{}", entry_path(end + 1));
            let what = format!("it is gone, and version {lower_bound} was committed");
            Err(Damage::new(path, what))
        }
        _ => Ok(()),
    }
}

/// Reads the markers; `store` is the table's.
pub(crate) async fn markers(store: &dyn ObjectStore) -> Result<WitnessMarkers, LakeError> {
    let folder = Path::from(WITNESS);
    let mut files = store.list(Some(&folder));
    let mut markers = WitnessMarkers::default();
    while let Some(file) = files.try_next().await? {
        let Some(name) = file.location.filename() else { continue };
        let parts: Vec<&str> = name.split('.').collect();
        let Some(version) = parts.get(1).and_then(|v| v.parse().ok()) else { continue };
        match parts[..] {
            ["from", _] => markers.log_start = markers.log_start.max(version),
            ["checkpoint", _] => drop(markers.written.insert(version, file.last_modified)),
            ["checkpoint", _, size, crc] => {
                if let (Ok(size), Ok(crc)) = (size.parse(), u32::from_str_radix(crc, 16)) {
                    markers.checkpoints.entry(version).or_default().insert((size, crc));
                }
            }
            _ => continue,
        }
        markers.names.push((name.to_owned(), version));
    }
    Ok(markers)
}

/// Marks those checkpoints of some versions as written whose writer died before it could: without the
/// marker they would look as if it had been lost, once the hint names a later one. A checkpoint that is
/// not there, or is damaged, stays without; `store` is the table's.
pub(crate) async fn mark_interrupted_checkpoints(
    store: &dyn ObjectStore,
    versions: Range<u64>,
) -> Result<(), LakeError> {
    if versions.is_empty() {
        return Ok(());
    }
    let markers = markers(store).await?;
    for (version, _) in markers.checkpoints.range(versions) {
        // The store checks the bytes against the marker that announced them.
        let is_unmarked = !markers.written.contains_key(version);
        if is_unmarked && store.get(&checkpoint_path(*version)).await.is_ok() {
            store.put(&Path::from(written_marker(*version)), "".into()).await?;
        }
    }
    Ok(())
}

/// Records the newest committed version. When another entry has been committed meanwhile, that
/// version is recorded too; `store` is the table's.
pub(crate) async fn record_newest_version(
    store: &dyn ObjectStore,
    table: &str,
    version: u64,
) -> Result<(), LakeError> {
    let mut newest = version;
    loop {
        store.put(&newest_path(), newest_content(table, newest).into()).await?;
        let put = newest;
        while exists(store, &Path::from(entry_path(newest + 1))).await? {
            newest += 1;
        }
        if newest == put {
            return Ok(());
        }
    }
}

/// Records that the log is complete from a version on, and that older entries may be gone. Returns
/// the path of the new marker below the table, which the caller makes durable; `None` when a marker
/// of that version or a later one exists. `store` is the table's.
pub(crate) async fn record_log_start(
    store: &dyn ObjectStore,
    version: u64,
) -> Result<Option<String>, LakeError> {
    if markers(store).await?.log_start >= version {
        return Ok(None);
    }
    let marker = log_start_marker(version);
    store.put(&Path::from(marker.as_str()), "".into()).await?;
    Ok(Some(marker))
}

/// Deletes the markers of checkpoints that are `gone` and of everything before the log's start;
/// `store` is the table's.
pub(crate) async fn delete_stale_markers(
    store: &dyn ObjectStore,
    gone: &BTreeSet<u64>,
) -> Result<(), LakeError> {
    let markers = markers(store).await?;
    let mut names = markers.names;
    // The shorter name, which says that a checkpoint was written, is deleted before the longer one
    // with its size and checksum.
    names.sort_by_key(|(name, _)| name.len());
    for (name, version) in names {
        let is_stale = if name.starts_with("from.") {
            version < markers.log_start
        } else {
            version < markers.log_start || gone.contains(&version)
        };
        if is_stale {
            delete_if_exists(store, &Path::from(format!("{WITNESS}/{name}"))).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{advance, def, options};
    use crate::{Appender, Lake, PartitionId};

    const TABLE: &str = "raw/things";

    async fn read(lake: &Lake) -> NewestVersion {
        newest(lake.log_store(TABLE).object_store(None).as_ref(), TABLE).await.expect("read")
    }

    #[tokio::test]
    async fn the_witness_of_many_writers_is_the_newest_version() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
        assert_eq!(read(&lake).await, NewestVersion::Absent);
        lake.ensure_table(&def()).await.expect("a table");
        assert_eq!(read(&lake).await, NewestVersion::Version(0));
        let mut writers = tokio::task::JoinSet::new();
        for partition in 0..4 {
            let options = options(&dir);
            writers.spawn(async move {
                let lake = Lake::open(&options).await.expect("the lake");
                let mut table = Appender::open(&lake, def()).await.expect("the table");
                let id = PartitionId::kafka("c", "t", "i", partition);
                for step in 0..10 {
                    let from = (step > 0).then_some(step);
                    table.append(&[advance(&id, from, step + 1)], &[]).await.expect("a commit");
                }
            });
        }
        while let Some(done) = writers.join_next().await {
            done.expect("a writer");
        }
        assert_eq!(read(&lake).await, NewestVersion::Version(40));
        // Recording an old version records the newest one too.
        let log = lake.log_store(TABLE);
        let store = log.object_store(None);
        record_newest_version(store.as_ref(), TABLE, 7).await.expect("put");
        assert_eq!(read(&lake).await, NewestVersion::Version(40));
    }

    #[tokio::test]
    async fn a_log_that_lost_its_end_is_damaged_and_a_witness_that_lags_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
        let mut table = Appender::open(&lake, def()).await.expect("a table");
        let id = PartitionId::kafka("c", "t", "i", 0);
        for step in 0..3 {
            let from = (step > 0).then_some(step);
            table.append(&[advance(&id, from, step + 1)], &[]).await.expect("a commit");
        }
        let path = |name: &str| dir.path().join("lake").join(TABLE).join(name);
        let witness = path("_witness/newest");
        let whole = std::fs::read(&witness).expect("a witness");
        let opened = async || {
            let lake = Lake::open(&options(&dir)).await.expect("the lake");
            let read = lake.snapshot(TABLE, None).await;
            read.map(|found| found.map(|table| table.version))
        };
        std::fs::write(&witness, newest_content(TABLE, 2)).expect("written");
        assert_eq!(opened().await.expect("behind"), Some(3));
        std::fs::write(&witness, newest_content("raw/others", 9)).expect("written");
        assert_eq!(opened().await.expect("of another table"), Some(3));
        std::fs::write(&witness, &whole).expect("written");
        let entry = path(&entry_path(3));
        let last = std::fs::read(&entry).expect("an entry");
        for lost in [None, Some(&last[..0]), Some(&last[..last.len() / 2])] {
            match lost {
                None => std::fs::remove_file(&entry).expect("removed"),
                Some(bytes) => std::fs::write(&entry, bytes).expect("written"),
            }
            let read = opened().await;
            let named = matches!(&read, Err(LakeError::Damaged(d)) if d.path.ends_with("3.json"));
            assert!(named, "{read:?}");
            let lake = Lake::open(&options(&dir)).await.expect("the lake");
            let written = Appender::open(&lake, def()).await.err();
            assert!(matches!(written, Some(LakeError::Damaged(_))), "{written:?}");
            let vacuumed = lake.vacuum(TABLE, std::time::Duration::ZERO, false).await;
            assert!(matches!(vacuumed, Err(LakeError::Damaged(_))), "{vacuumed:?}");
        }
        std::fs::remove_dir_all(path("_delta_log")).expect("removed");
        assert!(matches!(opened().await, Err(LakeError::Damaged(_))), "a table that was there");
        std::fs::write(&witness, newest_content(TABLE, 0)).expect("written");
        assert_eq!(opened().await.expect("never more than begun"), None);
    }
}
