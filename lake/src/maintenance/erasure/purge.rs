//! Removing what an erasure leaves behind: unreferenced files, and statistics in logs that contain
//! ids.
//!
//! Log entries that a checkpoint replaces are deleted. The entries after it are rewritten without
//! the bounds of the files that they add.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::log::paths::LOG_FOLDER;
use crate::maintenance::erasure::scan::{CONCURRENT_FILES, FileMatch, FileRole};
use crate::object_files::delete_all;

impl Lake {
    /// Deletes the unreferenced files of a scan, and removes ids from the logs. Queries of older
    /// versions fail from then on, as after a vacuum.
    ///
    /// # Errors
    /// When a file can't be deleted or written.
    pub async fn purge(&self, files: &[FileMatch]) -> Result<(), LakeError> {
        let unreferenced = files.iter().filter(|t| t.role == FileRole::Unreferenced);
        let paths: Vec<Path> = unreferenced.map(|t| Path::from(t.path.as_str())).collect();
        delete_all(self.store().as_ref(), paths).await?;
        let in_log = |t: &&FileMatch| t.role == FileRole::Log;
        let tables: BTreeSet<&str> =
            files.iter().filter(in_log).map(|t| t.table.as_str()).collect();
        for table in tables {
            let of_table = files.iter().filter(in_log).filter(|t| t.table == table);
            self.purge_log(table, of_table).await?;
        }
        Ok(())
    }

    async fn purge_log<'t>(
        &self,
        table: &str,
        files: impl Iterator<Item = &'t FileMatch>,
    ) -> Result<(), LakeError> {
        let Some(delta) = self.delta(table).await? else { return Ok(()) };
        let newest = delta.version().unwrap_or_default();
        // With this checkpoint no reader of the newest version needs the older entries.
        self.checkpoint(table, newest).await?;
        crate::failpoint::hit("forget", table);
        self.delete_log_before(table, newest).await?;
        for file in files.filter(|t| t.path.ends_with(".json")) {
            match self.strip_bounds(&file.path).await {
                Err(error) if error.is_gone() => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Rewrites a log entry without the bounds of the files that it adds.
    async fn strip_bounds(&self, path: &str) -> Result<(), LakeError> {
        let bytes = self.bytes(path).await?;
        let mut stripped = Vec::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            match without_bounds(line) {
                Some(text) => stripped.extend_from_slice(text.as_bytes()),
                None => stripped.extend_from_slice(line),
            }
        }
        self.store().put(&Path::from(path), stripped.into()).await?;
        self.sync_file(path).await
    }

    /// Returns the data files that the entries of the table's log add or remove.
    pub(super) async fn logged_files(&self, table: &str) -> Result<BTreeSet<String>, LakeError> {
        let folder = Path::from(format!("{table}/{LOG_FOLDER}"));
        let entries: Vec<_> = self.store().list(Some(&folder)).try_collect().await?;
        let mut files = BTreeSet::new();
        let entries = entries.iter().filter(|e| e.location.as_ref().ends_with(".json"));
        let reads: Vec<_> = entries.map(|entry| self.bytes(entry.location.as_ref())).collect();
        let mut reads = futures::stream::iter(reads).buffered(CONCURRENT_FILES);
        while let Some(bytes) = reads.next().await {
            let bytes: Bytes = bytes?;
            for line in bytes.split(|b| *b == b'\n') {
                let Ok(action) = serde_json::from_slice::<Value>(line) else { continue };
                let file = action.get("add").or_else(|| action.get("remove"));
                if let Some(path) = file.and_then(|f| f.get("path")).and_then(Value::as_str) {
                    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
                    files.insert(format!("{table}/{path}"));
                }
            }
        }
        Ok(files)
    }
}

/// Returns a line of a log entry without the bounds of the file that it adds; `None` when it adds
/// none.
fn without_bounds(line: &[u8]) -> Option<String> {
    if !line.starts_with(br#"{"add""#) {
        return None;
    }
    let mut action: Value = serde_json::from_slice(line).ok()?;
    let statistics = action.get_mut("add")?.get_mut("stats")?;
    let mut bounds: Value = serde_json::from_str(statistics.as_str()?).ok()?;
    let fields = bounds.as_object_mut()?;
    fields.remove("minValues");
    fields.remove("maxValues");
    *statistics = Value::String(bounds.to_string());
    let end = if line.ends_with(b"\n") { "\n" } else { "" };
    Some(format!("{action}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_actions_lose_their_bounds() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(without_bounds(line.as_bytes()).as_deref(), expected);
        };
        check("{\"txn\":{\"appId\":\"c/t/i/0\",\"version\":3}}\n", None);
        check(
            "{\"add\":{\"path\":\"x\",\"stats\":\"{\\\"numRecords\\\":1,\\\"minValues\\\":{\\\"partner_id\\\":\\\"p\\\"},\\\"maxValues\\\":{}}\"}}\n",
            Some("{\"add\":{\"path\":\"x\",\"stats\":\"{\\\"numRecords\\\":1}\"}}\n"),
        );
        check("{\"add\":{\"path\":\"x\"}}", None);
    }
}
