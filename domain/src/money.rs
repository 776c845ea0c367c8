//! Exact decimals: money with twelve decimals, exchange rates with eight, minor units of
//! currencies.

use std::collections::BTreeMap;

use iso_currency::{Currency, Flag};

use crate::time::Day;

/// Digits after the point of every money value of the lake, which is a Decimal(38, 12).
pub const MONEY_SCALE: u32 = 12;

/// An amount in the reporting currency, in units of 10⁻¹² of the major unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(pub i128);

impl Money {
    /// Returns the amount as a float, for display only: a float carries about 15 significant
    /// digits.
    pub fn to_f64(self) -> f64 {
        to_f64(self.0, MONEY_SCALE)
    }
}

/// Returns a scaled integer as a float, for display.
pub fn to_f64(value: i128, scale: u32) -> f64 {
    value as f64 / 10f64.powi(i32::try_from(scale).unwrap_or(i32::MAX))
}

/// The text is no code of an active currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no active ISO 4217 currency code")]
pub struct CurrencyError(pub String);

/// Returns the digits after the point of a currency's major unit (JPY 0, USD 2, KWD 3).
///
/// The ISO 4217 codes are known that are active in 2026 and have a minor unit.
///
/// # Errors For every other text: withdrawn codes (HRK, BGN), precious metals and test codes (XAU,
/// XTS), lower case.
pub fn minor_units(code: &str) -> Result<u32, CurrencyError> {
    let unknown = || CurrencyError(code.to_owned());
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(unknown());
    }
    let currency = Currency::from_code(code).ok_or_else(unknown)?;
    // VES and VED are both in the active list; the library calls the former superseded.
    let withdrawn =
        code != "VES" && currency.flags().iter().any(|flag| matches!(flag, Flag::Superseded(_)));
    match currency.exponent() {
        Some(digits) if !withdrawn => Ok(u32::from(digits)),
        _ => Err(unknown()),
    }
}

/// Reads a plain decimal (`1.0845`, no exponent) as an integer scaled by 10^`scale`. Returns `None`
/// if the text is no decimal, has more decimals than that, or does not fit.
pub fn parse_decimal(text: &str, scale: u32) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = scale.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let joined: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = joined.checked_mul(10i128.checked_pow(missing)?)?;
    Some(if negative { -scaled } else { scaled })
}

/// A dated table of exchange rates: units of the reporting currency for one unit of another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExchangeRates {
    /// The rates scaled by 10⁸, by currency and first day of validity.
    by_currency: BTreeMap<String, BTreeMap<Day, i128>>,
}

/// Why a row of exchange rates was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeRateError {
    #[error("\"{0}\" is no date; write 2026-01-31")]
    Date(String),
    #[error(transparent)]
    Currency(#[from] CurrencyError),
    #[error("\"{0}\" is no positive rate with at most 8 decimals")]
    Rate(String),
    #[error("a second rate for {currency} on {day}")]
    Duplicate { currency: String, day: Day },
}

impl ExchangeRates {
    /// Digits after the point of a rate.
    pub const SCALE: u32 = 8;

    /// Adds one row of the file.
    ///
    /// # Errors
    /// Names the value that is refused; the caller knows its line.
    pub fn add(&mut self, date: &str, currency: &str, rate: &str) -> Result<(), ExchangeRateError> {
        let day: Day = date.parse().map_err(|_| ExchangeRateError::Date(date.to_owned()))?;
        minor_units(currency)?;
        let rate = parse_decimal(rate, Self::SCALE)
            .filter(|r| *r > 0)
            .ok_or_else(|| ExchangeRateError::Rate(rate.to_owned()))?;
        let days = self.by_currency.entry(currency.to_owned()).or_default();
        if days.insert(day, rate).is_some() {
            return Err(ExchangeRateError::Duplicate { currency: currency.to_owned(), day });
        }
        Ok(())
    }

    /// Returns the latest rate on or before `day`, scaled by 10⁸.
    pub fn on(&self, currency: &str, day: Day) -> Option<i128> {
        let (_, rate) = self.by_currency.get(currency)?.range(..=day).next_back()?;
        Some(*rate)
    }

    /// Returns every row in order: currency, first day of validity, rate scaled by 10⁸.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Day, i128)> {
        self.by_currency
            .iter()
            .flat_map(|(currency, days)| days.iter().map(move |(d, r)| (currency.as_str(), *d, *r)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_have_minor_units() {
        for (code, digits) in
            [("JPY", 0), ("USD", 2), ("EUR", 2), ("KWD", 3), ("CLF", 4), ("XCG", 2), ("VES", 2)]
        {
            assert_eq!(minor_units(code), Ok(digits), "{code}");
        }
        for code in ["usd", "HRK", "BGN", "XAU", "XTS", "XXX", "ZZZ", "", "USDX", "SLL"] {
            assert!(minor_units(code).is_err(), "{code}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(parse_decimal("1.0845", 8), Some(108_450_000));
        assert_eq!(parse_decimal("1.00000000000", 8), Some(100_000_000));
        assert_eq!(parse_decimal("-0.5", 2), Some(-50));
        for bad in ["", ".", ".5", "1e3", "1.123456789", "+1", "1,5", "--1"] {
            assert_eq!(parse_decimal(bad, 8), None, "{bad}");
        }
    }

    #[test]
    fn the_latest_rate_on_or_before_a_day_counts() {
        let mut rates = ExchangeRates::default();
        rates.add("2026-01-01", "EUR", "1.10").expect("a rate");
        rates.add("2026-02-01", "EUR", "1.20").expect("a rate");
        let on = |d: &str| rates.on("EUR", d.parse().expect("a date"));
        assert_eq!(on("2025-12-31"), None);
        assert_eq!(on("2026-01-31"), Some(110_000_000));
        assert_eq!(on("2026-02-01"), Some(120_000_000));
        assert_eq!(rates.on("USD", Day(0)), None);
        assert!(rates.clone().add("2026-02-01", "EUR", "1").is_err());
        assert!(rates.clone().add("2026-02-02", "EUR", "0").is_err());
    }
}
