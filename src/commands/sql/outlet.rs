//! Where the rows of statements go: standard output or a file, batch by batch.

use std::fs::File;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use lake_types::printable_lines;
use transform::QueryStream;

use crate::args::Format;
use crate::encoder::Encoder;
use crate::failure::usage;
use crate::output::on_terminal;

/// The widest cell of a table on a terminal, in characters.
const WIDEST: usize = 64;

/// Rows of one answer that a conversation shows.
const SHOWN: usize = 1_000;

/// Where answers go, and as what.
pub(super) struct Outlet {
    pub(super) format: Format,
    /// Somebody talks to us: they need no more than they can read.
    conversing: bool,
    file: Option<(PathBuf, File)>,
    /// Answers written to where they go now.
    answers: usize,
}

/// What was written of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) rows: u64,
    /// There are more, which were not computed.
    pub(super) cut: bool,
}

impl Outlet {
    pub(super) fn new(format: Format, conversing: bool) -> Self {
        Self { format, conversing, file: None, answers: 0 }
    }

    /// From now on to a new file, or to standard output again.
    pub(super) fn redirect(&mut self, path: Option<PathBuf>) -> anyhow::Result<()> {
        self.file = match path {
            None => None,
            Some(path) => {
                let file = File::create(&path)
                    .map_err(|e| usage(format!("{} can't be written: {e}", path.display())))?;
                Some((path, file))
            }
        };
        self.answers = 0;
        Ok(())
    }

    /// Writes an answer as its rows come.
    pub(super) async fn write(&mut self, mut rows: QueryStream) -> anyhow::Result<Written> {
        if self.answers > 0 && self.format == Format::Parquet {
            return Err(usage(
                "a Parquet file holds one answer: send the next one elsewhere with \\o FILE",
            ));
        }
        // JSON ends its lines itself.
        if self.answers > 0 && self.format != Format::Json {
            self.put(b"\n")?;
        }
        self.answers += 1;
        if rows.explains && self.format == Format::Table {
            return self.write_plan(rows).await;
        }
        let terminal = self.file.is_none() && on_terminal();
        let limit = (self.conversing && terminal && self.format == Format::Table).then_some(SHOWN);
        let mut encoder = Encoder::new(&rows.schema, self.format, terminal.then_some(WIDEST))?;
        let mut written = Written { rows: 0, cut: false };
        while let Some(batch) = rows.next().await? {
            let room = limit.map_or(usize::MAX, |limit| limit - written.rows as usize);
            let kept = batch.slice(0, room.min(batch.num_rows()));
            written.rows += kept.num_rows() as u64;
            self.put(&encoder.push(&kept)?)?;
            if kept.num_rows() < batch.num_rows() {
                written.cut = true;
                break;
            }
        }
        self.put(&encoder.finish()?)?;
        Ok(written)
    }

    /// A plan as the text it is.
    async fn write_plan(&mut self, mut rows: QueryStream) -> anyhow::Result<Written> {
        let mut written = Written { rows: 0, cut: false };
        while let Some(batch) = rows.next().await? {
            self.put(printable_lines(&plan(&batch)).as_bytes())?;
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

/// Each plan below what it is: `logical_plan`, `physical_plan`, `Plan with Metrics`.
fn plan(rows: &RecordBatch) -> String {
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
