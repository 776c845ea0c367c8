//! The merge of the files of one day by partner, which returns each event once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::compute::{concat_batches, interleave_record_batch, partition};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use datafusion::common::Result;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;

use super::identity::{IDENTITY, columns_with, not_sorted, to_string_view};

/// The number of rows of an output batch, except for the last. A partner with more has several batches, so
/// that a sort can spill between them.
const BATCH_ROWS: usize = 8192;

/// The reading position in one file of a day.
struct FileCursor {
    stream: SendableRecordBatchStream,
    current: Option<CursorBatch>,
}

/// The batch in which a cursor stands.
struct CursorBatch {
    rows: Arc<InputBatch>,
    /// The partner at which the cursor stands, as an index into `InputBatch::runs`.
    run: usize,
}

/// The positions of columns in the batches of the inputs.
#[derive(Debug, Clone)]
pub(super) struct InputLayout {
    partner: usize,
    /// Event id, topic, partition and offset; `None` where there are no duplicates.
    event_ids: Option<[usize; 4]>,
    /// The output columns.
    output: Vec<usize>,
}

impl InputLayout {
    /// Returns the layout of inputs that have the columns `wanted` of `table` and those of
    /// `identity`: the first of [`IDENTITY`] or all.
    pub(super) fn new(table: &SchemaRef, wanted: &[usize], identity: &[&str]) -> Result<Self> {
        let read = columns_with(table, wanted, identity)?;
        let position = |column: usize| read.binary_search(&column).unwrap_or_default();
        let of = |name: &str| table.index_of(name).map(position);
        let event_ids = match identity {
            [_, event, topic, partition, offset] => {
                Some([of(event)?, of(topic)?, of(partition)?, of(offset)?])
            }
            _ => None,
        };
        let output = wanted.iter().copied().map(position).collect();
        Ok(Self { partner: of(IDENTITY[0])?, event_ids, output })
    }
}

/// A batch of an input with the columns that the merge compares.
struct InputBatch {
    partner: StringViewArray,
    /// `None` where there are no duplicates.
    ids: Option<EventIds>,
    /// The first row of each partner and the row after its last.
    runs: Vec<(usize, usize)>,
    /// The output columns.
    output: RecordBatch,
}

/// The event ids of a batch, and the Kafka position of each row.
struct EventIds {
    event: StringViewArray,
    topic: StringViewArray,
    partition: ArrayRef,
    offset: ArrayRef,
    /// The hashes of the event ids.
    hashes: Vec<u64>,
}

/// Consecutive rows of one batch.
#[derive(Clone)]
struct RowRange {
    rows: Arc<InputBatch>,
    start: usize,
    end: usize,
}

/// The merge of the files of one day.
pub(super) struct DayMerge {
    cursors: Vec<FileCursor>,
    opened: bool,
    output: OutputRows,
    layout: InputLayout,
    schema: SchemaRef,
    /// The rows that were read so far, duplicates included.
    pub(super) rows_read: u64,
    /// The copies of events that were left out so far.
    pub(super) copies: u64,
}

impl DayMerge {
    /// Each file is sorted by partner. `schema` is that of the output.
    pub(super) fn new(
        files: Vec<SendableRecordBatchStream>,
        layout: InputLayout,
        schema: SchemaRef,
    ) -> Self {
        let cursors =
            files.into_iter().map(|stream| FileCursor { stream, current: None }).collect();
        let output = OutputRows::default();
        Self { cursors, opened: false, output, layout, schema, rows_read: 0, copies: 0 }
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if !self.opened {
            for i in 0..self.cursors.len() {
                self.load(i).await?;
            }
            self.opened = true;
        }
        while self.output.rows < BATCH_ROWS {
            let Some(ranges) = self.next_partner().await? else { break };
            self.copies += add_each_event_once(ranges, &mut self.output);
        }
        self.output.take(&self.schema)
    }

    /// Returns all rows of the lowest partner that is left.
    async fn next_partner(&mut self) -> Result<Option<Vec<RowRange>>> {
        let Some(first) = self.lowest() else { return Ok(None) };
        let Some((partner_rows, at)) = self.cursors[first].head() else { return Ok(None) };
        let mut ranges = Vec::new();
        for i in first..self.cursors.len() {
            while let Some((rows, row)) = self.cursors[i].head() {
                if rows.partner.value(row) != partner_rows.partner.value(at) {
                    break;
                }
                let Some(batch) = &mut self.cursors[i].current else { break };
                let (start, end) = rows.runs[batch.run];
                batch.run += 1;
                let exhausted = batch.run == rows.runs.len();
                ranges.push(RowRange { rows, start, end });
                if !exhausted {
                    break;
                }
                self.load(i).await?;
            }
        }
        Ok(Some(ranges))
    }

    /// Returns the first of the cursors that stand at the lowest partner.
    fn lowest(&self) -> Option<usize> {
        let mut lowest: Option<(usize, &str)> = None;
        for (i, cursor) in self.cursors.iter().enumerate() {
            let Some(batch) = &cursor.current else { continue };
            let partner = batch.rows.partner.value(batch.rows.runs[batch.run].0);
            if lowest.is_none_or(|(_, smallest)| partner < smallest) {
                lowest = Some((i, partner));
            }
        }
        lowest.map(|(i, _)| i)
    }

    /// Loads the next batch of a cursor that has rows.
    async fn load(&mut self, i: usize) -> Result<()> {
        let cursor = &mut self.cursors[i];
        let before = cursor.current.take();
        while let Some(batch) = cursor.stream.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.rows_read += batch.num_rows() as u64;
                let rows = Arc::new(InputBatch::of(&batch, &self.layout)?);
                rows.check_order(before.as_ref().map(|batch| batch.rows.as_ref()))?;
                cursor.current = Some(CursorBatch { rows, run: 0 });
                break;
            }
        }
        Ok(())
    }
}

impl FileCursor {
    /// Returns the current batch, and the first row of the current partner in it.
    fn head(&self) -> Option<(Arc<InputBatch>, usize)> {
        let batch = self.current.as_ref()?;
        Some((Arc::clone(&batch.rows), batch.rows.runs[batch.run].0))
    }
}

impl InputBatch {
    fn of(batch: &RecordBatch, layout: &InputLayout) -> Result<Self> {
        let partner = batch.column(layout.partner);
        let runs = partition(std::slice::from_ref(partner))?.ranges();
        let ids = layout
            .event_ids
            .map(|columns| EventIds::of(columns.map(|column| batch.column(column))));
        Ok(Self {
            partner: to_string_view(partner)?,
            ids: ids.transpose()?,
            runs: runs.into_iter().map(|range| (range.start, range.end)).collect(),
            output: batch.project(&layout.output)?,
        })
    }

    /// Returns an error where partners are not sorted. The merge finds duplicates only in sorted
    /// files, so an unsorted file must not become a wrong count.
    fn check_order(&self, before: Option<&Self>) -> Result<()> {
        let last = before.and_then(|rows| rows.runs.last().map(|run| rows.partner.value(run.0)));
        let firsts = || self.runs.iter().map(|run| self.partner.value(run.0));
        let ordered = last.is_none_or(|last| firsts().next().is_none_or(|first| last <= first))
            && firsts().zip(firsts().skip(1)).all(|(one, next)| one < next);
        if ordered { Ok(()) } else { not_sorted() }
    }
}

impl EventIds {
    fn of([event, topic, partition, offset]: [&ArrayRef; 4]) -> Result<Self> {
        let mut hashes = vec![0; event.len()];
        create_hashes([event], &RandomState::with_seed(0), &mut hashes)?;
        Ok(Self {
            event: to_string_view(event)?,
            topic: to_string_view(topic)?,
            partition: Arc::clone(partition),
            offset: Arc::clone(offset),
            hashes,
        })
    }

    /// Returns the Kafka position of a row: topic, partition and offset. Of the copies of an event
    /// the one with the lowest position counts.
    fn kafka_position(&self, row: usize) -> (&str, i32, i64) {
        (
            self.topic.value(row),
            self.partition.as_primitive::<Int32Type>().value(row),
            self.offset.as_primitive::<Int64Type>().value(row),
        )
    }
}

/// Adds the rows of one partner and day to the output, without duplicates. Returns the number of copies
/// that it left out.
fn add_each_event_once(ranges: Vec<RowRange>, output: &mut OutputRows) -> u64 {
    let ids: Option<Vec<&EventIds>> = ranges.iter().map(|range| range.rows.ids.as_ref()).collect();
    let Some(ids) = ids.filter(|ids| may_have_duplicates(&ranges, ids)) else {
        for range in ranges {
            output.push(range);
        }
        return 0;
    };
    let rows = || {
        ranges
            .iter()
            .enumerate()
            .flat_map(|(i, range)| (range.start..range.end).map(move |row| (i, row)))
    };
    let mut lowest: HashMap<&str, (usize, usize)> = HashMap::new();
    for (i, row) in rows() {
        let kept = lowest.entry(ids[i].event.value(row)).or_insert((i, row));
        if ids[i].kafka_position(row) < ids[kept.0].kafka_position(kept.1) {
            *kept = (i, row);
        }
    }
    let mut copies = 0;
    for (i, row) in rows() {
        if lowest.get(ids[i].event.value(row)) == Some(&(i, row)) {
            output.push(RowRange { rows: Arc::clone(&ranges[i].rows), start: row, end: row + 1 });
        } else {
            copies += 1;
        }
    }
    copies
}

/// Whether the event ids of two rows have the same hash. Nearly always none have, and then the
/// ids themselves need no comparison.
fn may_have_duplicates(ranges: &[RowRange], ids: &[&EventIds]) -> bool {
    let rows: usize = ranges.iter().map(|range| range.end - range.start).sum();
    if rows < 2 {
        return false;
    }
    let mut hashes = Vec::with_capacity(rows);
    for (range, ids) in ranges.iter().zip(ids) {
        hashes.extend_from_slice(&ids.hashes[range.start..range.end]);
    }
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}

/// The rows of the next output batches.
#[derive(Default)]
struct OutputRows {
    ranges: VecDeque<RowRange>,
    rows: usize,
}

impl OutputRows {
    /// Adds rows. Those that follow the last ones in the same batch extend the last range.
    fn push(&mut self, range: RowRange) {
        self.rows += range.end - range.start;
        if let Some(last) = self.ranges.back_mut()
            && Arc::ptr_eq(&last.rows, &range.rows)
            && last.end == range.start
        {
            last.end = range.end;
            return;
        }
        self.ranges.push_back(range);
    }

    /// Removes the rows of one batch.
    fn take_ranges(&mut self) -> Vec<RowRange> {
        let mut taken = Vec::new();
        let mut rows = 0;
        while rows < BATCH_ROWS
            && let Some(mut range) = self.ranges.pop_front()
        {
            let end = range.end.min(range.start + BATCH_ROWS - rows);
            rows += end - range.start;
            taken.push(RowRange { end, ..range.clone() });
            if end < range.end {
                range.start = end;
                self.ranges.push_front(range);
            }
        }
        self.rows -= rows;
        taken
    }

    /// Removes the rows of a batch and returns it, or `None` where there are none.
    fn take(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        // More ranges than this are cheaper to copy row by row.
        const MAX_CONCATENATED_RANGES: usize = 64;
        let ranges = self.take_ranges();
        if ranges.is_empty() {
            return Ok(None);
        }
        if schema.fields().is_empty() || ranges.len() <= MAX_CONCATENATED_RANGES {
            let slices: Vec<RecordBatch> =
                ranges.iter().map(|r| r.rows.output.slice(r.start, r.end - r.start)).collect();
            if let [only] = slices.as_slice() {
                return Ok(Some(only.clone()));
            }
            return Ok(Some(concat_batches(schema, &slices)?));
        }
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut positions: HashMap<*const InputBatch, usize> = HashMap::new();
        let mut indices = Vec::with_capacity(BATCH_ROWS);
        for range in &ranges {
            let batch = *positions.entry(Arc::as_ptr(&range.rows)).or_insert_with(|| {
                batches.push(&range.rows.output);
                batches.len() - 1
            });
            indices.extend((range.start..range.end).map(|row| (batch, row)));
        }
        Ok(Some(interleave_record_batch(&batches, &indices)?))
    }
}
