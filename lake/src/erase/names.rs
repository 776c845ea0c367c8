//! Finding ids in cells, log entries and raw bytes, and putting tokens in their place.
//!
//! Where a cell is a partner's id, any id is told from any other. Elsewhere in text only an id that
//! could be nothing else is looked for: a partner may be called `sandbox` or `payments`.

use std::collections::BTreeMap;

use memchr::memmem::Finder;

/// The ids to erase, in every spelling they may stand in.
pub(crate) struct Names(Vec<Name>);

struct Name {
    id: String,
    token: String,
    /// Whether the id names the partner wherever it stands.
    distinct: bool,
    /// As is, and escaped as JSON once and twice: statistics are JSON inside JSON.
    spellings: Vec<Finder<'static>>,
    /// With its length before it, as Parquet and Thrift write strings.
    prefixed: Vec<Finder<'static>>,
    /// With its length before it as Avro writes strings.
    avro: Finder<'static>,
}

/// From this length on an id found by chance, also among compressed bytes, is out of the question.
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

    /// The ids that may also be ordinary words, and are looked for only where ids stand.
    pub(crate) fn ordinary(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|name| !name.distinct).map(|name| name.id.as_str())
    }

    /// Whether the bytes name a distinct id as a word of its own: `part-1`, not `part-12`.
    pub(crate) fn in_words(&self, bytes: &[u8]) -> bool {
        self.distinct().flat_map(|n| &n.spellings).any(|f| words(f, bytes).next().is_some())
    }

    /// Whether JSON, however often escaped, gives one of the ids as a `partner_id`.
    pub(crate) fn in_statistics(&self, bytes: &[u8]) -> bool {
        self.0.iter().flat_map(|n| &n.spellings).any(|finder| {
            let length = finder.needle().len();
            finder.find_iter(bytes).any(|at| {
                let mark = |b: &u8| matches!(b, b'"' | b'\\' | b':' | b' ');
                let name = bytes[..at].iter().rposition(|b| !mark(b)).unwrap_or_default();
                let quoted = at > 0 && bytes[at - 1] == b'"';
                let ended = matches!(bytes.get(at + length), Some(b'"' | b'\\'));
                quoted && ended && bytes[..=name].ends_with(b"partner_id")
            })
        })
    }

    /// Whether the bytes of a Parquet file hold a distinct id as a string.
    pub(crate) fn in_parquet(&self, bytes: &[u8]) -> bool {
        self.distinct().flat_map(|n| &n.prefixed).any(|finder| finder.find(bytes).is_some())
    }

    /// Whether bytes that nobody can read, such as broken JSON, name one of the ids.
    pub(crate) fn in_unreadable(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|name| {
            let spelled = name.spellings.iter().any(|f| words(f, bytes).next().is_some());
            spelled || name.avro.find(bytes).is_some()
        })
    }

    fn distinct(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().filter(|name| name.distinct)
    }

    /// The text with tokens for the distinct ids it names; `None` when it names none.
    pub(crate) fn replaced(&self, text: &str) -> Option<String> {
        let mut result: Option<String> = None;
        for name in self.distinct() {
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
            distinct: is_distinct(id),
            spellings: spellings.iter().map(|s| Finder::new(s).into_owned()).collect(),
            prefixed: vec![
                with(&varint(length)),
                with(&u32::try_from(length).unwrap_or_default().to_le_bytes()),
            ],
            avro: with(&varint(length * 2)),
        }
    }
}

/// Whether the id is no word, no number and no version: long enough, of digits and letters.
fn is_distinct(id: &str) -> bool {
    // With no letter but e it could be a number in JSON.
    let letter = |c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E');
    id.chars().count() >= DISTINCT
        && id.contains(|c: char| c.is_ascii_digit())
        && id.contains(letter)
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
        check("part-1", "part-1", Some("T"));
        check("part-1", "/partners/part-1/orders and part-1.", Some("/partners/T/orders and T."));
        check("part-1", "part-12", None);
        check("part-1", "xpart-1", None);
        check("part-1", "part-1-a", None);
        check("part-1", r#"{"note":"line\npart-1"}"#, Some(r#"{"note":"line\nT"}"#));
        check("part-1", r#"{"note":"bell\u0007part-1"}"#, Some(r#"{"note":"bell\u0007T"}"#));
        check("日本-001", "日本-0012 日本-001語", None);
        check("日本-001", "in 日本-001\u{a0}now", Some("in T\u{a0}now"));
        check(r#"pa"rt1"#, r#"{"who":"pa\"rt1"}"#, Some(r#"{"who":"T"}"#));
        check("part-1", "", None);
        check("sandbox", "sandbox", None);
    }

    #[test]
    fn ids_that_may_be_something_else() {
        let check = |id: &str, distinct: bool| assert_eq!(is_distinct(id), distinct, "{id}");
        check("p-000042", true);
        check("0193b2c4-7e1f-7c3a-9d5e-2f4a6b8c0d1e", true);
        check("acme-corp", false);
        check("10042387", false);
        check("123e45", false);
        check("v2", false);
    }

    #[test]
    fn ids_in_statistics_are_found_however_often_escaped() {
        let check = |id: &str, text: &str, expected: bool| {
            assert_eq!(names(&[id]).in_statistics(text.as_bytes()), expected, "{id} in {text}");
        };
        check("p-1", r#"{"partner_id":"p-1"}"#, true);
        check("p-1", r#"{"stats":"{\"partner_id\":\"p-1\"}"}"#, true);
        check("p-1", r#"{"stats":"{\"partner_id\": \"p-1/x\"}"}"#, false);
        check("p-1", r#"{"partner_id":"p-12"}"#, false);
        check("product", r#"{"name":"partner_id"},{"name":"product"}"#, false);
        check(r#"a"b"#, r#"{"stats":"{\"partner_id\":\"a\\\"b\"}"}"#, true);
    }

    #[test]
    fn strings_of_binary_formats_are_found_by_their_length() {
        let long = "partner-1";
        assert!(names(&[long]).in_parquet(b"..\x09partner-1.."));
        assert!(names(&[long]).in_parquet(b"..\x09\0\0\0partner-1.."));
        assert!(!names(&[long]).in_parquet(b"..\x0apartner-12.."));
        assert!(!names(&["p1"]).in_parquet(b"..\x02p1......"), "may be chance");
        assert!(names(&["p1"]).in_unreadable(b"\0\0\0\0\x07\x04p1\x02x"));
        assert!(!names(&["p1"]).in_unreadable(b"\0\0\0\0\x07\x06p12"));
        assert_eq!(varint(300), [0xac, 0x02]);
    }
}
