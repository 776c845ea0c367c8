//! A command line for a POSIX shell that runs as it is printed.

use std::borrow::Cow;

/// Returns words as a command line. A word with other characters than those of names and options
/// is quoted.
pub(super) fn shell_command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    // An interactive shell expands `!` inside double quotes, and nothing can prevent it there.
    if word.contains('!') {
        return Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")));
    }
    let mut text = String::with_capacity(word.len() + 2);
    text.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        #[track_caller]
        fn check(word: &str, expected: &str) {
            assert_eq!(shell_command(["rapport", word]), format!("rapport {expected}"));
        }
        check("--as-of", "--as-of");
        check("2026-11-28", "2026-11-28");
        check("SELECT 'a'", "\"SELECT 'a'\"");
        check("a\"b$c`d\\", "\"a\\\"b\\$c\\`d\\\\\"");
        check("it's!", r"'it'\''s!'");
        check("", "\"\"");
    }

    #[test]
    fn a_shell_reads_the_words_back() {
        for word in ["a b", "it's!", "$HOME `id` \\ \"x\"", "é*?~#;&|<>()", "", "!", "a\nb"] {
            let line = shell_command(["printf", "%s", word]);
            let output = Command::new("sh").args(["-c", &line]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), word, "{line}");
        }
    }
}
