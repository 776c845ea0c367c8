//! The static report: renders all pages of an input, and writes them to a folder.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::iter::{ParallelBridge, ParallelIterator};

use crate::atomic_folder::{self, ReportMarker};
use crate::error::ReportError;
use crate::health_history::DayHealth;
use crate::health_rows::HealthRow;
use crate::input::ReportInput;
use crate::live_page::LivePage;
use crate::pages::{DOCS_SITE, REPORT_SITE, USAGE_SITE, partner_list, usage};
use crate::partner_index::{PartnerIndex, PartnerRows};
use crate::partner_list_query::PartnerListQuery;
use crate::site::{self, LazyPage, PageContext, Site};
use crate::{csvw, json_rows, paths, theme, timestamps};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSummary {
    /// The page to open first.
    pub index: PathBuf,
    /// The number of HTML pages, without the style sheet and the data files.
    pub pages: usize,
}

/// A report in memory, whose pages are rendered one by one.
#[derive(Debug)]
pub struct Report {
    input: ReportInput,
    index: PartnerIndex,
}

impl Report {
    /// Indexes the rows of a report.
    pub fn new(input: ReportInput) -> Self {
        let index = PartnerIndex::new(&input);
        Self { input, index }
    }

    /// Returns what the report is made of.
    pub fn input(&self) -> &ReportInput {
        &self.input
    }

    /// Renders the page at a path, such as `funnel.html` or `partners/w-0315.html`, as it is served.
    /// Returns `None` if the report has no such page.
    pub fn page(&self, path: &str, live: &LivePage) -> Option<String> {
        REPORT_SITE.page_at(self.partner_rows(), path, Some(live))
    }

    /// Renders the page that a partner itself sees.
    pub fn usage_page(&self, id: &str, live: &LivePage) -> Option<String> {
        let row = self.partner_rows().health(id)?;
        Some(usage::page(&self.usage_context(live), row))
    }

    /// Returns the calls of a partner by day as CSV.
    pub fn usage_csv(&self, id: &str) -> Option<String> {
        self.partner_rows().health(id)?;
        Some(usage::csv(&self.usage_context(&LivePage::default()), id))
    }

    fn usage_context<'a>(&'a self, live: &'a LivePage) -> PageContext<'a> {
        let page = &USAGE_SITE.pages[0];
        let partners = self.partner_rows();
        PageContext { input: &self.input, partners, site: &USAGE_SITE, page, live: Some(live) }
    }

    /// Returns the path of the page of a partner, if the partner has one.
    pub fn partner_page(&self, id: &str) -> Option<String> {
        self.partner_rows().health(id).map(|row| paths::partner(&row.partner_id))
    }

    /// Returns the newest score of a partner, and its tiers and scores of all days, oldest first.
    pub fn partner(&self, id: &str) -> Option<(&HealthRow, &[DayHealth])> {
        let rows = self.partner_rows();
        Some((rows.health(id)?, rows.history(id)))
    }

    /// Returns the partners that a list shows, in its order, of all of its pages.
    pub fn partners(&self, query: &PartnerListQuery) -> Vec<&HealthRow> {
        partner_list::found(&self.input, query)
    }

    /// Returns the metadata of a CSV, if there is one of this name.
    pub fn csv_metadata(&self, name: &str) -> Option<String> {
        self.input.csv.contains_key(name).then(|| csvw::metadata(&self.input, name))
    }

    /// Returns the rows of a CSV as JSON objects: numbers and booleans by the type of their column,
    /// all else as text, and an empty field as null.
    pub fn rows(&self, name: &str) -> Option<Vec<serde_json::Map<String, serde_json::Value>>> {
        let doc = self.input.queries.get(name).or_else(|| self.input.tables.get(name));
        Some(json_rows::of_csv(self.input.csv.get(name)?, doc))
    }

    fn partner_rows(&self) -> PartnerRows<'_> {
        PartnerRows { input: &self.input, index: &self.index }
    }
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
    let index = PartnerIndex::new(input);
    let contexts = site.contexts(PartnerRows { input, index: &index });
    site::lazy_pages(&contexts).map(|page| (page.path, (page.render)())).collect()
}

/// Returns the style sheet of all pages.
pub fn stylesheet() -> String {
    format!("{}{}", theme::stylesheet(), include_str!("style.css"))
}

/// Returns the script of all pages. They work without it.
pub fn script() -> &'static str {
    concat!(
        include_str!("components/freshness.js"),
        include_str!("components/partner_table.js"),
        include_str!("components/keys.js")
    )
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
        write_file(&folder.join("script.js"), script().as_bytes())?;
        let index = PartnerIndex::new(input);
        let contexts = site.contexts(PartnerRows { input, index: &index });
        let write = |page: LazyPage| {
            let html = (page.render)();
            write_file(&folder.join(&page.path), html.as_bytes()).map(|()| 1)
        };
        // A page is rendered by the thread that writes it, so that few of them are in memory.
        let written = site::lazy_pages(&contexts).par_bridge().map(write);
        pages = written.try_reduce(|| 0, |a, b| Ok(a + b))?;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_cannot_be_written_is_named_and_leaves_no_report() {
        let doc = || ("kept".to_owned(), crate::QueryDoc::default());
        let input = ReportInput { queries: [doc()].into(), ..ReportInput::default() };
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("docs");
        let marker = ReportMarker {
            kind: DOCS_KIND.to_owned(),
            rapport: "0.1.0".to_owned(),
            as_of: None,
            made_at: None,
            run: None,
        };
        // The folder of the pages of queries is missing.
        let error = write_site(&DOCS_SITE, &input, &out, &marker, |_| Ok(())).expect_err("refused");
        assert!(error.to_string().contains("sql/kept.html"), "{error}");
        assert!(!out.exists());
    }
}
