//! A folder of pages that takes the place of the one before it whole.
//!
//! The new folder is written beside the old one and exchanged with it in one step, so that a
//! process killed at any instant leaves the old pages or the new ones, never some of each. What a
//! killed one left beside is taken away by the next. Only a folder that says it is ours is ever
//! replaced or deleted, and only while it holds nothing but files of ours.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::report::ReportError;

/// The file by which a folder says that it is ours, and of when.
pub(crate) const MARKER: &str = "report.json";

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// `report`, or `docs` of queries: neither takes the place of the other.
    pub kind: String,
    /// Version of the program that wrote it.
    pub rapport: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// Where a folder is to be: its real place, and its two neighbours.
struct Place {
    target: PathBuf,
    /// The new folder while it is written; after the exchange, the old one until it is gone.
    new: PathBuf,
    /// The old folder where two folders can't be exchanged in one step.
    old: PathBuf,
    /// Held while the neighbours are in use; a second process waits for the first.
    _lock: Option<File>,
}

/// Whether `out` can be replaced by a folder of this kind; brings back what a killed process left
/// aside. Cheap: asked before the work whose result goes there.
///
/// # Errors
/// When something else is there, or its parent folder can't be made.
pub(crate) fn settle(out: &Path, kind: &str) -> Result<(), ReportError> {
    let place = Place::of(out)?;
    place.settle(kind)?;
    // Whether the new folder can be made is better known before it is filled.
    let made = fs::create_dir(&place.new).and_then(|()| fs::remove_dir(&place.new));
    made.map_err(|source| cannot_make(&place.new, out, source))
}

/// Has `fill` write a folder and puts it in the place of `out`.
///
/// # Errors
/// As `settle`, and what `fill` says; the folder before stays then.
pub(crate) fn replace(
    out: &Path,
    about: &About,
    fill: impl FnOnce(&Path) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    let place = Place::of(out)?;
    place.settle(&about.kind)?;
    fs::create_dir(&place.new).map_err(|source| cannot_make(&place.new, out, source))?;
    let filled = mark(&place.new, about).and_then(|()| fill(&place.new));
    let replaced = filled.and_then(|()| place.exchange());
    if replaced.is_err() && !place.old.exists() {
        // The error that matters is the first; what is left is cleared by the next attempt.
        let _ = remove(&place.new);
    }
    replaced
}

impl Place {
    fn of(out: &Path) -> Result<Self, ReportError> {
        let folder = |path: &Path, source| cannot_make(path, out, source);
        // A link stays one: what it points to is replaced.
        let target = match fs::symlink_metadata(out) {
            Ok(_) => fs::canonicalize(out).map_err(|e| folder(out, e))?,
            Err(_) => std::path::absolute(out).map_err(|e| folder(out, e))?,
        };
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(ReportError::Root { path: out.to_owned() });
        };
        fs::create_dir_all(parent).map_err(|e| folder(parent, e))?;
        let beside = |ending: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(ending);
            parent.join(hidden)
        };
        let (new, old) = (beside(".new"), beside(".old"));
        // Where a folder can't be locked, nobody else is expected to write there.
        let lock = File::open(parent).ok().filter(|folder| folder.lock().is_ok());
        Ok(Self { target, new, old, _lock: lock })
    }

    fn settle(&self, kind: &str) -> Result<(), ReportError> {
        if !self.target.exists() && is_marked(&self.old, kind) {
            let failed = |source| ReportError::Place { path: self.target.clone(), source };
            fs::rename(&self.old, &self.target).map_err(failed)?;
        }
        for left in [&self.new, &self.old] {
            let Ok(found) = fs::symlink_metadata(left) else { continue };
            if !found.is_dir() || !(is_marked(left, kind) || is_begun(left)) {
                let found = format!("a {kind} is written there on its way");
                return Err(ReportError::NotOurs { path: left.clone(), found });
            }
            remove(left)?;
        }
        if self.target.exists() && !is_empty(&self.target) {
            let foreign = |found| ReportError::NotOurs { path: self.target.clone(), found };
            if !self.target.is_dir() {
                return Err(foreign("it is a file".to_owned()));
            }
            if !is_marked(&self.target, kind) {
                return Err(foreign(format!("it has no {MARKER} of a {kind}")));
            }
            if let Some(found) = foreign_file(&self.target) {
                return Err(foreign(format!("{} is no file of one", found.display())));
            }
        }
        Ok(())
    }

    fn exchange(&self) -> Result<(), ReportError> {
        let failed = |source| ReportError::Place { path: self.target.clone(), source };
        let Ok(before) = fs::metadata(&self.target) else {
            return fs::rename(&self.new, &self.target).map_err(failed);
        };
        // Who may read the pages stays as somebody set it.
        fs::set_permissions(&self.new, before.permissions()).map_err(failed)?;
        match swap(&self.new, &self.target) {
            Ok(()) => remove(&self.new),
            Err(error) if is_unknown(&error) => {
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

/// Exchanges two folders in one step.
#[cfg(target_os = "linux")]
fn swap(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn swap(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the system or this file system knows no exchange.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

fn mark(folder: &Path, about: &About) -> Result<(), ReportError> {
    let path = folder.join(MARKER);
    let failed = |source| ReportError::File { path: path.clone(), source };
    let mut text = serde_json::to_string_pretty(about).map_err(|e| failed(e.into()))?;
    text.push('\n');
    fs::write(&path, text).map_err(failed)
}

/// What a folder's marker says; `None` where it has none of ours.
pub fn about(folder: &Path) -> Option<About> {
    serde_json::from_slice(&fs::read(folder.join(MARKER)).ok()?).ok()
}

fn is_marked(folder: &Path, kind: &str) -> bool {
    about(folder).is_some_and(|about| about.kind == kind)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether nothing is there yet but perhaps a marker that ends too early: a process was killed
/// before it had written the whole of it.
fn is_begun(folder: &Path) -> bool {
    is_empty(folder) || (only_marker(folder) && is_cut_off(folder))
}

fn only_marker(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.all(|entry| entry.file_name() == MARKER)
}

fn is_cut_off(folder: &Path) -> bool {
    let Ok(text) = fs::read(folder.join(MARKER)) else { return false };
    serde_json::from_slice::<About>(&text).is_err_and(|error| error.is_eof())
}

/// A file in a folder of ours that none of us wrote.
fn foreign_file(folder: &Path) -> Option<PathBuf> {
    const FOLDERS: [(&str, &[&str]); 4] = [
        ("", &["html", "css", "json"]),
        ("data", &["csv", "json", "parquet"]),
        ("sql", &["html"]),
        ("partners", &["html"]),
    ];
    for (inner, endings) in FOLDERS {
        for entry in fs::read_dir(folder.join(inner)).into_iter().flatten().flatten() {
            let name = PathBuf::from(entry.file_name());
            let kind = entry.file_type().ok();
            let ours = match kind {
                Some(kind) if kind.is_file() => {
                    let ending = name.extension().and_then(|e| e.to_str()).unwrap_or_default();
                    endings.contains(&ending)
                }
                Some(kind) if kind.is_dir() && inner.is_empty() => {
                    FOLDERS.iter().any(|(known, _)| !known.is_empty() && Path::new(known) == name)
                }
                _ => false,
            };
            if !ours {
                return Some(Path::new(inner).join(name));
            }
        }
    }
    None
}

/// Deletes a folder of ours, its marker last: killed on the way, it is ours still.
fn remove(folder: &Path) -> Result<(), ReportError> {
    let failed = |source| ReportError::Left { path: folder.to_owned(), source };
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

fn cannot_make(path: &Path, out: &Path, source: io::Error) -> ReportError {
    ReportError::Folder { path: path.to_owned(), out: out.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about_now() -> About {
        About {
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
            replace(&out, &about_now(), page(text)).expect("written");
            assert_eq!(fs::read_to_string(out.join("index.html")).expect("a page"), text);
            assert_eq!(names(&dir.path().join("a")), ["report"]);
        }
        assert_eq!(about(&out), Some(about_now()));
    }

    #[test]
    fn what_is_not_ours_stays() {
        #[track_caller]
        fn check(lay: impl FnOnce(&Path), said: &str) {
            let dir = tempfile::tempdir().expect("a folder");
            let out = dir.path().join("report");
            replace(&out, &about_now(), page("old")).expect("written");
            lay(&out);
            let before = names(&out);
            let error = replace(&out, &about_now(), page("new")).expect_err("refused");
            assert!(error.to_string().contains(said), "{error}");
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
        let error = replace(&file, &about_now(), page("new")).expect_err("refused");
        assert!(error.to_string().contains("it is a file"), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("the file"), "mine");
    }

    #[test]
    fn what_a_killed_process_left_is_cleared() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("report");
        replace(&out, &about_now(), page("old")).expect("written");
        // Killed before the marker, and after each of its bytes.
        let new = dir.path().join(".report.new");
        fs::create_dir(&new).expect("a folder");
        settle(&out, "report").expect("cleared");
        assert_eq!(names(dir.path()), ["report"]);
        let marker = fs::read(out.join(MARKER)).expect("a marker");
        for length in 0..=marker.len() {
            fs::create_dir(&new).expect("a folder");
            fs::write(new.join(MARKER), &marker[..length]).expect("a part of it");
            settle(&out, "report").expect("cleared");
            assert_eq!(names(dir.path()), ["report"]);
        }
        // Killed while writing pages, and while deleting the old ones.
        fs::create_dir(&new).expect("a folder");
        mark(&new, &about_now()).expect("a marker");
        fs::write(new.join("index.html"), "half").expect("a page");
        settle(&out, "report").expect("cleared");
        assert_eq!(names(dir.path()), ["report"]);
        // Killed between the two renames of a system without exchange.
        fs::rename(&out, dir.path().join(".report.old")).expect("aside");
        settle(&out, "report").expect("brought back");
        assert_eq!(fs::read_to_string(out.join("index.html")).expect("a page"), "old");
        // A folder of somebody else's with such a name is left alone.
        fs::create_dir(&new).expect("a folder");
        fs::write(new.join("mine"), "").expect("a file");
        fs::write(new.join(MARKER), "").expect("a file");
        let error = settle(&out, "report").expect_err("refused");
        assert!(error.to_string().contains(".report.new"), "{error}");
        assert!(new.join("mine").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_filled_leaves_the_old_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("report");
        replace(&out, &about_now(), page("old")).expect("written");
        let full = |folder: &Path| {
            Err(ReportError::File {
                path: folder.join("index.html"),
                source: io::ErrorKind::StorageFull.into(),
            })
        };
        replace(&out, &about_now(), full).expect_err("no room");
        assert_eq!(fs::read_to_string(out.join("index.html")).expect("a page"), "old");
        assert_eq!(names(dir.path()), ["report"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().expect("a folder");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        replace(&real, &about_now(), page("old")).expect("written");
        symlink(&real, &link).expect("a link");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o750)).expect("a mode");
        replace(&link, &about_now(), page("new")).expect("written");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(fs::read_to_string(real.join("index.html")).expect("a page"), "new");
        let mode = fs::metadata(&real).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
    }
}
