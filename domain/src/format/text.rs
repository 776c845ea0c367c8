//! Lists, labels, capitals, and texts cut to a width.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::NARROW_NO_BREAK_SPACE;

/// What stands where a value is not known.
pub const UNKNOWN: &str = "n/a";

/// Writes a value, or [`UNKNOWN`] where there is none: a missing value is never left blank.
pub fn known_or_unknown<T>(value: Option<T>, write: impl Fn(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), write)
}

/// Joins items into a list inside a sentence: `Harbourline`, `A and B`, `A, B and C`.
pub fn joined_with_and(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// Returns the name of something, or its id where it has none; control characters, line breaks
/// included, become spaces.
pub fn name_or_id(name: Option<&str>, id: &str) -> String {
    let text = name.filter(|n| !n.trim().is_empty()).unwrap_or(id);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Sets the first letter in upper case.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// Cuts a text to at most `max` characters, the last of which is an ellipsis if any were cut off.
pub fn truncate_to_chars(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Keeps each percent sign of a text on the line of its number.
pub fn keep_percent_together(text: &str) -> String {
    text.replace(" %", &format!("{NARROW_NO_BREAK_SPACE}%"))
}

/// Returns how many columns of a terminal a text takes: Chinese characters and emoji take two.
pub fn display_width(text: &str) -> usize {
    text.width()
}

/// Cuts a text to at most `max` columns of a terminal, the last of which is an ellipsis if anything
/// was cut off.
pub fn truncate_to_width(text: &str, max: usize) -> Cow<'_, str> {
    if display_width(text) <= max {
        return Cow::Borrowed(text);
    }
    let mut width = 1;
    let fits = |(_, c): &(usize, char)| {
        width += c.width().unwrap_or(0);
        width <= max
    };
    let end = text.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_lists() {
        assert_eq!(name_or_id(Some(" "), "w-1"), "w-1");
        assert_eq!(name_or_id(Some("a\nb"), "w-1"), "a b");
        assert_eq!(
            joined_with_and(&["A".to_owned(), "B".to_owned(), "C".to_owned()]),
            "A, B and C"
        );
        assert_eq!(capitalized("élan"), "Élan");
        assert_eq!(keep_percent_together("1.0 % → 17 %"), "1.0\u{202f}% → 17\u{202f}%");
        assert_eq!(known_or_unknown(None::<f64>, crate::format::percent), "n/a");
    }

    #[test]
    fn texts_are_cut() {
        assert_eq!(truncate_to_chars("abcdef", 4), "abc…");
        assert_eq!(truncate_to_chars("abcd", 4), "abcd");
        assert_eq!(truncate_to_width("株式会社", 5), "株式…");
        assert_eq!(truncate_to_width("株式会社", 8), "株式会社");
        assert_eq!(truncate_to_width("abcdef", 4), "abc…");
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        let check = |text: &str, width| assert_eq!(display_width(text), width, "{text}");
        check("abc", 3);
        check("株式会社", 8);
        check("👩\u{200d}💻", 2);
        check("e\u{301}", 1);
    }
}
