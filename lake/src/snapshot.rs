//! A table at one version: its columns, its files and its transaction ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;
use deltalake::kernel::Add;
use lake_types::Day;
use serde::Deserialize;

use crate::checksum::{CHECKSUM, Checksums};
use crate::error::LakeError;
use crate::log::Transactions;
use crate::tail::Tail;

/// A table at one version.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    pub table: String,
    pub version: u64,
    /// Every column, the partition column last.
    pub schema: SchemaRef,
    pub partition_by: Option<String>,
    /// Ordered by path.
    pub files: Vec<DataFile>,
    pub txns: Arc<Transactions>,
}

/// One Parquet file that the version names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Relative to the lake's root, not percent-encoded.
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub rows: u64,
    /// The value of the partition column.
    pub day: Option<Day>,
    /// What the table's writers keep of it.
    pub tags: BTreeMap<String, String>,
    /// Files of older programs have none.
    pub(crate) checksums: Option<Arc<Checksums>>,
    /// The least and the greatest `partner_id`, where the log keeps them.
    pub partners: Option<(String, String)>,
}

impl TableSnapshot {
    /// The loaded version, which the tail is at.
    pub(crate) fn of(table: &str, delta: &DeltaTable, tail: &Tail) -> Result<Self, LakeError> {
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
            files,
            txns: Arc::new(tail.txns.clone()),
        })
    }

    /// The files of one day.
    pub fn of_day(&self, day: Day) -> impl Iterator<Item = &DataFile> {
        self.files.iter().filter(move |f| f.day == Some(day))
    }

    /// The rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }
}

impl DataFile {
    /// The copies that compaction dropped from the day, where this file keeps their count.
    pub fn dropped_copies(&self) -> u64 {
        self.tags.get(COPIES).and_then(|n| n.parse().ok()).unwrap_or_default()
    }
}

/// On a compacted file: the identity of the files whose events it holds, all of them.
pub const STANDS_FOR: &str = "stands_for";

/// On a compacted file: how many copies were dropped from its day, in all.
pub const COPIES: &str = "copies";

/// What a set of files of one day holds: equal identities are equal events. Files never change, so
/// their names are enough; a compacted file stands for the files it was made of.
pub fn identity<'a>(files: impl Iterator<Item = &'a DataFile>) -> String {
    let mut parts: Vec<(bool, &str)> = files
        .map(|f| f.tags.get(STANDS_FOR).map_or((false, f.path.as_str()), |t| (true, t.as_str())))
        .collect();
    parts.sort_unstable();
    parts.dedup();
    match parts.as_slice() {
        [(true, identity)] => (*identity).to_owned(),
        _ => {
            let names: Vec<&str> = parts.iter().map(|(_, name)| *name).collect();
            crate::key::digest(names.join("\n").as_bytes())
        }
    }
}

/// The add actions of a version's files, as its log has them.
pub(crate) fn added(table: &str, delta: &DeltaTable) -> Result<Vec<Add>, LakeError> {
    let state = delta.snapshot().map_err(LakeError::delta(table))?;
    // The view gives all of it only through the whole action.
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
    let checksums = tags.remove(CHECKSUM).and_then(|text| Checksums::parse(&text, size));
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
struct Statistics {
    #[serde(rename = "minValues")]
    least: Bound,
    #[serde(rename = "maxValues")]
    greatest: Bound,
}

#[derive(Deserialize)]
struct Bound {
    partner_id: String,
}

fn partners(statistics: &str) -> Option<(String, String)> {
    let found: Statistics = serde_json::from_str(statistics).ok()?;
    Some((found.least.partner_id, found.greatest.partner_id))
}
