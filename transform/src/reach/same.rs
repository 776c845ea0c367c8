//! Columns that hold the same day.

use std::collections::BTreeSet;

use datafusion::common::DFSchema;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, JoinType, LogicalPlan, Operator};

use super::day::day_of;

/// The columns of a node that hold the same as one of them in every row.
pub(super) fn same_as(plan: &LogicalPlan, column: usize) -> BTreeSet<usize> {
    let mut same = BTreeSet::from([column]);
    match plan {
        LogicalPlan::SubqueryAlias(node) => same.extend(same_as(&node.input, column)),
        LogicalPlan::Sort(node) => same.extend(same_as(&node.input, column)),
        LogicalPlan::Filter(node) => {
            same.extend(same_as(&node.input, column));
            let conditions: Vec<Expr> =
                split_conjunction(&node.predicate).into_iter().cloned().collect();
            spread(&mut same, &conditions, node.input.schema());
        }
        LogicalPlan::Projection(node) => {
            let schema = node.input.schema();
            let source = |at: usize| match day_of(node.expr.get(at)?, schema)? {
                (columns, 0) if columns.len() == 1 => Some(columns[0]),
                _ => None,
            };
            if let Some(inner) = source(column) {
                let inner = same_as(&node.input, inner);
                same.extend(
                    (0..node.expr.len())
                        .filter(|at| source(*at).is_some_and(|s| inner.contains(&s))),
                );
            }
        }
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            if matches!(join.join_type, JoinType::Inner | JoinType::Left) && column < width {
                same.extend(same_as(&join.left, column));
            }
            if matches!(join.join_type, JoinType::Inner | JoinType::Right) && column >= width {
                same.extend(same_as(&join.right, column - width).into_iter().map(|at| at + width));
            }
            if join.join_type == JoinType::Inner {
                let mut conditions: Vec<Expr> =
                    join.filter.iter().flat_map(split_conjunction).cloned().collect();
                for (l, r) in &join.on {
                    let equal =
                        BinaryExpr::new(Box::new(l.clone()), Operator::Eq, Box::new(r.clone()));
                    conditions.push(Expr::BinaryExpr(equal));
                }
                spread(&mut same, &conditions, &join.schema);
            }
        }
        _ => {}
    }
    same
}

fn spread(same: &mut BTreeSet<usize>, conditions: &[Expr], schema: &DFSchema) {
    loop {
        let before = same.len();
        for condition in conditions {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
                continue;
            };
            let (Expr::Column(l), Expr::Column(r)) = (left.as_ref(), right.as_ref()) else {
                continue;
            };
            let l = schema.maybe_index_of_column(l);
            let r = schema.maybe_index_of_column(r);
            if let (Some(l), Some(r)) = (l, r) {
                if same.contains(&l) {
                    same.insert(r);
                } else if same.contains(&r) {
                    same.insert(l);
                }
            }
        }
        if same.len() == before {
            return;
        }
    }
}
