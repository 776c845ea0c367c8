//! Files of a log that carry their own checksum: entries, and the hint at the newest checkpoint.
//!
//! It is a field of the first JSON object, of the file's path and of all its other bytes: an entry
//! that is cut, changed or of another place is told by itself.

use std::borrow::Cow;

use memchr::memmem;
use serde::de::IgnoredAny;

use crate::key::digest;

/// What stands before the checksum. Inside of a JSON text its quotes would have backslashes.
const FIELD: &[u8] = br#","rapportChecksum":""#;

/// Digits of the checksum: the first of a SHA-256.
const DIGITS: usize = 16;

/// The first line of an entry that Delta's writers make.
const COMMIT_INFO: &[u8] = br#"{"commitInfo":{"#;

fn checksum(path: &str, rest: &[u8]) -> String {
    let mut text = digest(&[path.as_bytes(), b"\n", rest].concat());
    text.truncate(DIGITS);
    text
}

/// The file without its checksum, and the checksum.
fn apart(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let start = memmem::find(bytes, FIELD)?;
    let digits = start + FIELD.len();
    let end = digits + DIGITS;
    // What was cut inside of the checksum, or runs on, has none that could be right.
    let rest = bytes.get(end + 1..).unwrap_or_default();
    let found = match bytes.get(end) {
        Some(b'"') => &bytes[digits..end],
        _ => &[],
    };
    Some(([&bytes[..start], rest].concat(), found))
}

/// The file as it was before it was given its checksum.
pub(crate) fn without(bytes: &[u8]) -> Cow<'_, [u8]> {
    apart(bytes).map_or(Cow::Borrowed(bytes), |(rest, _)| Cow::Owned(rest))
}

/// An entry with its checksum; `path` is below the lake's root.
pub(crate) fn entry(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut entry = without(bytes).into_owned();
    if !entry.starts_with(COMMIT_INFO) {
        entry = [COMMIT_INFO, b"}}\n", &entry].concat();
    }
    let end = memchr::memchr(b'\n', &entry).unwrap_or(entry.len());
    stamp(path, &entry, end.saturating_sub(2))
}

/// A hint with its checksum.
pub(crate) fn hint(path: &str, bytes: &[u8]) -> Vec<u8> {
    let hint = without(bytes.trim_ascii()).into_owned();
    let end = hint.len().saturating_sub(1);
    stamp(path, &hint, end)
}

/// Puts the checksum as the last field of the object that ends there.
fn stamp(path: &str, rest: &[u8], end: usize) -> Vec<u8> {
    // An object without fields takes no comma before its first.
    if end == 0 || rest[end - 1] == b'{' {
        let filled = [&rest[..end], br#""writer":"rapport""#, &rest[end..]].concat();
        let end = end + filled.len() - rest.len();
        return stamp(path, &filled, end);
    }
    let sum = checksum(path, rest);
    [&rest[..end], FIELD, sum.as_bytes(), b"\"", &rest[end..]].concat()
}

/// Whether the file carries a checksum; an error says how it is damaged.
pub(crate) fn check(path: &str, bytes: &[u8]) -> Result<bool, String> {
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some((rest, found)) = apart(bytes) {
        if checksum(path, &rest).as_bytes() == found {
            return Ok(true);
        }
        return Err("it is not what was written there".to_owned());
    }
    // Of an older program: at least no line may be cut.
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for (index, line) in lines.enumerate() {
        if serde_json::from_slice::<IgnoredAny>(line).is_err() {
            return Err(format!("its line {} is no JSON", index + 1));
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "raw/things/_delta_log/00000000000000000007.json";
    const ENTRY: &str = "{\"commitInfo\":{\"timestamp\":1,\"operation\":\"WRITE\"}}\n\
                         {\"add\":{\"path\":\"x\",\"stats\":\"{\\\"numRecords\\\":1}\"}}\n\
                         {\"txn\":{\"appId\":\"c/t/i/0\",\"version\":3}}";

    #[test]
    fn an_entry_tells_its_own_damage() {
        let written = entry(PATH, ENTRY.as_bytes());
        assert_eq!(check(PATH, &written), Ok(true));
        assert_eq!(without(&written), ENTRY.as_bytes());
        assert_eq!(entry(PATH, &written), written, "given once");
        assert!(check("raw/others/_delta_log/00000000000000000007.json", &written).is_err());
        for end in 0..written.len() {
            assert!(check(PATH, &written[..end]).is_err(), "cut at {end}");
        }
        let name = memmem::find(&written, FIELD).expect("a checksum");
        for place in 0..written.len() {
            let mut damaged = written.clone();
            damaged[place] ^= 0x20;
            // With its name the checksum is lost, and nothing else.
            let unnamed = (name..name + FIELD.len()).contains(&place);
            if let Ok(found) = check(PATH, &damaged) {
                assert!(unnamed && !found, "{place}");
            }
        }
    }

    #[test]
    fn whatever_a_writer_begins_with() {
        for text in ["{\"commitInfo\":{}}\n{\"a\":1}", "{\"protocol\":{}}", "{\"commitInfo\":{}}"] {
            let written = entry(PATH, text.as_bytes());
            assert_eq!(check(PATH, &written), Ok(true), "{text}");
            for line in written.split(|b| *b == b'\n') {
                serde_json::from_slice::<IgnoredAny>(line).expect("JSON");
            }
        }
        let written = hint("h", b"{\"version\":10,\"size\":3}\n");
        assert_eq!(check("h", &written), Ok(true));
        assert!(serde_json::from_slice::<IgnoredAny>(&written).is_ok());
        assert_eq!(check("h", b"{\"version\":10}"), Ok(false), "an older program's");
        assert!(check("h", b"{\"version\":1").is_err());
    }
}
