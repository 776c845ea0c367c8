//! Listings of the files below a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Returns the path of every file below a folder.
pub(crate) fn all_files(folder: &Path) -> Vec<PathBuf> {
    relative_files(folder).into_iter().map(|path| folder.join(path)).collect()
}

/// Returns every file below a folder, as its path from there.
pub(crate) fn relative_files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&inner)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = inner.join(entry.file_name());
            if entry.file_type().expect("its type").is_dir() {
                folders.push(path);
            } else {
                files.insert(path);
            }
        }
    }
    files
}
