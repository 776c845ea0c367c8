//! Sums of floats, whose result depends on the order of rows, and sums of money, which can
//! overflow.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, WindowFunctionDefinition};

use crate::analysis::expressions::{is_float_sum, position_of};
use crate::catalog::diagnostics::Diagnostics;
use crate::catalog::diagnostics::source_text::SourceText;

/// The column of money in minor units, which is an integer.
const MINOR_UNITS: &str = "amount_minor";

pub(super) fn check(
    plan: &LogicalPlan,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let _ = plan.apply_with_subqueries(|node| {
        let inputs = node.inputs();
        let [input] = inputs.as_slice() else { return Ok(TreeNodeRecursion::Continue) };
        let calls = match node {
            LogicalPlan::Aggregate(aggregate) => &aggregate.aggr_expr,
            LogicalPlan::Window(window) => &window.window_expr,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        for expression in calls {
            check_call(expression, input.schema(), source_text, diagnostics);
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

fn check_call(
    expression: &Expr,
    schema: &DFSchema,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let (name, args, ordered) = match expression {
        Expr::Alias(alias) => return check_call(&alias.expr, schema, source_text, diagnostics),
        Expr::AggregateFunction(call) => (call.func.name(), &call.params.args, false),
        Expr::WindowFunction(window) => match &window.fun {
            WindowFunctionDefinition::AggregateUDF(function) => {
                (function.name(), &window.params.args, !window.params.order_by.is_empty())
            }
            WindowFunctionDefinition::WindowUDF(_) => return,
        },
        _ => return,
    };
    let position = position_of(expression);
    let span = position.and_then(|position| source_text.find_word_before(position, name));
    let span =
        span.or_else(|| source_text.find_word(name)).unwrap_or_else(|| source_text.first_token());
    if !ordered && is_float_sum(name, args, schema) {
        let message = format!("`{name}` over Float64 depends on the order of its rows");
        let help = "add up integers or decimals (money with checked_sum), and divide or CAST to DOUBLE at the end";
        diagnostics.error("float_sum", span, message, help.to_owned());
    } else if (name == "sum" || name == "avg") && is_money(args, schema) {
        let message = format!("`{name}` of money wraps without a word when it overflows");
        let help = if name == "sum" {
            "use `checked_sum`, which is exact or fails"
        } else {
            "divide `checked_sum` by `count`"
        };
        diagnostics.error("unchecked_sum", span, message, help.to_owned());
    }
}

fn is_money(args: &[Expr], schema: &DFSchema) -> bool {
    args.iter().any(|arg| {
        matches!(arg.get_type(schema), Ok(DataType::Decimal128(..) | DataType::Decimal256(..)))
            || arg.column_refs().iter().any(|column| column.name == MINOR_UNITS)
    })
}
