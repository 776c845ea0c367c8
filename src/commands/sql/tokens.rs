//! Splits SQL text into tokens, also while it is being typed.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword or a name.
    Word,
    /// A name in double quotes or backticks.
    QuotedName,
    Number,
    /// A string in single quotes.
    String,
    Comment,
    Space,
    Semicolon,
    /// Any other character.
    Symbol,
    /// A string, quoted name or comment without its end.
    Unterminated,
}

/// A token and its bytes in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
}

/// Returns the tokens of a text; together they are the whole text.
pub(super) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let (kind, length) = next_token(&text[start..], first);
        tokens.push(Token { kind, range: start..start + length });
        start += length;
    }
    tokens
}

/// Returns kind and length of the token at the start of `rest`.
fn next_token(rest: &str, first: char) -> (TokenKind, usize) {
    let length_while = |is: fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
    match first {
        ';' => (TokenKind::Semicolon, 1),
        '\'' => quoted(rest, first, TokenKind::String),
        '"' | '`' => quoted(rest, first, TokenKind::QuotedName),
        '-' if rest.starts_with("--") => {
            (TokenKind::Comment, rest.find('\n').unwrap_or(rest.len()))
        }
        '/' if rest.starts_with("/*") => block_comment(rest),
        c if c.is_whitespace() => (TokenKind::Space, length_while(char::is_whitespace)),
        c if c.is_ascii_digit() => {
            (TokenKind::Number, length_while(|c| c.is_ascii_alphanumeric() || c == '.'))
        }
        c if is_word_char(c) => (TokenKind::Word, length_while(is_word_char)),
        c => (TokenKind::Symbol, c.len_utf8()),
    }
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Returns a quoted token. A doubled quote ends one token and starts the next.
fn quoted(rest: &str, quote: char, kind: TokenKind) -> (TokenKind, usize) {
    match rest[1..].find(quote) {
        Some(end) => (kind, end + 2),
        None => (TokenKind::Unterminated, rest.len()),
    }
}

/// Returns a block comment; they nest.
fn block_comment(rest: &str) -> (TokenKind, usize) {
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
                return (TokenKind::Comment, at);
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    (TokenKind::Unterminated, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_into_tokens() {
        let check = |text: &str, expected: &[(TokenKind, &str)]| {
            let found: Vec<(TokenKind, &str)> = tokenize(text)
                .into_iter()
                .map(|t| (t.kind, &text[t.range]))
                .filter(|t| t.0 != TokenKind::Space)
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("a;", &[(TokenKind::Word, "a"), (TokenKind::Semicolon, ";")]);
        check("'a;b' \"c;\"", &[(TokenKind::String, "'a;b'"), (TokenKind::QuotedName, "\"c;\"")]);
        check("'it''s'", &[(TokenKind::String, "'it'"), (TokenKind::String, "'s'")]);
        check(
            "$as_of-1.5e3",
            &[(TokenKind::Word, "$as_of"), (TokenKind::Symbol, "-"), (TokenKind::Number, "1.5e3")],
        );
        check("-- a;\nb", &[(TokenKind::Comment, "-- a;"), (TokenKind::Word, "b")]);
        check(
            "/* a /* ; */ ü */ b",
            &[(TokenKind::Comment, "/* a /* ; */ ü */"), (TokenKind::Word, "b")],
        );
        check("'a; b", &[(TokenKind::Unterminated, "'a; b")]);
        check("/* a;", &[(TokenKind::Unterminated, "/* a;")]);
        check(
            "größe≠1",
            &[(TokenKind::Word, "größe"), (TokenKind::Symbol, "≠"), (TokenKind::Number, "1")],
        );
    }
}
