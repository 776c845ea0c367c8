//! Checks the values of single fields, and converts them to their stored form.

use std::borrow::Cow;

use domain::{Day, MICROS_PER_DAY, minor_units};

use super::fields::{FieldDef, FieldRule};
use super::json::Slot;
use super::number::{self, NotInteger};
use super::{MIN_OCCURRED_AT, RejectReason, Rejection, missing_field, reject, time, wrong_type};

/// How far the time of an event may be ahead of the record's arrival.
const MAX_AHEAD: i64 = MICROS_PER_DAY;
/// The greatest number of code points of an id.
const MAX_ID_CHARS: usize = 128;

/// Checks a required id.
#[inline]
pub(super) fn check_id(name: &'static str, slot: &Slot<'_>) -> Result<(), Rejection> {
    match slot {
        Slot::Text(text) => check_length(name, text),
        Slot::Absent | Slot::Null => Err(missing_field(name)),
        other => Err(wrong_type(name, other, "a string")),
    }
}

#[inline]
fn check_length(name: &'static str, text: &str) -> Result<(), Rejection> {
    // A text has no more code points than bytes, and the bytes need no counting.
    let length = if text.len() <= MAX_ID_CHARS { text.len() } else { text.chars().count() };
    if length == 0 || length > MAX_ID_CHARS {
        let detail = format!("{length} characters; an id has 1 to {MAX_ID_CHARS}");
        return Err(reject(RejectReason::OutOfRange, Some(name), detail));
    }
    Ok(())
}

/// Checks a text and keeps what of it is stored.
#[inline]
pub(super) fn check_text(
    field: &FieldDef,
    rule: FieldRule,
    text: &mut Cow<'_, str>,
) -> Result<(), Rejection> {
    match rule {
        FieldRule::OneOf(values, _) if !values.iter().any(|value| *value == &**text) => {
            let detail = format!("it is one of {}", values.join(", "));
            return Err(reject(RejectReason::UnknownValue, Some(field.name), detail));
        }
        FieldRule::Currency if minor_units(text).is_err() => {
            let detail = "no active ISO 4217 code with a minor unit, in upper case";
            return Err(reject(RejectReason::UnknownValue, Some(field.name), detail));
        }
        FieldRule::Id => check_length(field.name, text)?,
        FieldRule::Route => strip_query(text),
        FieldRule::Method => uppercase(text),
        _ => {}
    }
    Ok(())
}

/// Checks when the event occurred, and returns it in UTC microseconds.
pub(super) fn check_occurred_at(
    name: &'static str,
    slot: &Slot<'_>,
    earliest: i64,
    arrival: i64,
) -> Result<i64, Rejection> {
    let expected = "an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z, or epoch \
                    milliseconds as an integer";
    let instant = match slot {
        Slot::Absent | Slot::Null => return Err(missing_field(name)),
        Slot::Text(text) => time::parse(text).ok_or_else(|| {
            reject(RejectReason::WrongType, Some(name), format!("it is {expected}"))
        })?,
        Slot::Instant(micros) => *micros,
        Slot::Number(_) | Slot::Long(_) | Slot::Double(_) => match as_integer(slot) {
            // An instant beyond 64 bits of microseconds is out of range too.
            Some(Ok(millis)) => millis.saturating_mul(1000),
            Some(Err(NotInteger::OutOfRange)) => i64::MAX,
            _ => return Err(wrong_type(name, slot, expected)),
        },
        Slot::Bool | Slot::Hash(_) | Slot::Bytes | Slot::Object | Slot::Array => {
            return Err(wrong_type(name, slot, expected));
        }
    };
    let latest = arrival.saturating_add(MAX_AHEAD);
    if instant < earliest || instant > latest || instant == i64::MAX {
        let first = Day::of_micros(earliest);
        if (MIN_OCCURRED_AT..earliest).contains(&instant) {
            let detail = format!("retention has sealed the days before {first}");
            let sealed_before = Some(first);
            return Err(Rejection {
                sealed_before,
                ..reject(RejectReason::OutOfRange, Some(name), detail)
            });
        }
        let detail = format!("it lies between {first} and a day after the record's arrival");
        return Err(reject(RejectReason::OutOfRange, Some(name), detail));
    }
    Ok(instant)
}

/// Checks an integer and its bounds, inclusive.
pub(super) fn integer_in_range(
    name: &'static str,
    slot: &Slot<'_>,
    min: i64,
    max: i64,
) -> Result<i64, Rejection> {
    let Some(value) = as_integer(slot) else { return Err(wrong_type(name, slot, "an integer")) };
    match value {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        Err(NotInteger::Fractional) => {
            Err(reject(RejectReason::WrongType, Some(name), "a fraction; an integer is expected"))
        }
        Ok(_) | Err(NotInteger::OutOfRange) => {
            let detail = format!("it lies between {min} and {max}");
            Err(reject(RejectReason::OutOfRange, Some(name), detail))
        }
    }
}

/// Returns a number as an integer, or `None` when the value is not a number.
#[inline]
fn as_integer(slot: &Slot<'_>) -> Option<Result<i64, NotInteger>> {
    match slot {
        Slot::Number(text) => Some(number::integer(text)),
        Slot::Long(value) => Some(Ok(*value)),
        Slot::Double(value) => Some(double_as_integer(*value)),
        _ => None,
    }
}

/// Is not inlined, because JSON has no such values.
#[cold]
fn double_as_integer(value: f64) -> Result<i64, NotInteger> {
    if value.is_finite() {
        number::integer(&value.to_string())
    } else {
        Err(NotInteger::OutOfRange)
    }
}

/// Checks a number of milliseconds, and converts it to microseconds.
pub(super) fn millis_to_micros(name: &'static str, slot: &Slot<'_>) -> Result<i64, Rejection> {
    let micros = match slot {
        Slot::Number(text) => number::millis_to_micros(text),
        Slot::Long(millis) => millis.checked_mul(1000).filter(|micros| *micros >= 0),
        Slot::Double(millis) if millis.is_finite() => number::millis_to_micros(&millis.to_string()),
        Slot::Double(_) => None,
        _ => return Err(wrong_type(name, slot, "a number")),
    };
    micros.ok_or_else(|| {
        let detail = "it is not negative, and fits 64 bits as microseconds";
        reject(RejectReason::OutOfRange, Some(name), detail)
    })
}

/// Removes the query string and the fragment, which may contain secrets.
fn strip_query(route: &mut Cow<'_, str>) {
    let Some(end) = route.bytes().position(|b| matches!(b, b'?' | b'#')) else { return };
    match route {
        Cow::Borrowed(text) => *text = &text[..end],
        Cow::Owned(text) => text.truncate(end),
    }
}

fn uppercase(text: &mut Cow<'_, str>) {
    if text.bytes().any(|b| b.is_ascii_lowercase() || !b.is_ascii()) {
        *text = Cow::Owned(text.to_uppercase());
    }
}
