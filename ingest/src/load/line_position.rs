//! `$position` of a line in a file: it depends on the text alone, so that the same line has the same
//! position in a file that was renamed, compressed, fetched again, or has grown.

use aws_lc_rs::digest::{Context, SHA256};

/// The number of bytes of a digest that stand in a position.
const DIGEST_BYTES: usize = 6;

/// Names the lines of one file. It must see the first line before any other.
#[derive(Default)]
pub(crate) struct LinePositions {
    /// The digest of the first line, which goes on with another line.
    first_line: Option<Context>,
}

impl LinePositions {
    /// Notes the first line of the file.
    pub(crate) fn begin(&mut self, first_line: &[u8]) {
        self.first_line = Some(digest_of(first_line));
    }

    /// Returns the position of a line: `file#`, twelve hex digits of the SHA-256 of the file's first
    /// line and this one, and the line's number from 0. Two files have a line of the same position
    /// only if the line and the first line are the same in both.
    pub(crate) fn position(&self, line: &[u8], number: i64) -> String {
        let mut digest = match &self.first_line {
            Some(first_line) if number > 0 => first_line.clone(),
            _ => digest_of(line),
        };
        digest.update(line);
        let digest = digest.finish();
        format!("file#{}/{number}", hex::encode(&digest.as_ref()[..DIGEST_BYTES]))
    }
}

fn digest_of(first_line: &[u8]) -> Context {
    let mut digest = Context::new(&SHA256);
    digest.update(first_line);
    digest.update(b"\n");
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_depends_on_the_line_its_number_and_the_first_line() {
        let mut positions = LinePositions::default();
        positions.begin(b"a");
        let first = positions.position(b"a", 0);
        assert_eq!(first, LinePositions::default().position(b"a", 0));
        let second = positions.position(b"b", 1);
        assert!(
            second.starts_with("file#") && second.ends_with("/1") && second.len() == 19,
            "{second}"
        );
        assert_ne!(positions.position(b"b", 2), second);
        assert_ne!(positions.position(b"c", 1), second);
        let mut others = LinePositions::default();
        others.begin(b"x");
        assert_ne!(others.position(b"b", 1), second);
    }
}
