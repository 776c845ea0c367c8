//! Replaces a left join with a few rows in memory by a plan that looks them up in a map.
//!
//! The views of days join `merge_map`, which has rows for a few partners only. A hash join copies
//! all columns of its probe side, histograms too. A projection passes its input columns on without
//! a copy and computes only the joined ones.
//!
//! The rule comes before DataFusion chooses the side of which a join makes its hash table. For most
//! views it has no count of their rows, and would hash them instead of the few.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringViewArray, UInt32Array, new_null_array,
};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::hash_utils::RandomState;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{JoinType, NullEquality, Result, Statistics, exec_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::projection::{
    EmbeddedProjection, ProjectionExec, ProjectionExpr, try_embed_projection,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};

use crate::engine::optimizer::Replacement;

/// The most rows of a lookup map. A table with more rows is joined as usual.
const MAX_LOOKUP_ROWS: usize = 65_536;

/// Returns the join as a lookup for the rows that it keeps, where the other rows are in memory and
/// have unique keys. Each kept row then has exactly one row in the result, in the same order.
pub(crate) fn lookup(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(join) = plan.downcast_ref::<HashJoinExec>() else { return Ok(None) };
    let plain = join.null_equality() == NullEquality::NullEqualsNothing
        && join.filter().is_none()
        && join.fetch().is_none();
    let [(left_key, right_key)] = join.on() else { return Ok(None) };
    let left_columns = join.left().schema().fields().len();
    let right_columns = left_columns..left_columns + join.right().schema().fields().len();
    let (few, key, kept, kept_key, few_columns) = match join.join_type() {
        JoinType::Left => (join.right(), right_key, join.left(), left_key, right_columns.clone()),
        JoinType::Right => (join.left(), left_key, join.right(), right_key, 0..left_columns),
        _ => return Ok(None),
    };
    let Some(key) = key.downcast_ref::<Column>().filter(|_| plain) else { return Ok(None) };
    let Some(rows) = rows_in_memory(few)? else { return Ok(None) };
    let Some(row_by_key) = index_keys(rows.column(key.index())) else { return Ok(None) };
    let row_by_key = Arc::new(row_by_key);
    let kept_schema = kept.schema();
    let column = |at: usize| -> Arc<dyn PhysicalExpr> {
        if !few_columns.contains(&at) {
            let at = if at < few_columns.start { at } else { at - few_columns.end };
            return Arc::new(Column::new(kept_schema.field(at).name(), at));
        }
        let at = at - few_columns.start;
        Arc::new(LookupExpr {
            key: Arc::clone(kept_key),
            row_by_key: Arc::clone(&row_by_key),
            values: Arc::clone(rows.column(at)),
            field: Arc::new(rows.schema().field(at).clone().with_nullable(true)),
        })
    };
    let all = || (0..right_columns.end).collect::<Vec<_>>();
    let output = join.projection.as_ref().map_or_else(all, |some| some.to_vec());
    let schema = join.schema();
    let named = output.into_iter().zip(schema.fields());
    let columns: Vec<ProjectionExpr> =
        named.map(|(at, field)| ProjectionExpr::new(column(at), field.name())).collect();
    Ok(Some(Arc::new(LookupExec { columns: ProjectionExec::try_new(columns, Arc::clone(kept))? })))
}

/// Returns the rows of its input with looked-up columns beside them.
///
/// A projection does the work, but must not stand in the plan: both sides of a join may have a column
/// of one name, and DataFusion pushes filters through projections by name.
#[derive(Debug)]
struct LookupExec {
    columns: ProjectionExec,
}

impl LookupExec {
    fn over(&self, children: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children else { return exec_err!("a lookup has one child") };
        let columns = self.columns.expr().iter().cloned();
        Ok(Arc::new(Self { columns: ProjectionExec::try_new(columns, Arc::clone(input))? }))
    }
}

impl EmbeddedProjection for LookupExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        let all = self.columns.expr();
        let columns: Vec<ProjectionExpr> = match projection {
            Some(some) => some.into_iter().map(|at| all[at].clone()).collect(),
            None => all.to_vec(),
        };
        let input = Arc::clone(self.columns.input());
        Ok(Self { columns: ProjectionExec::try_new(columns, input)? })
    }
}

impl DisplayAs for LookupExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut Formatter<'_>) -> std::fmt::Result {
        let columns: Vec<String> = self.columns.expr().iter().map(|c| c.expr.to_string()).collect();
        write!(f, "LookupExec: [{}]", columns.join(", "))
    }
}

impl ExecutionPlan for LookupExec {
    fn name(&self) -> &'static str {
        "LookupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.columns.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.columns.input()]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.columns.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(&children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(&children)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.columns.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.columns.metrics()
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.columns.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.columns.statistics_from_inputs(input_stats, args)
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        try_embed_projection(projection, self)
    }
}

/// Returns the rows of a plan that only scans memory, or `None` where they are too many.
fn rows_in_memory(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<RecordBatch>> {
    let source = plan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    let source = source.and_then(|source| source.downcast_ref::<MemorySourceConfig>());
    let Some(source) = source.filter(|_| plan.fetch().is_none()) else { return Ok(None) };
    let batches = || source.partitions().iter().flatten();
    if batches().map(RecordBatch::num_rows).sum::<usize>() > MAX_LOOKUP_ROWS {
        return Ok(None);
    }
    // The keys are unique, so the order of the rows does not matter.
    let rows = concat_batches(&source.original_schema(), batches())?;
    Ok(Some(match source.projection() {
        Some(columns) => rows.project(columns)?,
        None => rows,
    }))
}

/// The row of each key.
type RowByKey = HashMap<String, u32, RandomState>;

/// Returns the row of each key, or `None` where a key is in two rows or the keys are no strings. A
/// NULL equals no key.
fn index_keys(keys: &ArrayRef) -> Option<RowByKey> {
    let keys = keys.as_string_view_opt()?;
    let mut row_by_key = RowByKey::with_capacity_and_hasher(keys.len(), RandomState::with_seed(0));
    for (row, key) in (0..).zip(keys) {
        if let Some(key) = key
            && row_by_key.insert(key.to_owned(), row).is_some()
        {
            return None;
        }
    }
    Some(row_by_key)
}

/// The value of a column in the row with a given key; NULL where no row has the key.
#[derive(Debug)]
struct LookupExpr {
    key: Arc<dyn PhysicalExpr>,
    row_by_key: Arc<RowByKey>,
    values: ArrayRef,
    field: FieldRef,
}

impl LookupExpr {
    /// Returns the row of each key, or `None` where no key is found.
    fn find(&self, keys: &StringViewArray) -> Option<UInt32Array> {
        let mut any = false;
        // Sorted input repeats a key many times. Equal views are equal strings.
        let mut last = None;
        let mut find_row = |row: usize| {
            if keys.is_null(row) {
                return None;
            }
            let view = keys.views()[row];
            let found = match last {
                Some((before, found)) if before == view => found,
                _ => self.row_by_key.get(keys.value(row)).copied(),
            };
            last = Some((view, found));
            any |= found.is_some();
            found
        };
        let rows = (0..keys.len()).map(&mut find_row).collect();
        any.then_some(rows)
    }
}

impl PhysicalExpr for LookupExpr {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let keys = self.key.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(keys) = keys.as_string_view_opt() else {
            return exec_err!("the lookup key {} is no string", self.key);
        };
        let values = match self.find(keys) {
            Some(rows) => take(&self.values, &rows, None)?,
            None => new_null_array(self.values.data_type(), batch.num_rows()),
        };
        Ok(ColumnarValue::Array(values))
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.key]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [key] = children.as_slice() else {
            return exec_err!("a lookup has one key, not {}", children.len());
        };
        Ok(Arc::new(Self {
            key: Arc::clone(key),
            row_by_key: Arc::clone(&self.row_by_key),
            values: Arc::clone(&self.values),
            field: Arc::clone(&self.field),
        }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for LookupExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "lookup({}, {} of {} rows)", self.key, self.field.name(), self.row_by_key.len())
    }
}

impl PartialEq for LookupExpr {
    fn eq(&self, other: &Self) -> bool {
        self.key.eq(&other.key)
            && Arc::ptr_eq(&self.row_by_key, &other.row_by_key)
            && Arc::ptr_eq(&self.values, &other.values)
    }
}

impl Eq for LookupExpr {}

impl Hash for LookupExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
        self.field.name().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::dataframe::DataFrameWriteOptions;
    use datafusion::prelude::{ParquetReadOptions, SessionContext};

    use crate::engine::context::{QueryLimits, context_without_lake, new_config};

    /// The joins, with the few rows on the right, on the left, and on the right of rows that come from
    /// another join.
    const JOINS: [&str; 5] = [
        "many m LEFT JOIN few f ON f.k = m.k",
        "few f RIGHT JOIN many m ON f.k = m.k",
        "(SELECT a.i, a.k FROM many a JOIN many b ON a.i = b.i) m LEFT JOIN few f ON f.k = m.k",
        "(SELECT i, k FROM many WHERE i > 3) m LEFT JOIN few f ON f.k = m.k",
        "filed m LEFT JOIN few f ON f.k = m.k",
    ];

    /// Filters above and below a join. Both sides have a column `k`.
    const FILTERS: [&str; 5] = [
        "",
        "WHERE coalesce(f.name, m.k) = 'k8'",
        "WHERE f.k IS NULL AND m.k LIKE 'k1%'",
        "WHERE m.k = 'k2' OR f.n > 1",
        "WHERE m.i > 19990",
    ];

    /// Joins twenty thousand rows with `few`; returns the rows and whether the plan has a lookup.
    async fn joined(ctx: &SessionContext, few: &str, join: &str) -> (String, bool) {
        let table = ctx.sql(few).await.expect("a query").cache().await.expect("rows").into_view();
        ctx.deregister_table("few").expect("a name");
        ctx.register_table("few", table).expect("a table");
        let sql = format!("SELECT m.i, f.name, f.k, f.n FROM {join}");
        let frame = ctx.sql(&sql).await.expect("a query");
        let plan = frame.clone().create_physical_plan().await.expect("a plan");
        let plan = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
        let rows = frame.sort_by(vec![datafusion::prelude::col("i")]).expect("i");
        let rows = rows.collect().await.expect("rows");
        (pretty_format_batches(&rows).expect("a table").to_string(), plan.contains("lookup("))
    }

    #[tokio::test]
    async fn a_lookup_gives_the_rows_of_the_join() {
        let ours = context_without_lake();
        let plain = SessionContext::new_with_config(new_config(QueryLimits::default()));
        let texts = |kind: &str| format!("arrow_cast({kind}, 'Utf8View')");
        // Keys that a view inlines, longer keys, and NULL.
        let key = texts(
            "CASE WHEN i % 7 = 0 THEN NULL WHEN i % 2 = 0 THEN 'k' || i ELSE 'a longer key ' || (i / 3) END",
        );
        let many = format!(
            "SELECT value AS i, {key} AS k FROM (SELECT value, value AS i FROM generate_series(0, 20000))"
        );
        // A file takes filters, as do rows that were filtered before.
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("many.parquet").display().to_string();
        let rows = plain.sql(&many).await.expect("a query");
        rows.write_parquet(&file, DataFrameWriteOptions::new(), None).await.expect("a file");
        for ctx in [&ours, &plain] {
            let table = ctx.sql(&many).await.expect("a query").cache().await.expect("rows");
            ctx.register_table("many", table.into_view()).expect("a table");
            ctx.register_parquet("filed", &file, ParquetReadOptions::default())
                .await
                .expect("a file");
        }
        let few = |rows: &str| {
            let (k, name) = (texts("k"), texts("name"));
            format!("SELECT {k} AS k, {name} AS name, n FROM (VALUES {rows}) AS t(k, name, n)")
        };
        let check = async |rows: &str, lookup: bool| {
            for (join, filter) in JOINS.into_iter().flat_map(|j| FILTERS.map(|f| (j, f))) {
                let join = &format!("{join} {filter}");
                let (found, is_lookup) = joined(&ours, &few(rows), join).await;
                let (expected, _) = joined(&plain, &few(rows), join).await;
                assert!(found == expected, "{rows} in {join}");
                // DataFusion makes another join of one whose rows without a match are filtered.
                assert!(is_lookup == lookup || !filter.is_empty(), "{rows} in {join}");
            }
        };
        check("('k2', 'two', 1), ('a longer key 1', 'three', 2), (NULL, 'none', 3)", true).await;
        check("('k2', NULL, 1), ('k4', 'four', NULL), ('a longer key 6000', 'late', 4)", true)
            .await;
        check("('nobody', 'nothing', 1)", true).await;
        check("(NULL, 'a', 1), (NULL, 'b', 2), ('k6', 'six', 3)", true).await;
        // The key is in two rows, so the join gives two rows for one.
        check("('k2', 'two', 1), ('k2', 'also two', 1)", false).await;
    }
}
