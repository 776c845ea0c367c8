//! Finding ids in cells, log entries and raw bytes, and putting tokens in their place.

use std::collections::BTreeMap;

use memchr::memmem::Finder;

/// The ids to erase, in every spelling they may stand in.
pub(crate) struct Names(Vec<Name>);

struct Name {
    id: String,
    token: String,
    /// As is, and escaped as JSON once and twice: statistics are JSON inside JSON.
    spellings: Vec<Finder<'static>>,
    /// With its length before it, as Parquet and Thrift write strings.
    prefixed: Vec<Finder<'static>>,
    /// With its length before it as Avro writes strings.
    avro: Finder<'static>,
}

/// From this length on an id found by chance among compressed bytes is out of the question.
const DISTINCT: usize = 6;

impl Names {
    /// Ids with the token that takes the place of each.
    pub(crate) fn new(partners: &BTreeMap<String, String>) -> Self {
        Self(partners.iter().map(|(id, token)| Name::new(id, token)).collect())
    }

    /// Whether the text is one of the ids.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.iter().any(|name| name.id == text)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| name.id.as_str())
    }

    pub(crate) fn token_of(&self, id: &str) -> Option<&str> {
        self.0.iter().find(|name| name.id == id).map(|name| name.token.as_str())
    }

    /// Whether the bytes hold the letters of an id at all; quick, and says nothing yet.
    pub(crate) fn may_be_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().flat_map(|n| &n.spellings).any(|finder| finder.find(bytes).is_some())
    }

    /// Whether the bytes name one of the ids as a word of its own: `p-1`, not `p-12`.
    pub(crate) fn in_words(&self, bytes: &[u8]) -> bool {
        self.0.iter().flat_map(|n| &n.spellings).any(|f| words(f, bytes).next().is_some())
    }

    /// Whether JSON, however often escaped, holds one of the ids as a whole string.
    pub(crate) fn in_quotes(&self, bytes: &[u8]) -> bool {
        self.0.iter().flat_map(|n| &n.spellings).any(|finder| {
            let length = finder.needle().len();
            finder.find_iter(bytes).any(|at| {
                let before = at.checked_sub(1).and_then(|i| bytes.get(i));
                let after = bytes.get(at + length);
                before == Some(&b'"') && matches!(after, Some(b'"' | b'\\'))
            })
        })
    }

    /// Whether the bytes of a Parquet file hold one of the ids as a string. Of an id so short that
    /// compressed bytes may look like it, only those from `metadata` on are looked at.
    pub(crate) fn in_parquet(&self, bytes: &[u8], metadata: usize) -> bool {
        self.0.iter().any(|name| {
            let from = if name.id.len() >= DISTINCT { 0 } else { metadata.min(bytes.len()) };
            name.prefixed.iter().any(|finder| finder.find(&bytes[from..]).is_some())
        })
    }

    /// Whether bytes that need not be text name one of the ids.
    pub(crate) fn in_binary(&self, bytes: &[u8]) -> bool {
        self.in_words(bytes) || self.0.iter().any(|n| n.avro.find(bytes).is_some())
    }

    /// The text with tokens for the ids it names; `None` when it names none.
    pub(crate) fn replaced(&self, text: &str) -> Option<String> {
        let mut result: Option<String> = None;
        for name in &self.0 {
            for finder in &name.spellings {
                let now = result.as_deref().unwrap_or(text);
                let length = finder.needle().len();
                let places: Vec<usize> = words(finder, now.as_bytes()).collect();
                let mut out = String::with_capacity(now.len());
                let mut done = 0;
                for at in &places {
                    out.push_str(&now[done..*at]);
                    out.push_str(&name.token);
                    done = at + length;
                }
                if !places.is_empty() {
                    out.push_str(&now[done..]);
                    result = Some(out);
                }
            }
        }
        result
    }
}

impl Name {
    fn new(id: &str, token: &str) -> Self {
        let escape = |text: &str| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let (once, bytes) = (escape(id), id.as_bytes());
        let mut spellings = vec![id.to_owned(), escape(&once), once];
        spellings.sort_unstable();
        spellings.dedup();
        let with = |prefix: &[u8]| Finder::new(&[prefix, bytes].concat()).into_owned();
        let length = bytes.len() as u64;
        Self {
            id: id.to_owned(),
            token: token.to_owned(),
            spellings: spellings.iter().map(|s| Finder::new(s).into_owned()).collect(),
            prefixed: vec![
                with(&varint(length)),
                with(&u32::try_from(length).unwrap_or_default().to_le_bytes()),
            ],
            avro: with(&varint(length * 2)),
        }
    }
}

/// An unsigned number, seven bits a byte, the lowest first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Where the needle stands as a word of its own; the places do not overlap.
fn words<'a>(finder: &'a Finder<'_>, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let length = finder.needle().len();
    finder
        .find_iter(bytes)
        .filter(move |at| begins(bytes, *at) && !starts_in_word(&bytes[at + length..]))
}

fn begins(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[..at];
    // What looks like a letter may be the end of an escape: `\n`, `\u0007`.
    let escaped = matches!(before, [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'])
        || matches!(before, [.., b'\\', b'u', _, _, _, _]);
    escaped || !ends_in_word(before)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_')
}

/// Whether the last character is part of a word; bytes that are no text are not.
fn ends_in_word(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    (0..tail.len())
        .rev()
        .find_map(|from| std::str::from_utf8(&tail[from..]).ok())
        .and_then(|text| text.chars().next_back())
        .is_some_and(is_word)
}

fn starts_in_word(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4)];
    (1..=head.len())
        .find_map(|to| std::str::from_utf8(&head[..to]).ok())
        .and_then(|text| text.chars().next())
        .is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ids: &[&str]) -> Names {
        Names::new(&ids.iter().map(|id| ((*id).to_owned(), "T".to_owned())).collect())
    }

    #[test]
    fn words_of_their_own_are_found_and_replaced() {
        #[track_caller]
        fn check(id: &str, text: &str, expected: Option<&str>) {
            let names = names(&[id]);
            assert_eq!(names.replaced(text).as_deref(), expected, "{id} in {text}");
            assert_eq!(names.in_words(text.as_bytes()), expected.is_some(), "{id} in {text}");
        }
        check("p-1", "p-1", Some("T"));
        check("p-1", "/partners/p-1/orders and p-1.", Some("/partners/T/orders and T."));
        check("p-1", "p-12", None);
        check("p-1", "xp-1", None);
        check("p-1", "p-1-a", None);
        check("p-1", r#"{"note":"line\np-1"}"#, Some(r#"{"note":"line\nT"}"#));
        check("p-1", r#"{"note":"bell\u0007p-1"}"#, Some(r#"{"note":"bell\u0007T"}"#));
        check("日本", "日本語", None);
        check("日本", "in 日本\u{a0}now", Some("in T\u{a0}now"));
        check(r#"a"b"#, r#"{"who":"a\"b"}"#, Some(r#"{"who":"T"}"#));
        check("p-1", "", None);
    }

    #[test]
    fn whole_strings_of_json_are_found_however_often_escaped() {
        let check = |id: &str, text: &str, expected: bool| {
            assert_eq!(names(&[id]).in_quotes(text.as_bytes()), expected, "{id} in {text}");
        };
        check("p-1", r#"{"partner_id":"p-1"}"#, true);
        check("p-1", r#"{"stats":"{\"partner_id\":\"p-1\"}"}"#, true);
        check("p-1", r#"{"stats":"{\"partner_id\":\"p-1/x\"}"}"#, false);
        check("p-1", r#"{"partner_id":"p-12"}"#, false);
        check(r#"a"b"#, r#"{"stats":"{\"partner_id\":\"a\\\"b\"}"}"#, true);
    }

    #[test]
    fn strings_of_binary_formats_are_found_by_their_length() {
        let long = "partner-1";
        assert!(names(&[long]).in_parquet(b"..\x09partner-1..", 99));
        assert!(names(&[long]).in_parquet(b"..\x09\0\0\0partner-1..", 99));
        assert!(!names(&[long]).in_parquet(b"..\x0apartner-12..", 99));
        assert!(!names(&["p1"]).in_parquet(b"..\x02p1......", 8), "may be chance");
        assert!(names(&["p1"]).in_parquet(b"........\x02p1", 8));
        assert!(names(&["p1"]).in_binary(b"\0\0\0\0\x07\x04p1\x02x"));
        assert!(!names(&["p1"]).in_binary(b"\0\0\0\0\x07\x06p12"));
        assert_eq!(varint(300), [0xac, 0x02]);
    }
}
