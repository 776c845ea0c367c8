//! Values as clients read them: as text, or in the binary form of their type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Schema,
    SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use bytes::{BufMut, BytesMut};
use transform::postgres::{PgType, TypeOfColumn};

use super::numeric;
use super::text_form::{put_array_text, text};

/// How a client wants a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

impl Format {
    pub(super) fn of_code(code: i16) -> Self {
        if code == 1 { Self::Binary } else { Self::Text }
    }

    /// Returns the format of a column. Clients name none for text, one for all columns, or each.
    pub(super) fn of_column(codes: &[i16], column: usize) -> Self {
        let code = if codes.len() == 1 { codes.first() } else { codes.get(column) };
        code.map_or(Self::Text, |code| Self::of_code(*code))
    }
}

/// A column of a result.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) of: TypeOfColumn,
    pub(super) format: Format,
}

/// Returns the columns of a result in the formats that a client wants.
pub(super) fn columns_of(schema: &SchemaRef, formats: &[i16]) -> Vec<Column> {
    let described = schema.fields().iter().enumerate().map(|(at, field)| Column {
        name: field.name().clone(),
        of: TypeOfColumn::of(field.data_type()),
        format: Format::of_column(formats, at),
    });
    described.collect()
}

/// Days and microseconds from 1970 to 2000, where the dates of PostgreSQL begin.
const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// Appends each row of a batch as a message.
pub(super) fn rows(batch: &RecordBatch, columns: &[Column]) -> Result<Rows, ArrowError> {
    let cells = batch.columns().iter().zip(columns).map(|(column, described)| {
        Ok(Cells { values: plain(column, described)?, column: described.clone() })
    });
    Ok(Rows { cells: cells.collect::<Result<_, ArrowError>>()?, next: 0, count: batch.num_rows() })
}

/// The rows of a batch that are not sent yet.
pub(super) struct Rows {
    cells: Vec<Cells>,
    next: usize,
    count: usize,
}

struct Cells {
    values: ArrayRef,
    column: Column,
}

impl Rows {
    /// Writes the next row as a message into an empty buffer; false at the end.
    pub(super) fn next_into(&mut self, out: &mut BytesMut) -> Result<bool, ArrowError> {
        if self.next == self.count {
            return Ok(false);
        }
        out.clear();
        out.put_u8(b'D');
        out.put_u32(0);
        out.put_i16(self.cells.len() as i16);
        for cells in &self.cells {
            put_sized(cells.values.as_ref(), self.next, cells.column.of, cells.column.format, out)?;
        }
        let length = (out.len() - 1) as u32;
        out[1..5].copy_from_slice(&length.to_be_bytes());
        self.next += 1;
        Ok(true)
    }
}

/// Appends a value after its length, which is -1 for NULL.
fn put_sized(
    values: &dyn Array,
    row: usize,
    of: TypeOfColumn,
    format: Format,
    out: &mut BytesMut,
) -> Result<(), ArrowError> {
    if values.is_null(row) {
        out.put_i32(-1);
        return Ok(());
    }
    let at = out.len();
    out.put_i32(0);
    match (of.is_array, format) {
        (true, Format::Text) => put_array_text(values, row, of, out)?,
        (true, Format::Binary) => put_array_binary(values, row, of, out)?,
        (false, Format::Text) => out.put_slice(text(values, row, of.element)?.as_bytes()),
        (false, Format::Binary) => put_binary(values, row, of.element, out)?,
    }
    let length = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Returns a column with the one Arrow type in which values of its type are written.
fn plain(column: &ArrayRef, described: &Column) -> Result<ArrayRef, ArrowError> {
    if described.of.is_array {
        let DataType::List(field) = column.data_type() else { return Ok(Arc::clone(column)) };
        let element = arrow_type(described.of.element, field.data_type());
        let list = DataType::List(Arc::new(Field::new_list_field(element, true)));
        return cast(column, &list);
    }
    if described.of.element == PgType::JSON {
        return json(column);
    }
    cast(column, &arrow_type(described.of.element, column.data_type()))
}

fn arrow_type(of: PgType, given: &DataType) -> DataType {
    match of {
        PgType::INT2 => DataType::Int16,
        PgType::INT4 => DataType::Int32,
        PgType::INT8 => DataType::Int64,
        PgType::FLOAT4 => DataType::Float32,
        PgType::DATE => DataType::Date32,
        PgType::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PgType::NUMERIC if given == &DataType::UInt64 => DataType::Decimal128(20, 0),
        PgType::BYTEA => DataType::Binary,
        PgType::TEXT => DataType::Utf8,
        _ => given.clone(),
    }
}

/// Returns the values of a column as texts of JSON.
fn json(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    const NAME: &str = "v";
    let field = Field::new(NAME, column.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::clone(column)])?;
    let mut written = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut written);
    writer.write(&batch)?;
    writer.finish()?;
    drop(writer);
    let text = String::from_utf8_lossy(&written);
    let mut lines = text.lines();
    let values: arrow::array::StringArray = (0..column.len())
        .map(|row| {
            let line = lines.next().filter(|_| column.is_valid(row))?;
            line.strip_prefix("{\"v\":")?.strip_suffix('}').map(str::to_owned)
        })
        .collect();
    Ok(Arc::new(values))
}

fn put_binary(
    values: &dyn Array,
    row: usize,
    of: PgType,
    out: &mut BytesMut,
) -> Result<(), ArrowError> {
    match of {
        PgType::BOOL => out.put_u8(values.as_boolean().value(row).into()),
        PgType::INT2 => out.put_i16(values.as_primitive::<Int16Type>().value(row)),
        PgType::INT4 => out.put_i32(values.as_primitive::<Int32Type>().value(row)),
        PgType::INT8 => out.put_i64(values.as_primitive::<Int64Type>().value(row)),
        PgType::FLOAT4 => out.put_f32(values.as_primitive::<Float32Type>().value(row)),
        PgType::FLOAT8 => out.put_f64(values.as_primitive::<Float64Type>().value(row)),
        PgType::DATE => out.put_i32(values.as_primitive::<Date32Type>().value(row) - DAYS_TO_2000),
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
            out.put_i64(micros - MICROS_TO_2000);
        }
        PgType::BYTEA => out.put_slice(values.as_binary::<i32>().value(row)),
        PgType::NUMERIC => numeric::put(&text(values, row, of)?, out),
        PgType::INTERVAL | PgType::TIME => {
            let why = format!("{} has no binary form here: ask for text", of.sql_name);
            return Err(ArrowError::NotYetImplemented(why));
        }
        _ => out.put_slice(text(values, row, of)?.as_bytes()),
    }
    Ok(())
}

fn put_array_binary(
    values: &dyn Array,
    row: usize,
    of: TypeOfColumn,
    out: &mut BytesMut,
) -> Result<(), ArrowError> {
    let items = values.as_list::<i32>().value(row);
    out.put_i32(i32::from(!items.is_empty()));
    out.put_i32(i32::from(items.null_count() > 0));
    out.put_u32(of.element.oid);
    if !items.is_empty() {
        out.put_i32(items.len() as i32);
        // Arrays begin with element 1.
        out.put_i32(1);
    }
    let element = TypeOfColumn { is_array: false, ..of };
    for at in 0..items.len() {
        put_sized(items.as_ref(), at, element, Format::Binary, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
        StringArray, TimestampMicrosecondArray, UInt64Array,
    };
    use arrow::datatypes::Int64Type;

    use super::*;

    /// Returns the only value of a column, without its length.
    fn value(column: ArrayRef, format: i16) -> Vec<u8> {
        let field = Field::new("v", column.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let columns = columns_of(&schema, &[format]);
        let batch = RecordBatch::try_new(schema, vec![column]).expect("a batch");
        let mut rows = rows(&batch, &columns).expect("rows");
        let mut out = BytesMut::new();
        assert!(rows.next_into(&mut out).expect("a row"));
        assert_eq!(out[0], b'D');
        assert_eq!(
            u32::from_be_bytes(out[1..5].try_into().expect("a length")) as usize,
            out.len() - 1
        );
        out[11..].to_vec()
    }

    #[test]
    fn values_are_written_as_postgresql_writes_them() {
        let check = |column: ArrayRef, text: &str, binary: &[u8]| {
            assert_eq!(String::from_utf8_lossy(&value(Arc::clone(&column), 0)), text);
            assert_eq!(value(column, 1), binary, "{text}");
        };
        check(Arc::new(BooleanArray::from(vec![true])), "t", &[1]);
        check(Arc::new(Int64Array::from(vec![-2])), "-2", &(-2_i64).to_be_bytes());
        check(Arc::new(UInt64Array::from(vec![7])), "7", &[0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        check(Arc::new(Float64Array::from(vec![0.1])), "0.1", &0.1_f64.to_be_bytes());
        check(Arc::new(Float64Array::from(vec![1e20])), "1e20", &1e20_f64.to_be_bytes());
        check(Arc::new(StringArray::from(vec!["ü"])), "ü", "ü".as_bytes());
        check(Arc::new(Date32Array::from(vec![10_958])), "2000-01-02", &1_i32.to_be_bytes());
        let instant = TimestampMicrosecondArray::from(vec![MICROS_TO_2000 + 1_500_000]);
        check(
            Arc::new(instant.with_timezone("UTC")),
            "2000-01-01 00:00:01.500+00",
            &1_500_000_i64.to_be_bytes(),
        );
        let money = Decimal128Array::from(vec![-1_250]).with_precision_and_scale(38, 2);
        check(
            Arc::new(money.expect("a decimal")),
            "-12.50",
            &[0, 2, 0, 0, 0x40, 0, 0, 2, 0, 12, 0x13, 0x88],
        );
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None])]);
        check(
            Arc::new(list),
            "{1,NULL}",
            &[
                0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0,
                0, 0, 0, 0, 1, 255, 255, 255, 255,
            ],
        );
    }

    #[test]
    fn the_format_of_a_column_is_stated_for_all_or_each() {
        let check = |codes: &[i16], column, expected| {
            assert_eq!(Format::of_column(codes, column), expected, "{codes:?}");
        };
        check(&[], 1, Format::Text);
        check(&[1], 1, Format::Binary);
        check(&[1, 0], 1, Format::Text);
    }
}
