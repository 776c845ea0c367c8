//! Tests of the id matcher on texts, records and the bytes of binary formats.

use proptest::prelude::*;

use super::id_pattern::{is_distinct, varint};
use super::*;

fn matcher_of(ids: &[&str]) -> IdMatcher {
    IdMatcher::new(&ids.iter().map(|id| ((*id).to_owned(), "T".to_owned())).collect(), false)
}

#[test]
fn whole_words_are_found_and_replaced() {
    #[track_caller]
    fn check(id: &str, text: &str, expected: Option<&str>) {
        let matcher = matcher_of(&[id]);
        assert_eq!(matcher.replaced(text).as_deref(), expected, "{id} in {text}");
        assert_eq!(matcher.is_in(text), expected.is_some(), "{id} in {text}");
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
        assert_eq!(matcher_of(&[id]).replaced(text).as_deref(), expected, "{id} in {text}");
    }
    let found = Some(r#"{"a":"T"}"#);
    check("café-0001", r#"{"a":"caf\u00e9-0001"}"#, found);
    check("café-0001", r#"{"a":"caf\u00E9-000\u0031"}"#, found);
    check("acme/eu-01", r#"{"a":"acme\/eu-01"}"#, found);
    check("acme/eu-01", r#"{"a":"https://x/acme%2Feu-01?y"}"#, Some(r#"{"a":"https://x/T?y"}"#));
    check("acme eu-01", r#"{"a":"q=acme+eu-01&b"}"#, Some(r#"{"a":"q=T&b"}"#));
    check("😀-00001", r#"{"a":"\ud83d\ude00-00001"}"#, found);
    check("acme-01", r#"{"a":"{\"b\":\"acm\\u0065-01\"}"}"#, Some(r#"{"a":"{\"b\":\"T\"}"}"#));
    check("acme-01", r#"{"a":"acm\u0065-012"}"#, None);
    check(
        "acme-01",
        r#"{"a":"acm\u0065-01","a":"acme-01","acme-01":1}"#,
        Some(r#"{"a":"T","a":"T","T":1}"#),
    );
    // Where ids stand, an ordinary word and a number are ids too.
    check(
        "acme",
        r#"{"a":"acme","by":{"partner_id":"acm\u0065","partner_id":"x"}}"#,
        Some(r#"{"a":"acme","by":{"partner_id":"T","partner_id":"x"}}"#),
    );
    check("1001", r#"{"partnerId":"1001","n":1001}"#, Some(r#"{"partnerId":"T","n":1001}"#));
}

#[test]
fn an_ordinary_word_in_free_text_is_ambiguous() {
    let matcher = matcher_of(&["acme", "part-01"]);
    assert_eq!(matcher.ambiguous_id_in(r#"{"to":"acm\u0065"}"#), Some("acme"));
    assert_eq!(matcher.ambiguous_id_in(r#"{"to":"part-01","x":"acmes"}"#), None);
    let all = [("acme".to_owned(), "T".to_owned())].into();
    assert_eq!(IdMatcher::new(&all, true).replaced("acme").as_deref(), Some("T"));
    assert_eq!(IdMatcher::new(&all, true).ambiguous_ids().count(), 0);
}

#[test]
fn records_that_name_an_id() {
    #[track_caller]
    fn check(id: &str, record: &[u8], expected: bool) {
        let named = matcher_of(&[id]).is_in_record(record);
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
    for bytes in [&b"\x0a\x06part-1B\x02xx"[..], b"\x81\xa1p\xa6part-1x", b"\xa1ap\x66part-1x"] {
        check("part-1", bytes, true);
    }
}

#[test]
fn ordinary_words_and_numbers_are_not_distinct() {
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
        assert_eq!(matcher_of(&[id]).is_in_statistics(text.as_bytes()), expected, "{id} in {text}");
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
    assert!(matcher_of(&[long]).is_in_parquet(b"..\x09partner-1.."));
    assert!(matcher_of(&[long]).is_in_parquet(b"..\x09\0\0\0partner-1.."));
    assert!(!matcher_of(&[long]).is_in_parquet(b"..\x0apartner-12.."));
    assert!(!matcher_of(&["p1"]).is_in_parquet(b"..\x02p1......"), "may be a coincidence");
    assert!(matcher_of(&["p1"]).is_in_record(b"\0\0\0\0\x07\x04p1\x02x"));
    assert!(!matcher_of(&["p1"]).is_in_record(b"\0\0\0\0\x07\x06p12"));
    assert_eq!(varint(300), [0xac, 0x02]);
}

/// Returns the content of a JSON string literal, with each character escaped in one of three ways.
fn escaped(text: &str, ways: &[u8]) -> String {
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
        let matcher = matcher_of(&[&id]);
        let once = format!("\"{}\"", escaped(&format!("{before} {id}{after}"), &ways));
        let twice = format!("{{\"x\":\"{}\"}}", escaped(&once, &again));
        for text in [once, twice] {
            prop_assert!(is_json(&text), "{text}");
            let replaced = matcher.replaced(&text);
            prop_assert!(replaced.is_some(), "{text}");
            let replaced = replaced.unwrap_or_default();
            prop_assert!(!matcher.is_in(&replaced), "{replaced}");
            prop_assert!(is_json(&replaced), "{replaced}");
            prop_assert!(matcher.is_in_record(text.as_bytes()));
        }
    }
}
