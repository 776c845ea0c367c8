//! Checksums that log entries and checkpoint hints carry in themselves.
//!
//! The checksum is a field of the file's first JSON object. It covers the file's path and all its
//! other bytes, so that a cut, changed or misplaced file is detected without any other file.

use std::borrow::Cow;

use memchr::memmem;
use serde::de::IgnoredAny;

use crate::key::sha256_hex;

/// The bytes before the checksum. Inside of a JSON string the quotes would be escaped, so these
/// bytes are found nowhere else.
const FIELD: &[u8] = br#","rapportChecksum":""#;

/// The number of hex digits of a checksum, the first ones of a SHA-256.
const DIGITS: usize = 16;

/// The beginning of an entry that the Delta library writes.
const COMMIT_INFO: &[u8] = br#"{"commitInfo":{"#;

fn checksum(path: &str, rest: &[u8]) -> String {
    let mut text = sha256_hex(&[path.as_bytes(), b"\n", rest].concat());
    text.truncate(DIGITS);
    text
}

/// Splits a file into its bytes without the checksum, and the checksum; `None` when it has none.
fn split_checksum(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let start = memmem::find(bytes, FIELD)?;
    let digits = start + FIELD.len();
    let end = digits + DIGITS;
    // A checksum that is cut or too long becomes an empty one, which matches no file.
    let rest = bytes.get(end + 1..).unwrap_or_default();
    let found = match bytes.get(end) {
        Some(b'"') => &bytes[digits..end],
        _ => &[],
    };
    Some(([&bytes[..start], rest].concat(), found))
}

/// Returns the file as it was before it got its checksum.
pub(crate) fn without_checksum(bytes: &[u8]) -> Cow<'_, [u8]> {
    split_checksum(bytes).map_or(Cow::Borrowed(bytes), |(rest, _)| Cow::Owned(rest))
}

/// Returns a log entry with its checksum; `path` is below the lake's root.
pub(crate) fn with_entry_checksum(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut entry = without_checksum(bytes).into_owned();
    if !entry.starts_with(COMMIT_INFO) {
        entry = [COMMIT_INFO, b"}}\n", &entry].concat();
    }
    let end = memchr::memchr(b'\n', &entry).unwrap_or(entry.len());
    insert_checksum(path, &entry, end.saturating_sub(2))
}

/// Returns a checkpoint hint with its checksum; `path` is below the lake's root.
pub(crate) fn with_hint_checksum(path: &str, bytes: &[u8]) -> Vec<u8> {
    let hint = without_checksum(bytes.trim_ascii()).into_owned();
    let end = hint.len().saturating_sub(1);
    insert_checksum(path, &hint, end)
}

/// Inserts the checksum as the last field of the JSON object whose fields end at `end`.
fn insert_checksum(path: &str, rest: &[u8], end: usize) -> Vec<u8> {
    // An empty object gets another field first, because the checksum's field begins with a comma.
    if end == 0 || rest[end - 1] == b'{' {
        let filled = [&rest[..end], br#""writer":"rapport""#, &rest[end..]].concat();
        let end = end + filled.len() - rest.len();
        return insert_checksum(path, &filled, end);
    }
    let sum = checksum(path, rest);
    [&rest[..end], FIELD, sum.as_bytes(), b"\"", &rest[end..]].concat()
}

/// Checks a file and returns whether it carries a checksum.
///
/// # Errors
/// In what way the file is damaged.
pub(crate) fn check(path: &str, bytes: &[u8]) -> Result<bool, String> {
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some((rest, found)) = split_checksum(bytes) {
        if checksum(path, &rest).as_bytes() == found {
            return Ok(true);
        }
        return Err("it is not what was written there".to_owned());
    }
    // A file of an older program has no checksum; a cut line of it is detected.
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
    fn any_damage_of_an_entry_is_detected() {
        let written = with_entry_checksum(PATH, ENTRY.as_bytes());
        assert_eq!(check(PATH, &written), Ok(true));
        assert_eq!(without_checksum(&written), ENTRY.as_bytes());
        assert_eq!(with_entry_checksum(PATH, &written), written, "given once");
        assert!(check("raw/others/_delta_log/00000000000000000007.json", &written).is_err());
        for end in 0..written.len() {
            assert!(check(PATH, &written[..end]).is_err(), "cut at {end}");
        }
        let name = memmem::find(&written, FIELD).expect("a checksum");
        for changed in 0..written.len() {
            let mut damaged = written.clone();
            damaged[changed] ^= 0x20;
            // A change of the field's name loses the checksum; every other change is detected.
            let unnamed = (name..name + FIELD.len()).contains(&changed);
            if let Ok(found) = check(PATH, &damaged) {
                assert!(unnamed && !found, "{changed}");
            }
        }
    }

    #[test]
    fn files_of_any_first_object_get_a_checksum() {
        for text in ["{\"commitInfo\":{}}\n{\"a\":1}", "{\"protocol\":{}}", "{\"commitInfo\":{}}"] {
            let written = with_entry_checksum(PATH, text.as_bytes());
            assert_eq!(check(PATH, &written), Ok(true), "{text}");
            for line in written.split(|b| *b == b'\n') {
                serde_json::from_slice::<IgnoredAny>(line).expect("JSON");
            }
        }
        let written = with_hint_checksum("h", b"{\"version\":10,\"size\":3}\n");
        assert_eq!(check("h", &written), Ok(true));
        assert!(serde_json::from_slice::<IgnoredAny>(&written).is_ok());
        assert_eq!(check("h", b"{\"version\":10}"), Ok(false), "an older program's");
        assert!(check("h", b"{\"version\":1").is_err());
    }
}
