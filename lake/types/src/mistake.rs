//! Mistakes in files that people write: where they stand, and what was probably meant.

use std::fmt;
use std::ops::Range;

/// A place in a text: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// Where a byte of a text stands.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text[..text.floor_char_boundary(offset)];
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line: 1 + before.matches('\n').count(), column: 1 + before[line..].chars().count() }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong in a file of TOML, with where: the parser's `span` and `message`, without the
/// values that it quotes, and with the key that was probably meant.
pub fn toml_mistake(text: &str, span: Option<Range<usize>>, message: &str) -> (Position, String) {
    let position = Position::of(text, span.map_or(0, |span| span.start));
    (position, without_values(&meant(message.trim_end())))
}

/// ``unknown field `rot`, expected one of `root`, `key_file` `` with the one that is near.
fn meant(message: &str) -> String {
    let Some((unknown, expected)) = message.split_once(", expected ") else {
        return message.replace('\n', "; ");
    };
    let quoted = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let given = quoted(unknown);
    let mut known = quoted(expected);
    if let Some(plain) = expected.strip_prefix("one of ").filter(|_| known.is_empty()) {
        known = plain.split(", ").map(str::to_owned).collect();
    }
    let is_name = unknown.starts_with("unknown ");
    match given.first().filter(|_| is_name && !known.is_empty()) {
        Some(given) => match nearest(given, known.iter().map(String::as_str)) {
            Some(other) => format!("{unknown}; did you mean `{other}`?"),
            None => format!("{unknown}; there are {}", known.join(", ")),
        },
        None => message.replace('\n', "; "),
    }
}

/// A value of the wrong type may be a secret that stands where it should not.
fn without_values(message: &str) -> String {
    let Some((before, rest)) = message.split_once("string \"") else { return message.to_owned() };
    match rest.rsplit_once("\", expected") {
        Some((_, expected)) => format!("{before}text, expected{expected}"),
        None => message.to_owned(),
    }
}

/// The known name nearest to one that is not, where one is near: at most a third of it differs.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = (lower.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        #[track_caller]
        fn check(name: &str, expected: Option<&str>) {
            let known = ["partner_id", "partner_ids", "calls", "month"];
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        check("partnr_id", Some("partner_id"));
        check("parnter_id", Some("partner_id"));
        check("Calls", Some("calls"));
        check("callls", Some("calls"));
        check("week", None);
        check("", None);
    }

    #[test]
    fn positions_count_characters() {
        let check = |text: &str, offset, line, column| {
            assert_eq!(Position::of(text, offset), Position { line, column });
        };
        check("", 0, 1, 1);
        check("é = 1\nb = 2", "é = 1\nb".len(), 2, 2);
        check("é = 1", 1, 1, 1);
        check("a\n", 9, 2, 1);
    }

    #[test]
    fn messages_of_the_parser_become_ours() {
        #[track_caller]
        fn check(message: &str, expected: &str) {
            assert_eq!(toml_mistake("", None, message).1, expected);
        }
        check(
            "unknown field `rot`, expected one of `root`, `key_file`",
            "unknown field `rot`; did you mean `root`?",
        );
        check(
            "unknown signal `error`, expected one of errors, growth",
            "unknown signal `error`; did you mean `errors`?",
        );
        check(
            "unknown field `x`, expected `root` or `key_file`",
            "unknown field `x`; there are root, key_file",
        );
        check(
            "invalid type: string \"hun\"ter2\", expected a map",
            "invalid type: text, expected a map",
        );
        check("unclosed table, expected `]`", "unclosed table, expected `]`");
        check("a\nb", "a; b");
    }
}
