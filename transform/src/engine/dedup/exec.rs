//! The physical plan that reads days of events without duplicates.
//!
//! The files of a compacted day are read one after the other, and ids only where the query asks for
//! them. The files of other days are merged by partner.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use futures::StreamExt;

use super::identity::{IDENTITY, not_sorted, to_string_view};
use crate::engine::dedup::sorted_merge::{DayMerge, InputLayout};

/// The metric of the copies that a plan left out.
const COPIES_METRIC: &str = "copies";

/// Returns how many copies of events a plan has left out so far.
pub(crate) fn copies_left_out(plan: &dyn ExecutionPlan) -> u64 {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(COPIES_METRIC));
    let below = plan.children().into_iter().map(|child| copies_left_out(child.as_ref()));
    own.map_or(0, |copies| copies.as_usize() as u64) + below.sum::<u64>()
}

/// The scans of the files of one day. Each has one partition, sorted by partner.
#[derive(Debug, Clone)]
pub(crate) struct DayInput {
    pub inputs: Vec<Arc<dyn ExecutionPlan>>,
    /// The rows of the files, duplicates included. The work is divided by them.
    pub rows: u64,
    pub duplicates: Duplicates,
}

/// Whether the files of a day can hold duplicates. This decides which columns the scans return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// Duplicates are possible. The scans return the output columns and those of the identity.
    Possible,
    /// There are no duplicates. The scans return the output columns and the partner.
    None,
    /// There are no duplicates, and the partners of one file come before those of the next. The
    /// scans return the output columns.
    Compacted,
}

/// Returns each event of some days once, sorted by partner within a day.
#[derive(Debug)]
pub(crate) struct DedupExec {
    /// The days of each output partition.
    groups: Vec<Vec<DayInput>>,
    /// The columns of inputs in which duplicates are possible.
    full_layout: InputLayout,
    /// The columns of inputs without duplicates.
    partner_layout: InputLayout,
    /// The output column of the day, where the days of each group are sorted by it.
    day: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DedupExec {
    /// `wanted` are the output columns of `table`. `day` is the column by which the days of each
    /// group are sorted, where they are.
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
        let day_column = day.and_then(|name| schema.index_of(name).ok());
        let order = sorted_by_day_and_partner(schema, day);
        Ok(Self {
            day: day_column,
            properties: Arc::new(properties(order, groups.len())),
            groups,
            full_layout: InputLayout::new(table, wanted, &IDENTITY)?,
            partner_layout: InputLayout::new(table, wanted, &IDENTITY[..1])?,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Returns the output column of the day, where the days of each partition are sorted by it.
    pub(crate) const fn day_column(&self) -> Option<usize> {
        self.day
    }

    /// Returns the number of days.
    pub(crate) fn days(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    /// Returns the same scan with a partition for each day, and the days of each partition of this
    /// one. It does not say how a day is sorted, so that a day is grouped by hashing.
    pub(crate) fn single_days(&self) -> (Self, Vec<Range<usize>>) {
        let mut end = 0;
        let ranges = self.groups.iter().map(|group| {
            let start = end;
            end += group.len();
            start..end
        });
        let ranges = ranges.collect();
        let days: Vec<Vec<DayInput>> =
            self.groups.iter().flatten().cloned().map(|day| vec![day]).collect();
        let order = EquivalenceProperties::new(self.schema());
        let single = Self {
            properties: Arc::new(properties(order, days.len())),
            groups: days,
            full_layout: self.full_layout.clone(),
            partner_layout: self.partner_layout.clone(),
            day: self.day,
            metrics: ExecutionPlanMetricsSet::new(),
        };
        (single, ranges)
    }
}

fn properties(order: EquivalenceProperties, partitions: usize) -> PlanProperties {
    PlanProperties::new(
        order,
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
}

/// Returns the order of the rows: by day and partner, as far as the output has these columns.
fn sorted_by_day_and_partner(schema: SchemaRef, day: Option<&str>) -> EquivalenceProperties {
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
        let days = self.days();
        let files: usize = self.groups.iter().flatten().map(|day| day.inputs.len()).sum();
        let of = |duplicates| {
            self.groups.iter().flatten().filter(|day| day.duplicates == duplicates).count()
        };
        let (compacted, unique) = (of(Duplicates::Compacted), of(Duplicates::None));
        write!(f, "DedupExec: days={days}, compacted={compacted}, unique={unique}, files={files}")
    }
}

impl ExecutionPlan for DedupExec {
    fn name(&self) -> &'static str {
        "DedupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Returns none. The scans inside are sorted and grouped by day, and no optimizer rule may
    /// rearrange them.
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
        let reader = DayReader {
            days: days.into(),
            day: None,
            full_layout: self.full_layout.clone(),
            partner_layout: self.partner_layout.clone(),
            schema: self.schema(),
            context,
            copies: MetricBuilder::new(&self.metrics).counter(COPIES_METRIC, partition),
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

    /// Returns the number of rows, duplicates included. Joins choose their build side by it.
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

/// Reads the days of one output partition one after the other.
struct DayReader {
    days: VecDeque<DayInput>,
    day: Option<OpenDay>,
    full_layout: InputLayout,
    partner_layout: InputLayout,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    /// Counts the copies that were left out.
    copies: Count,
}

/// A day that is being read.
enum OpenDay {
    Merge(DayMerge),
    Compacted(CompactedDayReader),
}

impl OpenDay {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Merge(day) => day.next().await,
            Self::Compacted(day) => day.next().await,
        }
    }
}

impl DayReader {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(day) = &mut self.day {
                let batch = day.next().await?;
                if let OpenDay::Merge(merge) = day {
                    self.copies.add(std::mem::take(&mut merge.copies) as usize);
                }
                if batch.is_some() {
                    return Ok(batch);
                }
                self.day = None;
            }
            let Some(input) = self.days.pop_front() else { return Ok(None) };
            self.day = Some(match input.duplicates {
                Duplicates::Possible => OpenDay::Merge(self.merge(&input, &self.full_layout)?),
                Duplicates::None => OpenDay::Merge(self.merge(&input, &self.partner_layout)?),
                Duplicates::Compacted => OpenDay::Compacted(CompactedDayReader {
                    files: input.inputs.into(),
                    file: None,
                    partner: self.schema.index_of(IDENTITY[0]).ok(),
                    last_partner: None,
                    context: Arc::clone(&self.context),
                }),
            });
        }
    }

    fn merge(&self, input: &DayInput, layout: &InputLayout) -> Result<DayMerge> {
        let files = input.inputs.iter().map(|plan| plan.execute(0, Arc::clone(&self.context)));
        let files = files.collect::<Result<_>>()?;
        Ok(DayMerge::new(files, layout.clone(), Arc::clone(&self.schema)))
    }
}

/// Reads the files of a compacted day one after the other.
struct CompactedDayReader {
    files: VecDeque<Arc<dyn ExecutionPlan>>,
    file: Option<SendableRecordBatchStream>,
    /// The index of the partner's column, where the output has it.
    partner: Option<usize>,
    /// The partner of the last row so far.
    last_partner: Option<String>,
    context: Arc<TaskContext>,
}

impl CompactedDayReader {
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

    /// Returns an error where partners are not sorted, because aggregates rely on the order.
    fn check_order(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(column) = self.partner.filter(|_| batch.num_rows() > 0) else { return Ok(()) };
        let column = batch.column(column);
        let partners = to_string_view(column)?;
        let views = partners.views();
        let mut before = self.last_partner.as_deref();
        for row in 0..views.len() {
            // Equal views are equal texts, and most rows have the partner of the row before.
            if row > 0 && views[row] == views[row - 1] {
                continue;
            }
            let partner = partners.value(row);
            if before.is_some_and(|before| partner < before) {
                return not_sorted();
            }
            before = Some(partner);
        }
        self.last_partner = before.map(str::to_owned);
        Ok(())
    }
}
