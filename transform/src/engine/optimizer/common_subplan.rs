//! Common subplans: a CTE that a query reads more than once is computed once.
//!
//! DataFusion inlines the plan of a CTE wherever the CTE is named. This module computes the rows of
//! a CTE first and lets the query read them, where the CTE is named twice or more and has a GROUP
//! BY, a DISTINCT or a window function. A CTE with too many rows stays inlined.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, SubqueryAlias};
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use crate::engine::context::with_own_memory_pool;
use crate::engine::memory_pool::is_exhausted;
use crate::engine::optimizer::owned_batches::owned;
use crate::engine::utf8_view;

/// The largest CTE whose rows are kept.
const MAX_CTE_BYTES: usize = 64 << 20;

/// Computes the costly CTEs that a plan reads more than once, and returns the plan with scans of
/// their rows.
///
/// # Errors
/// Those of running a CTE.
pub(crate) async fn compute_repeated_once(
    ctx: &SessionContext,
    mut plan: LogicalPlan,
) -> Result<LogicalPlan> {
    let mut too_large: Vec<LogicalPlan> = Vec::new();
    let mut computed = 0;
    while let Some(repeated) = innermost_repeated(&plan, &too_large)? {
        match collect_up_to(ctx, &repeated, MAX_CTE_BYTES).await? {
            Some(table) => {
                computed += 1;
                plan = replace(plan, &repeated, &format!("computed_once_{computed}"), &table)?;
            }
            None => too_large.push(repeated),
        }
    }
    Ok(plan)
}

/// Returns a costly CTE that is in the plan at least twice and contains no other such CTE. Those of
/// `skipped` are ignored.
fn innermost_repeated(plan: &LogicalPlan, skipped: &[LogicalPlan]) -> Result<Option<LogicalPlan>> {
    let mut counts: HashMap<&LogicalPlan, usize> = HashMap::new();
    // Parents come before children, so the last is the innermost.
    let mut order: Vec<&LogicalPlan> = Vec::new();
    plan.apply(|node| {
        if matches!(node, LogicalPlan::RecursiveQuery(_) | LogicalPlan::Subquery(_)) {
            return Ok(TreeNodeRecursion::Jump);
        }
        if let LogicalPlan::SubqueryAlias(named) = node
            && is_costly(&named.input)?
            && !skipped.contains(&named.input)
        {
            *counts.entry(&named.input).or_default() += 1;
            order.push(&named.input);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(order.into_iter().rev().find(|node| counts[node] > 1).cloned())
}

/// Whether the plan itself groups or has window functions. Plans of other CTEs in it do not count.
fn is_costly(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        Ok(match node {
            LogicalPlan::SubqueryAlias(_) => TreeNodeRecursion::Jump,
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) | LogicalPlan::Window(_) => {
                found = true;
                TreeNodeRecursion::Stop
            }
            _ => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

/// Computes a plan and returns its rows as a table, or `None` where they take more than `max_bytes`, or
/// computing them more than the memory of a query.
pub(crate) async fn collect_up_to(
    ctx: &SessionContext,
    plan: &LogicalPlan,
    max_bytes: usize,
) -> Result<Option<Arc<MemTable>>> {
    let frame = ctx.execute_logical_plan(plan.clone()).await?;
    // Other plans may run side by side, and each may use the whole memory limit.
    let task = frame.task_ctx().with_runtime(with_own_memory_pool(&ctx.runtime_env()));
    let streams = execute_stream_partitioned(frame.create_physical_plan().await?, Arc::new(task))?;
    let schema: SchemaRef = Arc::new(Schema::clone(plan.schema().as_arrow()));
    // All partitions share the count. When one exceeds the limit, the others stop at their next
    // batch.
    let bytes = Arc::new(AtomicUsize::new(0));
    let tasks = streams.into_iter().map(|mut stream| {
        let bytes = Arc::clone(&bytes);
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(batch) = stream.next().await {
                // The batches of a sort refer to the texts of all of its input.
                let batch: RecordBatch = owned(batch?)?;
                let more = batch.get_array_memory_size();
                if bytes.fetch_add(more, Ordering::Relaxed) + more > max_bytes {
                    return Ok(None);
                }
                kept.push(batch);
            }
            Ok::<_, DataFusionError>(Some(kept))
        })
    });
    let mut partitions = Vec::new();
    for task in futures::future::join_all(tasks).await {
        let partition = task.map_err(|e| DataFusionError::External(e.into()))?;
        let kept = match partition {
            // Where it stands, the query can be run with other joins.
            Err(error) if is_exhausted(&error) => None,
            partition => partition?,
        };
        let Some(batches) = kept else { return Ok(None) };
        // A UNION of `Utf8` and `Utf8View` has the type of its first input in this schema.
        let batches = batches.iter().map(|batch| utf8_view::cast_to(batch, &schema));
        partitions.push(batches.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Some(Arc::new(MemTable::try_new(schema, partitions)?)))
}

/// Returns the plan with a scan of `table` wherever `repeated` is inlined.
fn replace(
    plan: LogicalPlan,
    repeated: &LogicalPlan,
    name: &str,
    table: &Arc<MemTable>,
) -> Result<LogicalPlan> {
    let table: Arc<dyn datafusion::catalog::TableProvider> = Arc::clone(table) as _;
    let scan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?.build()?;
    let scan = Arc::new(scan);
    let replaced = plan.transform_down(|node| {
        if matches!(node, LogicalPlan::RecursiveQuery(_) | LogicalPlan::Subquery(_)) {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        match node {
            LogicalPlan::SubqueryAlias(named) if *named.input == *repeated => {
                let named = SubqueryAlias::try_new(Arc::clone(&scan), named.alias)?;
                let node = LogicalPlan::SubqueryAlias(named);
                Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        }
    })?;
    Ok(replaced.data)
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use futures::future::join_all;

    use super::*;
    use crate::engine::context::{QueryLimits, new_config, new_context};
    use crate::engine::memory_pool::new_memory_pool;
    use crate::tests::engine::{TestProject, as_of};

    async fn planned(sql: &str) -> (LogicalPlan, LogicalPlan) {
        let ctx = crate::engine::context::context_without_lake();
        let plan = ctx.state().create_logical_plan(sql).await.expect("a plan");
        let after = compute_repeated_once(&ctx, plan.clone()).await.expect("a plan");
        let before = ctx.execute_logical_plan(plan.clone()).await.expect("a frame");
        let then = ctx.execute_logical_plan(after.clone()).await.expect("a frame");
        let text =
            |rows: Vec<RecordBatch>| pretty_format_batches(&rows).expect("a table").to_string();
        let before = text(before.collect().await.expect("rows"));
        assert_eq!(before, text(then.collect().await.expect("rows")));
        (plan, after)
    }

    fn scans_of_rows(plan: &LogicalPlan) -> usize {
        plan.display_indent().to_string().matches("TableScan: computed_once_").count()
    }

    #[tokio::test]
    async fn a_cte_that_groups_is_computed_once() {
        let sql = "WITH n AS (SELECT value % 3 AS k, count(*) AS c FROM generate_series(1, 10) GROUP BY value % 3), \
             top AS (SELECT max(c) AS c FROM n) \
             SELECT a.k, b.c, t.c AS most FROM n a JOIN n b ON a.k = b.k CROSS JOIN top t ORDER BY a.k";
        let (_, after) = planned(sql).await;
        assert_eq!(scans_of_rows(&after), 3, "{}", after.display_indent());
    }

    #[tokio::test]
    async fn a_cheap_or_single_cte_stays_inlined() {
        let plain = "WITH n AS (SELECT value FROM generate_series(1, 3)) \
             SELECT a.value FROM n a JOIN n b ON a.value = b.value ORDER BY 1";
        let (before, after) = planned(plain).await;
        assert_eq!(before, after);
        let once = "WITH n AS (SELECT count(*) AS c FROM generate_series(1, 3)) SELECT c FROM n";
        let (before, after) = planned(once).await;
        assert_eq!(before, after);
    }

    #[tokio::test]
    async fn the_limit_counts_all_partitions() {
        let ctx = crate::engine::context::context_without_lake();
        // Two partitions of 800 kB each.
        let sql = "SELECT value FROM generate_series(1, 100000) \
             UNION ALL SELECT value FROM generate_series(1, 100000)";
        let plan = ctx.state().create_logical_plan(sql).await.expect("a plan");
        assert!(collect_up_to(&ctx, &plan, 1_200_000).await.expect("too many").is_none());
        assert!(collect_up_to(&ctx, &plan, 4_000_000).await.expect("rows").is_some());
    }

    #[tokio::test]
    async fn rows_whose_joins_exceed_the_memory_are_not_kept() {
        let limits = QueryLimits { memory: Some(8 << 20), threads: Some(2) };
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(new_memory_pool(limits.memory));
        let ctx = new_context(new_config(limits), runtime.build_arc().expect("a runtime"));
        let sql = "SELECT count(*) AS n FROM generate_series(1, 1000000) AS a \
             JOIN generate_series(1, 1000000) AS b ON a.value = b.value";
        let plan = ctx.state().create_logical_plan(sql).await.expect("a plan");
        assert!(collect_up_to(&ctx, &plan, 1 << 20).await.expect("no error").is_none());
    }

    #[tokio::test]
    async fn a_recursive_cte_stays_inlined() {
        let sql = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 4), \
             s AS (SELECT sum(i) AS s FROM r) SELECT x.s, y.s AS t FROM s x CROSS JOIN s y";
        let (_, after) = planned(sql).await;
        assert_eq!(scans_of_rows(&after), 2, "{}", after.display_indent());
    }

    #[tokio::test]
    async fn queries_that_need_the_same_views_run_side_by_side() {
        // A view with the row count of another.
        let view = |name: &str, of: &str| {
            let header = "description = \"numbers\"\nslice = \"whole\"\nkeep = true\n\n[columns]\nn = { type = \"Int64\" }";
            let sql = format!("SELECT CAST(count(*) AS BIGINT) AS n FROM {of}");
            (format!("views/{name}.sql"), format!("/*---\n{header}\n---*/\n{sql}"))
        };
        let files = [
            view("seven", "generate_series(1, 7)"),
            view("one", "seven"),
            view("another", "seven"),
        ];
        let files = files.each_ref().map(|(path, text)| (path.as_str(), text.as_str()));
        let project = TestProject::with_queries(&files).await;
        let session =
            project.engine.open_session(as_of("2026-02-01"), None).await.expect("a session");
        let asked = ["one, another, seven", "seven, one, another", "another, seven, one"];
        let answers = asked.map(|tables| {
            let sql = format!("SELECT one.n + another.n + seven.n AS n FROM {tables}");
            let session = &session;
            async move { session.sql(&sql).await.expect("rows").batches }
        });
        for rows in join_all(answers).await {
            assert!(pretty_format_batches(&rows).expect("a table").to_string().contains("| 9 |"));
        }
    }
}
