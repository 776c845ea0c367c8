//! Tells what a file looks like whose records were all rejected. It quotes names of columns and
//! fields, and no values.
//!
//! - `containers`: archives and binary formats, by their first bytes
//! - `json_shape`: arrays, documents of several lines, and lists under a name
//! - `delimited`: CSV and its kin
//! - `record_fit`: the stream or the recipe that accepts the records

mod containers;
mod delimited;
mod json_shape;
mod record_fit;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::Path;

use domain::Stream;

pub use self::containers::Container;
pub use self::delimited::Delimited;
use self::json_shape::{JsonShape, JsonText};
pub use self::record_fit::RecordFit;
use self::record_fit::fit_of;
use crate::load::compression::Compression;
use crate::load::lines;
use crate::mapping::MappingInput;

/// How much of a file's text is looked at.
const HEAD_BYTES: usize = 256 << 10;
/// How many records are looked at.
const SAMPLE_RECORDS: usize = 50;
/// The longest name of a column or a field that is quoted, in bytes.
const LONGEST_NAME: usize = 32;
/// The most digits in a name that is quoted. What has more is perhaps a value.
const MOST_DIGITS: usize = 3;

/// The beginning of a file's text, decompressed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileHead {
    pub(crate) text: Vec<u8>,
    /// Whether this is the whole text.
    pub(crate) is_whole: bool,
    pub(crate) compression: Option<Compression>,
}

impl FileHead {
    /// Reads the beginning of a file, as far as it can be decompressed.
    ///
    /// # Errors
    /// Fails when the file can't be opened or read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        let compression = lines::compression_of(path)?;
        let read = lines::open(path, u64::MAX)?.take(HEAD_BYTES as u64 + 1).read_to_end(&mut text);
        if let Err(error) = read
            && (error.raw_os_error().is_some() || text.is_empty())
        {
            return Err(error);
        }
        let is_whole = text.len() <= HEAD_BYTES;
        text.truncate(HEAD_BYTES);
        Ok(Self { text, is_whole, compression })
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the command that decompresses the file to standard output, where it is compressed.
    pub fn decompress_command(&self) -> Option<&'static str> {
        self.compression.map(Compression::command)
    }

    /// Returns which archive or binary format it is that holds no lines.
    pub fn container(&self) -> Option<Container> {
        Container::of(&self.text)
    }
}

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFormat {
    pub shape: FileShape,
    /// What accepts its records, once they are one a line.
    pub fit: Option<RecordFit>,
    /// Names of fields of its JSON objects, in their order; none where they may be values.
    pub fields: Vec<String>,
}

/// How a file holds its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileShape {
    /// Nothing, or nothing but white space.
    Blank,
    Container(Container),
    Utf16,
    /// Text in another encoding than UTF-8, such as Latin-1.
    NotUtf8,
    Binary,
    Html,
    Xml,
    Delimited(Delimited),
    /// One JSON array.
    JsonArray,
    /// One JSON object of several lines, or several of them.
    JsonDocument,
    /// A JSON object with a list of records. The name of the list is known where it is no value.
    JsonWrapper {
        member: Option<String>,
    },
    /// A JSON value on each line.
    JsonLines,
    /// It begins like an object of JSON, or a list of them, and is none.
    BrokenJson {
        /// Whether the text ends within its first record.
        is_cut: bool,
    },
    TextLines,
}

impl FileShape {
    /// Whether its records may span lines, so that one that stands on a line does so by accident.
    pub fn spans_lines(&self) -> bool {
        matches!(self, Self::JsonArray | Self::JsonDocument | Self::JsonWrapper { .. })
    }
}

/// Returns what a file looks like that was loaded as `stream`. `arrival` is in µs.
pub fn detect_format(head: &FileHead, stream: Stream, arrival: i64) -> FileFormat {
    let shape = |shape| FileFormat { shape, fit: None, fields: Vec::new() };
    if let Some(container) = head.container() {
        return shape(FileShape::Container(container));
    }
    if containers::is_utf16(&head.text) {
        return shape(FileShape::Utf16);
    }
    let text = match text_of(head) {
        Ok(text) => text,
        Err(other) => return shape(other),
    };
    if text.trim().is_empty() {
        return shape(FileShape::Blank);
    }
    let json = JsonText { text, is_whole: head.is_whole };
    if let Some(shapes) = json.shapes(SAMPLE_RECORDS) {
        return json_format(shapes, stream, arrival);
    }
    text_format(text, head.is_whole, stream, arrival)
}

/// Returns the text without a byte-order mark, or what it is where it is no UTF-8.
fn text_of(head: &FileHead) -> Result<&str, FileShape> {
    let bytes = head.text.strip_prefix(lines::BYTE_ORDER_MARK).unwrap_or(&head.text);
    let is_binary =
        |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    if bytes.contains(&0) || bytes.iter().filter(|b| is_binary(b)).count() * 20 > bytes.len() {
        return Err(FileShape::Binary);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // The end of the head may cut a character in two.
        Err(error) if error.error_len().is_none() && !head.is_whole => {
            let valid = &bytes[..error.valid_up_to()];
            std::str::from_utf8(valid).map_err(|_| FileShape::NotUtf8)
        }
        Err(_) => Err(FileShape::NotUtf8),
    }
}

/// Returns the first of the possible shapes whose records are accepted, or else the first.
fn json_format(shapes: Vec<JsonShape<'_>>, stream: Stream, arrival: i64) -> FileFormat {
    let mut formats = shapes.into_iter().map(|found| FileFormat {
        fit: fit_of(&found.records, MappingInput::Json, stream, arrival),
        fields: json_shape::field_names(&found.records),
        shape: found.shape,
    });
    let Some(first) = formats.next() else {
        return FileFormat { shape: FileShape::Blank, fit: None, fields: Vec::new() };
    };
    if first.fit.is_some() {
        return first;
    }
    // A list of records under a name says more than a line that is no event.
    let rest: Vec<FileFormat> = formats.collect();
    let better = rest.iter().position(|format| format.fit.is_some());
    let is_list = |format: &FileFormat| matches!(format.shape, FileShape::JsonWrapper { .. });
    let chosen = better.or_else(|| rest.iter().position(is_list));
    chosen.and_then(|index| rest.into_iter().nth(index)).unwrap_or(first)
}

fn text_format(text: &str, is_whole: bool, stream: Stream, arrival: i64) -> FileFormat {
    let start = text.trim_start().get(..15).unwrap_or(text).to_ascii_lowercase();
    let shape = |shape| FileFormat { shape, fit: None, fields: Vec::new() };
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        return shape(FileShape::Html);
    }
    if start.starts_with("<?xml") {
        return shape(FileShape::Xml);
    }
    let lines = sample_lines(text, is_whole);
    if let Some(fit) = fit_of(&lines, MappingInput::Text, stream, arrival) {
        return FileFormat { fit: Some(fit), ..shape(FileShape::TextLines) };
    }
    if json_shape::begins_like_json(text) {
        return shape(FileShape::BrokenJson { is_cut: json_shape::ends_within_first(text) });
    }
    shape(match Delimited::of(&lines) {
        Some(delimited) => FileShape::Delimited(delimited),
        None => FileShape::TextLines,
    })
}

/// Returns the first lines that are not blank, without one that the end of the head cuts off.
fn sample_lines(text: &str, is_whole: bool) -> Vec<&str> {
    let end = if is_whole { text.len() } else { text.rfind('\n').unwrap_or(text.len()) };
    text[..end].lines().filter(|line| !line.trim().is_empty()).take(SAMPLE_RECORDS).collect()
}

/// Returns whether a text looks like a name of a field, and not like a value.
fn is_name(text: &str) -> bool {
    is_name_with(text, "")
}

/// Returns whether a text looks like the heading of a column, in which people write more marks.
fn is_heading(text: &str) -> bool {
    is_name_with(text, ",;()[]#%&?'+*")
}

/// Returns whether a text looks like a name that may hold some marks more.
fn is_name_with(text: &str, marks: &str) -> bool {
    let fits = |c: char| {
        c.is_alphanumeric()
            || matches!(c, '_' | '-' | '.' | ' ' | '$' | '/' | ':')
            || marks.contains(c)
    };
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$' | '@'))
        && text.strip_prefix('@').unwrap_or(text).chars().all(fits)
        && text.bytes().filter(u8::is_ascii_digit).count() <= MOST_DIGITS
}
