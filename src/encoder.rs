//! Rows as bytes, batch by batch: what has been encoded can go out before the rest is computed.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::JsonFormat;
use lake::ParquetEncoder;

use crate::args::Format;
use crate::output::{self, Rows};

/// Rows that are laid out together as one table; the next ones have heads of their own.
const TABLE_ROWS: usize = 10_000;

/// Takes batches and gives the bytes that are ready.
pub(crate) struct Encoder {
    schema: SchemaRef,
    form: Form,
}

enum Form {
    Table {
        held: Vec<RecordBatch>,
        begun: bool,
        /// Cells are cut to this many characters.
        widest: Option<usize>,
    },
    Csv {
        begun: bool,
    },
    Json(Box<arrow::json::Writer<Vec<u8>, RowALine>>),
    Parquet(Box<ParquetEncoder>),
}

/// An array of objects, each on a line of its own: `grep` and `diff` can read it too.
#[derive(Debug, Default)]
struct RowALine;

impl JsonFormat for RowALine {
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
    /// `widest` cuts the cells of a table for people; data is never cut.
    pub(crate) fn new(
        schema: &SchemaRef,
        format: Format,
        widest: Option<usize>,
    ) -> anyhow::Result<Self> {
        let form = match format {
            Format::Table => Form::Table { held: Vec::new(), begun: false, widest },
            Format::Csv => Form::Csv { begun: false },
            // Every column stands in each object, NULL as null.
            Format::Json => Form::Json(Box::new(
                arrow::json::WriterBuilder::new().with_explicit_nulls(true).build(Vec::new()),
            )),
            Format::Parquet => Form::Parquet(Box::new(ParquetEncoder::new(schema)?)),
        };
        Ok(Self { schema: schema.clone(), form })
    }

    pub(crate) fn push(&mut self, batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
        match &mut self.form {
            Form::Table { held, begun, widest } => {
                held.push(batch.clone());
                if held.iter().map(RecordBatch::num_rows).sum::<usize>() < TABLE_ROWS {
                    return Ok(Vec::new());
                }
                table(&self.schema, &std::mem::take(held), begun, *widest)
            }
            Form::Csv { begun } => csv_rows(&self.schema, Some(batch), begun),
            Form::Json(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Form::Parquet(encoder) => Ok(encoder.push(batch)?),
        }
    }

    /// The rest of the bytes.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<u8>> {
        match self.form {
            Form::Table { held, begun: true, .. } if held.is_empty() => Ok(Vec::new()),
            Form::Table { held, mut begun, widest } => {
                table(&self.schema, &held, &mut begun, widest)
            }
            Form::Csv { mut begun } => csv_rows(&self.schema, None, &mut begun),
            Form::Json(mut writer) => {
                writer.finish()?;
                let mut bytes = writer.into_inner();
                bytes.push(b'\n');
                Ok(bytes)
            }
            Form::Parquet(encoder) => Ok(encoder.finish()?),
        }
    }
}

fn table(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    begun: &mut bool,
    widest: Option<usize>,
) -> anyhow::Result<Vec<u8>> {
    let text = output::table(&Rows { schema, batches }, widest)?;
    let gap = if std::mem::replace(begun, true) { "\n" } else { "" };
    Ok(format!("{gap}{text}").into_bytes())
}

/// Rows, the header before the first of them; NULL is an empty field, instants have as many digits
/// as they need.
fn csv_rows(
    schema: &SchemaRef,
    batch: Option<&RecordBatch>,
    begun: &mut bool,
) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !std::mem::replace(begun, true) {
        writer.write_record(schema.fields().iter().map(|f| f.name()))?;
    }
    if let Some(batch) = batch {
        let columns = output::texts(batch)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|c| c[row].as_deref().unwrap_or(""));
            // A row of one empty field would be an empty line: it is quoted by the writer.
            writer.write_record(cells)?;
        }
    }
    writer.into_inner().map_err(|e| anyhow::anyhow!("CSV: {}", e.error()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
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

    /// The bytes by the batch they became ready with, those of the end last.
    fn encode(format: Format, widest: Option<usize>, batches: &[RecordBatch]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(&rows(0, 0).schema(), format, widest).expect("an encoder");
        let mut parts: Vec<_> =
            batches.iter().map(|batch| encoder.push(batch).expect("bytes")).collect();
        parts.push(encoder.finish().expect("bytes"));
        parts
    }

    #[test]
    fn batches_become_one_text() {
        let check = |format, expected: [&str; 3]| {
            let parts = encode(format, None, &[rows(1, 1), rows(2, 1)]);
            assert_eq!(parts, expected.map(|part| part.as_bytes().to_vec()), "{format:?}");
        };
        check(Format::Csv, ["n,t\n1,x\n", "2,xx\n", ""]);
        check(Format::Json, ["[{\"n\":1,\"t\":\"x\"}", ",\n{\"n\":2,\"t\":\"xx\"}", "]\n"]);
        let none = |format| String::from_utf8(encode(format, None, &[]).concat()).expect("text");
        assert_eq!(none(Format::Csv), "n,t\n");
        assert_eq!(none(Format::Json), "[]\n");
    }

    #[test]
    fn a_long_table_comes_in_pieces() {
        let count = TABLE_ROWS as i64;
        let parts = encode(Format::Table, Some(5), &[rows(0, count - 1), rows(0, 1), rows(29, 1)]);
        let lines = |part: &[u8]| String::from_utf8_lossy(part).lines().count();
        assert_eq!((lines(&parts[0]), lines(&parts[1])), (0, TABLE_ROWS + 2));
        let last = String::from_utf8(parts[3].clone()).expect("text");
        assert!(last.starts_with("\n") && last.contains("xxxx…\n"), "{last}");
    }

    #[test]
    fn parquet_goes_out_by_row_groups() {
        let parts = encode(Format::Parquet, None, &[rows(0, 300_000), rows(0, 1)]);
        assert!(parts[0].starts_with(b"PAR1") && parts[0].len() > 100_000, "{}", parts[0].len());
        let whole = parts.concat();
        assert_eq!(
            whole,
            lake::parquet_bytes(&rows(0, 0).schema(), &[rows(0, 300_000), rows(0, 1)])
                .expect("bytes")
        );
    }
}
