//! Replaces a folder of pages by a new one atomically.
//!
//! The new folder is written beside the old one and exchanged with it in one step. A process that
//! is killed at any instant leaves either the old pages or the new ones, never some of each. The
//! next process deletes what a killed one left behind. A folder is replaced or deleted only if it
//! holds the marker file of a report and no file that a report does not write.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::ReportError;

/// The file that marks a folder as a report.
const MARKER: &str = "report.json";

/// The content of the marker file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportMarker {
    /// `report`, or `docs` for the documentation of queries. Neither replaces the other.
    pub kind: String,
    /// The version of the program that wrote the folder.
    pub rapport: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// The paths of a folder that is replaced: its own, and the two temporary ones beside it.
struct FolderPaths {
    target: PathBuf,
    /// Holds the new folder while it is written, and after the exchange the old one until it is
    /// deleted.
    new: PathBuf,
    /// Holds the old folder on systems that cannot exchange two folders in one step.
    old: PathBuf,
    /// A lock on the parent folder: a second process waits until the first has finished.
    _lock: Option<File>,
}

/// Checks that `out` can be replaced by a folder of this kind, and cleans up after a killed
/// process. The check is cheap, so that it can run before the work whose result goes there.
///
/// # Errors
/// Fails when `out` holds something else, or when a folder beside it cannot be created.
pub(crate) fn prepare(out: &Path, kind: &str) -> Result<(), ReportError> {
    let paths = FolderPaths::of(out)?;
    paths.prepare(kind)?;
    // Creates the new folder once as a trial: an error should show before the long work starts.
    let created = fs::create_dir(&paths.new).and_then(|()| fs::remove_dir(&paths.new));
    created.map_err(|source| cannot_create(&paths.new, out, source))
}

/// Calls `fill` to write a new folder, and replaces `out` by it.
///
/// # Errors
/// Fails as `prepare` does, or with the error of `fill`. The old folder stays then.
pub(crate) fn replace(
    out: &Path,
    marker: &ReportMarker,
    fill: impl FnOnce(&Path) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    let paths = FolderPaths::of(out)?;
    paths.prepare(&marker.kind)?;
    fs::create_dir(&paths.new).map_err(|source| cannot_create(&paths.new, out, source))?;
    let filled = write_marker(&paths.new, marker).and_then(|()| fill(&paths.new));
    let replaced = filled.and_then(|()| paths.install());
    if replaced.is_err() && !paths.old.exists() {
        // Only the first error matters. The next attempt deletes what remains.
        let _ = remove(&paths.new);
    }
    replaced
}

impl FolderPaths {
    fn of(out: &Path) -> Result<Self, ReportError> {
        let folder = |path: &Path, source| cannot_create(path, out, source);
        // A symbolic link stays: the folder that it points to is replaced.
        let target = match fs::symlink_metadata(out) {
            Ok(_) => fs::canonicalize(out).map_err(|e| folder(out, e))?,
            Err(_) => std::path::absolute(out).map_err(|e| folder(out, e))?,
        };
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(ReportError::NoParentFolder { path: out.to_owned() });
        };
        fs::create_dir_all(parent).map_err(|e| folder(parent, e))?;
        let beside = |ending: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(ending);
            parent.join(hidden)
        };
        let (new, old) = (beside(".new"), beside(".old"));
        // Some file systems have no locks. Two writers at once are not expected there.
        let lock = File::open(parent).ok().filter(|folder| folder.lock().is_ok());
        Ok(Self { target, new, old, _lock: lock })
    }

    fn prepare(&self, kind: &str) -> Result<(), ReportError> {
        if !self.target.exists() && is_marked(&self.old, kind) {
            let failed = |source| ReportError::ReplaceFolder { path: self.target.clone(), source };
            fs::rename(&self.old, &self.target).map_err(failed)?;
        }
        for left in [&self.new, &self.old] {
            let Ok(found) = fs::symlink_metadata(left) else { continue };
            if !found.is_dir() || !(is_marked(left, kind) || is_unfinished(left)) {
                let found = format!("a {kind} is written there on its way");
                return Err(ReportError::NotAReport { path: left.clone(), found });
            }
            remove(left)?;
        }
        if self.target.exists() && !is_empty(&self.target) {
            let not_a_report = |found| ReportError::NotAReport { path: self.target.clone(), found };
            if !self.target.is_dir() {
                return Err(not_a_report("it is a file".to_owned()));
            }
            if !is_marked(&self.target, kind) {
                return Err(not_a_report(format!("it has no {MARKER} of a {kind}")));
            }
            if let Some(found) = unknown_file(&self.target) {
                return Err(not_a_report(format!("{} is no file of one", found.display())));
            }
        }
        Ok(())
    }

    fn install(&self) -> Result<(), ReportError> {
        let failed = |source| ReportError::ReplaceFolder { path: self.target.clone(), source };
        let Ok(before) = fs::metadata(&self.target) else {
            return fs::rename(&self.new, &self.target).map_err(failed);
        };
        // The new folder keeps the permissions of the old one.
        fs::set_permissions(&self.new, before.permissions()).map_err(failed)?;
        match exchange(&self.new, &self.target) {
            Ok(()) => remove(&self.new),
            Err(error) if is_unsupported(&error) => {
                fs::rename(&self.target, &self.old).map_err(failed)?;
                if let Err(error) = fs::rename(&self.new, &self.target) {
                    fs::rename(&self.old, &self.target).map_err(failed)?;
                    return Err(failed(error));
                }
                remove(&self.old)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Exchanges two folders in one step (`renameat2` with `RENAME_EXCHANGE`).
#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns whether the error says that the operating system or file system has no exchange.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

fn write_marker(folder: &Path, marker: &ReportMarker) -> Result<(), ReportError> {
    let path = folder.join(MARKER);
    let failed = |source| ReportError::WriteFile { path: path.clone(), source };
    let mut text = serde_json::to_string_pretty(marker).map_err(|e| failed(e.into()))?;
    text.push('\n');
    fs::write(&path, text).map_err(failed)
}

/// Reads the marker of a folder. `None` means that the folder has no valid one.
pub(crate) fn read_marker(folder: &Path) -> Option<ReportMarker> {
    serde_json::from_slice(&fs::read(folder.join(MARKER)).ok()?).ok()
}

fn is_marked(folder: &Path, kind: &str) -> bool {
    read_marker(folder).is_some_and(|marker| marker.kind == kind)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Returns whether the folder is empty or holds only a marker that ends too early: a process was
/// killed before it had written the whole marker.
fn is_unfinished(folder: &Path) -> bool {
    is_empty(folder) || (only_marker(folder) && is_truncated(folder))
}

fn only_marker(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.all(|entry| entry.file_name() == MARKER)
}

fn is_truncated(folder: &Path) -> bool {
    let Ok(text) = fs::read(folder.join(MARKER)) else { return false };
    serde_json::from_slice::<ReportMarker>(&text).is_err_and(|error| error.is_eof())
}

/// Returns a file in a report's folder that no report writes.
fn unknown_file(folder: &Path) -> Option<PathBuf> {
    const FOLDERS: [(&str, &[&str]); 4] = [
        ("", &["html", "css", "js", "json"]),
        ("data", &["csv", "json", "parquet"]),
        ("sql", &["html"]),
        ("partners", &["html"]),
    ];
    for (inner, endings) in FOLDERS {
        for entry in fs::read_dir(folder.join(inner)).into_iter().flatten().flatten() {
            let name = PathBuf::from(entry.file_name());
            let kind = entry.file_type().ok();
            let is_known = match kind {
                Some(kind) if kind.is_file() => {
                    let ending = name.extension().and_then(|e| e.to_str()).unwrap_or_default();
                    endings.contains(&ending)
                }
                Some(kind) if kind.is_dir() && inner.is_empty() => {
                    FOLDERS.iter().any(|(known, _)| !known.is_empty() && Path::new(known) == name)
                }
                _ => false,
            };
            if !is_known {
                return Some(Path::new(inner).join(name));
            }
        }
    }
    None
}

/// Deletes a report's folder, its marker last: when the process is killed on the way, the rest
/// still has the marker and can be deleted by the next process.
fn remove(folder: &Path) -> Result<(), ReportError> {
    let failed = |source| ReportError::RemoveOldPages { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() == MARKER {
            continue;
        }
        let is_dir = entry.file_type().map_err(failed)?.is_dir();
        let removed =
            if is_dir { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        removed.map_err(failed)?;
    }
    match fs::remove_file(folder.join(MARKER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    fs::remove_dir(folder).map_err(failed)
}

fn cannot_create(path: &Path, out: &Path, source: io::Error) -> ReportError {
    ReportError::CreateFolder { path: path.to_owned(), out: out.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_marker() -> ReportMarker {
        ReportMarker {
            kind: "report".to_owned(),
            rapport: "0.1.0".to_owned(),
            as_of: None,
            made_at: None,
            run: None,
        }
    }

    fn page(text: &'static str) -> impl FnOnce(&Path) -> Result<(), ReportError> {
        move |folder| {
            fs::create_dir(folder.join("partners")).expect("a folder");
            fs::write(folder.join("partners/p.html"), text).expect("a page");
            fs::write(folder.join("index.html"), text).expect("a page");
            Ok(())
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_folder_takes_the_place_of_the_old() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("a/report");
        for text in ["old", "new"] {
            replace(&out, &sample_marker(), page(text)).expect("written");
            assert_eq!(fs::read_to_string(out.join("index.html")).expect("a page"), text);
            assert_eq!(names(&dir.path().join("a")), ["report"]);
        }
        assert_eq!(read_marker(&out), Some(sample_marker()));
    }

    #[test]
    fn a_folder_that_is_no_report_stays() {
        #[track_caller]
        fn check(change: impl FnOnce(&Path), expected: &str) {
            let dir = tempfile::tempdir().expect("a folder");
            let out = dir.path().join("report");
            replace(&out, &sample_marker(), page("old")).expect("written");
            change(&out);
            let before = names(&out);
            let error = replace(&out, &sample_marker(), page("new")).expect_err("refused");
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(names(&out), before);
            assert_eq!(fs::read_to_string(out.join("index.html")).expect("a page"), "old");
            assert_eq!(names(dir.path()), ["report"]);
        }
        check(|out| fs::write(out.join("notes.txt"), "").expect("a file"), "notes.txt is no file");
        check(|out| fs::write(out.join("partners/n.md"), "").expect("a file"), "partners/n.md is");
        check(|out| fs::create_dir(out.join("photos")).expect("a folder"), "photos is no file");
        check(|out| fs::remove_file(out.join(MARKER)).expect("gone"), "it has no report.json");
        let docs = r#"{"kind":"docs","rapport":"0.1.0"}"#;
        check(
            |out| fs::write(out.join(MARKER), docs).expect("a file"),
            "no report.json of a report",
        );
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("report");
        fs::write(&file, "mine").expect("a file");
        let error = replace(&file, &sample_marker(), page("new")).expect_err("refused");
        assert!(error.to_string().contains("it is a file"), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("the file"), "mine");
    }

    #[test]
    fn leftovers_of_a_killed_process_are_deleted() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("report");
        replace(&out, &sample_marker(), page("old")).expect("written");
        // The process was killed before it wrote the marker, or after each byte of it.
        let new = dir.path().join(".report.new");
        fs::create_dir(&new).expect("a folder");
        prepare(&out, "report").expect("cleared");
        assert_eq!(names(dir.path()), ["report"]);
        let bytes = fs::read(out.join(MARKER)).expect("a marker");
        for length in 0..=bytes.len() {
            fs::create_dir(&new).expect("a folder");
            fs::write(new.join(MARKER), &bytes[..length]).expect("a part of it");
            prepare(&out, "report").expect("cleared");
            assert_eq!(names(dir.path()), ["report"]);
        }
        // The process was killed while it wrote pages, or while it deleted the old ones.
        fs::create_dir(&new).expect("a folder");
        write_marker(&new, &sample_marker()).expect("a marker");
        fs::write(new.join("index.html"), "half").expect("a page");
        prepare(&out, "report").expect("cleared");
        assert_eq!(names(dir.path()), ["report"]);
        // The process was killed between the two renames of a system without exchange.
        fs::rename(&out, dir.path().join(".report.old")).expect("aside");
        prepare(&out, "report").expect("brought back");
        assert_eq!(fs::read_to_string(out.join("index.html")).expect("a page"), "old");
        // A folder with such a name that no report wrote stays.
        fs::create_dir(&new).expect("a folder");
        fs::write(new.join("mine"), "").expect("a file");
        fs::write(new.join(MARKER), "").expect("a file");
        let error = prepare(&out, "report").expect_err("refused");
        assert!(error.to_string().contains(".report.new"), "{error}");
        assert!(new.join("mine").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_filled_leaves_the_old_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("report");
        replace(&out, &sample_marker(), page("old")).expect("written");
        let full = |folder: &Path| {
            Err(ReportError::WriteFile {
                path: folder.join("index.html"),
                source: io::ErrorKind::StorageFull.into(),
            })
        };
        replace(&out, &sample_marker(), full).expect_err("no room");
        assert_eq!(fs::read_to_string(out.join("index.html")).expect("a page"), "old");
        assert_eq!(names(dir.path()), ["report"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().expect("a folder");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        replace(&real, &sample_marker(), page("old")).expect("written");
        symlink(&real, &link).expect("a link");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o750)).expect("a mode");
        replace(&link, &sample_marker(), page("new")).expect("written");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(fs::read_to_string(real.join("index.html")).expect("a page"), "new");
        let mode = fs::metadata(&real).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
    }
}
