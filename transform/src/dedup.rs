//! Each event once: of the copies of an event, the one with the lowest (topic, partition, offset).
//!
//! Copies share (`partner_id`, `event_id`, `event_date`) and may differ in anything else, the
//! instant included. The files of a day are each sorted by partner, so a merge of them by partner
//! holds the rows of one partner at a time, and only these are compared. A day that was compacted
//! holds no copies: its files are read one after the other, and ids only where they are asked for.
//! So it is with a day that was looked through before (`apart`), but that its files are merged.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::compute::{SortOptions, cast, partition};
use arrow::datatypes::{DataType, SchemaRef};
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

mod apart;
mod merge;

pub(crate) use apart::Apart;
use merge::{DayMerge, Layout};

/// What tells events apart, and which of two copies counts.
pub(crate) const IDENTITY: [&str; 5] =
    ["partner_id", "event_id", "topic", "kafka_partition", "kafka_offset"];

/// The files of one day, each sorted by partner, one partition each.
#[derive(Debug, Clone)]
pub(crate) struct DayInput {
    pub inputs: Vec<Arc<dyn ExecutionPlan>>,
    /// With copies; for sharing out the work.
    pub rows: u64,
    pub copies: Copies,
}

/// Whether events of a day may stand in its files twice, and with it what the inputs give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// They may: the columns that are handed on, and those of the identity.
    Possible,
    /// None does: the columns that are handed on, and the partner.
    None,
    /// None does, and partners of one file come before those of the next: the columns that are
    /// handed on.
    Compacted,
}

/// Reads days of arrivals and gives each event once, sorted by partner within a day.
#[derive(Debug)]
pub(crate) struct DedupExec {
    /// Days by output partition.
    groups: Vec<Vec<DayInput>>,
    /// Of inputs with the columns of the identity.
    full: Layout,
    /// Of inputs with the partner beside what is handed on.
    apart: Layout,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DedupExec {
    /// `wanted` are columns of `table` that are handed on; `day` is a column that the days of each
    /// group ascend by.
    pub(crate) fn new(
        mut groups: Vec<Vec<DayInput>>,
        table: &SchemaRef,
        wanted: &[usize],
        day: Option<&str>,
    ) -> Result<Self> {
        if groups.is_empty() {
            groups.push(Vec::new());
        }
        let schema = Arc::new(table.project(wanted)?);
        let properties = PlanProperties::new(
            in_order(schema, day),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            groups,
            full: Layout::new(table, wanted, &IDENTITY)?,
            apart: Layout::new(table, wanted, &IDENTITY[..1])?,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

/// The columns that are read of a table where some are wanted, and these too.
pub(crate) fn columns_with(
    table: &SchemaRef,
    wanted: &[usize],
    needed: &[&str],
) -> Result<Vec<usize>> {
    let mut columns = wanted.to_vec();
    for name in needed {
        columns.push(table.index_of(name)?);
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
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
        let of = |copies| self.groups.iter().flatten().filter(|day| day.copies == copies).count();
        let (compacted, apart) = (of(Copies::Compacted), of(Copies::None));
        write!(f, "DedupExec: days={days}, compacted={compacted}, apart={apart}, files={files}")
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
            full: self.full.clone(),
            apart: self.apart.clone(),
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
    full: Layout,
    apart: Layout,
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
            self.day = Some(match input.copies {
                Copies::Possible => Opened::Merge(self.merge(&input, &self.full)?),
                Copies::None => Opened::Merge(self.merge(&input, &self.apart)?),
                Copies::Compacted => Opened::Once(DayInOrder {
                    files: input.inputs.into(),
                    file: None,
                    partner: self.schema.index_of(IDENTITY[0]).ok(),
                    last: None,
                    context: Arc::clone(&self.context),
                }),
            });
        }
    }

    fn merge(&self, input: &DayInput, layout: &Layout) -> Result<DayMerge> {
        let files = input.inputs.iter().map(|plan| plan.execute(0, Arc::clone(&self.context)));
        let files = files.collect::<Result<_>>()?;
        Ok(DayMerge::new(files, layout.clone(), Arc::clone(&self.schema)))
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
        let partners = text(column)?;
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

fn text(column: &ArrayRef) -> Result<StringViewArray> {
    Ok(cast(column, &DataType::Utf8View)?.as_string_view().clone())
}

fn not_sorted() -> Result<()> {
    Err(DataFusionError::Execution(
        "a file of a raw table is not sorted by partner_id; load its day again".to_owned(),
    ))
}
