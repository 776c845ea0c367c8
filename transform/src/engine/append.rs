//! The physical plan that reads partitions of its input one after the other.
//!
//! PostgreSQL's node `Append` does the same with the partitions of a table. Here each partition of
//! the input holds one day, so the memory of an aggregate below is that of a day a thread. The few rows
//! of several days are returned as one batch, because each batch that goes to another thread wakes it up:
//! those of one day first, then of two, then of four, so that a limit is reached soon.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
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
        let rows = context.session_config().batch_size();
        let reader = PartitionReader {
            input: Arc::clone(&self.input),
            partitions: group.collect(),
            open: None,
            context,
            coalescer: BatchCoalescer::new(self.schema(), rows)
                .with_biggest_coalesce_batch_size(Some(rows / 2)),
            together: 1,
            ended: 0,
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
    coalescer: BatchCoalescer,
    /// How many partitions are returned as one batch, where they have few rows.
    together: usize,
    /// How many of these have ended.
    ended: usize,
}

impl PartitionReader {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.coalescer.next_completed_batch() {
                return Ok(Some(batch));
            }
            let Some(open) = &mut self.open else {
                match self.partitions.pop_front() {
                    Some(next) => {
                        self.open = Some(self.input.execute(next, Arc::clone(&self.context))?);
                    }
                    None if self.coalescer.is_empty() => return Ok(None),
                    None => self.coalescer.finish_buffered_batch()?,
                }
                continue;
            };
            if let Some(batch) = open.next().await.transpose()? {
                // A large batch after a few rows would be copied.
                let limit = self.coalescer.biggest_coalesce_batch_size();
                if limit.is_some_and(|limit| batch.num_rows() > limit) {
                    self.coalescer.finish_buffered_batch()?;
                }
                self.coalescer.push_batch(batch)?;
                continue;
            }
            self.open = None;
            self.ended += 1;
            if self.ended == self.together {
                self.coalescer.finish_buffered_batch()?;
                (self.together, self.ended) = (2 * self.together, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::compute::SortOptions;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_expr::PhysicalSortExpr;
    use datafusion::physical_expr::expressions::Column;
    use futures::TryStreamExt;

    use super::*;
    use crate::engine::context::context_without_lake;

    /// Appends partitions of batches of so many rows, which are numbered, and returns the rows of each
    /// batch of the only output partition.
    async fn appended(partitions: &[&[i64]]) -> Vec<Vec<i64>> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let mut next = 0;
        let mut batch = |rows: &i64| {
            let numbers = Int64Array::from_iter_values(next..next + rows);
            next += rows;
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)]).expect("rows")
        };
        let partitions: Vec<Vec<RecordBatch>> =
            partitions.iter().map(|sizes| sizes.iter().map(&mut batch).collect()).collect();
        let input = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&schema), None);
        let column = PhysicalSortExpr::new(Arc::new(Column::new("n", 0)), SortOptions::default());
        let order = LexOrdering::new([column]).expect("an order");
        let groups = std::iter::once(0..partitions.len()).collect();
        let plan = AppendExec::new(input.expect("a plan"), groups, order);
        let rows = plan.execute(0, context_without_lake().task_ctx()).expect("a stream");
        let batches: Vec<RecordBatch> = rows.try_collect().await.expect("rows");
        let numbers =
            |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        batches.iter().map(numbers).collect()
    }

    #[tokio::test]
    async fn few_rows_of_more_and_more_partitions_are_one_batch() {
        let sizes = async |partitions: &[&[i64]]| {
            let batches = appended(partitions).await;
            let rows: Vec<i64> = batches.iter().flatten().copied().collect();
            assert!(rows.iter().copied().eq(0..rows.len() as i64), "{partitions:?}: {rows:?}");
            batches.iter().map(Vec::len).collect::<Vec<_>>()
        };
        let small: Vec<&[i64]> = vec![&[3]; 20];
        assert_eq!(sizes(&small).await, [3, 6, 12, 24, 15]);
        assert_eq!(sizes(&[&[3], &[], &[2, 4], &[0], &[1]]).await, [3, 6, 1]);
        assert_eq!(sizes(&[&[8192], &[8192, 5000]]).await, [8192, 8192, 5000]);
        assert_eq!(sizes(&[&[3, 8192], &[3, 3], &[8192]]).await, [3, 8192, 6, 8192]);
        let halves = sizes(&[&[1], &[4000, 4000], &[4000]]).await;
        assert_eq!(halves, [1, 8192, 3808]);
        assert_eq!(sizes(&[&[], &[]]).await, [0_usize; 0]);
    }
}
