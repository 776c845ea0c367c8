//! Steps that give other rows than they read: groups, windows, lists taken apart, DISTINCT.

use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, Unnest, Window, WindowFrameUnits,
    WindowFunctionDefinition,
};

use super::columns::{place_of, strip};
use super::{Facts, Id, Ids, Reading};

/// Aggregates that read their rows one after the other.
const IN_ORDER: [&str; 6] =
    ["first_value", "last_value", "nth_value", "array_agg", "string_agg", "cusum"];

/// Window functions that are the same for rows that the order does not tell apart.
const ONE_FOR_PEERS: [&str; 6] =
    ["rank", "dense_rank", "percent_rank", "cume_dist", "trailing_sum", "trailing_deviation"];

impl Reading<'_> {
    pub(super) fn aggregate(&mut self, plan: &LogicalPlan, aggregate: &Aggregate) -> Facts {
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

    pub(super) fn window(&mut self, window: &Window) -> Facts {
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
                    let floats = crate::lint::sums::is_float_sum(f.name(), &params.args, schema);
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

    pub(super) fn unnest(&mut self, unnest: &Unnest) -> Facts {
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

    pub(super) fn distinct(&mut self, plan: &LogicalPlan, distinct: &Distinct) -> Facts {
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
}
