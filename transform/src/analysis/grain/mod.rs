//! The keys of a plan's rows and the functional dependencies between its columns.
//!
//! Every column has an id that it keeps through projections, joins and groups, so that a dependency
//! that is found below holds above too. A dependency or a key that the plan does not show is not
//! assumed.
//!
//! - `aggregates`: nodes that give other rows than they read: GROUP BY, windows, unnest, DISTINCT
//! - `join`: keys and dependencies of joins
//! - `columns`: the columns that an expression reads

mod aggregates;
mod columns;
mod join;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator};
use domain::Position;

use crate::analysis::expressions::without_alias;
use crate::analysis::plan_walk::{ColumnOrigin, column_origins, fold};
use columns::{column_id, is_injective, read_columns};

pub(crate) type ColumnId = usize;
pub(crate) type ColumnSet = BTreeSet<ColumnId>;

/// The columns and keys of the rows that a node gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowKeys {
    /// One id for each column of the schema.
    pub columns: Vec<ColumnId>,
    /// Sets of columns that no two rows share. The empty set means that there is one row at most.
    pub keys: Vec<ColumnSet>,
    /// The columns of an ORDER BY that holds for these rows.
    pub order: Option<ColumnSet>,
    /// The dependencies that were found in this node and below it.
    dependencies: Range<usize>,
}

/// Columns whose values determine those of other columns.
struct FunctionalDependency {
    from: ColumnSet,
    to: ColumnSet,
}

/// A function or clause whose result depends on the order of rows, where the order is not total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnstableOrder {
    /// `row_number`, `LIMIT` …
    pub operation: String,
    /// The columns of the nearest key that the order lacks; empty where no key is known.
    pub missing: Vec<String>,
    /// Whether there is an ORDER BY at all.
    pub has_order_by: bool,
    /// The position of the first column that the operation reads.
    pub position: Option<Position>,
}

/// Analyses a plan from the tables up.
pub(crate) struct KeyAnalysis<'a> {
    /// Returns the keys of a table, each as the names of its columns.
    table_keys: &'a dyn Fn(&str) -> Vec<Vec<String>>,
    names: Vec<String>,
    dependencies: Vec<FunctionalDependency>,
    /// Columns of lists without duplicate elements.
    distinct_lists: ColumnSet,
    pub unstable_orders: Vec<UnstableOrder>,
    /// The topmost GROUP BY or DISTINCT that the rows come from, and its columns.
    top_group: Option<&'a LogicalPlan>,
    pub group_columns: Option<Vec<ColumnId>>,
}

/// The most keys that are kept for one node.
const MAX_KEYS: usize = 8;

/// Functions that return a list without duplicate elements.
const DISTINCT_LIST_FUNCTIONS: [&str; 3] = ["month_series", "generate_series", "range"];

impl<'a> KeyAnalysis<'a> {
    /// Analyses a plan and returns what is known of its rows.
    pub(crate) fn of(
        plan: &'a LogicalPlan,
        table_keys: &'a dyn Fn(&str) -> Vec<Vec<String>>,
    ) -> (Self, RowKeys) {
        let mut analysis = Self {
            table_keys,
            names: Vec::new(),
            dependencies: Vec::new(),
            distinct_lists: ColumnSet::new(),
            unstable_orders: Vec::new(),
            top_group: top_group(plan),
            group_columns: None,
        };
        let rows = analysis.plan(plan);
        (analysis, rows)
    }

    pub(crate) fn name(&self, id: ColumnId) -> &str {
        &self.names[id]
    }

    /// Returns all columns that are determined by some columns.
    pub(crate) fn closure(&self, from: &ColumnSet) -> ColumnSet {
        let mut all = from.clone();
        loop {
            let before = all.len();
            for dependency in &self.dependencies {
                if dependency.from.is_subset(&all) {
                    all.extend(&dependency.to);
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// Checks that no two rows share the values of these columns.
    ///
    /// # Errors
    /// The columns that the nearest key has and these columns do not determine; none without a key.
    pub(crate) fn check_unique(
        &self,
        rows: &RowKeys,
        columns: &ColumnSet,
    ) -> Result<(), Vec<String>> {
        let closure = self.closure(columns);
        let missing = rows.keys.iter().map(|key| key.difference(&closure).collect::<Vec<_>>());
        match missing.min_by_key(Vec::len) {
            Some(missing) if missing.is_empty() => Ok(()),
            Some(missing) => Err(missing.into_iter().map(|id| self.names[*id].clone()).collect()),
            None => Err(Vec::new()),
        }
    }

    fn new_id(&mut self, name: &str) -> ColumnId {
        self.names.push(name.to_owned());
        self.names.len() - 1
    }

    fn determine(&mut self, from: ColumnSet, to: impl IntoIterator<Item = ColumnId>) {
        self.dependencies.push(FunctionalDependency { from, to: to.into_iter().collect() });
    }

    fn plan(&mut self, plan: &LogicalPlan) -> RowKeys {
        fold(plan, &mut |node, inputs: Vec<RowKeys>| self.node(node, &inputs))
    }

    fn node(&mut self, plan: &LogicalPlan, inputs: &[RowKeys]) -> RowKeys {
        let start = inputs.first().map_or(self.dependencies.len(), |rows| rows.dependencies.start);
        self.subqueries(plan);
        let columns = self.columns(plan, inputs);
        let mut rows = self.rows(plan, columns, inputs);
        let keeps_order = matches!(
            plan,
            LogicalPlan::Projection(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_)
        );
        if !keeps_order {
            rows.order = None;
        }
        rows.keys.truncate(MAX_KEYS);
        rows.dependencies = start..self.dependencies.len();
        rows
    }

    /// Returns the id of each output column of a node: that of the input column or expression where
    /// it comes from, or a new one.
    fn columns(&mut self, plan: &LogicalPlan, inputs: &[RowKeys]) -> Vec<ColumnId> {
        let plans = plan.inputs();
        let origins = column_origins(plan).into_iter().zip(plan.schema().fields());
        let id = |(origin, field): (ColumnOrigin<'_>, &FieldRef)| match origin {
            ColumnOrigin::Input { input, column } => inputs[input].columns[column],
            ColumnOrigin::Scalar(expression) => {
                self.id_of(expression, plans[0].schema(), &inputs[0])
            }
            _ => self.new_id(field.name()),
        };
        origins.map(id).collect()
    }

    fn rows(&mut self, plan: &LogicalPlan, columns: Vec<ColumnId>, inputs: &[RowKeys]) -> RowKeys {
        match (plan, inputs) {
            (LogicalPlan::TableScan(scan), _) => {
                self.scan(&scan.table_name.to_string(), plan.schema(), columns)
            }
            (LogicalPlan::EmptyRelation(_), _) => {
                RowKeys { columns, keys: vec![ColumnSet::new()], ..RowKeys::default() }
            }
            (LogicalPlan::RecursiveQuery(query), _) => {
                let all = columns.iter().copied().collect();
                let keys = if query.is_distinct { vec![all] } else { Vec::new() };
                RowKeys { columns, keys, ..RowKeys::default() }
            }
            (LogicalPlan::Join(join), [left, right]) => self.join(join, columns, left, right),
            (LogicalPlan::Filter(filter), [input]) => {
                for condition in split_conjunction(&filter.predicate) {
                    self.equality(condition, filter.input.schema(), &columns);
                }
                RowKeys { columns, ..input.clone() }
            }
            (LogicalPlan::Sort(sort), [input]) => {
                let keys = sort.expr.iter().map(|s| &s.expr);
                let order = keys.map(|e| self.id_of(e, sort.input.schema(), input)).collect();
                RowKeys { columns, order: Some(order), ..input.clone() }
            }
            (LogicalPlan::Limit(limit), [input]) => {
                let order = input.order.clone();
                let has_order_by = order.is_some();
                self.check_order(input, "LIMIT", &order.unwrap_or_default(), has_order_by, None);
                let mut rows = RowKeys { columns, ..input.clone() };
                if limit.skip.is_none() && limit.fetch.as_deref().is_some_and(is_one) {
                    rows.keys = vec![ColumnSet::new()];
                }
                rows
            }
            (LogicalPlan::Aggregate(node), [input]) => self.aggregate(plan, node, columns, input),
            (LogicalPlan::Window(node), [input]) => self.window(node, columns, input),
            (LogicalPlan::Unnest(node), [input]) => self.unnest(node, columns, input),
            (LogicalPlan::Distinct(node), [input]) => self.distinct(plan, node, columns, input),
            (
                LogicalPlan::Projection(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Subquery(_),
                [input],
            ) => RowKeys { columns, ..input.clone() },
            _ => RowKeys { columns, ..RowKeys::default() },
        }
    }

    /// Analyses the plans inside of expressions. Those of EXISTS are left out, because whether a
    /// row exists depends on no order.
    fn subqueries(&mut self, plan: &LogicalPlan) {
        let mut inner = Vec::new();
        let _ = plan.apply_expressions(|expression| {
            expression.apply(|node| {
                match node {
                    Expr::ScalarSubquery(query) => inner.push(query.subquery.clone()),
                    Expr::InSubquery(query) => inner.push(query.subquery.subquery.clone()),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        });
        for plan in inner {
            self.plan(&plan);
        }
    }

    fn scan(&mut self, table: &str, schema: &DFSchema, columns: Vec<ColumnId>) -> RowKeys {
        let by_name: BTreeMap<&str, ColumnId> = schema
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, id)| (field.name().as_str(), *id))
            .collect();
        let mut keys = Vec::new();
        for key in (self.table_keys)(table) {
            let ids: Option<ColumnSet> =
                key.iter().map(|name| by_name.get(name.as_str()).copied()).collect();
            if let Some(ids) = ids {
                self.determine(ids.clone(), columns.clone());
                keys.push(ids);
            }
        }
        if let (Some(at), Some(day)) = (by_name.get("occurred_at"), by_name.get("event_date")) {
            self.determine(ColumnSet::from([*at]), [*day]);
        }
        RowKeys { columns, keys, ..RowKeys::default() }
    }

    /// Returns the id of an expression: that of its column, or a new one that the columns which the
    /// expression reads determine.
    fn id_of(&mut self, expression: &Expr, schema: &DFSchema, rows: &RowKeys) -> ColumnId {
        let plain = without_alias(expression);
        if let Some(id) = column_id(plain, schema, &rows.columns) {
            return id;
        }
        let id = self.new_id(&expression.schema_name().to_string());
        let Some(from) = read_columns(plain, schema, &rows.columns) else { return id };
        if is_injective(plain, schema) {
            self.determine(ColumnSet::from([id]), from.iter().copied());
        }
        if matches!(plain, Expr::ScalarFunction(f) if DISTINCT_LIST_FUNCTIONS.contains(&f.name())) {
            self.distinct_lists.insert(id);
        }
        self.determine(from, [id]);
        id
    }

    /// Adds the dependencies that an equation between columns and expressions shows.
    fn equality(&mut self, condition: &Expr, schema: &DFSchema, columns: &[ColumnId]) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return };
        if !matches!(op, Operator::Eq | Operator::IsNotDistinctFrom) {
            return;
        }
        for (one, other) in [(left, right), (right, left)] {
            let id = column_id(without_alias(one), schema, columns);
            let from = read_columns(other, schema, columns);
            if let (Some(id), Some(from)) = (id, from) {
                self.determine(from, [id]);
            }
        }
    }

    /// Records an operation whose order by these columns is not total.
    fn check_order(
        &mut self,
        rows: &RowKeys,
        operation: &str,
        order: &ColumnSet,
        has_order_by: bool,
        position: Option<Position>,
    ) {
        if let Err(missing) = self.check_unique(rows, order) {
            let operation = operation.to_owned();
            let order = UnstableOrder { operation, missing, has_order_by, position };
            self.unstable_orders.push(order);
        }
    }
}

/// Returns the GROUP BY or DISTINCT that the rows of a query come from, if only filters,
/// projections, windows and orders stand above it.
fn top_group(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::All(_)) => Some(plan),
        LogicalPlan::Projection(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::SubqueryAlias(_) => top_group(plan.inputs().first().copied()?),
        _ => None,
    }
}

fn is_one(fetch: &Expr) -> bool {
    fetch.as_literal().is_some_and(|value| value.to_string() == "1")
}
