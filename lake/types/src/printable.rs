//! Text as a person may read it: characters that command a terminal, or mislead the eye, are
//! written out (`\u{1b}`). Data that programs read is never passed through here.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A text of one line: a line break is written out too, so that no value forges a row.
///
/// Written out are control characters (C0, DEL and C1), the marks that turn the direction of text,
/// characters of no width, and the separators of lines and paragraphs. What joins letters or emoji
/// stays where it joins something.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same of a text that is not needed any more.
pub fn into_printable(text: String) -> String {
    match printable(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(printable) => printable,
    }
}

/// A text of several lines: line breaks and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// How many columns of a terminal a text takes: letters of Chinese, and emoji, take two.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The text cut to so many columns, where it takes more; what is left out shows as an ellipsis.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if columns(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut taken = 1;
    let fits = |(_, c): &(usize, char)| {
        taken += c.width().unwrap_or(0);
        taken <= most
    };
    let end = text.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    Cow::Owned(format!("{}…", &text[..end]))
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let joins = is_joiner(c) && is_joined(before) && is_joined(rest.peek().copied());
        match c {
            c if kept(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_misleading(c) && !joins => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
        before = Some(c);
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Joins letters of some scripts, and the emoji of one picture.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_joined(c: Option<char>) -> bool {
    c.is_some_and(|c| !c.is_ascii() && !is_misleading(c))
}

fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // No width, or none that is seen.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}'
            // Turn the direction of what follows.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            // End a line or a paragraph.
            | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_commands_or_misleads_is_written_out() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(printable(text), expected);
        }
        check("p-000001", "p-000001");
        check("Zürich, 株式会社 👩\u{200d}💻 ❤\u{fe0f}", "Zürich, 株式会社 👩\u{200d}💻 ❤\u{fe0f}");
        check("x\u{1b}[2Jy", "x\\u{1b}[2Jy");
        check("a\r\nb\tc\0", "a\\r\\nb\\tc\\u{0}");
        check("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m");
        check("user\u{202e}txt.exe", "user\\u{202e}txt.exe");
        check(
            "\u{2067}\u{200f}\u{200b}\u{feff}\u{2028}",
            "\\u{2067}\\u{200f}\\u{200b}\\u{feff}\\u{2028}",
        );
        check("pay\u{200d}pal", "pay\\u{200d}pal");
        check("می\u{200c}خواهم", "می\u{200c}خواهم");
        check("a\u{e0041}", "a\\u{e0041}");
    }

    #[test]
    fn lines_stay_where_they_may() {
        assert_eq!(printable_lines("a\n\tb\r\u{1b}c"), "a\n\tb\\r\\u{1b}c");
        assert!(matches!(printable_lines("a\nb"), Cow::Borrowed(_)));
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        let check = |text: &str, width| assert_eq!(columns(text), width, "{text}");
        check("abc", 3);
        check("株式会社", 8);
        check("👩\u{200d}💻", 2);
        check("e\u{301}", 1);
        assert_eq!(cut("株式会社", 5), "株式…");
        assert_eq!(cut("株式会社", 8), "株式会社");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    proptest! {
        #[test]
        fn nothing_printable_commands_a_terminal(text in "\\PC*|(?s:.)*") {
            let shown = printable(&text);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(printable(&shown), shown.as_ref());
        }
    }
}
