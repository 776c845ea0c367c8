//! Pushes filters of physical plans towards the tables as DataFusion does, but only where it finds the right
//! columns.
//!
//! DataFusion 55 finds the columns of a filter in the plan below by name. A join has the columns of both
//! sides, so `l.n IS NULL` above `l RIGHT JOIN r` became `r.n IS NULL` in `r`, and rows were lost. The rule
//! for logical plans knows the sides apart; this is about the filters that it had to leave above a join,
//! and about those that joins and sorts make while they run.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase,
    FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
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

/// Returns the indices of the columns of a node that a filter may read which goes on to its inputs.
fn unambiguous_columns(node: &dyn ExecutionPlan) -> HashSet<usize> {
    let schema = node.schema();
    let inputs: Vec<_> = node.children().into_iter().map(|input| input.schema()).collect();
    let mut ambiguous = HashSet::new();
    let join = node.downcast_ref::<HashJoinExec>();
    // A hash join tells its sides apart by the places of columns.
    if join.is_none() {
        ambiguous.extend(repeated_names(&schema));
    }
    // A projection knows the places of its input's columns.
    if !node.is::<ProjectionExec>() {
        ambiguous.extend(inputs.iter().flat_map(|input| repeated_names(input)));
    }
    if let Some(join) = join {
        ambiguous.extend(names_of_other_side(join, &inputs));
    }
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, field)| !ambiguous.contains(field.name().as_str())).map(|(n, _)| n).collect()
}

fn repeated_names(schema: &Schema) -> HashSet<&str> {
    let mut seen = HashSet::new();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    names.filter(|name| !seen.insert(*name)).collect()
}

/// Returns the names of the side of a semi join that it has no columns of, but those of keys that have the
/// same name on both sides: filters on its keys go to that side as well, by name.
fn names_of_other_side<'s>(join: &HashJoinExec, inputs: &'s [SchemaRef]) -> Vec<&'s str> {
    let other = match (join.join_type(), inputs) {
        (JoinType::LeftSemi, [_, right]) => right,
        (JoinType::RightSemi, [left, _]) => left,
        _ => return Vec::new(),
    };
    let name = |key: &Arc<dyn PhysicalExpr>| {
        key.downcast_ref::<Column>().map(|column| column.name().to_owned())
    };
    let same = join.on().iter().filter(|(left, right)| name(left) == name(right));
    let same: HashSet<String> = same.filter_map(|(left, _)| name(left)).collect();
    let names = other.fields().iter().map(|field| field.name().as_str());
    names.filter(|name| !same.contains(*name)).collect()
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
    use std::fs::File;
    use std::path::Path;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{ParquetReadOptions, SessionContext};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::engine::context::{context_without_lake, physical_optimizer_rules};

    /// Writes a Parquet file, whose scan takes filters, and registers it as a table of its columns.
    async fn register(ctx: &SessionContext, folder: &Path, name: &str, columns: &[(&str, &[i64])]) {
        let fields = columns.iter().map(|(name, _)| Field::new(*name, DataType::Int64, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        // A negative number stands for NULL.
        let values = columns.iter().map(|(_, values)| {
            let values = values.iter().map(|value| Some(*value).filter(|value| *value >= 0));
            Arc::new(values.collect::<Int64Array>()) as _
        });
        let rows = RecordBatch::try_new(Arc::clone(&schema), values.collect()).expect("rows");
        let path = folder.join(format!("{name}.parquet"));
        let file = File::create(&path).expect("a file");
        let mut writer = ArrowWriter::try_new(file, schema, None).expect("a writer");
        writer.write(&rows).expect("written");
        writer.close().expect("closed");
        let path = path.to_str().expect("a name");
        ctx.register_parquet(name, path, ParquetReadOptions::default()).await.expect("a table");
    }

    async fn with_tables(ctx: SessionContext, folder: &Path) -> SessionContext {
        register(&ctx, folder, "l", &[("k", &[1, 2, 3]), ("n", &[5, 6, -1])]).await;
        register(&ctx, folder, "r", &[("k", &[1, 3, 4, 5]), ("n", &[3, 4, 7, -1])]).await;
        // Its `j` are keys of `l`, and its `k` are none.
        register(&ctx, folder, "s", &[("j", &[1, 2, 3]), ("k", &[11, 12, 13])]).await;
        register(&ctx, folder, "few", &[("k", &[1, 4, 5])]).await;
        ctx
    }

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

    #[tokio::test]
    async fn a_condition_on_both_sides_of_a_join_stays_above_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let ctx = with_tables(context_without_lake(), folder.path()).await;
        let sql =
            "SELECT r.k FROM l RIGHT JOIN r ON l.k = r.k WHERE r.n > coalesce(l.n, 0) ORDER BY 1";
        assert_eq!(rows(&ctx, sql).await, "+---+\n| k |\n+---+\n| 3 |\n| 4 |\n+---+");
    }

    /// Every kind of join under every condition has the same rows as without the rule.
    #[tokio::test]
    async fn filters_that_are_pushed_change_no_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let guarded = with_tables(context_without_lake(), folder.path()).await;
        let plain = with_tables(context_that_pushes_nothing(), folder.path()).await;
        let mut statements = vec![
            "SELECT x.* FROM few JOIN (SELECT * FROM l WHERE EXISTS (SELECT 1 FROM s \
             WHERE s.j = l.k AND s.k <> l.n)) AS x ON x.k = few.k ORDER BY 1"
                .to_owned(),
        ];
        let conditions = [
            "r.n > coalesce(l.n, 0)",
            "l.n IS NULL",
            "r.n IS NULL",
            "l.k IS NULL AND r.n > 3",
            "coalesce(l.k, r.k) = 4",
            "r.n - l.n < 0 OR l.n IS NULL",
        ];
        for join in ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"] {
            let both =
                format!("SELECT l.k AS lk, l.n AS ln, r.k, r.n FROM l {join} r ON l.k = r.k");
            statements.extend(conditions.iter().flat_map(|condition| {
                [
                    format!("{both} WHERE {condition} ORDER BY 1, 2, 3, 4"),
                    format!(
                        "WITH j AS ({both} WHERE {condition}) \
                     SELECT j.*, few.k AS f FROM few JOIN j ON j.k = few.k ORDER BY 1, 2, 3, 4"
                    ),
                    format!(
                        "SELECT l.k AS a, r.k AS b, few.k AS c FROM few \
                     JOIN (l {join} r ON l.k = r.k) ON r.k = few.k WHERE {condition} ORDER BY 1, 2"
                    ),
                    format!("{both} WHERE {condition} ORDER BY r.n, r.k, l.k LIMIT 2"),
                    format!(
                        "SELECT max(r.n), min(l.n), count(*) FROM l {join} r ON l.k = r.k \
                     WHERE {condition}"
                    ),
                ]
            }));
        }
        for sql in statements {
            assert_eq!(rows(&guarded, &sql).await, rows(&plain, &sql).await, "{sql}");
        }
    }

    #[tokio::test]
    async fn filters_pass_a_join_whose_sides_have_columns_of_one_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let ctx = with_tables(context_without_lake(), folder.path()).await;
        let sql = "EXPLAIN SELECT x.* FROM few JOIN (SELECT l.k AS lk, r.k AS rk FROM l \
                   LEFT JOIN r ON l.k = r.k) AS x ON x.lk = few.k";
        let plan = rows(&ctx, sql).await;
        let scans = plan.lines().filter(|line| line.contains("l.parquet"));
        assert!(scans.clone().any(|line| line.contains("predicate=DynamicFilter")), "{plan}");
    }
}
