//! Conditions of policies: nothing in them depends on the clock or on chance, and what they compute and
//! is no finite number is NULL.

use std::mem;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::Volatility;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Value,
};

use super::predicate::parse_condition;
use super::session::Session;
use crate::catalog::sql_visitor::{for_each_expression, for_each_expression_mut};
use crate::error::{Result, TransformError};

/// Where a condition stands, for error messages.
const LOCATION: &str = "the condition";

impl Session {
    /// Returns a condition with NULL in place of what it computes and is NaN or an infinity. To the
    /// engine NaN lies beyond every number, so that a division by zero would pass a limit.
    ///
    /// # Errors
    /// A text that is no expression, or one with a function of the clock or of chance.
    pub fn finite_condition(&self, text: &str) -> Result<String> {
        finite_condition(text, self.context())
    }
}

fn finite_condition(text: &str, ctx: &SessionContext) -> Result<String> {
    let mut condition = parse_condition(text).map_err(|error| {
        TransformError::sql(LOCATION)(DataFusionError::SQL(Box::new(error), None))
    })?;
    check_repeatable(&condition, ctx)?;
    // Children come before their parents, so that nothing is wrapped twice.
    for_each_expression_mut(&mut condition, |expression| {
        if is_computed(expression) {
            let computed = mem::replace(expression, Expr::value(Value::Null));
            *expression = finite(computed);
        }
    });
    Ok(condition.to_string())
}

/// Refuses functions whose result differs from run to run.
fn check_repeatable(condition: &Expr, ctx: &SessionContext) -> Result<()> {
    let state = ctx.state();
    let mut found = None;
    for_each_expression(condition, |expression| {
        let Expr::Function(function) = expression else { return };
        let name = function.name.to_string().to_lowercase();
        let known = state.scalar_functions().get(&name);
        let help = match known.map(|function| function.signature().volatility) {
            None | Some(Volatility::Immutable) => return,
            Some(Volatility::Stable) => "use $as_of, the instant that is looked up to",
            Some(Volatility::Volatile) => "derive it from the row",
        };
        found.get_or_insert((name, help));
    });
    let Some((name, help)) = found else { return Ok(()) };
    let message = format!("`{name}` gives something else at each run; {help}");
    Err(TransformError::sql(LOCATION)(DataFusionError::Plan(message)))
}

/// Returns whether an expression may be NaN or an infinity although its parts are not.
fn is_computed(expression: &Expr) -> bool {
    match expression {
        Expr::Function(_) | Expr::Cast { .. } => true,
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
        ),
        _ => false,
    }
}

/// Returns `finite(expression)`.
fn finite(expression: Expr) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("finite")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(expression))],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::engine::context::context_without_lake;

    /// Checks whether a condition holds for a row.
    async fn check(condition: &str, holds: bool) {
        let ctx = context_without_lake();
        let finite = finite_condition(condition, &ctx).expect(condition);
        let sql = format!(
            "SELECT count(*) FROM (VALUES (0.0, 0.9, 100)) AS partner(throttled, used, quota) \
             WHERE {finite}"
        );
        let frame = ctx.sql(&sql).await.expect(&sql);
        let batches = frame.collect().await.expect(&sql);
        let count = batches[0].column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(count == 1, holds, "{sql}");
    }

    #[tokio::test]
    async fn what_is_no_number_meets_no_condition() {
        for condition in [
            "throttled / throttled < 0.3",
            "throttled / throttled > 0.3",
            "NOT (throttled / throttled < 0.3)",
            "used / throttled > 3",
            "used / 0 > 1",
            "-used / 0.0 < 1",
            "used % throttled > 0 OR used % throttled <= 0",
            "ln(throttled) < 0",
            "used > 1 OR abs(used / throttled) > 1",
            "CAST('NaN' AS DOUBLE) > 0.8",
            "'Infinity'::double > 0.8",
            "CASE WHEN used > 0.5 THEN used / throttled ELSE 1 END >= 1",
            "1.0 / (used / throttled) < 1",
        ] {
            check(condition, false).await;
        }
    }

    #[tokio::test]
    async fn other_conditions_mean_what_they_say() {
        for condition in [
            "used * 2 > 1.5 AND quota % 3 = 1 AND lower('A') = 'a'",
            "quota - 1 BETWEEN 98 AND 99 AND -quota < 0",
            "coalesce(used / throttled, 0.5) = 0.5",
            "date_part('day', DATE '2026-03-15') IN (15, 17)",
            "EXTRACT(DAY FROM DATE '2026-03-15') % 2 = 1 -- odd days",
            "DATE '2026-03-02' - INTERVAL '1 day' < DATE '2026-03-02'",
            "starts_with('growth', 'gro') AND 'a' || 'b' = 'ab'",
            "used IN (SELECT max(a / b) FROM (VALUES (1.8, 2.0), (1.0, 0.0)) AS v(a, b))",
            "\"used\" IS NOT NULL AND CAST(quota AS VARCHAR) LIKE '10%'",
        ] {
            check(condition, true).await;
        }
    }

    #[test]
    fn the_clock_and_chance_are_refused() {
        let ctx = context_without_lake();
        let check = |condition: &str, part: &str| {
            let error = finite_condition(condition, &ctx).expect_err(condition).to_string();
            assert!(error.contains(part), "{condition}: {error}");
        };
        check("random() < 0.5", "`random` gives something else at each run; derive it");
        check("uuid() > 'x'", "`uuid` gives");
        check(
            "used > 0.5 AND NOW() > '2020-01-01'",
            "`now` gives something else at each run; use $as_of",
        );
        check("current_date > DATE '2026-01-01'", "`current_date` gives");
        check("current_timestamp > $as_of", "`current_timestamp` gives");
        check("used IN (SELECT x FROM t WHERE random() < x)", "`random` gives");
        check("true; DROP TABLE x", "Expected: the end of the condition, found: ;");
        check("used >", "Expected: an expression");
    }
}
