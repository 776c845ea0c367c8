//! Expressions that are a day, and the days between which conditions keep a column.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::DayOffsets;

/// Returns the columns and the number of added days, where an expression is a day: the first of the
/// columns that is not NULL, plus those days.
pub(super) fn day_of(expression: &Expr, schema: &DFSchema) -> Option<(Vec<usize>, i32)> {
    match expression {
        Expr::Alias(alias) => day_of(&alias.expr, schema),
        Expr::Column(column) => Some((vec![schema.maybe_index_of_column(column)?], 0)),
        Expr::Cast(cast) => {
            let is_day = match cast.field.data_type() {
                DataType::Date32 => true,
                // The number of days since 1970-01-01.
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

/// Returns a literal as a number of days; `None` where it is not a whole number of days.
pub(super) fn whole_days(value: &ScalarValue) -> Option<i32> {
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

/// Returns the days between which conditions keep `column`, as offsets from the day in one of the
/// columns `day`; `None` where no condition ties them.
pub(super) fn bounds(
    conditions: &[Expr],
    schema: &DFSchema,
    day: &[usize],
    column: usize,
) -> Option<DayOffsets> {
    let mut days = DayOffsets::ALL;
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
    (days != DayOffsets::ALL).then_some(days)
}

fn compare(
    left: &Expr,
    op: Operator,
    right: &Expr,
    schema: &DFSchema,
    day: &[usize],
    column: usize,
    days: &mut DayOffsets,
) {
    let (Some((l, l_days)), Some((r, r_days))) = (day_of(left, schema), day_of(right, schema))
    else {
        return;
    };
    // column + a (op) day + b is column (op) day + (b − a).
    let (op, by) = if l == [column] && r.len() == 1 && day.contains(&r[0]) {
        (op, r_days - l_days)
    } else if r == [column] && l.len() == 1 && day.contains(&l[0]) {
        let Some(op) = op.swap() else { return };
        (op, l_days - r_days)
    } else {
        return;
    };
    let tighten_from = |days: &mut DayOffsets, by: i32| {
        days.from = Some(days.from.map_or(by, |from| from.max(by)));
    };
    let tighten_to = |days: &mut DayOffsets, by: i32| {
        days.to = Some(days.to.map_or(by, |to| to.min(by)));
    };
    match op {
        Operator::Eq | Operator::IsNotDistinctFrom => {
            tighten_from(days, by);
            tighten_to(days, by);
        }
        // The columns may be instants of the same day, so < is taken for <=.
        Operator::GtEq | Operator::Gt => tighten_from(days, by),
        Operator::LtEq | Operator::Lt => tighten_to(days, by),
        _ => {}
    }
}
