//! JSON numbers read exactly from their decimal text, without a float in between.

/// A number times a power of ten, split at the decimal point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    /// The digits before the point; `None` beyond 64 bits.
    pub(super) whole: Option<u64>,
    pub(super) fraction: Fraction,
}

/// What stands after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fraction {
    Zero,
    BelowHalf,
    HalfOrMore,
}

/// Why a number is no integer of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotInteger {
    Fractional,
    Beyond,
}

/// Reads a JSON number (valid by the grammar) as an integer: `200`, `200.0` and `2e2` are 200.
pub(super) fn integer(text: &str) -> Result<i64, NotInteger> {
    if let Some(value) = few_digits(text.as_bytes()) {
        return Ok(value);
    }
    let decimal = decimal(text, 0);
    if decimal.fraction != Fraction::Zero {
        return Err(NotInteger::Fractional);
    }
    signed(decimal.negative, decimal.whole).ok_or(NotInteger::Beyond)
}

/// A number of milliseconds as whole microseconds, rounded half away from zero; `None` below zero
/// or beyond 64 bits.
pub(super) fn millis_to_micros(text: &str) -> Option<i64> {
    if let Some(micros) = few_millis(text.as_bytes()) {
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

/// The usual integer: digits alone, too few to leave 64 bits.
fn few_digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter()
        .try_fold(0, |value: i64, b| b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0')))
}

/// The usual duration: few digits, and as many as three after the point, as microseconds.
fn few_millis(text: &[u8]) -> Option<i64> {
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or(&[]));
    if whole.len() > 12 || fraction.len() > 3 {
        return None;
    }
    let micros = few_digits(whole)? * 1_000;
    match fraction {
        [] if point == text.len() => Some(micros),
        _ => Some(micros + few_digits(fraction)? * 10i64.pow(3 - fraction.len() as u32)),
    }
}

/// Whether a JSON number lies within Float64.
pub(super) fn is_finite(text: &str) -> bool {
    // Fewer than 309 digits without an exponent can't leave the range.
    if text.len() < 309 && !text.bytes().any(|b| matches!(b, b'e' | b'E')) {
        return true;
    }
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn signed(negative: bool, magnitude: Option<u64>) -> Option<i64> {
    let magnitude = i128::from(magnitude?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// The number in `text` times 10^`shift`.
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
    // How many of the digits stand before the point; negative or past their end is fine.
    let point = (before.len() as i64).saturating_add(exponent).saturating_add(shift);

    let mut whole = Some(0u64);
    let mut fraction = Fraction::Zero;
    for (place, digit) in (0i64..).zip(digits) {
        if place < point {
            whole = whole.and_then(|w| append(w, digit));
        } else if place == point && digit >= 5 {
            fraction = Fraction::HalfOrMore;
        } else if digit != 0 && fraction == Fraction::Zero {
            fraction = Fraction::BelowHalf;
        }
    }
    for _ in count..point {
        match whole {
            // Zero stays zero, however many more digits the exponent asks for.
            None | Some(0) => break,
            Some(w) => whole = append(w, 0),
        }
    }
    Decimal { negative, whole, fraction }
}

fn append(whole: u64, digit: u64) -> Option<u64> {
    whole.checked_mul(10)?.checked_add(digit)
}

/// The exponent of a JSON number; one that does not fit 64 bits is as good as a thousand million.
fn exponent_of(text: &str) -> i64 {
    const FAR: i64 = 1_000_000_000;
    let far = if text.starts_with('-') { -FAR } else { FAR };
    text.parse::<i64>().map_or(far, |e| e.clamp(-FAR, FAR))
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
        use NotInteger::{Beyond, Fractional};
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
        check("9223372036854775808", Err(Beyond));
        check("18446744073709551616", Err(Beyond));
        check("1e19", Err(Beyond));
        check("1e300", Err(Beyond));
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
    fn float64_has_an_end() {
        for text in ["1e308", "1.7976931348623157e308", "0e999999", "1e-999999", "123"] {
            assert!(is_finite(text), "{text}");
        }
        for text in ["1e309", "-1e400", "1.7976931348623159e308", &"9".repeat(310)] {
            assert!(!is_finite(text), "{text}");
        }
    }
}
