//! Reads the lines of a file, decompressed where needed, with their positions in the text.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use crate::decode::MAX_RECORD_BYTES;
use crate::load::compression::{Compression, MAGIC_BYTES};

/// The number of bytes that are read from a file at once.
pub(crate) const READ_BUFFER_BYTES: usize = 1 << 20;

/// The byte-order mark of UTF-8, which some editors and spreadsheets put in front of a text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a file line by line.
pub(crate) struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// The position in the text where the next line begins.
    end: u64,
    /// The position in the text where the current line ends.
    line_end: u64,
}

impl Lines {
    /// Opens the first `bytes` bytes of the file on disk, because the file may grow while it is
    /// read. A byte-order mark in front is no part of the first line, whatever the format; positions
    /// in the text count it.
    pub(crate) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut reader = open(path, bytes)?;
        let mut start = Vec::with_capacity(BYTE_ORDER_MARK.len());
        reader.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
        let (reader, end): (Box<dyn BufRead + Send>, u64) = match start == BYTE_ORDER_MARK {
            true => (reader, start.len() as u64),
            false => (Box::new(Cursor::new(start).chain(reader)), 0),
        };
        Ok(Self { reader, line: Vec::new(), end, line_end: end })
    }

    /// Reads the next line. Returns whether there is one. A line that is too large to be accepted
    /// is kept only up to one byte more than the limit. A return at the end of the text may be half
    /// of a line end whose other half is not written yet, so it is not part of the line.
    pub(crate) fn next(&mut self) -> io::Result<bool> {
        self.line.clear();
        let start = self.end;
        let mut ends_in_return = false;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                self.line_end = self.end - u64::from(ends_in_return);
                self.line.pop_if(|b| *b == b'\r');
                return Ok(self.end > start);
            }
            let end = available.iter().position(|b| *b == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = (MAX_RECORD_BYTES + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            ends_in_return = part.last().map_or(ends_in_return, |b| *b == b'\r');
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.end += used as u64;
            if end.is_some() {
                self.line_end = self.end - 1 - u64::from(ends_in_return);
                self.line.pop_if(|b| *b == b'\r');
                return Ok(true);
            }
        }
    }

    /// Returns the current line without its end.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Returns the number of bytes of text before the end of the current line, without the line
    /// end.
    pub(crate) fn line_end(&self) -> i64 {
        i64::try_from(self.line_end).unwrap_or(i64::MAX)
    }

    /// Returns the number of bytes of text that were read.
    pub(crate) fn end(&self) -> i64 {
        i64::try_from(self.end).unwrap_or(i64::MAX)
    }
}

/// Opens the text of a file's first `bytes` bytes, decompressed where it is compressed.
pub(super) fn open(path: &Path, bytes: u64) -> io::Result<Box<dyn BufRead + Send>> {
    let compression = compression_of(path)?;
    let file = BufReader::with_capacity(READ_BUFFER_BYTES, File::open(path)?.take(bytes));
    match compression {
        Some(compression) => compression.reader(file),
        None => Ok(Box::new(file)),
    }
}

/// Returns how a file is compressed.
pub(super) fn compression_of(path: &Path) -> io::Result<Option<Compression>> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    File::open(path)?.take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    Ok(Compression::of(&magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_end_positions() {
        let check = |text: &str, expected: &[(&str, i64, i64)]| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("written");
            let mut lines = Lines::open(file.path(), text.len() as u64).expect("opened");
            let mut found = Vec::new();
            while lines.next().expect("read") {
                let line = String::from_utf8_lossy(lines.line()).into_owned();
                found.push((line, lines.line_end(), lines.end()));
            }
            let expected: Vec<_> =
                expected.iter().map(|(line, at, end)| ((*line).to_owned(), *at, *end)).collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("", &[]);
        check("\n", &[("", 0, 1)]);
        check("a\r\nbc\n", &[("a", 1, 3), ("bc", 5, 6)]);
        check("a\n\r\nb", &[("a", 1, 2), ("", 2, 4), ("b", 5, 5)]);
        check("a\r", &[("a", 1, 2)]);
        check("a\rb", &[("a\rb", 3, 3)]);
        // A byte-order mark in front is no part of a line; a part of one is, and so is one within.
        check("\u{feff}a\nb", &[("a", 4, 5), ("b", 6, 6)]);
        check("\u{feff}", &[]);
        check("\u{feff}\r\n", &[("", 3, 5)]);
        check("a\n\u{feff}b\n", &[("a", 1, 2), ("\u{feff}b", 6, 7)]);
        check("\u{feff}\u{feff}a", &[("\u{feff}a", 7, 7)]);
        let long = "x".repeat(MAX_RECORD_BYTES + 9);
        let kept = &long[..=MAX_RECORD_BYTES];
        let end = MAX_RECORD_BYTES as i64 + 9;
        check(&format!("{long}\r\ny"), &[(kept, end, end + 2), ("y", end + 3, end + 3)]);
    }

    #[test]
    fn a_growing_file_is_read_up_to_its_known_length() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "a\nb\nc\n").expect("written");
        let mut lines = Lines::open(file.path(), 3).expect("opened");
        assert!(lines.next().expect("read") && lines.next().expect("read"));
        assert_eq!(lines.line(), b"b");
        assert!(!lines.next().expect("read"));
    }
}
