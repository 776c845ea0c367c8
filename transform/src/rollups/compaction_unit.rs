//! Rewrites the events of one unit of a compaction: reads them without duplicates, sorts them and
//! writes files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow::error::ArrowError;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::prelude::col;
use domain::{Day, Stream};
use futures::TryStreamExt;
use lake::{FileWriter, Lake, PendingFile, TableDef, TableSnapshot};

use crate::engine::Engine;
use crate::engine::dedup::exec::copies_left_out;
use crate::engine::scan::{EventSource, EventTable};
use crate::error::{Result, TransformError};
use crate::rollups::compaction::{files_of_day, wrong};
use crate::rollups::unit::{CompactionUnit, UnitOutput};

/// The approximate size of a compacted file.
const TARGET_FILE_BYTES: usize = 128 << 20;

/// The rows that are written at once. The pages of a file follow from it, so that a sort that spilled
/// gives the same bytes as one in memory.
const ROWS_AT_ONCE: usize = 8_192;

/// The order of the rows of a raw file. No two events of a partner have the same id, so it is total.
const ORDER: [&str; 3] = ["partner_id", "occurred_at", "event_id"];

impl Engine {
    /// Compacts a unit on one thread, and writes its files. They lack the tags that depend on the
    /// whole day.
    ///
    /// # Errors
    /// A table that has no events; a file that can't be read or written.
    pub(crate) async fn compact_unit(
        &self,
        base: &TableSnapshot,
        unit: CompactionUnit,
    ) -> Result<UnitOutput> {
        let mut tables = Stream::ALL.into_iter().map(lake::schema::raw);
        let Some(def) = tables.find(|def| def.name == unit.table && def.name == base.table) else {
            return Err(wrong(base, "only the events of a stream can be compacted"));
        };
        let permit = Arc::clone(&self.compute_permits).acquire_owned().await;
        let (plan, context) = self.events_of_unit(base, &unit, &def).await?;
        let lake = self.lake.clone();
        let written = SpawnedTask::spawn(async move {
            let rows = execute_stream(Arc::clone(&plan), context);
            let mut writer = UnitWriter::new(&lake, &def, unit.day);
            writer.write_all(rows.map_err(TransformError::sql("compaction"))?).await?;
            // Another unit may compute while this one waits for the disk.
            drop(permit);
            let files = writer.finish(unit.partners.is_none()).await?;
            Ok::<_, TransformError>(UnitOutput { files, copies: copies_left_out(plan.as_ref()) })
        });
        let fail = TransformError::sql("compaction");
        written.join_unwind().await.map_err(|e| fail(DataFusionError::External(e.into())))?
    }

    /// Returns the plan of the events of a unit without duplicates, sorted and without the partition
    /// column. More than the memory limit is sorted on disk.
    async fn events_of_unit(
        &self,
        base: &TableSnapshot,
        unit: &CompactionUnit,
        def: &TableDef,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
        let fail = || TransformError::sql("compaction");
        let columns: Vec<_> =
            def.file_schema().fields().iter().map(|f| col(f.name().as_str())).collect();
        let events = Arc::new(EventTable(EventSource::Files(files_of_day(base, unit.day))));
        let mut rows = self.single_threaded_context(None).read_table(events).map_err(fail())?;
        if let Some(range) = &unit.partners {
            let condition = range.condition(rows.schema());
            rows = rows.filter(condition).map_err(fail())?;
        }
        let order = ORDER.iter().map(|column| col(*column).sort(true, false)).collect();
        let rows = rows.select(columns).and_then(|rows| rows.sort(order)).map_err(fail())?;
        let plan = rows.create_physical_plan().await.map_err(fail())?;
        Ok((plan, Arc::new(rows.task_ctx())))
    }
}

/// Writes sorted rows as files of one day, of which one at a time is in memory.
struct UnitWriter<'a> {
    lake: &'a Lake,
    def: &'a TableDef,
    day: Day,
    open: Option<FileWriter>,
    files: Vec<(Day, PendingFile)>,
}

impl<'a> UnitWriter<'a> {
    fn new(lake: &'a Lake, def: &'a TableDef, day: Day) -> Self {
        Self { lake, def, day, open: None, files: Vec::new() }
    }

    async fn write_all(&mut self, mut rows: SendableRecordBatchStream) -> Result<()> {
        let fail = || TransformError::sql("compaction");
        let failed = |error: ArrowError| fail()(DataFusionError::from(error));
        let mut batches = BatchCoalescer::new(rows.schema(), ROWS_AT_ONCE);
        loop {
            let batch = rows.try_next().await.map_err(fail())?;
            let ended = batch.is_none();
            match batch {
                Some(batch) => batches.push_batch(batch).map_err(failed)?,
                None => batches.finish_buffered_batch().map_err(failed)?,
            }
            while let Some(batch) = batches.next_completed_batch() {
                self.write(&batch).await?;
            }
            if ended {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.lake.file_writer(self.def, Some(self.day))?,
        };
        file.write(batch)?;
        if file.bytes() < TARGET_FILE_BYTES {
            self.open = Some(file);
        } else {
            self.files.push((self.day, file.finish(BTreeMap::new()).await?));
        }
        Ok(())
    }

    /// Returns the files. A whole day has at least one, which carries the count of its copies.
    async fn finish(mut self, whole_day: bool) -> Result<Vec<(Day, PendingFile)>> {
        if self.open.is_none() && self.files.is_empty() && whole_day {
            self.open = Some(self.lake.file_writer(self.def, Some(self.day))?);
        }
        if let Some(file) = self.open.take() {
            self.files.push((self.day, file.finish(BTreeMap::new()).await?));
        }
        Ok(self.files)
    }
}
