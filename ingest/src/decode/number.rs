//! Reads JSON numbers exactly from their decimal text, without a conversion to a float.

/// A number times a power of ten, split at the decimal point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    /// The digits before the point, or `None` beyond 64 bits.
    pub(super) whole: Option<u64>,
    pub(super) fraction: Fraction,
}

/// The digits after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fraction {
    Zero,
    BelowHalf,
    HalfOrMore,
}

/// Why a number is not a 64-bit integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotInteger {
    Fractional,
    OutOfRange,
}

/// Reads a valid JSON number as an integer: `200`, `200.0` and `2e2` are 200.
pub(super) fn integer(text: &str) -> Result<i64, NotInteger> {
    if let Some(value) = short_integer(text.as_bytes()) {
        return Ok(value);
    }
    let decimal = decimal(text, 0);
    if decimal.fraction != Fraction::Zero {
        return Err(NotInteger::Fractional);
    }
    signed(decimal.negative, decimal.whole).ok_or(NotInteger::OutOfRange)
}

/// Converts a number of milliseconds to whole microseconds, rounded half away from zero. Returns
/// `None` below zero or beyond 64 bits.
pub(super) fn millis_to_micros(text: &str) -> Option<i64> {
    if let Some(micros) = short_millis(text.as_bytes()) {
        return Some(micros);
    }
    let decimal = decimal(text, 3);
    let is_zero = decimal.whole == Some(0) && decimal.fraction == Fraction::Zero;
    if decimal.negative && !is_zero {
        return None;
    }
    let up = u64::from(decimal.fraction == Fraction::HalfOrMore);
    i64::try_from(decimal.whole?.checked_add(up)?).ok()
}

/// Reads the usual integer: at most 18 digits.
pub(super) fn short_integer(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter()
        .try_fold(0, |value: i64, b| b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0')))
}

/// Reads the usual duration, at most 12 digits with at most three after the point, as microseconds.
fn short_millis(text: &[u8]) -> Option<i64> {
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or(&[]));
    if whole.len() > 12 || fraction.len() > 3 {
        return None;
    }
    let micros = short_integer(whole)? * 1_000;
    match fraction {
        [] if point == text.len() => Some(micros),
        _ => Some(micros + short_integer(fraction)? * 10i64.pow(3 - fraction.len() as u32)),
    }
}

/// Whether a JSON number is within the range of Float64.
pub(super) fn is_finite(text: &str) -> bool {
    // A number of fewer than 309 characters without an exponent is always in the range.
    if text.len() < 309 && !text.bytes().any(|b| matches!(b, b'e' | b'E')) {
        return true;
    }
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn signed(negative: bool, magnitude: Option<u64>) -> Option<i64> {
    let magnitude = i128::from(magnitude?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Returns the number in `text` times 10^`shift`.
fn decimal(text: &str, shift: i64) -> Decimal {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)),
        None => (text, 0),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = before.bytes().chain(after.bytes()).map(|b| u64::from(b - b'0'));
    let count = (before.len() + after.len()) as i64;
    // The number of digits before the point, which may be negative or beyond the digits.
    let point = (before.len() as i64).saturating_add(exponent).saturating_add(shift);

    let mut whole = Some(0u64);
    let mut fraction = Fraction::Zero;
    for (index, digit) in (0i64..).zip(digits) {
        if index < point {
            whole = whole.and_then(|w| append(w, digit));
        } else if index == point && digit >= 5 {
            fraction = Fraction::HalfOrMore;
        } else if digit != 0 && fraction == Fraction::Zero {
            fraction = Fraction::BelowHalf;
        }
    }
    for _ in count..point {
        match whole {
            // Zero stays zero, however many digits the exponent adds.
            None | Some(0) => break,
            Some(w) => whole = append(w, 0),
        }
    }
    Decimal { negative, whole, fraction }
}

fn append(whole: u64, digit: u64) -> Option<u64> {
    whole.checked_mul(10)?.checked_add(digit)
}

/// Reads the exponent of a JSON number, limited to a thousand million in both directions.
fn exponent_of(text: &str) -> i64 {
    const MAX_EXPONENT: i64 = 1_000_000_000;
    let limit = if text.starts_with('-') { -MAX_EXPONENT } else { MAX_EXPONENT };
    text.parse::<i64>().map_or(limit, |e| e.clamp(-MAX_EXPONENT, MAX_EXPONENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        #[track_caller]
        fn check(text: &str, expected: Result<i64, NotInteger>) {
            assert_eq!(integer(text), expected, "{text}");
        }
        use NotInteger::{Fractional, OutOfRange};
        check("0", Ok(0));
        check("-0", Ok(0));
        check("200.0", Ok(200));
        check("2e2", Ok(200));
        check("2E+2", Ok(200));
        check("20000e-2", Ok(200));
        check("4.50e1", Ok(45));
        check("0e999999999999999999999", Ok(0));
        check("9223372036854775807", Ok(i64::MAX));
        check("9223372036854775807.0", Ok(i64::MAX));
        check("-9223372036854775808", Ok(i64::MIN));
        check("9223372036854775808", Err(OutOfRange));
        check("18446744073709551616", Err(OutOfRange));
        check("1e19", Err(OutOfRange));
        check("1e300", Err(OutOfRange));
        check("4.5", Err(Fractional));
        check("-0.1", Err(Fractional));
        check("1e-999999999999999999999", Err(Fractional));
        check("9007199254740993.0", Ok(9_007_199_254_740_993));
        check("9007199254740992.5", Err(Fractional));
    }

    #[test]
    fn milliseconds() {
        #[track_caller]
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(millis_to_micros(text), expected, "{text}");
        }
        check("0", Some(0));
        check("-0.0", Some(0));
        check("1.001", Some(1001));
        check("1.0005", Some(1001));
        check("1.00049999999999999999999999", Some(1000));
        check("0.0005", Some(1));
        check("0.0004999", Some(0));
        check("5e-4", Some(1));
        check("1e-999999999", Some(0));
        check("1e-99999999999999999999", Some(0));
        check("12.5e1", Some(125_000));
        check("9223372036854775.807", Some(i64::MAX));
        check("9223372036854775.8075", None);
        check("1e30", None);
        check("-1", None);
        check("-1e-400", None);
    }

    #[test]
    fn numbers_beyond_float64_are_not_finite() {
        for text in ["1e308", "1.7976931348623157e308", "0e999999", "1e-999999", "123"] {
            assert!(is_finite(text), "{text}");
        }
        for text in ["1e309", "-1e400", "1.7976931348623159e308", &"9".repeat(310)] {
            assert!(!is_finite(text), "{text}");
        }
    }
}
