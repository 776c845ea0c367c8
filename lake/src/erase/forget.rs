//! Removing what an erasure leaves behind: dead files, and statistics in the log that hold ids.
//!
//! Entries of the log that a checkpoint stands for are deleted; what comes after it stays, and is
//! rewritten in its place without the bounds of the files it added.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::Utc;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;

use super::traces::{Place, Trace};
use crate::cleanup::Keep;
use crate::error::LakeError;
use crate::lake::Lake;

impl Lake {
    /// Deletes the dead files among the traces, and takes ids out of the logs. Who reads an older
    /// version of a table meanwhile fails, as after a vacuum.
    ///
    /// # Errors
    /// When a file can't be deleted or written.
    pub async fn forget(&self, traces: &[Trace]) -> Result<(), LakeError> {
        for trace in traces.iter().filter(|t| t.place == Place::Dead) {
            self.delete(&trace.path).await?;
        }
        let logs = |t: &&Trace| t.place == Place::Log;
        let tables: BTreeSet<&str> = traces.iter().filter(logs).map(|t| t.table.as_str()).collect();
        for table in tables {
            let of_table = traces.iter().filter(logs).filter(|t| t.table == table);
            self.forget_log(table, of_table).await?;
        }
        Ok(())
    }

    async fn forget_log<'t>(
        &self,
        table: &str,
        traces: impl Iterator<Item = &'t Trace>,
    ) -> Result<(), LakeError> {
        let Some(delta) = self.delta(table).await? else { return Ok(()) };
        let newest = delta.version().unwrap_or_default();
        // From here on nobody needs the older entries for the table's newest state.
        self.checkpoint(table, newest).await?;
        crate::fault::point("forget", table);
        while self.clean_up(table, Keep::NOTHING, Utc::now()).await? > 0 {}
        for trace in traces.filter(|t| t.path.ends_with(".json")) {
            match self.strip_bounds(&trace.path).await {
                Err(error) if error.is_gone() => {}
                other => other?,
            }
        }
        Ok(())
    }

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

    /// The data files that the entries of the table's log name, added or removed.
    pub(super) async fn logged_files(&self, table: &str) -> Result<BTreeSet<String>, LakeError> {
        let folder = Path::from(format!("{table}/_delta_log"));
        let entries: Vec<_> = self.store().list(Some(&folder)).try_collect().await?;
        let mut files = BTreeSet::new();
        for entry in entries.iter().filter(|e| e.location.as_ref().ends_with(".json")) {
            let bytes: Bytes = self.bytes(entry.location.as_ref()).await?;
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

    pub(super) async fn delete(&self, path: &str) -> Result<(), LakeError> {
        match self.store().delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The line of a log entry without the bounds of the file it adds; `None` where it adds none.
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
    fn bounds_leave_the_entries_that_add_files() {
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
