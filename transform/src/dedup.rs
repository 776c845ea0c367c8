//! Each event once: of the copies of an event, the one with the lowest (topic, partition, offset).
//!
//! Copies share (`partner_id`, `event_id`, `event_date`) and may differ in anything else, the
//! instant included. The files of a day are each sorted by partner, so a merge of them by partner
//! holds the rows of one partner at a time, and only these are compared. A day that was compacted
//! holds no copies: its files are read one after the other, and ids only where they are asked for.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{SortOptions, concat_batches, interleave_record_batch, partition};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use futures::StreamExt;

/// What tells events apart, and which of two copies counts.
pub(crate) const IDENTITY: [&str; 5] =
    ["partner_id", "event_id", "topic", "kafka_partition", "kafka_offset"];

/// Rows that are gathered before they are handed on.
const BATCH_ROWS: usize = 8192;

/// The files of one day, each sorted by partner, one partition each.
#[derive(Debug, Clone)]
pub(crate) struct DayInput {
    pub inputs: Vec<Arc<dyn ExecutionPlan>>,
    /// With copies; for sharing out the work.
    pub rows: u64,
    /// Whether no event stands in it twice: its inputs then have the columns that are handed on,
    /// and follow each other in the order of partners.
    pub once: bool,
}

/// Reads days of arrivals and gives each event once, sorted by partner within a day.
#[derive(Debug)]
pub(crate) struct DedupExec {
    /// Days by output partition.
    groups: Vec<Vec<DayInput>>,
    keys: KeyColumns,
    /// Columns of the inputs that are handed on.
    output: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// Where the columns of the identity are in the inputs.
#[derive(Debug, Clone, Copy)]
struct KeyColumns {
    partner: usize,
    event: usize,
    topic: usize,
    partition: usize,
    offset: usize,
}

impl DedupExec {
    /// `read` is the schema of the inputs with copies; `output` the columns of it that are wanted.
    /// `day` is a column that the days of each group ascend by.
    pub(crate) fn new(
        mut groups: Vec<Vec<DayInput>>,
        read: &SchemaRef,
        output: Vec<usize>,
        day: Option<&str>,
    ) -> Result<Self> {
        if groups.is_empty() {
            groups.push(Vec::new());
        }
        let [partner, event, topic, partition, offset] = IDENTITY.map(|name| read.index_of(name));
        let keys = KeyColumns {
            partner: partner?,
            event: event?,
            topic: topic?,
            partition: partition?,
            offset: offset?,
        };
        let schema = Arc::new(read.project(&output)?);
        let properties = PlanProperties::new(
            in_order(schema, day),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { groups, keys, output, properties: Arc::new(properties), metrics })
    }
}

/// Rows come by day and partner, as far as these columns are among them.
fn in_order(schema: SchemaRef, day: Option<&str>) -> EquivalenceProperties {
    let ascending = SortOptions { descending: false, nulls_first: false };
    let order: Vec<PhysicalSortExpr> = day
        .into_iter()
        .chain([IDENTITY[0]])
        .map_while(|name| {
            let column = Column::new_with_schema(name, &schema).ok()?;
            Some(PhysicalSortExpr::new(Arc::new(column), ascending))
        })
        .collect();
    if day.is_none() || order.is_empty() {
        return EquivalenceProperties::new(schema);
    }
    EquivalenceProperties::new_with_orderings(schema, [order])
}

impl DisplayAs for DedupExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: usize = self.groups.iter().map(Vec::len).sum();
        let files: usize = self.groups.iter().flatten().map(|day| day.inputs.len()).sum();
        let once = self.groups.iter().flatten().filter(|day| day.once).count();
        write!(f, "DedupExec: days={days}, compacted={once}, files={files}")
    }
}

impl ExecutionPlan for DedupExec {
    fn name(&self) -> &'static str {
        "DedupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// A leaf: the scans inside are sorted and paired by day, no optimizer may rearrange them.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let days = self.groups.get(partition).cloned().unwrap_or_default();
        let reader = Reader {
            days: days.into(),
            day: None,
            keys: self.keys,
            output: self.output.clone(),
            schema: self.schema(),
            context,
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let start = (reader, metrics);
        let stream = futures::stream::try_unfold(start, |(mut reader, metrics)| async move {
            let batch = reader.next().await?;
            Ok(batch.map(|batch| {
                metrics.record_output(batch.num_rows());
                (batch, (reader, metrics))
            }))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// The rows, copies included; what a join puts first depends on it.
    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let groups = match args.partition() {
            Some(partition) => self.groups.get(partition).map_or(&[][..], std::slice::from_ref),
            None => &self.groups[..],
        };
        let rows: u64 = groups.iter().flatten().map(|day| day.rows).sum();
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(Arc::new(statistics))
    }
}

/// The days of one output partition, one after the other.
struct Reader {
    days: VecDeque<DayInput>,
    day: Option<Opened>,
    keys: KeyColumns,
    output: Vec<usize>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
}

/// A day that is being read.
enum Opened {
    Merge(DayMerge),
    Once(DayInOrder),
}

impl Opened {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Merge(day) => day.next().await,
            Self::Once(day) => day.next().await,
        }
    }
}

impl Reader {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(day) = &mut self.day {
                if let Some(batch) = day.next().await? {
                    return Ok(Some(batch));
                }
                self.day = None;
            }
            let Some(input) = self.days.pop_front() else { return Ok(None) };
            self.day = Some(if input.once {
                Opened::Once(DayInOrder {
                    files: input.inputs.into(),
                    file: None,
                    partner: self.output.iter().position(|column| *column == self.keys.partner),
                    last: None,
                    context: Arc::clone(&self.context),
                })
            } else {
                Opened::Merge(self.merge(&input)?)
            });
        }
    }

    fn merge(&self, input: &DayInput) -> Result<DayMerge> {
        let mut cursors = Vec::new();
        for plan in &input.inputs {
            let stream = plan.execute(0, Arc::clone(&self.context))?;
            cursors.push(Cursor { stream, current: None });
        }
        Ok(DayMerge {
            cursors,
            opened: false,
            gathered: Gathered::default(),
            keys: self.keys,
            output: self.output.clone(),
            schema: Arc::clone(&self.schema),
        })
    }
}

/// The files of a compacted day, one after the other.
struct DayInOrder {
    files: VecDeque<Arc<dyn ExecutionPlan>>,
    file: Option<SendableRecordBatchStream>,
    /// The partner's column, where it is handed on.
    partner: Option<usize>,
    /// The partner of the last row.
    last: Option<String>,
    context: Arc<TaskContext>,
}

impl DayInOrder {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(file) = &mut self.file {
                if let Some(batch) = file.next().await {
                    let batch = batch?;
                    self.check_order(&batch)?;
                    return Ok(Some(batch));
                }
                self.file = None;
            }
            let Some(plan) = self.files.pop_front() else { return Ok(None) };
            self.file = Some(plan.execute(0, Arc::clone(&self.context))?);
        }
    }

    /// Aggregates rely on the order.
    fn check_order(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(column) = self.partner.filter(|_| batch.num_rows() > 0) else { return Ok(()) };
        let column = batch.column(column);
        let partners = text(column, IDENTITY[0])?;
        let runs = partition(std::slice::from_ref(column))?.ranges();
        let mut before = self.last.as_deref();
        for run in &runs {
            let partner = partners.value(run.start);
            if before.is_some_and(|before| partner < before) {
                return not_sorted();
            }
            before = Some(partner);
        }
        self.last = before.map(str::to_owned);
        Ok(())
    }
}

fn text(column: &ArrayRef, name: &str) -> Result<StringArray> {
    column.as_string_opt::<i32>().cloned().ok_or_else(|| {
        DataFusionError::Execution(format!("the column {name} of a raw table is no Utf8"))
    })
}

fn not_sorted() -> Result<()> {
    Err(DataFusionError::Execution(
        "a file of a raw table is not sorted by partner_id; load its day again".to_owned(),
    ))
}

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

/// A batch of arrivals, taken apart.
struct Rows {
    partner: StringArray,
    event: StringArray,
    topic: StringArray,
    partition: ArrayRef,
    offset: ArrayRef,
    /// Of the event ids.
    hashes: Vec<u64>,
    /// First row and the row after the last, of each partner.
    runs: Vec<(usize, usize)>,
    /// What is handed on.
    output: RecordBatch,
}

/// Rows of one batch that follow each other.
#[derive(Clone)]
struct Piece {
    rows: Arc<Rows>,
    start: usize,
    end: usize,
}

/// The merge of the files of one day.
struct DayMerge {
    cursors: Vec<Cursor>,
    opened: bool,
    gathered: Gathered,
    keys: KeyColumns,
    output: Vec<usize>,
    schema: SchemaRef,
}

impl DayMerge {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
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
                let rows = Arc::new(Rows::of(&batch, self.keys, &self.output)?);
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
    fn of(batch: &RecordBatch, keys: KeyColumns, output: &[usize]) -> Result<Self> {
        let text = |column: usize| text(batch.column(column), batch.schema().field(column).name());
        let partner = batch.column(keys.partner);
        let runs = partition(std::slice::from_ref(partner))?.ranges();
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes([batch.column(keys.event)], &RandomState::with_seed(0), &mut hashes)?;
        Ok(Self {
            partner: text(keys.partner)?,
            event: text(keys.event)?,
            topic: text(keys.topic)?,
            partition: Arc::clone(batch.column(keys.partition)),
            offset: Arc::clone(batch.column(keys.offset)),
            hashes,
            runs: runs.into_iter().map(|range| (range.start, range.end)).collect(),
            output: batch.project(output)?,
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
    if !may_hold_copies(&pieces) {
        for piece in pieces {
            into.push(piece);
        }
        return;
    }
    let rows = || {
        pieces
            .iter()
            .enumerate()
            .flat_map(|(p, piece)| (piece.start..piece.end).map(move |r| (p, r)))
    };
    let mut best: HashMap<&str, (usize, usize)> = HashMap::new();
    for (p, row) in rows() {
        let held = best.entry(pieces[p].rows.event.value(row)).or_insert((p, row));
        if pieces[p].rows.origin(row) < pieces[held.0].rows.origin(held.1) {
            *held = (p, row);
        }
    }
    for (p, row) in rows() {
        if best.get(pieces[p].rows.event.value(row)) == Some(&(p, row)) {
            into.push(Piece { rows: Arc::clone(&pieces[p].rows), start: row, end: row + 1 });
        }
    }
}

/// Whether two rows have event ids of one hash: nearly always no, and then nothing is compared.
fn may_hold_copies(pieces: &[Piece]) -> bool {
    let rows: usize = pieces.iter().map(|p| p.end - p.start).sum();
    if rows < 2 {
        return false;
    }
    let mut hashes = Vec::with_capacity(rows);
    for piece in pieces {
        hashes.extend_from_slice(&piece.rows.hashes[piece.start..piece.end]);
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
