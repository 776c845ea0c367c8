//! The lineage of queries: the tables that a query reads down to the streams, and the columns that
//! each of its columns is computed from.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, RecursiveQuery};
use domain::Stream;
use serde::Serialize;

use crate::analysis::empty_session::EmptySession;
use crate::analysis::plan_walk::{ColumnOrigin, column_origins, fold};
use crate::catalog::built_in_tables::{self, ARRIVALS};
use crate::catalog::graph::DependencyGraph;
use crate::catalog::{Catalog, Query};
use crate::error::Result;

/// A table or a query of a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineageNode {
    pub name: String,
    /// `metric`, `view`, `rollup`, `stream`, `table` (of the lake) or `setting`.
    pub kind: &'static str,
    /// The tables and queries that it reads or that read it, depending on the direction.
    pub next: Vec<String>,
}

/// A column and the columns that its values are computed from. `table.*` means that rows are
/// counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnLineage {
    pub column: String,
    /// Columns of the tables that the query reads directly.
    pub from: Vec<String>,
    /// Columns of streams, settings and tables of the lake, through all queries in between.
    pub origins: Vec<String>,
}

/// A query followed by everything that it reads, or by everything that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    pub name: String,
    pub nodes: Vec<LineageNode>,
}

/// Returns the tables and queries that a query reads, directly or indirectly.
///
/// # Errors
/// An unknown name.
pub fn upstream(catalog: &Catalog, name: &str) -> Result<Lineage> {
    catalog.find(name)?;
    let graph = DependencyGraph::of(catalog);
    let next = |name: &str| graph.reads(name).to_vec();
    Ok(lineage(catalog, graph.upstream(name), next))
}

/// Returns the queries that read a query or a table, directly or indirectly.
///
/// # Errors
/// An unknown name.
pub fn downstream(catalog: &Catalog, name: &str) -> Result<Lineage> {
    if kind_of(catalog, name).is_none() {
        catalog.find(name)?;
    }
    let graph = DependencyGraph::of(catalog);
    Ok(lineage(catalog, graph.downstream(name), |name| graph.read_by(name)))
}

/// Returns these queries and all queries that read them, directly or indirectly.
pub fn affected_queries(catalog: &Catalog, names: &BTreeSet<String>) -> BTreeSet<String> {
    let graph = DependencyGraph::of(catalog);
    names.iter().flat_map(|name| graph.downstream(name)).collect()
}

fn lineage(catalog: &Catalog, names: Vec<String>, next: impl Fn(&str) -> Vec<String>) -> Lineage {
    let node = |name: String| {
        let kind = kind_of(catalog, &name).unwrap_or("table");
        LineageNode { next: next(&name), kind, name }
    };
    let nodes: Vec<LineageNode> = names.into_iter().map(node).collect();
    let name = nodes.first().map(|node| node.name.clone()).unwrap_or_default();
    Lineage { name, nodes }
}

fn kind_of(catalog: &Catalog, name: &str) -> Option<&'static str> {
    if let Some(query) = catalog.get(name) {
        return Some(query.kind.noun());
    }
    let plain = name.strip_prefix("raw.").unwrap_or(name);
    if Stream::ALL.iter().any(|s| s.table() == plain) {
        Some("stream")
    } else if built_in_tables::SETTING_TABLES.contains(&name) {
        Some("setting")
    } else {
        (name == ARRIVALS || built_in_tables::LAKE_TABLES.contains(&name)).then_some("table")
    }
}

/// Returns the lineage of each column of a query.
///
/// # Errors
/// An unknown name, a query that cannot be planned.
pub async fn column_lineage(catalog: &Catalog, name: &str) -> Result<Vec<ColumnLineage>> {
    catalog.find(name)?;
    let session = EmptySession::new(catalog).await?;
    let mut by_query: BTreeMap<String, Columns> = BTreeMap::new();
    let lineage = upstream(catalog, name)?;
    for node in &lineage.nodes {
        let Some(query) = catalog.get(&node.name) else { continue };
        by_query.insert(node.name.clone(), columns_of(&session, query).await?);
    }
    let own = by_query.get(name).cloned().unwrap_or_default();
    Ok(own
        .into_iter()
        .map(|(column, from)| {
            let mut origins = BTreeSet::new();
            for source in &from {
                find_origins(source, &by_query, &mut Vec::new(), &mut origins);
            }
            ColumnLineage { column, from: texts(&from), origins: texts(&origins) }
        })
        .collect())
}

/// A column of a table, or its rows where the column is `None`.
type ColumnSource = (String, Option<String>);
/// The sources of one column.
type Sources = BTreeSet<ColumnSource>;
/// The columns of a query in its order, each with its name and sources.
type Columns = Vec<(String, Sources)>;

fn texts(sources: &Sources) -> Vec<String> {
    let text =
        |(table, column): &ColumnSource| format!("{table}.{}", column.as_deref().unwrap_or("*"));
    sources.iter().map(text).collect()
}

/// Follows a column down to the tables that are no queries.
fn find_origins(
    source: &ColumnSource,
    by_query: &BTreeMap<String, Columns>,
    path: &mut Vec<ColumnSource>,
    origins: &mut Sources,
) {
    let (table, column) = source;
    let Some(columns) = by_query.get(table) else {
        origins.insert(source.clone());
        return;
    };
    if path.contains(source) {
        return;
    }
    path.push(source.clone());
    let from: Sources = match column {
        Some(column) => {
            let found = columns.iter().find(|(name, _)| name == column);
            found.map(|(_, from)| from.clone()).unwrap_or_default()
        }
        // The rows of a query come from the rows of the tables that it reads.
        None => columns.iter().flat_map(|(_, f)| f).map(|(t, _)| (t.clone(), None)).collect(),
    };
    for inner in from {
        find_origins(&inner, by_query, path, origins);
    }
    path.pop();
}

async fn columns_of(session: &EmptySession, query: &Query) -> Result<Columns> {
    let plan = session.plan_of(query).await?;
    let names = plan.schema().fields().iter().map(|f| f.name().clone());
    Ok(names.zip(sources_of(&plan)).collect())
}

/// Returns the sources of each output column of a plan.
fn sources_of(plan: &LogicalPlan) -> Vec<Sources> {
    fold(plan, &mut |node, inputs| match node {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.to_string();
            let of = |name: &String| Sources::from([(table.clone(), Some(name.clone()))]);
            node.schema().fields().iter().map(|f| of(f.name())).collect()
        }
        LogicalPlan::RecursiveQuery(query) => recursive_sources(query, &inputs),
        _ => {
            column_origins(node).iter().map(|origin| node_sources(origin, node, &inputs)).collect()
        }
    })
}

/// Returns the sources of an output column of a node, given those of the columns of its inputs.
fn node_sources(origin: &ColumnOrigin<'_>, node: &LogicalPlan, inputs: &[Vec<Sources>]) -> Sources {
    let column = |input: usize, column: usize| {
        inputs.get(input).and_then(|columns| columns.get(column)).cloned().unwrap_or_default()
    };
    let expression = |expression: &Expr| match (node.inputs().first(), inputs.first()) {
        (Some(input), Some(columns)) => expression_sources(expression, input, columns),
        _ => Sources::new(),
    };
    match origin {
        ColumnOrigin::Input { input, column: at } => column(*input, *at),
        ColumnOrigin::Scalar(one) | ColumnOrigin::Aggregate(one) => expression(one),
        ColumnOrigin::GroupingSet(several) => several.iter().flat_map(expression).collect(),
        ColumnOrigin::Element(at) => column(0, *at),
        ColumnOrigin::EveryInput(at) => {
            (0..inputs.len()).flat_map(|input| column(input, *at)).collect()
        }
        ColumnOrigin::Node => Sources::new(),
    }
}

/// Returns the sources of each column of a recursive query. The columns of the query itself, which
/// its recursive term reads, are replaced by their own sources until nothing is added.
fn recursive_sources(query: &RecursiveQuery, inputs: &[Vec<Sources>]) -> Vec<Sources> {
    let [static_term, recursive_term] = inputs else { return Vec::new() };
    let names: Vec<&str> =
        query.static_term.schema().fields().iter().map(|f| f.name().as_str()).collect();
    let mut columns = static_term.clone();
    loop {
        let before = columns.clone();
        for (column, sources) in columns.iter_mut().zip(recursive_term) {
            for source in sources {
                match source {
                    (table, Some(name)) if *table == query.name => {
                        let at = names.iter().position(|n| n == name);
                        column.extend(
                            at.and_then(|at| before.get(at)).into_iter().flatten().cloned(),
                        );
                    }
                    (table, None) if *table == query.name => {}
                    _ => {
                        column.insert(source.clone());
                    }
                }
            }
        }
        if columns == before {
            return columns;
        }
    }
}

/// Returns the sources of an expression over the columns of a node.
fn expression_sources(expression: &Expr, input: &LogicalPlan, columns: &[Sources]) -> Sources {
    let schema: &DFSchema = input.schema();
    let mut from = Sources::new();
    let mut subqueries = Vec::new();
    let mut counts_rows = false;
    for column in expression.column_refs() {
        let at = schema.maybe_index_of_column(column);
        from.extend(at.and_then(|at| columns.get(at)).into_iter().flatten().cloned());
    }
    let _ = expression.apply(|node| {
        match node {
            Expr::AggregateFunction(call) => {
                counts_rows |= call.params.args.iter().all(|arg| !arg.any_column_refs());
            }
            Expr::ScalarSubquery(query) => subqueries.push(query.subquery.clone()),
            Expr::InSubquery(query) => subqueries.push(query.subquery.subquery.clone()),
            Expr::Exists(query) => subqueries.push(query.subquery.subquery.clone()),
            Expr::SetComparison(query) => subqueries.push(query.subquery.subquery.clone()),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if counts_rows {
        from.extend(scanned_tables(input).into_iter().map(|table| (table, None)));
    }
    for plan in subqueries {
        from.extend(sources_of(&plan).into_iter().flatten());
    }
    from
}

/// Returns the tables that the rows of a node come from.
fn scanned_tables(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    let _ = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.insert(scan.table_name.to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    tables
}

#[cfg(test)]
mod tests;
