//! Completion: which keywords, tables, columns and functions may follow at the cursor.

use transform::Session;

use super::meta_command::META_COMMANDS;
use super::tokens::{Token, TokenKind, tokenize};

/// The keywords of queries that are worth completing.
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

/// The names that a session offers.
#[derive(Debug, Default)]
pub(super) struct CompletionNames {
    /// Tables with their columns.
    pub(super) tables: Vec<(String, Vec<String>)>,
    pub(super) functions: Vec<String>,
}

impl CompletionNames {
    pub(super) async fn read(session: &Session) -> anyhow::Result<Self> {
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

/// Returns where the word at the cursor starts, and what it may become, sorted.
pub(super) fn complete(text: &str, cursor: usize, names: &CompletionNames) -> (usize, Vec<String>) {
    if text.trim_start().starts_with('\\') {
        return complete_meta_command(&text[..cursor], names);
    }
    let all = tokenize(text);
    let before: Vec<&Token> = all.iter().filter(|p| p.range.start < cursor).collect();
    let (start, typed) = match before.last() {
        Some(last) if last.kind == TokenKind::Word => {
            (last.range.start, &text[last.range.start..cursor])
        }
        Some(last)
            if matches!(
                last.kind,
                TokenKind::String | TokenKind::Comment | TokenKind::Unterminated
            ) && cursor <= last.range.end =>
        {
            return (cursor, Vec::new());
        }
        _ => (cursor, ""),
    };
    let around = statement_around(&all, start);
    let words: Vec<&Token> = before.iter().copied().filter(|p| p.range.end <= start).collect();
    let found = if let Some(qualifier) = qualifier(text, &words) {
        qualified_names(text, around, qualifier, names)
    } else if expects_table(text, &words) {
        tables(names)
    } else {
        let mut found: Vec<String> = tables_read(text, around)
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
    (start, with_prefix(found, typed))
}

fn complete_meta_command(line: &str, names: &CompletionNames) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let typed = &line[start..];
    let words: Vec<&str> = line[..start].split_whitespace().collect();
    let found = match words.as_slice() {
        [] => META_COMMANDS
            .iter()
            .filter_map(|(syntax, _)| syntax.split(' ').next())
            .map(str::to_owned)
            .collect(),
        ["\\d"] => tables(names),
        ["\\format"] => ["csv", "json", "parquet", "table"].map(str::to_owned).to_vec(),
        ["\\timing"] => ["off", "on"].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    (start, with_prefix(found, typed))
}

fn tables(names: &CompletionNames) -> Vec<String> {
    names.tables.iter().map(|(name, _)| name.clone()).collect()
}

fn with_prefix(mut found: Vec<String>, typed: &str) -> Vec<String> {
    found.retain(|word| {
        word.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
    });
    found.sort_unstable();
    found.dedup();
    found
}

/// Returns the tokens of the statement around a byte of the text.
fn statement_around(all: &[Token], byte: usize) -> &[Token] {
    let is_end = |p: &&Token| p.kind == TokenKind::Semicolon;
    let from = all.iter().rposition(|p| is_end(&p) && p.range.end <= byte).map_or(0, |at| at + 1);
    let rest = &all[from..];
    &rest[..rest.iter().position(|p| is_end(&p)).unwrap_or(rest.len())]
}

/// Returns the `a` of an `a.` before the cursor.
fn qualifier<'a>(text: &'a str, before: &[&Token]) -> Option<&'a str> {
    let [.., name, dot] = before else { return None };
    let is_qualified = text[dot.range.clone()] == *"." && name.kind == TokenKind::Word;
    is_qualified.then(|| &text[name.range.clone()])
}

/// Returns the columns of the table with this name or alias, or the tables of this schema.
fn qualified_names(
    text: &str,
    around: &[Token],
    qualifier: &str,
    names: &CompletionNames,
) -> Vec<String> {
    let read = tables_read(text, around);
    let named = read
        .iter()
        .find(|(table, alias)| alias.as_deref().unwrap_or(table).eq_ignore_ascii_case(qualifier));
    let table = named.map_or(qualifier, |(table, _)| table.as_str());
    let mut found = names.columns_of(table).to_vec();
    let schema = format!("{qualifier}.");
    found.extend(
        names.tables.iter().filter_map(|(name, _)| Some(name.strip_prefix(&schema)?.to_owned())),
    );
    found
}

fn expects_table(text: &str, before: &[&Token]) -> bool {
    let last = before.iter().rev().find(|p| p.kind != TokenKind::Space);
    last.is_some_and(|p| is_keyword(&text[p.range.clone()], &["FROM", "JOIN", "DESCRIBE"]))
}

fn is_keyword(word: &str, keywords: &[&str]) -> bool {
    keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Returns the tables after FROM and JOIN with their aliases, also those after the cursor.
fn tables_read(text: &str, tokens: &[Token]) -> Vec<(String, Option<String>)> {
    let words: Vec<&str> = tokens
        .iter()
        .filter(|p| !matches!(p.kind, TokenKind::Space | TokenKind::Comment))
        .map(|p| &text[p.range.clone()])
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

    fn names() -> CompletionNames {
        let table = |name: &str, columns: &[&str]| {
            (name.to_owned(), columns.iter().map(|c| (*c).to_owned()).collect())
        };
        CompletionNames {
            tables: vec![
                table("funnel", &["cohort_month", "registered"]),
                table("growth", &["month", "active"]),
                table("raw.api_calls", &["event_id", "status"]),
            ],
            functions: vec!["gini".to_owned(), "greatest".to_owned()],
        }
    }

    #[test]
    fn words_are_completed() {
        // The cursor is at the ^.
        let check = |text: &str, expected: &[&str]| {
            let cursor = text.find('^').expect("a cursor");
            let (start, found) = complete(&text.replace('^', ""), cursor, &names());
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
