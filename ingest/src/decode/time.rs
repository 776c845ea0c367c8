//! Parses the instants of events: RFC 3339 with its permitted variants, to UTC microseconds.

use domain::MICROS_PER_DAY;

use super::number::short_integer;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// The days from March 1 of the year 0 to 1970-01-01.
const FROM_MARCH_0: i64 = 719_468;

/// Parses `2026-01-31T12:00:00.5+02:00` as UTC microseconds. Lower-case `t` and `z` and a space
/// instead of `T` are valid, second 60 is the next second, and digits finer than microseconds are
/// dropped. Returns `None` when the text is not an RFC 3339 time.
pub(super) fn parse(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let (clock, rest) = b.split_at_checked(19)?;
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| clock[*at] != *mark)
        || !matches!(clock[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let two = |at: usize| short_integer(&clock[at..at + 2]);
    let (year, month, day) = (short_integer(&clock[..4])?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let midnight = days(year, month, day)? * MICROS_PER_DAY;
    let (fraction, offset) = split_fraction(rest)?;
    let within = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + fraction;
    Some(midnight + within - offset_of(offset)?)
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar, or `None` when there is no
/// such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // A year that begins in March has its leap day at the end, and five of its months have 153
    // days.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - FROM_MARCH_0)
}

/// Splits `.123456789Z` into its microseconds and the offset after it.
fn split_fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let count = after.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let (fraction, offset) = after.split_at(count);
    let kept = &fraction[..count.min(6)];
    let scale = 10i64.pow(6 - kept.len() as u32);
    Some((short_integer(kept)? * scale, offset))
}

/// Returns the microseconds by which `Z`, `+05:30` or `-08:00` is ahead of UTC.
fn offset_of(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, [*h1, *h2], [*m1, *m2]),
        [b'-', h1, h2, b':', m1, m2] => (-1, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let (hours, minutes) = (short_integer(&hours)?, short_integer(&minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60 * MICROS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use domain::Day;

    use super::*;

    #[test]
    fn rfc_3339() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(parse(text).map(domain::format_instant).as_deref(), expected, "{text}");
        }
        check("2026-01-31T12:00:00Z", Some("2026-01-31T12:00:00Z"));
        check("2026-01-31t12:00:00z", Some("2026-01-31T12:00:00Z"));
        check("2026-01-31 12:00:00+02:00", Some("2026-01-31T10:00:00Z"));
        check("2026-01-31T12:00:00-00:30", Some("2026-01-31T12:30:00Z"));
        check("2026-01-31T12:00:00.5Z", Some("2026-01-31T12:00:00.5Z"));
        check("2026-01-31T12:00:00.1234567899Z", Some("2026-01-31T12:00:00.123456Z"));
        check("2025-12-31T23:59:60Z", Some("2026-01-01T00:00:00Z"));
        check("2025-12-31T23:59:60.25+00:00", Some("2026-01-01T00:00:00.25Z"));
        check("2024-02-29T00:00:00Z", Some("2024-02-29T00:00:00Z"));
        check("0000-01-01T00:00:00Z", Some("0000-01-01T00:00:00Z"));
        for day in (-719_528..=2_932_896).step_by(97).map(Day) {
            let midnight = parse(&format!("{day}T00:00:00Z"));
            assert_eq!(midnight, Some(day.start_micros()), "{day}");
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00 Z",
            "2026-01-31T12:00:00Zz",
            "2026-01-31T12:00:00+0200",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+02:60",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:61Z",
            "2025-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "2026-01-31X12:00:00Z",
            "2026-01-31T12:00:00.5é",
            "２026-01-31T12:00:00Z",
        ] {
            check(bad, None);
        }
    }
}
