//! The lock of a report's folder: two runs that write one report would do all work twice.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A lock that is held until it is dropped. Its file stays, so that nobody locks a file that another
/// process has just removed; the system releases the lock of a dead process.
pub(super) struct ReportLock {
    _file: File,
}

impl ReportLock {
    /// Takes the lock of the report in `out`, whose parent folder exists.
    ///
    /// # Errors
    /// Another run holds it, or the file beside the report can't be written.
    pub(super) fn take(out: &Path) -> anyhow::Result<Self> {
        let path = lock_path(out)?;
        let locked = || format!("the lock {} of the report", path.display());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(locked)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                anyhow::bail!(
                    "another `rapport run` (process {}) writes the report {}: wait for it, or end it \
                     and run this again; another --out has a lock of its own",
                    holder.trim(),
                    out.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(locked),
        }
        fs::write(&path, format!("{}\n", std::process::id())).with_context(locked)?;
        Ok(Self { _file: file })
    }
}

/// Returns `.NAME.lock` beside the folder.
fn lock_path(out: &Path) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(out).context("the folder of the report")?;
    let name = folder.file_name().context("the folder of the report has no name")?;
    Ok(folder.with_file_name(format!(".{}.lock", name.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_at_a_time_writes_a_report() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("report");
        let first = ReportLock::take(&out).expect("free");
        let refused = ReportLock::take(&out).err().expect("held").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        ReportLock::take(&folder.path().join("other")).expect("another report");
        drop(first);
        ReportLock::take(&out.join("")).expect("free again");
    }
}
