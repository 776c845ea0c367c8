//! Writes the results of statements batch by batch, to stdout or a file.

use std::fs::File;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use domain::printable_lines;
use transform::QueryStream;

use crate::args::Format;
use crate::errors::usage_error;
use crate::output::stdout_is_terminal;
use crate::row_encoder::Encoder;

/// The width of a cell on a terminal, in columns.
const MAX_CELL_WIDTH: usize = 64;

/// The rows of one result that a shell shows.
const MAX_SHOWN_ROWS: usize = 1_000;

/// The target and the format of results.
pub(super) struct ResultWriter {
    pub(super) format: Format,
    /// Whether a person reads the rows, who needs no more than fit on some screens.
    is_interactive: bool,
    file: Option<(PathBuf, File)>,
    /// The results written to the current target.
    results: usize,
}

/// How much of a result was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrittenRows {
    pub(super) rows: u64,
    /// Whether there are more rows, which were not computed.
    pub(super) is_truncated: bool,
}

impl ResultWriter {
    pub(super) fn new(format: Format, is_interactive: bool) -> Self {
        Self { format, is_interactive, file: None, results: 0 }
    }

    /// Sends the next results to a new file, or to stdout.
    pub(super) fn redirect(&mut self, path: Option<PathBuf>) -> anyhow::Result<()> {
        self.file = match path {
            None => None,
            Some(path) => {
                let file = File::create(&path).map_err(|e| {
                    usage_error(format!("{} can't be written: {e}", path.display()))
                })?;
                Some((path, file))
            }
        };
        self.results = 0;
        Ok(())
    }

    /// Writes the rows of a result as they come.
    pub(super) async fn write(&mut self, mut rows: QueryStream) -> anyhow::Result<WrittenRows> {
        if self.results > 0 && self.format == Format::Parquet {
            return Err(usage_error(
                "a Parquet file holds one answer: send the next one elsewhere with \\o FILE",
            ));
        }
        // The JSON encoder ends its last line itself.
        if self.results > 0 && self.format != Format::Json {
            self.put(b"\n")?;
        }
        self.results += 1;
        if rows.explains && self.format == Format::Table {
            return self.write_plan(rows).await;
        }
        let terminal = self.file.is_none() && stdout_is_terminal();
        let limit = (self.is_interactive && terminal && self.format == Format::Table)
            .then_some(MAX_SHOWN_ROWS);
        let mut encoder =
            Encoder::new(&rows.schema, self.format, terminal.then_some(MAX_CELL_WIDTH))?;
        let mut written = WrittenRows { rows: 0, is_truncated: false };
        while let Some(batch) = rows.next().await? {
            let room = limit.map_or(usize::MAX, |limit| limit - written.rows as usize);
            let kept = batch.slice(0, room.min(batch.num_rows()));
            written.rows += kept.num_rows() as u64;
            self.put(&encoder.push(&kept)?)?;
            if kept.num_rows() < batch.num_rows() {
                written.is_truncated = true;
                break;
            }
        }
        self.put(&encoder.finish()?)?;
        Ok(written)
    }

    /// Writes a plan as text.
    async fn write_plan(&mut self, mut rows: QueryStream) -> anyhow::Result<WrittenRows> {
        let mut written = WrittenRows { rows: 0, is_truncated: false };
        while let Some(batch) = rows.next().await? {
            self.put(printable_lines(&format_plan(&batch)).as_bytes())?;
            written.rows += batch.num_rows() as u64;
        }
        Ok(written)
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.file {
            Some((path, file)) => file.write_all(bytes).with_context(|| path.display().to_string()),
            None => {
                stdout().write_all(bytes).and_then(|()| stdout().flush()).context("standard output")
            }
        }
    }
}

/// Returns each plan below its type: `logical_plan`, `physical_plan`, `Plan with Metrics`.
fn format_plan(rows: &RecordBatch) -> String {
    let text = |column: usize, row: usize| {
        rows.column(column).as_string_opt::<i32>().map_or("", |texts| texts.value(row))
    };
    let mut plans = String::new();
    for row in 0..rows.num_rows() {
        let gap = if row == 0 { "" } else { "\n" };
        plans.push_str(&format!("{gap}{}\n{}\n", text(0, row), text(1, row).trim_end()));
    }
    plans
}
