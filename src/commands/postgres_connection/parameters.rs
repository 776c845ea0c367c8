//! Values of parameters as clients send them: as text, or in the binary form of their type.

use arrow::datatypes::{DataType, Field, TimeUnit};
use chrono::{DateTime, Days, NaiveDate};
use std::sync::Arc;
use transform::postgres::Parameter;

use super::cells::Format;
use super::numeric;
use super::refusal::Refusal;

/// Days and microseconds from 1970 to 2000, where the dates of PostgreSQL begin.
const DAYS_TO_2000: i64 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// Returns the type that a client states by its number; `None` where it leaves the type open.
pub(super) fn stated_type(oid: u32) -> Option<DataType> {
    let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
    Some(match oid {
        16 => DataType::Boolean,
        20 | 21 | 23 | 26 => DataType::Int64,
        700 | 701 => DataType::Float64,
        1_700 => DataType::Decimal128(38, 12),
        1_082 => DataType::Date32,
        1_114 => DataType::Timestamp(TimeUnit::Microsecond, None),
        1_184 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        18 | 19 | 25 | 1_042 | 1_043 | 2_950 => DataType::Utf8,
        1_000 => list(DataType::Boolean),
        1_005 | 1_007 | 1_016 | 1_028 => list(DataType::Int64),
        1_021 | 1_022 => list(DataType::Float64),
        1_231 => list(DataType::Decimal128(38, 12)),
        1_182 => list(DataType::Date32),
        1_002 | 1_003 | 1_009 | 1_014 | 1_015 => list(DataType::Utf8),
        _ => return None,
    })
}

/// Reads a value. `number` says in messages which one it is.
pub(super) fn read(
    value: Option<&[u8]>,
    format: Format,
    data_type: &DataType,
    number: usize,
) -> Result<Parameter, Refusal> {
    let Some(bytes) = value else { return Ok(Parameter::Null(Some(data_type.clone()))) };
    let read = match format {
        Format::Text => std::str::from_utf8(bytes).ok().and_then(|text| of_text(text, data_type)),
        Format::Binary => of_binary(bytes, data_type),
    };
    read.ok_or_else(|| {
        Refusal::new("22P02", format!("the value of parameter ${number} is no {data_type}"))
    })
}

fn of_text(text: &str, data_type: &DataType) -> Option<Parameter> {
    Some(match data_type {
        DataType::Boolean => Parameter::Boolean(match text.trim().to_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "yes" | "y" => true,
            "f" | "false" | "0" | "off" | "no" | "n" => false,
            _ => return None,
        }),
        whole if whole.is_integer() => Parameter::Integer(text.trim().parse().ok()?),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            text.trim().parse::<f64>().ok()?;
            Parameter::Typed(text.trim().to_owned(), DataType::Float64)
        }
        DataType::Decimal128(..) => decimal(text.trim())?,
        // A date may come with a time zone after it.
        DataType::Date32 | DataType::Date64 => {
            let day: NaiveDate = text.trim().get(..10)?.parse().ok()?;
            Parameter::Typed(day.to_string(), DataType::Date32)
        }
        DataType::Timestamp(_, _) => Parameter::Typed(text.trim().to_owned(), data_type.clone()),
        DataType::List(field) => list_of_text(text, field.data_type())?,
        _ => Parameter::Text(text.to_owned()),
    })
}

/// Returns a decimal with the decimals that it was written with.
fn decimal(text: &str) -> Option<Parameter> {
    let is_number = !text.is_empty()
        && text.trim_start_matches(['-', '+']).bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_number {
        text.parse::<f64>().ok()?;
        return Some(Parameter::Typed(text.to_owned(), DataType::Float64));
    }
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = i8::try_from(scale).ok().filter(|scale| *scale <= 38)?;
    Some(Parameter::Typed(text.to_owned(), DataType::Decimal128(38, scale)))
}

/// Reads `{1,"a b",NULL}`.
fn list_of_text(text: &str, item: &DataType) -> Option<Parameter> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let mut value = String::new();
        let is_quoted = chars.next_if_eq(&'"').is_some();
        loop {
            match chars.next() {
                None if is_quoted => return None,
                None => break,
                Some('"') if is_quoted => {
                    if chars.next().is_some_and(|after| after != ',') {
                        return None;
                    }
                    break;
                }
                Some(',') if !is_quoted => break,
                Some('\\') => value.push(chars.next()?),
                Some(c) => value.push(c),
            }
        }
        let is_null = !is_quoted && value.eq_ignore_ascii_case("null");
        items.push(if is_null { Parameter::Null(None) } else { of_text(&value, item)? });
    }
    Some(Parameter::List(items))
}

fn of_binary(bytes: &[u8], data_type: &DataType) -> Option<Parameter> {
    let integer = || match bytes.len() {
        2 => bytes.try_into().ok().map(|b| i64::from(i16::from_be_bytes(b))),
        4 => bytes.try_into().ok().map(|b| i64::from(i32::from_be_bytes(b))),
        8 => bytes.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    };
    Some(match data_type {
        DataType::Boolean => Parameter::Boolean(*bytes.first()? != 0),
        whole if whole.is_integer() => Parameter::Integer(integer()?),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let value = match bytes.len() {
                4 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
                _ => f64::from_be_bytes(bytes.try_into().ok()?),
            };
            Parameter::Typed(value.to_string(), DataType::Float64)
        }
        DataType::Decimal128(..) => decimal(&numeric::read(bytes)?)?,
        DataType::Date32 | DataType::Date64 => {
            let days = u64::try_from(integer()? + DAYS_TO_2000).ok()?;
            let day = NaiveDate::default().checked_add_days(Days::new(days))?;
            Parameter::Typed(day.to_string(), DataType::Date32)
        }
        DataType::Timestamp(_, zone) => {
            let instant = DateTime::from_timestamp_micros(integer()?.checked_add(MICROS_TO_2000)?)?;
            let zone = if zone.is_some() { "Z" } else { "" };
            let text = format!("{}{zone}", instant.format("%Y-%m-%dT%H:%M:%S%.f"));
            Parameter::Typed(text, data_type.clone())
        }
        DataType::List(field) => list_of_binary(bytes, field.data_type())?,
        _ => Parameter::Text(String::from_utf8(bytes.to_vec()).ok()?),
    })
}

/// Reads an array of one dimension.
fn list_of_binary(bytes: &[u8], item: &DataType) -> Option<Parameter> {
    let mut rest = bytes;
    let mut next = || {
        let (number, after) = rest.split_at_checked(4)?;
        rest = after;
        Some(i32::from_be_bytes(number.try_into().ok()?))
    };
    let (dimensions, _, _) = (next()?, next()?, next()?);
    if dimensions == 0 {
        return Some(Parameter::List(Vec::new()));
    }
    let (count, _) = (next()?, next()?);
    let mut items = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_at_checked(4)?;
        let length = i32::from_be_bytes(length.try_into().ok()?);
        let Ok(length) = usize::try_from(length) else {
            rest = after;
            items.push(Parameter::Null(None));
            continue;
        };
        let (value, after) = after.split_at_checked(length)?;
        rest = after;
        items.push(of_binary(value, item)?);
    }
    (dimensions == 1).then_some(Parameter::List(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_type() {
        let text = |text: &str, oid| {
            let data_type = stated_type(oid).unwrap_or(DataType::Utf8);
            read(Some(text.as_bytes()), Format::Text, &data_type, 1)
        };
        let typed = |text: &str, data_type| Ok(Parameter::Typed(text.to_owned(), data_type));
        assert_eq!(text("5", 20), Ok(Parameter::Integer(5)));
        assert_eq!(text("t", 16), Ok(Parameter::Boolean(true)));
        assert_eq!(text("1.50", 1_700), typed("1.50", DataType::Decimal128(38, 2)));
        assert_eq!(text("2026-06-01 +02", 1_082), typed("2026-06-01", DataType::Date32));
        assert_eq!(text("it's", 0), Ok(Parameter::Text("it's".to_owned())));
        let words = ["a", "b, c", "\""].map(|word| Parameter::Text(word.to_owned()));
        assert_eq!(text("{a,\"b, c\",\"\\\"\"}", 1_009), Ok(Parameter::List(words.to_vec())));
        assert_eq!(text("{}", 1_016), Ok(Parameter::List(Vec::new())));
        for (wrong, oid) in
            [("x", 20), ("maybe", 16), ("2026-6-1", 1_082), ("1.2.x", 1_700), ("{", 1_016)]
        {
            assert!(text(wrong, oid).is_err_and(|error| error.code == "22P02"), "{wrong}");
        }
        let binary = |bytes: &[u8], oid| {
            let data_type = stated_type(oid).unwrap_or(DataType::Utf8);
            read(Some(bytes), Format::Binary, &data_type, 1)
        };
        assert_eq!(binary(&[0, 0, 0, 5], 23), Ok(Parameter::Integer(5)));
        assert_eq!(binary(&[0, 0, 0, 1], 1_082), typed("2000-01-02", DataType::Date32));
        assert_eq!(
            binary(&[0, 2, 0, 0, 0, 0, 0, 1, 0, 12, 0x13, 0x88], 1_700),
            typed("12.5", DataType::Decimal128(38, 1))
        );
        let list =
            [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9];
        assert_eq!(binary(&list, 1_007), Ok(Parameter::List(vec![Parameter::Integer(9)])));
        assert!(binary(&list[..20], 1_007).is_err());
        assert_eq!(
            read(None, Format::Text, &DataType::Utf8, 1),
            Ok(Parameter::Null(Some(DataType::Utf8)))
        );
    }
}
