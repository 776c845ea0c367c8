//! The rules of single fields: what their values may be, and what of them is stored.

use std::borrow::Cow;

use lake_types::{Day, MICROS_PER_DAY, minor_units};

use super::fields::{Field, Rule};
use super::json::Slot;
use super::number::{self, NotInteger};
use super::{EARLIEST, Reason, Rejection, missing, reject, time, wrong_type};

/// How far ahead of a record's arrival its event may claim to have occurred.
const AHEAD: i64 = MICROS_PER_DAY;
/// The most code points of an id.
const ID_MOST: usize = 128;

#[inline]
pub(super) fn id(name: &'static str, slot: &Slot<'_>) -> Result<(), Rejection> {
    match slot {
        Slot::Text(text) => length(name, text),
        Slot::Absent | Slot::Null => Err(missing(name)),
        other => Err(wrong_type(name, other, "a string")),
    }
}

#[inline]
fn length(name: &'static str, text: &str) -> Result<(), Rejection> {
    // Bytes first: a text has no more code points than bytes.
    let length = if text.len() <= ID_MOST { text.len() } else { text.chars().count() };
    if length == 0 || length > ID_MOST {
        let detail = format!("{length} characters; an id has 1 to {ID_MOST}");
        return Err(reject(Reason::OutOfRange, Some(name), detail));
    }
    Ok(())
}

/// Checks a text and leaves as much of it as is stored.
#[inline]
pub(super) fn check_text(
    field: &Field,
    rule: Rule,
    text: &mut Cow<'_, str>,
) -> Result<(), Rejection> {
    match rule {
        Rule::OneOf(values, _) if !values.iter().any(|value| *value == &**text) => {
            let detail = format!("it is one of {}", values.join(", "));
            return Err(reject(Reason::UnknownValue, Some(field.name), detail));
        }
        Rule::Currency if minor_units(text).is_err() => {
            let detail = "no active ISO 4217 code with a minor unit, in upper case";
            return Err(reject(Reason::UnknownValue, Some(field.name), detail));
        }
        Rule::Id => length(field.name, text)?,
        Rule::Route => up_to_query(text),
        Rule::Method => upper(text),
        _ => {}
    }
    Ok(())
}

pub(super) fn occurred_at(
    name: &'static str,
    slot: &Slot<'_>,
    earliest: i64,
    arrival: i64,
) -> Result<i64, Rejection> {
    let due = "an RFC 3339 time with offset, or integer epoch milliseconds";
    let instant = match slot {
        Slot::Absent | Slot::Null => return Err(missing(name)),
        Slot::Text(text) => time::parse(text)
            .ok_or_else(|| reject(Reason::WrongType, Some(name), format!("it is {due}")))?,
        Slot::Instant(micros) => *micros,
        Slot::Number(_) | Slot::Long(_) | Slot::Double(_) => match integer(slot) {
            // Out of 64 bits as microseconds is out of the window too.
            Some(Ok(millis)) => millis.saturating_mul(1000),
            Some(Err(NotInteger::Beyond)) => i64::MAX,
            _ => return Err(wrong_type(name, slot, due)),
        },
        Slot::Bool | Slot::Hash(_) | Slot::Bytes | Slot::Object | Slot::Array => {
            return Err(wrong_type(name, slot, due));
        }
    };
    let latest = arrival.saturating_add(AHEAD);
    if instant < earliest || instant > latest || instant == i64::MAX {
        let first = Day::of_micros(earliest);
        if (EARLIEST..earliest).contains(&instant) {
            let detail = format!("retention has sealed the days before {first}");
            let sealed_before = Some(first);
            return Err(Rejection {
                sealed_before,
                ..reject(Reason::OutOfRange, Some(name), detail)
            });
        }
        let detail = format!("it lies between {first} and a day after the record's arrival");
        return Err(reject(Reason::OutOfRange, Some(name), detail));
    }
    Ok(instant)
}

pub(super) fn bounded(
    name: &'static str,
    slot: &Slot<'_>,
    least: i64,
    most: i64,
) -> Result<i64, Rejection> {
    let Some(value) = integer(slot) else { return Err(wrong_type(name, slot, "an integer")) };
    match value {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        Err(NotInteger::Fractional) => {
            Err(reject(Reason::WrongType, Some(name), "a fraction; an integer is due"))
        }
        Ok(_) | Err(NotInteger::Beyond) => {
            let detail = format!("it lies between {least} and {most}");
            Err(reject(Reason::OutOfRange, Some(name), detail))
        }
    }
}

/// A number as an integer; `None` when it is no number.
#[inline]
fn integer(slot: &Slot<'_>) -> Option<Result<i64, NotInteger>> {
    match slot {
        Slot::Number(text) => Some(number::integer(text)),
        Slot::Long(value) => Some(Ok(*value)),
        Slot::Double(value) => Some(whole(*value)),
        _ => None,
    }
}

/// Not in JSON, whose path is not to be burdened with it.
#[cold]
fn whole(value: f64) -> Result<i64, NotInteger> {
    if value.is_finite() { number::integer(&value.to_string()) } else { Err(NotInteger::Beyond) }
}

pub(super) fn micros(name: &'static str, slot: &Slot<'_>) -> Result<i64, Rejection> {
    let micros = match slot {
        Slot::Number(text) => number::millis_to_micros(text),
        Slot::Long(millis) => millis.checked_mul(1000).filter(|micros| *micros >= 0),
        Slot::Double(millis) if millis.is_finite() => number::millis_to_micros(&millis.to_string()),
        Slot::Double(_) => None,
        _ => return Err(wrong_type(name, slot, "a number")),
    };
    micros.ok_or_else(|| {
        let detail = "it is not negative, and fits 64 bits as microseconds";
        reject(Reason::OutOfRange, Some(name), detail)
    })
}

/// A query string or fragment may hold anything, also a secret.
fn up_to_query(route: &mut Cow<'_, str>) {
    let Some(end) = route.bytes().position(|b| matches!(b, b'?' | b'#')) else { return };
    match route {
        Cow::Borrowed(text) => *text = &text[..end],
        Cow::Owned(text) => text.truncate(end),
    }
}

fn upper(text: &mut Cow<'_, str>) {
    if text.bytes().any(|b| b.is_ascii_lowercase() || !b.is_ascii()) {
        *text = Cow::Owned(text.to_uppercase());
    }
}
