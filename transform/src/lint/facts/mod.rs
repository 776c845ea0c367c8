//! Which columns of a plan tell its rows apart, and which columns follow from which.
//!
//! Every column has a number that it keeps through projections, joins and groups, so that what was
//! learned of it below holds above. What can't be shown is not assumed. Reading order: here the
//! steps that keep their rows, `groups` (those that make other rows), `join`, `columns` (the columns
//! an expression reads).

mod columns;
mod groups;
mod join;

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator, Projection};

use crate::mistake::Place;
pub(super) use columns::place_of;
use columns::{column_id, is_injective, read_ids, strip};

pub(super) type Id = usize;
pub(super) type Ids = BTreeSet<Id>;

/// What is known of the rows that a node gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// One for each column of the schema.
    pub columns: Vec<Id>,
    /// Sets of columns that no two rows share; an empty set: there is one row at most.
    pub keys: Vec<Ids>,
    /// The columns of an ORDER BY that holds for these rows.
    pub order: Option<Ids>,
}

/// Something whose result depends on an order that is not fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    /// `row_number`, `LIMIT` …
    pub what: String,
    /// Columns that the order lacks to be one; empty where nothing tells the rows apart.
    pub missing: Vec<String>,
    /// Whether there is an ORDER BY at all.
    pub ordered: bool,
    /// Of a column that it reads.
    pub place: Option<Place>,
}

/// Reads a plan from the tables up.
pub(super) struct Reading<'a> {
    /// The sets of columns that tell a table's rows apart.
    keys: &'a dyn Fn(&str) -> Vec<Vec<String>>,
    names: Vec<String>,
    determines: Vec<(Ids, Ids)>,
    /// Lists without an element twice.
    series: Ids,
    pub doubts: Vec<Doubt>,
    /// The node whose groups are wanted, and those.
    watched: Option<&'a LogicalPlan>,
    pub groups: Option<Vec<Id>>,
}

/// Keys of one node beyond these are not looked at.
const MOST_KEYS: usize = 8;

impl<'a> Reading<'a> {
    /// With the topmost GROUP BY or DISTINCT that gives the query its rows, in `groups`.
    pub(super) fn of(
        plan: &'a LogicalPlan,
        keys: &'a dyn Fn(&str) -> Vec<Vec<String>>,
    ) -> (Self, Facts) {
        let mut reading = Self {
            keys,
            names: Vec::new(),
            determines: Vec::new(),
            series: Ids::new(),
            doubts: Vec::new(),
            watched: top_group(plan),
            groups: None,
        };
        let facts = reading.read(plan);
        (reading, facts)
    }

    pub(super) fn name(&self, id: Id) -> &str {
        &self.names[id]
    }

    /// All columns that follow from some.
    pub(super) fn closure(&self, from: &Ids) -> Ids {
        let mut all = from.clone();
        loop {
            let before = all.len();
            for (some, more) in &self.determines {
                if some.is_subset(&all) {
                    all.extend(more);
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// Whether no two rows share these columns; else what is lacking of the nearest key.
    pub(super) fn tells_apart(&self, facts: &Facts, ids: &Ids) -> Result<(), Vec<String>> {
        let closure = self.closure(ids);
        let missing = facts.keys.iter().map(|key| key.difference(&closure).collect::<Vec<_>>());
        match missing.min_by_key(Vec::len) {
            Some(missing) if missing.is_empty() => Ok(()),
            Some(missing) => Err(missing.into_iter().map(|id| self.names[*id].clone()).collect()),
            None => Err(Vec::new()),
        }
    }

    fn new_id(&mut self, name: &str) -> Id {
        self.names.push(name.to_owned());
        self.names.len() - 1
    }

    fn fresh(&mut self, schema: &DFSchema) -> Facts {
        let columns = schema.fields().iter().map(|f| self.new_id(f.name())).collect();
        Facts { columns, ..Facts::default() }
    }

    fn determine(&mut self, from: Ids, to: impl IntoIterator<Item = Id>) {
        self.determines.push((from, to.into_iter().collect()));
    }

    fn read(&mut self, plan: &LogicalPlan) -> Facts {
        self.read_subqueries(plan);
        let mut facts = match plan {
            LogicalPlan::TableScan(scan) => self.scan(&scan.table_name.to_string(), plan.schema()),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => {
                let facts = self.read(&filter.input);
                for conjunct in split_conjunction(&filter.predicate) {
                    self.equality(conjunct, filter.input.schema(), &facts.columns);
                }
                facts
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(plan, aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Distinct(distinct) => self.distinct(plan, distinct),
            LogicalPlan::Sort(sort) => {
                let mut facts = self.read(&sort.input);
                let exprs = sort.expr.iter().map(|s| &s.expr);
                let ids: Ids = exprs.map(|e| self.id_of(e, sort.input.schema(), &facts)).collect();
                facts.order = Some(ids);
                return facts;
            }
            LogicalPlan::Limit(limit) => {
                let mut facts = self.read(&limit.input);
                let order = facts.order.clone();
                let ordered = order.is_some();
                self.doubt(&facts, "LIMIT", &order.unwrap_or_default(), ordered, None);
                if limit.skip.is_none() && limit.fetch.as_deref().is_some_and(is_one) {
                    facts.keys = vec![Ids::new()];
                }
                return facts;
            }
            LogicalPlan::SubqueryAlias(alias) => self.read(&alias.input),
            LogicalPlan::Subquery(subquery) => self.read(&subquery.subquery),
            LogicalPlan::RecursiveQuery(query) => {
                self.read(&query.static_term);
                self.read(&query.recursive_term);
                let mut facts = self.fresh(plan.schema());
                if query.is_distinct {
                    facts.keys.push(facts.columns.iter().copied().collect());
                }
                facts
            }
            LogicalPlan::EmptyRelation(_) => {
                let mut facts = self.fresh(plan.schema());
                facts.keys.push(Ids::new());
                facts
            }
            other => {
                for input in other.inputs() {
                    self.read(input);
                }
                self.fresh(plan.schema())
            }
        };
        if !matches!(plan, LogicalPlan::Projection(_)) {
            facts.order = None;
        }
        facts.keys.truncate(MOST_KEYS);
        facts
    }

    /// The plans inside of expressions; whether a row EXISTS depends on no order.
    fn read_subqueries(&mut self, plan: &LogicalPlan) {
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
            self.read(&plan);
        }
    }

    fn scan(&mut self, table: &str, schema: &DFSchema) -> Facts {
        let mut facts = self.fresh(schema);
        let by_name: BTreeMap<&str, Id> = schema
            .fields()
            .iter()
            .zip(&facts.columns)
            .map(|(field, id)| (field.name().as_str(), *id))
            .collect();
        for key in (self.keys)(table) {
            let ids: Option<Ids> = key.iter().map(|n| by_name.get(n.as_str()).copied()).collect();
            if let Some(ids) = ids {
                self.determine(ids.clone(), facts.columns.clone());
                facts.keys.push(ids);
            }
        }
        if let (Some(at), Some(day)) = (by_name.get("occurred_at"), by_name.get("event_date")) {
            self.determine(Ids::from([*at]), [*day]);
        }
        facts
    }

    fn projection(&mut self, projection: &Projection) -> Facts {
        let input = self.read(&projection.input);
        let schema = projection.input.schema();
        let columns = projection.expr.iter().map(|e| self.id_of(e, schema, &input)).collect();
        Facts { columns, keys: input.keys, order: input.order }
    }

    /// The number of an expression: its column's, or a new one that follows from what it reads.
    fn id_of(&mut self, expression: &Expr, schema: &DFSchema, facts: &Facts) -> Id {
        let plain = strip(expression);
        if let Some(id) = column_id(plain, schema, &facts.columns) {
            return id;
        }
        let id = self.new_id(&expression.schema_name().to_string());
        let Some(from) = read_ids(plain, schema, &facts.columns) else { return id };
        if is_injective(plain, schema) {
            self.determine(Ids::from([id]), from.iter().copied());
        }
        if matches!(plain, Expr::ScalarFunction(f) if SERIES.contains(&f.name())) {
            self.series.insert(id);
        }
        self.determine(from, [id]);
        id
    }

    fn equality(&mut self, conjunct: &Expr, schema: &DFSchema, columns: &[Id]) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = conjunct else { return };
        if !matches!(op, Operator::Eq | Operator::IsNotDistinctFrom) {
            return;
        }
        for (one, other) in [(left, right), (right, left)] {
            let id = column_id(strip(one), schema, columns);
            let from = read_ids(other, schema, columns);
            if let (Some(id), Some(from)) = (id, from) {
                self.determine(from, [id]);
            }
        }
    }

    fn doubt(&mut self, facts: &Facts, what: &str, ids: &Ids, ordered: bool, place: Option<Place>) {
        if let Err(missing) = self.tells_apart(facts, ids) {
            self.doubts.push(Doubt { what: what.to_owned(), missing, ordered, place });
        }
    }
}

/// Functions that give a list without an element twice.
const SERIES: [&str; 3] = ["month_series", "generate_series", "range"];

/// The GROUP BY or DISTINCT that a query's rows come from, where nothing but filters, columns and
/// order comes after it.
fn top_group(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::All(_)) => Some(plan),
        LogicalPlan::Projection(node) => top_group(&node.input),
        LogicalPlan::Sort(node) => top_group(&node.input),
        LogicalPlan::Limit(node) => top_group(&node.input),
        LogicalPlan::Filter(node) => top_group(&node.input),
        LogicalPlan::Window(node) => top_group(&node.input),
        LogicalPlan::SubqueryAlias(node) => top_group(&node.input),
        _ => None,
    }
}

fn is_one(fetch: &Expr) -> bool {
    fetch.as_literal().is_some_and(|value| value.to_string() == "1")
}
