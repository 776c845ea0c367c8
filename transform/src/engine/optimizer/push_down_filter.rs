//! Pushes filters towards the tables as DataFusion does, but never below an aggregate that has a row
//! for an empty input.
//!
//! DataFusion 55 pushes a condition without columns below `SELECT count(*) FROM t`, because all of its
//! columns are grouping columns. The aggregate then counts no rows and still returns one, so
//! `SELECT * FROM (SELECT 'a' AS k, count(*) AS n FROM t) WHERE k = 'b'` returns a row. Spark had the
//! same fault (<https://issues.apache.org/jira/browse/SPARK-22983>).

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// DataFusion's rule without its fault.
#[derive(Debug, Default)]
pub(crate) struct GuardedPushDownFilter {
    rule: PushDownFilter,
}

impl OptimizerRule for GuardedPushDownFilter {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Filter(filter) = &plan
            && let LogicalPlan::Aggregate(aggregate) = filter.input.as_ref()
            && has_row_for_empty_input(aggregate)
        {
            return Ok(Transformed::no(plan));
        }
        self.rule.rewrite(plan, config)
    }
}

/// Returns whether an aggregate may return a row for no rows: it groups by nothing, or by sets of
/// columns of which one may be empty.
fn has_row_for_empty_input(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.is_empty()
        || aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)))
}

#[cfg(test)]
mod tests {
    use crate::engine::context::context_without_lake;

    #[tokio::test]
    async fn a_condition_holds_for_every_row_of_an_aggregate_without_groups() {
        #[track_caller]
        fn check(rows: usize, expected: usize, sql: &str) {
            assert_eq!(rows, expected, "{sql}");
        }
        let table = "(VALUES (1), (2)) AS t (v)";
        let one = format!("SELECT 'a' AS k, count(*) AS n FROM {table}");
        let two = format!("{one} UNION ALL SELECT 'b', count(*) FROM {table}");
        let rollup = format!("SELECT v, 'a' AS k, count(*) AS n FROM {table} GROUP BY ROLLUP (v)");
        let grouped = format!("SELECT v, 'a' AS k, count(*) AS n FROM {table} GROUP BY v");
        for (source, condition, expected) in [
            (&one, "k = 'b'", 0),
            (&one, "k = 'a'", 1),
            (&one, "k = 'a' AND n = 2", 1),
            (&one, "k = 'b' OR n = 2", 1),
            (&one, &*format!("(SELECT max(v) FROM {table}) > 2"), 0),
            (&one, &*format!("(SELECT max(v) FROM {table}) = 2"), 1),
            (&one, "random() > 1", 0),
            (&two, "k = 'b'", 1),
            (&two, "k <> 'c'", 2),
            (&rollup, "k = 'b'", 0),
            (&rollup, "v = 1", 1),
            (&rollup, "v IS NULL", 1),
            (&grouped, "k = 'b'", 0),
            (&grouped, "v = 2", 1),
        ] {
            let sql = format!("SELECT * FROM ({source}) AS s WHERE {condition}");
            let frame = context_without_lake().sql(&sql).await.expect(&sql);
            check(frame.count().await.expect(&sql), expected, &sql);
        }
    }
}
