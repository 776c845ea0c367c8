//! Finding ids in cells, log entries and raw bytes, and putting tokens in their place.
//!
//! A text is looked at as decoded, not as spelled (`readings`). Where a cell or a member is a
//! partner's id (`fields`), any id is told from any other. Elsewhere in text only an id that could
//! be nothing else is looked for: a partner may be called `sandbox` or `payments`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem::Finder;
use serde::de::IgnoredAny;

use super::fields::id_values;
use super::readings::{Reading, has_escapes};

/// The ids to erase.
pub(crate) struct Names(Vec<Name>);

struct Name {
    id: String,
    token: String,
    /// Whether the id names the partner wherever it stands.
    distinct: bool,
    /// Whether it is long enough to be told from chance among compressed bytes.
    long: bool,
    /// As is, and with `+` for blanks, as forms write them.
    spelled: Vec<Finder<'static>>,
    /// With its length before it, as Parquet and Thrift write strings.
    prefixed: Vec<Finder<'static>>,
    /// With its length before it, as formats of records write strings.
    framed: Vec<Finder<'static>>,
}

/// Where in a text a name stands.
struct Found<'n> {
    place: Range<usize>,
    name: &'n Name,
}

/// From this length on an id found by chance, also among compressed bytes, is out of the question.
const DISTINCT: usize = 6;

impl Names {
    /// Ids with the token that takes the place of each. `everywhere` takes each for a name wherever
    /// it stands.
    pub(crate) fn new(partners: &BTreeMap<String, String>, everywhere: bool) -> Self {
        Self(partners.iter().map(|(id, token)| Name::new(id, token, everywhere)).collect())
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

    /// Whether the bytes may name an id in any spelling; quick, and says nothing yet.
    pub(crate) fn may_be_in(&self, bytes: &[u8]) -> bool {
        has_escapes(bytes)
            || self.0.iter().flat_map(|n| &n.spelled).any(|finder| finder.find(bytes).is_some())
    }

    /// The ids that may also be ordinary words, and are looked for only where ids stand.
    pub(crate) fn ordinary(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|name| !name.distinct).map(|name| name.id.as_str())
    }

    /// The text with tokens for the ids it names; `None` when it names none.
    pub(crate) fn replaced(&self, text: &str) -> Option<String> {
        let mut found = self.found(text);
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|f| (f.place.start, std::cmp::Reverse(f.place.end)));
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for Found { place, name } in found {
            if place.start >= done {
                out.push_str(&text[done..place.start]);
                out.push_str(&name.token);
            }
            done = done.max(place.end);
        }
        out.push_str(&text[done..]);
        Some(out)
    }

    /// Whether the text names one of the ids.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        !self.found(text).is_empty()
    }

    /// Whether bytes that may be text of any encoding name one of the ids.
    pub(crate) fn in_part(&self, bytes: &[u8]) -> bool {
        self.are_in(&as_text(bytes))
    }

    /// The distinct ids as words of their own (`part-1`, not `part-12`), and any where an id stands.
    fn found(&self, text: &str) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        if self.may_be_in(text.as_bytes()) {
            self.words(text, &|name| name.distinct, &mut found);
            let values = id_values(text).into_iter();
            found.extend(values.filter_map(|value| self.at(text, value.place)));
        }
        found
    }

    /// The id that the text gives at this place, in any spelling.
    fn at(&self, text: &str, place: Range<usize>) -> Option<Found<'_>> {
        let mut readings = Reading::all(&text[place.clone()]);
        let name =
            readings.find_map(|reading| self.0.iter().find(|name| name.id == *reading.text))?;
        Some(Found { place, name })
    }

    /// Where the ids that are `wanted` stand as words of their own, in any spelling.
    fn words<'n>(&'n self, text: &str, wanted: &dyn Fn(&Name) -> bool, found: &mut Vec<Found<'n>>) {
        for reading in Reading::all(text) {
            let bytes = reading.text.as_bytes();
            for name in self.0.iter().filter(|name| wanted(name)) {
                for finder in &name.spelled {
                    let length = finder.needle().len();
                    let places = words(finder, bytes).map(|at| reading.source(at..at + length));
                    found.extend(places.map(|place| Found { place, name }));
                }
            }
        }
    }

    /// The first of the ordinary ids that stands in the text as a word, and so may be meant.
    pub(crate) fn doubtful_in(&self, text: &str) -> Option<&str> {
        if !self.may_be_in(text.as_bytes()) {
            return None;
        }
        let mut found = Vec::new();
        self.words(text, &|name| !name.distinct, &mut found);
        found.first().map(|f| f.name.id.as_str())
    }

    /// Whether JSON, however often escaped, gives one of the ids as a `partner_id`.
    pub(crate) fn in_statistics(&self, bytes: &[u8]) -> bool {
        if !self.may_be_in(bytes) {
            return false;
        }
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        lines.any(|line| Reading::all(line).any(|r| self.in_statistics_as_read(r.text.as_bytes())))
    }

    fn in_statistics_as_read(&self, bytes: &[u8]) -> bool {
        self.0.iter().flat_map(|n| &n.spelled).any(|finder| {
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
        let names = self.0.iter().filter(|name| name.distinct && name.long);
        names.flat_map(|n| &n.prefixed).any(|finder| finder.find(bytes).is_some())
    }

    /// Whether a record, or a part of one, names one of the ids. In one that is no JSON any id
    /// counts as a word too: nobody can say what it stands for.
    pub(crate) fn in_record(&self, bytes: &[u8]) -> bool {
        let text = as_text(bytes);
        if is_json(&text) {
            return self.in_json(&text);
        }
        self.in_words(&text) || (is_binary(bytes) && self.in_binary(bytes))
    }

    /// Whether bytes that are no text hold one of the ids as a string, or are UTF-16.
    fn in_binary(&self, bytes: &[u8]) -> bool {
        let utf16 = || bytes.contains(&0) && utf16(bytes).iter().any(|text| self.in_words(text));
        self.0.iter().flat_map(|n| &n.framed).any(|f| f.find(bytes).is_some()) || utf16()
    }

    /// Whether the text has one of the ids, distinct or not, as a word.
    fn in_words(&self, text: &str) -> bool {
        let mut found = Vec::new();
        self.words(text, &|_| true, &mut found);
        !found.is_empty()
    }

    /// Whether a record that is JSON names one of the ids. A `partner_id` that is another's may hold
    /// the letters of one of them: `part-1/eu`.
    fn in_json(&self, text: &str) -> bool {
        if !self.may_be_in(text.as_bytes()) {
            return false;
        }
        let values = id_values(text);
        if values.iter().any(|value| self.at(text, value.place.clone()).is_some()) {
            return true;
        }
        let mut found = Vec::new();
        self.words(text, &|name| name.distinct, &mut found);
        let own = |place: &Range<usize>| {
            let around = |v: &Range<usize>| v.start <= place.start && place.end <= v.end;
            values.iter().any(|value| value.of_contract && around(&value.place))
        };
        found.iter().any(|f| !own(&f.place))
    }
}

/// UTF-8, or else Latin-1, in which every byte is a character.
fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether the bytes are no text, or hold what no text does.
fn is_binary(bytes: &[u8]) -> bool {
    let control = |b: &u8| *b < 0x20 && !b.is_ascii_whitespace();
    bytes.iter().any(control) || std::str::from_utf8(bytes).is_err()
}

/// The bytes as UTF-16 of either order, from either byte on.
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

impl Name {
    fn new(id: &str, token: &str, everywhere: bool) -> Self {
        let bytes = id.as_bytes();
        let with = |prefix: &[u8]| Finder::new(&[prefix, bytes].concat()).into_owned();
        let length = bytes.len() as u64;
        let mut spelled = vec![Finder::new(id).into_owned()];
        if id.contains(' ') {
            spelled.push(Finder::new(&id.replace(' ', "+")).into_owned());
        }
        Self {
            id: id.to_owned(),
            token: token.to_owned(),
            distinct: everywhere || is_distinct(id),
            long: id.chars().count() >= DISTINCT,
            spelled,
            prefixed: vec![
                with(&varint(length)),
                with(&u32::try_from(length).unwrap_or_default().to_le_bytes()),
            ],
            framed: framings(length).iter().map(|prefix| with(prefix)).collect(),
        }
    }
}

/// What stands before a string of so many bytes in Avro, in Protobuf and Thrift, in MessagePack and
/// in CBOR.
fn framings(length: u64) -> Vec<Vec<u8>> {
    let mut all = vec![varint(length * 2), varint(length)];
    let Ok(short) = u8::try_from(length) else { return all };
    all.extend([vec![0xd9, short], vec![0x78, short]]);
    if short < 32 {
        all.push(vec![0xa0 | short]);
    }
    if short < 24 {
        all.push(vec![0x60 | short]);
    }
    all
}

/// Whether the id is no word, no number and no version: long enough, of digits and letters.
fn is_distinct(id: &str) -> bool {
    // With no letter but e it could be a number in JSON.
    let letter = |c: char| (c.is_alphabetic() || !c.is_ascii()) && !matches!(c, 'e' | 'E');
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
        .filter(move |at| !ends_in_word(&bytes[..*at]) && !starts_in_word(&bytes[at + length..]))
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
    use proptest::prelude::*;

    use super::*;

    fn names(ids: &[&str]) -> Names {
        Names::new(&ids.iter().map(|id| ((*id).to_owned(), "T".to_owned())).collect(), false)
    }

    #[test]
    fn words_of_their_own_are_found_and_replaced() {
        #[track_caller]
        fn check(id: &str, text: &str, expected: Option<&str>) {
            let names = names(&[id]);
            assert_eq!(names.replaced(text).as_deref(), expected, "{id} in {text}");
            assert_eq!(names.are_in(text), expected.is_some(), "{id} in {text}");
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
    fn ids_are_found_as_decoded() {
        #[track_caller]
        fn check(id: &str, text: &str, expected: Option<&str>) {
            assert_eq!(names(&[id]).replaced(text).as_deref(), expected, "{id} in {text}");
        }
        let found = Some(r#"{"a":"T"}"#);
        check("café-0001", r#"{"a":"caf\u00e9-0001"}"#, found);
        check("café-0001", r#"{"a":"caf\u00E9-000\u0031"}"#, found);
        check("acme/eu-01", r#"{"a":"acme\/eu-01"}"#, found);
        check(
            "acme/eu-01",
            r#"{"a":"https://x/acme%2Feu-01?y"}"#,
            Some(r#"{"a":"https://x/T?y"}"#),
        );
        check("acme eu-01", r#"{"a":"q=acme+eu-01&b"}"#, Some(r#"{"a":"q=T&b"}"#));
        check("😀-00001", r#"{"a":"\ud83d\ude00-00001"}"#, found);
        check("acme-01", r#"{"a":"{\"b\":\"acm\\u0065-01\"}"}"#, Some(r#"{"a":"{\"b\":\"T\"}"}"#));
        check("acme-01", r#"{"a":"acm\u0065-012"}"#, None);
        check(
            "acme-01",
            r#"{"a":"acm\u0065-01","a":"acme-01","acme-01":1}"#,
            Some(r#"{"a":"T","a":"T","T":1}"#),
        );
        // Where ids stand an ordinary word is one too, and a number.
        check(
            "acme",
            r#"{"a":"acme","by":{"partner_id":"acm\u0065","partner_id":"x"}}"#,
            Some(r#"{"a":"acme","by":{"partner_id":"T","partner_id":"x"}}"#),
        );
        check("1001", r#"{"partnerId":"1001","n":1001}"#, Some(r#"{"partnerId":"T","n":1001}"#));
    }

    #[test]
    fn a_word_that_may_be_meant_is_a_doubt() {
        let names = names(&["acme", "part-01"]);
        assert_eq!(names.doubtful_in(r#"{"to":"acm\u0065"}"#), Some("acme"));
        assert_eq!(names.doubtful_in(r#"{"to":"part-01","x":"acmes"}"#), None);
        let all = [("acme".to_owned(), "T".to_owned())].into();
        assert_eq!(Names::new(&all, true).replaced("acme").as_deref(), Some("T"));
        assert_eq!(Names::new(&all, true).ordinary().count(), 0);
    }

    #[test]
    fn records_that_name_an_id() {
        #[track_caller]
        fn check(id: &str, record: &[u8], expected: bool) {
            let named = names(&[id]).in_record(record);
            assert_eq!(named, expected, "{id} in {}", record.escape_ascii());
        }
        check("part-1", br#"{"partner_id":"part-1","partner_id":"part-10"}"#, true);
        check("part-1", br#"{"x":[{"y":"p\u0061rt-1","y":2}]}"#, true);
        check("part-1", br#"{"partner_id":"part-1/x"}"#, false);
        check("part-1", br#"{"partner_id":"part-1/x","note":"part-1"}"#, true);
        check("part-1", br#"{"partner_id":"part-1,"status":1}"#, true);
        check("1001", br#"{"partner_id":1001}"#, true);
        check("1001", br#"{"status":1001}"#, false);
        check("acme", br#"{"source":"acme"}"#, false);
        check("acme", br#"{"source":"acme""#, true);
        check("café-1", br#"{"partner_id":"caf\u00e9-1"#, true);
        check("café-1", b"{'partner_id':'caf\\xe9-1'}", true);
        check("café-1", b"partner=caf\xe9-1", true);
        check("café-1", "<p>caf&#233;-1</p>".as_bytes(), true);
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        check("café-1", &wide(r#"{"partner_id":"café-1"}"#), true);
        check("café-1", &wide(r#"{"partner_id":"café-12"}"#), false);
        for bytes in [&b"\x0a\x06part-1B\x02xx"[..], b"\x81\xa1p\xa6part-1x", b"\xa1ap\x66part-1x"]
        {
            check("part-1", bytes, true);
        }
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
        check("p-é", r#"{"stats":"{\"partner_id\": \"p-\\u00e9\"}"}"#, true);
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
        assert!(names(&["p1"]).in_record(b"\0\0\0\0\x07\x04p1\x02x"));
        assert!(!names(&["p1"]).in_record(b"\0\0\0\0\x07\x06p12"));
        assert_eq!(varint(300), [0xac, 0x02]);
    }

    /// A text as a JSON literal, each character spelled in one of the ways there are.
    fn spelled(text: &str, ways: &[u8]) -> String {
        let mut out = String::new();
        for (character, way) in text.chars().zip(ways.iter().cycle()) {
            let quoted = serde_json::Value::from(character.to_string()).to_string();
            match way % 3 {
                0 => out.push_str(&quoted[1..quoted.len() - 1]),
                1 => {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ if character == '/' => out.push_str("\\/"),
                _ => {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04X}"));
                    }
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn no_spelling_hides_an_id(
            id in "[a-zé日😀/\"\\\\ ]{1,8}-[a-z]{3}[0-9]{3}",
            ways in proptest::collection::vec(any::<u8>(), 1..12),
            again in proptest::collection::vec(any::<u8>(), 1..12),
            before in "[a-z{}\",: ]{0,6}", after in "[{}\",: ]{0,6}",
        ) {
            let names = names(&[&id]);
            let once = format!("\"{}\"", spelled(&format!("{before} {id}{after}"), &ways));
            let twice = format!("{{\"x\":\"{}\"}}", spelled(&once, &again));
            for text in [once, twice] {
                prop_assert!(is_json(&text), "{text}");
                let replaced = names.replaced(&text);
                prop_assert!(replaced.is_some(), "{text}");
                let replaced = replaced.unwrap_or_default();
                prop_assert!(!names.are_in(&replaced), "{replaced}");
                prop_assert!(is_json(&replaced), "{replaced}");
                prop_assert!(names.in_record(text.as_bytes()));
            }
        }
    }
}
