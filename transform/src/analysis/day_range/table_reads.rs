//! The days of each table that one day of the output reads. The day of an output row is followed
//! from the topmost node down to the tables. A step that does not keep the days apart reads all
//! days.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, LogicalPlan, Projection, Unnest, Window,
};

use super::day::{bounds, day_of};
use super::equal_columns::equal_columns;
use super::window::{name_of, window_days};
use super::{DAY, DayOffsets, TableRead, days};
use crate::analysis::expressions::join_conditions;
use crate::analysis::plan_walk::{ColumnOrigin, column_origins};

/// Returns what one day of the output reads, by table.
pub(super) fn table_reads(plan: &LogicalPlan) -> BTreeMap<String, TableRead> {
    let mut reads = TableReads::default();
    let day = plan.schema().fields().iter().position(|f| f.name() == DAY);
    let needed = match day {
        Some(day) => NeededRows { key: vec![day], days: DayOffsets::SAME, reason: String::new() },
        None => NeededRows::all(format!("it gives no {DAY}")),
    };
    reads.follow(plan, &needed, &[]);
    reads.0
}

/// The rows of a node that one day of the output needs: those whose day is among `days`. The day of
/// a row is in the first column of `key` that is not NULL. Without a key, all rows are needed.
#[derive(Debug, Clone)]
struct NeededRows {
    key: Vec<usize>,
    days: DayOffsets,
    reason: String,
}

impl NeededRows {
    fn all(reason: impl Into<String>) -> Self {
        Self { key: Vec::new(), days: DayOffsets::ALL, reason: reason.into() }
    }

    fn with_key(&self, key: Vec<usize>) -> Self {
        Self { key, ..self.clone() }
    }

    /// Returns the rows of `more` days around those, with the reason for it.
    fn wider(&self, key: Vec<usize>, more: DayOffsets, reason: impl FnOnce() -> String) -> Self {
        let days = self.days.plus(more);
        let reason = if more == DayOffsets::SAME { self.reason.clone() } else { reason() };
        Self { key, days, reason }
    }
}

/// The reads that were found so far, by table.
#[derive(Default)]
struct TableReads(BTreeMap<String, TableRead>);

impl TableReads {
    fn add(&mut self, table: &str, days: DayOffsets, reason: &str) {
        let read = TableRead { days, reason: reason.to_owned() };
        self.0
            .entry(table.to_owned())
            .and_modify(|known| {
                let hull = known.days.hull(days);
                if hull != known.days {
                    *known = TableRead { days: hull, reason: reason.to_owned() };
                }
            })
            .or_insert(read);
    }

    /// Follows the needed rows of a node down to the tables. The conditions `given` hold for these
    /// rows.
    fn follow(&mut self, plan: &LogicalPlan, needed: &NeededRows, given: &[Expr]) {
        self.subqueries(plan);
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = scan.table_name.to_string();
                match needed.key.as_slice() {
                    [day] if is_day(plan.schema().field(*day).name()) => {
                        self.add(&table, needed.days, &needed.reason);
                    }
                    [] => self.add(&table, DayOffsets::ALL, &needed.reason),
                    _ => {
                        let name = plan.schema().field(needed.key[0]).name();
                        self.add(&table, DayOffsets::ALL, &format!("`{name}` is not its day"));
                    }
                }
            }
            LogicalPlan::Projection(Projection { input, .. })
            | LogicalPlan::Aggregate(Aggregate { input, .. }) => {
                self.follow(input, &below_expressions(needed, plan, input), &[]);
            }
            LogicalPlan::Filter(node) => {
                let conditions = split_conjunction(&node.predicate).into_iter().cloned();
                let conditions: Vec<Expr> = conditions.chain(given.iter().cloned()).collect();
                self.follow(&node.input, needed, &conditions);
            }
            LogicalPlan::Sort(node) if node.fetch.is_none() => {
                self.follow(&node.input, needed, given);
            }
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                self.all(plan, "LIMIT chooses among the rows of all days");
            }
            LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::Distinct(Distinct::All(_)) => {
                for input in plan.inputs() {
                    self.follow(input, needed, &[]);
                }
            }
            LogicalPlan::Window(node) => self.window(plan, node, needed),
            LogicalPlan::Unnest(node) => self.unnest(plan, node, needed),
            LogicalPlan::Join(join) => self.join(plan, join, needed, given),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {}
            LogicalPlan::RecursiveQuery(node) => {
                self.all(plan, "a recursive query reads all days");
                // The name of the recursive query itself is no table.
                self.0.remove(&node.name);
            }
            other => self.all(other, "this step of the query is not kept apart by day"),
        }
    }

    fn window(&mut self, plan: &LogicalPlan, node: &Window, needed: &NeededRows) {
        let inside = node.input.schema().fields().len();
        if needed.key.iter().any(|at| *at >= inside) {
            return self.all(plan, "its day comes out of a window function");
        }
        let mut next = needed.clone();
        let same = match needed.key.as_slice() {
            [day] => equal_columns(&node.input, *day),
            _ => BTreeSet::new(),
        };
        for call in &node.window_expr {
            let more = window_days(call, node.input.schema(), &same);
            if !needed.key.is_empty() && next.days.hull(needed.days.plus(more)) != next.days {
                next.days = next.days.hull(needed.days.plus(more));
                next.reason = format!("{DAY} is not in PARTITION BY of `{}`", name_of(call));
            }
        }
        self.follow(&node.input, &next, &[]);
    }

    fn unnest(&mut self, plan: &LogicalPlan, node: &Unnest, needed: &NeededRows) {
        let origins = column_origins(plan);
        let column = |at: &usize| match origins.get(*at)? {
            ColumnOrigin::Input { column, .. } => Some(*column),
            _ => None,
        };
        let key: Option<Vec<usize>> = needed.key.iter().map(column).collect();
        match key {
            Some(key) => self.follow(&node.input, &needed.with_key(key), &[]),
            None => self.all(plan, "its day is an element of a list"),
        }
    }

    /// Adds all days of every table below a node.
    fn all(&mut self, plan: &LogicalPlan, reason: &str) {
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                self.add(&scan.table_name.to_string(), DayOffsets::ALL, reason);
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

    fn join(&mut self, plan: &LogicalPlan, join: &Join, needed: &NeededRows, given: &[Expr]) {
        let width = join.left.schema().fields().len();
        if needed.key.is_empty() {
            self.follow(&join.left, needed, &[]);
            return self.follow(&join.right, needed, &[]);
        }
        // The key as columns of both sides together: a semi join gives those of one side only.
        let origins = column_origins(plan);
        let column = |at: &usize| match origins.get(*at)? {
            ColumnOrigin::Input { input, column } => Some(column + input * width),
            _ => None,
        };
        let key: Option<Vec<usize>> = needed.key.iter().map(column).collect();
        let Some(key) = key else { return self.all(plan, "its day is the mark of a join") };
        let both = join.left.schema().join(join.right.schema());
        let both: &DFSchema = both.as_ref().unwrap_or(&join.schema);
        let mut conditions = join_conditions(join);
        conditions.extend(given.iter().cloned());
        let (left, right): (Vec<usize>, Vec<usize>) = key.iter().partition(|at| **at < width);
        if !left.is_empty() && !right.is_empty() {
            // coalesce(l.event_date, r.event_date) is one day where both sides agree on it.
            let agree = left.iter().any(|l| {
                right.iter().any(|r| bounds(&conditions, both, &[*l], *r) == Some(DayOffsets::SAME))
            });
            let side = |key: Vec<usize>| {
                if agree {
                    needed.with_key(key)
                } else {
                    NeededRows::all(format!("the sides of a join differ in {DAY}"))
                }
            };
            self.follow(&join.left, &side(left), &[]);
            let right = right.into_iter().map(|at| at - width).collect();
            return self.follow(&join.right, &side(right), &[]);
        }
        let on_left = right.is_empty();
        let (own, other) =
            if on_left { (&join.left, &join.right) } else { (&join.right, &join.left) };
        let own_offset = if on_left { 0 } else { width };
        let own_key: Vec<usize> = key.iter().map(|at| at - own_offset).collect();
        self.follow(own, &needed.with_key(own_key.clone()), &[]);
        let equal: Vec<usize> = match own_key.as_slice() {
            [one] => equal_columns(own, *one).into_iter().map(|at| at + own_offset).collect(),
            _ => Vec::new(),
        };
        let rows = other_side(needed, other, width - own_offset, &conditions, both, &equal);
        self.follow(other, &rows, &[]);
    }
}

/// Returns the needed rows of the side of a join that does not contain the day. `offset` is the
/// index of its first column in the schema `both`, and `day` are the columns of the other side that
/// contain the day.
fn other_side(
    needed: &NeededRows,
    other: &LogicalPlan,
    offset: usize,
    conditions: &[Expr],
    both: &DFSchema,
    day: &[usize],
) -> NeededRows {
    let columns = 0..other.schema().fields().len();
    let bounded = columns.filter_map(|at| Some((at, bounds(conditions, both, day, at + offset)?)));
    // The column with the fewest days is taken, and one without a limit only where there is no
    // other.
    let best = bounded.min_by_key(|(_, days)| {
        let length = days.from.zip(days.to).map(|(from, to)| i64::from(to) - i64::from(from));
        (length.unwrap_or(i64::MAX), days.to.is_none())
    });
    match best {
        Some((at, days)) => needed.wider(vec![at], days, || {
            format!("a join brings rows of other days together by their {DAY}")
        }),
        None => NeededRows::all(format!(
            "a join has no condition that ties {DAY} to that of the other side"
        )),
    }
}

/// Returns whether a column of a table of events contains the day of the row, as a date or an
/// instant.
fn is_day(column: &str) -> bool {
    column == DAY || column == "occurred_at"
}

/// Returns the needed rows of the input of a projection or an aggregate.
fn below_expressions(needed: &NeededRows, plan: &LogicalPlan, input: &LogicalPlan) -> NeededRows {
    let origins = column_origins(plan);
    let mut key = Vec::new();
    let mut shift = None;
    for at in &needed.key {
        let expression = match origins.get(*at) {
            Some(ColumnOrigin::Scalar(expression)) => *expression,
            Some(ColumnOrigin::GroupingSet([expression, ..])) => expression,
            _ => return NeededRows::all(format!("its {DAY} is an aggregate of several days")),
        };
        let found = day_of(expression, input.schema());
        let Some((columns, days)) = found.filter(|(_, d)| shift.is_none_or(|s| s == *d)) else {
            let text = expression.schema_name();
            return NeededRows::all(format!("its {DAY} is computed: {text}"));
        };
        shift = Some(days);
        key.extend(columns);
    }
    let Some(shift) = shift else { return needed.clone() };
    let moved = DayOffsets { from: Some(-shift), to: Some(-shift) };
    needed.wider(key, moved, || format!("its {DAY} is moved by {}", days(shift)))
}
