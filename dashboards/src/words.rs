//! Words and numbers as people read them: 1,080; 79 %; $170.2k; a true minus; "10 Sep" unbroken.

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
pub(crate) use lake_types::{agree, counted, thousands};
use maud::{Markup, html};

/// Between a number and its unit: narrow, and never broken.
pub(crate) const THIN_SPACE: char = '\u{202F}';
const UNBROKEN: char = '\u{A0}';
const MINUS: char = '\u{2212}';

/// What stands where a value is not known.
pub(crate) const UNKNOWN: &str = "n/a";

/// `1,080`, `−4`.
pub(crate) fn count(value: i64) -> String {
    thousands(value)
}

/// `12.5`, with a true minus, thousands apart, and never "−0.0".
pub(crate) fn decimal(value: f64, places: usize) -> String {
    let text = format!("{:.places$}", value.abs());
    let negative = value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text.as_str(), None),
    };
    let whole = whole.parse::<i64>().map_or_else(|_| whole.to_owned(), count);
    let sign = if negative { MINUS.to_string() } else { String::new() };
    match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    }
}

/// `+28`, `−4`, `0`.
pub(crate) fn signed(value: i64) -> String {
    if value > 0 { format!("+{}", count(value)) } else { count(value) }
}

/// `+2.6`, `−0.4`, `0.0`.
pub(crate) fn signed_decimal(value: f64, places: usize) -> String {
    let text = decimal(value, places);
    let positive = value > 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if positive { format!("+{text}") } else { text }
}

/// A ratio in 0–1 as `79 %`.
pub(crate) fn percent(ratio: f64) -> String {
    share(ratio, 0)
}

/// A ratio in 0–1 as `51.8 %`.
pub(crate) fn percent_1(ratio: f64) -> String {
    share(ratio, 1)
}

/// A change of a ratio: `+70 %`, `−0.3 %`, `0 %`.
pub(crate) fn signed_percent(ratio: f64) -> String {
    let text = percent(ratio);
    if ratio > NOTHING { format!("+{text}") } else { text }
}

/// A small ratio with the digits it needs: `0.04 %`, `2.6 %`, `38 %`, `0 %`.
pub(crate) fn rate(ratio: f64) -> String {
    match ratio.abs() * 100.0 {
        x if x < 0.095 => share(ratio, if x < NOTHING { 0 } else { 2 }),
        x if x < 9.95 => share(ratio, 1),
        _ => share(ratio, 0),
    }
}

/// Below this a ratio is nothing but the rounding of a float.
const NOTHING: f64 = 1e-9;

/// With as many more digits, three at most, as it takes to tell something from nothing and
/// nearly all from all.
fn share(ratio: f64, places: usize) -> String {
    let some = ratio.abs() > NOTHING;
    let not_all = ratio > 0.0 && ratio < 1.0 - NOTHING;
    let misleads = |text: &str| {
        let digits = text.trim_start_matches(MINUS);
        (some && digits.bytes().all(|b| matches!(b, b'0' | b'.')))
            || (not_all && digits.starts_with("100"))
    };
    let shown = (places..=places + 3).map(|p| decimal(ratio * 100.0, p)).find(|t| !misleads(t));
    let least = format!("0.{}1", "0".repeat(places + 2));
    let text = shown.unwrap_or_else(|| match ratio {
        r if r > 0.5 => format!(">99.{}", "9".repeat(places + 3)),
        r if r < 0.0 => format!("{MINUS}<{least}"),
        _ => format!("<{least}"),
    });
    format!("{text}{THIN_SPACE}%")
}

/// A missing value is said, not left blank.
pub(crate) fn known<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// Small counts in words inside a sentence: `two`, `13`.
pub(crate) fn few(n: i64) -> String {
    let words =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    usize::try_from(n).ok().and_then(|n| words.get(n)).map_or_else(|| count(n), |w| (*w).to_owned())
}

/// `Harbourline`, `A and B`, `A, B and C`.
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// What stands before an amount: a sign where the currency has a well-known one.
pub(crate) fn currency_sign(code: &str) -> String {
    match code {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        other => format!("{other}{UNBROKEN}"),
    }
}

/// An amount split for a tile: `("$170.2", "k")`. Under ten units it has its cents, and what is
/// less than the smallest coin says so.
pub(crate) fn money_parts(amount: f64, currency: &str) -> (String, &'static str) {
    let coins = lake_types::minor_units(currency).map_or(2, |digits| digits as usize);
    let (scaled, unit) = match amount.abs() {
        x if x >= 999.95e6 => (amount / 1e9, "bn"),
        x if x >= 999.95e3 => (amount / 1e6, "M"),
        x if x >= 9_999.5 => (amount / 1e3, "k"),
        _ => (amount, ""),
    };
    let places = match scaled.abs() {
        _ if !unit.is_empty() => 1,
        x if x > 0.0 && x < 10.0 => coins,
        _ => 0,
    };
    let digits = decimal(scaled.abs(), places);
    let sign = if amount < 0.0 { MINUS.to_string() } else { String::new() };
    let sign_of_currency = currency_sign(currency);
    if amount != 0.0 && digits.bytes().all(|b| matches!(b, b'0' | b'.')) {
        let coin = decimal(10f64.powi(-(coins as i32)), coins);
        return (format!("{sign}<{sign_of_currency}{coin}"), "");
    }
    (format!("{sign}{sign_of_currency}{digits}"), unit)
}

/// `$170.2k`, `$2,794`, `$0.49`, `−$310`.
pub(crate) fn money(amount: f64, currency: &str) -> String {
    let (number, unit) = money_parts(amount, currency);
    format!("{number}{unit}")
}

/// An amount on an axis, with the digits it needs: `$200k`, `$2.5k`, `$0.05`, `$0`.
pub(crate) fn money_axis(amount: f64, currency: &str) -> String {
    let (scaled, unit) = match amount.abs() {
        x if x >= 1e9 => (amount / 1e9, "bn"),
        x if x >= 1e6 => (amount / 1e6, "M"),
        x if x >= 1e3 => (amount / 1e3, "k"),
        _ => (amount, ""),
    };
    let exact = |places: &usize| {
        let power = 10f64.powi(*places as i32);
        (scaled * power - (scaled * power).round()).abs() < 1e-6
    };
    let places = (0..=6).find(exact).unwrap_or(6);
    format!("{}{}{unit}", currency_sign(currency), decimal(scaled, places))
}

/// A duration split for a tile: `("7.0", "d")`.
pub(crate) fn duration_parts(seconds: f64) -> (String, &'static str) {
    match seconds {
        s if s > 0.0 && s < 0.5 => ("<1".to_owned(), "s"),
        s if s < 59.5 => (decimal(s, 0), "s"),
        s if s < 59.5 * 60.0 => (decimal(s / 60.0, 0), "min"),
        s if s < 86_400.0 * 0.9979 => (decimal(s / 3600.0, 1), "h"),
        s => (decimal(s / 86_400.0, 1), "d"),
    }
}

/// `7.0 d`, `3.4 h`, `25 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let (number, unit) = duration_parts(seconds);
    format!("{number}{THIN_SPACE}{unit}")
}

/// `10 Sep`.
pub(crate) fn day(date: NaiveDate) -> String {
    format!("{}{UNBROKEN}{}", date.day(), date.format("%b"))
}

/// `10 Sep 2026`.
pub(crate) fn day_year(date: NaiveDate) -> String {
    format!("{}{UNBROKEN}{}", day(date), date.year())
}

/// `10 September`.
pub(crate) fn long_day(date: NaiveDate) -> String {
    format!("{}{UNBROKEN}{}", date.day(), date.format("%B"))
}

/// `15 Sep 00:07 UTC`, with the year where it is not `year`.
pub(crate) fn instant(at: DateTime<Utc>, year: i32) -> String {
    let date = at.date_naive();
    let date = if date.year() == year { day(date) } else { day_year(date) };
    format!("{date} {}{UNBROKEN}UTC", at.format("%H:%M"))
}

/// `Aug`.
pub(crate) fn month(first: NaiveDate) -> String {
    first.format("%b").to_string()
}

/// `August`.
pub(crate) fn long_month(first: NaiveDate) -> String {
    first.format("%B").to_string()
}

/// `Aug 2026`.
pub(crate) fn month_year(first: NaiveDate) -> String {
    format!("{}{UNBROKEN}{}", first.format("%b"), first.year())
}

/// `August 2026`.
pub(crate) fn long_month_year(first: NaiveDate) -> String {
    format!("{}{UNBROKEN}{}", first.format("%B"), first.year())
}

/// The first day of the month that holds `date`.
pub(crate) fn month_start(date: NaiveDate) -> NaiveDate {
    date.with_day(1).unwrap_or(date)
}

/// The first day of the month after the one that holds `date`.
pub(crate) fn next_month(date: NaiveDate) -> NaiveDate {
    month_start(date).checked_add_months(Months::new(1)).unwrap_or(date)
}

/// How much of a month lies before `as_of`: `14 of 30 days`; nothing when it is all there.
pub(crate) fn part_of_month(first: NaiveDate, as_of: NaiveDate) -> Option<String> {
    let end = next_month(first);
    if as_of >= end {
        return None;
    }
    let seen = (as_of - first).num_days().max(0);
    Some(format!("{seen} of {} days", (end - first).num_days()))
}

/// A name for a row: the name where there is one, the id otherwise; line breaks and other control
/// characters become spaces.
pub(crate) fn label(name: Option<&str>, id: &str) -> String {
    let text = name.filter(|n| !n.trim().is_empty()).unwrap_or(id);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most `max` characters, the last an ellipsis where some were cut.
pub(crate) fn clip(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Longest text of an attribute.
const ATTRIBUTE: usize = 64;

/// How a name is shown that an event brought: cut to `max` characters, what was cut at hand when
/// it is pointed at, and apart from its neighbours' writing direction.
pub(crate) fn name(text: &str, max: usize) -> Markup {
    html! { bdi title=[cut(text, max)] { (clip(text, max)) } }
}

/// What an attribute says of a text that was cut to `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> Option<String> {
    text.chars().nth(max).map(|_| clip(text, ATTRIBUTE.max(max)))
}

/// The first letter in upper case.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shown: &str, expected: &str) {
        let plain = shown.replace([THIN_SPACE, UNBROKEN], " ").replace(MINUS, "-");
        assert_eq!(plain, expected);
    }

    #[test]
    fn numbers() {
        check(&count(1080), "1,080");
        check(&count(-1_234_567), "-1,234,567");
        check(&signed(0), "0");
        check(&signed(28), "+28");
        check(&decimal(-0.04, 1), "0.0");
        check(&decimal(-1234.56, 1), "-1,234.6");
        check(&signed_decimal(0.04, 1), "0.0");
        check(&percent(0.79), "79 %");
        check(&percent_1(0.5182), "51.8 %");
        check(&rate(0.0004), "0.04 %");
        check(&rate(0.026), "2.6 %");
        check(&rate(0.0), "0 %");
        check(&known(None::<f64>, percent), "n/a");
        check(&few(2), "two");
        check(&few(13), "13");
        check(&counted(1, "partner"), "1 partner");
    }

    #[test]
    fn something_is_not_nothing_and_nearly_all_not_all() {
        check(&percent(0.0), "0 %");
        check(&percent(1.0), "100 %");
        check(&percent(0.004), "0.4 %");
        check(&percent(0.996), "99.6 %");
        check(&percent(1.004), "100 %");
        check(&percent_1(0.0004), "0.04 %");
        check(&percent_1(0.999_96), "99.996 %");
        check(&percent(1e-8), "<0.001 %");
        check(&percent(1.0 - 1e-8), ">99.999 %");
        check(&percent(0.1 + 0.2 - 0.3), "0 %");
        check(&rate(0.000_03), "0.003 %");
        check(&signed_percent(0.003), "+0.3 %");
        check(&signed_percent(-0.7), "-70 %");
        check(&signed_percent(0.0), "0 %");
    }

    #[test]
    fn amounts() {
        check(&money(170_234.0, "USD"), "$170.2k");
        check(&money(2_794.4, "USD"), "$2,794");
        check(&money_axis(400_000.0, "USD"), "$400k");
        check(&money_axis(2_500.0, "EUR"), "€2.5k");
        check(&money_axis(0.0, "USD"), "$0");
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
        check(&money_axis(0.05, "USD"), "$0.05");
        check(&money(1_260_000.0, "CHF"), "CHF 1.3M");
    }

    #[test]
    fn times() {
        check(&duration(42.0), "42 s");
        check(&duration(0.2), "<1 s");
        check(&duration(0.0), "0 s");
        check(&duration(1500.0), "25 min");
        check(&duration(12_240.0), "3.4 h");
        check(&duration(86_400.0), "1.0 d");
        check(&duration(604_800.0), "7.0 d");
        let date = |text: &str| text.parse::<NaiveDate>().expect("a date");
        check(&day(date("2026-09-10")), "10 Sep");
        check(&day_year(date("2026-09-10")), "10 Sep 2026");
        let part = part_of_month(date("2026-09-01"), date("2026-09-15"));
        check(&part.expect("an incomplete month"), "14 of 30 days");
        assert_eq!(part_of_month(date("2026-08-01"), date("2026-09-01")), None);
        check(&long_day(next_month(date("2026-12-31"))), "1 January");
    }

    #[test]
    fn names() {
        check(&label(Some(" "), "w-1"), "w-1");
        check(&label(Some("a\nb"), "w-1"), "a b");
        check(&clip("abcdef", 4), "abc…");
        check(&clip("abcd", 4), "abcd");
        assert_eq!(cut("abcd", 4), None);
        let long = name(&"\"".repeat(300_000), 40).into_string();
        assert!(long.len() < 800, "{}", long.len());
        check(&list(&["A".to_owned(), "B".to_owned(), "C".to_owned()]), "A, B and C");
    }
}
