//! The merge of the files of one day: all rows of a partner at a time, of an event's copies one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::compute::{concat_batches, interleave_record_batch, partition};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use datafusion::common::Result;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;

use super::{IDENTITY, columns_with, not_sorted, text};

/// Rows that are gathered before they are handed on.
const BATCH_ROWS: usize = 8192;

/// One file of a day.
struct Cursor {
    stream: SendableRecordBatchStream,
    current: Option<Loaded>,
}

/// The batch a cursor stands in.
struct Loaded {
    rows: Arc<Rows>,
    /// The run of one partner the cursor stands at, as an index into `Rows::runs`.
    run: usize,
}

/// Where the columns that matter are in the inputs.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    partner: usize,
    /// event, topic, partition, offset; absent where no row is a copy of another.
    rest: Option<[usize; 4]>,
    /// What is handed on.
    output: Vec<usize>,
}

impl Layout {
    /// Of inputs that have the columns `wanted` of `table`, and the first of the identity or all of
    /// them.
    pub(super) fn new(table: &SchemaRef, wanted: &[usize], identity: &[&str]) -> Result<Self> {
        let read = columns_with(table, wanted, identity)?;
        let position = |column: usize| read.binary_search(&column).unwrap_or_default();
        let of = |name: &str| table.index_of(name).map(position);
        let rest = match identity {
            [_, event, topic, partition, offset] => {
                Some([of(event)?, of(topic)?, of(partition)?, of(offset)?])
            }
            _ => None,
        };
        let output = wanted.iter().copied().map(position).collect();
        Ok(Self { partner: of(IDENTITY[0])?, rest, output })
    }
}

/// A batch of arrivals, taken apart.
struct Rows {
    partner: StringViewArray,
    /// Absent where no row is a copy of another.
    ids: Option<Ids>,
    /// First row and the row after the last, of each partner.
    runs: Vec<(usize, usize)>,
    /// What is handed on.
    output: RecordBatch,
}

/// What tells the rows of a partner apart, and which of two copies counts.
struct Ids {
    event: StringViewArray,
    topic: StringViewArray,
    partition: ArrayRef,
    offset: ArrayRef,
    /// Of the events.
    hashes: Vec<u64>,
}

/// Rows of one batch that follow each other.
#[derive(Clone)]
struct Piece {
    rows: Arc<Rows>,
    start: usize,
    end: usize,
}

/// The merge of the files of one day.
pub(super) struct DayMerge {
    cursors: Vec<Cursor>,
    opened: bool,
    gathered: Gathered,
    layout: Layout,
    schema: SchemaRef,
    /// Rows of the files so far, copies included.
    pub(super) read: u64,
}

impl DayMerge {
    /// Each file is sorted by partner; what is handed on is of `schema`.
    pub(super) fn new(
        files: Vec<SendableRecordBatchStream>,
        layout: Layout,
        schema: SchemaRef,
    ) -> Self {
        let cursors = files.into_iter().map(|stream| Cursor { stream, current: None }).collect();
        Self { cursors, opened: false, gathered: Gathered::default(), layout, schema, read: 0 }
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if !self.opened {
            for i in 0..self.cursors.len() {
                self.load(i).await?;
            }
            self.opened = true;
        }
        while self.gathered.rows < BATCH_ROWS {
            let Some(pieces) = self.next_partner().await? else { break };
            keep_each_event_once(pieces, &mut self.gathered);
        }
        self.gathered.take(&self.schema)
    }

    /// All rows of the least partner that is left.
    async fn next_partner(&mut self) -> Result<Option<Vec<Piece>>> {
        let Some(first) = self.least() else { return Ok(None) };
        let Some((partner_rows, at)) = self.cursors[first].head() else { return Ok(None) };
        let mut pieces = Vec::new();
        for i in first..self.cursors.len() {
            while let Some((rows, row)) = self.cursors[i].head() {
                if rows.partner.value(row) != partner_rows.partner.value(at) {
                    break;
                }
                let Some(loaded) = &mut self.cursors[i].current else { break };
                let (start, end) = rows.runs[loaded.run];
                loaded.run += 1;
                let exhausted = loaded.run == rows.runs.len();
                pieces.push(Piece { rows, start, end });
                if !exhausted {
                    break;
                }
                self.load(i).await?;
            }
        }
        Ok(Some(pieces))
    }

    /// The first of the cursors that stand at the least partner.
    fn least(&self) -> Option<usize> {
        let mut least: Option<(usize, &str)> = None;
        for (i, cursor) in self.cursors.iter().enumerate() {
            let Some(loaded) = &cursor.current else { continue };
            let partner = loaded.rows.partner.value(loaded.rows.runs[loaded.run].0);
            if least.is_none_or(|(_, smallest)| partner < smallest) {
                least = Some((i, partner));
            }
        }
        least.map(|(i, _)| i)
    }

    async fn load(&mut self, i: usize) -> Result<()> {
        let cursor = &mut self.cursors[i];
        let before = cursor.current.take();
        while let Some(batch) = cursor.stream.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.read += batch.num_rows() as u64;
                let rows = Arc::new(Rows::of(&batch, &self.layout)?);
                rows.check_order(before.as_ref().map(|loaded| loaded.rows.as_ref()))?;
                cursor.current = Some(Loaded { rows, run: 0 });
                break;
            }
        }
        Ok(())
    }
}

impl Cursor {
    fn head(&self) -> Option<(Arc<Rows>, usize)> {
        let loaded = self.current.as_ref()?;
        Some((Arc::clone(&loaded.rows), loaded.rows.runs[loaded.run].0))
    }
}

impl Rows {
    fn of(batch: &RecordBatch, layout: &Layout) -> Result<Self> {
        let partner = batch.column(layout.partner);
        let runs = partition(std::slice::from_ref(partner))?.ranges();
        let ids = layout.rest.map(|rest| Ids::of(rest.map(|column| batch.column(column))));
        Ok(Self {
            partner: text(partner)?,
            ids: ids.transpose()?,
            runs: runs.into_iter().map(|range| (range.start, range.end)).collect(),
            output: batch.project(&layout.output)?,
        })
    }

    /// Copies are only found where partners come in order: a file that is not sorted is an error,
    /// never a wrong count.
    fn check_order(&self, before: Option<&Self>) -> Result<()> {
        let last = before.and_then(|rows| rows.runs.last().map(|run| rows.partner.value(run.0)));
        let firsts = || self.runs.iter().map(|run| self.partner.value(run.0));
        let ordered = last.is_none_or(|last| firsts().next().is_none_or(|first| last <= first))
            && firsts().zip(firsts().skip(1)).all(|(one, next)| one < next);
        if ordered { Ok(()) } else { not_sorted() }
    }
}

impl Ids {
    fn of([event, topic, partition, offset]: [&ArrayRef; 4]) -> Result<Self> {
        let mut hashes = vec![0; event.len()];
        create_hashes([event], &RandomState::with_seed(0), &mut hashes)?;
        Ok(Self {
            event: text(event)?,
            topic: text(topic)?,
            partition: Arc::clone(partition),
            offset: Arc::clone(offset),
            hashes,
        })
    }

    /// Where a row came from: of two copies the lesser one counts.
    fn origin(&self, row: usize) -> (&str, i32, i64) {
        (
            self.topic.value(row),
            self.partition.as_primitive::<Int32Type>().value(row),
            self.offset.as_primitive::<Int64Type>().value(row),
        )
    }
}

/// Hands on the rows of one partner and day, without copies.
fn keep_each_event_once(pieces: Vec<Piece>, into: &mut Gathered) {
    let ids: Option<Vec<&Ids>> = pieces.iter().map(|piece| piece.rows.ids.as_ref()).collect();
    let Some(ids) = ids.filter(|ids| may_hold_copies(&pieces, ids)) else {
        for piece in pieces {
            into.push(piece);
        }
        return;
    };
    let rows = || {
        pieces
            .iter()
            .enumerate()
            .flat_map(|(p, piece)| (piece.start..piece.end).map(move |r| (p, r)))
    };
    let mut best: HashMap<&str, (usize, usize)> = HashMap::new();
    for (p, row) in rows() {
        let held = best.entry(ids[p].event.value(row)).or_insert((p, row));
        if ids[p].origin(row) < ids[held.0].origin(held.1) {
            *held = (p, row);
        }
    }
    for (p, row) in rows() {
        if best.get(ids[p].event.value(row)) == Some(&(p, row)) {
            into.push(Piece { rows: Arc::clone(&pieces[p].rows), start: row, end: row + 1 });
        }
    }
}

/// Whether two rows have event ids of one hash: nearly always no, and then nothing is compared.
fn may_hold_copies(pieces: &[Piece], ids: &[&Ids]) -> bool {
    let rows: usize = pieces.iter().map(|p| p.end - p.start).sum();
    if rows < 2 {
        return false;
    }
    let mut hashes = Vec::with_capacity(rows);
    for (piece, ids) in pieces.iter().zip(ids) {
        hashes.extend_from_slice(&ids.hashes[piece.start..piece.end]);
    }
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}

/// Rows on their way out.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Piece>,
    rows: usize,
}

impl Gathered {
    /// Rows that follow the last ones in the same batch make one piece with them.
    fn push(&mut self, piece: Piece) {
        self.rows += piece.end - piece.start;
        if let Some(last) = self.pieces.last_mut()
            && Arc::ptr_eq(&last.rows, &piece.rows)
            && last.end == piece.start
        {
            last.end = piece.end;
            return;
        }
        self.pieces.push(piece);
    }

    /// The rows as one batch; `None` when there are none.
    fn take(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        // More pieces than this are cheaper to gather row by row.
        const FEW: usize = 64;
        let pieces = std::mem::take(&mut self.pieces);
        let rows = std::mem::take(&mut self.rows);
        if pieces.is_empty() {
            return Ok(None);
        }
        if schema.fields().is_empty() || pieces.len() <= FEW {
            let slices: Vec<RecordBatch> =
                pieces.iter().map(|p| p.rows.output.slice(p.start, p.end - p.start)).collect();
            if let [only] = slices.as_slice() {
                return Ok(Some(only.clone()));
            }
            return Ok(Some(concat_batches(schema, &slices)?));
        }
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut positions: HashMap<*const Rows, usize> = HashMap::new();
        let mut indices = Vec::with_capacity(rows);
        for piece in &pieces {
            let batch = *positions.entry(Arc::as_ptr(&piece.rows)).or_insert_with(|| {
                batches.push(&piece.rows.output);
                batches.len() - 1
            });
            indices.extend((piece.start..piece.end).map(|row| (batch, row)));
        }
        Ok(Some(interleave_record_batch(&batches, &indices)?))
    }
}
