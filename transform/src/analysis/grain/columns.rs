//! The columns that an expression reads.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::{ColumnId, ColumnSet};
use crate::analysis::expressions::column_index;

/// Returns the id of the column that an expression is; `None` where it is no plain column.
pub(super) fn column_id(
    expression: &Expr,
    schema: &DFSchema,
    columns: &[ColumnId],
) -> Option<ColumnId> {
    columns.get(column_index(expression, schema)?).copied()
}

/// Returns the columns that determine an expression; `None` where other things do too, such as a
/// subquery or a random number.
pub(super) fn read_columns(
    expression: &Expr,
    schema: &DFSchema,
    columns: &[ColumnId],
) -> Option<ColumnSet> {
    let mut is_pure = !expression.is_volatile();
    let _ = expression.apply(|node| {
        is_pure = is_pure
            && !matches!(
                node,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::AggregateFunction(_)
                    | Expr::WindowFunction(_)
            );
        Ok(TreeNodeRecursion::Continue)
    });
    if !is_pure {
        return None;
    }
    let ids = expression
        .column_refs()
        .into_iter()
        .map(|column| columns.get(schema.maybe_index_of_column(column)?).copied());
    ids.collect()
}

/// Returns whether an expression is a cast of a column that maps different values to different
/// ones.
pub(super) fn is_injective(expression: &Expr, schema: &DFSchema) -> bool {
    use DataType::{Date32, Int32, Int64, Timestamp};
    let Expr::Cast(cast) = expression else { return false };
    let Expr::Column(_) = cast.expr.as_ref() else { return false };
    let Ok(from) = cast.expr.get_type(schema) else { return false };
    matches!(
        (from, cast.field.data_type()),
        (Date32, Int32 | Int64 | Timestamp(..)) | (Int32, Int64) | (Timestamp(..), Int64)
    )
}
