//! Where the files of a report lie, with names that are safe for any id on any file system.

use std::fmt::Write as _;

/// `data/cohort_retention.csv`
pub(crate) fn csv(name: &str) -> String {
    format!("data/{}.csv", metric_stem(name))
}

/// `data/cohort_retention.csv-metadata.json`: where CSV on the Web looks for what is known of a CSV.
pub(crate) fn csv_metadata(name: &str) -> String {
    format!("{}-metadata.json", csv(name))
}

/// `data/cohort_retention.parquet`
pub fn parquet(name: &str) -> String {
    format!("data/{}.parquet", metric_stem(name))
}

/// `sql/cohort_retention.html`
pub(crate) fn sql(name: &str) -> String {
    format!("sql/{}.html", metric_stem(name))
}

/// `partners/w-0315.html`
pub(crate) fn partner(id: &str) -> String {
    format!("partners/{}.html", file_stem(id))
}

/// The names of metrics are lower-case words with underscores and stay as they are.
fn metric_stem(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let named = !name.is_empty() && name.len() <= LONGEST && name.bytes().all(plain);
    if named && !is_reserved(name) { name.to_owned() } else { format!("-{}", file_stem(name)) }
}

/// Longest stem; file systems stop at 255 bytes.
const LONGEST: usize = 120;

/// Lower-case letters, digits and `-` stand for themselves, every other byte is `_` and its two
/// hexadecimal digits: upper case too, as some file systems do not tell it apart. A long name
/// keeps its beginning and ends with a hash of the whole.
fn file_stem(name: &str) -> String {
    let mut stem = String::new();
    for byte in name.bytes() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if plain {
            stem.push(char::from(byte));
        } else {
            let _ = write!(stem, "_{byte:02x}");
        }
    }
    if stem.len() > LONGEST {
        stem.truncate(LONGEST - 33);
        let _ = write!(stem, "_{:032x}", fnv(name));
    }
    if stem.is_empty() || is_reserved(&stem) { format!("_{stem}") } else { stem }
}

/// Device names that one file system refuses.
fn is_reserved(stem: &str) -> bool {
    let numbered = |name: &str| {
        stem.strip_prefix(name)
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// FNV-1a with 128 bits: stable across versions, which links between reports rely on.
fn fnv(text: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe() {
        #[track_caller]
        fn check(id: &str, expected: &str) {
            assert_eq!(partner(id), format!("partners/{expected}.html"));
        }
        check("w-0315", "w-0315");
        check("../../etc", "_2e_2e_2f_2e_2e_2fetc");
        check("A", "_41");
        check("con", "_con");
        check("com1", "_com1");
        check("", "_");
        check("ü", "_c3_bc");
        assert_eq!(csv("cohort_retention"), "data/cohort_retention.csv");
        assert_eq!(sql("../x"), "sql/-_2e_2e_2fx.html");
    }

    #[test]
    fn long_names_stay_apart() {
        let (a, b) = (file_stem(&"é".repeat(128)), file_stem(&format!("{}e", "é".repeat(127))));
        assert!(a.len() <= LONGEST && b.len() <= LONGEST);
        assert_ne!(a, b);
    }
}
