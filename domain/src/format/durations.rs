//! Time spans, as a figure with a unit or in words.

use super::NARROW_NO_BREAK_SPACE;
use super::counts::counted;
use super::numbers::decimal;
use crate::time::MICROS_PER_DAY;

/// Writes a duration split for a tile, number and unit: `("7.0", "d")`.
pub fn duration_parts(seconds: f64) -> (String, &'static str) {
    match seconds {
        s if s > 0.0 && s < 0.5 => ("<1".to_owned(), "s"),
        s if s < 59.5 => (decimal(s, 0), "s"),
        s if s < 59.5 * 60.0 => (decimal(s / 60.0, 0), "min"),
        s if s < 86_400.0 * 0.9979 => (decimal(s / 3600.0, 1), "h"),
        s => (decimal(s / 86_400.0, 1), "d"),
    }
}

/// Writes a duration in its largest sensible unit: `7.0 d`, `3.4 h`, `25 min`.
pub fn duration(seconds: f64) -> String {
    let (number, unit) = duration_parts(seconds);
    format!("{number}{NARROW_NO_BREAK_SPACE}{unit}")
}

/// Writes a duration in whole units, rounded down, in words: `35 minutes`, `9 hours`, `12 days`.
pub fn duration_in_words(micros: i64) -> String {
    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;
    match micros {
        m if m < MINUTE => "less than a minute".to_owned(),
        m if m < 2 * HOUR => counted(m / MINUTE, "minute"),
        m if m < 2 * MICROS_PER_DAY => counted(m / HOUR, "hour"),
        m => counted(m / MICROS_PER_DAY, "day"),
    }
}

/// Writes a number of whole days in words: `less than a day`, `1 day`, `2 days`.
pub fn whole_days(days: i64) -> String {
    if days == 0 { "less than a day".to_owned() } else { counted(days, "day") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::check_text as check;

    #[test]
    fn durations() {
        check(&duration(42.0), "42 s");
        check(&duration(0.2), "<1 s");
        check(&duration(0.0), "0 s");
        check(&duration(1500.0), "25 min");
        check(&duration(12_240.0), "3.4 h");
        check(&duration(86_400.0), "1.0 d");
        check(&duration(604_800.0), "7.0 d");
    }

    #[test]
    fn durations_in_words() {
        assert_eq!(duration_in_words(35 * 60_000_000), "35 minutes");
        assert_eq!(duration_in_words(9 * 3_600_000_000), "9 hours");
        assert_eq!(duration_in_words(MICROS_PER_DAY), "24 hours");
        assert_eq!(duration_in_words(12 * MICROS_PER_DAY), "12 days");
        assert_eq!(duration_in_words(59_999_999), "less than a minute");
        assert_eq!(duration_in_words(60_000_000), "1 minute");
        assert_eq!(duration_in_words(2 * 60_000_000), "2 minutes");
        assert_eq!(duration_in_words(2 * 3_600_000_000), "2 hours");
        assert_eq!(duration_in_words(2 * MICROS_PER_DAY), "2 days");
        assert_eq!([0, 1, 2].map(whole_days), ["less than a day", "1 day", "2 days"]);
    }
}
