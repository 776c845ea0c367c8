//! Sums that come out different with the order of their rows, or wrap without a word.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, WindowFunctionDefinition};

use super::facts::place_of;
use super::text::Words;
use crate::mistake::Mistakes;

/// Aggregates that add floats up as they come.
const ADDING: [&str; 14] = [
    "sum",
    "avg",
    "mean",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var",
    "var_pop",
    "var_sample",
    "covar_samp",
    "covar_pop",
    "corr",
    "regr_slope",
    "regr_intercept",
];

/// The column of money that is an integer: minor units.
const MINOR: &str = "amount_minor";

pub(super) fn check(plan: &LogicalPlan, words: &Words, mistakes: &mut Mistakes<'_>) {
    let _ = plan.apply_with_subqueries(|node| {
        let inputs = node.inputs();
        let [input] = inputs.as_slice() else { return Ok(TreeNodeRecursion::Continue) };
        let calls = match node {
            LogicalPlan::Aggregate(aggregate) => &aggregate.aggr_expr,
            LogicalPlan::Window(window) => &window.window_expr,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        for expression in calls {
            call(expression, input.schema(), words, mistakes);
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

fn call(expression: &Expr, schema: &DFSchema, words: &Words, mistakes: &mut Mistakes<'_>) {
    let (name, args, ordered) = match expression {
        Expr::Alias(alias) => return call(&alias.expr, schema, words, mistakes),
        Expr::AggregateFunction(call) => (call.func.name(), &call.params.args, false),
        Expr::WindowFunction(window) => match &window.fun {
            WindowFunctionDefinition::AggregateUDF(function) => {
                (function.name(), &window.params.args, !window.params.order_by.is_empty())
            }
            WindowFunctionDefinition::WindowUDF(_) => return,
        },
        _ => return,
    };
    let place = place_of(expression);
    let area = place.and_then(|place| words.before(place, name));
    let area = area.or_else(|| words.word(name)).unwrap_or_else(|| words.first());
    if !ordered && is_float_sum(name, args, schema) {
        let message = format!("`{name}` over Float64 depends on the order of its rows");
        let help = "add up integers or decimals (money with checked_sum), and divide or CAST to DOUBLE at the end";
        mistakes.error("float_sum", area, message, help.to_owned());
    } else if (name == "sum" || name == "avg") && is_money(args, schema) {
        let message = format!("`{name}` of money wraps without a word when it overflows");
        let help = if name == "sum" {
            "use `checked_sum`, which is exact or fails"
        } else {
            "divide `checked_sum` by `count`"
        };
        mistakes.error("unchecked_sum", area, message, help.to_owned());
    }
}

/// Whether an aggregate adds floats up.
pub(super) fn is_float_sum(name: &str, args: &[Expr], schema: &DFSchema) -> bool {
    ADDING.contains(&name)
        && args.iter().any(|arg| {
            matches!(
                arg.get_type(schema),
                Ok(DataType::Float64 | DataType::Float32 | DataType::Float16)
            )
        })
}

fn is_money(args: &[Expr], schema: &DFSchema) -> bool {
    args.iter().any(|arg| {
        matches!(arg.get_type(schema), Ok(DataType::Decimal128(..) | DataType::Decimal256(..)))
            || arg.column_refs().iter().any(|column| column.name == MINOR)
    })
}
