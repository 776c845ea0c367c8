//! Dates, durations and percentages as the sentences of a page say them.

use chrono::Datelike;
use lake_types::{Day, MICROS_PER_DAY};

/// `5 Sep`; with the year where it is not that of `seen_from`.
pub(crate) fn date(day: Day, seen_from: Day) -> String {
    let (date, now) = (day.date(), seen_from.date());
    if date.year() == now.year() {
        return date.format("%-d %b").to_string();
    }
    date.format("%-d %b %Y").to_string()
}

/// A ratio as a percentage: `0.8 %`, one decimal under 10 %.
pub(crate) fn percent(ratio: f64) -> String {
    let value = ratio * 100.0;
    if value.abs() < 9.95 { format!("{value:.1} %") } else { format!("{value:.0} %") }
}

/// A time span in its largest sensible unit: `35 minutes`, `9 hours`, `12 days`.
pub(crate) fn span(micros: i64) -> String {
    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;
    match micros {
        m if m < 2 * HOUR => count(m / MINUTE, "minute"),
        m if m < 2 * MICROS_PER_DAY => count(m / HOUR, "hour"),
        m => count(m / MICROS_PER_DAY, "day"),
    }
}

/// `1 day`, `2 days`.
pub(crate) fn count(n: i64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let day = |text: &str| text.parse::<Day>().expect("a date");
        assert_eq!(date(day("2026-09-05"), day("2026-09-15")), "5 Sep");
        assert_eq!(date(day("2025-12-31"), day("2026-01-01")), "31 Dec 2025");
        assert_eq!(percent(0.008), "0.8 %");
        assert_eq!(percent(0.0996), "10 %");
        assert_eq!(percent(0.026), "2.6 %");
        assert_eq!(span(59_999_999), "0 minutes");
        assert_eq!(span(35 * 60_000_000), "35 minutes");
        assert_eq!(span(9 * 3_600_000_000), "9 hours");
        assert_eq!(span(MICROS_PER_DAY), "24 hours");
        assert_eq!(span(12 * MICROS_PER_DAY), "12 days");
        assert_eq!(count(1, "day"), "1 day");
    }
}
