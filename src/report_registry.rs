//! The registry of the reports that were written from a lake. The lake keeps it, so that an erasure
//! can name the reports that are older.

use std::path::Path;

use anyhow::Context;
use lake::{Lake, RecordedReport};

use crate::output::print_message;
use crate::project::Project;
use crate::resource_usage::host_name;

/// A report that is being written.
pub(crate) struct PendingReport {
    entry: RecordedReport,
    is_registered: bool,
    /// Whether the folder holds a report from before an erasure, of which nothing may be kept.
    pub(crate) is_outdated: bool,
}

/// Registers a report before it is written. A report that is already in the folder keeps its own
/// entry until it is replaced.
pub(crate) async fn begin(project: &Project, out: &Path) -> anyhow::Result<PendingReport> {
    let folder = absolute_folder(out)?;
    let entry = RecordedReport { folder, machine: host_name(), read_at: project.opened_at };
    let known = project.lake.recorded_reports().await?;
    let before = known.iter().find(|(known, _)| known.folder == entry.folder);
    let is_outdated = before.is_some_and(|(_, outdated)| *outdated);
    let is_registered = before.is_some() || register(&project.lake, &entry).await;
    Ok(PendingReport { entry, is_registered, is_outdated })
}

/// Registers a report after it is written.
pub(crate) async fn finish(project: &Project, pending: &PendingReport) {
    if pending.is_registered {
        register(&project.lake, &pending.entry).await;
    }
}

/// Writes the entry and returns whether that worked. A report can also be written from a lake that
/// is read-only.
async fn register(lake: &Lake, report: &RecordedReport) -> bool {
    let Err(error) = lake.record_report(report).await else { return true };
    print_message(&format!(
        "rapport: warning: an erasure will not know of the report in {}, for the lake could not note it: {error}",
        report.folder
    ));
    false
}

/// Returns a folder as the registry names it: absolute, without `.` and a slash at the end.
pub(crate) fn absolute_folder(folder: &Path) -> anyhow::Result<String> {
    let absolute = std::path::absolute(folder);
    let absolute = absolute.with_context(|| format!("the folder {}", folder.display()))?;
    Ok(absolute.components().collect::<std::path::PathBuf>().to_string_lossy().into_owned())
}
