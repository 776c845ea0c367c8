//! The static report: all pages of an input as text, and writing them to a folder.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::folder::About;
use crate::input::{ByPartner, ReportInput};
use crate::{csvw, evidence, folder, funnel, growth, health, overview, partner};
use crate::{paths, revenue, roles};

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
    /// The new pages are written beside the old ones, so the parent folder matters too.
    #[error("cannot make the folder {} for {}: {source}; choose another with --out, where its parent folder may be written", path.display(), out.display())]
    Folder { path: PathBuf, out: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}; check that there is room and that the folder may be written", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} can't be replaced: {found}; move it, or choose another folder with --out", path.display())]
    NotOurs { path: PathBuf, found: String },
    #[error("{} has no parent folder to write beside it; choose another with --out", path.display())]
    Root { path: PathBuf },
    #[error("cannot put the new pages in the place of {}: {source}; if it is a mount point, choose a folder in it with --out", path.display())]
    Place { path: PathBuf, source: io::Error },
    #[error("the old pages can't be deleted from {}: {source}; delete that folder", path.display())]
    Left { path: PathBuf, source: io::Error },
}

/// Every HTML page as `(path in the folder, text)`. Pure: the same input gives the same bytes.
pub fn pages(input: &ReportInput) -> Vec<(String, String)> {
    let by = ByPartner::of(input);
    let mut out = Vec::new();
    let kept: Result<(), Infallible> = each_page(input, &by, |path, html| {
        out.push((path.to_owned(), html.to_owned()));
        Ok(())
    });
    let Ok(()) = kept;
    out
}

/// Hands every page on as soon as it is made: those of many partners are never held together.
fn each_page<E>(
    input: &ReportInput,
    by: &ByPartner,
    mut page: impl FnMut(&str, &str) -> Result<(), E>,
) -> Result<(), E> {
    page("index.html", &overview::overview(input, by))?;
    page("funnel.html", &funnel::funnel(input))?;
    page("growth.html", &growth::growth(input))?;
    page("revenue.html", &revenue::revenue(input, by))?;
    for (path, html) in health::pages(input, by).chain(partner::pages(input, by)) {
        page(&path, &html)?;
    }
    for (path, html) in evidence::pages(input) {
        page(&path, &html)?;
    }
    Ok(())
}

/// The stylesheet of all pages.
pub fn stylesheet() -> String {
    format!("{}{}", roles::stylesheet(), include_str!("style.css"))
}

/// What a folder of ours holds: the word in its marker.
const REPORT: &str = "report";
const DOCS: &str = "docs";

/// Whether a report can be written to a folder, asked before it is made; what a killed process
/// left half done there is settled.
///
/// # Errors
/// When something that is no report is in its place.
pub fn check_report(out: &Path) -> Result<(), ReportError> {
    folder::settle(out, REPORT)
}

/// Writes the report beside what is in its folder, and then takes its place whole.
///
/// # Errors
/// When a folder cannot be made or a file cannot be written, or `out` is no report's; what was
/// there stays.
pub fn write_report(input: &ReportInput, out: &Path) -> Result<ReportSummary, ReportError> {
    let about = About {
        kind: REPORT.to_owned(),
        rapport: input.rapport_version.clone(),
        as_of: Some(csvw::midnight(input.as_of)),
        made_at: input.generated_at.map(csvw::instant),
        run: input.run.clone(),
    };
    let mut pages = 0;
    folder::replace(out, &about, |folder| {
        for inner in ["data", "sql", "partners"] {
            make(&folder.join(inner))?;
        }
        write(&folder.join("style.css"), stylesheet().as_bytes())?;
        for (name, csv) in &input.csv {
            write(&folder.join(paths::csv(name)), csv.as_bytes())?;
            write(&folder.join(paths::csv_metadata(name)), csvw::metadata(input, name).as_bytes())?;
        }
        for (name, rows) in &input.parquet {
            write(&folder.join(paths::parquet(name)), rows)?;
        }
        let by = ByPartner::of(input);
        each_page(input, &by, |path, html| {
            pages += 1;
            write(&folder.join(path), html.as_bytes())
        })
    })?;
    Ok(ReportSummary { index: out.join("index.html"), pages })
}

/// Every page of the documentation of an input's queries, which needs no other.
pub fn docs(input: &ReportInput) -> Vec<(String, String)> {
    evidence::docs(input)
}

/// Writes the documentation of an input's queries alone, as `write_report` does.
///
/// # Errors
/// As `write_report`.
pub fn write_docs(input: &ReportInput, out: &Path) -> Result<ReportSummary, ReportError> {
    let about = About {
        kind: DOCS.to_owned(),
        rapport: input.rapport_version.clone(),
        as_of: None,
        made_at: None,
        run: None,
    };
    let pages = docs(input);
    folder::replace(out, &about, |folder| {
        make(&folder.join("sql"))?;
        write(&folder.join("style.css"), stylesheet().as_bytes())?;
        pages.iter().try_for_each(|(path, html)| write(&folder.join(path), html.as_bytes()))
    })?;
    Ok(ReportSummary { index: out.join("index.html"), pages: pages.len() })
}

fn make(folder: &Path) -> Result<(), ReportError> {
    fs::create_dir(folder).map_err(|source| ReportError::File { path: folder.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    fs::write(path, bytes).map_err(|source| ReportError::File { path: path.to_owned(), source })
}
