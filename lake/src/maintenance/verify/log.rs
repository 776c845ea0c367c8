//! Inspecting a table's log: each of its files, compared with its checksum and the table's witness.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::DeltaTableError;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use crate::error::LakeError;
use crate::integrity::block_checksum::{BlockChecksums, CHECKSUM_TAG};
use crate::integrity::damage::Damage;
use crate::integrity::log_checksum;
use crate::integrity::witness::{self, NewestVersion, WitnessMarkers, newest_path, written_marker};
use crate::lake::Lake;
use crate::log::cleanup::is_thinnable;
use crate::log::paths::{
    CheckpointHint, HINT_PATH, LOG_FOLDER, checkpoint_path, entry_path, parse_log_file,
};
use crate::object_files::get_if_exists;
use crate::table_properties::checked_from;

/// The state of a file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileState {
    /// The file is what was written.
    Verified,
    /// The file has no checksum.
    Unchecked,
    /// The file is damaged, in the way described.
    Damaged(String),
}

impl FileState {
    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

/// The state of the hint at the newest checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CheckpointHintState {
    Absent,
    /// The hint names the checkpoint of a version.
    Names(u64, FileState),
    Damaged(String),
}

/// The state of a table's log after every file of it was read.
#[derive(Debug)]
pub(crate) struct LogState {
    pub(crate) table: String,
    pub(crate) entries: BTreeMap<u64, FileState>,
    pub(crate) checkpoints: BTreeMap<u64, FileState>,
    pub(crate) hint: CheckpointHintState,
    pub(crate) newest: NewestVersion,
    /// The instants at which checkpoints were written before the log was listed, by version.
    written_before: BTreeMap<u64, DateTime<Utc>>,
    pub(crate) markers: WitnessMarkers,
    /// The version from which on every file has a checksum; `None` when there is none.
    pub(crate) checked_from: Option<u64>,
    /// The checksums of the data files that the entries added, by path below the root.
    pub(crate) added: BTreeMap<String, BlockChecksums>,
}

impl Lake {
    /// Reads every file of a table's log; workers may go on writing it.
    ///
    /// # Errors
    /// When the storage fails. A damaged file is no error.
    pub(crate) async fn inspect_log(&self, table: &str) -> Result<LogState, LakeError> {
        let store = PrefixStore::new(self.unverified_store(), table);
        // These are read before the log is listed: what they name is in the log by now.
        let newest = witness::newest(&store, table).await?;
        let hint = read_hint(&store, table).await?;
        let written_before = witness::markers(&store).await?.written;
        let log = Path::from(LOG_FOLDER);
        let files: Vec<Path> = store.list(Some(&log)).map_ok(|m| m.location).try_collect().await?;
        let markers = witness::markers(&store).await?;
        let declared = match self.delta(table).await {
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
            written_before,
            markers,
            checked_from: None,
            added: BTreeMap::new(),
        };
        for path in files {
            let Some((version, is_checkpoint)) = parse_log_file(&path) else { continue };
            // An entry that was cleaned up meanwhile is skipped; one that is missing is reported by
            // `missing`.
            let Some(bytes) = get_if_exists(&store, &path).await? else { continue };
            if is_checkpoint {
                let found = state.inspect_checkpoint(version, &bytes);
                state.checkpoints.insert(version, found);
            } else {
                let found = state.inspect_entry(version, &bytes);
                state.entries.insert(version, found);
            }
        }
        // When the table can't be read, its entries tell from which version on they have checksums.
        state.checked_from = declared.unwrap_or_else(|_| state.checksummed_from());
        Ok(state)
    }
}

async fn read_hint(store: &dyn ObjectStore, table: &str) -> Result<CheckpointHintState, LakeError> {
    let Some(bytes) = get_if_exists(store, &Path::from(HINT_PATH)).await? else {
        return Ok(CheckpointHintState::Absent);
    };
    Ok(match log_checksum::check(&format!("{table}/{HINT_PATH}"), &bytes) {
        Err(what) => CheckpointHintState::Damaged(what),
        Ok(has_checksum) => match serde_json::from_slice::<CheckpointHint>(&bytes) {
            Ok(hint) if has_checksum => {
                CheckpointHintState::Names(hint.version, FileState::Verified)
            }
            Ok(hint) => CheckpointHintState::Names(hint.version, FileState::Unchecked),
            Err(error) => CheckpointHintState::Damaged(error.to_string()),
        },
    })
}

#[derive(Deserialize)]
struct AddLine {
    add: Option<AddAction>,
}

#[derive(Deserialize)]
struct AddAction {
    path: String,
    size: u64,
    tags: Option<BTreeMap<String, Option<String>>>,
}

impl LogState {
    fn inspect_entry(&mut self, version: u64, bytes: &Bytes) -> FileState {
        match log_checksum::check(&self.path(&entry_path(version)), bytes) {
            Err(what) => return FileState::Damaged(what),
            Ok(false) => return FileState::Unchecked,
            Ok(true) => {}
        }
        for line in bytes.split(|b| *b == b'\n').filter(|l| l.starts_with(br#"{"add""#)) {
            let Some(add) = serde_json::from_slice::<AddLine>(line).ok().and_then(|e| e.add) else {
                continue;
            };
            let text = add.tags.unwrap_or_default().remove(CHECKSUM_TAG).flatten();
            if let Some(checksums) = text.and_then(|text| BlockChecksums::parse(&text, add.size)) {
                let path = percent_encoding::percent_decode_str(&add.path).decode_utf8_lossy();
                self.added.insert(self.path(&path), checksums);
            }
        }
        FileState::Verified
    }

    fn inspect_checkpoint(&self, version: u64, bytes: &Bytes) -> FileState {
        let Some(sums) = self.markers.checkpoints.get(&version) else {
            return match ParquetRecordBatchReaderBuilder::try_new(bytes.clone()) {
                Ok(_) => FileState::Unchecked,
                Err(error) => FileState::Damaged(error.to_string()),
            };
        };
        if sums.contains(&(bytes.len() as u64, crc32fast::hash(bytes))) {
            return FileState::Verified;
        }
        FileState::Damaged("its bytes are not those that were written".to_owned())
    }

    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.table)
    }

    /// Returns the version of the newest entry.
    pub(crate) fn end(&self) -> Option<u64> {
        self.entries.keys().next_back().copied()
    }

    /// Returns the version from which on every entry must exist.
    pub(crate) fn start(&self) -> u64 {
        // Older programs cleaned up without writing a marker.
        let first = self.entries.keys().next().copied().unwrap_or_default();
        if self.checked_from.is_some() {
            self.markers.log_start
        } else {
            first.max(self.markers.log_start)
        }
    }

    /// Returns the first of the entries that lead to the newest one without a gap.
    pub(crate) fn first_contiguous(&self) -> Option<u64> {
        (0..=self.end()?).rev().take_while(|version| self.entries.contains_key(version)).last()
    }

    /// Returns the version from which on all entries have checksums.
    fn checksummed_from(&self) -> Option<u64> {
        let has_checksum =
            self.entries.iter().rev().take_while(|(_, found)| **found == FileState::Verified);
        has_checksum.last().map(|(version, _)| *version)
    }

    /// Returns whether a file of that version must have a checksum.
    fn requires_checksum(&self, version: u64) -> bool {
        self.checked_from.is_some_and(|from| version >= from)
    }

    /// Returns the versions whose entries are missing.
    pub(crate) fn missing(&self) -> Vec<u64> {
        let Some(end) = self.end() else { return Vec::new() };
        (self.start()..=end).filter(|version| !self.entries.contains_key(version)).collect()
    }

    /// Returns all damage of the log.
    pub(crate) fn damage(&self) -> Vec<Damage> {
        let mut damage = Vec::new();
        for (version, found) in &self.entries {
            let path = || self.path(&entry_path(*version));
            damage.extend(self.file_damage(found, *version, path));
        }
        for version in self.missing() {
            damage.push(Damage::gone(self.path(&entry_path(version))));
        }
        damage.extend(self.newest_damage());
        for (version, found) in &self.checkpoints {
            let path = || self.path(checkpoint_path(*version).as_ref());
            damage.extend(self.file_damage(found, *version, path));
        }
        damage.extend(self.marker_damage());
        damage.extend(self.hint_damage());
        damage
    }

    /// Returns the damage of a file of a version.
    fn file_damage(
        &self,
        found: &FileState,
        version: u64,
        path: impl Fn() -> String,
    ) -> Option<Damage> {
        match found {
            FileState::Unchecked if self.requires_checksum(version) => {
                Some(Damage::new(path(), "its checksum is gone"))
            }
            FileState::Verified | FileState::Unchecked => None,
            FileState::Damaged(what) => Some(Damage::new(path(), what.as_str())),
        }
    }

    /// Returns the damage of the witness's newest version, or of the end of the log.
    pub(crate) fn newest_damage(&self) -> Option<Damage> {
        let path = self.path(newest_path().as_ref());
        match (self.newest, self.end()) {
            (NewestVersion::Unreadable, _) => Some(Damage::changed(path)),
            (NewestVersion::Absent, Some(_)) if self.checked_from.is_some() => {
                Some(Damage::gone(path))
            }
            (NewestVersion::Absent, _) | (NewestVersion::Version(0), None) => None,
            (NewestVersion::Version(_), None) => Some(Damage::gone(self.path(LOG_FOLDER))),
            (NewestVersion::Version(lower_bound), Some(end)) => {
                witness::check_not_truncated(&self.table, end, Some(lower_bound)).err()
            }
        }
    }

    /// Returns the checkpoints that the markers name and that are missing, and the missing markers.
    fn marker_damage(&self) -> Vec<Damage> {
        let mut damage = Vec::new();
        let last = self.written_before.keys().next_back().copied();
        for (version, since) in &self.written_before {
            let age = (Utc::now() - *since).to_std().unwrap_or_default();
            let cleaned = *version < self.markers.log_start
                || (Some(*version) < last && is_thinnable(*version, age));
            if !self.checkpoints.contains_key(version) && !cleaned {
                damage.push(Damage::gone(self.path(checkpoint_path(*version).as_ref())));
            }
        }
        let CheckpointHintState::Names(hint, _) = &self.hint else { return damage };
        for version in self.unmarked_checkpoints().filter(|version| version <= hint) {
            damage.push(Damage::gone(self.path(&written_marker(version))));
        }
        damage
    }

    /// Returns the checkpoints without the marker that they were written.
    pub(crate) fn unmarked_checkpoints(&self) -> impl Iterator<Item = u64> + '_ {
        let versions = self.checkpoints.keys().copied();
        let checked = versions.filter(|version| self.requires_checksum(*version));
        checked.filter(|version| !self.markers.written.contains_key(version))
    }

    /// Returns the damage of the hint, or the missing checkpoint that it names.
    fn hint_damage(&self) -> Option<Damage> {
        let path = || self.path(HINT_PATH);
        match &self.hint {
            CheckpointHintState::Damaged(what) => Some(Damage::new(path(), what.as_str())),
            // The first checkpoint is there before the hint, whose writer is at work or has died.
            CheckpointHintState::Absent
                if self.written_before.len() > 1 || self.markers.log_start > 0 =>
            {
                Some(Damage::gone(path()))
            }
            CheckpointHintState::Absent => None,
            CheckpointHintState::Names(version, found) => {
                let is_lost = !self.checkpoints.contains_key(version)
                    && !self.markers.written.contains_key(version);
                if is_lost {
                    return Some(Damage::gone(self.path(checkpoint_path(*version).as_ref())));
                }
                self.file_damage(found, *version, path)
            }
        }
    }

    /// Returns the number of files without a checksum in a log of an older format. In an upgraded
    /// log such files belong to older versions only.
    pub(crate) fn unchecked(&self) -> usize {
        if self.checked_from.is_some() {
            return 0;
        }
        let all = self.entries.values().chain(self.checkpoints.values());
        all.filter(|found| **found == FileState::Unchecked).count()
    }
}
