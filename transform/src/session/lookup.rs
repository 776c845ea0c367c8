//! A left join with a few rows in memory is a look into a map.
//!
//! The views of days join `merge_map`, which has a row for few of all partners. A hash join copies
//! whatever goes through it, histograms too; a projection hands its columns on as they are, and
//! computes one more.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringViewArray, UInt32Array, new_null_array,
};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::hash_utils::RandomState;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, NullEquality, Result, exec_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

/// Rows to look among; more are joined.
const MOST_ROWS: usize = 65_536;

/// Puts a projection in the place of such joins.
#[derive(Debug)]
pub(super) struct Lookups;

impl PhysicalOptimizerRule for Lookups {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = plan.transform_up(|node| {
            let lookup = node.downcast_ref::<HashJoinExec>().map(lookup).transpose()?.flatten();
            Ok(lookup.map_or_else(|| Transformed::no(node), Transformed::yes))
        });
        replaced.map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "lookups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The join as a projection, where the rows on its left are in memory and no key stands in them
/// twice: then each row on its right has one row in the result, in the same order.
fn lookup(join: &HashJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let plain = *join.join_type() == JoinType::Right
        && *join.partition_mode() == PartitionMode::CollectLeft
        && join.null_equality() == NullEquality::NullEqualsNothing
        && join.filter().is_none()
        && join.fetch().is_none();
    let [(key, wanted)] = join.on() else { return Ok(None) };
    let Some(key) = key.downcast_ref::<Column>().filter(|_| plain) else { return Ok(None) };
    let Some(rows) = rows_in_memory(join.left())? else { return Ok(None) };
    let Some(places) = places_of(rows.column(key.index())) else { return Ok(None) };
    let places = Arc::new(places);
    let (found, right) = (rows.num_columns(), join.right().schema());
    let column = |at: usize| -> Arc<dyn PhysicalExpr> {
        if at >= found {
            return Arc::new(Column::new(right.field(at - found).name(), at - found));
        }
        Arc::new(Lookup {
            wanted: Arc::clone(wanted),
            places: Arc::clone(&places),
            values: Arc::clone(rows.column(at)),
            field: Arc::new(rows.schema().field(at).clone().with_nullable(true)),
        })
    };
    let all = || (0..found + right.fields().len()).collect::<Vec<_>>();
    let given = join.projection.as_ref().map_or_else(all, |some| some.to_vec());
    let schema = join.schema();
    let named = given.into_iter().zip(schema.fields());
    let columns: Vec<ProjectionExpr> =
        named.map(|(at, field)| ProjectionExpr::new(column(at), field.name())).collect();
    Ok(Some(Arc::new(ProjectionExec::try_new(columns, Arc::clone(join.right()))?)))
}

/// The rows of a plan that only hands on what is in memory, unless they are many.
fn rows_in_memory(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<RecordBatch>> {
    // No key stands in them twice, so their order does not matter.
    let plan = plan.downcast_ref::<CoalescePartitionsExec>().map_or(plan, |all| all.input());
    let source = plan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    let source = source.and_then(|source| source.downcast_ref::<MemorySourceConfig>());
    let Some(source) = source.filter(|_| plan.fetch().is_none()) else { return Ok(None) };
    let batches = || source.partitions().iter().flatten();
    if batches().map(RecordBatch::num_rows).sum::<usize>() > MOST_ROWS {
        return Ok(None);
    }
    let rows = concat_batches(&source.original_schema(), batches())?;
    Ok(Some(match source.projection() {
        Some(columns) => rows.project(columns)?,
        None => rows,
    }))
}

/// In which row a key stands.
type Places = HashMap<String, u32, RandomState>;

/// `None` where one stands in two, or keys are no texts. NULL is nobody's key.
fn places_of(keys: &ArrayRef) -> Option<Places> {
    let keys = keys.as_string_view_opt()?;
    let mut places = Places::with_capacity_and_hasher(keys.len(), RandomState::with_seed(0));
    for (row, key) in (0..).zip(keys) {
        if let Some(key) = key
            && places.insert(key.to_owned(), row).is_some()
        {
            return None;
        }
    }
    Some(places)
}

/// A value of the row whose key is the one wanted; NULL where there is none.
#[derive(Debug)]
struct Lookup {
    wanted: Arc<dyn PhysicalExpr>,
    places: Arc<Places>,
    values: ArrayRef,
    field: FieldRef,
}

impl Lookup {
    /// `None` where nothing is found.
    fn find(&self, wanted: &StringViewArray) -> Option<UInt32Array> {
        let mut any = false;
        // What is sorted asks for one key many times; equal views are equal texts.
        let mut last = None;
        let mut place = |row: usize| {
            if wanted.is_null(row) {
                return None;
            }
            let view = wanted.views()[row];
            let found = match last {
                Some((before, found)) if before == view => found,
                _ => self.places.get(wanted.value(row)).copied(),
            };
            last = Some((view, found));
            any |= found.is_some();
            found
        };
        let places = (0..wanted.len()).map(&mut place).collect();
        any.then_some(places)
    }
}

impl PhysicalExpr for Lookup {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let wanted = self.wanted.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(wanted) = wanted.as_string_view_opt() else {
            return exec_err!("{} is to be looked up and no text", self.wanted);
        };
        let values = match self.find(wanted) {
            Some(places) => take(&self.values, &places, None)?,
            None => new_null_array(self.values.data_type(), batch.num_rows()),
        };
        Ok(ColumnarValue::Array(values))
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.wanted]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [wanted] = children.as_slice() else {
            return exec_err!("a lookup is of one key, not of {}", children.len());
        };
        Ok(Arc::new(Self {
            wanted: Arc::clone(wanted),
            places: Arc::clone(&self.places),
            values: Arc::clone(&self.values),
            field: Arc::clone(&self.field),
        }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for Lookup {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "lookup({}, {} of {} rows)", self.wanted, self.field.name(), self.places.len())
    }
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.wanted.eq(&other.wanted)
            && Arc::ptr_eq(&self.places, &other.places)
            && Arc::ptr_eq(&self.values, &other.values)
    }
}

impl Eq for Lookup {}

impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wanted.hash(state);
        self.field.name().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    /// The rows of a join of twenty thousand rows with `few`, and whether it is a lookup.
    async fn joined(ctx: &SessionContext, few: &str) -> (String, bool) {
        let table = ctx.sql(few).await.expect("a query").cache().await.expect("rows").into_view();
        ctx.deregister_table("few").expect("a name");
        ctx.register_table("few", table).expect("a table");
        let sql = "SELECT m.i, f.name, f.k, f.n FROM many m LEFT JOIN few f ON f.k = m.k";
        let frame = ctx.sql(sql).await.expect("a query");
        let plan = frame.clone().create_physical_plan().await.expect("a plan");
        let plan = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
        let rows = frame.sort_by(vec![datafusion::prelude::col("i")]).expect("i");
        let rows = rows.collect().await.expect("rows");
        (pretty_format_batches(&rows).expect("a table").to_string(), plan.contains("lookup("))
    }

    #[tokio::test]
    async fn a_join_with_few_rows_is_a_lookup_and_gives_the_same() {
        let ours = crate::session::context_without_lake();
        let plain = SessionContext::new();
        let texts = |kind: &str| format!("arrow_cast({kind}, 'Utf8View')");
        // Keys shorter and longer than what a view holds itself, and none.
        let key = texts(
            "CASE WHEN i % 7 = 0 THEN NULL WHEN i % 2 = 0 THEN 'k' || i ELSE 'a longer key ' || (i / 3) END",
        );
        let many = format!(
            "SELECT value AS i, {key} AS k FROM (SELECT value, value AS i FROM generate_series(0, 20000))"
        );
        for ctx in [&ours, &plain] {
            let table = ctx.sql(&many).await.expect("a query").cache().await.expect("rows");
            ctx.register_table("many", table.into_view()).expect("a table");
        }
        let few = |rows: &str| {
            let (k, name) = (texts("k"), texts("name"));
            format!("SELECT {k} AS k, {name} AS name, n FROM (VALUES {rows}) AS t(k, name, n)")
        };
        let check = async |rows: &str, lookup: bool| {
            let (found, is_lookup) = joined(&ours, &few(rows)).await;
            let (expected, _) = joined(&plain, &few(rows)).await;
            assert!(found == expected, "{rows}");
            assert_eq!(is_lookup, lookup, "{rows}");
        };
        check("('k2', 'two', 1), ('a longer key 1', 'three', 2), (NULL, 'none', 3)", true).await;
        check("('k2', NULL, 1), ('k4', 'four', NULL), ('a longer key 6000', 'late', 4)", true)
            .await;
        check("('nobody', 'nothing', 1)", true).await;
        check("(NULL, 'a', 1), (NULL, 'b', 2), ('k6', 'six', 3)", true).await;
        // A key twice: two rows for one.
        check("('k2', 'two', 1), ('k2', 'also two', 1)", false).await;
    }
}
