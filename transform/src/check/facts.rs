//! Which columns of a plan tell its rows apart, and which columns follow from which.
//!
//! Every column has a number that it keeps through projections, joins and groups, so that what was
//! learned of it below holds above. What can't be shown is not assumed.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator,
    Projection, Unnest, Window, WindowFrameUnits, WindowFunctionDefinition,
};

use crate::finding::Place;

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

    fn aggregate(&mut self, plan: &LogicalPlan, aggregate: &Aggregate) -> Facts {
        let input = self.read(&aggregate.input);
        let schema = aggregate.input.schema();
        if aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return self.fresh(plan.schema());
        }
        let groups: Vec<Id> =
            aggregate.group_expr.iter().map(|e| self.id_of(e, schema, &input)).collect();
        if self.watched.is_some_and(|watched| std::ptr::eq(watched, plan)) {
            self.groups = Some(groups.clone());
        }
        let key: Ids = groups.iter().copied().collect();
        for expression in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = strip(expression) else { continue };
            if !IN_ORDER.contains(&call.func.name()) {
                continue;
            }
            let ordered = !call.params.order_by.is_empty();
            let exprs = call.params.order_by.iter().map(|s| &s.expr);
            let mut ids: Ids = exprs.map(|e| self.id_of(e, schema, &input)).collect();
            ids.extend(&key);
            self.doubt(&input, call.func.name(), &ids, ordered, place_of(expression));
        }
        let mut columns = groups;
        for field in plan.schema().fields().iter().skip(columns.len()) {
            let id = self.new_id(field.name());
            columns.push(id);
            self.determine(key.clone(), [id]);
        }
        Facts { columns, keys: vec![key], order: None }
    }

    fn window(&mut self, window: &Window) -> Facts {
        let mut facts = self.read(&window.input);
        let schema = window.input.schema();
        let input = facts.clone();
        for expression in &window.window_expr {
            let id = self.new_id(&expression.schema_name().to_string());
            facts.columns.push(id);
            for key in &input.keys {
                self.determines.push((key.clone(), Ids::from([id])));
            }
            let Expr::WindowFunction(call) = strip(expression) else { continue };
            let params = &call.params;
            let partition = params.partition_by.iter().map(|e| self.id_of(e, schema, &input));
            let partition: Ids = partition.collect();
            let mut ids = partition.clone();
            for sort in &params.order_by {
                ids.insert(self.id_of(&sort.expr, schema, &input));
            }
            let (name, in_order) = match &call.fun {
                WindowFunctionDefinition::WindowUDF(f) => {
                    (f.name(), !ONE_FOR_PEERS.contains(&f.name()))
                }
                WindowFunctionDefinition::AggregateUDF(f) => {
                    let floats = super::sums::is_float_sum(f.name(), &params.args, schema);
                    let rows = params.window_frame.units == WindowFrameUnits::Rows;
                    let runs = IN_ORDER.contains(&f.name()) || floats || rows;
                    (f.name(), runs && !params.order_by.is_empty())
                }
            };
            if in_order {
                let ordered = !params.order_by.is_empty();
                self.doubt(&input, name, &ids, ordered, place_of(expression));
            }
            if name == "row_number" {
                let mut key = partition;
                key.insert(id);
                facts.keys.push(key);
            }
        }
        facts
    }

    fn join(&mut self, join: &Join) -> Facts {
        let start = self.determines.len();
        let left = self.read(&join.left);
        let middle = self.determines.len();
        let right = self.read(&join.right);
        let (keeps_left, keeps_right) = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => return left,
            JoinType::RightSemi | JoinType::RightAnti => return right,
            JoinType::Inner => (true, true),
            JoinType::Left => (true, false),
            JoinType::Right => (false, true),
            JoinType::Full => (false, false),
            _ => return self.fresh(&join.schema),
        };
        // Where rows are filled up with NULL, what was constant is not.
        let end = self.determines.len();
        for (some, more) in
            &mut self.determines[start..end][if keeps_left { middle - start } else { 0 }..]
        {
            if some.is_empty() && !(keeps_left && keeps_right) {
                more.clear();
            }
        }
        let columns: Vec<Id> = left.columns.iter().chain(&right.columns).copied().collect();
        let mut conditions: Vec<Expr> = Vec::new();
        for (l, r) in &join.on {
            conditions.push(Expr::BinaryExpr(BinaryExpr::new(
                Box::new(l.clone()),
                Operator::Eq,
                Box::new(r.clone()),
            )));
        }
        conditions.extend(join.filter.iter().flat_map(split_conjunction).cloned());
        if keeps_left && keeps_right {
            for condition in &conditions {
                self.equality(condition, &join.schema, &columns);
            }
        } else if keeps_left || keeps_right {
            let (kept, filled) = if keeps_left { (&left, &right) } else { (&right, &left) };
            self.lookup(&conditions, &join.schema, &columns, kept, filled);
        }
        let mut keys = Vec::new();
        for l in &left.keys {
            for r in &right.keys {
                keys.push(l | r);
            }
        }
        Facts { columns, keys, order: None }
    }

    /// Of an outer join: where at most one row of the other side matches, it follows from what it
    /// was looked up by.
    fn lookup(
        &mut self,
        conditions: &[Expr],
        schema: &DFSchema,
        columns: &[Id],
        kept: &Facts,
        filled: &Facts,
    ) {
        let (mut by, mut found) = (Ids::new(), Ids::new());
        let mut alone = true;
        let is_kept = |id: &Id| kept.columns.contains(id);
        for condition in conditions {
            if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition {
                let l = column_id(strip(left), schema, columns);
                let r = column_id(strip(right), schema, columns);
                if let (Some(l), Some(r)) = (l, r)
                    && is_kept(&l) != is_kept(&r)
                {
                    let (one, other) = if is_kept(&l) { (l, r) } else { (r, l) };
                    by.insert(one);
                    found.insert(other);
                    continue;
                }
            }
            let read = read_ids(condition, schema, columns);
            alone = alone && read.is_some_and(|ids| !ids.iter().any(is_kept));
        }
        if self.tells_apart(filled, &found).is_err() {
            return;
        }
        if alone {
            self.determine(by, filled.columns.iter().copied());
        } else {
            for key in &kept.keys {
                self.determines.push((key.clone(), filled.columns.iter().copied().collect()));
            }
        }
    }

    fn unnest(&mut self, unnest: &Unnest) -> Facts {
        let input = self.read(&unnest.input);
        let mut columns: Vec<Id> = unnest
            .dependency_indices
            .iter()
            .map(|at| input.columns.get(*at).copied().unwrap_or_default())
            .collect();
        let mut all_series = unnest.struct_type_columns.is_empty();
        let mut elements = Ids::new();
        for (at, list) in &unnest.list_type_columns {
            all_series = all_series && self.series.contains(&input.columns[*at]);
            let id = self.new_id(&list.output_column.name);
            elements.insert(id);
            if let Some(at) = unnest.schema.maybe_index_of_column(&list.output_column) {
                columns[at] = id;
            }
        }
        let keys = if all_series {
            input.keys.iter().map(|key| key | &elements).collect()
        } else {
            Vec::new()
        };
        Facts { columns, keys, order: None }
    }

    fn distinct(&mut self, plan: &LogicalPlan, distinct: &Distinct) -> Facts {
        let mut facts = match distinct {
            Distinct::All(input) => {
                let mut facts = self.read(input);
                facts.keys.push(facts.columns.iter().copied().collect());
                facts
            }
            Distinct::On(on) => {
                let input = self.read(&on.input);
                let schema = on.input.schema();
                let exprs = on.on_expr.iter().map(|e| self.id_of(e, schema, &input));
                let key: Ids = exprs.collect();
                let mut ids = key.clone();
                for sort in on.sort_expr.iter().flatten() {
                    ids.insert(self.id_of(&sort.expr, schema, &input));
                }
                self.doubt(&input, "DISTINCT ON", &ids, on.sort_expr.is_some(), None);
                let exprs = on.select_expr.iter().map(|e| self.id_of(e, schema, &input));
                Facts { columns: exprs.collect(), keys: vec![key], order: None }
            }
        };
        if self.watched.is_some_and(|watched| std::ptr::eq(watched, plan)) {
            self.groups = Some(facts.columns.clone());
        }
        facts.order = None;
        facts
    }

    fn doubt(&mut self, facts: &Facts, what: &str, ids: &Ids, ordered: bool, place: Option<Place>) {
        if let Err(missing) = self.tells_apart(facts, ids) {
            self.doubts.push(Doubt { what: what.to_owned(), missing, ordered, place });
        }
    }
}

/// Aggregates that read their rows one after the other.
const IN_ORDER: [&str; 6] =
    ["first_value", "last_value", "nth_value", "array_agg", "string_agg", "cusum"];

/// Window functions that are the same for rows that the order does not tell apart.
const ONE_FOR_PEERS: [&str; 4] = ["rank", "dense_rank", "percent_rank", "cume_dist"];

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

fn strip(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => strip(&alias.expr),
        other => other,
    }
}

fn column_id(expression: &Expr, schema: &DFSchema, columns: &[Id]) -> Option<Id> {
    let Expr::Column(column) = expression else { return None };
    columns.get(schema.maybe_index_of_column(column)?).copied()
}

/// The columns an expression is made of; `None` where it is made of more than these.
fn read_ids(expression: &Expr, schema: &DFSchema, columns: &[Id]) -> Option<Ids> {
    let mut whole = !expression.is_volatile();
    let _ = expression.apply(|node| {
        whole = whole
            && !matches!(
                node,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::AggregateFunction(_)
                    | Expr::WindowFunction(_)
            );
        Ok(TreeNodeRecursion::Continue)
    });
    if !whole {
        return None;
    }
    let ids = expression
        .column_refs()
        .into_iter()
        .map(|column| columns.get(schema.maybe_index_of_column(column)?).copied());
    ids.collect()
}

/// Casts that keep every value apart.
fn is_injective(expression: &Expr, schema: &DFSchema) -> bool {
    use DataType::{Date32, Int32, Int64, Timestamp};
    let Expr::Cast(cast) = expression else { return false };
    let Expr::Column(_) = cast.expr.as_ref() else { return false };
    let Ok(from) = cast.expr.get_type(schema) else { return false };
    matches!(
        (from, cast.field.data_type()),
        (Date32, Int32 | Int64 | Timestamp(..)) | (Int32, Int64) | (Timestamp(..), Int64)
    )
}

fn is_one(fetch: &Expr) -> bool {
    fetch.as_literal().is_some_and(|value| value.to_string() == "1")
}

/// Where the first column stands that an expression reads.
pub(super) fn place_of(expression: &Expr) -> Option<Place> {
    let spans = expression.column_refs().into_iter().filter_map(|column| column.spans.first());
    let places = spans.map(|span| Place {
        line: usize::try_from(span.start.line).unwrap_or(1),
        column: usize::try_from(span.start.column).unwrap_or(1),
    });
    places.min()
}
