//! Searches every file below a folder for ids, by code that the erasure does not share: Parquet
//! cell by cell, sealed records with the key, JSON in JSON, URLs, HTML.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lake::LakeKey;

use crate::support::files::all_files;

/// Where ids were found: the file, and the part of it.
pub(crate) type IdLocations = BTreeSet<(String, String)>;

/// Returns every part of a file below the folder that holds one of the ids.
pub(crate) fn scan(folder: &Path, key: &Path, ids: &[&str]) -> IdLocations {
    let key = LakeKey::read(key).expect("the lake's key");
    let mut locations = IdLocations::new();
    for file in all_files(folder) {
        let name = file.strip_prefix(folder).expect("below it").display().to_string();
        let bytes = std::fs::read(&file).expect("a file");
        let mut check = |what: &str, bytes: &[u8]| {
            if ids.iter().any(|id| contains_id(bytes, id)) {
                locations.insert((name.clone(), what.to_owned()));
            }
        };
        check("name", name.as_bytes());
        check("bytes", &bytes);
        if name.ends_with(".parquet") {
            check_cells(bytes, &key, &mut check);
        }
    }
    locations
}

/// Passes each cell and each opened record to `check`.
fn check_cells(bytes: Vec<u8>, key: &LakeKey, check: &mut dyn FnMut(&str, &[u8])) {
    let (schema, batches) = lake::parquet_rows(bytes).expect("a Parquet file");
    for batch in batches {
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            let check_cells = ArrayFormatter::try_new(column, &FormatOptions::default());
            let check_cells = check_cells.expect("a column that can be shown");
            for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
                check(field.name(), check_cells.value(row).to_string().as_bytes());
            }
        }
        let Some(sealed) = batch.column_by_name("sealed") else { continue };
        let keys = batch.column_by_name("key_id").expect("its column").as_string::<i32>();
        for (row, bytes) in sealed.as_binary::<i32>().iter().enumerate() {
            let record = key.open(bytes.expect("a record"), keys.value(row)).expect("it opens");
            check("sealed", &record.bytes());
            check("sealed", &record.key_bytes().unwrap_or_default());
            for (name, value) in record.header_bytes() {
                check("sealed", name.as_bytes());
                check("sealed", &value.unwrap_or_default());
            }
        }
    }
}

/// Whether the bytes, in any encoding and escaped up to six times, hold the id as a whole word.
fn contains_id(bytes: &[u8], id: &str) -> bool {
    let mut decodings = vec![String::from_utf8_lossy(bytes).into_owned()];
    if std::str::from_utf8(bytes).is_err() || bytes.contains(&0) {
        let latin: String = bytes.iter().map(|b| char::from(*b)).collect();
        // The characters of UTF-16 that Latin-1 has too.
        decodings.push(latin.replace('\0', ""));
        decodings.push(latin);
    }
    decodings.into_iter().any(|mut text| {
        for _ in 0..6 {
            if contains_whole_id(&text, id) {
                return true;
            }
            let unescaped = unescape_once(&text);
            if unescaped == text {
                return false;
            }
            text = unescaped;
        }
        false
    })
}

fn contains_whole_id(text: &str, id: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_');
    text.match_indices(id).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + id.len()..]);
        !inside(after.chars().next()) && !inside(before.chars().next_back())
    })
}

/// Removes one level of escapes: `\u0061`, `\/`, `%2F`, `&amp;`.
fn unescape_once(text: &str) -> String {
    let all: Vec<char> = text.chars().collect();
    let number = |from: usize, digits: usize| {
        let text: String = all.get(from..from + digits)?.iter().collect();
        u32::from_str_radix(&text, 16).ok()
    };
    let mut bytes = Vec::new();
    let push = |bytes: &mut Vec<u8>, c: char| {
        bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
    };
    let mut at = 0;
    while at < all.len() {
        let (here, next) = (all[at], all.get(at + 1).copied().unwrap_or(' '));
        let unit = |at: usize| {
            let begins = all.get(at) == Some(&'\\') && all.get(at + 1) == Some(&'u');
            number(at + 2, 4).filter(|_| begins)
        };
        match (unit(at), unit(at + 6)) {
            (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
                let code = 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
                push(&mut bytes, char::from_u32(code).expect("a character"));
                at += 12;
                continue;
            }
            (Some(code), _) => {
                push(&mut bytes, char::from_u32(code).unwrap_or('?'));
                at += 6;
                continue;
            }
            _ => {}
        }
        if here == '\\' && next == 'x' && number(at + 2, 2).is_some() {
            push(&mut bytes, char::from_u32(number(at + 2, 2).expect("digits")).expect("Latin-1"));
            at += 4;
        } else if here == '\\' {
            push(&mut bytes, if next.is_ascii_alphabetic() { ' ' } else { next });
            at += 2;
        } else if let Some(byte) = number(at + 1, 2).filter(|_| here == '%') {
            bytes.push(u8::try_from(byte).expect("two digits"));
            at += 3;
        } else {
            push(&mut bytes, here);
            at += 1;
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&amp;", "&")
}

#[test]
fn the_scanner_finds_every_spelling() {
    let id = "café/😀-01";
    for text in [
        "café/😀-01",
        r#"{"a":"caf\u00e9\/\uD83D\uDE00-01"}"#,
        r#"{"a":"{\"b\":\"\\u0063af\\u00e9/\\ud83d\\ude00-\\u0030\\u0031\"}"}"#,
        "/x/caf%C3%A9%2F%F0%9F%98%80-01/y",
    ] {
        assert!(contains_id(text.as_bytes(), id), "{text}");
    }
    let wide: Vec<u8> = "caf\u{e9}-01".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(contains_id(&wide, "caf\u{e9}-01") && contains_id(b"caf\xe9-01", "caf\u{e9}-01"));
    assert!(!contains_id("café/😀-012".as_bytes(), id) && !contains_id(b"", id));
}
