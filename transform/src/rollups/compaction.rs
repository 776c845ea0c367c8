//! Compaction: rewrites the events of a day without duplicates as few large files, sorted as all
//! raw files are.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::col;
use domain::{Day, Stream};
use futures::StreamExt;
use lake::{CompactedDay, FileWriter, TableSnapshot};

use crate::engine::Engine;
use crate::engine::file_list::FileList;
use crate::engine::scan::{EventSource, EventTable};
use crate::error::{Result, TransformError};

/// The approximate size of a compacted file.
const TARGET_FILE_BYTES: usize = 128 << 20;

impl Engine {
    /// Writes the new files of a day and does not commit them. Returns the files and the number of
    /// dropped duplicates.
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
            if writer.bytes() >= TARGET_FILE_BYTES {
                let next = self.lake.file_writer(&def, Some(day))?;
                full.push(std::mem::replace(&mut writer, next));
            }
        }
        full.push(writer);
        let rows_after: usize = full.iter().map(FileWriter::rows).sum();
        let dropped = rows_before - rows_after as u64;
        let mut tags = BTreeMap::new();
        if dropped == 0 {
            tags.insert(
                lake::COMPACTED_FROM_TAG.to_owned(),
                lake::content_identity(old.iter().copied()),
            );
        }
        let mut files = Vec::new();
        for (index, writer) in full.into_iter().enumerate() {
            let mut tags = tags.clone();
            // The count is that of the whole day, so only one file gets it.
            let copies = if index == 0 { dropped_before + dropped } else { 0 };
            tags.insert(lake::DROPPED_COPIES_TAG.to_owned(), copies.to_string());
            files.push(writer.finish(tags).await?);
        }
        Ok((CompactedDay { day, files, data_change: dropped > 0 }, dropped))
    }

    /// Returns the events of one day of a stream without duplicates, sorted by (partner_id,
    /// occurred_at, event_id) and without the partition column. A day larger than the memory limit
    /// is sorted on disk.
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
