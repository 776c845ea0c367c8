//! Counts in sentences: `1,080`, `1 partner`, `2 partners`; of every page and every line printed.

const MINUS: char = '\u{2212}';

/// `1,080`, `−4`.
pub fn thousands<N: TryInto<i128>>(n: N) -> String {
    let n = whole(n);
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    if n < 0 {
        text.push(MINUS);
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun, which is given in the singular: `0 records`, `1 record`, `1,080 records`,
/// `2 queries`. Of several words the last one is set in the plural: `2 dead letters`.
pub fn counted<N: TryInto<i128>>(n: N, noun: &str) -> String {
    let n = whole(n);
    if n == 1 { format!("1 {noun}") } else { format!("{} {}", thousands(n), plural(noun)) }
}

/// The word that agrees with a count: `agree(1, "is", "are")` is `is`.
pub fn agree<N: TryInto<i128>>(n: N, one: &'static str, many: &'static str) -> &'static str {
    if whole(n) == 1 { one } else { many }
}

/// No count is beyond an `i128`; one that were would be shown as the greatest.
fn whole<N: TryInto<i128>>(n: N) -> i128 {
    n.try_into().unwrap_or(i128::MAX)
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
    }

    #[test]
    fn thousands_stand_apart() {
        for (n, text) in [(0, "0"), (999, "999"), (1_080, "1,080"), (-1_234_567, "−1,234,567")] {
            assert_eq!(thousands(n), text);
        }
    }
}
