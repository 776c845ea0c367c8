//! The physical plan that reads partitions of its input one after the other.
//!
//! PostgreSQL's node `Append` does the same with the partitions of a table. Here each partition of
//! the input holds one day, so the memory of an aggregate below is that of a day a thread.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::StreamExt;

/// Returns in each output partition the rows of some input partitions, one after the other.
#[derive(Debug)]
pub(crate) struct AppendExec {
    input: Arc<dyn ExecutionPlan>,
    /// The input partitions of each output partition.
    groups: Vec<Range<usize>>,
    properties: Arc<PlanProperties>,
}

impl AppendExec {
    /// `order` is that of the rows of a group, which each of its partitions has, and which the
    /// partitions follow.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        groups: Vec<Range<usize>>,
        order: LexOrdering,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(input.schema(), [order]),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            input.boundedness(),
        );
        Self { input, groups, properties: Arc::new(properties) }
    }

    fn with_input(&self, children: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children else { return internal_err!("AppendExec has one child") };
        let (input, groups) = (Arc::clone(input), self.groups.clone());
        Ok(Arc::new(Self { input, groups, properties: Arc::clone(&self.properties) }))
    }
}

impl DisplayAs for AppendExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions: usize = self.groups.iter().map(Range::len).sum();
        write!(f, "AppendExec: partitions={partitions}, into={}", self.groups.len())
    }
}

impl ExecutionPlan for AppendExec {
    fn name(&self) -> &'static str {
        "AppendExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_input(&children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_input(&children)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let group = self.groups.get(partition).cloned().unwrap_or_default();
        let reader = PartitionReader {
            input: Arc::clone(&self.input),
            partitions: group.collect(),
            open: None,
            context,
        };
        let stream = futures::stream::try_unfold(reader, |mut reader| async move {
            Ok(reader.next().await?.map(|batch| (batch, reader)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

/// Reads partitions one after the other.
struct PartitionReader {
    input: Arc<dyn ExecutionPlan>,
    partitions: VecDeque<usize>,
    open: Option<SendableRecordBatchStream>,
    context: Arc<TaskContext>,
}

impl PartitionReader {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(batch) = open.next().await {
                    return batch.map(Some);
                }
                self.open = None;
            }
            let Some(partition) = self.partitions.pop_front() else { return Ok(None) };
            self.open = Some(self.input.execute(partition, Arc::clone(&self.context))?);
        }
    }
}
