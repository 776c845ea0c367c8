//! The table `arrivals`: how many records ever arrived for each day of a stream, copies included.
//!
//! What its files hold and what compaction dropped: compaction moves records from one to the other
//! and changes no row of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use lake::DataFile;
use lake_types::{Day, Stream};

/// Its name in SQL.
pub(crate) const ARRIVALS: &str = "arrivals";

/// Records by stream and day.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(BTreeMap<(Stream, Day), u64>);

impl Arrivals {
    /// Adds what the files of a stream stand for.
    pub(crate) fn add_files(&mut self, stream: Stream, files: &[DataFile]) {
        for file in files {
            if let Some(day) = file.day {
                *self.0.entry((stream, day)).or_default() += file.rows + file.dropped_copies();
            }
        }
    }

    /// Adds arrivals that are given as rows of a raw table.
    pub(crate) fn add_rows(&mut self, stream: Stream, rows: &RecordBatch) {
        let Some(days) = rows.column_by_name("event_date") else { return };
        for day in days.as_primitive::<Date32Type>().values() {
            *self.0.entry((stream, Day(*day))).or_default() += 1;
        }
    }

    pub(crate) fn days(&self) -> impl Iterator<Item = Day> {
        self.0.keys().map(|(_, day)| *day)
    }

    /// The rows of the days that are wanted: stream, day, records.
    pub(crate) fn of_days(
        &self,
        wanted: impl Fn(Day) -> bool,
    ) -> impl Iterator<Item = (Stream, Day, u64)> {
        let all = self.0.iter().map(|((stream, day), records)| (*stream, *day, *records));
        all.filter(move |(_, day, _)| wanted(*day))
    }

    /// The same as a table.
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

/// stream, as `dead_letters` has it; event_date; records.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("stream", DataType::Utf8, false),
        Field::new("event_date", DataType::Date32, false),
        Field::new("records", DataType::Int64, false),
    ]))
}
