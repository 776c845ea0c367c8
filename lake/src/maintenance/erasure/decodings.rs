//! The decodings of a text: the text itself, and the text with its escapes undone, once or
//! repeatedly.
//!
//! An id may be escaped in a text as in JSON, once for each JSON string inside another, as in a URL
//! or in XML, or in a mixture of these. Each decoding maps its bytes to the spans of the text from
//! which they come.

use std::borrow::Cow;
use std::ops::Range;

/// The largest number of times that escapes are undone. Each level of JSON inside JSON doubles the
/// backslashes, so few records have three levels.
const MAX_DEPTH: usize = 8;

/// One decoding of a text.
pub(super) struct Decoding<'t> {
    pub(super) text: Cow<'t, str>,
    /// For each byte of `text` the position in the original at which its escape begins, and at last
    /// the length of the original; `None` for the original itself.
    starts: Option<Vec<usize>>,
}

impl<'t> Decoding<'t> {
    /// Returns the text itself as a decoding.
    pub(super) fn plain(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), starts: None }
    }

    /// Returns every decoding of a text, beginning with the text itself.
    pub(super) fn all_of(text: &'t str) -> impl Iterator<Item = Self> {
        let mut next = Some(Self::plain(text));
        let mut left = MAX_DEPTH;
        std::iter::from_fn(move || {
            let decoding = next.take()?;
            if left > 0 {
                left -= 1;
                next = decoding.decoded_once();
            }
            Some(decoding)
        })
    }

    /// Returns the span of the original from which a span of this decoding comes.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        match &self.starts {
            Some(starts) => starts[range.start]..starts[range.end],
            None => range,
        }
    }

    /// Returns this decoding with its escapes undone once more; `None` when it has none.
    fn decoded_once(&self) -> Option<Self> {
        let text = &*self.text;
        memchr::memchr3(b'\\', b'%', b'&', text.as_bytes())?;
        let mut out = DecodedText { text: String::with_capacity(text.len()), starts: Vec::new() };
        let (mut at, mut changed) = (0, false);
        while at < text.len() {
            if let Some(length) = decode_escape(text, at, &mut out) {
                changed = true;
                at += length;
            } else {
                let end = at + text[at..].chars().next().map_or(1, char::len_utf8);
                out.text.push_str(&text[at..end]);
                out.starts.extend(at..end);
                at = end;
            }
        }
        if !changed {
            return None;
        }
        out.starts.push(text.len());
        let starts = out.starts.into_iter().map(|at| self.source(at..at).start).collect();
        Some(Self { text: Cow::Owned(out.text), starts: Some(starts) })
    }
}

/// Returns whether the bytes may contain escapes.
pub(super) fn has_escapes(bytes: &[u8]) -> bool {
    memchr::memchr3(b'\\', b'%', b'&', bytes).is_some()
}

/// A text that is being decoded, with the positions that [`Decoding`] describes.
struct DecodedText {
    text: String,
    starts: Vec<usize>,
}

impl DecodedText {
    fn push(&mut self, character: char, start: usize) {
        self.text.push(character);
        self.starts.resize(self.text.len(), start);
    }

    /// Appends bytes that were escaped one by one, `width` bytes of the original each, as UTF-8 or
    /// else as Latin-1.
    fn push_bytes(&mut self, bytes: &[u8], start: usize, width: usize) {
        let mut at = start;
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                self.push(character, at);
                at += width * character.len_utf8();
            }
            for byte in chunk.invalid() {
                self.push(char::from(*byte), at);
                at += width;
            }
        }
    }
}

/// Decodes the escape at a position, and returns its length; `None` when there is none.
fn decode_escape(text: &str, at: usize, out: &mut DecodedText) -> Option<usize> {
    let rest = &text[at..];
    let mut put = |(character, length): (char, usize)| {
        out.push(character, at);
        length
    };
    match rest.as_bytes()[0] {
        b'%' => decode_bytes(rest, "%", at, out),
        b'\\' if rest.as_bytes().get(1) == Some(&b'x') => decode_bytes(rest, "\\x", at, out),
        b'\\' => decode_backslash(rest).map(&mut put),
        b'&' => decode_entity(rest).map(&mut put),
        _ => None,
    }
}

/// Decodes escaped bytes: `%c3%a9` or `\xc3\xa9`.
fn decode_bytes(rest: &str, mark: &str, at: usize, out: &mut DecodedText) -> Option<usize> {
    let width = mark.len() + 2;
    let one = |from: usize| {
        let digits = rest.get(from..)?.strip_prefix(mark)?.get(..2)?;
        parse_hex(digits).and_then(|value| u8::try_from(value).ok())
    };
    let bytes: Vec<u8> = (0..).step_by(width).map_while(one).collect();
    if bytes.is_empty() {
        return None;
    }
    out.push_bytes(&bytes, at, width);
    Some(width * bytes.len())
}

/// Decodes an escape of JSON, `\n`, `\u00e9` or `\ud83d\ude00`, or of other languages, `\u{e9}` or
/// `\U000000e9`.
fn decode_backslash(rest: &str) -> Option<(char, usize)> {
    let after = rest[1..].chars().next()?;
    let simple = match after {
        '"' | '\\' | '/' | '\'' => after,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' if rest[2..].starts_with('{') => {
            let digits = &rest[3..3 + rest[3..].find('}')?];
            return Some((char::from_u32(parse_hex(digits)?)?, 4 + digits.len()));
        }
        'u' => return decode_unicode(rest),
        'U' => return Some((char::from_u32(parse_hex(rest.get(2..10)?)?)?, 10)),
        _ => return None,
    };
    Some((simple, 2))
}

/// Decodes `\u00e9`, or a pair of surrogates; half a pair becomes U+FFFD.
fn decode_unicode(rest: &str) -> Option<(char, usize)> {
    let unit = |from: usize| parse_hex(rest.get(from..)?.strip_prefix("\\u")?.get(..4)?);
    let first = unit(0)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6));
    }
    let pair = unit(6).filter(|second| (0xdc00..0xe000).contains(second));
    let whole = pair.and_then(|s| char::from_u32(0x10000 + ((first - 0xd800) << 10) + s - 0xdc00));
    Some(whole.map_or((char::REPLACEMENT_CHARACTER, 6), |character| (character, 12)))
}

/// Decodes an entity of XML: `&amp;`, `&#233;` or `&#xe9;`.
fn decode_entity(rest: &str) -> Option<(char, usize)> {
    let end = rest.bytes().take(12).position(|b| b == b';')?;
    let name = &rest[1..end];
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => parse_hex(digits),
                None => number.parse().ok(),
            };
            char::from_u32(code?)?
        }
    };
    Some((character, end + 1))
}

/// Parses hex digits; `from_str_radix` alone would accept a sign.
fn parse_hex(digits: &str) -> Option<u32> {
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_escapes_are_undone() {
        #[track_caller]
        fn check(text: &str, expected: &str, source: &str) {
            let found = Decoding::all_of(text).find_map(|decoding| {
                let at = decoding.text.find(expected)?;
                Some(text[decoding.source(at..at + expected.len())].to_owned())
            });
            assert_eq!(found.as_deref(), Some(source), "{text}");
        }
        check("café", "café", "café");
        check(r#""caf\u00e9-1""#, "café-1", r"caf\u00e9-1");
        check(r#""{\"a\":\"caf\\u00E9\"}""#, "café", r"caf\\u00E9");
        check(r"\\\\\\\\u0061b", "ab", r"\\\\\\\\u0061b");
        check(r"x\ud83d\ude00y", "😀y", r"\ud83d\ude00y");
        check(r"acme\/eu", "acme/eu", r"acme\/eu");
        check("/p/acme%2Feu%20x", "acme/eu x", "acme%2Feu%20x");
        check("caf%C3%A9 caf%e9", "café", "caf%C3%A9");
        check("caf%e9", "café", "caf%e9");
        check("caf%25c3%25a9", "café", "caf%25c3%25a9");
        check(r"caf\xc3\xa9", "café", r"caf\xc3\xa9");
        check(r"caf\u{e9}\U000000e9", "caféé", r"caf\u{e9}\U000000e9");
        check("a&amp;b &#99;&#xE9;", "a&b cé", "a&amp;b &#99;&#xE9;");
        check(r"\u0061\u006", r"a\u006", r"\u0061\u006");
        check(r"\ud83d!", "\u{fffd}!", r"\ud83d!");
    }

    #[test]
    fn text_without_escapes_has_one_decoding() {
        for text in ["", "a", "100 %", r"\", r"\q", "a & b", "&nothing;", "%zz", "&#xffffffff;"] {
            assert_eq!(Decoding::all_of(text).count(), 1, "{text}");
        }
        let deep = "\\".repeat(1 << 12);
        assert_eq!(Decoding::all_of(&deep).count(), MAX_DEPTH + 1);
    }
}
