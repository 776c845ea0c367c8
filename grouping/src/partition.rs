//! Groups the rows of one partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::config::ExecutionOptions;
use datafusion::common::format::MetricType;
use datafusion::common::{Result, resources_err};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, MetricBuilder};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode, SendableRecordBatchStream};
use futures::StreamExt;

use crate::exec::{NormalizedKeyAggregateExec, is_partial};
use crate::functions::{Function, new_functions};
use crate::groups::Groups;

/// The first part of the name by which a memory pool knows what holds whole groups. The number of a partition
/// follows. Partial groups have another name: they need no share of a pool, for they are emitted at any time.
pub const MEMORY_CONSUMER: &str = "NormalizedKeyAggregate[";
const PARTIAL_MEMORY_CONSUMER: &str = "PartialNormalizedKeyAggregate[";

/// The names under which EXPLAIN ANALYZE shows what was not grouped here.
const PASSED_ON_METRIC: &str = "passed_on_rows";
const STARTED_OVER_METRIC: &str = "started_over";

/// The plan of DataFusion has one table of groups, and here each key has a table of its values besides. That
/// is quicker where a group has at least so many rows on average.
const LEAST_ROWS_OF_GROUP: usize = 4;

/// What the partitions of a plan find out for those after them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Whether memory did not suffice for one of them.
    is_short: AtomicBool,
    /// How many rows were grouped, by all of them.
    rows: AtomicUsize,
    /// How many groups these rows have.
    groups: AtomicUsize,
}

impl Findings {
    fn add(&self, rows: usize, groups: usize) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.groups.fetch_add(groups, Ordering::Relaxed);
    }

    fn are_groups_small(&self, options: &ExecutionOptions) -> bool {
        let [rows, groups] = [&self.rows, &self.groups].map(|count| count.load(Ordering::Relaxed));
        rows >= least_rows(options) && are_groups_small(rows, groups)
    }
}

/// Whether groups have so few rows that the plan of DataFusion is quicker.
fn are_groups_small(rows: usize, groups: usize) -> bool {
    groups > rows / LEAST_ROWS_OF_GROUP
}

/// How many rows tell how large groups are: as many as DataFusion looks at before it passes rows on that are
/// hardly grouped.
fn least_rows(options: &ExecutionOptions) -> usize {
    options.skip_partial_aggregation_probe_rows_threshold
}

/// Whether small groups are left to the plan of DataFusion. If rows are sorted by keys, it looks groups up row
/// by row, which takes longer. If they come from other groups, all of these would be computed again.
fn leaves_small_groups(aggregate: &AggregateExec) -> bool {
    !is_partial(aggregate)
        && *aggregate.input_order_mode() == InputOrderMode::Linear
        && !reads_groups(aggregate.input())
}

fn reads_groups(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<AggregateExec>()
        || plan.is::<NormalizedKeyAggregateExec>()
        || plan.children().into_iter().any(reads_groups)
}

/// The grouping of one partition.
pub(super) struct Grouping {
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
    findings: Arc<Findings>,
    /// Whether small groups are left to the plan of DataFusion, once rows have told that they are small.
    leaves_small_groups: bool,
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

impl Grouping {
    pub(super) fn start(
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
        let options = &context.session_config().options().execution;
        let leaves_small_groups = leaves_small_groups(&aggregate);
        let is_left = plan.findings.is_short.load(Ordering::Relaxed)
            || leaves_small_groups && plan.findings.are_groups_small(options);
        let input = if is_left {
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
            findings: Arc::clone(&plan.findings),
            leaves_small_groups,
            metrics: BaselineMetrics::new(&plan.metrics, partition),
            passed_on: counter(PASSED_ON_METRIC),
            started_over,
        })
    }

    /// Returns the next groups.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.returned += batch.num_rows();
                return Ok(Some(self.record(batch)));
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
                            self.emit_all()
                        }
                    };
                    match done {
                        Err(error) if is_exhausted(&error) && !self.is_partial() => {
                            tracing::debug!(%error, "groups by DataFusion's plan");
                            self.findings.is_short.store(true, Ordering::Relaxed);
                            self.start_over()?;
                        }
                        other => other?,
                    }
                    if matches!(self.input, Input::Rows(_)) && self.leaves_rows() {
                        tracing::debug!("small groups by DataFusion's plan");
                        self.start_over()?;
                    }
                }
                Input::Groups(groups, returned) => {
                    let Some(batch) = groups.next().await.transpose()? else { return Ok(None) };
                    let known = batch.num_rows().min(*returned);
                    *returned -= known;
                    if known < batch.num_rows() {
                        let new = batch.slice(known, batch.num_rows() - known);
                        return Ok(Some(self.record(new)));
                    }
                }
                Input::Ended => {
                    self.reservation.free();
                    return Ok(None);
                }
            }
        }
    }

    fn record(&self, groups: RecordBatch) -> RecordBatch {
        self.metrics.record_output(groups.num_rows());
        groups
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
        let before = self.emitted + self.groups.len();
        if self.passes_on || !self.group(&keys)? {
            return self.pass_on(keys, batch);
        }
        self.findings.add(rows, self.emitted + self.groups.len() - before);
        for function in &mut self.functions {
            let (arguments, filter) = function.evaluate(batch)?;
            let groups = self.groups.len();
            let accumulator = &mut function.accumulator;
            accumulator.update_batch(&arguments, &self.group_of_row, filter.as_ref(), groups)?;
        }
        self.grouped += rows;
        if self.should_pass_on() {
            self.passes_on = true;
            self.emit(self.groups.len())?;
        } else if self.is_sorted() && self.groups.len() >= self.emit_at {
            self.emit_ended()?;
        }
        self.reserve()
    }

    /// Finds the groups of rows. Returns false if they can't be found, and the rows can be passed on.
    fn group(&mut self, keys: &[ArrayRef]) -> Result<bool> {
        let mut fits = self.groups.intern(keys, &mut self.group_of_row)?;
        if !fits && self.groups.len() > 0 {
            self.make_room()?;
            fits = self.groups.intern(keys, &mut self.group_of_row)?;
        }
        if !fits && !self.is_partial() {
            return resources_err!("the keys have too many values to be one number");
        }
        if !fits {
            // Hardly two rows have the same key.
            self.passes_on = !self.is_sorted();
        }
        Ok(fits)
    }

    /// Emits the groups that have ended, and the next ones when there are twice as many.
    fn emit_ended(&mut self) -> Result<()> {
        let ended = self.groups.ended();
        if ended > 0 {
            let most = self.context.session_config().batch_size();
            self.emit_at = most.min(self.emit_at * 2);
        }
        self.emit(ended)
    }

    /// Reserves the memory that is held, or emits groups where there is none.
    fn reserve(&mut self) -> Result<()> {
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

    /// Emits the groups at the end, and keeps the memory of these alone.
    fn emit_all(&mut self) -> Result<()> {
        self.emit(self.groups.len())?;
        // All batches are slices of one.
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
    fn should_pass_on(&self) -> bool {
        let options = &self.context.session_config().options().execution;
        let least = options.skip_partial_aggregation_probe_rows_threshold;
        let most = options.skip_partial_aggregation_probe_ratio_threshold;
        self.is_partial()
            && !self.is_sorted()
            && self.grouped >= least
            && (self.emitted + self.groups.len()) as f64 > most * self.grouped as f64
    }

    /// Whether the rows are left to the plan of DataFusion. Only the first rows tell it, because all that were
    /// grouped so far are read again.
    fn leaves_rows(&mut self) -> bool {
        let options = &self.context.session_config().options().execution;
        if !self.leaves_small_groups || self.grouped < least_rows(options) {
            return false;
        }
        self.leaves_small_groups = false;
        are_groups_small(self.grouped, self.emitted + self.groups.len())
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
