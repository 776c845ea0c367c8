//! Splits a text into statements, which end with `;`, and meta-commands, which start with a
//! backslash.

use std::io::{Read, stdin};
use std::path::Path;

use anyhow::Context;
use transform::check_statement;

use super::tokens::{TokenKind, tokenize};
use crate::errors::usage_error;
use crate::text_file::without_bom;

/// A statement or a meta-command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScriptItem {
    /// Its text, below as many empty lines as there are lines above it in the script, so that the
    /// lines of errors are right.
    Statement(String),
    /// The line without the backslash.
    MetaCommand(String),
}

/// Returns the items of a text. What follows the last `;` is one too.
pub(super) fn parse_script(text: &str) -> Vec<ScriptItem> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some((item, end)) = next_item(text, from) {
        items.extend(item);
        from = end;
    }
    items
}

/// Returns whether a text is complete, so that it can be run without more lines.
pub(super) fn is_complete(text: &str) -> bool {
    if text.trim_start().starts_with('\\') {
        return true;
    }
    let mut tokens = tokenize(text)
        .into_iter()
        .filter(|t| !matches!(t.kind, TokenKind::Space | TokenKind::Comment));
    tokens.next_back().is_none_or(|last| last.kind == TokenKind::Semicolon)
}

/// Returns the item that starts at `from`, and the start of the next. Text that is only space and
/// comments has no item.
fn next_item(text: &str, from: usize) -> Option<(Option<ScriptItem>, usize)> {
    let rest = &text[from..];
    if rest.is_empty() {
        return None;
    }
    let mut has_code = false;
    for token in tokenize(rest) {
        match token.kind {
            TokenKind::Space | TokenKind::Comment => {}
            TokenKind::Semicolon => {
                let statement = has_code.then(|| statement(text, from, from + token.range.start));
                return Some((statement, from + token.range.end));
            }
            TokenKind::Symbol if !has_code && rest[token.range.clone()] == *"\\" => {
                let line = rest[token.range.end..].lines().next().unwrap_or_default();
                let end = from + token.range.end + line.len();
                return Some((Some(ScriptItem::MetaCommand(line.trim().to_owned())), end));
            }
            _ => has_code = true,
        }
    }
    Some((has_code.then(|| statement(text, from, text.len())), text.len()))
}

/// Returns a part of the text with its line numbers kept.
fn statement(text: &str, from: usize, to: usize) -> ScriptItem {
    let above = text[..from].matches('\n').count();
    ScriptItem::Statement(format!("{}{}", "\n".repeat(above), &text[from..to]))
}

/// Reads the whole text of a file; `-` is standard input.
pub(super) fn read_script(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        stdin().read_to_string(&mut text).context("standard input")?;
    } else {
        text = std::fs::read_to_string(path)
            .map_err(|e| usage_error(format!("{} can't be read: {e}", path.display())))?;
    }
    Ok(without_bom(&text).to_owned())
}

/// Checks that every statement only reads, before anything runs. `source` names the text in
/// messages.
pub(super) fn check_script(script: &[ScriptItem], source: &str) -> anyhow::Result<()> {
    let statements = script.iter().filter_map(|item| match item {
        ScriptItem::Statement(text) => Some(text.as_str()),
        ScriptItem::MetaCommand(_) => None,
    });
    let nothing = script.is_empty().then_some("");
    for text in statements.chain(nothing) {
        check_statement(text, source).map_err(|e| usage_error(e.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_into_items() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = parse_script(text)
                .into_iter()
                .map(|item| match item {
                    ScriptItem::Statement(text) => text,
                    ScriptItem::MetaCommand(text) => format!("command {text}"),
                })
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("SELECT 1", &["SELECT 1"]);
        check("SELECT 1;\nSELECT ';' ;", &["SELECT 1", "\nSELECT ';' "]);
        check("; ;\n-- nothing\n", &[]);
        check(
            "\\d api_calls \nSELECT 1;\n\\q",
            &["command d api_calls", "\nSELECT 1", "command q"],
        );
        check("-- a;\n\\timing off", &["command timing off"]);
        check("SELECT 1 \\d", &["SELECT 1 \\d"]);
    }

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        let check = |text: &str, complete| assert_eq!(is_complete(text), complete, "{text}");
        check("", true);
        check("SELECT 1", false);
        check("SELECT 1; ", true);
        check("SELECT 1; -- done", true);
        check("SELECT ';", false);
        check("SELECT 1 /* ; ", false);
        check("\\d", true);
    }
}
