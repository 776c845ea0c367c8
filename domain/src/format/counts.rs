//! Counts with their nouns: `1,080 partners`, `1 partner`.

use super::numbers::thousands;

/// Writes a count with its noun, which is given in the singular: `0 records`, `1 record`,
/// `1,080 records`, `2 queries`. The last of several words becomes plural: `2 dead letters`.
pub fn counted<N: TryInto<i128>>(n: N, noun: &str) -> String {
    let n = n.try_into().unwrap_or(i128::MAX);
    if n == 1 { format!("1 {noun}") } else { format!("{} {}", thousands(n), plural(noun)) }
}

/// Returns the word that agrees with a count: `agree(1, "is", "are")` is `is`.
pub fn agree<N: TryInto<i128>>(n: N, one: &'static str, many: &'static str) -> &'static str {
    if n.try_into().unwrap_or(i128::MAX) == 1 { one } else { many }
}

/// Writes a count inside a sentence, up to ten as a word: `two`, `13`.
pub fn count_in_words(n: i64) -> String {
    let words =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let word = usize::try_from(n).ok().and_then(|n| words.get(n));
    word.map_or_else(|| thousands(n), |word| (*word).to_owned())
}

fn plural(noun: &str) -> String {
    let ends = |with: &[&str]| with.iter().any(|end| noun.ends_with(end));
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if ends(&["s", "x", "z", "ch", "sh"]) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_agree_with_their_nouns() {
        #[track_caller]
        fn check(n: i64, noun: &str, expected: &str) {
            assert_eq!(counted(n, noun), expected);
        }
        check(0, "record", "0 records");
        check(1, "record", "1 record");
        check(2, "record", "2 records");
        check(1_080, "partner", "1,080 partners");
        check(1, "query", "1 query");
        check(2, "query", "2 queries");
        check(2, "day", "2 days");
        check(2, "batch", "2 batches");
        check(2, "class", "2 classes");
        check(2, "dead letter", "2 dead letters");
        check(-1, "row", "−1 rows");
        assert_eq!(counted(1_usize, "file"), "1 file");
        assert_eq!(counted(u64::MAX, "row"), "18,446,744,073,709,551,615 rows");
        assert_eq!((agree(1, "is", "are"), agree(0, "is", "are")), ("is", "are"));
        assert_eq!([2, 13].map(count_in_words), ["two", "13"]);
    }
}
