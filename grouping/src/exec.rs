//! The physical plan that groups by normalized keys.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::aggregates::{
    AggregateExec, AggregateInputMode, AggregateOutputMode,
};
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, InputOrderMode, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};

use crate::partition::{Findings, Grouping};
use crate::value_ids::ValueIds;
use crate::words::is_number;

/// Groups rows as an [`AggregateExec`] does, with the same groups in the same order. Where memory does not
/// suffice, or unsorted groups have few rows, that one reads and groups the rows.
#[derive(Debug)]
pub struct NormalizedKeyAggregateExec {
    pub(super) aggregate: Arc<AggregateExec>,
    pub(super) findings: Arc<Findings>,
    pub(super) metrics: ExecutionPlanMetricsSet,
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
        Self { aggregate, findings: Arc::default(), metrics: ExecutionPlanMetricsSet::new() }
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
            Ok(grouping.next().await?.map(|batch| (batch, grouping)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
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

/// Whether groups are merged by a plan above.
pub(super) fn is_partial(aggregate: &AggregateExec) -> bool {
    aggregate.mode().output_mode() == AggregateOutputMode::Partial
}
