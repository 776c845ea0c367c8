//! Text files that people write.

/// Returns the text without the byte-order mark that some editors and spreadsheets put in front.
pub(crate) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
