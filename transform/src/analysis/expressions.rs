//! Small questions to DataFusion expressions that several analyses ask.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Join, Operator};
use domain::Position;

/// Returns the expression inside of all aliases.
pub(super) fn without_alias(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

/// Returns the index of the column that an expression is; `None` where it is no plain column.
pub(super) fn column_index(expression: &Expr, schema: &DFSchema) -> Option<usize> {
    let Expr::Column(column) = expression else { return None };
    schema.maybe_index_of_column(column)
}

/// Returns the conditions of a join: an equation for each pair of `on`, then the parts of its
/// filter.
pub(super) fn join_conditions(join: &Join) -> Vec<Expr> {
    let equal = |(left, right): &(Expr, Expr)| {
        let (left, right) = (Box::new(left.clone()), Box::new(right.clone()));
        Expr::BinaryExpr(BinaryExpr::new(left, Operator::Eq, right))
    };
    let filter = join.filter.iter().flat_map(split_conjunction).cloned();
    join.on.iter().map(equal).chain(filter).collect()
}

/// Returns the position of the first column that an expression reads.
pub(super) fn position_of(expression: &Expr) -> Option<Position> {
    let spans = expression.column_refs().into_iter().filter_map(|column| column.spans.first());
    let positions = spans.map(|span| Position {
        line: usize::try_from(span.start.line).unwrap_or(1),
        column: usize::try_from(span.start.column).unwrap_or(1),
    });
    positions.min()
}

/// Aggregates that add up floats in the order of the rows.
const ADDING_AGGREGATES: [&str; 14] = [
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

/// Returns whether an aggregate adds up floats.
pub(super) fn is_float_sum(name: &str, args: &[Expr], schema: &DFSchema) -> bool {
    ADDING_AGGREGATES.contains(&name)
        && args.iter().any(|arg| {
            matches!(
                arg.get_type(schema),
                Ok(DataType::Float64 | DataType::Float32 | DataType::Float16)
            )
        })
}
