//! Integer divisions in columns that are meant to have fractions: SQL drops the fraction.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use domain::Position;

use crate::analysis::expressions::position_of;
use crate::analysis::plan_walk::{ColumnOrigin, column_origins, fold};
use crate::catalog::Query;
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::{Diagnostics, Span};
use crate::catalog::header::ColumnType;

/// The unit of a column with values from 0 to 1.
const RATIO: &str = "ratio";

/// A division of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IntegerDivision {
    position: Option<Position>,
    /// The text of the dividend and the divisor.
    sides: (String, String),
}

pub(super) fn check(
    query: &Query,
    plan: &LogicalPlan,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let divided = divided_columns(plan);
    let given = plan.schema().fields().iter().zip(divided);
    for (field, division) in given {
        let declared = query.header.columns.iter().find(|column| column.name == *field.name());
        let Some((column, division)) = declared.zip(division) else { continue };
        let has_fractions =
            column.column_type == ColumnType::Float64 || column.unit.as_deref() == Some(RATIO);
        if !has_fractions {
            continue;
        }
        let span = division.position.map(Span::from_position);
        let span = span
            .or_else(|| source_text.find_word(field.name()))
            .unwrap_or_else(|| source_text.first_token());
        let (over, under) = &division.sides;
        let message = format!(
            "`{over} / {under}` divides whole numbers and drops the fraction, and `{}` is to have one",
            field.name()
        );
        let help = format!("write CAST({over} AS DOUBLE) / {under}");
        diagnostics.warning("integer_division", span, message, help);
    }
}

/// Returns for each output column of a plan the first division of integers that it is computed
/// from.
fn divided_columns(plan: &LogicalPlan) -> Vec<Option<IntegerDivision>> {
    fold(plan, &mut |node, inputs: Vec<Vec<Option<IntegerDivision>>>| {
        let column = |input: usize, at: usize| inputs.get(input)?.get(at)?.clone();
        let expression = |expression: &Expr| {
            let input = *node.inputs().first()?;
            division_in(expression, input.schema(), inputs.first()?)
        };
        let origins = column_origins(node).into_iter();
        let divisions = origins.map(|origin| match origin {
            ColumnOrigin::Input { input, column: at } => column(input, at),
            ColumnOrigin::Scalar(one) | ColumnOrigin::Aggregate(one) => expression(one),
            ColumnOrigin::EveryInput(at) => (0..inputs.len()).find_map(|input| column(input, at)),
            ColumnOrigin::GroupingSet(_) | ColumnOrigin::Element(_) | ColumnOrigin::Node => None,
        });
        divisions.collect()
    })
}

/// Returns the first division of integers in an expression, or in the columns that it reads.
fn division_in(
    expression: &Expr,
    schema: &DFSchema,
    below: &[Option<IntegerDivision>],
) -> Option<IntegerDivision> {
    let mut found = None;
    let _ = expression.apply(|node| {
        let data_type = node.get_type(schema);
        // A comparison of integers is not affected.
        if matches!(data_type, Ok(DataType::Boolean)) {
            return Ok(TreeNodeRecursion::Jump);
        }
        match node {
            Expr::Column(column) => {
                let at = schema.index_of_column(column).ok();
                found = at.and_then(|at| below.get(at)?.clone());
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right }) => {
                let whole = |side: &Expr| side.get_type(schema).is_ok_and(|t| t.is_integer());
                if whole(left) && whole(right) {
                    let sides =
                        (left.human_display().to_string(), right.human_display().to_string());
                    found = Some(IntegerDivision { position: position_of(node), sides });
                }
            }
            _ => {}
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}
