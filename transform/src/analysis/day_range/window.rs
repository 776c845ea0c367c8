//! The days that a window function reads around the day of a row.

use std::collections::BTreeSet;

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{
    Expr, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use super::DayOffsets;
use super::day::{day_of, whole_days};
use crate::analysis::expressions::without_alias;

/// Returns the days that a window function reads around the day of a row; the columns `day` contain
/// the day.
pub(super) fn window_days(
    expression: &Expr,
    schema: &DFSchema,
    day: &BTreeSet<usize>,
) -> DayOffsets {
    let Expr::WindowFunction(call) = without_alias(expression) else { return DayOffsets::ALL };
    let params = &call.params;
    let is_key = |e: &Expr| {
        let found = day_of(e, schema);
        matches!(found, Some((columns, 0)) if columns.len() == 1 && day.contains(&columns[0]))
    };
    if params.partition_by.iter().any(is_key) {
        return DayOffsets::SAME;
    }
    let first = params.order_by.first();
    if !first.is_some_and(|sort| sort.asc && is_key(&sort.expr)) {
        return DayOffsets::ALL;
    }
    if let WindowFunctionDefinition::WindowUDF(function) = &call.fun {
        match function.name() {
            "row_number" | "rank" | "dense_rank" | "lag" => {
                return DayOffsets { from: None, to: Some(0) };
            }
            "first_value" | "last_value" | "nth_value" => {}
            "trailing_sum" | "trailing_deviation" => {
                let days = match params.args.as_slice() {
                    [_, by, Expr::Literal(days, _)] if is_key(by) => whole_days(days),
                    _ => None,
                };
                return days
                    .map_or(DayOffsets::ALL, |days| DayOffsets { from: Some(-days), to: Some(0) });
            }
            _ => return DayOffsets::ALL,
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
    // The function reads the row itself too.
    DayOffsets { from, to }.hull(DayOffsets::SAME)
}

/// Returns the days of the bound of a frame, which is still a text in an unoptimized plan.
fn frame_days(value: &ScalarValue) -> Option<i32> {
    let ScalarValue::Utf8(Some(text)) = value else { return whole_days(value) };
    let (number, unit) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let is_days = ["", "day", "days"].contains(&unit.trim().to_lowercase().as_str());
    is_days.then(|| number.parse().ok()).flatten()
}

/// Returns the name of a window function.
pub(super) fn name_of(expression: &Expr) -> String {
    match without_alias(expression) {
        Expr::WindowFunction(call) => call.fun.name().to_owned(),
        other => other.schema_name().to_string(),
    }
}
