//! The queries there are: the built-in ones, and what a project's `queries/` adds or replaces.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::cases::{Case, parse_cases};
use crate::error::{Result, TransformError};
use crate::header::{Header, parse_header};
use crate::statement::Statement;
use crate::tables;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../queries");

/// What a query is for; its folder says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Stored by day, recomputed where its input changed.
    Rollup,
    /// What several metrics share; computed where it is read.
    View,
    Metric,
    Check,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Rollup, Self::View, Self::Metric, Self::Check];

    pub fn folder(self) -> &'static str {
        match self {
            Self::Rollup => "rollups",
            Self::View => "views",
            Self::Metric => "metrics",
            Self::Check => "checks",
        }
    }
}

/// One query file.
#[derive(Debug, Clone)]
pub struct Query {
    pub name: String,
    pub kind: Kind,
    pub header: Header,
    /// The whole file, header included.
    pub sql: String,
    /// Where it stands, for messages: `queries/metrics/funnel.sql`.
    pub file: String,
    pub cases: Vec<Case>,
}

impl Query {
    /// The tables and queries it names; none of a broken one, which says so where it is run.
    pub fn reads(&self) -> BTreeSet<String> {
        let statement = Statement::parse(&self.sql, &self.file);
        let tables = statement.and_then(|s| s.tables(&self.file)).unwrap_or_default();
        tables.into_iter().collect()
    }

    /// Whether a result has the columns of the header.
    pub fn accepts(&self, schema: &arrow::datatypes::Schema) -> bool {
        crate::session::check_columns(self, schema).is_ok()
    }
}

/// All queries by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    queries: BTreeMap<String, Query>,
}

/// A file under `queries/`, before it is read as a query.
struct SourceFile {
    /// Below `queries/`, with `/`.
    path: String,
    text: String,
}

impl Catalog {
    /// The queries compiled into the program.
    pub fn built_in() -> Result<Self> {
        let mut files = Vec::new();
        for folder in BUILT_IN.dirs() {
            for file in folder.files() {
                let path = file.path().to_string_lossy().replace('\\', "/");
                let text = file.contents_utf8().unwrap_or_default().to_owned();
                files.push(SourceFile { path, text });
            }
        }
        Ok(Self { queries: read(&files, "queries")? })
    }

    /// Every query of a folder laid out as `queries/` is, and no other.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        Ok(Self { queries: read(&list(folder)?, &folder.display().to_string())? })
    }

    /// Adds a project's queries; one with the name of a built-in replaces it.
    ///
    /// # Errors
    /// Where a replacement is of another kind or lacks a column of the built-in.
    pub fn with_project(self, folder: &Path) -> Result<Self> {
        self.with(read(&list(folder)?, &folder.display().to_string())?)
    }

    /// Adds queries as `with_project` does, from the texts of files by their paths below
    /// `queries/`; `label` names them in messages.
    ///
    /// # Errors
    /// As `with_project`.
    pub fn with_files(self, label: &str, files: Vec<(String, String)>) -> Result<Self> {
        let mut files: Vec<_> =
            files.into_iter().map(|(path, text)| SourceFile { path, text }).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        self.with(read(&files, label)?)
    }

    fn with(mut self, queries: BTreeMap<String, Query>) -> Result<Self> {
        for (name, query) in queries {
            if let Some(built_in) = self.queries.get(&name) {
                check_replacement(built_in, &query)?;
            }
            self.queries.insert(name, query);
        }
        Ok(self)
    }

    pub fn get(&self, name: &str) -> Option<&Query> {
        self.queries.get(name)
    }

    /// The query of that name, or an error that lists what there is.
    pub fn find(&self, name: &str) -> Result<&Query> {
        self.get(name).ok_or_else(|| TransformError::UnknownQuery {
            name: name.to_owned(),
            hint: format!("there are: {}", self.names(Kind::Metric).join(", ")),
        })
    }

    /// All queries, by name.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        self.queries.values()
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Query> {
        self.queries().filter(move |q| q.kind == kind)
    }

    pub fn names(&self, kind: Kind) -> Vec<&str> {
        self.of_kind(kind).map(|q| q.name.as_str()).collect()
    }
}

fn list(folder: &Path) -> Result<Vec<SourceFile>> {
    let fail = |path: &Path| {
        let path = path.display().to_string();
        move |source| TransformError::Read { path, source }
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail(folder))? {
        let path = entry.map_err(fail(folder))?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "sql") {
            let file = path.display().to_string();
            let message = "its folder says what a query is: move it to metrics/, views/, rollups/ or checks/ here".to_owned();
            return Err(TransformError::File { file, line: 1, message });
        }
    }
    for kind in Kind::ALL {
        let inner = folder.join(kind.folder());
        if !inner.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&inner).map_err(fail(&inner))? {
            let entry = entry.map_err(fail(&inner))?;
            let text = std::fs::read_to_string(entry.path()).map_err(fail(&entry.path()))?;
            let path = format!("{}/{}", kind.folder(), entry.file_name().to_string_lossy());
            files.push(SourceFile { path, text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read(files: &[SourceFile], root: &str) -> Result<BTreeMap<String, Query>> {
    let mut queries: BTreeMap<String, Query> = BTreeMap::new();
    for source in files {
        let file = format!("{root}/{}", source.path);
        let Some((kind, name)) = kind_and_name(&source.path, ".sql") else { continue };
        let fail = |message: String| TransformError::File { file: file.clone(), line: 1, message };
        if !is_name(name) {
            let message =
                format!("\"{name}\" is no query name; use a-z, 0-9 and _ as in my_metric");
            return Err(fail(message));
        }
        if tables::is_reserved(name) {
            return Err(fail(format!("\"{name}\" is a table of the lake; choose another name")));
        }
        if let Some(other) = queries.get(name) {
            return Err(fail(format!("{} has that name already; rename one", other.file)));
        }
        let header = parse_header(&file, &source.text)?;
        if header.columns.is_empty() && kind != Kind::Check {
            return Err(fail("the header names the columns the query gives: [columns]".to_owned()));
        }
        let query = Query {
            name: name.to_owned(),
            kind,
            header,
            sql: source.text.clone(),
            file: file.clone(),
            cases: Vec::new(),
        };
        queries.insert(name.to_owned(), query);
    }
    for source in files {
        let Some((_, name)) = kind_and_name(&source.path, ".test.toml") else { continue };
        let file = format!("{root}/{}", source.path);
        let query = queries.get_mut(name).ok_or_else(|| TransformError::File {
            file: file.clone(),
            line: 1,
            message: format!("there is no {name}.sql beside it"),
        })?;
        query.cases = parse_cases(&file, &source.text)?;
    }
    Ok(queries)
}

/// `metrics/funnel.sql` → (Metric, "funnel").
fn kind_and_name<'a>(path: &'a str, suffix: &str) -> Option<(Kind, &'a str)> {
    let (folder, file) = path.split_once('/')?;
    let kind = Kind::ALL.into_iter().find(|k| k.folder() == folder)?;
    Some((kind, file.strip_suffix(suffix)?))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn check_replacement(built_in: &Query, query: &Query) -> Result<()> {
    let fail = |message| TransformError::File { file: query.file.clone(), line: 1, message };
    if built_in.kind != query.kind {
        let folder = built_in.kind.folder();
        return Err(fail(format!("the built-in {} is in {folder}/; move it there", query.name)));
    }
    for column in &built_in.header.columns {
        let same = |c: &&crate::header::Column| c.name == column.name && c.kind == column.kind;
        if query.header.columns.iter().find(same).is_none() {
            return Err(fail(format!(
                "it replaces the built-in {}, so it keeps its column {} ({})",
                query.name, column.name, column.kind
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Int64\" }\n---*/\n";

    fn source(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn the_folder_is_the_kind_and_the_file_the_name() {
        let files = [source("metrics/m.sql", HEAD), source("views/v.sql", HEAD)];
        let queries = read(&files, "queries").expect("two queries");
        assert_eq!(queries["m"].kind, Kind::Metric);
        assert_eq!(queries["v"].kind, Kind::View);
        assert_eq!(queries["v"].file, "queries/views/v.sql");
    }

    #[test]
    fn clashes_are_errors() {
        #[track_caller]
        fn check(files: &[SourceFile], part: &str) {
            let error = read(files, "q").expect_err("a clash").to_string();
            assert!(error.contains(part), "{error}");
        }
        check(
            &[source("metrics/m.sql", HEAD), source("views/m.sql", HEAD)],
            "has that name already",
        );
        check(&[source("metrics/api_calls.sql", HEAD)], "is a table of the lake");
        check(&[source("metrics/My.sql", HEAD)], "is no query name");
        check(&[source("metrics/m.test.toml", "")], "there is no m.sql beside it");
    }

    #[test]
    fn a_replacement_keeps_the_columns() {
        let built_in = read(&[source("metrics/m.sql", HEAD)], "q").expect("a query");
        let other = read(&[source("metrics/m.sql", &HEAD.replace("a =", "b ="))], "p");
        let error = check_replacement(&built_in["m"], &other.expect("a query")["m"]);
        let error = error.expect_err("another column").to_string();
        assert!(error.starts_with("p/metrics/m.sql:1: it replaces"), "{error}");
    }
}
