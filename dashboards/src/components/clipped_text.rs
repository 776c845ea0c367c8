//! Texts that come from events and may be of any length and content.

use domain::format::truncate_to_chars;
use maud::{Markup, html};

/// The length of the longest text of an attribute, in characters.
const ATTRIBUTE_LENGTH: usize = 64;

/// Returns a name of at most `max` characters. A longer one is cut, and shows more of it in a
/// tooltip. The element `bdi` keeps its writing direction apart from that of the text around it.
pub(crate) fn name(text: &str, max: usize) -> Markup {
    html! { bdi title=[tooltip(text, max)] { (truncate_to_chars(text, max)) } }
}

/// Returns the tooltip of a text that is cut to `max` characters. `None`: nothing is cut.
pub(crate) fn tooltip(text: &str, max: usize) -> Option<String> {
    text.chars().nth(max).map(|_| truncate_to_chars(text, ATTRIBUTE_LENGTH.max(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(tooltip("abcd", 4), None);
        assert_eq!(tooltip("abcde", 4).as_deref(), Some("abcde"));
        let long = name(&"\"".repeat(300_000), 40).into_string();
        assert!(long.len() < 800, "{}", long.len());
    }
}
