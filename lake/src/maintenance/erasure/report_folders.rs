//! The folders that reports were written to. An erasure does not reach them, but tells which of
//! them are older than the erasure.
//!
//! The lake records each folder in a small file below `reports/`, because the machine that writes a
//! report and the machine that erases may share nothing but the lake. Folders of the same name on
//! two machines count as one, the one that was written last.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::LakeError;
use crate::integrity::damage::Damage;
use crate::lake::Lake;
use crate::object_files::get_if_exists;

/// The folder of the records, below the root.
pub(crate) const FOLDER: &str = "reports";

/// The file that records the last erasure, below the root.
const ERASURES: &str = "reports/erasures.json";

/// A folder that a report was written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedReport {
    /// The absolute path on its machine.
    pub folder: String,
    /// The name of the machine.
    pub machine: String,
    /// An instant before the report's tables were read, µs.
    pub read_at: i64,
}

/// The content of [`ERASURES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Erasures {
    /// Whether an erasure has begun and not ended; it may have erased something.
    under_way: bool,
    /// The end of the last erasure that erased something, µs.
    last: Option<i64>,
}

impl Lake {
    /// Records that a folder holds a report, in place of an older record of the folder.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn record_report(&self, report: &RecordedReport) -> Result<(), LakeError> {
        self.put_record(&record_path(&report.folder), report).await
    }

    /// Returns the recorded reports by folder, each with whether partners were erased since it was
    /// written.
    ///
    /// # Errors
    /// When a record can't be read.
    pub async fn recorded_reports(&self) -> Result<Vec<(RecordedReport, bool)>, LakeError> {
        let last = self.erasures().await?.last;
        let all: Vec<_> = self.store().list(Some(&Path::from(FOLDER))).try_collect().await?;
        let mut reports = Vec::new();
        for path in all.iter().map(|n| n.location.as_ref()).filter(|path| *path != ERASURES) {
            let Some(report) = self.read_record::<RecordedReport>(path).await? else { continue };
            let is_outdated = last.is_some_and(|last| report.read_at <= last);
            reports.push((report, is_outdated));
        }
        reports.sort_by(|(a, _), (b, _)| a.folder.cmp(&b.folder));
        Ok(reports)
    }

    /// Deletes the record of a report that no longer exists.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn delete_report_record(&self, folder: &str) -> Result<(), LakeError> {
        self.delete_file(&record_path(folder)).await
    }

    /// Records that an erasure begins, and returns whether an earlier one did not end.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn begin_erasure(&self) -> Result<bool, LakeError> {
        let earlier = self.erasures().await?;
        self.put_record(ERASURES, &Erasures { under_way: true, ..earlier }).await?;
        Ok(earlier.under_way)
    }

    /// Records that an erasure has ended. `erased_at` is the instant, in µs, when it erased
    /// something; reports from before that instant may contain it.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn end_erasure(&self, erased_at: Option<i64>) -> Result<(), LakeError> {
        let last = self.erasures().await?.last.max(erased_at);
        self.put_record(ERASURES, &Erasures { under_way: false, last }).await
    }

    async fn erasures(&self) -> Result<Erasures, LakeError> {
        Ok(self.read_record(ERASURES).await?.unwrap_or_default())
    }

    /// Reads a record; `None` when there is none.
    async fn read_record<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, LakeError> {
        let found = get_if_exists(self.store().as_ref(), &Path::from(path)).await?;
        found.map(|bytes| serde_json::from_slice(&bytes).map_err(|e| corrupt(path, &e))).transpose()
    }

    async fn put_record<T: Serialize>(&self, path: &str, record: &T) -> Result<(), LakeError> {
        let text = serde_json::to_vec(record).map_err(|e| corrupt(path, &e))?;
        self.store().put(&Path::from(path), text.into()).await?;
        self.sync_file(path).await
    }
}

fn record_path(folder: &str) -> String {
    format!("{FOLDER}/{}.json", &crate::key::sha256_hex(folder.as_bytes())[..16])
}

fn corrupt(path: &str, error: &serde_json::Error) -> LakeError {
    Damage::new(path, error.to_string()).into()
}
