//! Divisions of whole numbers on the way to a column that is to have fractions: SQL drops those.

use std::iter::repeat;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use super::facts::place_of;
use super::text::Words;
use crate::catalog::Query;
use crate::header::ColumnType;
use crate::mistake::{Area, Mistakes, Place};

/// The unit of a column that is between 0 and 1.
const RATIO: &str = "ratio";

/// A division of whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Division {
    place: Option<Place>,
    /// What is divided, and by what.
    sides: (String, String),
}

pub(super) fn check(query: &Query, plan: &LogicalPlan, words: &Words, mistakes: &mut Mistakes<'_>) {
    let divided = divided_columns(plan);
    let given = plan.schema().fields().iter().zip(divided);
    for (field, division) in given {
        let declared = query.header.columns.iter().find(|column| column.name == *field.name());
        let Some((column, division)) = declared.zip(division) else { continue };
        let has_fractions =
            column.kind == ColumnType::Float64 || column.unit.as_deref() == Some(RATIO);
        if !has_fractions {
            continue;
        }
        let place = division.place.map(|place| Area { place, width: usize::MAX });
        let area = place.or_else(|| words.word(field.name())).unwrap_or_else(|| words.first());
        let (over, under) = &division.sides;
        let message = format!(
            "`{over} / {under}` divides whole numbers and drops the fraction, and `{}` is to have one",
            field.name()
        );
        let help = format!("write CAST({over} AS DOUBLE) / {under}");
        mistakes.warning("integer_division", area, message, help);
    }
}

/// Of each column of a plan the first division of whole numbers that it is made of.
fn divided_columns(plan: &LogicalPlan) -> Vec<Option<Division>> {
    match plan {
        LogicalPlan::Projection(node) => of_expressions(node.expr.iter(), &node.input),
        LogicalPlan::Aggregate(node) => {
            of_expressions(node.group_expr.iter().chain(&node.aggr_expr), &node.input)
        }
        LogicalPlan::Window(node) => {
            let mut columns = divided_columns(&node.input);
            columns.extend(of_expressions(node.window_expr.iter(), &node.input));
            columns
        }
        LogicalPlan::Join(node) => {
            let left = divided_columns(&node.left);
            let right = divided_columns(&node.right);
            match plan.schema().fields().len() {
                // A semi join has the columns of one side.
                both if both == left.len() + right.len() => [left, right].concat(),
                one if one == right.len() && one != left.len() => right,
                one => left.into_iter().chain(repeat(None)).take(one).collect(),
            }
        }
        LogicalPlan::Union(node) => {
            let mut columns = vec![None; plan.schema().fields().len()];
            for input in &node.inputs {
                for (column, found) in columns.iter_mut().zip(divided_columns(input)) {
                    *column = column.take().or(found);
                }
            }
            columns
        }
        other => {
            let columns = plan.schema().fields().len();
            match other.inputs().as_slice() {
                [input] if input.schema().fields().len() == columns => divided_columns(input),
                _ => vec![None; columns],
            }
        }
    }
}

fn of_expressions<'a>(
    expressions: impl Iterator<Item = &'a Expr>,
    input: &LogicalPlan,
) -> Vec<Option<Division>> {
    let below = divided_columns(input);
    expressions.map(|expression| division_in(expression, input.schema(), &below)).collect()
}

fn division_in(
    expression: &Expr,
    schema: &DFSchema,
    below: &[Option<Division>],
) -> Option<Division> {
    let mut found = None;
    let _ = expression.apply(|part| {
        let kind = part.get_type(schema);
        // A comparison asks for whole numbers, whatever is made of its answer.
        if matches!(kind, Ok(DataType::Boolean)) {
            return Ok(TreeNodeRecursion::Jump);
        }
        match part {
            Expr::Column(column) => {
                let at = schema.index_of_column(column).ok();
                found = at.and_then(|at| below.get(at)?.clone());
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right }) => {
                let whole = |side: &Expr| side.get_type(schema).is_ok_and(|t| t.is_integer());
                if whole(left) && whole(right) {
                    let sides =
                        (left.human_display().to_string(), right.human_display().to_string());
                    found = Some(Division { place: place_of(part), sides });
                }
            }
            _ => {}
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}
