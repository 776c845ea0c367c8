//! SQL text taken apart into words, strings, comments and the rest, also while it is being typed.

use std::ops::Range;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name.
    Word,
    /// A name in double quotes or backticks.
    Quoted,
    Number,
    /// In single quotes.
    Text,
    Comment,
    Space,
    Semicolon,
    /// Any other character.
    Sign,
    /// A string, quoted name or comment that has no end.
    Open,
}

/// A piece, and the bytes it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) at: Range<usize>,
}

/// Every piece from the first byte to the last.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let (kind, length) = piece(&text[start..], first);
        pieces.push(Piece { kind, at: start..start + length });
        start += length;
    }
    pieces
}

/// Kind and length of the piece at the start of `rest`.
fn piece(rest: &str, first: char) -> (Kind, usize) {
    let while_is = |is: fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
    match first {
        ';' => (Kind::Semicolon, 1),
        '\'' => quoted(rest, first, Kind::Text),
        '"' | '`' => quoted(rest, first, Kind::Quoted),
        '-' if rest.starts_with("--") => (Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => block_comment(rest),
        c if c.is_whitespace() => (Kind::Space, while_is(char::is_whitespace)),
        c if c.is_ascii_digit() => {
            (Kind::Number, while_is(|c| c.is_ascii_alphanumeric() || c == '.'))
        }
        c if is_of_word(c) => (Kind::Word, while_is(is_of_word)),
        c => (Kind::Sign, c.len_utf8()),
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// A quote that is doubled stands for itself: it ends one piece and begins the next.
fn quoted(rest: &str, quote: char, kind: Kind) -> (Kind, usize) {
    match rest[1..].find(quote) {
        Some(end) => (kind, end + 2),
        None => (Kind::Open, rest.len()),
    }
}

/// Comments nest.
fn block_comment(rest: &str) -> (Kind, usize) {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return (Kind::Comment, at);
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    (Kind::Open, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_taken_apart() {
        let check = |text: &str, expected: &[(Kind, &str)]| {
            let found: Vec<(Kind, &str)> =
                pieces(text).into_iter().map(|p| (p.kind, &text[p.at])).collect();
            let meant: Vec<_> = found.into_iter().filter(|p| p.0 != Kind::Space).collect();
            assert_eq!(meant, expected, "{text}");
        };
        check("a;", &[(Kind::Word, "a"), (Kind::Semicolon, ";")]);
        check("'a;b' \"c;\"", &[(Kind::Text, "'a;b'"), (Kind::Quoted, "\"c;\"")]);
        check("'it''s'", &[(Kind::Text, "'it'"), (Kind::Text, "'s'")]);
        check(
            "$as_of-1.5e3",
            &[(Kind::Word, "$as_of"), (Kind::Sign, "-"), (Kind::Number, "1.5e3")],
        );
        check("-- a;\nb", &[(Kind::Comment, "-- a;"), (Kind::Word, "b")]);
        check("/* a /* ; */ ü */ b", &[(Kind::Comment, "/* a /* ; */ ü */"), (Kind::Word, "b")]);
        check("'a; b", &[(Kind::Open, "'a; b")]);
        check("/* a;", &[(Kind::Open, "/* a;")]);
        check("größe≠1", &[(Kind::Word, "größe"), (Kind::Sign, "≠"), (Kind::Number, "1")]);
    }
}
