//! A fast parser for what producers usually write: one JSON object of strings without escapes,
//! numbers without exponents, booleans and nulls. Any other text goes to the JSON parser, which
//! alone decides what is wrong with it.

use std::borrow::Cow;

use super::json::{MAX_FIELDS, ParsedObject, Slot};

/// The names of the known fields, and the order in which they come.
pub(super) struct FieldNames {
    list: Vec<&'static str>,
    /// Each name as it is written: in quotes and followed by a colon.
    written: Vec<Box<[u8]>>,
    /// For each slot, the slot that followed it last time. The last entry is for the start of the
    /// object and for unknown members. Producers write their fields in a constant order.
    next_slot: [u8; MAX_FIELDS + 1],
}

impl FieldNames {
    /// Prepares the names of the known fields, in the order of their slots.
    pub(super) fn new(list: Vec<&'static str>) -> Self {
        let written = list.iter().map(|name| format!("\"{name}\":").into_bytes().into());
        let written = written.collect();
        Self { list, written, next_slot: [0; MAX_FIELDS + 1] }
    }

    /// Returns the names in the order of their slots.
    pub(super) fn list(&self) -> &[&'static str] {
        &self.list
    }
}

/// Parses the object into an empty `object`. Returns `false` where the text needs the JSON parser;
/// then `object` is in an undefined state.
pub(super) fn object<'a>(
    text: &'a str,
    names: &mut FieldNames,
    object: &mut ParsedObject<'a>,
) -> bool {
    let mut reader = FastPathReader { text, at: 0 };
    reader.object(names, object).is_some()
}

/// Reads tokens from a position in the text.
struct FastPathReader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> FastPathReader<'a> {
    fn object(&mut self, names: &mut FieldNames, object: &mut ParsedObject<'a>) -> Option<()> {
        self.expect(b'{')?;
        let mut before = MAX_FIELDS;
        loop {
            match self.name(names, before)? {
                Ok(slot) => {
                    self.value(&mut object.slots[slot])?;
                    before = slot;
                }
                Err(unknown) => {
                    self.skip_white_space();
                    let start = self.at;
                    self.value(&mut Slot::Absent)?;
                    let value = &self.text[start..self.at];
                    object.unknown.push((Cow::Borrowed(unknown), Cow::Borrowed(value)));
                    before = MAX_FIELDS;
                }
            }
            match self.token()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.skip_white_space();
        (self.at == self.text.len()).then_some(())
    }

    /// Reads a member's name and the colon after it. Returns its slot, or the name when it is
    /// unknown.
    #[inline]
    fn name(&mut self, names: &mut FieldNames, before: usize) -> Option<Result<usize, &'a str>> {
        let expected = usize::from(names.next_slot[before]);
        let written = names.written.get(expected)?;
        if starts_with_word(&self.text.as_bytes()[self.at..], written) {
            self.at += written.len();
            return Some(Ok(expected));
        }
        self.other_name(names, before)
    }

    #[inline(never)]
    fn other_name(
        &mut self,
        names: &mut FieldNames,
        before: usize,
    ) -> Option<Result<usize, &'a str>> {
        self.expect(b'"')?;
        let name = self.string()?;
        self.expect(b':')?;
        let Some(slot) = names.list.iter().position(|n| *n == name) else {
            return Some(Err(name));
        };
        names.next_slot[before] = slot as u8;
        Some(Ok(slot))
    }

    /// Reads a value in index, because moving it would cost more than reading it.
    #[inline]
    fn value(&mut self, slot: &mut Slot<'a>) -> Option<()> {
        let first = self.token()?;
        let start = self.at - 1;
        let rest = &self.text.as_bytes()[start..];
        match first {
            b'"' => *slot = Slot::Text(Cow::Borrowed(self.string()?)),
            b'-' | b'0'..=b'9' => {
                let (length, value) = number(rest)?;
                self.at = start + length;
                *slot = value.map_or(Slot::Number(&self.text[start..self.at]), Slot::Long);
            }
            b'n' if rest.starts_with(b"null") => {
                *slot = Slot::Null;
                self.at += 3;
            }
            b't' if rest.starts_with(b"true") => {
                *slot = Slot::Bool;
                self.at += 3;
            }
            b'f' if rest.starts_with(b"false") => {
                *slot = Slot::Bool;
                self.at += 4;
            }
            _ => return None,
        }
        Some(())
    }

    /// Reads the inside of a string literal whose opening quote has been read.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        let length = quoted_length(&self.text.as_bytes()[self.at..])?;
        let inside = &self.text[self.at..self.at + length];
        self.at += length + 1;
        Some(inside)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.token()? == byte).then_some(())
    }

    /// Returns the next byte that is not white space.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        if *bytes.get(self.at)? <= b' ' {
            self.skip_white_space();
        }
        let byte = *bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline(never)]
    fn skip_white_space(&mut self) {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

/// Whether the bytes start with `with`. It compares two words, because a call of `memcmp` for so
/// few bytes would cost as much as the rest of the parser.
#[inline]
fn starts_with_word(bytes: &[u8], with: &[u8]) -> bool {
    let length = with.len();
    if bytes.len() < 16 || !(8..=16).contains(&length) {
        return bytes.starts_with(with);
    }
    let word =
        |of: &[u8], at: usize| of[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    word(bytes, 0) == word(with, 0) && word(bytes, length - 8) == word(with, length - 8)
}

/// Returns the length of the number that the bytes start with, and its value where it is a plain
/// integer. Returns `None` where it has an exponent, may be outside of Float64, or is invalid.
#[inline]
fn number(bytes: &[u8]) -> Option<(usize, Option<i64>)> {
    let sign = usize::from(bytes[0] == b'-');
    let (whole, value) = digits(&bytes[sign..]);
    let mut end = sign + whole;
    if whole == 0 || (whole > 1 && bytes[sign] == b'0') {
        return None;
    }
    let is_plain = sign == 0 && whole <= 18;
    match bytes.get(end) {
        Some(b'.') => {
            let (fraction, _) = digits(&bytes[end + 1..]);
            end += 1 + fraction;
            if fraction == 0 || end > 300 || matches!(bytes.get(end), Some(b'e' | b'E')) {
                return None;
            }
            Some((end, None))
        }
        Some(b'e' | b'E') => None,
        _ if end > 300 => None,
        _ => Some((end, is_plain.then_some(value))),
    }
}

/// Returns how many digits the bytes start with, and their value where there are at most 18.
#[inline]
fn digits(bytes: &[u8]) -> (usize, i64) {
    let mut value = 0i64;
    for (at, byte) in bytes.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (at, value);
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    (bytes.len(), value)
}

/// Returns the number of bytes before the closing quote, or `None` where there is an escape or a
/// control character before it.
#[inline]
fn quoted_length(bytes: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::MAX / 255;
    const HIGH: u64 = EACH << 7;
    // Marks the first byte that is zero, and possibly some after it.
    let zero = |word: u64| word.wrapping_sub(EACH) & !word & HIGH;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (number, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(EACH * 0x20) & !word & HIGH;
        let found = zero(word ^ (EACH * u64::from(b'"')))
            | zero(word ^ (EACH * u64::from(b'\\')))
            | control;
        if found != 0 {
            let at = found.trailing_zeros() as usize / 8;
            return (chunk[at] == b'"').then_some(number * 8 + at);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    (rest[at] == b'"').then_some(chunks.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fields::COMMON_NAMES;
    use super::super::{json, number};
    use super::*;

    /// Formats an object so that numbers parsed in different ways compare equal.
    fn debug_text(object: &ParsedObject<'_>) -> String {
        let slots = object.slots.iter().map(|slot| match slot {
            Slot::Number(text) if !text.contains(['.', '-']) => match number::integer(text) {
                Ok(value) if text.len() <= 18 => format!("{:?}", Slot::Long(value)),
                _ => format!("{slot:?}"),
            },
            other => format!("{other:?}"),
        });
        format!("{:?} {:?}", slots.collect::<Vec<_>>(), object.unknown)
    }

    /// Whether the fast path parses the text. Asserts that it finds the same as the JSON parser.
    fn takes_fast_path(names: &mut FieldNames, text: &str) -> bool {
        let (mut short, mut parsed) = (ParsedObject::default(), ParsedObject::default());
        let plain = object(text, names, &mut short);
        if plain {
            json::object(text, names.list(), &mut parsed).expect("it is no object to the parser");
            assert_eq!(debug_text(&short), debug_text(&parsed), "{text}");
        }
        plain
    }

    fn names() -> FieldNames {
        FieldNames::new(COMMON_NAMES.into_iter().chain(["a", "status"]).collect())
    }

    #[test]
    fn which_texts_take_the_fast_path() {
        let names = &mut names();
        for text in [
            r#"{"event_id":"e","occurred_at":"2026-01-01T00:00:00Z","partner_id":"p","status":200}"#,
            "\n{ \"status\" : 0 ,\t\"a\":null, \"event_id\":\"\", \"b\":-0.50,\"c\":true }\r\n",
            r#"{"a":1,"a":"2","status":123456789012345678,"x":1234567890123456789012,"y":"é😀"}"#,
            r#"{"status":false,"event_id":"a text of more than eight bytes, and of sixteen"}"#,
        ] {
            assert!(takes_fast_path(names, text), "{text}");
        }
        for text in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}x"#,
            r#"{"a":01}"#,
            r#"{"a":1e3}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":.5}"#,
            r#"{"a":nul}"#,
            r#"{"a":"b\n"}"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":"b}"#,
            r#"{a:1}"#,
        ] {
            assert!(!takes_fast_path(names, text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_path_finds_what_the_parser_finds(
            members in proptest::collection::vec((
                proptest::sample::select(vec!["event_id", "partner_id", "status", "a", "zz", "\u{e9}"]),
                proptest::sample::select(vec!["1", "0", "-7", "2.50", "12345678901234567890", "null",
                    "true", "false", "\"\"", "\"text\"", "\"of some more bytes\"", "\"q\\\"\"", "[1]"]),
                proptest::sample::select(vec!["", " ", "\n\t"]),
            ), 1..8),
            changes in proptest::collection::vec((0usize..200, proptest::sample::select(
                b"{}[]\",:\\u0189.eE+-tfn \x01".as_slice())), 0..3),
        ) {
            let members = members.iter().map(|(name, value, space)| {
                format!("{space}\"{name}\"{space}:{space}{value}{space}")
            });
            let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            let names = &mut names();
            takes_fast_path(names, &text);
            let mut bytes = text.into_bytes();
            for (at, byte) in changes {
                let index = at % bytes.len();
                bytes[index] = byte;
            }
            if let Ok(text) = std::str::from_utf8(&bytes) {
                takes_fast_path(names, text);
            }
        }
    }
}
