//! Compaction: the events of a day, each once, as few large files in the order of a raw file.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::col;
use futures::StreamExt;
use lake::{CompactedDay, FileWriter, TableSnapshot};
use lake_types::{Day, Stream};

use crate::engine::Engine;
use crate::error::{Result, TransformError};
use crate::provider::{EventSource, EventTable, FileList};

/// Compacted files are about this large.
const FILE_BYTES: usize = 128 << 20;

impl Engine {
    /// Writes the new files of a day, which nobody sees before they are committed; how many copies
    /// are not among them.
    ///
    /// # Errors
    /// A file that can't be read or written.
    pub async fn compact_day(
        &self,
        stream: Stream,
        base: &TableSnapshot,
        day: Day,
    ) -> Result<(CompactedDay, u64)> {
        let def = lake::schema::raw(stream);
        let old: Vec<_> = base.of_day(day).collect();
        let rows_before: u64 = old.iter().map(|f| f.rows).sum();
        let dropped_before: u64 = old.iter().map(|f| f.dropped_copies()).sum();
        let mut rows = self.events_of_day(stream, base, day).await?;
        let mut full = Vec::new();
        let mut writer = self.lake.file_writer(&def, Some(day))?;
        while let Some(batch) = rows.next().await {
            writer.write(&batch.map_err(TransformError::sql("compaction"))?)?;
            if writer.bytes() >= FILE_BYTES {
                let next = self.lake.file_writer(&def, Some(day))?;
                full.push(std::mem::replace(&mut writer, next));
            }
        }
        full.push(writer);
        let rows_after: usize = full.iter().map(FileWriter::rows).sum();
        let dropped = rows_before - rows_after as u64;
        let mut tags = BTreeMap::new();
        if dropped == 0 {
            tags.insert(lake::STANDS_FOR.to_owned(), lake::identity(old.iter().copied()));
        }
        let mut files = Vec::new();
        for (index, writer) in full.into_iter().enumerate() {
            let mut tags = tags.clone();
            // The count is of the day; the first file keeps it.
            let copies = if index == 0 { dropped_before + dropped } else { 0 };
            tags.insert(lake::COPIES.to_owned(), copies.to_string());
            files.push(writer.finish(tags).await?);
        }
        Ok((CompactedDay { day, files, data_change: dropped > 0 }, dropped))
    }

    /// The events of one day of a stream, copies dropped, by (partner_id, occurred_at) and without
    /// the partition column. A day larger than the memory limit is sorted on disk.
    ///
    /// # Errors
    /// A file that can't be read.
    async fn events_of_day(
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
        self.context()
            .read_table(Arc::new(EventTable(EventSource::Files(list))))
            .and_then(|rows| rows.select(columns))
            .and_then(|rows| rows.sort(order.iter().map(|c| col(*c).sort(true, false)).collect()))
            .map_err(fail())?
            .execute_stream()
            .await
            .map_err(fail())
    }
}
