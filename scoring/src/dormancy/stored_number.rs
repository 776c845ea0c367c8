//! The numbers of a stored model: short enough for a reader of the log, and more than a fit knows.

/// Returns a number to 12 significant digits. JSON gives it back unchanged, so that a stored model
/// predicts exactly the same.
pub(super) fn stored_number(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        let numbers = (1..2_000).map(f64::from).map(|i| (i / 7.0).powi(3) / 1e4);
        for number in numbers.chain([0.0, -33_225.581_234_567_89, 1e-4, 1e4]) {
            let stored = stored_number(number);
            assert!((stored - number).abs() <= 1e-11 * number.abs(), "{number} {stored}");
            let json = serde_json::to_string(&stored).expect("JSON");
            assert_eq!(serde_json::from_str::<f64>(&json).expect(&json), stored);
        }
    }
}
