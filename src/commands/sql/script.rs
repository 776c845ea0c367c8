//! What is to be run, one after the other: statements that end with `;`, and lines that begin with
//! a backslash.

use super::words::{Kind, pieces};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Its text, on the lines where it stands in the whole.
    Statement(String),
    /// Without the backslash.
    Command(String),
}

/// The items of a text; what stands after the last `;` is one too.
pub(super) fn items(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some((item, end)) = next_item(text, from) {
        items.extend(item);
        from = end;
    }
    items
}

/// Whether nothing more is due before it can be run.
pub(super) fn is_complete(text: &str) -> bool {
    if text.trim_start().starts_with('\\') {
        return true;
    }
    let mut meant =
        pieces(text).into_iter().filter(|p| !matches!(p.kind, Kind::Space | Kind::Comment));
    meant.next_back().is_none_or(|last| last.kind == Kind::Semicolon)
}

/// The item that begins at `from`, if it is more than space, and where the next one begins.
fn next_item(text: &str, from: usize) -> Option<(Option<Item>, usize)> {
    let rest = &text[from..];
    if rest.is_empty() {
        return None;
    }
    let mut meant = false;
    for piece in pieces(rest) {
        match piece.kind {
            Kind::Space | Kind::Comment => {}
            Kind::Semicolon => {
                let statement = meant.then(|| statement(text, from, from + piece.at.start));
                return Some((statement, from + piece.at.end));
            }
            Kind::Sign if !meant && rest[piece.at.clone()] == *"\\" => {
                let line = rest[piece.at.end..].lines().next().unwrap_or_default();
                let end = from + piece.at.end + line.len();
                return Some((Some(Item::Command(line.trim().to_owned())), end));
            }
            _ => meant = true,
        }
    }
    Some((meant.then(|| statement(text, from, text.len())), text.len()))
}

/// A part of the text below as many empty lines as stand above it, so that messages count right.
fn statement(text: &str, from: usize, to: usize) -> Item {
    let above = text[..from].matches('\n').count();
    Item::Statement(format!("{}{}", "\n".repeat(above), &text[from..to]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_items() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = items(text)
                .into_iter()
                .map(|item| match item {
                    Item::Statement(text) => text,
                    Item::Command(text) => format!("command {text}"),
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
