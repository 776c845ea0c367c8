//! The files of a project's queries on disk.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Result, TransformError};

/// How the names of files of test cases end.
pub(super) const CASES_SUFFIX: &str = ".test.toml";

/// A file of a project's queries that was added, changed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedFile {
    pub file: String,
    /// The name of the query that it belongs to.
    pub query: String,
    pub change: FileChange,
}

impl ChangedFile {
    /// Returns whether the file contains test cases, which affect no other query.
    pub fn is_cases(&self) -> bool {
        self.file.ends_with(CASES_SUFFIX)
    }
}

/// The change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChange {
    New,
    Changed,
    Deleted,
}

impl FileChange {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }
}

/// A file below `queries/` that is not parsed yet.
pub(super) struct SourceFile {
    /// The path below `queries/`, with `/` as separator.
    pub path: String,
    pub text: String,
    /// Whether the file is UTF-8. Otherwise its text contains replacement characters.
    pub is_utf8: bool,
    /// The path of the file; `None` for a built-in query.
    pub on_disk: Option<PathBuf>,
}

impl SourceFile {
    /// Creates a file without the byte-order mark that some editors write.
    pub(super) fn new(path: String, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Self { path, text, is_utf8: true, on_disk: None }
    }
}

/// Returns a folder as messages name it: relative to the current folder, if it lies in that.
pub(super) fn display_path(folder: &Path) -> String {
    let here = std::env::current_dir().ok();
    let inside = here.as_deref().and_then(|here| folder.strip_prefix(here).ok());
    inside.filter(|path| !path.as_os_str().is_empty()).unwrap_or(folder).display().to_string()
}

/// The depth of folders below `queries/` that is searched, so that cyclic links end.
const MAX_DEPTH: usize = 8;

/// Returns the query files and files of cases in a folder, sorted by path, also those in wrong
/// folders.
///
/// # Errors
/// Files that cannot be read.
pub(super) fn list_files(folder: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    list_below(folder, "", MAX_DEPTH, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn list_below(folder: &Path, below: &str, depth: usize, files: &mut Vec<SourceFile>) -> Result<()> {
    let fail = |path: &Path| {
        let path = path.display().to_string();
        move |source| TransformError::Read { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(fail(folder))? {
        let entry = entry.map_err(fail(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Names of temporary files of editors begin with a dot.
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            if depth > 0 {
                list_below(&entry.path(), &format!("{below}{name}/"), depth - 1, files)?;
            }
            continue;
        }
        let lower = name.to_lowercase();
        if !(lower.ends_with(".sql") || lower.ends_with(CASES_SUFFIX)) {
            continue;
        }
        let bytes = match std::fs::read(entry.path()) {
            // The file was renamed or deleted since the folder was read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.map_err(fail(&entry.path()))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut file = SourceFile::new(format!("{below}{name}"), &text);
        file.is_utf8 = matches!(text, Cow::Borrowed(_));
        file.on_disk = Some(entry.path());
        files.push(file);
    }
    Ok(())
}

/// Returns the files that differ between two lists of files, which are given by name and text.
pub(super) fn changed_files(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<ChangedFile> {
    let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let changed = names.into_iter().filter_map(|file| {
        let change = match (then.get(file), now.get(file)) {
            (None, _) => FileChange::New,
            (_, None) => FileChange::Deleted,
            (Some(then), Some(now)) if then != now => FileChange::Changed,
            _ => return None,
        };
        let name = file.rsplit('/').next().unwrap_or(file);
        let query = name.strip_suffix(".sql").or_else(|| name.strip_suffix(CASES_SUFFIX));
        let query = query.unwrap_or(name);
        Some(ChangedFile { file: file.clone(), query: query.to_owned(), change })
    });
    changed.collect()
}
