//! Expressions that are a day, or one some days away; and between which days a column lies.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::Days;

/// The columns that are the day, or of which the first that is not NULL is, and the days added.
pub(super) fn day_of(expression: &Expr, schema: &DFSchema) -> Option<(Vec<usize>, i32)> {
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

/// Between which days a column lies, counted from the day in one of the columns `day`.
pub(super) fn bounds(
    conditions: &[Expr],
    schema: &DFSchema,
    day: &[usize],
    column: usize,
) -> Option<Days> {
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
