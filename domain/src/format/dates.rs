//! Dates, months and instants.

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::NO_BREAK_SPACE;
use crate::time::{Day, next_month};

/// Writes `10 Sep`.
pub fn date(date: NaiveDate) -> String {
    format!("{}{NO_BREAK_SPACE}{}", date.day(), date.format("%b"))
}

/// Writes `10 Sep 2026`.
pub fn date_with_year(date: NaiveDate) -> String {
    format!("{}{NO_BREAK_SPACE}{}", self::date(date), date.year())
}

/// Writes `10 September`.
pub fn long_date(date: NaiveDate) -> String {
    format!("{}{NO_BREAK_SPACE}{}", date.day(), date.format("%B"))
}

/// Writes `15 Sep 00:07 UTC`, with the year where it is not `year`.
pub fn instant(at: DateTime<Utc>, year: i32) -> String {
    let day = at.date_naive();
    let day = if day.year() == year { date(day) } else { date_with_year(day) };
    format!("{day} {}{NO_BREAK_SPACE}UTC", at.format("%H:%M"))
}

/// Writes `Aug`.
pub fn month(first: NaiveDate) -> String {
    first.format("%b").to_string()
}

/// Writes `August`.
pub fn long_month(first: NaiveDate) -> String {
    first.format("%B").to_string()
}

/// Writes `Aug 2026`.
pub fn month_year(first: NaiveDate) -> String {
    format!("{}{NO_BREAK_SPACE}{}", first.format("%b"), first.year())
}

/// Writes `August 2026`.
pub fn long_month_year(first: NaiveDate) -> String {
    format!("{}{NO_BREAK_SPACE}{}", first.format("%B"), first.year())
}

/// Writes how much of a month lies before `as_of`: `14 of 30 days`. Returns `None` if it is over.
pub fn elapsed_days_of_month(first: NaiveDate, as_of: NaiveDate) -> Option<String> {
    let end = next_month(Day::of_date(first)).date();
    if as_of >= end {
        return None;
    }
    let elapsed = (as_of - first).num_days().max(0);
    Some(format!("{elapsed} of {} days", (end - first).num_days()))
}

/// Writes `5 Sep`, with the year where it is not that of `seen_from`.
pub fn plain_date(day: Day, seen_from: Day) -> String {
    let (date, now) = (day.date(), seen_from.date());
    if date.year() == now.year() {
        return date.format("%-d %b").to_string();
    }
    plain_date_with_year(day)
}

/// Writes `5 Sep 2026`.
pub fn plain_date_with_year(day: Day) -> String {
    day.date().format("%-d %b %Y").to_string()
}

/// Writes a stretch of days, both ends included: `on 5 Sep`, `on 5 and 6 Sep`, `from 5 to 9 Sep`,
/// `from 30 Aug to 5 Sep`; with the years that are not that of `seen_from`.
pub fn plain_date_range(first: Day, last: Day, seen_from: Day) -> String {
    let end = plain_date(last, seen_from);
    if first == last {
        return format!("on {end}");
    }
    let (a, b) = (first.date(), last.date());
    let start = if (a.year(), a.month()) == (b.year(), b.month()) {
        a.format("%-d").to_string()
    } else {
        plain_date(first, seen_from)
    };
    if first.plus(1) == last {
        format!("on {start} and {end}")
    } else {
        format!("from {start} to {end}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::check_text as check;

    fn day(text: &str) -> Day {
        text.parse().expect("a date")
    }

    #[test]
    fn dates_on_pages() {
        let naive = |text: &str| day(text).date();
        check(&date(naive("2026-09-10")), "10 Sep");
        check(&date_with_year(naive("2026-09-10")), "10 Sep 2026");
        check(&long_date(naive("2027-01-01")), "1 January");
        check(&month_year(naive("2026-08-01")), "Aug 2026");
        check(&long_month_year(naive("2026-08-01")), "August 2026");
        let elapsed = elapsed_days_of_month(naive("2026-09-01"), naive("2026-09-15"));
        check(&elapsed.expect("an incomplete month"), "14 of 30 days");
        assert_eq!(elapsed_days_of_month(naive("2026-08-01"), naive("2026-09-01")), None);
        let at = DateTime::<Utc>::from_timestamp_micros(day("2026-09-15").start_micros());
        check(&instant(at.expect("an instant"), 2026), "15 Sep 00:00 UTC");
        check(&instant(at.expect("an instant"), 2027), "15 Sep 2026 00:00 UTC");
    }

    #[test]
    fn plain_dates() {
        assert_eq!(plain_date(day("2026-09-05"), day("2026-09-15")), "5 Sep");
        assert_eq!(plain_date(day("2025-12-31"), day("2026-01-01")), "31 Dec 2025");
        let range = |a: &str, b: &str| plain_date_range(day(a), day(b), day("2026-09-15"));
        assert_eq!(range("2026-09-05", "2026-09-05"), "on 5 Sep");
        assert_eq!(range("2026-09-05", "2026-09-06"), "on 5 and 6 Sep");
        assert_eq!(range("2026-08-31", "2026-09-01"), "on 31 Aug and 1 Sep");
        assert_eq!(range("2026-09-05", "2026-09-09"), "from 5 to 9 Sep");
        assert_eq!(range("2026-08-30", "2026-09-05"), "from 30 Aug to 5 Sep");
        assert_eq!(range("2025-12-30", "2026-01-05"), "from 30 Dec 2025 to 5 Jan");
        assert_eq!(range("2025-09-05", "2025-09-09"), "from 5 to 9 Sep 2025");
    }
}
