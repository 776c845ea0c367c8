//! The short way through what producers mostly write: one JSON object of strings without escapes,
//! numbers without exponents, booleans and nulls. What is anything else goes to the JSON parser,
//! which alone decides what is wrong with it.

use std::borrow::Cow;

use super::json::{Object, SLOTS, Slot};

/// The names of the fields that are asked for, and in what order they come.
pub(super) struct Names {
    list: Vec<&'static str>,
    /// Each name in its quotes.
    quoted: Vec<Box<[u8]>>,
    /// By slot, the slot that came after it last time; the last entry is that of the beginning and
    /// of unknown members. Producers write their fields in one order.
    after: [u8; SLOTS + 1],
}

impl Names {
    pub(super) fn new(list: Vec<&'static str>) -> Self {
        let quoted = list.iter().map(|name| format!("\"{name}\"").into_bytes().into()).collect();
        Self { list, quoted, after: [0; SLOTS + 1] }
    }

    pub(super) fn list(&self) -> &[&'static str] {
        &self.list
    }
}

/// Reads the object into an empty one. `false` where the text is not as plain as that: then the
/// object holds anything.
pub(super) fn object<'a>(text: &'a str, names: &mut Names, object: &mut Object<'a>) -> bool {
    let mut reader = Reader { text, at: 0 };
    reader.object(names, object).is_some()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn object(&mut self, names: &mut Names, object: &mut Object<'a>) -> Option<()> {
        self.expect(b'{')?;
        let mut before = SLOTS;
        loop {
            self.space();
            let found = self.name(names, before)?;
            self.expect(b':')?;
            self.space();
            match found {
                Ok(slot) => {
                    self.value(&mut object.slots[slot])?;
                    before = slot;
                }
                Err(unknown) => {
                    let start = self.at;
                    self.value(&mut Slot::Absent)?;
                    let value = &self.text[start..self.at];
                    object.unknown.push((Cow::Borrowed(unknown), Cow::Borrowed(value)));
                    before = SLOTS;
                }
            }
            self.space();
            match self.byte()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.space();
        (self.at == self.text.len()).then_some(())
    }

    /// A member's name with its quotes: the slot it has, or itself.
    #[inline]
    fn name(&mut self, names: &mut Names, before: usize) -> Option<Result<usize, &'a str>> {
        let rest = &self.text.as_bytes()[self.at..];
        let expected = usize::from(names.after[before]);
        let quoted = names.quoted.get(expected)?;
        if begins(rest, quoted) {
            self.at += quoted.len();
            return Some(Ok(expected));
        }
        self.expect(b'"')?;
        let name = self.string()?;
        let Some(slot) = names.list.iter().position(|n| *n == name) else {
            return Some(Err(name));
        };
        names.after[before] = slot as u8;
        Some(Ok(slot))
    }

    /// Reads a value to where it is to stand: handing it on would cost more than reading it.
    #[inline]
    fn value(&mut self, slot: &mut Slot<'a>) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.first()? {
            b'"' => {
                self.at += 1;
                *slot = Slot::Text(Cow::Borrowed(self.string()?));
            }
            b'-' | b'0'..=b'9' => {
                let end = number_length(rest)?;
                *slot = Slot::Number(&self.text[self.at..self.at + end]);
                self.at += end;
            }
            b'n' if rest.starts_with(b"null") => {
                *slot = Slot::Null;
                self.at += 4;
            }
            b't' if rest.starts_with(b"true") => {
                *slot = Slot::Bool;
                self.at += 4;
            }
            b'f' if rest.starts_with(b"false") => {
                *slot = Slot::Bool;
                self.at += 5;
            }
            _ => return None,
        }
        Some(())
    }

    /// The inside of a string literal; the opening quote has been read.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        let length = quoted_length(&self.text.as_bytes()[self.at..])?;
        let inside = &self.text[self.at..self.at + length];
        self.at += length + 1;
        Some(inside)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.byte()? == byte).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn space(&mut self) {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

/// Whether the bytes begin with these; a call to compare so few would cost as much as all the rest.
#[inline]
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let length = with.len();
    if bytes.len() < 16 || !(8..=16).contains(&length) {
        return bytes.starts_with(with);
    }
    let word =
        |of: &[u8], at: usize| of[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    word(bytes, 0) == word(with, 0) && word(bytes, length - 8) == word(with, length - 8)
}

/// The length of the number that the bytes begin with; `None` where it has an exponent, is too long
/// to be surely within Float64, or is none.
#[inline]
fn number_length(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes[0] == b'-');
    let whole = digits(&bytes[sign..]);
    let mut end = sign + whole;
    if whole == 0 || (whole > 1 && bytes[sign] == b'0') {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(&bytes[end + 1..]);
        end += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    (end <= 300 && !matches!(bytes.get(end), Some(b'e' | b'E'))).then_some(end)
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// How many bytes stand before the closing quote; `None` where one of them needs a second look: an
/// escape, or a control character that may not be there.
#[inline]
fn quoted_length(bytes: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::MAX / 255;
    const HIGH: u64 = EACH << 7;
    // Marks the first byte that is zero, and maybe some after it.
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
