//! The catalog of queries: the built-in ones, and those that a project's `queries/` adds or
//! replaces.
//!
//! - `query`: one query, and the kinds of queries
//! - `header`: the header of a query file
//! - `statement`, `show_statement`: the SQL of a query, SHOW and DESCRIBE
//! - `sql_visitor`: walks over the syntax trees of SQL
//! - `test_cases`, `test_case_positions`, `lazy_cases`: test cases
//! - `files`, `parse`: query files on disk, and their parsing into a catalog
//! - `built_in_tables`: the tables that exist without a query file
//! - `graph`: the dependencies between queries
//! - `diagnostics`: the problems of query files, with position and fix

pub(crate) mod built_in_tables;
pub(crate) mod diagnostics;
mod files;
pub(crate) mod graph;
pub(crate) mod header;
pub(crate) mod lazy_cases;
mod parse;
pub(crate) mod query;
pub(crate) mod show_statement;
pub(crate) mod sql_visitor;
pub(crate) mod statement;
mod test_case_positions;
pub(crate) mod test_cases;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use domain::closest_name;
use include_dir::{Dir, include_dir};

use crate::catalog::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::catalog::files::{CASES_SUFFIX, SourceFile, changed_files, display_path, list_files};
use crate::catalog::header::Column;
use crate::catalog::lazy_cases::LazyCases;
use crate::catalog::parse::{MISPLACED, ParsedFiles, kind_and_name, parse_files};
use crate::error::{Result, TransformError};

pub use files::{ChangedFile, FileChange};
pub use parse::invalid_name_reason;
pub use query::{Query, QueryKind};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../queries");

/// The queries by name, and the diagnostics of files that cannot be parsed.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    queries: BTreeMap<String, Query>,
    /// In the order of the files.
    diagnostics: Vec<Diagnostic>,
    /// The first diagnostic of each query whose file cannot be parsed. A built-in query of that
    /// name is not used instead.
    unreadable: BTreeMap<String, Diagnostic>,
    /// The texts of the project's files, by their names in messages.
    files: BTreeMap<String, String>,
}

impl Catalog {
    /// Returns the queries that are compiled into the program.
    ///
    /// # Errors
    /// A built-in file that cannot be parsed, which the tests rule out.
    pub fn built_in() -> Result<Self> {
        let (mut files, mut cases) = (Vec::new(), Vec::new());
        for folder in BUILT_IN.dirs() {
            for file in folder.files() {
                let path = file.path().to_string_lossy().replace('\\', "/");
                let text = file.contents_utf8().unwrap_or_default();
                if path.ends_with(CASES_SUFFIX) {
                    cases.push((path, text));
                } else {
                    files.push(SourceFile::new(path, text));
                }
            }
        }
        let mut catalog = Self::parse(&files, "queries");
        for (path, text) in cases {
            let query = kind_and_name(&path, CASES_SUFFIX)
                .and_then(|(_, name)| catalog.queries.get_mut(name));
            if let Some(query) = query {
                query.cases = LazyCases::of_built_in(format!("queries/{path}"), text);
            }
        }
        match catalog.diagnostics.first() {
            Some(diagnostic) => Err(TransformError::from_diagnostic(diagnostic)),
            None => Ok(catalog),
        }
    }

    /// Returns the queries of a folder with the layout of `queries/`, without the built-in ones.
    ///
    /// # Errors
    /// Files that cannot be read. Problems inside a file are diagnostics of the catalog.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let (files, root) = (list_files(folder)?, display_path(folder));
        let mut catalog = Self::parse(&files, &root);
        catalog.files = files.into_iter().map(|f| (format!("{root}/{}", f.path), f.text)).collect();
        Ok(catalog)
    }

    /// Adds a project's queries. A query with the name of a built-in one replaces it. A query is
    /// unreadable if its file cannot be parsed, or if it has another kind than the built-in one or
    /// lacks a column of it.
    ///
    /// # Errors
    /// As [`Catalog::of_folder`].
    pub fn with_project(self, folder: &Path) -> Result<Self> {
        Ok(self.with(Self::of_folder(folder)?))
    }

    /// Adds queries as [`Catalog::with_project`] does, given as pairs of path below `queries/` and
    /// text; `label` names their folder in messages.
    #[must_use]
    pub fn with_files(self, label: &str, files: Vec<(String, String)>) -> Self {
        let mut files: Vec<_> =
            files.into_iter().map(|(path, text)| SourceFile::new(path, &text)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        self.with(Self::parse(&files, label))
    }

    /// Returns the project's files that were added, changed or deleted after `before` was read.
    pub fn changed_files_since(&self, before: &Self) -> Vec<ChangedFile> {
        changed_files(&before.files, &self.files)
    }

    fn parse(files: &[SourceFile], root: &str) -> Self {
        let ParsedFiles { queries, diagnostics, unreadable } = parse_files(files, root);
        Self { queries, diagnostics, unreadable, files: BTreeMap::new() }
    }

    fn with(mut self, project: Self) -> Self {
        self.files.extend(project.files);
        self.diagnostics.extend(project.diagnostics);
        for (name, diagnostic) in project.unreadable {
            self.queries.remove(&name);
            self.unreadable.insert(name, diagnostic);
        }
        for (name, query) in project.queries {
            let diagnostic =
                self.queries.get(&name).and_then(|built_in| replacement_error(built_in, &query));
            if let Some(diagnostic) = diagnostic {
                self.diagnostics.push(diagnostic.clone());
                self.queries.remove(&name);
                self.unreadable.insert(name, diagnostic);
            } else {
                self.queries.insert(name, query);
            }
        }
        self
    }

    /// Returns the queries of a test, given as pairs of path below `queries/` and text.
    #[cfg(test)]
    pub(crate) fn of_texts(files: &[(&str, &str)]) -> Self {
        let source = |(path, text): &(&str, &str)| SourceFile::new((*path).to_owned(), text);
        let mut files: Vec<SourceFile> = files.iter().map(source).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self::parse(&files, "queries")
    }

    /// Returns the diagnostics of files that cannot be parsed, in the order of the files.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns the diagnostics of files that are ignored because of their folder or the ending of
    /// their name.
    pub fn misplaced(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.code == MISPLACED)
    }

    /// Returns the first diagnostic of each query whose file cannot be parsed, by name.
    pub fn unreadable(&self) -> &BTreeMap<String, Diagnostic> {
        &self.unreadable
    }

    /// Returns those of a kind among them, by the folder of their files.
    pub fn unreadable_of(&self, kind: QueryKind) -> impl Iterator<Item = (&str, &Diagnostic)> {
        let folder = kind.folder();
        let is_there = move |file: &str| file.rsplit('/').nth(1) == Some(folder);
        let those =
            self.unreadable.iter().filter(move |(_, diagnostic)| is_there(&diagnostic.file));
        those.map(|(name, diagnostic)| (name.as_str(), diagnostic))
    }

    /// Returns the query with a name, if its file can be parsed.
    pub fn get(&self, name: &str) -> Option<&Query> {
        self.queries.get(name)
    }

    /// Returns the query with a name.
    ///
    /// # Errors
    /// An unreadable query; an unknown name, with the closest name or the names of all metrics.
    pub fn find(&self, name: &str) -> Result<&Query> {
        if let Some(diagnostic) = self.unreadable.get(name) {
            return Err(TransformError::from_diagnostic(diagnostic));
        }
        self.get(name).ok_or_else(|| {
            let known = self.queries.keys().map(String::as_str);
            TransformError::UnknownQuery {
                name: name.to_owned(),
                hint: match closest_name(name, known) {
                    Some(other) => format!("did you mean {other}?"),
                    None => format!("there are: {}", self.names(QueryKind::Metric).join(", ")),
                },
            }
        })
    }

    /// Returns all queries in the order of their names.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        self.queries.values()
    }

    /// Returns the queries of a kind in the order of their names.
    pub fn of_kind(&self, kind: QueryKind) -> impl Iterator<Item = &Query> {
        self.queries().filter(move |q| q.kind == kind)
    }

    /// Returns the names of the queries of a kind, sorted.
    pub fn names(&self, kind: QueryKind) -> Vec<&str> {
        self.of_kind(kind).map(|q| q.name.as_str()).collect()
    }
}

/// Returns the reason why a query may not replace the built-in query of its name.
fn replacement_error(built_in: &Query, query: &Query) -> Option<Diagnostic> {
    let mut diagnostics = Diagnostics::new(&query.file, &query.name, &query.sql);
    if built_in.kind != query.kind {
        let message = format!("the built-in {} is a {}", query.name, built_in.kind.noun());
        let help = format!("move it to {}/, or rename it", built_in.kind.folder());
        diagnostics.error("replacement", Span::START, message, help);
    }
    for column in &built_in.header.columns {
        let same = |c: &&Column| c.name == column.name && c.column_type == column.column_type;
        if query.header.columns.iter().find(same).is_none() {
            let message = format!(
                "it replaces the built-in {}, and lacks its column {} ({})",
                query.name, column.name, column.column_type
            );
            diagnostics.error(
                "replacement",
                Span::START,
                message,
                "keep the column, or rename the file".to_owned(),
            );
        }
    }
    diagnostics.found.into_iter().next()
}
