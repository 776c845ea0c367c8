//! Runs a query with hash joins, and again with sort-merge joins where those take too much memory.
//!
//! A hash join holds one side of the join in memory. A sort-merge join sorts both sides, which takes
//! longer, and goes on from disk where memory is short.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt, stream};

use crate::engine::context::with_own_memory_pool;
use crate::engine::memory_pool::is_exhausted;

/// Starts a query in a memory pool of its own. Where memory is exhausted before its first rows, it starts
/// again with sort-merge joins, if all its joins can be such.
///
/// # Errors
/// A query that can't be planned.
pub(crate) async fn execute(frame: DataFrame) -> Result<SendableRecordBatchStream> {
    let (state, plan) = frame.into_parts();
    let (physical, rows) = start(&state, &plan).await?;
    let mut joins = Vec::new();
    add_hash_joins(&physical, &mut joins);
    let is_divided = state.config().target_partitions() > 1;
    if joins.is_empty() || !is_divided || !joins.into_iter().all(can_sort_and_merge) {
        return Ok(rows);
    }
    let schema = rows.schema();
    let rows = stream::once(or_sort_merge(state, plan, rows)).try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Returns the rows, or those of the same plan with sort-merge joins.
async fn or_sort_merge(
    mut state: SessionState,
    plan: LogicalPlan,
    mut rows: SendableRecordBatchStream,
) -> Result<SendableRecordBatchStream> {
    let first = rows.next().await;
    if let Some(Err(error)) = &first
        && is_exhausted(error)
    {
        tracing::info!(%error, "starts again with sort-merge joins");
        drop(rows);
        state.config_mut().options_mut().optimizer.prefer_hash_join = false;
        return Ok(start(&state, &plan).await?.1);
    }
    let schema = rows.schema();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(first).chain(rows))))
}

async fn start(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream)> {
    let physical = state.create_physical_plan(plan).await?;
    // Queries of one session may run side by side, and each may use the whole memory limit.
    let memory = with_own_memory_pool(state.runtime_env());
    let task = Arc::new(TaskContext::from(state).with_runtime(memory));
    let rows = execute_stream(Arc::clone(&physical), task)?;
    Ok((physical, rows))
}

fn add_hash_joins<'p>(plan: &'p Arc<dyn ExecutionPlan>, found: &mut Vec<&'p HashJoinExec>) {
    found.extend(plan.downcast_ref::<HashJoinExec>());
    plan.children().into_iter().for_each(|input| add_hash_joins(input, found));
}

/// Whether DataFusion can run a join as a sort-merge join. It plans none for NOT IN, and those that only
/// look for a match compare keys of few types; a NaN would stop them.
fn can_sort_and_merge(join: &HashJoinExec) -> bool {
    let joins_rows = matches!(
        join.join_type(),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
    );
    let left = join.left().schema();
    let has_known_type = |key: &PhysicalExprRef| {
        key.data_type(&left).is_ok_and(|of| {
            of.is_integer()
                || matches!(
                    of,
                    DataType::Boolean | DataType::Date32 | DataType::Utf8 | DataType::Utf8View
                )
        })
    };
    !join.null_aware && (joins_rows || join.on().iter().all(|(key, _)| has_known_type(key)))
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::engine::context::new_context;
    use crate::engine::memory_pool::new_memory_pool;

    fn context(limit: Option<usize>) -> SessionContext {
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(new_memory_pool(limit));
        let config = SessionConfig::new().with_target_partitions(2);
        new_context(config, runtime.build_arc().expect("a runtime"))
    }

    /// Joins of two million rows with as many, by a long key: inner, outer and semi.
    #[tokio::test]
    async fn joins_that_exceed_the_memory_are_answered() {
        for query in [
            "SELECT count(*) AS n, min(a.v) AS v FROM t AS a JOIN t AS b ON a.k = b.k",
            "SELECT count(*) AS n, sum(b.v) AS v FROM t AS a LEFT JOIN t AS b ON a.k = b.k AND a.v < b.v",
            "SELECT count(*) AS n, sum(v) AS v FROM t AS a WHERE EXISTS (SELECT 1 FROM t AS b WHERE a.k = b.k AND b.v % 3 = 0)",
        ] {
            let mut found = Vec::new();
            for limit in [Some(128 << 20), None] {
                let context = context(limit);
                let rows = "CREATE VIEW t AS SELECT 'a key that is longer than a view of a text, ' || (value / 2) AS k, \
                    value AS v FROM generate_series(1, 2000000)";
                context.sql(rows).await.expect("a view");
                let frame = context.sql(query).await.expect("a query");
                let hashed = frame.clone().collect().await;
                assert_eq!(hashed.is_err(), limit.is_some(), "{query}");
                let rows = execute(frame).await.expect("a start").try_collect::<Vec<_>>().await;
                let rows = rows.unwrap_or_else(|error| panic!("{query}: {error}"));
                found.push(pretty_format_batches(&rows).expect("a table").to_string());
            }
            assert_eq!(found[0], found[1], "{query}");
        }
    }

    /// Sort-merge joins that only look for a match know no instants with a time zone.
    #[tokio::test]
    async fn a_join_that_can_not_be_sorted_and_merged_says_that_memory_is_short() {
        let context = context(Some(8 << 20));
        let rows = "CREATE VIEW t AS SELECT arrow_cast(value, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at, value AS v \
            FROM generate_series(1, 1000000)";
        context.sql(rows).await.expect("a view");
        let query =
            "SELECT count(*) FROM t AS a WHERE EXISTS (SELECT 1 FROM t AS b WHERE a.at = b.at)";
        let frame = context.sql(query).await.expect("a query");
        let rows = execute(frame).await.expect("a start").try_collect::<Vec<_>>().await;
        let error = rows.expect_err("too little memory");
        assert!(is_exhausted(&error), "{error}");
    }

    #[tokio::test]
    async fn other_errors_come_at_once() {
        let context = context(None);
        let query = "SELECT 1 / (a.value - 5) FROM generate_series(1, 9) AS a JOIN generate_series(1, 9) AS b \
            ON a.value = b.value";
        let frame = context.sql(query).await.expect("a query");
        let rows = execute(frame).await.expect("a start").try_collect::<Vec<_>>().await;
        let error = rows.expect_err("a division by zero").to_string();
        assert!(error.contains("Divide by zero"), "{error}");
    }
}
