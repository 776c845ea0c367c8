//! What is being typed: its text, the cursor, and how they are drawn.

use super::complete::KEYWORDS;
use super::keys::Key;
use super::words::{Kind, pieces};

/// Before the first line, and before those that go on with it.
const PROMPT: &str = "rapport> ";
const MORE: &str = "      -> ";

/// A text of one line or several, and a place in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// A byte between two characters.
    pub(super) cursor: usize,
}

impl Line {
    /// A text with the cursor at its end.
    pub(super) fn of(text: String) -> Self {
        Self { cursor: text.len(), text }
    }

    /// Changes text and cursor as a key does; others do nothing.
    pub(super) fn edit(&mut self, key: Key) {
        let before = self.text[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at);
        let after = self.text[self.cursor..].chars().next().map_or(0, char::len_utf8) + self.cursor;
        match key {
            Key::Char(c) => self.put(self.cursor, &c.to_string()),
            Key::Enter => self.put(self.cursor, "\n"),
            Key::Backspace => self.put(before, ""),
            Key::Delete => drop(self.text.drain(self.cursor..after)),
            Key::Left => self.cursor = before,
            Key::Right => self.cursor = after,
            Key::Home => self.cursor = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1),
            Key::End => {
                let rest = &self.text[self.cursor..];
                self.cursor += rest.find('\n').unwrap_or(rest.len());
            }
            Key::EraseBefore => self.put(0, ""),
            Key::EraseAfter => self.text.truncate(self.cursor),
            Key::EraseWord => {
                let typed = self.text[..self.cursor].trim_end();
                self.put(typed.rfind(char::is_whitespace).map_or(0, |at| at + 1), "");
            }
            _ => {}
        }
    }

    /// Puts text in the place of what stands from `start` to the cursor.
    pub(super) fn put(&mut self, start: usize, text: &str) {
        self.text.replace_range(start..self.cursor, text);
        self.cursor = start + text.len();
    }
}

/// Bytes for the terminal, and the row that the cursor then stands in, counted from the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Drawing {
    pub(super) text: String,
    pub(super) row: usize,
    /// Rows below the cursor's.
    pub(super) below: usize,
}

/// Draws a line over the one before it, whose cursor stands in `row`.
pub(super) fn draw(line: &Line, row: usize, width: usize, colour: bool) -> Drawing {
    let mut text = String::from("\r");
    if row > 0 {
        text.push_str(&format!("\x1b[{row}A"));
    }
    text.push_str("\x1b[J");
    text.push_str(PROMPT);
    let mut at = (0, PROMPT.len());
    let mut cursor = at;
    for piece in pieces(&line.text) {
        let start = piece.at.start;
        let part = &line.text[piece.at.clone()];
        let style = if colour { style(piece.kind, part) } else { "" };
        text.push_str(style);
        for (offset, c) in part.char_indices() {
            if start + offset == line.cursor {
                cursor = at;
            }
            if c == '\n' {
                text.push_str(&format!("\r\n{MORE}"));
                at = (at.0 + 1, MORE.len());
            } else {
                text.push(c);
                at.1 += 1;
            }
            // The terminal would break the row only with the next character.
            if at.1 >= width {
                text.push_str("\r\n");
                at = (at.0 + 1, 0);
            }
        }
        if !style.is_empty() {
            text.push_str("\x1b[0m");
        }
    }
    if line.cursor == line.text.len() {
        cursor = at;
    }
    let below = at.0 - cursor.0;
    if below > 0 {
        text.push_str(&format!("\x1b[{below}A"));
    }
    text.push('\r');
    if cursor.1 > 0 {
        text.push_str(&format!("\x1b[{}C", cursor.1));
    }
    Drawing { text, row: cursor.0, below }
}

/// Keywords bold, strings green, comments dim.
fn style(kind: Kind, text: &str) -> &'static str {
    match kind {
        Kind::Text => "\x1b[32m",
        Kind::Comment => "\x1b[2m",
        Kind::Word if KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) => "\x1b[1m",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_change_the_line() {
        let check = |keys: &[Key], text: &str, cursor: usize| {
            let mut line = Line::of("aé b".to_owned());
            keys.iter().for_each(|key| line.edit(*key));
            assert_eq!((line.text.as_str(), line.cursor), (text, cursor), "{keys:?}");
        };
        check(&[Key::Char('c')], "aé bc", 6);
        check(&[Key::Backspace, Key::Backspace, Key::Backspace], "a", 1);
        check(&[Key::Home, Key::Delete, Key::Delete, Key::Delete], "b", 0);
        check(&[Key::Left, Key::Left, Key::Left, Key::Char('x')], "axé b", 2);
        check(&[Key::Left, Key::Left, Key::Left, Key::Left, Key::Left], "aé b", 0);
        check(&[Key::Right], "aé b", 5);
        check(&[Key::Left, Key::EraseAfter], "aé ", 4);
        check(&[Key::Left, Key::EraseBefore], "b", 0);
        check(&[Key::EraseWord], "aé ", 4);
        check(&[Key::EraseWord, Key::EraseWord, Key::EraseWord], "", 0);
        check(&[Key::Enter, Key::Char('c'), Key::Home], "aé b\nc", 6);
        check(&[Key::Enter, Key::Char('c'), Key::Home, Key::End], "aé b\nc", 7);
        check(&[Key::Unknown, Key::Tab], "aé b", 5);
    }

    #[test]
    fn lines_are_drawn_where_they_break() {
        let check = |line: Line, row, expected: &str, stands: (usize, usize)| {
            let drawing = draw(&line, row, 20, false);
            assert_eq!((drawing.row, drawing.below), stands, "{line:?}");
            assert_eq!(drawing.text, expected, "{line:?}");
        };
        let line = |text: &str, cursor| Line { text: text.to_owned(), cursor };
        check(line("ab", 2), 0, "\r\x1b[Jrapport> ab\r\x1b[11C", (0, 0));
        check(line("ab", 1), 2, "\r\x1b[2A\x1b[Jrapport> ab\r\x1b[10C", (0, 0));
        check(line("a\nb", 0), 0, "\r\x1b[Jrapport> a\r\n      -> b\x1b[1A\r\x1b[9C", (0, 1));
        check(line("01234567890", 11), 0, "\r\x1b[Jrapport> 01234567890\r\n\r", (1, 0));
        let coloured = draw(&line("SELECT 'a'", 0), 0, 80, true);
        assert!(coloured.text.contains("\x1b[1mSELECT\x1b[0m \x1b[32m'a'\x1b[0m"), "{coloured:?}");
    }
}
