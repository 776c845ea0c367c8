//! The physical plan that groups by normalized keys.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::common::format::MetricType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err, resources_err};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{ColumnarValue, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::aggregates::{
    AggregateExec, AggregateInputMode, AggregateOutputMode, aggregate_expressions,
};
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, InputOrderMode, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use futures::StreamExt;

use crate::groups::Groups;
use crate::value_ids::ValueIds;
use crate::words::is_number;

/// The first part of the name by which a memory pool knows what holds whole groups. The number of a partition
/// follows. Partial groups have another name: they need no share of a pool, for they are emitted at any time.
pub const MEMORY_CONSUMER: &str = "NormalizedKeyAggregate[";
const PARTIAL_MEMORY_CONSUMER: &str = "PartialNormalizedKeyAggregate[";

/// The names under which EXPLAIN ANALYZE shows what was not grouped here.
const PASSED_ON_METRIC: &str = "passed_on_rows";
const STARTED_OVER_METRIC: &str = "started_over";

/// Groups rows as an [`AggregateExec`] does, with the same groups in the same order. Where memory does not
/// suffice, that one reads and groups the rows.
#[derive(Debug)]
pub struct NormalizedKeyAggregateExec {
    aggregate: Arc<AggregateExec>,
    /// Whether memory did not suffice for a partition, as it will not for the next ones.
    is_short: Arc<AtomicBool>,
    metrics: ExecutionPlanMetricsSet,
}

impl NormalizedKeyAggregateExec {
    /// Returns the plan that takes the place of an aggregate, if there is one: for the modes `Partial`,
    /// `Single` and `SinglePartitioned`, keys of texts, whole numbers, truth values, days and instants,
    /// and functions that have an accumulator for groups. Where groups are not partial, the input must
    /// give the same rows in the same order when it is executed again.
    ///
    /// # Errors
    /// Keys without a type.
    pub fn of(aggregate: &AggregateExec) -> Result<Option<Self>> {
        let keys = aggregate.group_expr();
        let is_plain = aggregate.mode().input_mode() == AggregateInputMode::Raw
            && keys.is_single()
            && !keys.expr().is_empty()
            && aggregate.limit_options().is_none()
            && aggregate.dynamic_expressions_produced().is_empty()
            && aggregate.aggr_expr().iter().all(|function| function.groups_accumulator_supported());
        if !is_plain || !can_start_over(aggregate) {
            return Ok(None);
        }
        let schema = keys.group_schema(&aggregate.input().schema())?;
        let mut types = schema.fields().iter().map(|field| field.data_type());
        // A number needs none: DataFusion has a hash table for a single one.
        let is_number = schema.fields().len() == 1 && types.clone().all(is_number);
        Ok((!is_number && types.all(ValueIds::has_type)).then(|| Self::new(aggregate)))
    }

    fn new(aggregate: &AggregateExec) -> Self {
        let aggregate = Arc::new(aggregate.clone());
        Self { aggregate, is_short: Arc::default(), metrics: ExecutionPlanMetricsSet::new() }
    }

    fn over(aggregate: &dyn ExecutionPlan) -> Result<Arc<dyn ExecutionPlan>> {
        match aggregate.downcast_ref::<AggregateExec>() {
            Some(aggregate) => Ok(Arc::new(Self::new(aggregate))),
            None => internal_err!("{} is no aggregate", aggregate.name()),
        }
    }
}

impl DisplayAs for NormalizedKeyAggregateExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "AggregateExec: mode=…" follows, but in a tree, which shows names by itself.
        if !matches!(t, DisplayFormatType::TreeRender) {
            f.write_str("NormalizedKey")?;
        }
        self.aggregate.fmt_as(t, f)
    }
}

impl ExecutionPlan for NormalizedKeyAggregateExec {
    fn name(&self) -> &'static str {
        "NormalizedKeyAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.aggregate.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.aggregate.children()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.aggregate.required_input_ordering()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.aggregate.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.aggregate.maintains_input_order()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.aggregate.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Self::over(Arc::clone(&self.aggregate).replace_children(children, options)?.as_ref())
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, recompute)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let grouping = Grouping::start(self, partition, context)?;
        let stream = futures::stream::try_unfold(grouping, |mut grouping| async move {
            let batch = grouping.next().await?;
            Ok(batch.map(|batch| {
                grouping.metrics.record_output(batch.num_rows());
                (batch, grouping)
            }))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The grouping of one partition.
struct Grouping {
    aggregate: Arc<AggregateExec>,
    partition: usize,
    context: Arc<TaskContext>,
    input: Input,
    groups: Groups,
    functions: Vec<Function>,
    /// The group of each row of a batch.
    group_of_row: Vec<usize>,
    reservation: MemoryReservation,
    /// Groups that are to be returned.
    ready: VecDeque<RecordBatch>,
    /// The number of rows that were returned.
    returned: usize,
    /// How many groups are held, at least, when those that have ended are emitted: few at first, so that
    /// a limit is reached soon.
    emit_at: usize,
    /// How many groups were emitted.
    emitted: usize,
    /// How many rows have groups that were emitted or are held.
    grouped: usize,
    /// Whether each row becomes a partial group.
    passes_on: bool,
    is_short: Arc<AtomicBool>,
    metrics: BaselineMetrics,
    /// The rows that became partial groups.
    passed_on: Count,
    /// How often the plan of DataFusion had to group the rows.
    started_over: Count,
}

/// What is read.
enum Input {
    Rows(SendableRecordBatchStream),
    /// What the plan of DataFusion returns, and how many rows of it were returned before.
    Groups(SendableRecordBatchStream, usize),
    Ended,
}

/// An aggregate function with its arguments.
struct Function {
    arguments: Vec<Argument>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    accumulator: Box<dyn GroupsAccumulator>,
}

struct Argument {
    expression: Arc<dyn PhysicalExpr>,
    /// The column of a constant, as `count(*)` has one.
    constant: Option<ArrayRef>,
}

impl Grouping {
    fn start(
        plan: &NormalizedKeyAggregateExec,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<Self> {
        let aggregate = Arc::clone(&plan.aggregate);
        let counter = |name| {
            let metric = MetricBuilder::new(&plan.metrics).with_type(MetricType::Summary);
            metric.counter(name, partition)
        };
        let started_over = counter(STARTED_OVER_METRIC);
        let input = if plan.is_short.load(Ordering::Relaxed) {
            started_over.add(1);
            Input::Groups(aggregate.execute(partition, Arc::clone(&context))?, 0)
        } else {
            Input::Rows(aggregate.input().execute(partition, Arc::clone(&context))?)
        };
        let consumer =
            if is_partial(&aggregate) { PARTIAL_MEMORY_CONSUMER } else { MEMORY_CONSUMER };
        let reservation = MemoryConsumer::new(format!("{consumer}{partition}]"))
            .with_can_spill(true)
            .register(context.memory_pool());
        Ok(Self {
            groups: new_groups(&aggregate)?,
            functions: new_functions(&aggregate)?,
            aggregate,
            partition,
            context,
            input,
            group_of_row: Vec::new(),
            reservation,
            ready: VecDeque::new(),
            returned: 0,
            emit_at: 1,
            emitted: 0,
            grouped: 0,
            passes_on: false,
            is_short: Arc::clone(&plan.is_short),
            metrics: BaselineMetrics::new(&plan.metrics, partition),
            passed_on: counter(PASSED_ON_METRIC),
            started_over,
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.returned += batch.num_rows();
                return Ok(Some(batch));
            }
            match &mut self.input {
                Input::Rows(rows) => {
                    let batch = rows.next().await.transpose()?;
                    let time = self.metrics.elapsed_compute().clone();
                    let _timer = time.timer();
                    let done = match batch {
                        Some(batch) => self.add_all(&batch),
                        None => {
                            self.input = Input::Ended;
                            self.emit(self.groups.len()).and_then(|()| self.release())
                        }
                    };
                    match done {
                        Err(error) if is_exhausted(&error) && !self.is_partial() => {
                            tracing::debug!(%error, "groups by DataFusion's plan");
                            self.start_over()?;
                        }
                        other => other?,
                    }
                }
                Input::Groups(groups, returned) => {
                    let Some(batch) = groups.next().await.transpose()? else { return Ok(None) };
                    let known = batch.num_rows().min(*returned);
                    *returned -= known;
                    if known < batch.num_rows() {
                        return Ok(Some(batch.slice(known, batch.num_rows() - known)));
                    }
                }
                Input::Ended => {
                    self.reservation.free();
                    return Ok(None);
                }
            }
        }
    }

    fn is_partial(&self) -> bool {
        is_partial(&self.aggregate)
    }

    fn is_sorted(&self) -> bool {
        *self.aggregate.input_order_mode() != InputOrderMode::Linear
    }

    /// Groups all rows again by the plan of DataFusion, which writes to disk what memory does not hold.
    /// If groups were returned, they are the first ones of that plan too: the rows are sorted by a part
    /// of the keys, and all groups up to some of these were returned.
    fn start_over(&mut self) -> Result<()> {
        self.started_over.add(1);
        self.is_short.store(true, Ordering::Relaxed);
        self.input = Input::Ended;
        self.ready.clear();
        self.groups = new_groups(&self.aggregate)?;
        self.functions.clear();
        self.reservation.free();
        let groups = self.aggregate.execute(self.partition, Arc::clone(&self.context))?;
        self.input = Input::Groups(groups, self.returned);
        Ok(())
    }

    fn add_all(&mut self, batch: &RecordBatch) -> Result<()> {
        let most = self.context.session_config().batch_size();
        if batch.num_rows() <= most {
            return self.add(batch);
        }
        for start in (0..batch.num_rows()).step_by(most) {
            self.add(&batch.slice(start, most.min(batch.num_rows() - start)))?;
        }
        Ok(())
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(());
        }
        let key =
            |(key, _): &(Arc<dyn PhysicalExpr>, String)| key.evaluate(batch)?.into_array(rows);
        let keys: Vec<ArrayRef> =
            self.aggregate.group_expr().expr().iter().map(key).collect::<Result<_>>()?;
        if self.passes_on {
            return self.pass_on(keys, batch);
        }
        let mut fits = self.groups.intern(&keys, &mut self.group_of_row)?;
        if !fits && self.groups.len() > 0 {
            self.make_room()?;
            fits = self.groups.intern(&keys, &mut self.group_of_row)?;
        }
        if !fits && self.is_partial() {
            // Hardly two rows have the same key.
            self.passes_on = !self.is_sorted();
            return self.pass_on(keys, batch);
        }
        if !fits {
            return resources_err!("the keys have too many values to be one number");
        }
        for function in &mut self.functions {
            let (arguments, filter) = function.evaluate(batch)?;
            let groups = self.groups.len();
            let accumulator = &mut function.accumulator;
            accumulator.update_batch(&arguments, &self.group_of_row, filter.as_ref(), groups)?;
        }
        self.grouped += rows;
        if self.is_hardly_grouped() {
            self.passes_on = true;
            self.emit(self.groups.len())?;
        }
        if self.is_sorted() && self.groups.len() >= self.emit_at {
            let ended = self.groups.ended();
            self.emit(ended)?;
            if ended > 0 {
                let most = self.context.session_config().batch_size();
                self.emit_at = most.min(self.emit_at * 2);
            }
        }
        if self.reservation.try_resize(self.size()).is_ok() {
            return Ok(());
        }
        self.make_room()?;
        match self.reservation.try_resize(self.size()) {
            // As much as nothing is held.
            Err(_) if self.is_partial() => Ok(()),
            other => other,
        }
    }

    /// Returns the bytes that are held.
    fn size(&self) -> usize {
        let functions: usize = self.functions.iter().map(|f| f.accumulator.size()).sum();
        self.groups.size() + functions + self.group_of_row.capacity() * size_of::<usize>()
    }

    /// Keeps the memory of what is returned, and no more.
    fn release(&mut self) -> Result<()> {
        self.groups = new_groups(&self.aggregate)?;
        self.functions.clear();
        self.group_of_row = Vec::new();
        // All slices of one batch.
        let held = self.ready.front().map_or(0, RecordBatch::get_array_memory_size);
        self.reservation.resize(held);
        Ok(())
    }

    /// Emits the groups that may be emitted now.
    fn make_room(&mut self) -> Result<()> {
        if self.is_partial() {
            self.emit(self.groups.len())?;
            self.groups = new_groups(&self.aggregate)?;
            self.group_of_row = Vec::new();
            return Ok(());
        }
        if self.is_sorted() { self.emit(self.groups.ended()) } else { Ok(()) }
    }

    /// Whether partial groups are hardly fewer than the rows, so that grouping them is left to the plan
    /// above.
    fn is_hardly_grouped(&self) -> bool {
        let options = &self.context.session_config().options().execution;
        let least = options.skip_partial_aggregation_probe_rows_threshold;
        let most = options.skip_partial_aggregation_probe_ratio_threshold;
        self.is_partial()
            && !self.is_sorted()
            && self.grouped >= least
            && (self.emitted + self.groups.len()) as f64 > most * self.grouped as f64
    }

    /// Makes each row a partial group.
    fn pass_on(&mut self, mut columns: Vec<ArrayRef>, batch: &RecordBatch) -> Result<()> {
        self.passed_on.add(batch.num_rows());
        for function in &mut self.functions {
            let (arguments, filter) = function.evaluate(batch)?;
            columns.extend(function.accumulator.convert_to_state(&arguments, filter.as_ref())?);
        }
        self.ready.push_back(RecordBatch::try_new(self.aggregate.schema(), columns)?);
        Ok(())
    }

    /// Makes batches of the first groups, and removes these.
    fn emit(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.emitted += count;
        let is_partial = self.is_partial();
        let some = if count == self.groups.len() { EmitTo::All } else { EmitTo::First(count) };
        let mut columns = self.groups.take_first(count)?;
        for function in &mut self.functions {
            if is_partial {
                columns.extend(function.accumulator.state(some)?);
            } else {
                columns.push(function.accumulator.evaluate(some)?);
            }
        }
        let all = RecordBatch::try_new(self.aggregate.schema(), columns)?;
        let most = self.context.session_config().batch_size();
        let starts = (0..count).step_by(most);
        self.ready.extend(starts.map(|start| all.slice(start, most.min(count - start))));
        Ok(())
    }
}

impl Function {
    /// Returns the arguments of each row, and which rows the filter passes.
    fn evaluate(&mut self, batch: &RecordBatch) -> Result<(Vec<ArrayRef>, Option<BooleanArray>)> {
        let arguments = self.arguments.iter_mut().map(|argument| argument.evaluate(batch));
        let arguments = arguments.collect::<Result<_>>()?;
        let filter = match &self.filter {
            Some(filter) => {
                let passes = filter.evaluate(batch)?.into_array(batch.num_rows())?;
                Some(passes.as_boolean().clone())
            }
            None => None,
        };
        Ok((arguments, filter))
    }
}

impl Argument {
    fn evaluate(&mut self, batch: &RecordBatch) -> Result<ArrayRef> {
        let rows = batch.num_rows();
        if let Some(constant) = &self.constant
            && constant.len() >= rows
        {
            return Ok(constant.slice(0, rows));
        }
        match self.expression.evaluate(batch)? {
            ColumnarValue::Array(column) => Ok(column),
            ColumnarValue::Scalar(value) => {
                let column = value.to_array_of_size(rows)?;
                // Only a literal is sure to have the same value in the next batch.
                if self.expression.is::<Literal>() {
                    self.constant = Some(Arc::clone(&column));
                }
                Ok(column)
            }
        }
    }
}

/// Whether groups may be returned before the plan of DataFusion has to group the rows. When that one merges
/// what it wrote to disk, it returns groups in the order of the keys, whatever they are sorted by: the first
/// ones are those that were returned if the first keys are those that the rows are sorted by. Keys that are
/// constant change no order.
fn can_start_over(aggregate: &AggregateExec) -> bool {
    let InputOrderMode::PartiallySorted(sorted) = aggregate.input_order_mode() else { return true };
    let (keys, rows) = (aggregate.group_expr().expr(), aggregate.input().equivalence_properties());
    let varies = |key: &usize| rows.is_expr_constant(&keys[*key].0).is_none();
    let mut first = (0..keys.len()).filter(varies);
    is_partial(aggregate)
        || sorted.iter().copied().filter(varies).all(|key| first.next() == Some(key))
}

fn is_partial(aggregate: &AggregateExec) -> bool {
    aggregate.mode().output_mode() == AggregateOutputMode::Partial
}

/// Whether memory did not suffice.
fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

fn new_groups(aggregate: &AggregateExec) -> Result<Groups> {
    let keys = aggregate.group_expr();
    let schema = keys.group_schema(&aggregate.input().schema())?;
    let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    let all: Vec<usize> = (0..types.len()).collect();
    Ok(match aggregate.input_order_mode() {
        InputOrderMode::Linear => Groups::new(&types, &[]),
        InputOrderMode::PartiallySorted(columns) => Groups::new(&types, columns),
        InputOrderMode::Sorted => Groups::new(&types, &all),
    })
}

fn new_functions(aggregate: &AggregateExec) -> Result<Vec<Function>> {
    let keys = aggregate.group_expr().num_group_exprs();
    let arguments = aggregate_expressions(aggregate.aggr_expr(), aggregate.mode(), keys)?;
    let functions = aggregate.aggr_expr().iter().zip(arguments).zip(aggregate.filter_expr());
    functions
        .map(|((function, arguments), filter)| {
            let argument = |expression| Argument { expression, constant: None };
            Ok(Function {
                arguments: arguments.into_iter().map(argument).collect(),
                filter: filter.clone(),
                accumulator: function.create_groups_accumulator()?,
            })
        })
        .collect()
}
