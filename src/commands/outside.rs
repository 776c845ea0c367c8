//! What an erasure does not reach because it lies outside the lake: reports are named, of the rest
//! it is said that nobody looked.

use std::path::{Path, PathBuf};

use lake::Lake;

use crate::failure::usage;
use crate::reports::{absolute, machine};

pub(crate) const NOT_LOOKED_AT: &str = "Not looked at, for it lies outside the lake: topics, what `metrics run --out`, `sql` and `actions plan --out` wrote, copies of reports and those of older programs, backups, a shell's history. Events that still arrive are taken in again.";

/// Refuses folders of which no report was noted, or whose report is still there.
pub(crate) async fn check_gone(lake: &Lake, folders: &[PathBuf]) -> anyhow::Result<()> {
    let known = lake.noted_reports().await?;
    for folder in folders {
        let name = absolute(folder)?;
        if !known.iter().any(|(report, _)| report.folder == name) {
            let noted: Vec<&str> = known.iter().map(|(r, _)| r.folder.as_str()).collect();
            let noted = if noted.is_empty() { "none".to_owned() } else { noted.join(", ") };
            return Err(usage(format!(
                "--report-gone {name}: no report was written there; the lake knows of: {noted}"
            )));
        }
        if is_there(&name) {
            return Err(usage(format!(
                "--report-gone {name}: it is still there; delete it, or renew it with `{}`",
                renewal(&name)
            )));
        }
    }
    Ok(())
}

pub(crate) async fn forget_gone(lake: &Lake, folders: &[PathBuf]) -> anyhow::Result<()> {
    for folder in folders {
        lake.forget_report(&absolute(folder)?).await?;
    }
    Ok(())
}

/// A line for each report that is older than an erasure, and what to do about it. One that was
/// written on this machine and is there no longer is forgotten.
pub(crate) async fn outdated_reports(lake: &Lake) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for (report, _) in lake.noted_reports().await?.into_iter().filter(|(_, outdated)| *outdated) {
        let folder = &report.folder;
        if is_there(folder) {
            lines.push(format!(
                "{folder}: a report from before the erasure, renew it with `{}` or delete it",
                renewal(folder)
            ));
        } else if report.machine == machine() {
            lake.forget_report(folder).await?;
        } else {
            lines.push(format!(
                "{folder}: a report from before the erasure, written on {}: renew it there with `{}`, or, where it is gone, say so here with --report-gone {}",
                if report.machine.is_empty() { "another machine" } else { &report.machine },
                renewal(folder),
                quoted(folder)
            ));
        }
    }
    Ok(lines)
}

/// The command that writes a report anew.
fn renewal(folder: &str) -> String {
    format!("rapport report --out {}", quoted(folder))
}

/// As a shell takes it for one word.
fn quoted(folder: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if folder.chars().all(is_plain) {
        return folder.to_owned();
    }
    format!("'{}'", folder.replace('\'', r"'\''"))
}

fn is_there(folder: &str) -> bool {
    Path::new(folder).join("index.html").exists()
}
