//! The table `arrivals`: the number of records that ever arrived for each day of a stream,
//! duplicates included.
//!
//! The number is the sum of the rows in the files and of the duplicates that compaction dropped. So
//! compaction does not change it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::TableProvider;
use domain::{Day, Stream};
use lake::DataFile;

use crate::catalog::built_in_tables::ARRIVALS;
use crate::engine::utf8_view;
use crate::error::TransformError;

/// The number of records by stream and day.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(BTreeMap<(Stream, Day), u64>);

impl Arrivals {
    /// Adds the records of a stream's files.
    pub(crate) fn add_files(&mut self, stream: Stream, files: &[DataFile]) {
        for file in files {
            if let Some(day) = file.day {
                *self.0.entry((stream, day)).or_default() += file.rows + file.dropped_copies();
            }
        }
    }

    /// Adds the rows of a raw table.
    pub(crate) fn add_rows(&mut self, stream: Stream, rows: &RecordBatch) {
        let Some(days) = rows.column_by_name("event_date") else { return };
        for day in days.as_primitive::<Date32Type>().values() {
            *self.0.entry((stream, Day(*day))).or_default() += 1;
        }
    }

    pub(crate) fn days(&self) -> impl Iterator<Item = Day> {
        self.0.keys().map(|(_, day)| *day)
    }

    /// Returns the rows of the wanted days: stream, day, records.
    pub(crate) fn of_days(
        &self,
        wanted: impl Fn(Day) -> bool,
    ) -> impl Iterator<Item = (Stream, Day, u64)> {
        let all = self.0.iter().map(|((stream, day), records)| (*stream, *day, *records));
        all.filter(move |(_, day, _)| wanted(*day))
    }

    /// Returns the rows of the wanted days as a batch.
    pub(crate) fn batch(&self, wanted: impl Fn(Day) -> bool) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<_> = self.of_days(wanted).collect();
        let streams = rows.iter().map(|(stream, _, _)| stream.name());
        let days = rows.iter().map(|(_, day, _)| day.0);
        let records =
            rows.iter().map(|(_, _, records)| i64::try_from(*records).unwrap_or(i64::MAX));
        RecordBatch::try_new(
            schema(),
            vec![
                Arc::new(StringArray::from_iter_values(streams)),
                Arc::new(Date32Array::from_iter_values(days)),
                Arc::new(Int64Array::from_iter_values(records)),
            ],
        )
    }
}

/// Returns the columns: `stream` (with the names of `dead_letters`), `event_date`, `records`.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("stream", DataType::Utf8, false),
        Field::new("event_date", DataType::Date32, false),
        Field::new("records", DataType::Int64, false),
    ]))
}

/// Returns the table `arrivals` with the rows of the wanted days.
pub(crate) fn arrivals_table(
    arrivals: &Arrivals,
    wanted: impl Fn(Day) -> bool,
) -> Result<Arc<dyn TableProvider>, TransformError> {
    let fail = || TransformError::sql(ARRIVALS);
    let rows = arrivals.batch(wanted).map_err(|e| fail()(e.into()))?;
    utf8_view::table_of(&rows).map_err(fail())
}
