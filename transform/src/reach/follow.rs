//! The day of an output row, followed down a plan. Where a step can't be shown to stay among some
//! days, it reads them all.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, Join, JoinType, LogicalPlan, Operator, Unnest, Window,
};

use super::day::{bounds, day_of};
use super::same::same_as;
use super::window::{name_of, window_days};
use super::{DAY, Days, Read, days};

/// What one day of the output depends on, by table.
pub(super) fn reads_of(plan: &LogicalPlan) -> BTreeMap<String, Read> {
    let mut reads = Reads::default();
    let day = plan.schema().fields().iter().position(|f| f.name() == DAY);
    let step = match day {
        Some(day) => Step { key: vec![day], days: Days::SAME, why: String::new() },
        None => Step::all(format!("it gives no {DAY}")),
    };
    reads.follow(plan, &step, &[]);
    reads.0
}

/// Rows of a node that one output day depends on: those whose day, in one of the columns `key`, is
/// among `days` of it; all of them where there is no such column.
#[derive(Debug, Clone)]
struct Step {
    key: Vec<usize>,
    days: Days,
    why: String,
}

impl Step {
    fn all(why: impl Into<String>) -> Self {
        Self { key: Vec::new(), days: Days::ALL, why: why.into() }
    }

    fn at(&self, key: Vec<usize>) -> Self {
        Self { key, ..self.clone() }
    }

    /// `more` days around those, because of `why`.
    fn wider(&self, key: Vec<usize>, more: Days, why: impl FnOnce() -> String) -> Self {
        let days = self.days.plus(more);
        let why = if more == Days::SAME { self.why.clone() } else { why() };
        Self { key, days, why }
    }
}

/// What was found of each table.
#[derive(Default)]
struct Reads(BTreeMap<String, Read>);

impl Reads {
    fn add(&mut self, table: &str, days: Days, why: &str) {
        let read = Read { days, why: why.to_owned() };
        self.0
            .entry(table.to_owned())
            .and_modify(|held| {
                let hull = held.days.hull(days);
                if hull != held.days {
                    *held = Read { days: hull, why: why.to_owned() };
                }
            })
            .or_insert(read);
    }

    /// `given`: conditions that hold for the rows of the node that count.
    fn follow(&mut self, plan: &LogicalPlan, step: &Step, given: &[Expr]) {
        self.subqueries(plan);
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = scan.table_name.to_string();
                match step.key.as_slice() {
                    [day] if is_day(plan.schema().field(*day).name()) => {
                        self.add(&table, step.days, &step.why);
                    }
                    [] => self.add(&table, Days::ALL, &step.why),
                    _ => {
                        let name = plan.schema().field(step.key[0]).name();
                        self.add(&table, Days::ALL, &format!("`{name}` is not its day"));
                    }
                }
            }
            LogicalPlan::Projection(node) => {
                let next = mapped(step, node.input.schema(), |at| node.expr.get(at));
                self.follow(&node.input, &next, &[]);
            }
            LogicalPlan::Aggregate(node) => {
                let next = mapped(step, node.input.schema(), |at| node.group_expr.get(at));
                self.follow(&node.input, &next, &[]);
            }
            LogicalPlan::Filter(node) => {
                let conditions = split_conjunction(&node.predicate).into_iter().cloned();
                let conditions: Vec<Expr> = conditions.chain(given.iter().cloned()).collect();
                self.follow(&node.input, step, &conditions);
            }
            LogicalPlan::Sort(node) if node.fetch.is_none() => {
                self.follow(&node.input, step, given);
            }
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                self.all(plan, "LIMIT chooses among the rows of all days");
            }
            LogicalPlan::SubqueryAlias(node) => self.follow(&node.input, step, &[]),
            LogicalPlan::Subquery(node) => self.follow(&node.subquery, step, &[]),
            LogicalPlan::Union(node) => {
                for input in &node.inputs {
                    self.follow(input, step, &[]);
                }
            }
            LogicalPlan::Distinct(Distinct::All(input)) => self.follow(input, step, &[]),
            LogicalPlan::Window(node) => self.window(plan, node, step),
            LogicalPlan::Unnest(node) => self.unnest(plan, node, step),
            LogicalPlan::Join(join) => self.join(join, step, given),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {}
            LogicalPlan::RecursiveQuery(node) => {
                self.all(plan, "a recursive query reads all days");
                // The query's own rows so far are no table.
                self.0.remove(&node.name);
            }
            other => self.all(other, "this step of the query is not kept apart by day"),
        }
    }

    fn window(&mut self, plan: &LogicalPlan, node: &Window, step: &Step) {
        let inside = node.input.schema().fields().len();
        if step.key.iter().any(|at| *at >= inside) {
            return self.all(plan, "its day comes out of a window function");
        }
        let mut next = step.clone();
        let same = match step.key.as_slice() {
            [day] => same_as(&node.input, *day),
            _ => BTreeSet::new(),
        };
        for call in &node.window_expr {
            let more = window_days(call, node.input.schema(), &same);
            if !step.key.is_empty() && next.days.hull(step.days.plus(more)) != next.days {
                next.days = next.days.hull(step.days.plus(more));
                next.why = format!("{DAY} is not in PARTITION BY of `{}`", name_of(call));
            }
        }
        self.follow(&node.input, &next, &[]);
    }

    fn unnest(&mut self, plan: &LogicalPlan, node: &Unnest, step: &Step) {
        let is_list = |at: &usize| {
            let field = plan.schema().field(*at).name();
            node.list_type_columns.iter().any(|(_, list)| list.output_column.name == *field)
        };
        if step.key.iter().any(is_list) {
            return self.all(plan, "its day is an element of a list");
        }
        let key: Option<Vec<usize>> =
            step.key.iter().map(|at| node.dependency_indices.get(*at).copied()).collect();
        match key {
            Some(key) => self.follow(&node.input, &step.at(key), &[]),
            None => self.all(plan, "its day comes out of a list"),
        }
    }

    /// Everything below a node.
    fn all(&mut self, plan: &LogicalPlan, why: &str) {
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                self.add(&scan.table_name.to_string(), Days::ALL, why);
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }

    fn subqueries(&mut self, plan: &LogicalPlan) {
        let _ = plan.apply_subqueries(|inner| {
            self.all(inner, "a subquery reads it for all days at once");
            Ok(TreeNodeRecursion::Continue)
        });
    }

    fn join(&mut self, join: &Join, step: &Step, given: &[Expr]) {
        let schema = &join.schema;
        let width = join.left.schema().fields().len();
        if step.key.is_empty() {
            self.follow(&join.left, step, &[]);
            return self.follow(&join.right, step, &[]);
        }
        // A semi join gives the columns of one side only.
        let offset = match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => width,
            _ => 0,
        };
        let key: Vec<usize> = step.key.iter().map(|at| at + offset).collect();
        let whole = join.left.schema().join(join.right.schema());
        let whole: &DFSchema = whole.as_ref().unwrap_or(schema);
        let mut conditions: Vec<Expr> = Vec::new();
        for (l, r) in &join.on {
            let equal = BinaryExpr::new(Box::new(l.clone()), Operator::Eq, Box::new(r.clone()));
            conditions.push(Expr::BinaryExpr(equal));
        }
        conditions.extend(join.filter.iter().flat_map(split_conjunction).cloned());
        conditions.extend(given.iter().cloned());
        let (left, right): (Vec<usize>, Vec<usize>) = key.iter().partition(|at| **at < width);
        if !left.is_empty() && !right.is_empty() {
            // coalesce(l.event_date, r.event_date): one day where both sides agree on it.
            let agree = left.iter().any(|l| {
                right.iter().any(|r| bounds(&conditions, whole, &[*l], *r) == Some(Days::SAME))
            });
            let why = || format!("the sides of a join differ in {DAY}");
            let side = |key: Vec<usize>| if agree { step.at(key) } else { Step::all(why()) };
            self.follow(&join.left, &side(left), &[]);
            let right = right.into_iter().map(|at| at - width).collect();
            return self.follow(&join.right, &side(right), &[]);
        }
        let on_left = right.is_empty();
        let (own, other) =
            if on_left { (&join.left, &join.right) } else { (&join.right, &join.left) };
        let own_offset = if on_left { 0 } else { width };
        let other_offset = width - own_offset;
        let own_key: Vec<usize> = key.iter().map(|at| at - own_offset).collect();
        self.follow(own, &step.at(own_key.clone()), &[]);
        // Columns of this side that are the day too.
        let same: BTreeSet<usize> = match own_key.as_slice() {
            [one] => same_as(own, *one).into_iter().map(|at| at + own_offset).collect(),
            _ => BTreeSet::new(),
        };
        let same: Vec<usize> = same.into_iter().collect();
        let columns = (0..other.schema().fields().len()).map(|at| (at, at + other_offset));
        let found = columns
            .filter_map(|(at, joined)| Some((at, bounds(&conditions, whole, &same, joined)?)));
        // The narrower the better; one without an end helps only where nothing else is known.
        let best = found.min_by_key(|(_, days)| {
            let length = days.from.zip(days.to).map(|(from, to)| i64::from(to) - i64::from(from));
            (length.unwrap_or(i64::MAX), days.to.is_none())
        });
        let next = match best {
            Some((at, days)) => step.wider(vec![at], days, || {
                format!("a join brings rows of other days together by their {DAY}")
            }),
            None => Step::all(format!(
                "a join has no condition that ties {DAY} to that of the other side"
            )),
        };
        self.follow(other, &next, &[]);
    }
}

fn is_day(column: &str) -> bool {
    // An event's day is that of its instant.
    column == DAY || column == "occurred_at"
}

/// The rows below an expression for each column of the key.
fn mapped<'a>(
    step: &Step,
    schema: &DFSchema,
    expression: impl Fn(usize) -> Option<&'a Expr>,
) -> Step {
    if step.key.is_empty() {
        return step.clone();
    }
    let mut key = Vec::new();
    let mut shift = None;
    for at in &step.key {
        let Some(expression) = expression(*at) else {
            return Step::all(format!("its {DAY} is an aggregate of several days"));
        };
        let found = day_of(expression, schema);
        let Some((columns, days)) = found.filter(|(_, d)| shift.is_none_or(|s| s == *d)) else {
            let text = expression.schema_name();
            return Step::all(format!("its {DAY} is computed: {text}"));
        };
        shift = Some(days);
        key.extend(columns);
    }
    let shift = shift.unwrap_or_default();
    let moved = Days { from: Some(-shift), to: Some(-shift) };
    step.wider(key, moved, || format!("its {DAY} is moved by {}", days(shift)))
}
