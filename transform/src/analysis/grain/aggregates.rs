//! Nodes that give other rows than they read: GROUP BY, windows, unnest and DISTINCT.

use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, Unnest, Window, WindowFrameUnits,
    WindowFunctionDefinition,
};

use super::{ColumnId, ColumnSet, KeyAnalysis, RowKeys};
use crate::analysis::expressions::{is_float_sum, position_of, without_alias};
use crate::analysis::plan_walk::is_grouping_set;

/// Aggregates whose result depends on the order of their rows.
const ORDERED_AGGREGATES: [&str; 6] =
    ["first_value", "last_value", "nth_value", "array_agg", "string_agg", "cusum"];

/// Window functions that return the same value for rows with equal sort keys.
const PEER_FUNCTIONS: [&str; 6] =
    ["rank", "dense_rank", "percent_rank", "cume_dist", "trailing_sum", "trailing_deviation"];

impl KeyAnalysis<'_> {
    pub(super) fn aggregate(
        &mut self,
        plan: &LogicalPlan,
        aggregate: &Aggregate,
        columns: Vec<ColumnId>,
        input: &RowKeys,
    ) -> RowKeys {
        if is_grouping_set(aggregate) {
            return RowKeys { columns, ..RowKeys::default() };
        }
        let schema = aggregate.input.schema();
        let (groups, values) = columns.split_at(aggregate.group_expr.len());
        self.remember_groups(plan, groups);
        let key: ColumnSet = groups.iter().copied().collect();
        for expression in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = without_alias(expression) else { continue };
            if !ORDERED_AGGREGATES.contains(&call.func.name()) {
                continue;
            }
            let has_order_by = !call.params.order_by.is_empty();
            let exprs = call.params.order_by.iter().map(|s| &s.expr);
            let mut order: ColumnSet = exprs.map(|e| self.id_of(e, schema, input)).collect();
            order.extend(&key);
            let position = position_of(expression);
            self.check_order(input, call.func.name(), &order, has_order_by, position);
        }
        for value in values {
            self.determine(key.clone(), [*value]);
        }
        RowKeys { columns, keys: vec![key], ..RowKeys::default() }
    }

    pub(super) fn window(
        &mut self,
        window: &Window,
        columns: Vec<ColumnId>,
        input: &RowKeys,
    ) -> RowKeys {
        let schema = window.input.schema();
        let mut keys = input.keys.clone();
        let values = columns[input.columns.len()..].to_vec();
        for (expression, id) in window.window_expr.iter().zip(values) {
            for key in &input.keys {
                self.determine(key.clone(), [id]);
            }
            let Expr::WindowFunction(call) = without_alias(expression) else { continue };
            let params = &call.params;
            let partition = params.partition_by.iter().map(|e| self.id_of(e, schema, input));
            let partition: ColumnSet = partition.collect();
            let mut order = partition.clone();
            for sort in &params.order_by {
                order.insert(self.id_of(&sort.expr, schema, input));
            }
            let has_order_by = !params.order_by.is_empty();
            let (name, needs_order) = match &call.fun {
                WindowFunctionDefinition::WindowUDF(f) => {
                    (f.name(), !PEER_FUNCTIONS.contains(&f.name()))
                }
                WindowFunctionDefinition::AggregateUDF(f) => {
                    let by_rows = params.window_frame.units == WindowFrameUnits::Rows;
                    let needs_order = ORDERED_AGGREGATES.contains(&f.name())
                        || is_float_sum(f.name(), &params.args, schema)
                        || by_rows;
                    (f.name(), needs_order && has_order_by)
                }
            };
            if needs_order {
                self.check_order(input, name, &order, has_order_by, position_of(expression));
            }
            if name == "row_number" {
                let mut key = partition;
                key.insert(id);
                keys.push(key);
            }
        }
        RowKeys { columns, keys, ..RowKeys::default() }
    }

    pub(super) fn unnest(
        &mut self,
        unnest: &Unnest,
        columns: Vec<ColumnId>,
        input: &RowKeys,
    ) -> RowKeys {
        let lists = &unnest.list_type_columns;
        let all_distinct = unnest.struct_type_columns.is_empty()
            && lists.iter().all(|(at, _)| self.distinct_lists.contains(&input.columns[*at]));
        let keys = if all_distinct {
            let elements: ColumnSet =
                columns.iter().copied().filter(|id| !input.columns.contains(id)).collect();
            input.keys.iter().map(|key| key | &elements).collect()
        } else {
            Vec::new()
        };
        RowKeys { columns, keys, ..RowKeys::default() }
    }

    pub(super) fn distinct(
        &mut self,
        plan: &LogicalPlan,
        distinct: &Distinct,
        columns: Vec<ColumnId>,
        input: &RowKeys,
    ) -> RowKeys {
        let keys = match distinct {
            Distinct::All(_) => {
                let mut keys = input.keys.clone();
                keys.push(columns.iter().copied().collect());
                keys
            }
            Distinct::On(on) => {
                let schema = on.input.schema();
                let exprs = on.on_expr.iter().map(|e| self.id_of(e, schema, input));
                let key: ColumnSet = exprs.collect();
                let mut order = key.clone();
                for sort in on.sort_expr.iter().flatten() {
                    order.insert(self.id_of(&sort.expr, schema, input));
                }
                self.check_order(input, "DISTINCT ON", &order, on.sort_expr.is_some(), None);
                vec![key]
            }
        };
        self.remember_groups(plan, &columns);
        RowKeys { columns, keys, ..RowKeys::default() }
    }

    fn remember_groups(&mut self, plan: &LogicalPlan, columns: &[ColumnId]) {
        if self.top_group.is_some_and(|top| std::ptr::eq(top, plan)) {
            self.group_columns = Some(columns.to_vec());
        }
    }
}
