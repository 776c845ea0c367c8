//! The events of a day as compaction writes them: each once, in the order of a raw file.

use std::sync::Arc;

use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::col;
use lake::TableSnapshot;
use lake_types::{Day, Stream};

use crate::engine::Engine;
use crate::error::{Result, TransformError};
use crate::provider::{EventSource, EventTable, FileList};

impl Engine {
    /// The events of one day of a stream, copies dropped, by (partner_id, occurred_at) and without
    /// the partition column. A day larger than the memory limit is sorted on disk.
    ///
    /// # Errors
    /// A file that can't be read.
    pub async fn events_of_day(
        &self,
        stream: Stream,
        snapshot: &TableSnapshot,
        day: Day,
    ) -> Result<SendableRecordBatchStream> {
        let fail = || TransformError::sql("compaction");
        let def = lake::schema::raw(stream);
        let columns: Vec<_> =
            def.file_schema().fields().iter().map(|f| col(f.name().as_str())).collect();
        let list = FileList {
            schema: Arc::clone(&snapshot.schema),
            partition_by: snapshot.partition_by.clone(),
            files: snapshot.of_day(day).cloned().collect(),
        };
        let order = ["partner_id", "occurred_at", "event_id"];
        self.context()?
            .read_table(Arc::new(EventTable(EventSource::Files(list))))
            .and_then(|rows| rows.select(columns))
            .and_then(|rows| rows.sort(order.iter().map(|c| col(*c).sort(true, false)).collect()))
            .map_err(fail())?
            .execute_stream()
            .await
            .map_err(fail())
    }
}
