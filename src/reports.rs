//! The reports that were written from a lake: noted in it, so that an erasure can name those that
//! are older than it.

use std::path::Path;

use anyhow::Context;
use lake::{Lake, NotedReport};

use crate::output::message;
use crate::project::Project;

/// What was noted of a folder before a report is written to it.
pub(crate) struct Begun {
    note: NotedReport,
    is_noted: bool,
    /// Whether the report that lies there is older than an erasure: nothing of it may be kept.
    pub(crate) is_outdated: bool,
}

/// Notes that a report is about to be written. One that lies there keeps its own note until it is
/// replaced.
pub(crate) async fn begin(project: &Project, out: &Path) -> anyhow::Result<Begun> {
    let folder = absolute(out)?;
    let note = NotedReport { folder, machine: machine(), read_at: project.opened_at };
    let known = project.lake.noted_reports().await?;
    let before = known.iter().find(|(known, _)| known.folder == note.folder);
    let is_outdated = before.is_some_and(|(_, outdated)| *outdated);
    let is_noted = before.is_some() || keep(&project.lake, &note).await;
    Ok(Begun { note, is_noted, is_outdated })
}

/// Notes that the report is written.
pub(crate) async fn end(project: &Project, begun: &Begun) {
    if begun.is_noted {
        keep(&project.lake, &begun.note).await;
    }
}

/// Writes the note; whether that could be done. Who may only read the lake can still have a report.
async fn keep(lake: &Lake, report: &NotedReport) -> bool {
    let Err(error) = lake.note_report(report).await else { return true };
    message(&format!(
        "rapport: warning: an erasure will not know of the report in {}, for the lake could not note it: {error}",
        report.folder
    ));
    false
}

/// A folder as the notes name it.
pub(crate) fn absolute(folder: &Path) -> anyhow::Result<String> {
    let absolute = std::path::absolute(folder);
    let absolute = absolute.with_context(|| format!("the folder {}", folder.display()))?;
    // Without `.` and a slash at the end.
    Ok(absolute.components().collect::<std::path::PathBuf>().to_string_lossy().into_owned())
}

/// The name of this machine; empty where nobody says.
pub(crate) fn machine() -> String {
    let by_linux = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let by_uname = || {
        let output = std::process::Command::new("uname").arg("-n").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    by_linux().or_else(by_uname).unwrap_or_default().trim().to_owned()
}
