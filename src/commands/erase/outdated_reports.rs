//! What an erasure does not reach because it is outside the lake. Reports from before the erasure
//! are named one by one; the rest is listed as not scanned.

use std::path::{Path, PathBuf};

use lake::Lake;

use crate::errors::usage_error;
use crate::report_registry::absolute_folder;
use crate::resource_usage::host_name;

/// The sentence on what no erasure scans.
pub(super) const NOT_SCANNED: &str = "Not looked at, for it lies outside the lake: topics, what `metrics run --out`, `sql` and `actions plan --out` wrote, copies of reports and those of older programs, backups, a shell's history. Events that still arrive are taken in again.";

/// Checks the folders of `--report-gone`.
///
/// # Errors
/// A folder without a registered report, or whose report still exists.
pub(super) async fn check_gone(lake: &Lake, folders: &[PathBuf]) -> anyhow::Result<()> {
    let registered = lake.recorded_reports().await?;
    for folder in folders {
        let name = absolute_folder(folder)?;
        if !registered.iter().any(|(report, _)| report.folder == name) {
            let folders_known: Vec<&str> =
                registered.iter().map(|(r, _)| r.folder.as_str()).collect();
            let folders_known =
                if folders_known.is_empty() { "none".to_owned() } else { folders_known.join(", ") };
            return Err(usage_error(format!(
                "--report-gone {name}: no report was written there; the lake knows of: {folders_known}"
            )));
        }
        if has_report(&name) {
            return Err(usage_error(format!(
                "--report-gone {name}: it is still there; delete it, or renew it with `{}`",
                renewal_command(&name)
            )));
        }
    }
    Ok(())
}

/// Takes the folders of `--report-gone` out of the registry.
pub(super) async fn forget_gone(lake: &Lake, folders: &[PathBuf]) -> anyhow::Result<()> {
    for folder in folders {
        lake.delete_report_record(&absolute_folder(folder)?).await?;
    }
    Ok(())
}

/// Returns a sentence for each report from before an erasure, with its folder and what to do. A
/// report of this machine that no longer exists is taken out of the registry.
pub(super) async fn outdated_reports(lake: &Lake) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for (report, _) in lake.recorded_reports().await?.into_iter().filter(|(_, outdated)| *outdated)
    {
        let folder = &report.folder;
        if has_report(folder) {
            lines.push(format!(
                "{folder}: a report from before the erasure, renew it with `{}` or delete it",
                renewal_command(folder)
            ));
        } else if report.machine == host_name() {
            lake.delete_report_record(folder).await?;
        } else {
            lines.push(format!(
                "{folder}: a report from before the erasure, written on {}: renew it there with `{}`, or, where it is gone, say so here with --report-gone {}",
                if report.machine.is_empty() { "another machine" } else { &report.machine },
                renewal_command(folder),
                shell_quoted(folder)
            ));
        }
    }
    Ok(lines)
}

/// Returns the command that writes a report again.
fn renewal_command(folder: &str) -> String {
    format!("rapport report --out {}", shell_quoted(folder))
}

/// Quotes a folder where a shell needs it.
fn shell_quoted(folder: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if folder.chars().all(is_plain) {
        return folder.to_owned();
    }
    format!("'{}'", folder.replace('\'', r"'\''"))
}

fn has_report(folder: &str) -> bool {
    Path::new(folder).join("index.html").exists()
}
