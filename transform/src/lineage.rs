//! What a query is made of: its tables down to the streams, and each column's columns.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use lake_types::Stream;
use serde::Serialize;

use crate::arrivals::ARRIVALS;
use crate::catalog::{Catalog, Query};
use crate::draft::Draft;
use crate::error::Result;
use crate::graph::Graph;
use crate::tables;

/// A table or a query that stands in a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    pub name: String,
    /// `metric`, `view`, `rollup`, `stream`, `table` (of the lake) or `setting`.
    pub kind: &'static str,
    /// What it reads, or who reads it.
    pub next: Vec<String>,
}

/// A column and the columns its values are computed from; `table.*` are rows that are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnLineage {
    pub column: String,
    /// Of the tables that the query names.
    pub from: Vec<String>,
    /// Of streams and settings, through all queries between.
    pub origins: Vec<String>,
}

/// Everything a query is made of, or everything made of it: itself first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    pub name: String,
    pub nodes: Vec<Node>,
}

/// The tables below a query, to the streams.
///
/// # Errors
/// An unknown name.
pub fn upstream(catalog: &Catalog, name: &str) -> Result<Lineage> {
    catalog.find(name)?;
    let graph = Graph::of(catalog);
    let next = |name: &str| graph.reads(name).to_vec();
    Ok(lineage(catalog, graph.upstream(name), next))
}

/// The queries that are made of a query or a table.
///
/// # Errors
/// A name that is neither.
pub fn downstream(catalog: &Catalog, name: &str) -> Result<Lineage> {
    if kind_of(catalog, name).is_none() {
        catalog.find(name)?;
    }
    let graph = Graph::of(catalog);
    Ok(lineage(catalog, graph.downstream(name), |name| graph.read_by(name)))
}

/// These queries, and all that are made of them.
pub fn reached(catalog: &Catalog, names: &BTreeSet<String>) -> BTreeSet<String> {
    let graph = Graph::of(catalog);
    names.iter().flat_map(|name| graph.downstream(name)).collect()
}

fn lineage(catalog: &Catalog, names: Vec<String>, next: impl Fn(&str) -> Vec<String>) -> Lineage {
    let node = |name: String| {
        let kind = kind_of(catalog, &name).unwrap_or("table");
        Node { next: next(&name), kind, name }
    };
    let nodes: Vec<Node> = names.into_iter().map(node).collect();
    let name = nodes.first().map(|node| node.name.clone()).unwrap_or_default();
    Lineage { name, nodes }
}

fn kind_of(catalog: &Catalog, name: &str) -> Option<&'static str> {
    if let Some(query) = catalog.get(name) {
        return Some(query.kind.word());
    }
    let plain = name.strip_prefix("raw.").unwrap_or(name);
    if Stream::ALL.iter().any(|s| s.table() == plain) {
        Some("stream")
    } else if tables::SETTING_TABLES.contains(&name) {
        Some("setting")
    } else {
        (name == ARRIVALS || tables::LAKE_TABLES.contains(&name)).then_some("table")
    }
}

/// Where each column of a query comes from.
///
/// # Errors
/// An unknown name, a query that can't be planned.
pub async fn columns(catalog: &Catalog, name: &str) -> Result<Vec<ColumnLineage>> {
    catalog.find(name)?;
    let draft = Draft::new(catalog).await?;
    let mut known: BTreeMap<String, Columns> = BTreeMap::new();
    let lineage = upstream(catalog, name)?;
    for node in &lineage.nodes {
        let Some(query) = catalog.get(&node.name) else { continue };
        known.insert(node.name.clone(), columns_of(&draft, query).await?);
    }
    let own = known.get(name).cloned().unwrap_or_default();
    Ok(own
        .into_iter()
        .map(|(column, from)| {
            let mut origins = BTreeSet::new();
            for source in &from {
                originate(source, &known, &mut Vec::new(), &mut origins);
            }
            ColumnLineage { column, from: texts(&from), origins: texts(&origins) }
        })
        .collect())
}

/// A column of a table; `None`: its rows.
type Source = (String, Option<String>);
/// By column, in the query's order.
type Columns = Vec<(String, BTreeSet<Source>)>;

fn texts(sources: &BTreeSet<Source>) -> Vec<String> {
    let text = |(table, column): &Source| format!("{table}.{}", column.as_deref().unwrap_or("*"));
    sources.iter().map(text).collect()
}

/// Follows a column to the tables that are no queries.
fn originate(
    source: &Source,
    known: &BTreeMap<String, Columns>,
    path: &mut Vec<Source>,
    origins: &mut BTreeSet<Source>,
) {
    let (table, column) = source;
    let Some(columns) = known.get(table) else {
        origins.insert(source.clone());
        return;
    };
    if path.contains(source) {
        return;
    }
    path.push(source.clone());
    let from: BTreeSet<Source> = match column {
        Some(column) => {
            let found = columns.iter().find(|(name, _)| name == column);
            found.map(|(_, from)| from.clone()).unwrap_or_default()
        }
        // Rows that are counted come from rows.
        None => columns.iter().flat_map(|(_, f)| f).map(|(t, _)| (t.clone(), None)).collect(),
    };
    for inner in from {
        originate(&inner, known, path, origins);
    }
    path.pop();
}

async fn columns_of(draft: &Draft, query: &Query) -> Result<Columns> {
    let plan = draft.plan_of(query).await?;
    let sources = Reading::default().read(&plan);
    let names = plan.schema().fields().iter().map(|f| f.name().clone());
    Ok(names.zip(sources).collect())
}

/// Follows columns through a plan.
#[derive(Default)]
struct Reading {
    /// What is known of the rows of recursive queries, by name.
    recursive: BTreeMap<String, Vec<BTreeSet<Source>>>,
}

impl Reading {
    /// The sources of each column that a node gives.
    fn read(&mut self, plan: &LogicalPlan) -> Vec<BTreeSet<Source>> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = scan.table_name.to_string();
                if let Some(known) = self.recursive.get(&table) {
                    return known.clone();
                }
                let of = |name: &String| BTreeSet::from([(table.clone(), Some(name.clone()))]);
                plan.schema().fields().iter().map(|f| of(f.name())).collect()
            }
            LogicalPlan::Projection(node) => {
                let input = self.read(&node.input);
                self.exprs(&node.expr, &node.input, &input)
            }
            LogicalPlan::Aggregate(node) => {
                let input = self.read(&node.input);
                let mut all = self.exprs(&node.group_expr, &node.input, &input);
                let groups = plan.schema().fields().len() - node.aggr_expr.len();
                // Sets of groups are one expression for several columns.
                if all.len() != groups {
                    let union: BTreeSet<Source> = all.into_iter().flatten().collect();
                    all = vec![union; groups];
                }
                all.extend(self.exprs(&node.aggr_expr, &node.input, &input));
                all
            }
            LogicalPlan::Window(node) => {
                let input = self.read(&node.input);
                let calls = self.exprs(&node.window_expr, &node.input, &input);
                input.into_iter().chain(calls).collect()
            }
            LogicalPlan::Join(node) => {
                let left = self.read(&node.left);
                let right = self.read(&node.right);
                let mut all: Vec<_> = left.into_iter().chain(right).collect();
                all.resize(plan.schema().fields().len(), BTreeSet::new());
                all
            }
            LogicalPlan::Union(node) => {
                let mut all = vec![BTreeSet::new(); plan.schema().fields().len()];
                for input in &node.inputs {
                    for (held, more) in all.iter_mut().zip(self.read(input)) {
                        held.extend(more);
                    }
                }
                all
            }
            LogicalPlan::Unnest(node) => {
                let input = self.read(&node.input);
                let source = |at: &usize| input.get(*at).cloned().unwrap_or_default();
                node.dependency_indices.iter().map(source).collect()
            }
            LogicalPlan::Distinct(Distinct::On(node)) => {
                let input = self.read(&node.input);
                self.exprs(&node.select_expr, &node.input, &input)
            }
            LogicalPlan::RecursiveQuery(node) => {
                let mut rows = self.read(&node.static_term);
                loop {
                    self.recursive.insert(node.name.clone(), rows.clone());
                    let before = rows.clone();
                    for (held, more) in rows.iter_mut().zip(self.read(&node.recursive_term)) {
                        held.extend(more);
                    }
                    if rows == before {
                        break;
                    }
                }
                self.recursive.remove(&node.name);
                rows
            }
            LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
                vec![BTreeSet::new(); plan.schema().fields().len()]
            }
            // Filters, orders and names: the columns of the one input.
            other => match other.inputs().as_slice() {
                [input] => self.read(input),
                _ => vec![BTreeSet::new(); plan.schema().fields().len()],
            },
        }
    }

    fn exprs(
        &mut self,
        exprs: &[Expr],
        input: &LogicalPlan,
        columns: &[BTreeSet<Source>],
    ) -> Vec<BTreeSet<Source>> {
        exprs.iter().map(|e| self.expr(e, input, columns)).collect()
    }

    fn expr(
        &mut self,
        expression: &Expr,
        input: &LogicalPlan,
        columns: &[BTreeSet<Source>],
    ) -> BTreeSet<Source> {
        let schema: &DFSchema = input.schema();
        let mut from = BTreeSet::new();
        let mut inner = Vec::new();
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
                Expr::ScalarSubquery(query) => inner.push(query.subquery.clone()),
                Expr::InSubquery(query) => inner.push(query.subquery.subquery.clone()),
                Expr::Exists(query) => inner.push(query.subquery.subquery.clone()),
                Expr::SetComparison(query) => inner.push(query.subquery.subquery.clone()),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if counts_rows {
            let tables = tables_of(input).into_iter();
            let tables = tables.filter(|table| !self.recursive.contains_key(table));
            from.extend(tables.map(|table| (table, None)));
        }
        for plan in inner {
            from.extend(self.read(&plan).into_iter().flatten());
        }
        from
    }
}

/// The tables that a node's rows come from.
fn tables_of(plan: &LogicalPlan) -> BTreeSet<String> {
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
