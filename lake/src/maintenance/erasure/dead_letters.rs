//! Finding ids in dead letters: in the key, the headers and the bytes of each sealed record, and in
//! the message of its mapping.

use arrow::array::{AsArray, RecordBatch};

use crate::key::{LakeKey, SealedRecord};
use crate::maintenance::erasure::id_matcher::IdMatcher;

/// The result of searching a batch of dead letters.
pub(super) struct DeadLetterMatches {
    /// Whether the record of each row contains an id.
    pub(super) named: Vec<bool>,
    /// The number of records that were sealed with a key that is not in the key file.
    pub(super) sealed_with_other_key: usize,
    /// The number of compressed records, which are not searched.
    pub(super) compressed: usize,
}

/// Searches a batch of dead letters for ids.
pub(super) fn match_dead_letters(
    matcher: &IdMatcher,
    key: &LakeKey,
    batch: &RecordBatch,
) -> DeadLetterMatches {
    let mut matches = DeadLetterMatches {
        named: vec![false; batch.num_rows()],
        sealed_with_other_key: 0,
        compressed: 0,
    };
    for (row, record) in open_sealed_records(key, batch).into_iter().enumerate() {
        let Some(record) = record else {
            matches.sealed_with_other_key += 1;
            continue;
        };
        matches.named[row] = is_in_sealed_record(matcher, &record);
        matches.compressed += usize::from(!matches.named[row] && is_compressed(&record.bytes()));
    }
    matches
}

/// Returns the sealed records of a batch; `None` for a record that was sealed with another key.
pub(super) fn open_sealed_records(key: &LakeKey, batch: &RecordBatch) -> Vec<Option<SealedRecord>> {
    let sealed = batch.column_by_name("sealed").and_then(|c| c.as_binary_opt::<i32>());
    let keys = batch.column_by_name("key_id").and_then(|c| c.as_string_opt::<i32>());
    let Some((sealed, keys)) = sealed.zip(keys) else { return Vec::new() };
    (0..batch.num_rows()).map(|row| key.open(sealed.value(row), keys.value(row)).ok()).collect()
}

/// Returns whether a record contains one of the ids in its key, its headers, its bytes or the
/// message of its mapping.
fn is_in_sealed_record(matcher: &IdMatcher, record: &SealedRecord) -> bool {
    let is_id = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| matcher.is_id(text));
    record.key_bytes().is_some_and(|key| is_id(&key) || matcher.is_in_bytes(&key))
        || record.header_bytes().iter().any(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            let is_about_partner = name.to_lowercase().contains("partner");
            matcher.is_in_bytes(name.as_bytes())
                || matcher.is_in_bytes(value)
                || (is_about_partner && is_id(value))
        })
        || record.message.as_ref().is_some_and(|text| matcher.is_in_bytes(text.as_bytes()))
        || matcher.is_in_record(&record.bytes())
}

/// Returns whether the bytes begin like gzip, Zstandard, bzip2, xz, LZ4, Snappy or ZIP.
fn is_compressed(bytes: &[u8]) -> bool {
    const MAGIC_BYTES: [&[u8]; 7] = [
        &[0x1f, 0x8b],
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"BZh",
        &[0xfd, b'7', b'z', b'X', b'Z'],
        &[0x04, 0x22, 0x4d, 0x18],
        &[0xff, 0x06, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y'],
        b"PK\x03\x04",
    ];
    MAGIC_BYTES.iter().any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(id: &str) -> IdMatcher {
        IdMatcher::new(&[(id.to_owned(), "T".to_owned())].into(), false)
    }

    #[test]
    fn ids_in_keys_and_headers_are_found() {
        #[track_caller]
        fn check(id: &str, key: Option<&[u8]>, headers: &[(&str, &[u8])], expected: bool) {
            let headers = headers.iter().map(|(name, v)| ((*name).to_owned(), Some(v.to_vec())));
            let record = SealedRecord::new(key, &headers.collect::<Vec<_>>(), b"{}");
            assert_eq!(is_in_sealed_record(&matcher(id), &record), expected, "{id} {record:?}");
        }
        check("part-1", Some(b"part-1"), &[], true);
        check("part-1", Some(b"part-12"), &[], false);
        check("acme", Some(b"acme"), &[], true);
        check("acme", Some(b"acme-2"), &[], false);
        check("café-1", Some(br#""caf\u00e9-1""#), &[], true);
        check("part-1", None, &[("ce_subject", b"partners/part%2D1")], true);
        check("acme", None, &[("ce_partner", b"acme"), ("x", b"y")], true);
        check("acme", None, &[("ce_source", b"acme")], false);
        check("part-1", None, &[("part-1", b"")], true);
    }

    #[test]
    fn compressed_records_are_recognised() {
        assert!(is_compressed(&[0x1f, 0x8b, 8, 0]));
        assert!(!is_compressed(b"{}") && !is_compressed(b""));
    }
}
