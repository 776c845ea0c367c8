//! Results on stdout or in files; notes, warnings and errors on stderr.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use arrow::array::RecordBatch;
use domain::printable_lines;

use crate::args::Format;
use crate::atomic_file::write_file;
use crate::row_encoder::encode;
use crate::rows::Rows;
use crate::secret_settings::redact_secrets;
use crate::table::Table;

/// Prints a line for people on stderr.
pub(crate) fn print_note(text: &str) {
    eprintln!("{}", printable_lines(&redact_secrets(text)));
}

/// Prints an error or a warning on stderr. A message may quote data, so its further lines are
/// indented and quoted line breaks are escaped: no line looks like a message of its own.
pub(crate) fn print_message(text: &str) {
    print_note(&indent_further_lines(text));
}

/// Prints a line for people on stdout. What programs read goes through [`print_verbatim`].
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    print_verbatim(&printable_lines(&redact_secrets(text)))
}

/// Prints a line on stdout, unchanged.
pub(crate) fn print_verbatim(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("standard output")
}

fn indent_further_lines(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for (n, line) in text.split('\n').enumerate() {
        let is_indented = line.starts_with(char::is_whitespace) || line.is_empty();
        match n {
            0 => {}
            _ if has_open_quote(&all) => all.push_str("\\n"),
            _ => all.push_str(if is_indented { "\n" } else { "\n    " }),
        }
        all.push_str(line);
    }
    all
}

/// Returns whether a quote is open at the end of a text. An apostrophe opens one only after a
/// space.
fn has_open_quote(text: &str) -> bool {
    let single = text.rsplit_once(" '").is_some_and(|(_, rest)| !rest.contains('\''));
    single || text.matches('"').count() % 2 == 1
}

/// Returns whether stdout is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints a table on stdout.
pub(crate) fn print_table(table: &Table) -> anyhow::Result<()> {
    io::stdout().write_all(table.text().as_bytes()).context("standard output")
}

/// Prints rows on stdout.
pub(crate) fn print_rows(rows: &Rows<'_>, format: Format) -> anyhow::Result<()> {
    let bytes = encode(rows, format)?;
    io::stdout().write_all(&bytes).context("standard output")
}

/// Prints the rows of one batch on stdout.
pub(crate) fn print_batch(batch: &RecordBatch, format: Format) -> anyhow::Result<()> {
    print_rows(&Rows { schema: &batch.schema(), batches: std::slice::from_ref(batch) }, format)
}

/// Writes rows to the file that [`rows_file`] names, atomically.
pub(crate) fn write_rows_file(
    rows: &Rows<'_>,
    format: Format,
    folder: &Path,
    name: &str,
) -> anyhow::Result<()> {
    write_file(&rows_file(format, folder, name), &encode(rows, format)?)
}

/// Returns the path `FOLDER/NAME.EXTENSION` for a format.
pub(crate) fn rows_file(format: Format, folder: &Path, name: &str) -> PathBuf {
    let extension = match format {
        Format::Table => "txt",
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Parquet => "parquet",
    };
    folder.join(format!("{name}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_message_looks_like_another_message() {
        let check = |text: &str, expected: &str| assert_eq!(indent_further_lines(text), expected);
        check("rapport: \"a\nrapport: done\"\n  b\n", "rapport: \"a\\nrapport: done\"\n  b\n");
        check("can't cast 'a\nb' to c\nd", "can't cast 'a\\nb' to c\n    d");
        check("no 'x'.\nDid you mean 'y'?", "no 'x'.\n    Did you mean 'y'?");
    }
}
