//! Integers, decimals, percentages and multiples.

use super::{MINUS, NARROW_NO_BREAK_SPACE};

/// Below this a ratio is nothing but the rounding of a float.
const ROUNDING_ERROR: f64 = 1e-9;

/// Writes an integer with its thousands separated: `1,080`, `−4`.
pub fn thousands<N: TryInto<i128>>(n: N) -> String {
    // No count is beyond an `i128`; one that were would be written as the greatest.
    let n = n.try_into().unwrap_or(i128::MAX);
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

/// Writes a number with so many decimal places, its thousands separated, and never "−0.0":
/// `1,234.6`.
pub fn decimal(value: f64, places: usize) -> String {
    let text = format!("{:.places$}", value.abs());
    let negative = value < 0.0 && has_nonzero_digit(&text);
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text.as_str(), None),
    };
    let whole = whole.parse::<i64>().map_or_else(|_| whole.to_owned(), thousands);
    let sign = if negative { MINUS.to_string() } else { String::new() };
    match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    }
}

fn has_nonzero_digit(text: &str) -> bool {
    text.bytes().any(|b| (b'1'..=b'9').contains(&b))
}

/// Writes a change of a count: `+28`, `−4`, `0`.
pub fn signed_integer(value: i64) -> String {
    if value > 0 { format!("+{}", thousands(value)) } else { thousands(value) }
}

/// Writes a change of a number: `+2.6`, `−0.4`, `0.0`.
pub fn signed_decimal(value: f64, places: usize) -> String {
    let text = decimal(value, places);
    let positive = value > 0.0 && has_nonzero_digit(&text);
    if positive { format!("+{text}") } else { text }
}

/// Writes a ratio in 0–1 in whole percent: `79 %`. It takes up to three more digits to tell
/// something from nothing and nearly all from all: `0.4 %`, `99.6 %`.
pub fn percent(ratio: f64) -> String {
    percent_with_places(ratio, 0)
}

/// Writes a ratio in 0–1 with so many decimal places, `51.8 %`, or up to three more, as
/// [`percent`] does.
pub fn percent_with_places(ratio: f64, places: usize) -> String {
    let is_something = ratio.abs() > ROUNDING_ERROR;
    let is_less_than_all = ratio > 0.0 && ratio < 1.0 - ROUNDING_ERROR;
    let misleads = |text: &str| {
        let digits = text.trim_start_matches(MINUS);
        (is_something && digits.bytes().all(|b| matches!(b, b'0' | b'.')))
            || (is_less_than_all && digits.starts_with("100"))
    };
    let honest = (places..=places + 3).map(|p| decimal(ratio * 100.0, p)).find(|t| !misleads(t));
    let least = format!("0.{}1", "0".repeat(places + 2));
    let text = honest.unwrap_or_else(|| match ratio {
        r if r > 0.5 => format!(">99.{}", "9".repeat(places + 3)),
        r if r < 0.0 => format!("{MINUS}<{least}"),
        _ => format!("<{least}"),
    });
    format!("{text}{NARROW_NO_BREAK_SPACE}%")
}

/// Writes a change of a ratio: `+70 %`, `−0.3 %`, `0 %`.
pub fn signed_percent(ratio: f64) -> String {
    let text = percent(ratio);
    if ratio > ROUNDING_ERROR { format!("+{text}") } else { text }
}

/// Writes a small ratio with two significant digits: `0.04 %`, `2.6 %`, `38 %`, `0 %`.
pub fn short_percent(ratio: f64) -> String {
    match ratio.abs() * 100.0 {
        x if x < 0.095 => percent_with_places(ratio, if x < ROUNDING_ERROR { 0 } else { 2 }),
        x if x < 9.95 => percent_with_places(ratio, 1),
        _ => percent_with_places(ratio, 0),
    }
}

/// Writes a ratio as [`short_percent`] does, with an ordinary space: `0.04 %`, `0.8 %`, `26 %`,
/// `0 %`.
pub fn plain_percent(ratio: f64) -> String {
    match (ratio * 100.0).abs() {
        x if x < 5e-7 => plain_percent_with_places(0.0, 0),
        x if x < 0.005 => "under 0.01 %".to_owned(),
        x if x < 0.095 => plain_percent_with_places(ratio, 2),
        x if x < 9.95 => plain_percent_with_places(ratio, 1),
        _ => plain_percent_with_places(ratio, 0),
    }
}

/// Writes a ratio with exactly so many decimal places, rounded: `51.8 %`.
pub fn plain_percent_with_places(ratio: f64, places: usize) -> String {
    format!("{:.places$} %", ratio * 100.0)
}

/// Writes a ratio that a person chose, with one decimal place if it has any: `5 %`, `2.5 %`.
pub fn plain_percent_as_given(ratio: f64) -> String {
    let percent = (ratio * 1_000.0).round() / 10.0;
    format!("{percent} %")
}

/// Writes a change of a ratio in whole percent: `+50 %`, `−10 %`, `+0 %`.
pub fn plain_signed_percent(ratio: f64) -> String {
    let sign = if ratio < 0.0 { MINUS } else { '+' };
    format!("{sign}{:.0} %", ratio.abs() * 100.0)
}

/// Writes a multiple of about two or more: `twice`, `2.5 times`, `26 times`.
pub fn multiple(factor: f64) -> String {
    let tenths = (factor * 10.0).round() / 10.0;
    match factor {
        f if f >= 999.5 => "over 1,000 times".to_owned(),
        f if f >= 9.95 => format!("{f:.0} times"),
        _ if tenths == 2.0 => "twice".to_owned(),
        _ => format!("{tenths} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::check_text as check;

    #[test]
    fn numbers() {
        for (n, text) in [(0, "0"), (999, "999"), (1_080, "1,080"), (-1_234_567, "−1,234,567")] {
            assert_eq!(thousands(n), text);
        }
        check(&signed_integer(0), "0");
        check(&signed_integer(28), "+28");
        check(&decimal(-0.04, 1), "0.0");
        check(&decimal(-1234.56, 1), "-1,234.6");
        check(&signed_decimal(0.04, 1), "0.0");
    }

    #[test]
    fn percentages() {
        check(&percent(0.79), "79 %");
        check(&percent_with_places(0.5182, 1), "51.8 %");
        check(&short_percent(0.0004), "0.04 %");
        check(&short_percent(0.026), "2.6 %");
        check(&short_percent(0.0), "0 %");
    }

    #[test]
    fn something_is_not_nothing_and_nearly_all_not_all() {
        check(&percent(0.0), "0 %");
        check(&percent(1.0), "100 %");
        check(&percent(0.004), "0.4 %");
        check(&percent(0.996), "99.6 %");
        check(&percent(1.004), "100 %");
        check(&percent_with_places(0.0004, 1), "0.04 %");
        check(&percent_with_places(0.999_96, 1), "99.996 %");
        check(&percent(1e-8), "<0.001 %");
        check(&percent(1.0 - 1e-8), ">99.999 %");
        check(&percent(0.1 + 0.2 - 0.3), "0 %");
        check(&short_percent(0.000_03), "0.003 %");
        check(&signed_percent(0.003), "+0.3 %");
        check(&signed_percent(-0.7), "-70 %");
        check(&signed_percent(0.0), "0 %");
    }

    #[test]
    fn plain_percentages() {
        assert_eq!(plain_percent(0.0), "0 %");
        assert_eq!(plain_percent(0.00001), "under 0.01 %");
        assert_eq!(plain_percent(0.00002), "under 0.01 %");
        assert_eq!(plain_percent(0.0004), "0.04 %");
        assert_eq!(plain_percent(0.008), "0.8 %");
        assert_eq!(plain_percent(0.0996), "10 %");
        assert_eq!(plain_percent(0.026), "2.6 %");
        assert_eq!(plain_percent(0.063), "6.3 %");
        assert_eq!(plain_percent(0.98), "98 %");
        assert_eq!(plain_percent(1.04), "104 %");
        assert_eq!([0.5, -0.1, 1.25].map(plain_signed_percent), ["+50 %", "−10 %", "+125 %"]);
        assert_eq!(plain_percent_with_places(0.5182, 1), "51.8 %");
        assert_eq!([0.05, 0.025, 1.0].map(plain_percent_as_given), ["5 %", "2.5 %", "100 %"]);
    }

    #[test]
    fn multiples() {
        assert_eq!(multiple(2.04), "twice");
        assert_eq!(multiple(2.5), "2.5 times");
        assert_eq!(multiple(26.0), "26 times");
        assert_eq!(multiple(1_000.0), "over 1,000 times");
    }
}
