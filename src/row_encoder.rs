//! Encodes rows batch by batch, so that the first bytes go out before the last rows are computed.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::JsonFormat;
use lake::ParquetEncoder;

use crate::args::Format;
use crate::rows::{self, Rows};

/// The rows of one printed table. Further rows come as a table with a header of its own.
const TABLE_ROWS: usize = 10_000;

/// Takes batches and returns the bytes that are ready.
pub(crate) struct Encoder {
    schema: SchemaRef,
    state: EncoderState,
}

enum EncoderState {
    Table {
        buffered: Vec<RecordBatch>,
        has_output: bool,
        /// Cells are cut to this many terminal columns.
        max_width: Option<usize>,
    },
    Csv {
        has_header: bool,
    },
    Json(Box<arrow::json::Writer<Vec<u8>, JsonRowPerLine>>),
    Parquet(Box<ParquetEncoder>),
}

/// A JSON array with one object a line, for `grep` and `diff`.
#[derive(Debug, Default)]
struct JsonRowPerLine;

impl JsonFormat for JsonRowPerLine {
    fn start_stream<W: Write>(&self, writer: &mut W) -> Result<(), ArrowError> {
        Ok(writer.write_all(b"[")?)
    }

    fn start_row<W: Write>(&self, writer: &mut W, is_first: bool) -> Result<(), ArrowError> {
        Ok(writer.write_all(if is_first { b"" } else { b",\n" })?)
    }

    fn end_stream<W: Write>(&self, writer: &mut W) -> Result<(), ArrowError> {
        Ok(writer.write_all(b"]")?)
    }
}

impl Encoder {
    /// Creates an encoder. `max_width` cuts the cells of a table; data formats are never cut.
    pub(crate) fn new(
        schema: &SchemaRef,
        format: Format,
        max_width: Option<usize>,
    ) -> anyhow::Result<Self> {
        let state = match format {
            Format::Table => {
                EncoderState::Table { buffered: Vec::new(), has_output: false, max_width }
            }
            Format::Csv => EncoderState::Csv { has_header: false },
            // Every object has every column, NULL as null.
            Format::Json => EncoderState::Json(Box::new(
                arrow::json::WriterBuilder::new().with_explicit_nulls(true).build(Vec::new()),
            )),
            Format::Parquet => EncoderState::Parquet(Box::new(ParquetEncoder::new(schema)?)),
        };
        Ok(Self { schema: schema.clone(), state })
    }

    /// Takes a batch and returns the bytes that are ready.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
        match &mut self.state {
            EncoderState::Table { buffered, has_output, max_width } => {
                buffered.push(batch.clone());
                if buffered.iter().map(RecordBatch::num_rows).sum::<usize>() < TABLE_ROWS {
                    return Ok(Vec::new());
                }
                table_bytes(&self.schema, &std::mem::take(buffered), has_output, *max_width)
            }
            EncoderState::Csv { has_header } => csv_rows(&self.schema, Some(batch), has_header),
            EncoderState::Json(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            EncoderState::Parquet(encoder) => Ok(encoder.push(batch)?),
        }
    }

    /// Returns the rest of the bytes.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<u8>> {
        match self.state {
            EncoderState::Table { buffered, has_output: true, .. } if buffered.is_empty() => {
                Ok(Vec::new())
            }
            EncoderState::Table { buffered, mut has_output, max_width } => {
                table_bytes(&self.schema, &buffered, &mut has_output, max_width)
            }
            EncoderState::Csv { mut has_header } => csv_rows(&self.schema, None, &mut has_header),
            EncoderState::Json(mut writer) => {
                writer.finish()?;
                let mut bytes = writer.into_inner();
                bytes.push(b'\n');
                Ok(bytes)
            }
            EncoderState::Parquet(encoder) => Ok(encoder.finish()?),
        }
    }
}

/// Encodes all rows at once.
pub(crate) fn encode(rows: &Rows<'_>, format: Format) -> anyhow::Result<Vec<u8>> {
    if format == Format::Table {
        return Ok(rows::format_table(rows, None)?.into_bytes());
    }
    let mut encoder = Encoder::new(rows.schema, format, None)?;
    let mut bytes = Vec::new();
    for batch in rows.batches {
        bytes.extend(encoder.push(batch)?);
    }
    bytes.extend(encoder.finish()?);
    Ok(bytes)
}

/// Encodes rows as CSV with a header.
pub(crate) fn csv_bytes(rows: &Rows<'_>) -> anyhow::Result<Vec<u8>> {
    encode(rows, Format::Csv)
}

/// Encodes rows as a JSON array of objects.
pub(crate) fn json_bytes(rows: &Rows<'_>) -> anyhow::Result<Vec<u8>> {
    encode(rows, Format::Json)
}

fn table_bytes(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    has_output: &mut bool,
    max_width: Option<usize>,
) -> anyhow::Result<Vec<u8>> {
    let text = rows::format_table(&Rows { schema, batches }, max_width)?;
    let gap = if std::mem::replace(has_output, true) { "\n" } else { "" };
    Ok(format!("{gap}{text}").into_bytes())
}

/// Encodes the rows of a batch as CSV, with the header where it has not been written. NULL is an
/// empty field; instants have as many decimals as they need.
fn csv_rows(
    schema: &SchemaRef,
    batch: Option<&RecordBatch>,
    has_header: &mut bool,
) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !std::mem::replace(has_header, true) {
        writer.write_record(schema.fields().iter().map(|f| f.name()))?;
    }
    if let Some(batch) = batch {
        let columns = rows::cell_texts(batch)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|c| c[row].as_deref().unwrap_or(""));
            // The writer quotes a row of one empty field, which would be an empty line.
            writer.write_record(cells)?;
        }
    }
    writer.into_inner().map_err(|e| anyhow::anyhow!("CSV: {}", e.error()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn rows(from: i64, count: i64) -> RecordBatch {
        let fields =
            vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)];
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + count));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
            (from..from + count).map(|n| "x".repeat(usize::try_from(n).expect("small") % 30)),
        ));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![numbers, texts]).expect("rows")
    }

    /// Returns the bytes that each batch made ready, those of the end last.
    fn encode_batches(
        format: Format,
        max_width: Option<usize>,
        batches: &[RecordBatch],
    ) -> Vec<Vec<u8>> {
        let mut encoder =
            Encoder::new(&rows(0, 0).schema(), format, max_width).expect("an encoder");
        let mut parts: Vec<_> =
            batches.iter().map(|batch| encoder.push(batch).expect("bytes")).collect();
        parts.push(encoder.finish().expect("bytes"));
        parts
    }

    #[test]
    fn batches_become_one_text() {
        let check = |format, expected: [&str; 3]| {
            let parts = encode_batches(format, None, &[rows(1, 1), rows(2, 1)]);
            assert_eq!(parts, expected.map(|part| part.as_bytes().to_vec()), "{format:?}");
        };
        check(Format::Csv, ["n,t\n1,x\n", "2,xx\n", ""]);
        check(Format::Json, ["[{\"n\":1,\"t\":\"x\"}", ",\n{\"n\":2,\"t\":\"xx\"}", "]\n"]);
        let none =
            |format| String::from_utf8(encode_batches(format, None, &[]).concat()).expect("text");
        assert_eq!(none(Format::Csv), "n,t\n");
        assert_eq!(none(Format::Json), "[]\n");
    }

    #[test]
    fn a_long_table_is_split() {
        let count = TABLE_ROWS as i64;
        let parts =
            encode_batches(Format::Table, Some(5), &[rows(0, count - 1), rows(0, 1), rows(29, 1)]);
        let lines = |part: &[u8]| String::from_utf8_lossy(part).lines().count();
        assert_eq!((lines(&parts[0]), lines(&parts[1])), (0, TABLE_ROWS + 2));
        let last = String::from_utf8(parts[3].clone()).expect("text");
        assert!(last.starts_with("\n") && last.contains("xxxx…\n"), "{last}");
    }

    #[test]
    fn parquet_is_written_by_row_groups() {
        let parts = encode_batches(Format::Parquet, None, &[rows(0, 300_000), rows(0, 1)]);
        assert!(parts[0].starts_with(b"PAR1") && parts[0].len() > 100_000, "{}", parts[0].len());
        let whole = parts.concat();
        assert_eq!(
            whole,
            lake::parquet_bytes(&rows(0, 0).schema(), &[rows(0, 300_000), rows(0, 1)])
                .expect("bytes")
        );
    }

    #[test]
    fn csv_cells_follow_the_contract() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(StringArray::from(vec![Some("a,\"b"), None]))),
            ("day", Arc::new(Date32Array::from(vec![Some(0), None]))),
            (
                "at",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![Some(1_500_000), None])
                        .with_timezone("UTC"),
                ),
            ),
            ("rate", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
            (
                "gross",
                Arc::new(
                    Decimal128Array::from(vec![Some(12_345), None])
                        .with_precision_and_scale(38, 3)
                        .expect("fits"),
                ),
            ),
        ];
        let fields: Vec<Field> =
            columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch =
            RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, c)| c).collect())
                .expect("rows");
        let rows = Rows { schema: &schema, batches: &[batch] };
        let text = String::from_utf8(csv_bytes(&rows).expect("CSV")).expect("text");
        assert_eq!(
            text,
            "id,day,at,rate,gross\n\"a,\"\"b\",1970-01-01,1970-01-01T00:00:01.5Z,0.1,12.345\n,,,,\n"
        );
        let none = Rows { schema: &schema, batches: &[] };
        assert_eq!(encode(&none, Format::Json).expect("JSON"), b"[]\n");
    }

    #[test]
    fn data_formats_are_exact() {
        let schema = Arc::new(Schema::new(vec![Field::new("x\u{1b}[2J", DataType::Utf8, true)]));
        let ids = ["a\u{1b}[2Jb", "c\r\nforged  9", "株式会社"];
        let column: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
        let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("rows");
        let rows = Rows { schema: &schema, batches: &[batch] };
        let csv = String::from_utf8(csv_bytes(&rows).expect("CSV")).expect("text");
        assert!(csv.contains(ids[0]) && csv.contains(ids[1]), "{csv:?}");
        let json: Vec<std::collections::BTreeMap<String, String>> =
            serde_json::from_slice(&json_bytes(&rows).expect("JSON")).expect("an array");
        assert!(json.iter().zip(ids).all(|(row, id)| row.values().next().is_some_and(|v| v == id)));
    }
}
