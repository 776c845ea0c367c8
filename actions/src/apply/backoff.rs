//! When a delivery that failed is tried again.

/// The time before the second attempt, µs: a minute.
const FIRST: i64 = 60_000_000;
/// The longest time between two attempts, µs: six hours.
const LONGEST: i64 = 6 * 3_600_000_000;

/// Returns the earliest instant of the attempt after the one of this number, µs. The time doubles
/// with each attempt; up to a fifth of it is added, another part for each key, so that a receiver
/// that comes back is not met by all at once. A later instant that the receiver named wins.
pub(super) fn next_attempt(key: &str, attempt: u32, now: i64, after_seconds: Option<u64>) -> i64 {
    let doubled = FIRST.saturating_mul(1_i64.checked_shl(attempt.min(20) - 1).unwrap_or(i64::MAX));
    let pause = doubled.min(LONGEST);
    // The key is a digest, so that its digits are spread evenly.
    let digits: i64 = key.bytes().take(8).map(i64::from).sum();
    let jitter = pause / 5 * (digits % 101) / 100;
    let named = after_seconds
        .map_or(0, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000));
    now.saturating_add((pause + jitter).max(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_six_hours() {
        let pause = |attempt| next_attempt("", attempt, 0, None) / 60_000_000;
        assert_eq!([1, 2, 3, 4, 9, 10, 99].map(pause), [1, 2, 4, 8, 256, 360, 360]);
        for key in ["ab12cd34", "ffffffff", "00000000"] {
            let at = next_attempt(key, 3, 0, None);
            assert!((4 * 60_000_000..=5 * 60_000_000).contains(&at), "{at}");
        }
    }

    #[test]
    fn the_receiver_may_ask_for_more_time() {
        assert_eq!(next_attempt("", 1, 7, Some(3_600)), 3_600_000_007);
        assert_eq!(next_attempt("", 1, 7, Some(5)), 60_000_007);
        assert_eq!(next_attempt("", 1, 7, Some(u64::MAX)), i64::MAX);
    }
}
