//! The columns that an expression reads.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::{Id, Ids};
use crate::mistake::Place;

pub(super) fn strip(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => strip(&alias.expr),
        other => other,
    }
}

pub(super) fn column_id(expression: &Expr, schema: &DFSchema, columns: &[Id]) -> Option<Id> {
    let Expr::Column(column) = expression else { return None };
    columns.get(schema.maybe_index_of_column(column)?).copied()
}

/// The columns an expression is made of; `None` where it is made of more than these.
pub(super) fn read_ids(expression: &Expr, schema: &DFSchema, columns: &[Id]) -> Option<Ids> {
    let mut whole = !expression.is_volatile();
    let _ = expression.apply(|node| {
        whole = whole
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
    if !whole {
        return None;
    }
    let ids = expression
        .column_refs()
        .into_iter()
        .map(|column| columns.get(schema.maybe_index_of_column(column)?).copied());
    ids.collect()
}

/// Casts that keep every value apart.
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

/// Where the first column stands that an expression reads.
pub(in crate::lint) fn place_of(expression: &Expr) -> Option<Place> {
    let spans = expression.column_refs().into_iter().filter_map(|column| column.spans.first());
    let places = spans.map(|span| Place {
        line: usize::try_from(span.start.line).unwrap_or(1),
        column: usize::try_from(span.start.column).unwrap_or(1),
    });
    places.min()
}
