//! The days around its own that a window function looks at.

use std::collections::BTreeSet;

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{
    Expr, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use super::Days;
use super::day::{day_of, whole_days};

/// The days around its own that a window function looks at; `same` are the columns of the day.
pub(super) fn window_days(expression: &Expr, schema: &DFSchema, same: &BTreeSet<usize>) -> Days {
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
            "trailing_sum" | "trailing_deviation" => {
                let days = match params.args.as_slice() {
                    [_, day, Expr::Literal(days, _)] if is_key(day) => whole_days(days),
                    _ => None,
                };
                return days.map_or(Days::ALL, |days| Days { from: Some(-days), to: Some(0) });
            }
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

pub(super) fn name_of(expression: &Expr) -> String {
    match without_alias(expression) {
        Expr::WindowFunction(call) => call.fun.name().to_owned(),
        other => other.schema_name().to_string(),
    }
}
