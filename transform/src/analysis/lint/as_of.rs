//! Bounds that include rows at exactly `$as_of`.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use crate::analysis::expressions::position_of;
use crate::catalog::diagnostics::{Diagnostics, Span};

/// Reports `x <= $as_of`, because an instant of exactly `$as_of` is not part of the data.
pub(super) fn check(plan: &LogicalPlan, as_of: &str, diagnostics: &mut Diagnostics<'_>) {
    let _ = plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                check_bound(inner, &schema, as_of, diagnostics);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
}

fn check_bound(
    expression: &Expr,
    schema: &DFSchema,
    as_of: &str,
    diagnostics: &mut Diagnostics<'_>,
) {
    let bounded = match expression {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::LtEq, right })
            if is_as_of(right, as_of) =>
        {
            left
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::GtEq, right })
            if is_as_of(left, as_of) =>
        {
            right
        }
        Expr::Between(between) if !between.negated && is_as_of(&between.high, as_of) => {
            &between.expr
        }
        _ => return,
    };
    if !matches!(bounded.get_type(schema), Ok(DataType::Timestamp(..))) || is_end_of_data(bounded) {
        return;
    }
    let Some(position) = position_of(bounded) else { return };
    let message = "an event at exactly `$as_of` counts here, and is not to be seen yet";
    let help = "`$as_of` is where the data ends: write `< $as_of`".to_owned();
    diagnostics.warning("as_of", Span::from_position(position), message, help);
}

/// Returns whether an expression is a column `as_of`, as tables of scores have it: the instant up to
/// which a row looked, which is no event's.
fn is_end_of_data(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(column) if column.name == "as_of")
}

/// Returns whether an expression is the literal that replaces `$as_of`.
fn is_as_of(expression: &Expr, as_of: &str) -> bool {
    matches!(
        expression,
        Expr::ScalarFunction(call) if call.name() == "arrow_cast"
            && call.args.first().and_then(Expr::as_literal).is_some_and(|v| v.to_string() == as_of)
    )
}
