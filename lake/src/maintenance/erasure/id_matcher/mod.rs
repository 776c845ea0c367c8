//! Finding ids in cells, log entries and raw bytes, and replacing them by tokens.
//!
//! Texts are searched as decoded, not as escaped (see `decodings`). Where a cell or a JSON member
//! holds a partner's id (see `json_members`), every id is recognised. In other text only distinct
//! ids are: a partner may be called `sandbox` or `payments`, which are ordinary words there.
//!
//! - `id_pattern`: one id, with the byte patterns by which it is found

mod id_pattern;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem::Finder;
use serde::de::IgnoredAny;

use crate::maintenance::erasure::decodings::{Decoding, has_escapes};
use crate::maintenance::erasure::json_members::id_values;
use id_pattern::IdPattern;

/// Finds the ids to erase.
pub(crate) struct IdMatcher(Vec<IdPattern>);

/// An occurrence of an id in a text.
struct IdMatch<'n> {
    /// The bytes of the text that give the id, escapes included.
    span: Range<usize>,
    pattern: &'n IdPattern,
}

impl IdMatcher {
    /// Returns a matcher of ids, each with the token that replaces it. With `everywhere` every id
    /// counts as distinct.
    pub(crate) fn new(tokens: &BTreeMap<String, String>, everywhere: bool) -> Self {
        Self(tokens.iter().map(|(id, token)| IdPattern::new(id, token, everywhere)).collect())
    }

    /// Returns whether the text is one of the ids.
    pub(crate) fn is_id(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.id == text)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| pattern.id.as_str())
    }

    pub(crate) fn token_of(&self, id: &str) -> Option<&str> {
        self.0.iter().find(|pattern| pattern.id == id).map(|pattern| pattern.token.as_str())
    }

    /// Returns whether the bytes may contain an id in any spelling. This is a fast filter: `false`
    /// is certain, `true` is not.
    pub(crate) fn may_be_in(&self, bytes: &[u8]) -> bool {
        has_escapes(bytes)
            || self
                .0
                .iter()
                .flat_map(|pattern| &pattern.spellings)
                .any(|finder| finder.find(bytes).is_some())
    }

    /// Returns the ids that are not distinct: they may be ordinary words, and are looked for only
    /// where ids stand.
    pub(crate) fn ambiguous_ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|pattern| !pattern.is_distinct).map(|pattern| pattern.id.as_str())
    }

    /// Returns the text with tokens in place of the ids; `None` when it contains no id.
    pub(crate) fn replaced(&self, text: &str) -> Option<String> {
        let mut found = self.matches(text);
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|f| (f.span.start, Reverse(f.span.end)));
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for IdMatch { span, pattern } in found {
            if span.start >= done {
                out.push_str(&text[done..span.start]);
                out.push_str(&pattern.token);
            }
            done = done.max(span.end);
        }
        out.push_str(&text[done..]);
        Some(out)
    }

    /// Returns whether the text contains one of the ids.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        !self.matches(text).is_empty()
    }

    /// Returns whether bytes, as text of any encoding, contain one of the ids.
    pub(crate) fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        self.is_in(&as_text(bytes))
    }

    /// Finds the distinct ids as whole words (`part-1`, not `part-12`), and all ids where ids
    /// stand.
    fn matches(&self, text: &str) -> Vec<IdMatch<'_>> {
        let mut found = Vec::new();
        if self.may_be_in(text.as_bytes()) {
            self.find_words(text, &|pattern| pattern.is_distinct, &mut found);
            let values = id_values(text).into_iter();
            found.extend(values.filter_map(|value| self.match_at(text, value.span)));
        }
        found
    }

    /// Returns the id that a span of the text is, in any spelling.
    fn match_at(&self, text: &str, span: Range<usize>) -> Option<IdMatch<'_>> {
        let mut decodings = Decoding::all_of(&text[span.clone()]);
        let pattern =
            decodings.find_map(|decoding| self.0.iter().find(|p| p.id == *decoding.text))?;
        Some(IdMatch { span, pattern })
    }

    /// Finds the `wanted` ids as whole words, in any spelling.
    fn find_words<'n>(
        &'n self,
        text: &str,
        wanted: &dyn Fn(&IdPattern) -> bool,
        found: &mut Vec<IdMatch<'n>>,
    ) {
        for decoding in Decoding::all_of(text) {
            let bytes = decoding.text.as_bytes();
            for pattern in self.0.iter().filter(|pattern| wanted(pattern)) {
                for finder in &pattern.spellings {
                    let length = finder.needle().len();
                    let spans =
                        whole_words(finder, bytes).map(|at| decoding.source(at..at + length));
                    found.extend(spans.map(|span| IdMatch { span, pattern }));
                }
            }
        }
    }

    /// Returns the first ambiguous id that the text contains as a word, and that may be meant.
    pub(crate) fn ambiguous_id_in(&self, text: &str) -> Option<&str> {
        if !self.may_be_in(text.as_bytes()) {
            return None;
        }
        let mut found = Vec::new();
        self.find_words(text, &|pattern| !pattern.is_distinct, &mut found);
        found.first().map(|f| f.pattern.id.as_str())
    }

    /// Returns whether JSON, escaped any number of times, gives one of the ids as a `partner_id`.
    pub(crate) fn is_in_statistics(&self, bytes: &[u8]) -> bool {
        if !self.may_be_in(bytes) {
            return false;
        }
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        lines.any(|line| {
            Decoding::all_of(line).any(|d| self.is_in_decoded_statistics(d.text.as_bytes()))
        })
    }

    fn is_in_decoded_statistics(&self, bytes: &[u8]) -> bool {
        self.0.iter().flat_map(|pattern| &pattern.spellings).any(|finder| {
            let length = finder.needle().len();
            finder.find_iter(bytes).any(|at| {
                let is_punctuation = |b: &u8| matches!(b, b'"' | b'\\' | b':' | b' ');
                let name_end =
                    bytes[..at].iter().rposition(|b| !is_punctuation(b)).unwrap_or_default();
                let is_quoted = at > 0 && bytes[at - 1] == b'"';
                let is_whole = matches!(bytes.get(at + length), Some(b'"' | b'\\'));
                is_quoted && is_whole && bytes[..=name_end].ends_with(b"partner_id")
            })
        })
    }

    /// Returns whether the bytes of a Parquet file hold a distinct id as a string.
    pub(crate) fn is_in_parquet(&self, bytes: &[u8]) -> bool {
        let patterns = self.0.iter().filter(|pattern| pattern.is_distinct && pattern.is_long);
        patterns.flat_map(|pattern| &pattern.in_parquet).any(|f| f.find(bytes).is_some())
    }

    /// Returns whether a record, or a part of one, contains one of the ids. In a record that is no
    /// JSON, ambiguous ids count as words too: nothing tells what a word there stands for.
    pub(crate) fn is_in_record(&self, bytes: &[u8]) -> bool {
        let text = as_text(bytes);
        if is_json(&text) {
            return self.is_in_json(&text);
        }
        self.is_word_in(&text) || (is_binary(bytes) && self.is_in_binary(bytes))
    }

    /// Returns whether bytes that are no text hold one of the ids as a string, or as UTF-16.
    fn is_in_binary(&self, bytes: &[u8]) -> bool {
        let in_utf16 =
            || bytes.contains(&0) && utf16(bytes).iter().any(|text| self.is_word_in(text));
        self.0.iter().flat_map(|pattern| &pattern.in_records).any(|f| f.find(bytes).is_some())
            || in_utf16()
    }

    /// Returns whether the text contains one of the ids, distinct or not, as a word.
    fn is_word_in(&self, text: &str) -> bool {
        let mut found = Vec::new();
        self.find_words(text, &|_| true, &mut found);
        !found.is_empty()
    }

    /// Returns whether a JSON record contains one of the ids. The `partner_id` of another partner
    /// may contain the letters of one, as in `part-1/eu`; that is no match.
    fn is_in_json(&self, text: &str) -> bool {
        if !self.may_be_in(text.as_bytes()) {
            return false;
        }
        let values = id_values(text);
        if values.iter().any(|value| self.match_at(text, value.span.clone()).is_some()) {
            return true;
        }
        let mut found = Vec::new();
        self.find_words(text, &|pattern| pattern.is_distinct, &mut found);
        let is_in_other_id = |span: &Range<usize>| {
            let contains = |v: &Range<usize>| v.start <= span.start && span.end <= v.end;
            values.iter().any(|value| value.of_contract && contains(&value.span))
        };
        found.iter().any(|f| !is_in_other_id(&f.span))
    }
}

/// Returns bytes as UTF-8, or else as Latin-1, in which every byte is a character.
fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Returns whether the bytes are no UTF-8, or contain control characters that text does not have.
fn is_binary(bytes: &[u8]) -> bool {
    let control = |b: &u8| *b < 0x20 && !b.is_ascii_whitespace();
    bytes.iter().any(control) || std::str::from_utf8(bytes).is_err()
}

/// Returns the bytes as UTF-16, of either byte order and from either the first or the second byte.
fn utf16(bytes: &[u8]) -> Vec<String> {
    let text = |from: usize, order: fn([u8; 2]) -> u16| {
        let (pairs, _) = bytes[from.min(bytes.len())..].as_chunks::<2>();
        char::decode_utf16(pairs.iter().map(|pair| order(*pair)))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    };
    vec![
        text(0, u16::from_le_bytes),
        text(0, u16::from_be_bytes),
        text(1, u16::from_le_bytes),
        text(1, u16::from_be_bytes),
    ]
}

/// Returns the positions at which the needle is a whole word; the matches do not overlap.
fn whole_words<'a>(finder: &'a Finder<'_>, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let length = finder.needle().len();
    finder
        .find_iter(bytes)
        .filter(move |at| !ends_in_word(&bytes[..*at]) && !starts_in_word(&bytes[at + length..]))
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_')
}

/// Returns whether the last character is part of a word. Bytes that are no UTF-8 are not.
fn ends_in_word(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    (0..tail.len())
        .rev()
        .find_map(|from| std::str::from_utf8(&tail[from..]).ok())
        .and_then(|text| text.chars().next_back())
        .is_some_and(is_word_character)
}

fn starts_in_word(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4)];
    (1..=head.len())
        .find_map(|to| std::str::from_utf8(&head[..to]).ok())
        .and_then(|text| text.chars().next())
        .is_some_and(is_word_character)
}
