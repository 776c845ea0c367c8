//! Pushes filters of physical plans towards the tables as DataFusion does, but only where the name of
//! each of their columns means one column.
//!
//! DataFusion 55 finds the columns of a filter in the plan below by name. A join has the columns of both
//! sides, so `l.n IS NULL` above `l RIGHT JOIN r` became `r.n IS NULL` in `r`, and rows were lost. The rule
//! for logical plans knows the sides apart; this is about the filters that it had to leave above a join,
//! and about those that joins and sorts make while they run.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase,
    FilterPushdownPropagation,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};

/// DataFusion's rule without its fault.
#[derive(Debug)]
pub(crate) struct GuardedFilterPushdown {
    rule: FilterPushdown,
}

/// Returns a rule of DataFusion, guarded where it pushes filters.
pub(crate) fn guarded(
    rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
) -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
    for phase in [FilterPushdown::new(), FilterPushdown::new_post_optimization()] {
        if rule.name() == phase.name() {
            return Arc::new(GuardedFilterPushdown { rule: phase });
        }
    }
    rule
}

impl PhysicalOptimizerRule for GuardedFilterPushdown {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let fenced = plan.transform_up(|node| {
            let columns = unambiguous_columns(node.as_ref());
            Ok(if columns.len() == node.schema().fields().len() {
                Transformed::no(node)
            } else {
                Transformed::yes(Arc::new(FilterFenceExec { input: node, columns }))
            })
        })?;
        if !fenced.transformed {
            return self.rule.optimize(fenced.data, config);
        }
        let pushed = self.rule.optimize(fenced.data, config)?;
        let unfenced = pushed.transform_up(|node| {
            Ok(match node.downcast_ref::<FilterFenceExec>() {
                Some(fence) => Transformed::yes(Arc::clone(&fence.input)),
                None => Transformed::no(node),
            })
        });
        unfenced.map(|done| done.data)
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }
}

/// Returns the indices of the columns of a node whose names no other column of it has, and no two columns
/// of one of its inputs.
fn unambiguous_columns(node: &dyn ExecutionPlan) -> HashSet<usize> {
    let schema = node.schema();
    let mut repeated = repeated_names(&schema);
    let inputs: Vec<_> = node.children().into_iter().map(|input| input.schema()).collect();
    repeated.extend(inputs.iter().flat_map(|input| repeated_names(input)));
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, field)| !repeated.contains(field.name().as_str())).map(|(n, _)| n).collect()
}

fn repeated_names(schema: &Schema) -> HashSet<&str> {
    let mut seen = HashSet::new();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    names.filter(|name| !seen.insert(*name)).collect()
}

/// Stands above a node while filters are pushed, and lets those through that read its unambiguous columns
/// alone.
#[derive(Debug)]
struct FilterFenceExec {
    input: Arc<dyn ExecutionPlan>,
    columns: HashSet<usize>,
}

impl FilterFenceExec {
    fn with_input(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else {
            return internal_err!("{} has one child", self.name());
        };
        Ok(Arc::new(Self { input, columns: self.columns.clone() }))
    }
}

impl DisplayAs for FilterFenceExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for FilterFenceExec {
    fn name(&self) -> &'static str {
        "FilterFenceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        self.with_input(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_input(children)
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let columns = self.columns.clone();
        let child = ChildFilterDescription::from_child_with_allowed_indices(
            &parent_filters,
            columns,
            &self.input,
        )?;
        Ok(FilterDescription::new().with_child(child))
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(child_pushdown_result))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use crate::engine::context::{context_without_lake, physical_optimizer_rules};

    /// Returns a context that pushes no filter of a physical plan.
    fn context_that_pushes_nothing() -> SessionContext {
        let rules = physical_optimizer_rules().into_iter();
        let rules = rules.filter(|rule| !rule.name().starts_with("FilterPushdown"));
        let state = SessionStateBuilder::new_from_existing(context_without_lake().state());
        let state = state.with_physical_optimizer_rules(rules.collect()).build();
        SessionContext::new_with_state(state)
    }

    async fn rows(ctx: &SessionContext, sql: &str) -> String {
        let rows = ctx.sql(sql).await.expect(sql).collect().await.expect(sql);
        pretty_format_batches(&rows).expect("a table").to_string()
    }

    const SIDES: &str = "l AS (SELECT * FROM (VALUES (1, 5), (2, 6), (3, NULL)) AS v (k, n) WHERE k <> 9), \
         r AS (SELECT * FROM (VALUES (1, 3), (3, 4), (4, 7), (5, NULL)) AS v (k, n) WHERE k <> 9), \
         few AS (SELECT * FROM (VALUES (1), (4), (5)) AS v (k))";

    #[tokio::test]
    async fn a_condition_on_both_sides_of_a_join_stays_above_it() {
        let sql = format!(
            "WITH {SIDES} SELECT r.k FROM l RIGHT JOIN r ON l.k = r.k \
             WHERE r.n > coalesce(l.n, 0) ORDER BY 1"
        );
        let found = rows(&context_without_lake(), &sql).await;
        assert_eq!(found, "+---+\n| k |\n+---+\n| 3 |\n| 4 |\n+---+");
    }

    /// Every kind of join under every condition has the same rows as without the rule.
    #[tokio::test]
    async fn filters_that_are_pushed_change_no_rows() {
        let (guarded, plain) = (context_without_lake(), context_that_pushes_nothing());
        let conditions = [
            "r.n > coalesce(l.n, 0)",
            "l.n IS NULL",
            "r.n IS NULL",
            "l.k IS NULL AND r.n > 3",
            "coalesce(l.k, r.k) = 4",
            "r.n - l.n < 0 OR l.n IS NULL",
        ];
        for join in ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"] {
            for condition in conditions {
                let both =
                    format!("SELECT l.k AS lk, l.n AS ln, r.k, r.n FROM l {join} r ON l.k = r.k");
                for sql in [
                    format!("WITH {SIDES} {both} WHERE {condition} ORDER BY 1, 2, 3, 4"),
                    format!(
                        "WITH {SIDES}, j AS ({both} WHERE {condition}) \
                         SELECT j.*, few.k AS f FROM few JOIN j ON j.k = few.k ORDER BY 1, 2, 3, 4"
                    ),
                    format!(
                        "WITH {SIDES} SELECT l.k AS a, r.k AS b, few.k AS c FROM few \
                         JOIN (l {join} r ON l.k = r.k) ON r.k = few.k WHERE {condition} ORDER BY 1, 2"
                    ),
                    format!("WITH {SIDES} {both} WHERE {condition} ORDER BY r.n, r.k, l.k LIMIT 2"),
                    format!(
                        "WITH {SIDES} SELECT max(r.n), min(l.n), count(*) FROM l {join} r \
                         ON l.k = r.k WHERE {condition}"
                    ),
                ] {
                    assert_eq!(rows(&guarded, &sql).await, rows(&plain, &sql).await, "{sql}");
                }
            }
        }
    }
}
