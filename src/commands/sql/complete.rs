//! What may stand at the cursor: keywords, tables, columns of the statement's tables, functions.

use transform::Session;

use super::command::COMMANDS;
use super::words::{Kind, Piece, pieces};

/// The words of SELECT that are worth completing.
pub(super) const KEYWORDS: [&str; 65] = [
    "ALL",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLUMNS",
    "CROSS",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FIRST",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "RANGE",
    "RECURSIVE",
    "RIGHT",
    "ROWS",
    "SELECT",
    "SHOW",
    "TABLES",
    "THEN",
    "TIMESTAMP",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The names of a session.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Tables with their columns.
    pub(super) tables: Vec<(String, Vec<String>)>,
    pub(super) functions: Vec<String>,
}

impl Names {
    pub(super) async fn of(session: &Session) -> anyhow::Result<Self> {
        let mut tables = Vec::new();
        for relation in session.relations() {
            let columns = session.columns(&relation.name).await?;
            tables.push((relation.name, columns.into_iter().map(|c| c.name).collect()));
        }
        Ok(Self { tables, functions: session.function_names() })
    }

    fn columns_of(&self, table: &str) -> &[String] {
        let found = self.tables.iter().find(|(name, _)| name.eq_ignore_ascii_case(table));
        found.map_or(&[], |(_, columns)| columns)
    }
}

/// Where the word at the cursor begins, and what it may become, in the order of its letters.
pub(super) fn candidates(text: &str, cursor: usize, names: &Names) -> (usize, Vec<String>) {
    if text.trim_start().starts_with('\\') {
        return of_command(&text[..cursor], names);
    }
    let all = pieces(text);
    let before: Vec<&Piece> = all.iter().filter(|p| p.at.start < cursor).collect();
    let (start, typed) = match before.last() {
        Some(last) if last.kind == Kind::Word => (last.at.start, &text[last.at.start..cursor]),
        Some(last)
            if matches!(last.kind, Kind::Text | Kind::Comment | Kind::Open)
                && cursor <= last.at.end =>
        {
            return (cursor, Vec::new());
        }
        _ => (cursor, ""),
    };
    let around = statement_around(&all, start);
    let words: Vec<&Piece> = before.iter().copied().filter(|p| p.at.end <= start).collect();
    let found = if let Some(qualifier) = qualifier(text, &words) {
        of_qualifier(text, around, qualifier, names)
    } else if expects_table(text, &words) {
        tables(names)
    } else {
        let mut found: Vec<String> = read_tables(text, around)
            .iter()
            .flat_map(|(table, _)| names.columns_of(table).to_vec())
            .collect();
        found.extend(names.functions.iter().map(|name| format!("{name}(")));
        found.extend(tables(names));
        let lower = typed.starts_with(char::is_lowercase);
        let keyword = |word: &&str| if lower { word.to_lowercase() } else { (*word).to_owned() };
        found.extend(KEYWORDS.iter().map(keyword));
        found
    };
    (start, beginning_with(found, typed))
}

fn of_command(line: &str, names: &Names) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let typed = &line[start..];
    let words: Vec<&str> = line[..start].split_whitespace().collect();
    let found = match words.as_slice() {
        [] => COMMANDS
            .iter()
            .filter_map(|(usage, _)| usage.split(' ').next())
            .map(str::to_owned)
            .collect(),
        ["\\d"] => tables(names),
        ["\\format"] => ["csv", "json", "parquet", "table"].map(str::to_owned).to_vec(),
        ["\\timing"] => ["off", "on"].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    (start, beginning_with(found, typed))
}

fn tables(names: &Names) -> Vec<String> {
    names.tables.iter().map(|(name, _)| name.clone()).collect()
}

fn beginning_with(mut found: Vec<String>, typed: &str) -> Vec<String> {
    found.retain(|word| {
        word.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
    });
    found.sort_unstable();
    found.dedup();
    found
}

/// The pieces between the semicolons around a place.
fn statement_around(all: &[Piece], place: usize) -> &[Piece] {
    let ends = |p: &&Piece| p.kind == Kind::Semicolon;
    let from = all.iter().rposition(|p| ends(&p) && p.at.end <= place).map_or(0, |at| at + 1);
    let rest = &all[from..];
    &rest[..rest.iter().position(|p| ends(&p)).unwrap_or(rest.len())]
}

/// The `a` of an `a.` just before the cursor.
fn qualifier<'a>(text: &'a str, before: &[&Piece]) -> Option<&'a str> {
    let [.., name, dot] = before else { return None };
    let is = text[dot.at.clone()] == *"." && name.kind == Kind::Word;
    is.then(|| &text[name.at.clone()])
}

/// The columns of the table that is called so here, or the tables of the schema.
fn of_qualifier(text: &str, around: &[Piece], qualifier: &str, names: &Names) -> Vec<String> {
    let read = read_tables(text, around);
    let meant = read
        .iter()
        .find(|(table, alias)| alias.as_deref().unwrap_or(table).eq_ignore_ascii_case(qualifier));
    let table = meant.map_or(qualifier, |(table, _)| table.as_str());
    let mut found = names.columns_of(table).to_vec();
    let schema = format!("{qualifier}.");
    found.extend(
        names.tables.iter().filter_map(|(name, _)| Some(name.strip_prefix(&schema)?.to_owned())),
    );
    found
}

fn expects_table(text: &str, before: &[&Piece]) -> bool {
    let last = before.iter().rev().find(|p| p.kind != Kind::Space);
    last.is_some_and(|p| is_keyword(&text[p.at.clone()], &["FROM", "JOIN", "DESCRIBE"]))
}

fn is_keyword(word: &str, keywords: &[&str]) -> bool {
    keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// The tables after FROM and JOIN with the names they are given, also those after the cursor.
fn read_tables(text: &str, pieces: &[Piece]) -> Vec<(String, Option<String>)> {
    let words: Vec<&str> = pieces
        .iter()
        .filter(|p| !matches!(p.kind, Kind::Space | Kind::Comment))
        .map(|p| &text[p.at.clone()])
        .collect();
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_alphabetic() || c == '_') && !is_keyword(word, &KEYWORDS)
    };
    let mut tables = Vec::new();
    for at in 0..words.len() {
        if !is_keyword(words[at], &["FROM", "JOIN"]) {
            continue;
        }
        let mut rest = words[at + 1..].iter().copied().peekable();
        let Some(first) = rest.next().filter(is_name) else { continue };
        let mut table = first.to_owned();
        if rest.next_if_eq(&".").is_some() {
            table = format!("{table}.{}", rest.next().unwrap_or_default());
        }
        rest.next_if(|word| is_keyword(word, &["AS"]));
        let alias = rest.next().filter(is_name).map(str::to_owned);
        tables.push((table, alias));
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let table = |name: &str, columns: &[&str]| {
            (name.to_owned(), columns.iter().map(|c| (*c).to_owned()).collect())
        };
        Names {
            tables: vec![
                table("funnel", &["cohort_month", "registered"]),
                table("growth", &["month", "active"]),
                table("raw.api_calls", &["event_id", "status"]),
            ],
            functions: vec!["gini".to_owned(), "greatest".to_owned()],
        }
    }

    #[test]
    fn words_become_what_may_stand_there() {
        // The cursor is at the ^.
        let check = |text: &str, expected: &[&str]| {
            let cursor = text.find('^').expect("a cursor");
            let (start, found) = candidates(&text.replace('^', ""), cursor, &names());
            assert_eq!(found, expected, "{text}");
            assert!(start <= cursor);
        };
        check("SEL^", &["SELECT"]);
        check("sel^", &["select"]);
        check("SELECT * FROM f^", &["funnel"]);
        check("SELECT * FROM ^", &["funnel", "growth", "raw.api_calls"]);
        check("SELECT reg^ FROM funnel", &["registered"]);
        check("SELECT reg^ FROM growth", &[]);
        check("SELECT 1 FROM funnel; SELECT reg^ FROM growth", &[]);
        check("SELECT gr^", &["greatest(", "group", "growth"]);
        check("SELECT g.^ FROM growth AS g", &["active", "month"]);
        check("SELECT g.a^ FROM funnel f JOIN growth g ON true", &["active"]);
        check("SELECT funnel.c^ FROM funnel WHERE true", &["cohort_month"]);
        check("SELECT st^ FROM raw.api_calls", &["status"]);
        check("SELECT * FROM raw.^", &["api_calls"]);
        check("SELECT 'reg^", &[]);
        check("SELECT 1 -- reg^", &[]);
        check("\\d f^", &["funnel"]);
        check("\\f^", &["\\format"]);
        check("\\format ^", &["csv", "json", "parquet", "table"]);
        check(
            "^\\d",
            &["\\?", "\\as_of", "\\at", "\\d", "\\df", "\\format", "\\i", "\\o", "\\q", "\\timing"],
        );
    }
}
