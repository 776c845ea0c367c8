//! The static report: renders all pages of an input, and writes them to a folder.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic_folder::{self, ReportMarker};
use crate::error::ReportError;
use crate::input::ReportInput;
use crate::pages::{DOCS_SITE, REPORT_SITE};
use crate::site::Site;
use crate::{csvw, paths, theme, timestamps};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSummary {
    /// The page to open first.
    pub index: PathBuf,
    /// The number of HTML pages, without the style sheet and the data files.
    pub pages: usize,
}

/// Returns every HTML page of the report as `(path in the folder, HTML)`. The function is pure: the
/// same input gives the same bytes.
pub fn pages(input: &ReportInput) -> Vec<(String, String)> {
    rendered(&REPORT_SITE, input)
}

/// Returns every HTML page of the documentation of the input's queries as `pages` does.
pub fn docs(input: &ReportInput) -> Vec<(String, String)> {
    rendered(&DOCS_SITE, input)
}

fn rendered(site: &'static Site, input: &ReportInput) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let collected: Result<(), Infallible> = site.each_page(input, |path, html| {
        pages.push((path.to_owned(), html.to_owned()));
        Ok(())
    });
    let Ok(()) = collected;
    pages
}

/// Returns the style sheet of all pages.
pub fn stylesheet() -> String {
    format!("{}{}", theme::stylesheet(), include_str!("style.css"))
}

/// The kinds of folders, as their markers name them.
const REPORT_KIND: &str = "report";
const DOCS_KIND: &str = "docs";

/// Checks that a report can be written to a folder, before the report is made. Cleans up what a
/// killed process left there.
///
/// # Errors
/// Fails when the folder holds something that is no report, or when it cannot be created.
pub fn check_report(out: &Path) -> Result<(), ReportError> {
    atomic_folder::prepare(out, REPORT_KIND)
}

/// Writes the report to a folder. It replaces an older report there in one step.
///
/// # Errors
/// Fails when a folder or file cannot be written, or when `out` holds something that is no report.
/// What was there stays then.
pub fn write_report(input: &ReportInput, out: &Path) -> Result<ReportSummary, ReportError> {
    let marker = ReportMarker {
        kind: REPORT_KIND.to_owned(),
        rapport: input.rapport_version.clone(),
        as_of: Some(timestamps::midnight(input.as_of)),
        made_at: input.generated_at.map(timestamps::rfc_3339),
        run: input.run.clone(),
    };
    write_site(&REPORT_SITE, input, out, &marker, |folder| {
        for subfolder in ["data", "sql", "partners"] {
            create_folder(&folder.join(subfolder))?;
        }
        for (name, csv) in &input.csv {
            write_file(&folder.join(paths::csv(name)), csv.as_bytes())?;
            let metadata = csvw::metadata(input, name);
            write_file(&folder.join(paths::csv_metadata(name)), metadata.as_bytes())?;
        }
        for (name, rows) in &input.parquet {
            write_file(&folder.join(paths::parquet(name)), rows)?;
        }
        Ok(())
    })
}

/// Writes the documentation of the input's queries to a folder, as `write_report` does.
///
/// # Errors
/// Fails as `write_report` does.
pub fn write_docs(input: &ReportInput, out: &Path) -> Result<ReportSummary, ReportError> {
    let marker = ReportMarker {
        kind: DOCS_KIND.to_owned(),
        rapport: input.rapport_version.clone(),
        as_of: None,
        made_at: None,
        run: None,
    };
    write_site(&DOCS_SITE, input, out, &marker, |folder| create_folder(&folder.join("sql")))
}

/// Writes the style sheet and the pages of a site beside the data files, which `write_data` writes.
fn write_site(
    site: &'static Site,
    input: &ReportInput,
    out: &Path,
    marker: &ReportMarker,
    write_data: impl FnOnce(&Path) -> Result<(), ReportError>,
) -> Result<ReportSummary, ReportError> {
    let mut pages = 0;
    atomic_folder::replace(out, marker, |folder| {
        write_data(folder)?;
        write_file(&folder.join("style.css"), stylesheet().as_bytes())?;
        site.each_page(input, |path, html| {
            pages += 1;
            write_file(&folder.join(path), html.as_bytes())
        })
    })?;
    Ok(ReportSummary { index: out.join("index.html"), pages })
}

fn create_folder(path: &Path) -> Result<(), ReportError> {
    fs::create_dir(path).map_err(|source| ReportError::WriteFile { path: path.to_owned(), source })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    fs::write(path, bytes)
        .map_err(|source| ReportError::WriteFile { path: path.to_owned(), source })
}
