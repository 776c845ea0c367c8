//! Results to stdout or files, as tables, CSV, JSON or Parquet; notes to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lake_types::{cut, format_instant, printable, printable_lines};

pub(crate) use crate::args::Format;
use crate::encoder::Encoder;
use crate::setting::hidden;
pub(crate) use crate::table::Table;

/// Rows with their columns, also when there are none.
pub(crate) struct Rows<'a> {
    pub(crate) schema: &'a SchemaRef,
    pub(crate) batches: &'a [RecordBatch],
}

/// A line for the person at the terminal.
pub(crate) fn note(text: &str) {
    eprintln!("{}", printable_lines(&hidden(text)));
}

/// What went wrong, or may be wrong. It may quote data: a line break in that is written out, and
/// lines of the message are set in, so that none of them looks like a message of its own.
pub(crate) fn message(text: &str) {
    note(&set_in(text));
}

/// A line of output for people; what programs read goes through [`exact`].
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    exact(&printable_lines(&hidden(text)))
}

/// A line of output as it is.
pub(crate) fn exact(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("standard output")
}

fn set_in(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for (n, line) in text.split('\n').enumerate() {
        let set_in = line.starts_with(char::is_whitespace) || line.is_empty();
        match n {
            0 => {}
            _ if in_quotes(&all) => all.push_str("\\n"),
            _ => all.push_str(if set_in { "\n" } else { "\n    " }),
        }
        all.push_str(line);
    }
    all
}

/// Whether quotes are open at the end of a text. An apostrophe opens some after a space only.
fn in_quotes(text: &str) -> bool {
    let single = text.rsplit_once(" '").is_some_and(|(_, rest)| !rest.contains('\''));
    single || text.matches('"').count() % 2 == 1
}

/// Whether somebody looks on while it is written.
pub(crate) fn on_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes a table to stdout.
pub(crate) fn show(table: &Table) -> anyhow::Result<()> {
    io::stdout().write_all(table.text().as_bytes()).context("standard output")
}

/// Writes rows to stdout.
pub(crate) fn print(rows: &Rows<'_>, format: Format) -> anyhow::Result<()> {
    let bytes = encode(rows, format)?;
    io::stdout().write_all(&bytes).context("standard output")
}

/// Writes rows to `NAME.<format>` in a folder, whole or not at all.
pub(crate) fn write(rows: &Rows<'_>, format: Format, dir: &Path, name: &str) -> anyhow::Result<()> {
    write_file(&file_of(format, dir, name), &encode(rows, format)?)
}

/// The file that [`write`] writes.
pub(crate) fn file_of(format: Format, dir: &Path, name: &str) -> PathBuf {
    let ending = match format {
        Format::Table => "txt",
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Parquet => "parquet",
    };
    dir.join(format!("{name}.{ending}"))
}

/// Replaces a file by way of a temporary one beside it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The path of the temporary file, which the error would name too, tells nobody anything.
    let failed = |e: &io::Error| {
        let why = e
            .raw_os_error()
            .map_or_else(|| e.to_string(), |c| io::Error::from_raw_os_error(c).to_string());
        let advice = match e.kind() {
            kind @ (ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => lake::io_advice(kind),
            _ => "choose a folder that can be",
        };
        anyhow::anyhow!("{} can't be written: {why}; {advice}", path.display())
    };
    std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| failed(&e))?;
    file.write_all(bytes).map_err(|e| failed(&e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(|e| failed(&e))?;
    }
    file.persist(path).map_err(|e| failed(&e.error))?;
    Ok(())
}

fn encode(rows: &Rows<'_>, format: Format) -> anyhow::Result<Vec<u8>> {
    if format == Format::Table {
        return Ok(table(rows, None)?.into_bytes());
    }
    let mut encoder = Encoder::new(rows.schema, format, None)?;
    let mut bytes = Vec::new();
    for batch in rows.batches {
        bytes.extend(encoder.push(batch)?);
    }
    bytes.extend(encoder.finish()?);
    Ok(bytes)
}

/// Header and rows as CSV.
pub(crate) fn csv_text(rows: &Rows<'_>) -> anyhow::Result<Vec<u8>> {
    encode(rows, Format::Csv)
}

/// An array of objects.
pub(crate) fn json(rows: &Rows<'_>) -> anyhow::Result<Vec<u8>> {
    encode(rows, Format::Json)
}

/// Every cell as text, by column; `None` for NULL.
pub(crate) fn texts(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<Option<String>>>> {
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

/// A table for people: numbers to the right, as many digits as their column needs, four at most;
/// longer texts cut to `widest` columns.
pub(crate) fn table(rows: &Rows<'_>, widest: Option<usize>) -> anyhow::Result<String> {
    let fields = rows.schema.fields();
    let numbers: Vec<usize> =
        (0..fields.len()).filter(|c| fields[*c].data_type().is_numeric()).collect();
    let mut table = Table::new(fields.iter().map(|f| f.name()), &numbers);
    for row in cells(rows, widest)? {
        table.row(row);
    }
    Ok(table.text())
}

/// The cells of such a table, row by row.
pub(crate) fn cells(rows: &Rows<'_>, widest: Option<usize>) -> anyhow::Result<Vec<Vec<String>>> {
    let fields = rows.schema.fields();
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); fields.len()];
    for batch in rows.batches {
        for (column, texts) in columns.iter_mut().zip(texts(batch)?) {
            column.extend(texts.into_iter().map(Option::unwrap_or_default));
        }
    }
    for (column, field) in columns.iter_mut().zip(fields) {
        match field.data_type() {
            DataType::Float64 => even(column, 1, 4),
            // Money has cents; what is finer stands in the CSV.
            DataType::Decimal128(_, 1..) => even(column, 2, 2),
            _ => {}
        }
        if let Some(widest) = widest {
            column.iter_mut().for_each(|text| *text = cut(&printable(text), widest).into_owned());
        }
    }
    let count = rows.batches.iter().map(RecordBatch::num_rows).sum();
    let row = |row: usize| -> Vec<String> {
        columns.iter_mut().map(|column| std::mem::take(&mut column[row])).collect()
    };
    Ok((0..count).map(row).collect())
}

/// Gives the numbers of a column the same number of digits after the point.
fn even(column: &mut [String], least: usize, most: usize) {
    let fraction = |text: &String| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = column.iter().map(fraction).max().unwrap_or(0).clamp(least, most);
    for text in column {
        if let Some(rounded) = rounded(text, digits) {
            *text = rounded;
        }
    }
}

/// A plain decimal number with so many digits after the point, half away from zero; exact, also
/// where a float is not.
fn rounded(text: &str, digits: usize) -> Option<String> {
    let (sign, number) = text.strip_prefix('-').map_or(("", text), |number| ("-", number));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() {
        return None;
    }
    let kept = &fraction[..digits.min(fraction.len())];
    let mut value: u128 = format!("{whole}{kept:0<digits$}").parse().ok()?;
    if fraction.as_bytes().get(digits).is_some_and(|digit| *digit >= b'5') {
        value += 1;
    }
    let sign = if value == 0 { "" } else { sign };
    let text = format!("{value:0>width$}", width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    Some(if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
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
        assert_eq!(encode(&none, Format::Json).expect("JSON"), b"[]\n");
    }

    #[test]
    fn no_line_of_a_message_looks_like_another_message() {
        let check = |text: &str, expected: &str| assert_eq!(set_in(text), expected);
        check("rapport: \"a\nrapport: done\"\n  b\n", "rapport: \"a\\nrapport: done\"\n  b\n");
        check("can't cast 'a\nb' to c\nd", "can't cast 'a\\nb' to c\n    d");
        check("no 'x'.\nDid you mean 'y'?", "no 'x'.\n    Did you mean 'y'?");
    }

    #[test]
    fn tables_are_for_people_and_data_is_exact() {
        let fields = vec![Field::new("x\u{1b}[2J", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let ids = ["a\u{1b}[2Jb", "c\r\nforged  9", "株式会社"];
        let column: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
        let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("rows");
        let rows = Rows { schema: &schema, batches: &[batch] };
        let text = table(&rows, None).expect("a table");
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("a\\u{1b}[2Jb") && text.contains("c\\r\\nforged  9"), "{text}");
        assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        let cut = table(&rows, Some(6)).expect("a table");
        assert!(cut.contains("a\\u{1…") && cut.contains("株式…"), "{cut}");
        let csv = String::from_utf8(csv_text(&rows).expect("CSV")).expect("text");
        assert!(csv.contains(ids[0]) && csv.contains(ids[1]), "{csv:?}");
        let json: Vec<std::collections::BTreeMap<String, String>> =
            serde_json::from_slice(&json(&rows).expect("JSON")).expect("an array");
        assert!(json.iter().zip(ids).all(|(row, id)| row.values().next().is_some_and(|v| v == id)));
    }

    #[test]
    fn numbers_of_a_table_are_rounded_half_away_from_zero() {
        let check = |text: &str, digits: usize, to: Option<&str>| {
            assert_eq!(rounded(text, digits).as_deref(), to, "{text}");
        };
        check("0.66666", 4, Some("0.6667"));
        check("1", 2, Some("1.00"));
        check("99.995", 2, Some("100.00"));
        check("-0.125", 2, Some("-0.13"));
        check("-0.001", 2, Some("0.00"));
        check("12345678901234567890123456.785000000000", 2, Some("12345678901234567890123456.79"));
        check("7.5", 0, Some("8"));
        check("1e-7", 4, None);
        check("NaN", 4, None);
        check("", 4, None);
    }
}
