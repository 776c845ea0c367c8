//! Results to stdout or files, as tables, CSV, JSON or Parquet; notes to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use lake_types::format_instant;

pub(crate) use crate::args::Format;

/// Rows with their columns, also when there are none.
pub(crate) struct Rows<'a> {
    pub(crate) schema: &'a SchemaRef,
    pub(crate) batches: &'a [RecordBatch],
}

/// A line for the person at the terminal.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// A line of output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("standard output")
}

/// Writes rows to stdout.
pub(crate) fn print(rows: &Rows<'_>, format: Format) -> anyhow::Result<()> {
    let bytes = encode(rows, format)?;
    io::stdout().write_all(&bytes).context("standard output")
}

/// Writes rows to `NAME.<format>` in a folder, whole or not at all.
pub(crate) fn write(rows: &Rows<'_>, format: Format, dir: &Path, name: &str) -> anyhow::Result<()> {
    let ending = match format {
        Format::Table => "txt",
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Parquet => "parquet",
    };
    write_file(&dir.join(format!("{name}.{ending}")), &encode(rows, format)?)
}

/// Replaces a file by way of a temporary one beside it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("{} can't be written", path.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).with_context(failed)?;
    }
    file.persist(path).map_err(|e| e.error).with_context(failed)?;
    Ok(())
}

fn encode(rows: &Rows<'_>, format: Format) -> anyhow::Result<Vec<u8>> {
    match format {
        Format::Table => Ok(table(rows)?.into_bytes()),
        Format::Csv => csv_text(rows),
        Format::Json => json(rows),
        Format::Parquet => Ok(lake::parquet_bytes(rows.schema, rows.batches)?),
    }
}

/// Header and rows; NULL is an empty field, instants have as many digits as they need.
pub(crate) fn csv_text(rows: &Rows<'_>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(rows.schema.fields().iter().map(|f| f.name()))?;
    for batch in rows.batches {
        let columns = texts(batch)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|c| c[row].as_deref().unwrap_or(""));
            // A row of one empty field would be an empty line: it is quoted by the writer.
            writer.write_record(cells)?;
        }
    }
    writer.into_inner().map_err(|e| anyhow::anyhow!("CSV: {}", e.error()))
}

/// Every cell as text, by column; `None` for NULL.
fn texts(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<Option<String>>>> {
    batch.columns().iter().map(|column| column_texts(column.as_ref())).collect()
}

fn column_texts(column: &dyn Array) -> anyhow::Result<Vec<Option<String>>> {
    if let Some(instants) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return Ok(instants.iter().map(|v| v.map(format_instant)).collect());
    }
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    (0..column.len())
        .map(|row| {
            if column.is_null(row) {
                return Ok(None);
            }
            Ok(Some(formatter.value(row).try_to_string()?))
        })
        .collect()
}

/// An array of objects; every column stands in each, NULL as null.
pub(crate) fn json(rows: &Rows<'_>) -> anyhow::Result<Vec<u8>> {
    let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, arrow::json::writer::JsonArray>(Vec::new());
    for batch in rows.batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    let mut bytes = writer.into_inner();
    if bytes.is_empty() {
        bytes.extend_from_slice(b"[]");
    }
    bytes.push(b'\n');
    Ok(bytes)
}

/// A table for people: numbers to the right, long fractions cut.
fn table(rows: &Rows<'_>) -> anyhow::Result<String> {
    let mut table = plain_table();
    let right = |of: &DataType| of.is_numeric();
    let kinds: Vec<bool> = rows.schema.fields().iter().map(|f| right(f.data_type())).collect();
    table.set_header(
        rows.schema.fields().iter().zip(&kinds).map(|(f, right)| aligned(f.name(), *right)),
    );
    for batch in rows.batches {
        let columns = texts(batch)?;
        for row in 0..batch.num_rows() {
            let cells =
                columns.iter().zip(batch.columns()).zip(&kinds).map(|((texts, column), right)| {
                    let text = texts[row].as_deref().unwrap_or("");
                    aligned(&shortened(text, column.data_type()), *right)
                });
            table.add_row(cells.collect::<Vec<_>>());
        }
    }
    Ok(format!("{table}\n"))
}

fn aligned(text: &str, right: bool) -> Cell {
    let side = if right { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(text).set_alignment(side)
}

/// The house's terminal table: rules under the head only.
pub(crate) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_style(comfy_table::TableComponent::HeaderLines, '─');
    table.set_style(comfy_table::TableComponent::MiddleHeaderIntersections, ' ');
    table
}

/// Decimals and floats with at most four digits after the point, at least two for money.
fn shortened(text: &str, of: &DataType) -> String {
    if !matches!(of, DataType::Float64 | DataType::Decimal128(..)) || text.is_empty() {
        return text.to_owned();
    }
    match text.split_once('.') {
        Some((whole, fraction)) if fraction.len() > 4 && !fraction.contains('e') => {
            if matches!(of, DataType::Decimal128(..)) {
                return format!("{whole}.{}", &fraction[..2]);
            }
            text.parse::<f64>().map_or_else(|_| text.to_owned(), |v| format!("{v:.4}"))
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, StringArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn cells_as_the_contract_says() {
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
        let text = String::from_utf8(csv_text(&rows).expect("CSV")).expect("text");
        assert_eq!(
            text,
            "id,day,at,rate,gross\n\"a,\"\"b\",1970-01-01,1970-01-01T00:00:01.5Z,0.1,12.345\n,,,,\n"
        );
        let none = Rows { schema: &schema, batches: &[] };
        assert_eq!(json(&none).expect("JSON"), b"[]\n");
    }
}
