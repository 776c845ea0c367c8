//! Hashes the side of a join that groups rows, where DataFusion would hash rows that nothing grouped.
//!
//! Without a count of distinct keys, DataFusion takes a grouping to return as many rows as it reads. So a
//! table and a grouping of it seem equally large, and it hashes whichever is on the left: all calls, to
//! join the last call of each partner.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use crate::engine::optimizer::Replacement;

/// The share of the rows that a grouping reads, and is taken to return.
const ROWS_A_GROUP: usize = 10;

/// Returns a join with its sides swapped, where only the right one groups rows and does not seem to return
/// many more rows than the left one.
pub(crate) fn hash_groups(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(join) = plan.downcast_ref::<HashJoinExec>() else { return Ok(None) };
    let can_swap = *join.partition_mode() == PartitionMode::Partitioned
        && join.join_type().supports_swap()
        && !join.null_aware;
    if !can_swap || groups_rows(join.left()) || !groups_rows(join.right()) {
        return Ok(None);
    }
    let rows = |side: &Arc<dyn ExecutionPlan>| -> Result<Option<usize>> {
        let found = StatisticsContext::new().compute(side.as_ref(), &StatisticsArgs::new())?;
        Ok(found.num_rows.get_value().copied())
    };
    if let (Some(left), Some(right)) = (rows(join.left())?, rows(join.right())?)
        && left < right / ROWS_A_GROUP
    {
        return Ok(None);
    }
    join.swap_inputs(PartitionMode::Partitioned).map(Some)
}

/// Whether rows are the groups of a grouping, or some of them.
fn groups_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return !aggregate.group_expr().is_empty();
    }
    let passes_on = plan.is::<ProjectionExec>() || plan.is::<FilterExec>();
    passes_on && plan.children().iter().all(|input| groups_rows(input))
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// Queries, and whether they hash a grouping.
    const QUERIES: [(&str, bool); 8] = [
        (
            "SELECT t.v, g.n FROM t JOIN (SELECT k, max(v) AS n FROM t GROUP BY k) g ON g.n = t.v",
            true,
        ),
        (
            "SELECT t.v FROM t JOIN (SELECT k, max(v) AS n FROM t GROUP BY k) g ON g.k = t.k AND g.n = t.v",
            true,
        ),
        (
            "SELECT t.v, g.n FROM t LEFT JOIN (SELECT k, max(v) AS n FROM t GROUP BY k) g ON g.n = t.v",
            true,
        ),
        ("SELECT t.v FROM t WHERE v IN (SELECT max(v) FROM t WHERE v > 10 GROUP BY k)", true),
        (
            "SELECT t.v FROM t WHERE NOT EXISTS (SELECT 1 FROM (SELECT max(v) AS n FROM t GROUP BY k) g WHERE g.n = t.v)",
            true,
        ),
        (
            "SELECT t.v, g.n FROM t FULL JOIN (SELECT k, max(v) + 1 AS n FROM t GROUP BY k HAVING max(v) > 9900) g ON g.n = t.v",
            true,
        ),
        ("SELECT a.v FROM t AS a JOIN t AS b ON a.v = b.v + 5", false),
        ("SELECT t.v FROM t WHERE v NOT IN (SELECT max(v) FROM t GROUP BY k)", false),
    ];

    /// Whether the first, so the build side of the join of a plan groups rows.
    fn hashes_groups(plan: &dyn ExecutionPlan) -> bool {
        let shown = displayable(plan).indent(false).to_string();
        let (_, below) = shown.split_once("HashJoinExec").expect(&shown);
        let depth = |line: &&str| line.len() - line.trim_start().len();
        let mut lines = below.lines().skip(1);
        let first = lines.next().expect("a side");
        let mut side = std::iter::once(first).chain(lines.take_while(|l| depth(l) > depth(&first)));
        side.any(|line| line.contains("AggregateExec"))
    }

    #[tokio::test]
    async fn groups_are_hashed() {
        let config = SessionConfig::new().with_target_partitions(2);
        let ours = crate::engine::context::new_context(config.clone(), Arc::default());
        let theirs = SessionContext::new_with_config(config);
        for context in [&ours, &theirs] {
            // Without a count of its bytes, as a table of files.
            let rows = "CREATE VIEW t AS SELECT value AS v, value % 100 AS k FROM \
                (SELECT value FROM generate_series(1, 10000) UNION ALL SELECT 0)";
            context.sql(rows).await.expect("a view");
        }
        let mut swapped = 0;
        for (query, expected) in QUERIES {
            let mut found = Vec::new();
            let mut hashed = Vec::new();
            for context in [&ours, &theirs] {
                let sorted = format!("SELECT * FROM ({query}) ORDER BY 1");
                let frame = context.sql(&sorted).await.expect("a query");
                let plan = frame.clone().create_physical_plan().await.expect("a plan");
                hashed.push(hashes_groups(plan.as_ref()));
                let rows = frame.collect().await.expect("rows");
                found.push(pretty_format_batches(&rows).expect("a table").to_string());
            }
            assert_eq!(hashed[0], expected, "{query}");
            assert!(found[0] == found[1] && found[0].lines().count() > 4, "{query}\n{}", found[0]);
            swapped += usize::from(hashed[0] && !hashed[1]);
        }
        assert!(swapped > 2, "DataFusion hashes the groups of all but {swapped} queries by itself");
    }
}
