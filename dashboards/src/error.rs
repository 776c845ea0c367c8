//! The errors of writing a report or the documentation pages to a folder.

use std::io;
use std::path::PathBuf;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The new pages are written beside the old ones, so the parent folder must be writable too.
    #[error("cannot make the folder {} for {}: {source}; choose another with --out, where its parent folder may be written", path.display(), out.display())]
    CreateFolder { path: PathBuf, out: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}; check that there is room and that the folder may be written", path.display())]
    WriteFile { path: PathBuf, source: io::Error },
    /// The path holds something that no report wrote. `found` says what.
    #[error("{} can't be replaced: {found}; move it, or choose another folder with --out", path.display())]
    NotAReport { path: PathBuf, found: String },
    #[error("{} has no parent folder to write beside it; choose another with --out", path.display())]
    NoParentFolder { path: PathBuf },
    #[error("cannot put the new pages in the place of {}: {source}; if it is a mount point, choose a folder in it with --out", path.display())]
    ReplaceFolder { path: PathBuf, source: io::Error },
    #[error("the old pages can't be deleted from {}: {source}; delete that folder", path.display())]
    RemoveOldPages { path: PathBuf, source: io::Error },
}
