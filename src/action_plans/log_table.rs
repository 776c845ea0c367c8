//! The log of actions in the lake. Every append raises one number in the same commit, so an append
//! fails where somebody else appended since the log was read.

use std::collections::BTreeMap;

use actions::log::LogEntry;
use lake::{Lake, schema};
use tokio::sync::Mutex;

use super::log_rows::{entry_rows, stored_entries};

/// The transaction id that counts the appends.
const APPENDS: &str = "appends";

/// The log, with the rows that were read before.
pub(crate) struct LogTable {
    lake: Lake,
    /// The rows of each file. A file never changes.
    files: Mutex<BTreeMap<String, Vec<(i64, LogEntry)>>>,
}

impl LogTable {
    pub(crate) fn new(lake: Lake) -> Self {
        Self { lake, files: Mutex::new(BTreeMap::new()) }
    }

    /// Returns all rows in the order of their appends, and the number of appends.
    pub(crate) async fn read(&self) -> anyhow::Result<(Vec<LogEntry>, i64)> {
        let Some(table) = self.lake.snapshot(&schema::action_log().name, None).await? else {
            return Ok((Vec::new(), 0));
        };
        let mut files = self.files.lock().await;
        // Compaction and erasure put other files in place of some.
        files.retain(|path, _| table.files.iter().any(|file| file.path == *path));
        for file in table.files.iter() {
            if !files.contains_key(&file.path) {
                let rows = self.lake.read_file(&file.path, &[]).await?;
                files.insert(file.path.clone(), stored_entries(rows)?);
            }
        }
        let mut rows: Vec<&(i64, LogEntry)> = files.values().flatten().collect();
        rows.sort_by_key(|(sequence, _)| *sequence);
        let entries = rows.into_iter().map(|(_, entry)| entry.clone()).collect();
        Ok((entries, table.txns.get(APPENDS).copied().unwrap_or_default()))
    }

    /// Appends rows, unless somebody appended others since `version` was read. Returns whether it
    /// did.
    pub(crate) async fn append(&self, version: i64, entries: &[LogEntry]) -> anyhow::Result<bool> {
        let next = version + 1;
        let rows = entry_rows(entries, next)?;
        let def = schema::action_log();
        Ok(self.lake.append_once(&def, &[rows], APPENDS, next).await?.is_some())
    }

    /// Appends rows whatever others append.
    pub(crate) async fn append_always(&self, entries: &[LogEntry]) -> anyhow::Result<()> {
        loop {
            let (_, version) = self.read().await?;
            if self.append(version, entries).await? {
                return Ok(());
            }
        }
    }
}
