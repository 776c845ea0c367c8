//! What stands beside a table's log, outside of it, so that a log that lost its end is told from
//! one that never had it: the folder `_witness` of the table.
//!
//! - `newest` is the newest version that was committed. It is put after the entry is durable, so it
//!   may lag and never leads. Who put it looks whether an entry came meanwhile, and then puts
//!   that: of several writers the last one to put leaves the newest.
//! - `from.V` is put before the log is cleaned up: from V on, every entry is there.
//! - `checkpoint.V.SIZE.CRC` is put before a checkpoint is written, and `checkpoint.V` after it is:
//!   what the checkpoint may be, and that there is one. Several processes may write the same one.
//!
//! Only `newest` has content; the others are empty, their names say it all.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::damage::Damage;
use crate::error::LakeError;
use crate::key::digest;
use crate::lake::Lake;
use crate::log::entry_path;

/// The folder, below the table.
pub(crate) const WITNESS: &str = "_witness";

/// The newest version that is known to have been committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Newest {
    /// Written by an older program, or lost.
    Absent,
    Version(u64),
    /// It says nothing.
    Unreadable,
}

impl Newest {
    /// The version that the log has at least.
    pub(crate) fn floor(self) -> Option<u64> {
        match self {
            Self::Version(version) => Some(version),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// The markers of a table, by what their names say.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    /// From here on the log is whole.
    pub(crate) from: u64,
    /// Size and CRC-32 of what a checkpoint may be.
    pub(crate) checkpoints: BTreeMap<u64, BTreeSet<(u64, u32)>>,
    /// The checkpoints that were written, and when.
    pub(crate) written: BTreeMap<u64, DateTime<Utc>>,
    /// Every name, with the version it is of.
    names: Vec<(String, u64)>,
}

pub(crate) fn newest_path() -> Path {
    Path::from(format!("{WITNESS}/newest"))
}

/// That a checkpoint may be these bytes.
pub(crate) fn checkpoint_marker(version: u64, size: u64, crc: u32) -> String {
    format!("{WITNESS}/checkpoint.{version:020}.{size}.{crc:08x}")
}

/// That a checkpoint was written.
pub(crate) fn written_marker(version: u64) -> String {
    format!("{WITNESS}/checkpoint.{version:020}")
}

fn from_marker(version: u64) -> String {
    format!("{WITNESS}/from.{version:020}")
}

fn text(table: &str, version: u64) -> String {
    let checksum = digest(format!("{table}\n{version}").as_bytes());
    format!("{version} {}\n", &checksum[..16])
}

/// Reads `newest`; `store` is the table's.
pub(crate) async fn newest(store: &dyn ObjectStore, table: &str) -> Result<Newest, LakeError> {
    let found = match store.get(&newest_path()).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(Newest::Absent),
        Err(error) => return Err(error.into()),
    };
    let said = std::str::from_utf8(&found).ok();
    let version = said.and_then(|said| said.split(' ').next()?.parse().ok());
    Ok(match version.filter(|version| found == text(table, *version).as_bytes()) {
        Some(version) => Newest::Version(version),
        None => Newest::Unreadable,
    })
}

/// The damage of a log that ends at a version, if that is before what the witness says.
pub(crate) fn cut_off(table: &str, end: u64, floor: Option<u64>) -> Result<(), Damage> {
    match floor {
        Some(floor) if floor > end => {
            let path = format!("{table}/{}", entry_path(end + 1));
            let what = format!("it is gone, and version {floor} was committed");
            Err(Damage::new(path, what))
        }
        _ => Ok(()),
    }
}

/// Reads the markers; `store` is the table's.
pub(crate) async fn markers(store: &dyn ObjectStore) -> Result<Markers, LakeError> {
    let folder = Path::from(WITNESS);
    let mut files = store.list(Some(&folder));
    let mut markers = Markers::default();
    while let Some(file) = files.try_next().await? {
        let Some(name) = file.location.filename() else { continue };
        let parts: Vec<&str> = name.split('.').collect();
        let Some(version) = parts.get(1).and_then(|v| v.parse().ok()) else { continue };
        match parts[..] {
            ["from", _] => markers.from = markers.from.max(version),
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

impl Lake {
    /// Says that a version of a table was committed. That it can't be said is no failure of the
    /// commit: the witness lags then.
    pub(crate) async fn witness(&self, table: &str, version: u64) {
        crate::fault::point("witness", table);
        if let Err(error) = self.put_newest(table, version).await {
            tracing::warn!(table, version, %error, "the witness of the table's log is behind");
        }
    }

    pub(crate) async fn put_newest(&self, table: &str, version: u64) -> Result<(), LakeError> {
        let store = self.log_store(table).object_store(None);
        let mut newest = version;
        loop {
            store.put(&newest_path(), text(table, newest).into()).await?;
            let put = newest;
            while exists(store.as_ref(), &entry_path(newest + 1)).await? {
                newest += 1;
            }
            if newest == put {
                return Ok(());
            }
        }
    }

    /// Says that the log is whole from a version on, and may have lost what is older.
    pub(crate) async fn log_begins(&self, table: &str, version: u64) -> Result<(), LakeError> {
        let store = self.log_store(table).object_store(None);
        if markers(store.as_ref()).await?.from >= version {
            return Ok(());
        }
        store.put(&Path::from(from_marker(version)), "".into()).await?;
        self.sync_file(&format!("{table}/{}", from_marker(version))).await
    }

    /// Deletes the markers of what was cleaned up: of checkpoints that are gone, and older beginnings.
    pub(crate) async fn tidy_markers(
        &self,
        table: &str,
        gone: &BTreeSet<u64>,
    ) -> Result<(), LakeError> {
        let store = self.log_store(table).object_store(None);
        let markers = markers(store.as_ref()).await?;
        let mut names = markers.names;
        // That a checkpoint was written goes before what it may be.
        names.sort_by_key(|(name, _)| name.len());
        for (name, version) in names {
            let superfluous = if name.starts_with("from.") {
                version < markers.from
            } else {
                version < markers.from || gone.contains(&version)
            };
            if superfluous {
                match store.delete(&Path::from(format!("{WITNESS}/{name}"))).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// Whether a file is there.
pub(crate) async fn exists(store: &dyn ObjectStore, path: &str) -> Result<bool, LakeError> {
    match store.head(&Path::from(path)).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{advance, def, options};
    use crate::{Appender, PartitionId};

    const TABLE: &str = "raw/things";

    async fn read(lake: &Lake) -> Newest {
        newest(lake.log_store(TABLE).object_store(None).as_ref(), TABLE).await.expect("read")
    }

    #[tokio::test]
    async fn the_witness_of_many_writers_is_the_newest_version() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
        assert_eq!(read(&lake).await, Newest::Absent);
        lake.ensure_table(&def()).await.expect("a table");
        assert_eq!(read(&lake).await, Newest::Version(0));
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
        assert_eq!(read(&lake).await, Newest::Version(40));
        // One that is behind goes on to what there is.
        lake.put_newest(TABLE, 7).await.expect("put");
        assert_eq!(read(&lake).await, Newest::Version(40));
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
        std::fs::write(&witness, text(TABLE, 2)).expect("written");
        assert_eq!(opened().await.expect("behind"), Some(3));
        std::fs::write(&witness, text("raw/others", 9)).expect("written");
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
        std::fs::write(&witness, text(TABLE, 0)).expect("written");
        assert_eq!(opened().await.expect("never more than begun"), None);
    }
}
