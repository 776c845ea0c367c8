//! Metrics that pass by the views they should go through, and bounds that let `$as_of` in.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use lake_types::Stream;

use super::facts::place_of;
use super::text::Words;
use crate::catalog::{Catalog, Kind, Query};
use crate::graph::Graph;
use crate::mistake::{Area, Mistakes};

/// The view that says who stands for whom: views that read it have merges applied.
const MERGES: &str = "merge_map";

/// A metric that reads partners, traffic or money past the views counts merged partners twice.
pub(super) fn check(
    query: &Query,
    catalog: &Catalog,
    graph: &Graph,
    words: &Words,
    mistakes: &mut Mistakes<'_>,
) {
    if query.kind != Kind::Metric {
        return;
    }
    for table in graph.reads(&query.name) {
        let plain = table.strip_prefix("raw.").unwrap_or(table);
        let is_stream = Stream::ALL.iter().any(|s| s.table() == plain);
        let is_rollup = catalog.get(plain).is_some_and(|q| q.kind == Kind::Rollup);
        if !is_stream && !is_rollup {
            continue;
        }
        let ways: Vec<String> = catalog
            .of_kind(Kind::View)
            .filter(|view| {
                let tables = graph.reads(&view.name);
                tables.iter().any(|t| t == plain) && tables.iter().any(|t| t == MERGES)
            })
            .map(|view| format!("`{}`", view.name))
            .collect();
        if ways.is_empty() {
            continue;
        }
        let area = words.table(table).unwrap_or_else(|| words.first());
        let message = format!("`{table}` read by itself knows no merges of partners");
        mistakes.warning(
            "past_views",
            area,
            message,
            format!("read it through {}", ways.join(" or ")),
        );
    }
}

/// `x <= $as_of`, where an instant of exactly `$as_of` is not to be seen.
pub(super) fn inclusive(plan: &LogicalPlan, as_of: &str, mistakes: &mut Mistakes<'_>) {
    let _ = plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                bound(inner, &schema, as_of, mistakes);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
}

fn bound(expression: &Expr, schema: &DFSchema, as_of: &str, mistakes: &mut Mistakes<'_>) {
    let bounded = match expression {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::LtEq, right }) if is(right, as_of) => {
            left
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::GtEq, right }) if is(left, as_of) => {
            right
        }
        Expr::Between(between) if !between.negated && is(&between.high, as_of) => &between.expr,
        _ => return,
    };
    if !matches!(bounded.get_type(schema), Ok(DataType::Timestamp(..))) {
        return;
    }
    let Some(place) = place_of(bounded) else { return };
    let message = "an event at exactly `$as_of` counts here, and is not to be seen yet";
    let help = "`$as_of` is where the data ends: write `< $as_of`".to_owned();
    mistakes.warning("as_of", Area { place, width: usize::MAX }, message, help);
}

/// Whether that is the instant put in for `$as_of`.
fn is(expression: &Expr, as_of: &str) -> bool {
    matches!(
        expression,
        Expr::ScalarFunction(call) if call.name() == "arrow_cast"
            && call.args.first().and_then(Expr::as_literal).is_some_and(|v| v.to_string() == as_of)
    )
}
