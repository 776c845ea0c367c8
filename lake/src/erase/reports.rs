//! The folders that reports were written to: an erasure does not reach them, and tells which of
//! them are older than it.
//!
//! A small file for each folder, below `reports/` in the lake's root: whoever writes a report and
//! whoever erases may be two machines that share nothing else. A folder of one name on two machines
//! counts as one, the last one written to.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::damage::Damage;
use crate::error::LakeError;
use crate::lake::Lake;

/// Where the notes lie, below the root.
pub(super) const FOLDER: &str = "reports";

/// What is known of erasures.
const ERASURES: &str = "reports/erasures.json";

/// A folder that a report was written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedReport {
    /// From the root of its machine.
    pub folder: String,
    /// The name of that machine.
    pub machine: String,
    /// Before its tables were read, µs.
    pub read_at: i64,
}

/// When partners were erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Erasures {
    /// One has begun and not ended; it may have taken something away.
    under_way: bool,
    /// When the last one that took something away had ended, µs.
    last: Option<i64>,
}

impl Lake {
    /// Notes that a folder holds a report; what was noted of it before is no longer so.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn note_report(&self, report: &NotedReport) -> Result<(), LakeError> {
        self.put_note(&note_of(&report.folder), report).await
    }

    /// The noted reports, by folder, each with whether partners were erased since.
    ///
    /// # Errors
    /// When a note can't be read.
    pub async fn noted_reports(&self) -> Result<Vec<(NotedReport, bool)>, LakeError> {
        let last = self.erasures().await?.last;
        let all: Vec<_> = self.store().list(Some(&Path::from(FOLDER))).try_collect().await?;
        let mut reports = Vec::new();
        for path in all.iter().map(|n| n.location.as_ref()).filter(|path| *path != ERASURES) {
            let Some(report) = self.note::<NotedReport>(path).await? else { continue };
            let outdated = last.is_some_and(|last| report.read_at <= last);
            reports.push((report, outdated));
        }
        reports.sort_by(|(a, _), (b, _)| a.folder.cmp(&b.folder));
        Ok(reports)
    }

    /// Forgets a report that no longer exists.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn forget_report(&self, folder: &str) -> Result<(), LakeError> {
        self.delete(&note_of(folder)).await
    }

    /// Notes that an erasure begins; whether one before it did not end.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn begin_erasure(&self) -> Result<bool, LakeError> {
        let known = self.erasures().await?;
        self.put_note(ERASURES, &Erasures { under_way: true, ..known }).await?;
        Ok(known.under_way)
    }

    /// Notes that an erasure has ended; `took_away` is when, µs, where reports from before may hold
    /// what it took away.
    ///
    /// # Errors
    /// When the lake can't be written.
    pub async fn end_erasure(&self, took_away: Option<i64>) -> Result<(), LakeError> {
        let last = self.erasures().await?.last.max(took_away);
        self.put_note(ERASURES, &Erasures { under_way: false, last }).await
    }

    async fn erasures(&self) -> Result<Erasures, LakeError> {
        Ok(self.note(ERASURES).await?.unwrap_or_default())
    }

    /// What a note says; `None` where there is none.
    async fn note<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, LakeError> {
        let bytes = match self.bytes(path).await {
            Err(LakeError::Storage(object_store::Error::NotFound { .. })) => return Ok(None),
            other => other?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| corrupt(path, &e))
    }

    async fn put_note<T: Serialize>(&self, path: &str, note: &T) -> Result<(), LakeError> {
        let text = serde_json::to_vec(note).map_err(|e| corrupt(path, &e))?;
        self.store().put(&Path::from(path), text.into()).await?;
        self.sync_file(path).await
    }
}

fn note_of(folder: &str) -> String {
    format!("{FOLDER}/{}.json", &crate::key::digest(folder.as_bytes())[..16])
}

fn corrupt(path: &str, error: &serde_json::Error) -> LakeError {
    Damage::new(path, error.to_string()).into()
}
