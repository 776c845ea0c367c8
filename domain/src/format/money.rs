//! Amounts in a currency, short enough for a tile, a sentence or an axis.

use super::numbers::decimal;
use super::{MINUS, NO_BREAK_SPACE};
use crate::money::minor_units;

/// Returns what stands before an amount: a sign where the currency (an ISO 4217 code) has a
/// well-known one, its code otherwise.
pub fn currency_prefix(code: &str) -> String {
    match code {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        other => format!("{other}{NO_BREAK_SPACE}"),
    }
}

/// Writes an amount split for a tile, number and unit: `("$170.2", "k")`. An amount under ten has
/// its cents, and one below the smallest coin is written as less than it: `<$0.01`.
pub fn money_parts(amount: f64, currency: &str) -> (String, &'static str) {
    let minor_digits = minor_units(currency).map_or(2, |digits| digits as usize);
    let (scaled, unit) = match amount.abs() {
        x if x >= 999.95e6 => (amount / 1e9, "bn"),
        x if x >= 999.95e3 => (amount / 1e6, "M"),
        x if x >= 9_999.5 => (amount / 1e3, "k"),
        _ => (amount, ""),
    };
    let places = match scaled.abs() {
        _ if !unit.is_empty() => 1,
        x if x > 0.0 && x < 10.0 => minor_digits,
        _ => 0,
    };
    let digits = decimal(scaled.abs(), places);
    let sign = if amount < 0.0 { MINUS.to_string() } else { String::new() };
    let prefix = currency_prefix(currency);
    if amount != 0.0 && digits.bytes().all(|b| matches!(b, b'0' | b'.')) {
        let coin = decimal(10f64.powi(-(minor_digits as i32)), minor_digits);
        return (format!("{sign}<{prefix}{coin}"), "");
    }
    (format!("{sign}{prefix}{digits}"), unit)
}

/// Writes an amount: `$170.2k`, `$2,794`, `$0.49`, `−$310`.
pub fn money(amount: f64, currency: &str) -> String {
    let (number, unit) = money_parts(amount, currency);
    format!("{number}{unit}")
}

/// Writes an amount on an axis with the digits it needs: `$200k`, `$2.5k`, `$0.05`, `$0`.
pub fn axis_amount(amount: f64, currency: &str) -> String {
    let (scaled, unit) = match amount.abs() {
        x if x >= 1e9 => (amount / 1e9, "bn"),
        x if x >= 1e6 => (amount / 1e6, "M"),
        x if x >= 1e3 => (amount / 1e3, "k"),
        _ => (amount, ""),
    };
    let is_exact = |places: &usize| {
        let power = 10f64.powi(*places as i32);
        (scaled * power - (scaled * power).round()).abs() < 1e-6
    };
    let places = (0..=6).find(is_exact).unwrap_or(6);
    format!("{}{}{unit}", currency_prefix(currency), decimal(scaled, places))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::check_text as check;

    #[test]
    fn amounts() {
        check(&money(170_234.0, "USD"), "$170.2k");
        check(&money(2_794.4, "USD"), "$2,794");
        check(&axis_amount(400_000.0, "USD"), "$400k");
        check(&axis_amount(2_500.0, "EUR"), "€2.5k");
        check(&axis_amount(0.0, "USD"), "$0");
        check(&money(-310.0, "USD"), "-$310");
        check(&money(-0.2, "USD"), "-$0.20");
        check(&money(0.49, "USD"), "$0.49");
        check(&money(0.0, "USD"), "$0");
        check(&money(0.001, "USD"), "<$0.01");
        check(&money(9.996, "USD"), "$10.00");
        check(&money(12.49, "USD"), "$12");
        check(&money(0.4, "JPY"), "<¥1");
        check(&money(7.0, "JPY"), "¥7");
        check(&money(0.4567, "KWD"), "KWD 0.457");
        check(&axis_amount(0.05, "USD"), "$0.05");
        check(&money(1_260_000.0, "CHF"), "CHF 1.3M");
    }
}
