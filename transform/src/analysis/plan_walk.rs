//! The one walk over a DataFusion plan that the analyses share, and the origin of each output
//! column of a plan node.

use datafusion::logical_expr::{Aggregate, Distinct, Expr, JoinType, LogicalPlan, Unnest};

/// Visits a plan from the tables up. `visit` gets each node with the results of its inputs, in the
/// order of [`LogicalPlan::inputs`], and the result of the topmost node is returned.
///
/// Plans of subqueries inside expressions are not inputs and are not visited.
pub(super) fn fold<T>(plan: &LogicalPlan, visit: &mut dyn FnMut(&LogicalPlan, Vec<T>) -> T) -> T {
    let inputs = plan.inputs().into_iter().map(|input| fold(input, &mut *visit)).collect();
    visit(plan, inputs)
}

/// Where an output column of a plan node comes from. Inputs and columns are given by their index.
#[derive(Debug, Clone, Copy)]
pub(super) enum ColumnOrigin<'a> {
    /// An unchanged column of an input.
    Input { input: usize, column: usize },
    /// An expression over one row of the only input.
    Scalar(&'a Expr),
    /// An aggregate or a window function, over several rows of the only input.
    Aggregate(&'a Expr),
    /// One of the group columns of GROUPING SETS, ROLLUP or CUBE, which are these expressions.
    GroupingSet(&'a [Expr]),
    /// An element of the list, or a field of the struct, in this column of the only input.
    Element(usize),
    /// This column of every input, as a UNION gives it.
    EveryInput(usize),
    /// The node itself, which has no input with this column: a table, VALUES, the mark of a join.
    Node,
}

/// Returns the origin of each output column of a node, in the order of its schema.
pub(super) fn column_origins(plan: &LogicalPlan) -> Vec<ColumnOrigin<'_>> {
    let width = plan.schema().fields().len();
    match plan {
        LogicalPlan::Projection(node) => node.expr.iter().map(ColumnOrigin::Scalar).collect(),
        LogicalPlan::Distinct(Distinct::On(node)) => {
            node.select_expr.iter().map(ColumnOrigin::Scalar).collect()
        }
        LogicalPlan::Aggregate(node) => aggregate_origins(node, width),
        LogicalPlan::Window(node) => {
            let calls = node.window_expr.iter().map(ColumnOrigin::Aggregate);
            unchanged(0, width_of(&node.input)).chain(calls).collect()
        }
        LogicalPlan::Join(node) => {
            let left = unchanged(0, width_of(&node.left));
            let right = unchanged(1, width_of(&node.right));
            match node.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => left.collect(),
                JoinType::RightSemi | JoinType::RightAnti => right.collect(),
                JoinType::LeftMark => left.chain([ColumnOrigin::Node]).collect(),
                JoinType::RightMark => right.chain([ColumnOrigin::Node]).collect(),
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    left.chain(right).collect()
                }
            }
        }
        LogicalPlan::Unnest(node) => unnest_origins(node),
        LogicalPlan::Union(_) | LogicalPlan::RecursiveQuery(_) => {
            (0..width).map(ColumnOrigin::EveryInput).collect()
        }
        other => match other.inputs().as_slice() {
            [input] if width_of(input) == width => unchanged(0, width).collect(),
            _ => vec![ColumnOrigin::Node; width],
        },
    }
}

fn width_of(plan: &LogicalPlan) -> usize {
    plan.schema().fields().len()
}

fn unchanged<'a>(input: usize, width: usize) -> impl Iterator<Item = ColumnOrigin<'a>> {
    (0..width).map(move |column| ColumnOrigin::Input { input, column })
}

fn aggregate_origins(node: &Aggregate, width: usize) -> Vec<ColumnOrigin<'_>> {
    let calls = node.aggr_expr.iter().map(ColumnOrigin::Aggregate);
    if is_grouping_set(node) {
        // One expression stands for several group columns and for the id of the grouping.
        let groups = width - node.aggr_expr.len();
        let groups = std::iter::repeat_n(ColumnOrigin::GroupingSet(&node.group_expr), groups);
        return groups.chain(calls).collect();
    }
    node.group_expr.iter().map(ColumnOrigin::Scalar).chain(calls).collect()
}

/// Returns whether an aggregate groups by GROUPING SETS, ROLLUP or CUBE.
pub(super) fn is_grouping_set(node: &Aggregate) -> bool {
    node.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)))
}

fn unnest_origins(node: &Unnest) -> Vec<ColumnOrigin<'_>> {
    let lists = node.list_type_columns.iter();
    let lists: Vec<Option<usize>> =
        lists.map(|(_, list)| node.schema.maybe_index_of_column(&list.output_column)).collect();
    let origin = |(output, input): (usize, &usize)| {
        if lists.contains(&Some(output)) || node.struct_type_columns.contains(input) {
            ColumnOrigin::Element(*input)
        } else {
            ColumnOrigin::Input { input: 0, column: *input }
        }
    };
    node.dependency_indices.iter().enumerate().map(origin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::empty_session::EmptySession;
    use crate::catalog::Catalog;
    use crate::catalog::statement::Statement;

    /// Checks the origins of the columns of the topmost node that `is_wanted`.
    #[track_caller]
    fn check(sql: &str, is_wanted: fn(&LogicalPlan) -> bool, expected: &[&str]) {
        let plan = tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let session = EmptySession::new(&Catalog::default()).await.expect("empty tables");
            let statement = Statement::parse(sql, "here").expect(sql);
            session.plan(statement).await.unwrap_or_else(|e| panic!("{sql}\n{e}"))
        });
        let found = fold(&plan, &mut |node, inputs: Vec<Option<Vec<String>>>| {
            let texts = || column_origins(node).iter().map(text).collect();
            is_wanted(node).then(texts).or_else(|| inputs.into_iter().flatten().next())
        });
        assert_eq!(found.expect("a node"), expected, "{sql}");
    }

    fn text(origin: &ColumnOrigin<'_>) -> String {
        match origin {
            ColumnOrigin::Input { input, column } => format!("{input}.{column}"),
            ColumnOrigin::Scalar(one) => format!("scalar {}", one.schema_name()),
            ColumnOrigin::Aggregate(one) => format!("aggregate {}", one.schema_name()),
            ColumnOrigin::GroupingSet(all) => format!("set of {}", all.len()),
            ColumnOrigin::Element(column) => format!("element of {column}"),
            ColumnOrigin::EveryInput(column) => format!("every {column}"),
            ColumnOrigin::Node => "node".to_owned(),
        }
    }

    #[test]
    fn each_node_has_as_many_origins_as_columns() {
        let is_scan = |node: &LogicalPlan| matches!(node, LogicalPlan::TableScan(_));
        check("SELECT * FROM currencies", is_scan, &["node"; 3]);
        let is_projection = |node: &LogicalPlan| matches!(node, LogicalPlan::Projection(_));
        check(
            "SELECT code, minor_units + 1 FROM currencies",
            is_projection,
            &["scalar currencies.code", "scalar currencies.minor_units + Int64(1)"],
        );
        let is_filter = |node: &LogicalPlan| matches!(node, LogicalPlan::Filter(_));
        check("SELECT * FROM currencies WHERE code > 'A'", is_filter, &["0.0", "0.1", "0.2"]);
        let is_aggregate = |node: &LogicalPlan| matches!(node, LogicalPlan::Aggregate(_));
        check(
            "SELECT code, max(unit) FROM currencies GROUP BY code",
            is_aggregate,
            &["scalar currencies.code", "aggregate max(currencies.unit)"],
        );
        check(
            "SELECT code, unit, count(*) FROM currencies GROUP BY ROLLUP (code, unit)",
            is_aggregate,
            &["set of 1", "set of 1", "set of 1", "aggregate count(Int64(1))"],
        );
        let is_join = |node: &LogicalPlan| matches!(node, LogicalPlan::Join(_));
        let join = |kind: &str| {
            format!("SELECT 1 FROM sla {kind} JOIN sunsets ON sla.plan = sunsets.api_version")
        };
        check(&join("FULL"), is_join, &["0.0", "0.1", "0.2", "1.0", "1.1"]);
        check(&join("LEFT SEMI"), is_join, &["0.0", "0.1", "0.2"]);
        check(&join("RIGHT ANTI"), is_join, &["1.0", "1.1"]);
        let is_union = |node: &LogicalPlan| matches!(node, LogicalPlan::Union(_));
        check(
            "SELECT plan FROM sla UNION ALL SELECT api_version FROM sunsets",
            is_union,
            &["every 0"],
        );
        let is_unnest = |node: &LogicalPlan| matches!(node, LogicalPlan::Unnest(_));
        check("SELECT unnest([1, 2]) AS n, plan FROM sla", is_unnest, &["element of 0", "0.1"]);
    }
}
