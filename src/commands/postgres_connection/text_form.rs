//! Values as texts, as PostgreSQL writes them.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Days, NaiveDate};
use transform::postgres::{PgType, TypeOfColumn};

/// Returns a value as PostgreSQL writes it.
pub(super) fn text(values: &dyn Array, row: usize, of: PgType) -> Result<String, ArrowError> {
    Ok(match of {
        PgType::BOOL => if values.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        PgType::FLOAT4 => float(f64::from(values.as_primitive::<Float32Type>().value(row)), || {
            values.as_primitive::<Float32Type>().value(row).to_string()
        }),
        PgType::FLOAT8 => {
            let value = values.as_primitive::<Float64Type>().value(row);
            float(value, || value.to_string())
        }
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
            let zone = if of == PgType::TIMESTAMPTZ { "+00" } else { "" };
            let instant = DateTime::from_timestamp_micros(micros);
            let instant = instant.ok_or_else(|| out_of_range("an instant"))?;
            format!("{}{zone}", instant.format("%Y-%m-%d %H:%M:%S%.f"))
        }
        PgType::DATE => {
            let days = values.as_primitive::<Date32Type>().value(row);
            let day = u64::try_from(days).ok().map_or_else(
                || NaiveDate::default().checked_sub_days(Days::new(days.unsigned_abs().into())),
                |days| NaiveDate::default().checked_add_days(Days::new(days)),
            );
            day.ok_or_else(|| out_of_range("a date"))?.format("%Y-%m-%d").to_string()
        }
        PgType::BYTEA => {
            let bytes = values.as_binary::<i32>().value(row);
            bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
        }
        PgType::NUMERIC if values.as_primitive_opt::<Decimal128Type>().is_some() => {
            values.as_primitive::<Decimal128Type>().value_as_string(row)
        }
        PgType::TEXT | PgType::JSON => values.as_string::<i32>().value(row).to_owned(),
        _ => {
            let options = FormatOptions::new();
            ArrayFormatter::try_new(values, &options)?.value(row).try_to_string()?
        }
    })
}

fn out_of_range(what: &str) -> ArrowError {
    ArrowError::CastError(format!("{what} is out of range"))
}

/// Returns a float: with an exponent where it is very large or small.
fn float(value: f64, shortest: impl Fn() -> String) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if value != 0.0 && !(1e-5..1e15).contains(&size) { format!("{value:e}") } else { shortest() }
}

/// Appends an array between braces, with quotes around items that need them.
pub(super) fn put_array_text(
    values: &dyn Array,
    row: usize,
    of: TypeOfColumn,
    out: &mut BytesMut,
) -> Result<(), ArrowError> {
    let items = values.as_list::<i32>().value(row);
    out.put_u8(b'{');
    for at in 0..items.len() {
        if at > 0 {
            out.put_u8(b',');
        }
        if items.is_null(at) {
            out.put_slice(b"NULL");
            continue;
        }
        let item = text(items.as_ref(), at, of.element)?;
        let is_plain = !item.is_empty()
            && !item.eq_ignore_ascii_case("null")
            && item.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if is_plain {
            out.put_slice(item.as_bytes());
        } else {
            let quoted = item.replace('\\', "\\\\").replace('"', "\\\"");
            out.put_slice(format!("\"{quoted}\"").as_bytes());
        }
    }
    out.put_u8(b'}');
    Ok(())
}
