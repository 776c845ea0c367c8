//! A table's log as it lies there: each of its files, and what its witness says of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::DeltaTableError;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use crate::checksum::{CHECKSUM, Checksums};
use crate::cleanup::may_be_thinned;
use crate::damage::Damage;
use crate::error::LakeError;
use crate::lake::{Lake, checked_from};
use crate::log::entry_path;
use crate::stamped;
use crate::tail::{Checkpoint, checkpoint_path, version_of};
use crate::witness::{self, Markers, Newest, WITNESS, written_marker};

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Sound,
    /// It has no checksum.
    Unchecked,
    Damaged(String),
}

impl Found {
    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

/// The hint at the newest checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    Absent,
    Names(u64, Found),
    Damaged(String),
}

/// A log, every file of it read.
#[derive(Debug)]
pub(crate) struct LogState {
    pub(crate) table: String,
    pub(crate) entries: BTreeMap<u64, Found>,
    pub(crate) checkpoints: BTreeMap<u64, Found>,
    pub(crate) hint: Hint,
    pub(crate) newest: Newest,
    /// The checkpoints that were written before the log was looked at, and when.
    promised: BTreeMap<u64, DateTime<Utc>>,
    pub(crate) markers: Markers,
    /// From which version on everything has a checksum, where that can be told.
    pub(crate) checked_from: Option<u64>,
    /// The checksums of the data files that the entries added, by path below the root.
    pub(crate) added: BTreeMap<String, Checksums>,
}

impl Lake {
    /// Reads every file of a table's log, beside workers that go on writing it.
    ///
    /// # Errors
    /// When the storage fails; a damaged file is no error.
    pub(crate) async fn examine_log(&self, table: &str) -> Result<LogState, LakeError> {
        let store = PrefixStore::new(self.unchecked(), table);
        // What these say is there when the log is listed after it.
        let newest = witness::newest(&store, table).await?;
        let hint = read_hint(&store, table).await?;
        let promised = witness::markers(&store).await?.written;
        let log = Path::from("_delta_log");
        let files: Vec<Path> = store.list(Some(&log)).map_ok(|m| m.location).try_collect().await?;
        let markers = witness::markers(&store).await?;
        let said = match self.delta(table).await {
            Ok(Some(delta)) => delta.snapshot().map(|s| checked_from(s.metadata().configuration())),
            Ok(None) => Ok(None),
            Err(error) => Err(DeltaTableError::Generic(error.to_string())),
        };
        let mut state = LogState {
            table: table.to_owned(),
            entries: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            hint,
            newest,
            promised,
            markers,
            checked_from: None,
            added: BTreeMap::new(),
        };
        for path in files {
            let Some((version, checkpoint)) = version_of(&path) else { continue };
            let bytes = match store.get(&path).await {
                Ok(found) => found.bytes().await?,
                // It was cleaned up meanwhile, or is missed below.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if checkpoint {
                let found = state.look_at_checkpoint(version, &bytes);
                state.checkpoints.insert(version, found);
            } else {
                let found = state.look_at_entry(version, &bytes);
                state.entries.insert(version, found);
            }
        }
        // Where the table can't be read, its entries tell from when on they have checksums.
        state.checked_from = said.unwrap_or_else(|_| state.stamped_from());
        Ok(state)
    }
}

async fn read_hint(store: &dyn ObjectStore, table: &str) -> Result<Hint, LakeError> {
    let name = "_delta_log/_last_checkpoint";
    let bytes = match store.get(&Path::from(name)).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(Hint::Absent),
        Err(error) => return Err(error.into()),
    };
    Ok(match stamped::check(&format!("{table}/{name}"), &bytes) {
        Err(what) => Hint::Damaged(what),
        Ok(stamped) => match serde_json::from_slice::<Checkpoint>(&bytes) {
            Ok(hint) if stamped => Hint::Names(hint.version, Found::Sound),
            Ok(hint) => Hint::Names(hint.version, Found::Unchecked),
            Err(error) => Hint::Damaged(error.to_string()),
        },
    })
}

#[derive(Deserialize)]
struct Entry {
    add: Option<Added>,
}

#[derive(Deserialize)]
struct Added {
    path: String,
    size: u64,
    tags: Option<BTreeMap<String, Option<String>>>,
}

impl LogState {
    fn look_at_entry(&mut self, version: u64, bytes: &Bytes) -> Found {
        match stamped::check(&self.path(&entry_path(version)), bytes) {
            Err(what) => return Found::Damaged(what),
            Ok(false) => return Found::Unchecked,
            Ok(true) => {}
        }
        for line in bytes.split(|b| *b == b'\n').filter(|l| l.starts_with(br#"{"add""#)) {
            let Some(add) = serde_json::from_slice::<Entry>(line).ok().and_then(|e| e.add) else {
                continue;
            };
            let text = add.tags.unwrap_or_default().remove(CHECKSUM).flatten();
            if let Some(checksums) = text.and_then(|text| Checksums::parse(&text, add.size)) {
                let path = percent_encoding::percent_decode_str(&add.path).decode_utf8_lossy();
                self.added.insert(self.path(&path), checksums);
            }
        }
        Found::Sound
    }

    fn look_at_checkpoint(&self, version: u64, bytes: &Bytes) -> Found {
        let Some(sums) = self.markers.checkpoints.get(&version) else {
            return match ParquetRecordBatchReaderBuilder::try_new(bytes.clone()) {
                Ok(_) => Found::Unchecked,
                Err(error) => Found::Damaged(error.to_string()),
            };
        };
        if sums.contains(&(bytes.len() as u64, crc32fast::hash(bytes))) {
            return Found::Sound;
        }
        Found::Damaged("its bytes are not those that were written".to_owned())
    }

    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.table)
    }

    /// The newest entry there is.
    pub(crate) fn end(&self) -> Option<u64> {
        self.entries.keys().next_back().copied()
    }

    /// The version from which every entry is due.
    pub(crate) fn begin(&self) -> u64 {
        // Older programs cleaned up without saying so.
        let first = self.entries.keys().next().copied().unwrap_or_default();
        if self.checked_from.is_some() { self.markers.from } else { first.max(self.markers.from) }
    }

    /// The first entry of those that lead to the newest without a gap.
    pub(crate) fn first_in_a_row(&self) -> Option<u64> {
        (0..=self.end()?).rev().take_while(|version| self.entries.contains_key(version)).last()
    }

    /// The first of the newest entries that all have checksums.
    fn stamped_from(&self) -> Option<u64> {
        let stamped = self.entries.iter().rev().take_while(|(_, found)| **found == Found::Sound);
        stamped.last().map(|(version, _)| *version)
    }

    /// Whether a file of that version is due a checksum.
    fn is_due(&self, version: u64) -> bool {
        self.checked_from.is_some_and(|from| version >= from)
    }

    /// The entries that are due and are not there.
    pub(crate) fn missing(&self) -> Vec<u64> {
        let Some(end) = self.end() else { return Vec::new() };
        (self.begin()..=end).filter(|version| !self.entries.contains_key(version)).collect()
    }

    /// Everything that is not as it was written.
    pub(crate) fn damage(&self) -> Vec<Damage> {
        let mut damage = Vec::new();
        for (version, found) in &self.entries {
            let path = || self.path(&entry_path(*version));
            damage.extend(self.of(found, *version, path));
        }
        for version in self.missing() {
            damage.push(Damage::gone(self.path(&entry_path(version))));
        }
        damage.extend(self.of_newest());
        for (version, found) in &self.checkpoints {
            let path = || self.path(checkpoint_path(*version).as_ref());
            damage.extend(self.of(found, *version, path));
        }
        damage.extend(self.of_markers());
        damage.extend(self.of_hint());
        damage
    }

    fn of(&self, found: &Found, version: u64, path: impl Fn() -> String) -> Option<Damage> {
        match found {
            Found::Unchecked if self.is_due(version) => {
                Some(Damage::new(path(), "its checksum is gone"))
            }
            Found::Sound | Found::Unchecked => None,
            Found::Damaged(what) => Some(Damage::new(path(), what.as_str())),
        }
    }

    pub(crate) fn of_newest(&self) -> Option<Damage> {
        let path = format!("{}/{WITNESS}/newest", self.table);
        match (self.newest, self.end()) {
            (Newest::Unreadable, _) => Some(Damage::changed(path)),
            (Newest::Absent, Some(_)) if self.checked_from.is_some() => Some(Damage::gone(path)),
            (Newest::Absent, _) | (Newest::Version(0), None) => None,
            (Newest::Version(_), None) => Some(Damage::gone(self.path("_delta_log"))),
            (Newest::Version(floor), Some(end)) => {
                witness::cut_off(&self.table, end, Some(floor)).err()
            }
        }
    }

    fn of_markers(&self) -> Vec<Damage> {
        let mut damage = Vec::new();
        let last = self.promised.keys().next_back().copied();
        for (version, since) in &self.promised {
            let age = (Utc::now() - *since).to_std().unwrap_or_default();
            let cleaned = *version < self.markers.from
                || (Some(*version) < last && may_be_thinned(*version, age));
            if !self.checkpoints.contains_key(version) && !cleaned {
                damage.push(Damage::gone(self.path(checkpoint_path(*version).as_ref())));
            }
        }
        let Hint::Names(hint, _) = &self.hint else { return damage };
        for version in self.unmarked().filter(|version| version <= hint) {
            damage.push(Damage::gone(self.path(&written_marker(version))));
        }
        damage
    }

    /// The checkpoints of which nothing says that they were written.
    pub(crate) fn unmarked(&self) -> impl Iterator<Item = u64> + '_ {
        let due = self.checkpoints.keys().copied().filter(|version| self.is_due(*version));
        due.filter(|version| !self.markers.written.contains_key(version))
    }

    fn of_hint(&self) -> Option<Damage> {
        let path = || self.path("_delta_log/_last_checkpoint");
        match &self.hint {
            Hint::Damaged(what) => Some(Damage::new(path(), what.as_str())),
            Hint::Absent if !self.promised.is_empty() => Some(Damage::gone(path())),
            Hint::Absent => None,
            Hint::Names(version, found) => {
                let missed = !self.checkpoints.contains_key(version)
                    && !self.markers.written.contains_key(version);
                if missed {
                    return Some(Damage::gone(self.path(checkpoint_path(*version).as_ref())));
                }
                self.of(found, *version, path)
            }
        }
    }

    /// Files of a log of an older format without a checksum. Once it is upgraded they tell of older
    /// versions only.
    pub(crate) fn unchecked(&self) -> usize {
        if self.checked_from.is_some() {
            return 0;
        }
        let all = self.entries.values().chain(self.checkpoints.values());
        all.filter(|found| **found == Found::Unchecked).count()
    }
}
