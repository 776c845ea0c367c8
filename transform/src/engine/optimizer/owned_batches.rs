//! Copies the rows of a grouping that are sorted, so that each batch takes the memory that it has.
//!
//! An aggregate returns its groups as slices of one large batch. A sort reserves for each slice the
//! memory of the whole, so that a few megabytes of groups filled a pool of a gigabyte, and the sort of
//! another thread found no room to begin.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use crate::engine::map_batches::MapBatchesExec;
use crate::engine::optimizer::Replacement;

/// A batch is copied if it takes this many times the memory of its rows.
const MAX_OVERHEAD: usize = 4;

/// Returns a sort of the rows of an aggregate over batches of their own.
pub(crate) fn over_owned_batches(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(sort) = plan.downcast_ref::<SortExec>() else { return Ok(None) };
    let mut source = sort.input();
    while let Some(projection) = source.downcast_ref::<ProjectionExec>() {
        source = projection.input();
    }
    // A sort with a limit keeps few rows.
    if !source.is::<AggregateExec>() || sort.fetch().is_some() {
        return Ok(None);
    }
    let owned = Arc::new(MapBatchesExec {
        name: "OwnedBatchesExec",
        input: Arc::clone(sort.input()),
        map: || Box::new(owned),
    });
    let sort = SortExec::new(sort.expr().clone(), owned)
        .with_preserve_partitioning(sort.preserve_partitioning());
    Ok(Some(Arc::new(sort)))
}

/// Returns a batch with memory of its own, where it is a small part of a larger one.
fn owned(batch: RecordBatch) -> Result<RecordBatch> {
    let of_rows = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    let of_rows = of_rows.sum::<std::result::Result<usize, _>>()?;
    if batch.get_array_memory_size() <= MAX_OVERHEAD * of_rows {
        return Ok(batch);
    }
    let all = UInt32Array::from_iter_values(0..batch.num_rows() as u32);
    let copied = |column: &ArrayRef| -> Result<ArrayRef> {
        let copy = take(column, &all, None)?;
        // The texts of views are shared until they are collected.
        Ok(match copy.data_type() {
            DataType::Utf8View => Arc::new(copy.as_string_view().gc()),
            DataType::BinaryView => Arc::new(copy.as_binary_view().gc()),
            _ => copy,
        })
    };
    let columns = batch.columns().iter().map(copied).collect::<Result<_>>()?;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::engine::context::new_context;

    /// Two hundred thousand groups with a text that no view holds.
    const GROUPED: &str = "SELECT 'a text that no view holds, ' || (value % 200000) AS k, count(*) AS n, \
        max(value) AS m FROM generate_series(1, 400000) GROUP BY 1";

    /// Returns the least memory, in MiB, with which a context sorts the groups and spills nothing, and
    /// the rows.
    async fn least_memory(context: impl Fn(Arc<RuntimeEnv>) -> SessionContext) -> (usize, String) {
        for mebibytes in [25, 50, 100, 200, 400, 800, 1600] {
            let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
            let runtime = RuntimeEnvBuilder::new()
                .with_memory_pool(Arc::new(GreedyMemoryPool::new(mebibytes << 20)))
                .with_disk_manager_builder(disk)
                .build_arc()
                .expect("a runtime");
            let frame = context(runtime).sql(&format!("{GROUPED} ORDER BY m")).await;
            if let Ok(rows) = frame.expect("a query").collect().await {
                return (mebibytes, pretty_format_batches(&rows).expect("a table").to_string());
            }
        }
        panic!("the sort takes more than a gigabyte");
    }

    #[tokio::test]
    async fn sorted_groups_take_the_memory_of_their_rows() {
        let config = SessionConfig::new().with_target_partitions(2);
        let ours = least_memory(|runtime| new_context(config.clone(), runtime)).await;
        let theirs =
            least_memory(|runtime| SessionContext::new_with_config_rt(config.clone(), runtime));
        let theirs = theirs.await;
        assert!(ours.0 < theirs.0, "{} MiB, and {} MiB in DataFusion", ours.0, theirs.0);
        assert!(ours.1 == theirs.1);
    }
}
