//! Parses query files and files of test cases into the entries of a catalog.

use std::collections::BTreeMap;

use domain::closest_name;

use super::files::{CASES_SUFFIX, SourceFile};
use crate::catalog::built_in_tables;
use crate::catalog::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::catalog::header::parse_header;
use crate::catalog::lazy_cases::LazyCases;
use crate::catalog::query::{ParsedSql, Query, QueryKind};
use crate::catalog::test_cases::parse_cases;

/// The code of diagnostics of [`misplaced`] files.
pub(super) const MISPLACED: &str = "folder";

/// The queries of a folder, and the problems of its files.
#[derive(Default)]
pub(super) struct ParsedFiles {
    pub queries: BTreeMap<String, Query>,
    /// In the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// The first diagnostic of each query whose file cannot be parsed.
    pub unreadable: BTreeMap<String, Diagnostic>,
}

/// Parses the files of a folder of queries; `root` names the folder in messages.
pub(super) fn parse_files(files: &[SourceFile], root: &str) -> ParsedFiles {
    let mut parsed = ParsedFiles::default();
    for source in files {
        let file = format!("{root}/{}", source.path);
        match kind_and_name(&source.path, ".sql") {
            Some((kind, name)) => parse_query(&mut parsed, source, file, kind, name),
            None => parsed.diagnostics.extend(misplaced(source, &file)),
        }
    }
    for source in files {
        let Some((_, name)) = kind_and_name(&source.path, CASES_SUFFIX) else { continue };
        let file = format!("{root}/{}", source.path);
        let diagnostic = if source.is_utf8 {
            add_cases(&mut parsed, name, &file, &source.text)
        } else {
            not_utf8(&file, name, &source.text)
        };
        parsed.diagnostics.extend(diagnostic);
    }
    parsed
}

fn parse_query(
    parsed: &mut ParsedFiles,
    source: &SourceFile,
    file: String,
    kind: QueryKind,
    name: &str,
) {
    if !source.is_utf8 {
        let diagnostic = not_utf8(&file, name, &source.text);
        parsed.unreadable.extend(diagnostic.clone().map(|first| (name.to_owned(), first)));
        parsed.diagnostics.extend(diagnostic);
        return;
    }
    let mut diagnostics = Diagnostics::new(&file, name, &source.text);
    let mut header = None;
    if check_name(name, parsed, &mut diagnostics) {
        match parse_header(&source.text) {
            Ok(found) => header = Some(found),
            Err(error) => {
                let span = error.span(&source.text);
                diagnostics.error("header", span, error.message, error.help);
            }
        }
    }
    if header.as_ref().is_some_and(|h| h.columns.is_empty() && kind != QueryKind::Check) {
        let message = "the header names no columns";
        let help = "list those the query gives under [columns]".to_owned();
        diagnostics.error("header", Span::START, message, help);
    }
    let found = diagnostics.found;
    if let Some(header) = header.filter(|_| found.is_empty()) {
        let query = Query {
            name: name.to_owned(),
            kind,
            header,
            sql: source.text.clone(),
            path: source.on_disk.clone(),
            cases: LazyCases::default(),
            parsed: ParsedSql::default(),
            file,
        };
        parsed.queries.insert(name.to_owned(), query);
    } else if let Some(first) = found.first() {
        // Of two files with one name none is used, because either could be meant.
        parsed.queries.remove(name);
        if !built_in_tables::is_reserved(name) {
            parsed.unreadable.entry(name.to_owned()).or_insert_with(|| first.clone());
        }
    }
    parsed.diagnostics.extend(found);
}

fn not_utf8(file: &str, name: &str, text: &str) -> Option<Diagnostic> {
    let mut diagnostics = Diagnostics::new(file, name, text);
    let message = "the file is not UTF-8, or is broken";
    diagnostics.error("encoding", Span::START, message, "save it as UTF-8".to_owned());
    diagnostics.found.pop()
}

fn check_name(name: &str, parsed: &ParsedFiles, diagnostics: &mut Diagnostics<'_>) -> bool {
    if let Some(message) = invalid_name_reason(name) {
        diagnostics.error("name", Span::START, message, None);
        return false;
    }
    let other = parsed.queries.get(name).map(|query| &query.file);
    let other = other.or_else(|| parsed.unreadable.get(name).map(|diagnostic| &diagnostic.file));
    if let Some(other) = other {
        let message = format!("{other} has the name \"{name}\" already");
        diagnostics.error(
            "duplicate",
            Span::START,
            message,
            "rename one of the two files".to_owned(),
        );
        return false;
    }
    true
}

/// Returns the reason why a query may not have a name.
pub fn invalid_name_reason(name: &str) -> Option<String> {
    if !is_name(name) {
        return Some(format!("\"{name}\" is no query name; use a-z, 0-9 and _ as in my_metric"));
    }
    built_in_tables::is_reserved(name)
        .then(|| format!("\"{name}\" is a table of the lake; choose another name"))
}

/// Adds the test cases of a file to their query, and returns the problem of the file.
fn add_cases(parsed: &mut ParsedFiles, name: &str, file: &str, text: &str) -> Option<Diagnostic> {
    let mut diagnostics = Diagnostics::new(file, name, text);
    match (parsed.queries.get_mut(name), parse_cases(file, text)) {
        (Some(query), Ok(cases)) => query.cases = cases.into(),
        (Some(_), Err(error)) => {
            diagnostics.error("cases", error.span(text), error.message, error.help);
        }
        // The file of the query has a diagnostic of its own.
        (None, _) if parsed.unreadable.contains_key(name) => {}
        (None, _) => {
            let message = format!("there is no {name}.sql beside it");
            diagnostics.error("cases", Span::START, message, "rename or remove it".to_owned());
        }
    }
    diagnostics.found.pop()
}

/// Returns the kind and the name of a query by the path of its file: `metrics/funnel.sql` is the
/// metric `funnel`.
pub(super) fn kind_and_name<'a>(path: &'a str, suffix: &str) -> Option<(QueryKind, &'a str)> {
    let (folder, file) = path.split_once('/')?;
    let kind = QueryKind::ALL.into_iter().find(|k| k.folder() == folder)?;
    let name = file.strip_suffix(suffix)?;
    (!name.contains('/')).then_some((kind, name))
}

/// Returns the diagnostic of a file that is ignored because of its folder or the ending of its
/// name.
fn misplaced(source: &SourceFile, file: &str) -> Option<Diagnostic> {
    let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    if kind_and_name(&source.path, CASES_SUFFIX).is_some() {
        return None;
    }
    let lower = name.to_lowercase();
    let stem = lower.strip_suffix(".sql").or_else(|| lower.strip_suffix(CASES_SUFFIX))?;
    let kinds = QueryKind::ALL.map(QueryKind::folder);
    let first = folder.split('/').next().unwrap_or_default();
    let mut diagnostics = Diagnostics::new(file, stem, &source.text);
    let (message, help) = if kinds.contains(&folder) {
        let ending = &lower[stem.len()..];
        ("files of queries end in lower case", format!("rename it to {stem}{ending}"))
    } else if kinds.contains(&first) {
        ("folders below it are not read", format!("move it to {first}/"))
    } else if let Some(near) = closest_name(first, kinds).filter(|_| !first.is_empty()) {
        (
            "its folder says what a query is, and this one says nothing",
            format!("did you mean {near}/?"),
        )
    } else {
        let help = "move it to metrics/, views/, rollups/ or checks/ here".to_owned();
        ("its folder says what a query is", help)
    };
    diagnostics.error(MISPLACED, Span::START, message, help);
    diagnostics.found.pop()
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
