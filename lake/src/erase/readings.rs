//! The ways a text can be read: as it stands, and with its escapes undone, as often as it takes.
//!
//! An id may stand in a text as JSON escapes it, once for each JSON inside another, as a URL or
//! XML does, or in a mixture of these. Each reading knows where in the text its letters come from.

use std::borrow::Cow;
use std::ops::Range;

/// JSON inside JSON inside JSON: each level doubles the backslashes, so few records have three.
const MOST: usize = 8;

/// One way to read a text.
pub(super) struct Reading<'t> {
    pub(super) text: Cow<'t, str>,
    /// Where in the original each byte begins, and its end; `None` for the original itself.
    starts: Option<Vec<usize>>,
}

impl<'t> Reading<'t> {
    /// The text as it stands.
    pub(super) fn plain(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), starts: None }
    }

    /// Every way to read the text, the plain one first.
    pub(super) fn all(text: &'t str) -> impl Iterator<Item = Self> {
        let mut next = Some(Self::plain(text));
        let mut left = MOST;
        std::iter::from_fn(move || {
            let reading = next.take()?;
            if left > 0 {
                left -= 1;
                next = reading.undone();
            }
            Some(reading)
        })
    }

    /// The place in the original of a place in this reading.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        match &self.starts {
            Some(starts) => starts[range.start]..starts[range.end],
            None => range,
        }
    }

    /// This reading with its escapes undone once; `None` where it has none.
    fn undone(&self) -> Option<Self> {
        let text = &*self.text;
        memchr::memchr3(b'\\', b'%', b'&', text.as_bytes())?;
        let mut out = Undone { text: String::with_capacity(text.len()), starts: Vec::new() };
        let (mut at, mut changed) = (0, false);
        while at < text.len() {
            if let Some(length) = escape(text, at, &mut out) {
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

/// Whether there may be more than one way to read the bytes.
pub(super) fn has_escapes(bytes: &[u8]) -> bool {
    memchr::memchr3(b'\\', b'%', b'&', bytes).is_some()
}

struct Undone {
    text: String,
    starts: Vec<usize>,
}

impl Undone {
    fn push(&mut self, character: char, start: usize) {
        self.text.push(character);
        self.starts.resize(self.text.len(), start);
    }

    /// Bytes that were escaped one by one, each with its place: UTF-8, or else Latin-1.
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

/// Undoes the escape that stands here; how long it is, or `None` where none stands here.
fn escape(text: &str, at: usize, out: &mut Undone) -> Option<usize> {
    let rest = &text[at..];
    let mut put = |(character, length): (char, usize)| {
        out.push(character, at);
        length
    };
    match rest.as_bytes()[0] {
        b'%' => byte_run(rest, "%", at, out),
        b'\\' if rest.as_bytes().get(1) == Some(&b'x') => byte_run(rest, "\\x", at, out),
        b'\\' => backslash(rest).map(&mut put),
        b'&' => entity(rest).map(&mut put),
        _ => None,
    }
}

/// `%c3%a9` or `\xc3\xa9`.
fn byte_run(rest: &str, mark: &str, at: usize, out: &mut Undone) -> Option<usize> {
    let width = mark.len() + 2;
    let one = |from: usize| {
        let digits = rest.get(from..)?.strip_prefix(mark)?.get(..2)?;
        hex(digits).and_then(|value| u8::try_from(value).ok())
    };
    let bytes: Vec<u8> = (0..).step_by(width).map_while(one).collect();
    if bytes.is_empty() {
        return None;
    }
    out.push_bytes(&bytes, at, width);
    Some(width * bytes.len())
}

/// `\n`, `\u00e9`, `\ud83d\ude00`, and what other languages than JSON write: `\u{e9}`, `\U000000e9`.
fn backslash(rest: &str) -> Option<(char, usize)> {
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
            return Some((char::from_u32(hex(digits)?)?, 4 + digits.len()));
        }
        'u' => return unicode(rest),
        'U' => return Some((char::from_u32(hex(rest.get(2..10)?)?)?, 10)),
        _ => return None,
    };
    Some((simple, 2))
}

/// `\u00e9`, or two of them that are one character; half of such a pair is none.
fn unicode(rest: &str) -> Option<(char, usize)> {
    let unit = |from: usize| hex(rest.get(from..)?.strip_prefix("\\u")?.get(..4)?);
    let first = unit(0)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6));
    }
    let pair = unit(6).filter(|second| (0xdc00..0xe000).contains(second));
    let whole = pair.and_then(|s| char::from_u32(0x10000 + ((first - 0xd800) << 10) + s - 0xdc00));
    Some(whole.map_or((char::REPLACEMENT_CHARACTER, 6), |character| (character, 12)))
}

/// `&amp;`, `&#233;`, `&#xe9;`.
fn entity(rest: &str) -> Option<(char, usize)> {
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
                Some(digits) => hex(digits),
                None => number.parse().ok(),
            };
            char::from_u32(code?)?
        }
    };
    Some((character, end + 1))
}

fn hex(digits: &str) -> Option<u32> {
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_as_often_as_it_takes() {
        #[track_caller]
        fn check(text: &str, expected: &str, source: &str) {
            let found = Reading::all(text).find_map(|reading| {
                let at = reading.text.find(expected)?;
                Some(text[reading.source(at..at + expected.len())].to_owned())
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
    fn what_is_no_escape_stays() {
        for text in ["", "a", "100 %", r"\", r"\q", "a & b", "&nothing;", "%zz", "&#xffffffff;"] {
            assert_eq!(Reading::all(text).count(), 1, "{text}");
        }
        let deep = "\\".repeat(1 << 12);
        assert_eq!(Reading::all(&deep).count(), MOST + 1);
    }
}
