//! Errors of the TOML parser, reworded for people.

use std::ops::Range;

use crate::closest_name::closest_name;
use crate::text_position::Position;

/// Turns the parser's `span` and `message` into a position and a message for people: without the
/// values that the parser quotes, and with the key that was probably meant.
pub fn toml_error(text: &str, span: Option<Range<usize>>, message: &str) -> (Position, String) {
    let position = Position::at_offset(text, span.map_or(0, |span| span.start));
    (position, without_values(&with_suggestion(message.trim_end())))
}

/// Rewrites ``unknown field `rot`, expected one of `root`, `key_file` `` so that it suggests the
/// closest name.
fn with_suggestion(message: &str) -> String {
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
        Some(given) => match closest_name(given, known.iter().map(String::as_str)) {
            Some(other) => format!("{unknown}; did you mean `{other}`?"),
            None => format!("{unknown}; there are {}", known.join(", ")),
        },
        None => message.replace('\n', "; "),
    }
}

/// Removes a quoted value of the wrong type, which may be a secret in the wrong place.
fn without_values(message: &str) -> String {
    let Some((before, rest)) = message.split_once("string \"") else { return message.to_owned() };
    match rest.rsplit_once("\", expected") {
        Some((_, expected)) => format!("{before}text, expected{expected}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parser_messages_are_reworded() {
        #[track_caller]
        fn check(message: &str, expected: &str) {
            assert_eq!(toml_error("", None, message).1, expected);
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
