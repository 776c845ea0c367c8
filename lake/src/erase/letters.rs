//! Ids in dead letters: sealed records are opened, and their key, headers and bytes looked at.

use arrow::array::{AsArray, RecordBatch};

use super::names::Names;
use crate::key::{LakeKey, SealedRecord};

/// Dead letters of a batch, row by row.
pub(super) struct Letters {
    pub(super) named: Vec<bool>,
    /// Sealed with another key, so nobody knows.
    pub(super) closed: usize,
    /// Compressed, so nobody has looked.
    pub(super) packed: usize,
}

pub(super) fn letters_that_name(names: &Names, key: &LakeKey, batch: &RecordBatch) -> Letters {
    let mut letters = Letters { named: vec![false; batch.num_rows()], closed: 0, packed: 0 };
    for (row, record) in opened(key, batch).into_iter().enumerate() {
        let Some(record) = record else {
            letters.closed += 1;
            continue;
        };
        letters.named[row] = record_names(names, &record);
        letters.packed += usize::from(!letters.named[row] && is_packed(&record.bytes()));
    }
    letters
}

/// The sealed records of a batch; `None` for what was sealed with another key.
pub(super) fn opened(key: &LakeKey, batch: &RecordBatch) -> Vec<Option<SealedRecord>> {
    let sealed = batch.column_by_name("sealed").and_then(|c| c.as_binary_opt::<i32>());
    let keys = batch.column_by_name("key_id").and_then(|c| c.as_string_opt::<i32>());
    let Some((sealed, keys)) = sealed.zip(keys) else { return Vec::new() };
    (0..batch.num_rows()).map(|row| key.open(sealed.value(row), keys.value(row)).ok()).collect()
}

/// Whether a record names one of the ids in its key, its headers or its bytes.
fn record_names(names: &Names, record: &SealedRecord) -> bool {
    let is = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| names.is(text));
    record.key_bytes().is_some_and(|key| is(&key) || names.in_part(&key))
        || record.header_bytes().iter().any(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            let of_partner = name.to_lowercase().contains("partner");
            names.in_part(name.as_bytes()) || names.in_part(value) || (of_partner && is(value))
        })
        || names.in_record(&record.bytes())
}

/// Whether the bytes begin as those of gzip, Zstandard, bzip2, xz, LZ4, Snappy and ZIP do.
fn is_packed(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 7] = [
        &[0x1f, 0x8b],
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"BZh",
        &[0xfd, b'7', b'z', b'X', b'Z'],
        &[0x04, 0x22, 0x4d, 0x18],
        &[0xff, 0x06, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y'],
        b"PK\x03\x04",
    ];
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(id: &str) -> Names {
        Names::new(&[(id.to_owned(), "T".to_owned())].into(), false)
    }

    #[test]
    fn keys_and_headers_name_ids_too() {
        #[track_caller]
        fn check(id: &str, key: Option<&[u8]>, headers: &[(&str, &[u8])], expected: bool) {
            let headers = headers.iter().map(|(name, v)| ((*name).to_owned(), Some(v.to_vec())));
            let record = SealedRecord::new(key, &headers.collect::<Vec<_>>(), b"{}");
            assert_eq!(record_names(&names(id), &record), expected, "{id} {record:?}");
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
    fn packed_records_are_told() {
        assert!(is_packed(&[0x1f, 0x8b, 8, 0]));
        assert!(!is_packed(b"{}") && !is_packed(b""));
    }
}
