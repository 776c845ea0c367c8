//! The static report: all pages of an input as text, and writing them to a folder.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::input::{ByPartner, ReportInput};
use crate::{evidence, funnel, growth, health, overview, partner, paths, revenue, roles};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSummary {
    /// The page to open.
    pub index: PathBuf,
    /// HTML pages, without style and data files.
    pub pages: usize,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot make the folder {}: {source}; choose another with --out", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}; check that there is room and that the folder may be written", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

/// Every HTML page as `(path in the folder, text)`. Pure: the same input gives the same bytes.
pub fn pages(input: &ReportInput) -> Vec<(String, String)> {
    let by = ByPartner::of(input);
    let mut out = vec![
        ("index.html".to_owned(), overview::overview(input, &by)),
        ("funnel.html".to_owned(), funnel::funnel(input)),
        ("growth.html".to_owned(), growth::growth(input)),
        ("revenue.html".to_owned(), revenue::revenue(input, &by)),
    ];
    out.extend(health::pages(input, &by));
    out.extend(partner::pages(input, &by));
    out.extend(evidence::pages(input));
    out
}

/// The stylesheet of all pages.
pub fn stylesheet() -> String {
    format!("{}{}", roles::stylesheet(), include_str!("style.css"))
}

/// Writes the report to a folder, which is made if it is missing. Each file appears whole or not
/// at all; files of an earlier report are replaced, others are left alone.
///
/// # Errors
/// When a folder cannot be made or a file cannot be written.
pub fn write_report(input: &ReportInput, out: &Path) -> Result<ReportSummary, ReportError> {
    for folder in ["", "data", "sql", "partners"] {
        let path = out.join(folder);
        fs::create_dir_all(&path).map_err(|source| ReportError::Folder { path, source })?;
    }
    write(&out.join("style.css"), stylesheet().as_bytes())?;
    for (name, csv) in &input.csv {
        write(&out.join(paths::csv(name)), csv.as_bytes())?;
    }
    for (name, rows) in &input.parquet {
        write(&out.join(paths::parquet(name)), rows)?;
    }
    write_pages(&pages(input), out)
}

/// Every page of the documentation of an input's queries, which needs no other.
pub fn docs(input: &ReportInput) -> Vec<(String, String)> {
    evidence::docs(input)
}

/// Writes the documentation of an input's queries alone, as `write_report` does.
///
/// # Errors
/// When a folder cannot be made or a file cannot be written.
pub fn write_docs(input: &ReportInput, out: &Path) -> Result<ReportSummary, ReportError> {
    for folder in ["", "sql"] {
        let path = out.join(folder);
        fs::create_dir_all(&path).map_err(|source| ReportError::Folder { path, source })?;
    }
    write(&out.join("style.css"), stylesheet().as_bytes())?;
    write_pages(&docs(input), out)
}

/// The entry page comes last: while it is old, it leads to pages that are there.
fn write_pages(pages: &[(String, String)], out: &Path) -> Result<ReportSummary, ReportError> {
    for (path, html) in pages.iter().rev() {
        write(&out.join(path), html.as_bytes())?;
    }
    Ok(ReportSummary { index: out.join("index.html"), pages: pages.len() })
}

/// Writes beside the file, then renames onto it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let failed = |source| ReportError::File { path: path.to_owned(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let written = fs::File::create(&beside).and_then(|mut file| file.write_all(bytes));
    written.and_then(|()| fs::rename(&beside, path)).map_err(|source| {
        // What is left of the attempt is of no use; the error that matters is the first.
        let _ = fs::remove_file(&beside);
        failed(source)
    })
}
