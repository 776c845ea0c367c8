//! The queries there are: the built-in ones, and what a project's `queries/` adds or replaces.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Serialize;

use crate::cases::{Case, parse_cases};
use crate::error::{Result, TransformError};
use crate::header::{Header, parse_header};
use crate::mistake::{Area, Mistake, Mistakes, Place};
use crate::nearest::nearest;
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

    /// One query of it, in words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rollup => "rollup",
            Self::View => "view",
            Self::Metric => "metric",
            Self::Check => "check",
        }
    }

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
    /// The file itself; none for a built-in query.
    pub path: Option<PathBuf>,
    pub cases: Vec<Case>,
}

impl Query {
    /// Whether a result has the columns of the header.
    pub fn accepts(&self, schema: &arrow::datatypes::Schema) -> bool {
        crate::session::check_columns(self, schema).is_ok()
    }
}

/// All queries by name, and what is wrong with the files that could not be read as such.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    queries: BTreeMap<String, Query>,
    /// In the order of the files.
    faults: Vec<Mistake>,
    /// Queries whose file can't be read; the built-in one of the name does not stand in.
    left_out: BTreeMap<String, Mistake>,
    /// The project's files as they were read, by the names that messages give them.
    files: BTreeMap<String, String>,
}

/// A file of a project's queries that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saved {
    pub file: String,
    /// The query it is of.
    pub query: String,
    pub change: FileChange,
}

impl Saved {
    /// Whether it holds cases, which nobody reads but the query's test.
    pub fn is_cases(&self) -> bool {
        self.file.ends_with(".test.toml")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChange {
    New,
    Changed,
    Deleted,
}

impl FileChange {
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }
}

/// A file under `queries/`, before it is read as a query.
struct SourceFile {
    /// Below `queries/`, with `/`.
    path: String,
    text: String,
    /// What is not stands in the text as replacement characters.
    is_utf8: bool,
    on_disk: Option<PathBuf>,
}

impl SourceFile {
    /// Editors on Windows put a byte-order mark before a text, which is no part of it.
    fn new(path: String, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Self { path, text, is_utf8: true, on_disk: None }
    }
}

impl Catalog {
    /// The queries compiled into the program.
    ///
    /// # Errors
    /// A built-in file that can't be read, which tests rule out.
    pub fn built_in() -> Result<Self> {
        let mut files = Vec::new();
        for folder in BUILT_IN.dirs() {
            for file in folder.files() {
                let path = file.path().to_string_lossy().replace('\\', "/");
                files.push(SourceFile::new(path, file.contents_utf8().unwrap_or_default()));
            }
        }
        let catalog = read(&files, "queries");
        match catalog.faults.first() {
            Some(fault) => Err(TransformError::of_file(fault)),
            None => Ok(catalog),
        }
    }

    /// Every query of a folder laid out as `queries/` is, and no other.
    ///
    /// # Errors
    /// Files that can't be opened; what is wrong in one is a fault of the catalog.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let (files, root) = (list(folder)?, shown(folder));
        let mut catalog = read(&files, &root);
        catalog.files = files.into_iter().map(|f| (format!("{root}/{}", f.path), f.text)).collect();
        Ok(catalog)
    }

    /// Adds a project's queries; one with the name of a built-in replaces it. One that can't be
    /// read, is of another kind than the built-in or lacks a column of it, is left out.
    ///
    /// # Errors
    /// As `of_folder`.
    pub fn with_project(self, folder: &Path) -> Result<Self> {
        Ok(self.with(Self::of_folder(folder)?))
    }

    /// Adds queries as `with_project` does, from the texts of files by their paths below
    /// `queries/`; `label` names them in messages.
    #[must_use]
    pub fn with_files(self, label: &str, files: Vec<(String, String)>) -> Self {
        let mut files: Vec<_> =
            files.into_iter().map(|(path, text)| SourceFile::new(path, &text)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        self.with(read(&files, label))
    }

    /// The project's files that are not as they were when `before` was read.
    pub fn saved_since(&self, before: &Self) -> Vec<Saved> {
        let (now, then) = (&self.files, &before.files);
        let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
        let saved = names.into_iter().filter_map(|file| {
            let change = match (then.get(file), now.get(file)) {
                (None, _) => FileChange::New,
                (_, None) => FileChange::Deleted,
                (Some(then), Some(now)) if then != now => FileChange::Changed,
                _ => return None,
            };
            let name = file.rsplit('/').next().unwrap_or(file);
            let query = name.strip_suffix(".sql").or_else(|| name.strip_suffix(".test.toml"));
            let query = query.unwrap_or(name);
            Some(Saved { file: file.clone(), query: query.to_owned(), change })
        });
        saved.collect()
    }

    fn with(mut self, project: Self) -> Self {
        self.files.extend(project.files);
        self.faults.extend(project.faults);
        for (name, fault) in project.left_out {
            self.queries.remove(&name);
            self.left_out.insert(name, fault);
        }
        for (name, query) in project.queries {
            let fault = self.queries.get(&name).and_then(|built_in| misfit(built_in, &query));
            if let Some(fault) = fault {
                self.faults.push(fault.clone());
                self.queries.remove(&name);
                self.left_out.insert(name, fault);
            } else {
                self.queries.insert(name, query);
            }
        }
        self
    }

    /// The queries of files that a test writes: path below `queries/`, and text.
    #[cfg(test)]
    pub(crate) fn of_texts(files: &[(&str, &str)]) -> Self {
        let source = |(path, text): &(&str, &str)| SourceFile::new((*path).to_owned(), text);
        let mut files: Vec<SourceFile> = files.iter().map(source).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        read(&files, "queries")
    }

    /// What is wrong with files that could not be read, in the order of the files.
    pub fn faults(&self) -> &[Mistake] {
        &self.faults
    }

    /// Files that are not read, as they stand in no folder for queries or end otherwise.
    pub fn misplaced(&self) -> impl Iterator<Item = &Mistake> {
        self.faults.iter().filter(|fault| fault.code == MISPLACED)
    }

    /// The queries that are missing for such a reason, by name.
    pub fn left_out(&self) -> &BTreeMap<String, Mistake> {
        &self.left_out
    }

    /// Those of a kind among them, by the folder of their files.
    pub fn left_out_of(&self, kind: Kind) -> impl Iterator<Item = (&str, &Mistake)> {
        let folder = kind.folder();
        let is_there = move |file: &str| file.rsplit('/').nth(1) == Some(folder);
        let those = self.left_out.iter().filter(move |(_, fault)| is_there(&fault.file));
        those.map(|(name, fault)| (name.as_str(), fault))
    }

    pub fn get(&self, name: &str) -> Option<&Query> {
        self.queries.get(name)
    }

    /// The query of that name, or an error that lists what there is.
    pub fn find(&self, name: &str) -> Result<&Query> {
        if let Some(fault) = self.left_out.get(name) {
            return Err(TransformError::of_file(fault));
        }
        self.get(name).ok_or_else(|| {
            let known = self.queries.keys().map(String::as_str);
            TransformError::UnknownQuery {
                name: name.to_owned(),
                hint: match nearest(name, known) {
                    Some(other) => format!("did you mean {other}?"),
                    None => format!("there are: {}", self.names(Kind::Metric).join(", ")),
                },
            }
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

/// A folder as messages name it: from the current one, where it lies in that.
fn shown(folder: &Path) -> String {
    let here = std::env::current_dir().ok();
    let inside = here.as_deref().and_then(|here| folder.strip_prefix(here).ok());
    inside.filter(|path| !path.as_os_str().is_empty()).unwrap_or(folder).display().to_string()
}

/// How deep below `queries/` files are looked for, so that links in a circle end.
const DEPTH: usize = 8;

/// The query files and cases of the folder, also those that stand in no place for them.
fn list(folder: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    list_below(folder, "", DEPTH, &mut files)?;
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
        // Editors keep files of their own beside, whose names begin with a dot.
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
        if !(lower.ends_with(".sql") || lower.ends_with(".test.toml")) {
            continue;
        }
        let bytes = match std::fs::read(entry.path()) {
            // Renamed or deleted since the folder was read.
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

fn read(files: &[SourceFile], root: &str) -> Catalog {
    let mut catalog = Catalog::default();
    for source in files {
        let file = format!("{root}/{}", source.path);
        let Some((kind, name)) = kind_and_name(&source.path, ".sql") else {
            catalog.faults.extend(misplaced(source, &file));
            continue;
        };
        if !source.is_utf8 {
            let fault = not_utf8(&file, name, &source.text);
            catalog.left_out.extend(fault.clone().map(|fault| (name.to_owned(), fault)));
            catalog.faults.extend(fault);
            continue;
        }
        let mut mistakes = Mistakes::new(&file, name, &source.text);
        let header = check_name(name, &catalog, &mut mistakes)
            .then(|| {
                parse_header(&source.text)
                    .map_err(|fault| {
                        let area = fault.area(&source.text);
                        mistakes.error("header", area, fault.message, fault.help);
                    })
                    .ok()
            })
            .flatten();
        if header.as_ref().is_some_and(|h| h.columns.is_empty() && kind != Kind::Check) {
            let message = "the header names no columns";
            let help = "list those the query gives under [columns]".to_owned();
            mistakes.error("header", TOP, message, help);
        }
        if let Some(header) = header.filter(|_| mistakes.found.is_empty()) {
            let query = Query {
                name: name.to_owned(),
                kind,
                header,
                sql: source.text.clone(),
                file: file.clone(),
                path: source.on_disk.clone(),
                cases: Vec::new(),
            };
            catalog.queries.insert(name.to_owned(), query);
        } else if let Some(first) = mistakes.found.first() {
            // Of two with one name neither counts: which of them was meant?
            catalog.queries.remove(name);
            if !tables::is_reserved(name) {
                catalog.left_out.entry(name.to_owned()).or_insert_with(|| first.clone());
            }
        }
        catalog.faults.extend(mistakes.found);
    }
    for source in files {
        let Some((_, name)) = kind_and_name(&source.path, ".test.toml") else { continue };
        let file = format!("{root}/{}", source.path);
        if !source.is_utf8 {
            catalog.faults.extend(not_utf8(&file, name, &source.text));
        } else if let Some(fault) = read_cases(&mut catalog, name, &file, &source.text) {
            catalog.faults.push(fault);
        }
    }
    catalog
}

/// The first character of a file.
const TOP: Area = Area { place: Place { line: 1, column: 1 }, width: 1 };

fn not_utf8(file: &str, name: &str, text: &str) -> Option<Mistake> {
    let mut mistakes = Mistakes::new(file, name, text);
    let message = "the file is not UTF-8, or is broken";
    mistakes.error("encoding", TOP, message, "save it as UTF-8".to_owned());
    mistakes.found.pop()
}

fn check_name(name: &str, catalog: &Catalog, mistakes: &mut Mistakes<'_>) -> bool {
    if let Some(message) = refused_name(name) {
        mistakes.error("name", TOP, message, None);
        return false;
    }
    let other = catalog.queries.get(name).map(|query| &query.file);
    let other = other.or_else(|| catalog.left_out.get(name).map(|fault| &fault.file));
    if let Some(other) = other {
        let message = format!("{other} has the name \"{name}\" already");
        mistakes.error("duplicate", TOP, message, "rename one of the two files".to_owned());
        return false;
    }
    true
}

/// Why a query can't be called so.
pub fn refused_name(name: &str) -> Option<String> {
    if !is_name(name) {
        return Some(format!("\"{name}\" is no query name; use a-z, 0-9 and _ as in my_metric"));
    }
    tables::is_reserved(name)
        .then(|| format!("\"{name}\" is a table of the lake; choose another name"))
}

fn read_cases(catalog: &mut Catalog, name: &str, file: &str, text: &str) -> Option<Mistake> {
    let mut mistakes = Mistakes::new(file, name, text);
    match (catalog.queries.get_mut(name), parse_cases(file, text)) {
        (Some(query), Ok(cases)) => query.cases = cases,
        (Some(_), Err(fault)) => {
            mistakes.error("cases", fault.area(text), fault.message, fault.help);
        }
        // What is wrong with the query has been said.
        (None, _) if catalog.left_out.contains_key(name) => {}
        (None, _) => {
            let message = format!("there is no {name}.sql beside it");
            mistakes.error("cases", TOP, message, "rename or remove it".to_owned());
        }
    }
    mistakes.found.pop()
}

/// `metrics/funnel.sql` → (Metric, "funnel").
fn kind_and_name<'a>(path: &'a str, suffix: &str) -> Option<(Kind, &'a str)> {
    let (folder, file) = path.split_once('/')?;
    let kind = Kind::ALL.into_iter().find(|k| k.folder() == folder)?;
    let name = file.strip_suffix(suffix)?;
    (!name.contains('/')).then_some((kind, name))
}

/// What is wrong with the place or the ending of a file that is no query where it stands.
fn misplaced(source: &SourceFile, file: &str) -> Option<Mistake> {
    let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    if kind_and_name(&source.path, ".test.toml").is_some() {
        return None;
    }
    let lower = name.to_lowercase();
    let stem = lower.strip_suffix(".sql").or_else(|| lower.strip_suffix(".test.toml"))?;
    let kinds = Kind::ALL.map(Kind::folder);
    let first = folder.split('/').next().unwrap_or_default();
    let mut mistakes = Mistakes::new(file, stem, &source.text);
    let (message, help) = if kinds.contains(&folder) {
        let ending = &lower[stem.len()..];
        ("files of queries end in lower case", format!("rename it to {stem}{ending}"))
    } else if kinds.contains(&first) {
        ("folders below it are not read", format!("move it to {first}/"))
    } else if let Some(near) = nearest(first, kinds).filter(|_| !first.is_empty()) {
        (
            "its folder says what a query is, and this one says nothing",
            format!("did you mean {near}/?"),
        )
    } else {
        let help = "move it to metrics/, views/, rollups/ or checks/ here".to_owned();
        ("its folder says what a query is", help)
    };
    mistakes.error(MISPLACED, TOP, message, help);
    mistakes.found.pop()
}

/// The rule that [`misplaced`] watches over.
const MISPLACED: &str = "folder";

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// What keeps a query from standing for the built-in one of its name.
fn misfit(built_in: &Query, query: &Query) -> Option<Mistake> {
    let mut mistakes = Mistakes::new(&query.file, &query.name, &query.sql);
    if built_in.kind != query.kind {
        let message = format!("the built-in {} is a {}", query.name, built_in.kind.word());
        let help = format!("move it to {}/, or rename it", built_in.kind.folder());
        mistakes.error("replacement", TOP, message, help);
    }
    for column in &built_in.header.columns {
        let same = |c: &&crate::header::Column| c.name == column.name && c.kind == column.kind;
        if query.header.columns.iter().find(same).is_none() {
            let message = format!(
                "it replaces the built-in {}, and lacks its column {} ({})",
                query.name, column.name, column.kind
            );
            mistakes.error(
                "replacement",
                TOP,
                message,
                "keep the column, or rename the file".to_owned(),
            );
        }
    }
    mistakes.found.into_iter().next()
}

#[cfg(test)]
mod tests;
