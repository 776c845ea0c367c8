//! The paths of the files of a report. The names are safe for any id on any file system.

use std::fmt::Write as _;

use domain::Tier;

use crate::tiers;

/// Returns `data/cohort_retention.csv`.
pub(crate) fn csv(name: &str) -> String {
    format!("data/{}.csv", metric_stem(name))
}

/// Returns `data/cohort_retention.csv-metadata.json`, the path at which CSV on the Web
/// (<https://www.w3.org/TR/tabular-data-model/>) looks for the metadata of a CSV.
pub(crate) fn csv_metadata(name: &str) -> String {
    format!("{}-metadata.json", csv(name))
}

/// Returns `data/cohort_retention.parquet`.
pub fn parquet(name: &str) -> String {
    format!("data/{}.parquet", metric_stem(name))
}

/// Returns `sql/cohort_retention.html`.
pub(crate) fn sql(name: &str) -> String {
    format!("sql/{}.html", metric_stem(name))
}

/// Returns `partners/w-0315.html`.
pub(crate) fn partner(id: &str) -> String {
    format!("partners/{}.html", file_stem(id))
}

/// Returns the first page of the list of partners in a tier: `health-at-risk.html`.
pub(crate) fn health_list(tier: Tier) -> String {
    health_page(Some(tier), 0)
}

/// Returns a page, counted from 0, of the list of all partners or of those in a tier:
/// `health-2.html`, `health-at-risk-2.html`.
pub(crate) fn health_page(tier: Option<Tier>, number: usize) -> String {
    let tier = tier.map_or_else(String::new, |tier| format!("-{}", tiers::slug(tier)));
    let number = if number == 0 { String::new() } else { format!("-{}", number + 1) };
    format!("health{tier}{number}.html")
}

/// Returns the file name of a metric without its ending. Metrics have names of lower-case letters,
/// digits and underscores, which stay as they are.
fn metric_stem(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let named = !name.is_empty() && name.len() <= MAX_STEM_BYTES && name.bytes().all(plain);
    if named && !is_reserved(name) { name.to_owned() } else { format!("-{}", file_stem(name)) }
}

/// The length of the longest file name without its ending. File systems allow 255 bytes.
const MAX_STEM_BYTES: usize = 120;

/// Returns the file name of an id without its ending. Lower-case letters, digits and `-` stay as
/// they are. Every other byte becomes `_` and its two hexadecimal digits: also upper-case letters,
/// since some file systems do not distinguish case. A long name keeps its beginning and ends with
/// a hash of the whole name; it alone has the greatest length.
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
    if stem.len() >= MAX_STEM_BYTES {
        stem.truncate(MAX_STEM_BYTES - 33);
        let _ = write!(stem, "_{:032x}", fnv_1a(name));
    }
    if stem.is_empty() || is_reserved(&stem) { format!("_{stem}") } else { stem }
}

/// Returns whether the name is a device name on Windows.
fn is_reserved(stem: &str) -> bool {
    let numbered = |name: &str| {
        stem.strip_prefix(name)
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// Returns the 128-bit FNV-1a hash (<http://www.isthe.com/chongo/tech/comp/fnv/>). It is the same
/// in every version of the program, so that links between reports stay valid.
fn fnv_1a(text: &str) -> u128 {
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
    fn long_names_stay_different() {
        let (a, b) = (file_stem(&"é".repeat(128)), file_stem(&format!("{}e", "é".repeat(127))));
        assert!(a.len() <= MAX_STEM_BYTES && b.len() <= MAX_STEM_BYTES);
        assert_ne!(a, b);
        // The code of an upper-case letter looks like the beginning of a hash: these two had one path.
        let beginning = format!("p002{}", "a".repeat(83));
        let long = format!("{beginning}{}", "a".repeat(34));
        let short = format!("{beginning}Ra6589b9c56f3c61aa6165df4d4fa5e");
        assert!(file_stem(&long).ends_with("_52a6589b9c56f3c61aa6165df4d4fa5e"));
        assert_ne!(file_stem(&long), file_stem(&short));
    }
}
