//! Instants (i64 microseconds since 1970 UTC), days (UTC dates), and `AsOf` (a UTC midnight).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A UTC date, counted in days since 1970-01-01 as in Arrow's Date32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(pub i32);

impl Day {
    /// Returns the UTC date of an instant.
    pub fn of_micros(micros: i64) -> Self {
        // Instants of the lake lie between 2000 and a few days from now; the quotient fits.
        Self(i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX))
    }

    /// Returns the instant at which the day begins, in microseconds.
    pub fn start_micros(self) -> i64 {
        i64::from(self.0) * MICROS_PER_DAY
    }

    /// Returns the day so many days later, or earlier if `days` is negative.
    pub fn plus(self, days: i32) -> Self {
        Self(self.0 + days)
    }

    pub fn date(self) -> NaiveDate {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap_or_default();
        let magnitude = Days::new(u64::from(self.0.unsigned_abs()));
        let moved = if self.0 >= 0 {
            epoch.checked_add_days(magnitude)
        } else {
            epoch.checked_sub_days(magnitude)
        };
        moved.unwrap_or(epoch)
    }

    pub fn of_date(date: NaiveDate) -> Self {
        Self(date.num_days_from_ce() - 719_163)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date().format("%Y-%m-%d"))
    }
}

impl FromStr for Day {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, chrono::ParseError> {
        Ok(Self::of_date(NaiveDate::parse_from_str(text, "%Y-%m-%d")?))
    }
}

/// A day is written as its date.
impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Returns the first day of the month that contains `day`.
pub fn month_of(day: Day) -> Day {
    let date = day.date();
    Day::of_date(date.with_day(1).unwrap_or(date))
}

/// Returns the first day of the month after the one that contains `day`.
pub fn next_month(day: Day) -> Day {
    month_of(month_of(day).plus(31))
}

/// Writes an instant as RFC 3339, with as many fractional digits as it needs:
/// `2026-01-31T00:00:00Z`.
pub fn format_instant(micros: i64) -> String {
    let Some(instant) = DateTime::<Utc>::from_timestamp_micros(micros) else {
        return format!("{micros} µs");
    };
    let text = instant.to_rfc3339_opts(SecondsFormat::Micros, true);
    let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    // Only zeros of the fraction are cut: "…:00" keeps its own.
    let whole = "2026-01-31T00:00:00".len();
    if digits.len() <= whole { format!("{}Z", &text[..whole]) } else { format!("{digits}Z") }
}

/// Reads an instant as people write it: RFC 3339, or a date, which stands for its midnight. Digits
/// finer than microseconds are cut off. Returns `None` for any other text.
pub fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(day) = text.parse::<Day>() {
        return Some(day.start_micros());
    }
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros())
}

/// The instant up to which a metric looks, exclusive: a UTC midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AsOf(Day);

/// Why a value of `--as-of` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AsOfError {
    #[error("\"{0}\" is no instant; write a date (2026-01-31) or RFC 3339 (2026-01-31T00:00:00Z)")]
    NotAnInstant(String),
    #[error("as_of must be a UTC midnight; {given} is none: use {before} or {after}")]
    NotMidnight { given: String, before: String, after: String },
}

impl AsOf {
    pub fn of_day(day: Day) -> Self {
        Self(day)
    }

    /// Returns the last midnight at or before an instant.
    pub fn at_or_before(micros: i64) -> Self {
        Self(Day::of_micros(micros))
    }

    /// Accepts a UTC midnight only.
    ///
    /// # Errors
    /// Names the midnights before and after any other instant.
    pub fn of_micros(micros: i64) -> Result<Self, AsOfError> {
        let day = Day::of_micros(micros);
        if day.start_micros() == micros {
            return Ok(Self(day));
        }
        Err(AsOfError::NotMidnight {
            given: format_instant(micros),
            before: day.to_string(),
            after: day.plus(1).to_string(),
        })
    }

    /// Returns the first day that is not seen.
    pub fn day(self) -> Day {
        self.0
    }

    pub fn micros(self) -> i64 {
        self.0.start_micros()
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_instant(self.micros()))
    }
}

impl FromStr for AsOf {
    type Err = AsOfError;

    fn from_str(text: &str) -> Result<Self, AsOfError> {
        let micros = parse_instant(text).ok_or_else(|| AsOfError::NotAnInstant(text.to_owned()))?;
        Self::of_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months() {
        #[track_caller]
        fn check(day: &str, month: &str, next: &str) {
            let day: Day = day.parse().expect("a date");
            assert_eq!(month_of(day).to_string(), month);
            assert_eq!(next_month(day).to_string(), next);
            assert_eq!(Day::of_micros(day.start_micros()), day);
            assert_eq!(Day::of_micros(day.start_micros() - 1), day.plus(-1));
        }
        check("2026-01-31", "2026-01-01", "2026-02-01");
        check("2024-02-29", "2024-02-01", "2024-03-01");
        check("2025-12-01", "2025-12-01", "2026-01-01");
        check("1969-12-31", "1969-12-01", "1970-01-01");
        assert_eq!("1970-01-02".parse(), Ok(Day(1)));
    }

    #[test]
    fn as_of_is_a_midnight() {
        let ok: AsOf = "2026-01-31T00:00:00Z".parse().expect("a midnight");
        assert_eq!(ok, "2026-01-31".parse().expect("a date"));
        assert_eq!(ok, "2026-01-31T02:00:00+02:00".parse().expect("the same instant"));
        assert_eq!(ok.to_string(), "2026-01-31T00:00:00Z");
        let error = "2026-01-31T00:00:01Z".parse::<AsOf>().expect_err("no midnight");
        assert_eq!(
            error.to_string(),
            "as_of must be a UTC midnight; 2026-01-31T00:00:01Z is none: use 2026-01-31 or 2026-02-01"
        );
        assert!("yesterday".parse::<AsOf>().is_err());
    }

    #[test]
    fn instants_carry_the_digits_they_need() {
        assert_eq!(format_instant(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_instant(1_500_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(format_instant(1), "1970-01-01T00:00:00.000001Z");
        assert_eq!(parse_instant("1970-01-01T00:00:00.0000019Z"), Some(1));
    }
}
