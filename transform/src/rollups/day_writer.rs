//! Writes rows that come sorted by day, as one file for each day.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::partition;
use arrow::datatypes::Date32Type;
use datafusion::error::DataFusionError;
use domain::Day;
use lake::{Lake, LakeError, PendingFile, TableDef};
use tokio::task::JoinSet;

use crate::error::{Result, TransformError};

/// The most files that are encoded and written while the query runs.
const MAX_WRITES_IN_FLIGHT: usize = 4;

/// Collects the rows of a day, and starts to write them when the next day begins.
pub(crate) struct DayWriter<'a> {
    lake: &'a Lake,
    def: &'a TableDef,
    current: Option<UnwrittenDay>,
    writing: JoinSet<std::result::Result<(Day, PendingFile), LakeError>>,
    files: BTreeMap<Day, PendingFile>,
}

/// The rows of a day that is not complete yet.
struct UnwrittenDay {
    day: Day,
    batches: Vec<RecordBatch>,
    tags: BTreeMap<String, String>,
}

impl<'a> DayWriter<'a> {
    pub(crate) fn new(lake: &'a Lake, def: &'a TableDef) -> Self {
        Self { lake, def, current: None, writing: JoinSet::new(), files: BTreeMap::new() }
    }

    /// Adds rows. The day must be the current one or a later one.
    pub(crate) async fn push(
        &mut self,
        day: Day,
        rows: RecordBatch,
        tags: &BTreeMap<String, String>,
    ) -> Result<()> {
        match &mut self.current {
            Some(current) if current.day == day => current.batches.push(rows),
            _ => {
                self.begin_write().await?;
                self.current = Some(UnwrittenDay { day, batches: vec![rows], tags: tags.clone() });
            }
        }
        Ok(())
    }

    /// Waits for all writes, and returns the files of the days with rows.
    pub(crate) async fn finish(mut self) -> Result<BTreeMap<Day, PendingFile>> {
        self.begin_write().await?;
        while !self.writing.is_empty() {
            self.await_one().await?;
        }
        Ok(self.files)
    }

    /// Starts to write the current day.
    async fn begin_write(&mut self) -> Result<()> {
        let Some(UnwrittenDay { day, batches, tags }) = self.current.take() else { return Ok(()) };
        while self.writing.len() >= MAX_WRITES_IN_FLIGHT {
            self.await_one().await?;
        }
        let (lake, def) = (self.lake.clone(), self.def.clone());
        self.writing.spawn(async move {
            Ok((day, lake.write_file(&def, Some(day), &batches, tags).await?))
        });
        Ok(())
    }

    /// Waits until one file is written.
    async fn await_one(&mut self) -> Result<()> {
        let Some(written) = self.writing.join_next().await else { return Ok(()) };
        let written = written.map_err(|e| {
            TransformError::sql("writing a rollup")(DataFusionError::External(Box::new(e)))
        })?;
        let (day, file) = written?;
        self.files.insert(day, file);
        Ok(())
    }
}

/// Splits rows that are sorted by day, and removes the column of the day.
pub(crate) fn split_days(
    batch: &RecordBatch,
    column: &str,
) -> std::result::Result<Vec<(Day, RecordBatch)>, DataFusionError> {
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let at = batch.schema().index_of(column)?;
    let days = Arc::clone(batch.column(at));
    let others: Vec<usize> = (0..batch.num_columns()).filter(|i| *i != at).collect();
    let rows = batch.project(&others)?;
    let day_of = |row: usize| Day(days.as_primitive::<Date32Type>().value(row));
    Ok(partition(std::slice::from_ref(&days))?
        .ranges()
        .into_iter()
        .map(|range| (day_of(range.start), rows.slice(range.start, range.end - range.start)))
        .collect())
}
