//! Line and column in a text.

use std::fmt;

/// A position in a text: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// Returns the position of a byte of the text. An offset past the end is the end.
    pub fn at_offset(text: &str, offset: usize) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let check = |text: &str, offset, line, column| {
            assert_eq!(Position::at_offset(text, offset), Position { line, column });
        };
        check("", 0, 1, 1);
        check("é = 1\nb = 2", "é = 1\nb".len(), 2, 2);
        check("é = 1", 1, 1, 1);
        check("a\n", 9, 2, 1);
    }
}
