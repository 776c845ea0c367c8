//! Writes out the characters of a text that command a terminal or mislead the eye: `\u{1b}`.
//!
//! Data that programs read never passes through here.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes a text of one line. Line breaks are escaped too, so that no value forges a row.
///
/// Escaped are control characters (C0, DEL and C1), marks that change the direction of text,
/// characters without width, and the separators of lines and paragraphs. Joiners of letters or
/// emoji stay where they join something.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Escapes a text of one line, and reuses the text if nothing is to escape.
pub fn into_printable(text: String) -> String {
    reused(text, printable)
}

/// Escapes a text of several lines. Line breaks and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// Escapes a text of several lines, and reuses the text if nothing is to escape.
pub fn into_printable_lines(text: String) -> String {
    reused(text, printable_lines)
}

/// Returns the escaped text, or the text itself if nothing is to escape.
fn reused(text: String, escape: fn(&str) -> Cow<'_, str>) -> String {
    match escape(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

/// Whole pages pass through here, so runs of plain ASCII are skipped and copied at once.
fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let mut out = String::new();
    // Where the part begins that is not copied yet, and the character to look at.
    let (mut copied, mut at) = (0, 0);
    while let Some(plain) = text.as_bytes()[at..].iter().position(|byte| !is_plain(*byte)) {
        at += plain;
        let Some(c) = text[at..].chars().next() else { break };
        let next = at + c.len_utf8();
        let joins = is_joiner(c)
            && is_joined(text[..at].chars().next_back())
            && is_joined(text[next..].chars().next());
        if is_misleading(c) && !joins && !kept(c) {
            out.push_str(&text[copied..at]);
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            }
            copied = next;
        }
        at = next;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Returns whether a byte is a printable character of ASCII, which is never escaped.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Returns whether a character joins letters of some scripts, or several emoji into one.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_joined(c: Option<char>) -> bool {
    c.is_some_and(|c| !c.is_ascii() && !is_misleading(c))
}

fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Without width, or invisible.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}'
            // Change the direction of what follows.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            // Separate lines or paragraphs.
            | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commanding_and_misleading_characters_are_escaped() {
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
    fn line_breaks_stay_in_texts_of_several_lines() {
        assert_eq!(printable_lines("a\n\tb\r\u{1b}c"), "a\n\tb\\r\\u{1b}c");
        assert!(matches!(printable_lines("a\nb"), Cow::Borrowed(_)));
        assert_eq!(into_printable_lines("·\n\u{9b}é\u{1b}".to_owned()), "·\n\\u{9b}é\\u{1b}");
        assert_eq!(into_printable_lines("·\n".to_owned()), "·\n");
    }

    proptest! {
        #[test]
        fn no_escaped_text_commands_a_terminal(text in "\\PC*|(?s:.)*") {
            let shown = printable(&text);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(printable(&shown), shown.as_ref());
        }

        #[test]
        fn characters_are_escaped_one_by_one_wherever_they_stand(text in "([ -~]|(?s:.)){0,40}") {
            // Only joiners look at what stands beside them.
            let text: String = text.chars().filter(|c| !is_joiner(*c)).collect();
            let one_by_one: String =
                text.chars().map(|c| printable(&c.to_string()).into_owned()).collect();
            prop_assert_eq!(printable(&text), one_by_one);
        }
    }
}
