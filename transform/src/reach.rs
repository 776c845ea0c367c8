//! Which days of its inputs one day of a rollup depends on, shown from the plan.
//!
//! The day of an output row is followed down to the tables. Where a step can't be shown to stay
//! among some days, it reads them all.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator,
    WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use crate::catalog::Query;
use crate::header::Reach;

/// The column that a table of events and a rollup have their day in.
const DAY: &str = "event_date";

/// Days read for one day, counted from it; `None`: without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Days {
    pub from: Option<i32>,
    pub to: Option<i32>,
}

impl Days {
    const SAME: Self = Self { from: Some(0), to: Some(0) };
    const ALL: Self = Self { from: None, to: None };

    fn plus(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(a, b)| a.saturating_add(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.saturating_add(b)),
        }
    }

    fn hull(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(a, b)| a.min(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.max(b)),
        }
    }

    /// The least that a header may say for them.
    fn reach(self) -> Reach {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from >= 0 && to <= 0 => Reach::Same,
            (Some(from), Some(to)) if to <= 0 => Reach::Lookback(-from),
            (_, Some(to)) if to <= 0 => Reach::UpTo,
            _ => Reach::All,
        }
    }

    fn is_within(self, reach: Reach) -> bool {
        let past = self.to.is_some_and(|to| to <= 0);
        match reach {
            Reach::Same => self == Self::SAME,
            Reach::Lookback(days) => past && self.from.is_some_and(|from| from >= -days),
            Reach::UpTo => past,
            Reach::All => true,
        }
    }

    fn text(self) -> String {
        match (self.from, self.to) {
            (Some(0), Some(0)) => "that day alone".to_owned(),
            (Some(-1), Some(-1)) => "the day before it".to_owned(),
            (Some(-1), Some(..=0)) => "the day before it too".to_owned(),
            (Some(from), Some(0)) => format!("the {} before it too", days(-from)),
            (Some(from), Some(..=-1)) => format!("the {} before it", days(-from)),
            (None, Some(..=0)) => "every day before it too".to_owned(),
            _ => "any day".to_owned(),
        }
    }
}

fn days(n: i32) -> String {
    if n.abs() == 1 { format!("{n} day") } else { format!("{n} days") }
}

/// What is read of one table, and what makes it so much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub days: Days,
    pub why: String,
}

/// A header that promises less than the plan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub message: String,
    pub help: String,
}

/// Holds what the header says against the plan.
pub(crate) fn verify(query: &Query, plan: &LogicalPlan) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (table, read) in reads_of(plan) {
        let plain = table.strip_prefix("raw.").unwrap_or(&table);
        let least = read.days.reach().text();
        let Some(claimed) = query.header.reads.get(plain) else {
            broken.push(Broken {
                message: format!("the header does not say which days of {plain} it reads"),
                help: format!("write reads = {{ {plain} = \"{least}\" }}"),
            });
            continue;
        };
        if read.days.is_within(*claimed) {
            continue;
        }
        broken.push(Broken {
            message: format!(
                "a day of it may read {} of {plain}, and the header says \"{}\": {}",
                read.days.text(),
                claimed.text(),
                read.why
            ),
            help: format!("write {plain} = \"{least}\", or keep the days apart in the query"),
        });
    }
    broken
}

/// What one day of the output depends on, by table.
pub(crate) fn reads_of(plan: &LogicalPlan) -> BTreeMap<String, Read> {
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
            LogicalPlan::Window(node) => {
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
            LogicalPlan::Unnest(node) => {
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
        let mut inner = Vec::new();
        let _ = plan.apply_expressions(|expression| {
            expression.apply(|node| {
                match node {
                    Expr::ScalarSubquery(query) => inner.push(query.subquery.clone()),
                    Expr::InSubquery(query) => inner.push(query.subquery.subquery.clone()),
                    Expr::Exists(query) => inner.push(query.subquery.subquery.clone()),
                    Expr::SetComparison(query) => inner.push(query.subquery.subquery.clone()),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        });
        for plan in inner {
            self.all(&plan, "a subquery reads it for all days at once");
        }
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

/// The columns that are the day, or of which the first that is not NULL is, and the days added.
fn day_of(expression: &Expr, schema: &DFSchema) -> Option<(Vec<usize>, i32)> {
    match expression {
        Expr::Alias(alias) => day_of(&alias.expr, schema),
        Expr::Column(column) => Some((vec![schema.maybe_index_of_column(column)?], 0)),
        Expr::Cast(cast) => {
            let is_day = match cast.field.data_type() {
                DataType::Date32 => true,
                // The number of the day.
                DataType::Int32 | DataType::Int64 => {
                    matches!(cast.expr.get_type(schema), Ok(DataType::Date32))
                }
                _ => false,
            };
            is_day.then(|| day_of(&cast.expr, schema)).flatten()
        }
        Expr::ScalarFunction(call) if call.name() == "date_trunc" => {
            let unit = call.args.first()?.as_literal()?.to_string();
            (unit == "day").then(|| day_of(call.args.get(1)?, schema)).flatten()
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => {
            let mut columns = Vec::new();
            for arg in &call.args {
                match day_of(arg, schema)? {
                    (more, 0) => columns.extend(more),
                    _ => return None,
                }
            }
            Some((columns, 0))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => {
            let (columns, days) = day_of(left, schema)?;
            Some((columns, days.checked_add(whole_days(right.as_literal()?)?)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => {
            let (columns, days) = day_of(left, schema)?;
            Some((columns, days.checked_sub(whole_days(right.as_literal()?)?)?))
        }
        _ => None,
    }
}

/// A number of days, where it is a whole one.
fn whole_days(value: &ScalarValue) -> Option<i32> {
    match value {
        ScalarValue::Int64(Some(days)) => i32::try_from(*days).ok(),
        ScalarValue::Int32(Some(days)) => Some(*days),
        ScalarValue::UInt64(Some(days)) => i32::try_from(*days).ok(),
        ScalarValue::IntervalDayTime(Some(time)) if time.milliseconds == 0 => Some(time.days),
        ScalarValue::IntervalMonthDayNano(Some(time))
            if time.months == 0 && time.nanoseconds == 0 =>
        {
            Some(time.days)
        }
        _ => None,
    }
}

/// Between which days a column lies, counted from the day in one of the columns `day`.
fn bounds(conditions: &[Expr], schema: &DFSchema, day: &[usize], column: usize) -> Option<Days> {
    let mut days = Days::ALL;
    for condition in conditions {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                compare(left, *op, right, schema, day, column, &mut days);
            }
            Expr::Between(between) if !between.negated => {
                compare(
                    &between.expr,
                    Operator::GtEq,
                    &between.low,
                    schema,
                    day,
                    column,
                    &mut days,
                );
                compare(
                    &between.expr,
                    Operator::LtEq,
                    &between.high,
                    schema,
                    day,
                    column,
                    &mut days,
                );
            }
            _ => {}
        }
    }
    (days != Days::ALL).then_some(days)
}

fn compare(
    left: &Expr,
    op: Operator,
    right: &Expr,
    schema: &DFSchema,
    day: &[usize],
    column: usize,
    days: &mut Days,
) {
    let (Some((l, l_days)), Some((r, r_days))) = (day_of(left, schema), day_of(right, schema))
    else {
        return;
    };
    // column + a (op) day + b, as: column (op) day + (b − a).
    let (op, by) = if l == [column] && r.len() == 1 && day.contains(&r[0]) {
        (op, r_days - l_days)
    } else if r == [column] && l.len() == 1 && day.contains(&l[0]) {
        let Some(op) = op.swap() else { return };
        (op, l_days - r_days)
    } else {
        return;
    };
    let tighten_from = |days: &mut Days, by: i32| {
        days.from = Some(days.from.map_or(by, |from| from.max(by)));
    };
    let tighten_to = |days: &mut Days, by: i32| {
        days.to = Some(days.to.map_or(by, |to| to.min(by)));
    };
    match op {
        Operator::Eq | Operator::IsNotDistinctFrom => {
            tighten_from(days, by);
            tighten_to(days, by);
        }
        // Instants may differ within a day, so an open end is taken for a closed one.
        Operator::GtEq | Operator::Gt => tighten_from(days, by),
        Operator::LtEq | Operator::Lt => tighten_to(days, by),
        _ => {}
    }
}

/// The columns of a node that hold the same as one of them in every row.
fn same_as(plan: &LogicalPlan, column: usize) -> BTreeSet<usize> {
    let mut same = BTreeSet::from([column]);
    match plan {
        LogicalPlan::SubqueryAlias(node) => same.extend(same_as(&node.input, column)),
        LogicalPlan::Sort(node) => same.extend(same_as(&node.input, column)),
        LogicalPlan::Filter(node) => {
            same.extend(same_as(&node.input, column));
            let conditions: Vec<Expr> =
                split_conjunction(&node.predicate).into_iter().cloned().collect();
            spread(&mut same, &conditions, node.input.schema());
        }
        LogicalPlan::Projection(node) => {
            let schema = node.input.schema();
            let source = |at: usize| match day_of(node.expr.get(at)?, schema)? {
                (columns, 0) if columns.len() == 1 => Some(columns[0]),
                _ => None,
            };
            if let Some(inner) = source(column) {
                let inner = same_as(&node.input, inner);
                same.extend(
                    (0..node.expr.len())
                        .filter(|at| source(*at).is_some_and(|s| inner.contains(&s))),
                );
            }
        }
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            if matches!(join.join_type, JoinType::Inner | JoinType::Left) && column < width {
                same.extend(same_as(&join.left, column));
            }
            if matches!(join.join_type, JoinType::Inner | JoinType::Right) && column >= width {
                same.extend(same_as(&join.right, column - width).into_iter().map(|at| at + width));
            }
            if join.join_type == JoinType::Inner {
                let mut conditions: Vec<Expr> =
                    join.filter.iter().flat_map(split_conjunction).cloned().collect();
                for (l, r) in &join.on {
                    let equal =
                        BinaryExpr::new(Box::new(l.clone()), Operator::Eq, Box::new(r.clone()));
                    conditions.push(Expr::BinaryExpr(equal));
                }
                spread(&mut same, &conditions, &join.schema);
            }
        }
        _ => {}
    }
    same
}

fn spread(same: &mut BTreeSet<usize>, conditions: &[Expr], schema: &DFSchema) {
    loop {
        let before = same.len();
        for condition in conditions {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
                continue;
            };
            let (Expr::Column(l), Expr::Column(r)) = (left.as_ref(), right.as_ref()) else {
                continue;
            };
            let l = schema.maybe_index_of_column(l);
            let r = schema.maybe_index_of_column(r);
            if let (Some(l), Some(r)) = (l, r) {
                if same.contains(&l) {
                    same.insert(r);
                } else if same.contains(&r) {
                    same.insert(l);
                }
            }
        }
        if same.len() == before {
            return;
        }
    }
}

/// The days around its own that a window function looks at; `same` are the columns of the day.
fn window_days(expression: &Expr, schema: &DFSchema, same: &BTreeSet<usize>) -> Days {
    let Expr::WindowFunction(call) = without_alias(expression) else { return Days::ALL };
    let params = &call.params;
    let is_key = |e: &Expr| {
        let found = day_of(e, schema);
        matches!(found, Some((columns, 0)) if columns.len() == 1 && same.contains(&columns[0]))
    };
    if params.partition_by.iter().any(is_key) {
        return Days::SAME;
    }
    let first = params.order_by.first();
    if !first.is_some_and(|sort| sort.asc && is_key(&sort.expr)) {
        return Days::ALL;
    }
    if let WindowFunctionDefinition::WindowUDF(function) = &call.fun {
        match function.name() {
            "row_number" | "rank" | "dense_rank" | "lag" => {
                return Days { from: None, to: Some(0) };
            }
            "first_value" | "last_value" | "nth_value" => {}
            _ => return Days::ALL,
        }
    }
    let frame = &params.window_frame;
    let by_days = frame.units == WindowFrameUnits::Range && params.order_by.len() == 1;
    let from = match &frame.start_bound {
        WindowFrameBound::Preceding(value) if by_days => frame_days(value).map(|days| -days),
        WindowFrameBound::CurrentRow if by_days => Some(0),
        _ => None,
    };
    let to = match &frame.end_bound {
        WindowFrameBound::CurrentRow | WindowFrameBound::Preceding(_) => Some(0),
        WindowFrameBound::Following(_) => None,
    };
    // Its own row counts too.
    Days { from, to }.hull(Days::SAME)
}

/// The days of a frame's bound, which is still a text in a plan.
fn frame_days(value: &ScalarValue) -> Option<i32> {
    let ScalarValue::Utf8(Some(text)) = value else { return whole_days(value) };
    let (number, unit) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let is_days = ["", "day", "days"].contains(&unit.trim().to_lowercase().as_str());
    is_days.then(|| number.parse().ok()).flatten()
}

fn without_alias(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

fn name_of(expression: &Expr) -> String {
    match without_alias(expression) {
        Expr::WindowFunction(call) => call.fun.name().to_owned(),
        other => other.schema_name().to_string(),
    }
}

#[cfg(test)]
mod tests;
