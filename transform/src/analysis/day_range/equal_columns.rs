//! The columns of a node that contain the same day.

use std::collections::BTreeSet;

use datafusion::common::DFSchema;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, JoinType, LogicalPlan, Operator};

use super::day::day_of;
use crate::analysis::expressions::{column_index, join_conditions};

/// Returns the columns of a node that have the same value as `column` in every row, and itself.
pub(super) fn equal_columns(plan: &LogicalPlan, column: usize) -> BTreeSet<usize> {
    let mut equal = BTreeSet::from([column]);
    match plan {
        LogicalPlan::SubqueryAlias(node) => equal.extend(equal_columns(&node.input, column)),
        LogicalPlan::Sort(node) => equal.extend(equal_columns(&node.input, column)),
        LogicalPlan::Filter(node) => {
            equal.extend(equal_columns(&node.input, column));
            let conditions: Vec<Expr> =
                split_conjunction(&node.predicate).into_iter().cloned().collect();
            add_equated(&mut equal, &conditions, node.input.schema());
        }
        LogicalPlan::Projection(node) => {
            let schema = node.input.schema();
            let source = |at: usize| match day_of(node.expr.get(at)?, schema)? {
                (columns, 0) if columns.len() == 1 => Some(columns[0]),
                _ => None,
            };
            if let Some(inner) = source(column) {
                let inner = equal_columns(&node.input, inner);
                equal.extend(
                    (0..node.expr.len())
                        .filter(|at| source(*at).is_some_and(|s| inner.contains(&s))),
                );
            }
        }
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            if matches!(join.join_type, JoinType::Inner | JoinType::Left) && column < width {
                equal.extend(equal_columns(&join.left, column));
            }
            if matches!(join.join_type, JoinType::Inner | JoinType::Right) && column >= width {
                equal.extend(
                    equal_columns(&join.right, column - width).into_iter().map(|at| at + width),
                );
            }
            if join.join_type == JoinType::Inner {
                add_equated(&mut equal, &join_conditions(join), &join.schema);
            }
        }
        _ => {}
    }
    equal
}

/// Adds the columns that equations of plain columns connect with those in `equal`.
fn add_equated(equal: &mut BTreeSet<usize>, conditions: &[Expr], schema: &DFSchema) {
    loop {
        let before = equal.len();
        for condition in conditions {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
                continue;
            };
            let (l, r) = (column_index(left, schema), column_index(right, schema));
            if let (Some(l), Some(r)) = (l, r) {
                if equal.contains(&l) {
                    equal.insert(r);
                } else if equal.contains(&r) {
                    equal.insert(l);
                }
            }
        }
        if equal.len() == before {
            return;
        }
    }
}
