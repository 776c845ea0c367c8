//! Dates, durations and percentages as the sentences of a page say them.

use chrono::Datelike;
use lake_types::{Day, MICROS_PER_DAY, counted};

/// `5 Sep`; with the year where it is not that of `seen_from`.
pub(crate) fn date(day: Day, seen_from: Day) -> String {
    let (date, now) = (day.date(), seen_from.date());
    if date.year() == now.year() {
        return date.format("%-d %b").to_string();
    }
    date.format("%-d %b %Y").to_string()
}

/// `on 5 Sep`, `on 5 and 6 Sep`, `from 5 to 9 Sep`, `from 30 Aug to 5 Sep`.
pub(crate) fn dates(first: Day, last: Day, seen_from: Day) -> String {
    let end = date(last, seen_from);
    if first == last {
        return format!("on {end}");
    }
    let (a, b) = (first.date(), last.date());
    let start = if (a.year(), a.month()) == (b.year(), b.month()) {
        a.format("%-d").to_string()
    } else {
        date(first, seen_from)
    };
    if first.plus(1) == last {
        format!("on {start} and {end}")
    } else {
        format!("from {start} to {end}")
    }
}

/// A ratio as a percentage, with the digits it needs: `0.04 %`, `0.8 %`, `26 %`, `0 %`.
pub(crate) fn percent(ratio: f64) -> String {
    let value = ratio * 100.0;
    match value.abs() {
        x if x < 5e-7 => "0 %".to_owned(),
        x if x < 0.005 => "under 0.01 %".to_owned(),
        x if x < 0.095 => format!("{value:.2} %"),
        x if x < 9.95 => format!("{value:.1} %"),
        _ => format!("{value:.0} %"),
    }
}

/// A time span in its largest sensible unit: `35 minutes`, `9 hours`, `12 days`.
pub(crate) fn span(micros: i64) -> String {
    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;
    match micros {
        m if m < MINUTE => "less than a minute".to_owned(),
        m if m < 2 * HOUR => counted(m / MINUTE, "minute"),
        m if m < 2 * MICROS_PER_DAY => counted(m / HOUR, "hour"),
        m => counted(m / MICROS_PER_DAY, "day"),
    }
}

/// `twice`, `2.5 times`, `26 times`: a multiple of two or so and more.
pub(crate) fn times(multiple: f64) -> String {
    let tenths = (multiple * 10.0).round() / 10.0;
    match multiple {
        m if m >= 999.5 => "over 1,000 times".to_owned(),
        m if m >= 9.95 => format!("{m:.0} times"),
        _ if tenths == 2.0 => "twice".to_owned(),
        _ => format!("{tenths} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let day = |text: &str| text.parse::<Day>().expect("a date");
        assert_eq!(date(day("2026-09-05"), day("2026-09-15")), "5 Sep");
        assert_eq!(date(day("2025-12-31"), day("2026-01-01")), "31 Dec 2025");
        let dates = |a: &str, b: &str| dates(day(a), day(b), day("2026-09-15"));
        assert_eq!(dates("2026-09-05", "2026-09-05"), "on 5 Sep");
        assert_eq!(dates("2026-09-05", "2026-09-06"), "on 5 and 6 Sep");
        assert_eq!(dates("2026-08-31", "2026-09-01"), "on 31 Aug and 1 Sep");
        assert_eq!(dates("2026-09-05", "2026-09-09"), "from 5 to 9 Sep");
        assert_eq!(dates("2026-08-30", "2026-09-05"), "from 30 Aug to 5 Sep");
        assert_eq!(dates("2025-12-30", "2026-01-05"), "from 30 Dec 2025 to 5 Jan");
        assert_eq!(dates("2025-09-05", "2025-09-09"), "from 5 to 9 Sep 2025");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.00002), "under 0.01 %");
        assert_eq!(percent(0.0004), "0.04 %");
        assert_eq!(percent(0.008), "0.8 %");
        assert_eq!(percent(0.0996), "10 %");
        assert_eq!(percent(0.026), "2.6 %");
        assert_eq!(span(35 * 60_000_000), "35 minutes");
        assert_eq!(span(9 * 3_600_000_000), "9 hours");
        assert_eq!(span(MICROS_PER_DAY), "24 hours");
        assert_eq!(span(12 * MICROS_PER_DAY), "12 days");
        assert_eq!(span(59_999_999), "less than a minute");
        assert_eq!(span(60_000_000), "1 minute");
        assert_eq!(span(2 * 60_000_000), "2 minutes");
        assert_eq!(span(2 * 3_600_000_000), "2 hours");
        assert_eq!(span(2 * MICROS_PER_DAY), "2 days");
        assert_eq!(times(2.04), "twice");
        assert_eq!(times(2.5), "2.5 times");
        assert_eq!(times(26.0), "26 times");
    }
}
