//! Copies batches that are a small part of shared memory, where an operator reserves all of that memory
//! for each of them.
//!
//! An aggregate returns its groups as slices of one large batch, and the rows of a join refer to the texts
//! of its whole build side. A sort, and a join of every row with every other one, reserve the memory that a
//! batch refers to. So a few megabytes of rows filled a pool of a gigabyte.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::engine::map_batches::MapBatchesExec;
use crate::engine::optimizer::Replacement;

/// A batch is copied if it takes more than this many times the memory of its rows.
const MAX_OVERHEAD: usize = 2;

/// Returns a sort, or a join without keys, that holds batches of their own.
pub(crate) fn over_owned_batches(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        // A sort with a limit keeps few rows.
        if sort.fetch().is_some() {
            return Ok(None);
        }
        let sort = SortExec::new(sort.expr().clone(), with_owned_batches(sort.input()))
            .with_preserve_partitioning(sort.preserve_partitioning());
        return Ok(Some(Arc::new(sort)));
    }
    if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
        let left = with_owned_batches(join.left());
        return Ok(Some(Arc::new(CrossJoinExec::new(left, Arc::clone(join.right())))));
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        let returns_left_rows = matches!(
            join.join_type(),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
        );
        let right = join.right();
        let right = if returns_left_rows { one_partition(right) } else { Arc::clone(right) };
        let join = NestedLoopJoinExec::try_new(
            with_owned_batches(join.left()),
            right,
            join.filter().cloned(),
            join.join_type(),
            join.projection().as_ref().map(|projection| projection.to_vec()),
        )?;
        return Ok(Some(Arc::new(join)));
    }
    Ok(None)
}

/// Returns the same rows in one partition. Where a nested-loop join goes on from disk, each partition of the
/// right side looks by itself for the left rows without a match, and some would be returned again.
fn one_partition(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if input.output_partitioning().partition_count() == 1 {
        return Arc::clone(input);
    }
    Arc::new(CoalescePartitionsExec::new(Arc::clone(input)))
}

fn with_owned_batches(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(MapBatchesExec {
        name: "OwnedBatchesExec",
        input: Arc::clone(input),
        map: || Box::new(owned),
    })
}

/// Returns a batch with memory of its own, where it is a small part of a larger one.
pub(crate) fn owned(batch: RecordBatch) -> Result<RecordBatch> {
    let of_rows = batch.columns().iter().map(memory_of_rows).sum::<Result<usize>>()?;
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

/// Returns the bytes that a column would take without what it shares.
fn memory_of_rows(column: &ArrayRef) -> Result<usize> {
    if let Some(lists) = column.as_list_opt::<i32>() {
        let offsets = lists.value_offsets();
        let (start, end) = (offsets[0] as usize, offsets[lists.len()] as usize);
        let values = lists.values().slice(start, end - start);
        return Ok(size_of_val(offsets) + memory_of_rows(&values)?);
    }
    let texts = match column.data_type() {
        DataType::Utf8View => column.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => column.as_binary_view().total_buffer_bytes_used(),
        _ => 0,
    };
    Ok(column.to_data().get_slice_memory_size()? + texts)
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

    /// Two hundred thousand groups with a text that no view holds: sorted themselves, as the build side of
    /// a join, and compared with every other row.
    const QUERIES: [&str; 3] = [
        "WITH g AS (SELECT 'a text that no view holds, ' || (value % 200000) AS k, max(value) AS m \
           FROM generate_series(1, 400000) GROUP BY 1) \
         SELECT k, m FROM g ORDER BY m",
        "WITH g AS (SELECT arrow_cast('a text that no view holds, ' || value, 'Utf8View') AS k, value AS m \
           FROM generate_series(1, 200000)) \
         SELECT k, m FROM g JOIN (SELECT value AS v FROM generate_series(0, 8)) ON v = m % 10 ORDER BY m",
        "WITH g AS (SELECT 'a text that no view holds, ' || (value % 200000) AS k, max(value) AS m \
           FROM generate_series(1, 400000) GROUP BY 1) \
         SELECT max(k) FROM g JOIN (SELECT value AS t FROM generate_series(1, 3)) ON m > t * 100000",
    ];

    /// Returns the least memory, in MiB, with which a context runs a query and spills nothing, and the
    /// rows.
    async fn least_memory(
        query: &str,
        context: impl Fn(Arc<RuntimeEnv>) -> SessionContext,
    ) -> (usize, String) {
        for mebibytes in [25, 50, 100, 200, 400, 800, 1600] {
            let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
            let runtime = RuntimeEnvBuilder::new()
                .with_memory_pool(Arc::new(GreedyMemoryPool::new(mebibytes << 20)))
                .with_disk_manager_builder(disk)
                .build_arc()
                .expect("a runtime");
            let frame = context(runtime).sql(query).await;
            if let Ok(rows) = frame.expect("a query").collect().await {
                return (mebibytes, pretty_format_batches(&rows).expect("a table").to_string());
            }
        }
        panic!("{query} takes more than a gigabyte");
    }

    #[tokio::test]
    async fn batches_take_the_memory_of_their_rows() {
        let config = SessionConfig::new().with_target_partitions(2);
        for query in QUERIES {
            let ours = least_memory(query, |runtime| new_context(config.clone(), runtime)).await;
            let theirs = least_memory(query, |runtime| {
                SessionContext::new_with_config_rt(config.clone(), runtime)
            });
            let theirs = theirs.await;
            assert!(ours.0 < theirs.0, "{query}: {} MiB, and {} in DataFusion", ours.0, theirs.0);
            assert!(ours.1 == theirs.1, "{query}");
        }
    }

    /// Four thousand long texts, of which every second one has a match in one of two partitions.
    #[tokio::test]
    async fn rows_come_once_where_a_nested_loop_join_goes_on_from_disk() {
        let tables = [
            "CREATE TABLE a AS SELECT repeat('x', 2000) || value AS k, value AS v \
             FROM generate_series(1, 4000)",
            "CREATE TABLE b AS SELECT repeat('y', 2000) || value AS t, value * 2 AS v \
             FROM generate_series(1, 5000)",
        ];
        let query = "SELECT a.v, length(a.k) AS k, length(b.t) AS t FROM a LEFT JOIN b \
             ON a.v > b.v AND a.v < b.v + 2";
        let mut found = Vec::new();
        for memory in [6 << 20, 1 << 30] {
            let pool = Arc::new(GreedyMemoryPool::new(memory));
            let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc();
            let config = SessionConfig::new().with_target_partitions(2).with_batch_size(500);
            let context = new_context(config, runtime.expect("a runtime"));
            for table in tables {
                context.sql(table).await.expect("a query").collect().await.expect("a table");
            }
            let rows = context.sql(query).await.expect("a query").collect().await.expect("rows");
            found.push(rows.iter().map(RecordBatch::num_rows).sum::<usize>());
        }
        assert_eq!(found, [4000, 4000]);
    }
}
