//! A table at one version: its columns, files and transaction ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;
use deltalake::kernel::{Action, Add, Remove};
use domain::Day;
use serde::Deserialize;

use crate::error::LakeError;
use crate::integrity::block_checksum::{BlockChecksums, CHECKSUM_TAG};
use crate::log::follower::LogFollower;
use crate::log::transactions::Transactions;
use crate::schema::TableDef;

/// A table at one version.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    pub table: String,
    pub version: u64,
    /// All columns, the partition column last.
    pub schema: SchemaRef,
    pub partition_by: Option<String>,
    /// The files, ordered by path; copies of a snapshot share them.
    pub files: Arc<[DataFile]>,
    pub txns: Arc<Transactions>,
}

/// A Parquet file of a table version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The path below the lake's root, not percent-encoded.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    pub rows: u64,
    /// The value of the partition column; `None` in a table without one.
    pub day: Option<Day>,
    /// The tags that the table's writers gave it, without the checksums.
    pub tags: BTreeMap<String, String>,
    /// The checksums; `None` for a file of an older program.
    pub(crate) checksums: Option<Arc<BlockChecksums>>,
    /// The least and the greatest `partner_id`, if the log has them.
    pub partners: Option<(String, String)>,
}

impl TableSnapshot {
    /// Returns a loaded table; `follower` is at the same version.
    pub(crate) fn of(
        table: &str,
        delta: &DeltaTable,
        follower: &LogFollower,
    ) -> Result<Self, LakeError> {
        let state = delta.snapshot().map_err(LakeError::delta(table))?;
        let partition_by = state.metadata().partition_columns().first().cloned();
        let mut files: Vec<DataFile> = state
            .log_data()
            .iter()
            .map(|view| data_file(table, partition_by.as_deref(), &view))
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self {
            table: table.to_owned(),
            version: state.version(),
            schema: state.snapshot().arrow_schema(),
            partition_by,
            files: files.into(),
            txns: Arc::new(follower.txns.clone()),
        })
    }

    /// Returns the definition of the table as it is, for files of the same columns.
    pub(crate) fn definition(&self) -> TableDef {
        TableDef {
            name: self.table.clone(),
            schema: Arc::clone(&self.schema),
            partition_by: self.partition_by.clone(),
        }
    }

    /// Returns the files of one day.
    pub fn of_day(&self, day: Day) -> impl Iterator<Item = &DataFile> {
        self.files.iter().filter(move |f| f.day == Some(day))
    }

    /// Returns the number of rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }
}

impl DataFile {
    /// Returns the log action that removes the file from its table.
    pub(crate) fn remove_action(&self, def: &TableDef, data_change: bool) -> Action {
        let relative = self.path.strip_prefix(&format!("{}/", def.name)).unwrap_or(&self.path);
        let values = def.partition_by.iter().map(|c| (c.clone(), self.day.map(|d| d.to_string())));
        Action::Remove(Remove {
            path: relative.to_owned(),
            data_change,
            deletion_timestamp: Some(chrono::Utc::now().timestamp_millis()),
            extended_file_metadata: Some(true),
            partition_values: Some(values.collect()),
            size: i64::try_from(self.size).ok(),
            ..Remove::default()
        })
    }

    /// Returns the number of copies that compaction dropped from the file's day, as far as this
    /// file carries that count.
    pub fn dropped_copies(&self) -> u64 {
        self.tags.get(DROPPED_COPIES_TAG).and_then(|n| n.parse().ok()).unwrap_or_default()
    }
}

/// The tag of a compacted file with the [`content_identity`] of the files that it replaces.
pub const COMPACTED_FROM_TAG: &str = "stands_for";

/// The tag of a compacted file with the number of copies that were ever dropped from its day.
pub const DROPPED_COPIES_TAG: &str = "copies";

/// Returns an identity of the events in a set of files of one day: sets of equal identity hold
/// equal events. Files never change, so the identity is a digest of their paths; a compacted file
/// counts as the files that it replaced.
pub fn content_identity<'a>(files: impl Iterator<Item = &'a DataFile>) -> String {
    let mut parts: Vec<(bool, &str)> = files
        .map(|f| {
            f.tags.get(COMPACTED_FROM_TAG).map_or((false, f.path.as_str()), |t| (true, t.as_str()))
        })
        .collect();
    parts.sort_unstable();
    parts.dedup();
    match parts.as_slice() {
        [(true, identity)] => (*identity).to_owned(),
        _ => {
            let names: Vec<&str> = parts.iter().map(|(_, name)| *name).collect();
            crate::key::sha256_hex(names.join("\n").as_bytes())
        }
    }
}

/// Returns the add actions of a table's files.
pub(crate) fn add_actions(table: &str, delta: &DeltaTable) -> Result<Vec<Add>, LakeError> {
    let state = delta.snapshot().map_err(LakeError::delta(table))?;
    // The view gives tags and statistics only through the whole action.
    #[allow(deprecated)]
    let adds = state.log_data().iter().map(|view| view.add_action()).collect();
    Ok(adds)
}

fn data_file(
    table: &str,
    partition_by: Option<&str>,
    view: &deltalake::kernel::LogicalFileView,
) -> DataFile {
    // The view gives tags only through the whole action.
    #[allow(deprecated)]
    let add = view.add_action();
    let value = partition_by.and_then(|column| add.partition_values.get(column));
    let size = u64::try_from(add.size).unwrap_or_default();
    let mut tags = tags_of(add.tags);
    let checksums = tags.remove(CHECKSUM_TAG).and_then(|text| BlockChecksums::parse(&text, size));
    DataFile {
        partners: add.stats.as_deref().and_then(partners),
        path: format!("{table}/{}", add.path),
        size,
        rows: view.num_records().unwrap_or_default() as u64,
        day: value.and_then(|v| v.as_ref()).and_then(|v| v.parse().ok()),
        tags,
        checksums: checksums.map(Arc::new),
    }
}

fn tags_of(tags: Option<HashMap<String, Option<String>>>) -> BTreeMap<String, String> {
    let tags = tags.unwrap_or_default().into_iter();
    tags.filter_map(|(name, value)| Some((name, value?))).collect()
}

#[derive(Deserialize)]
struct FileStatistics {
    #[serde(rename = "minValues")]
    least: PartnerBound,
    #[serde(rename = "maxValues")]
    greatest: PartnerBound,
}

#[derive(Deserialize)]
struct PartnerBound {
    partner_id: String,
}

fn partners(statistics: &str) -> Option<(String, String)> {
    let found: FileStatistics = serde_json::from_str(statistics).ok()?;
    Some((found.least.partner_id, found.greatest.partner_id))
}
