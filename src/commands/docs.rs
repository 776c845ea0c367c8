//! `rapport metrics docs`: writes pages on every query; they need no lake.

use std::collections::BTreeMap;
use std::path::Path;

use dashboards::{ColumnDoc, QueryDoc, ReportInput};
use domain::counted;
use transform::{Catalog, DependencyGraph, Query, QueryKind};

use crate::errors::report_refusal;
use crate::output::print_line;

/// Writes the pages and prints where they are.
pub(crate) fn run(catalog: &Catalog, out: &Path) -> anyhow::Result<()> {
    let input = ReportInput {
        queries: query_docs(catalog),
        rapport_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ReportInput::default()
    };
    let summary = dashboards::write_docs(&input, out).map_err(report_refusal)?;
    print_line(&format!("{}; open {}", counted(summary.pages, "page"), summary.index.display()))
}

/// Returns the documentation of every query of a catalog; of a query that is left out, why.
pub(crate) fn query_docs(catalog: &Catalog) -> BTreeMap<String, QueryDoc> {
    let graph = DependencyGraph::of(catalog);
    let mut docs: BTreeMap<_, _> = catalog
        .queries()
        .filter(|query| !query.kind.is_internal())
        .map(|query| (query.name.clone(), query_doc(catalog, query, &graph)))
        .collect();
    for kind in QueryKind::ALL {
        for (name, diagnostic) in catalog.unreadable_of(kind) {
            let left_out = QueryDoc {
                kind: kind.noun().to_owned(),
                description: format!("Left out: {}", diagnostic.one_line()),
                file: diagnostic.file.clone(),
                read_by: public_readers(catalog, &graph, name),
                ..QueryDoc::default()
            };
            docs.insert(name.to_owned(), left_out);
        }
    }
    docs
}

/// Returns which queries read a table, without the internal ones, which have no pages.
fn public_readers(catalog: &Catalog, graph: &DependencyGraph, name: &str) -> Vec<String> {
    let is_public = |reader: &String| catalog.get(reader).is_none_or(|q| !q.kind.is_internal());
    graph.read_by(name).into_iter().filter(is_public).collect()
}

fn query_doc(catalog: &Catalog, query: &Query, graph: &DependencyGraph) -> QueryDoc {
    let header = &query.header;
    let column = |c: &transform::Column| ColumnDoc {
        name: c.name.clone(),
        kind: c.column_type.to_string(),
        unit: c.unit.clone(),
        description: c.description.clone(),
    };
    QueryDoc {
        kind: query.kind.noun().to_owned(),
        description: header.description.clone(),
        owner: header.owner.clone(),
        tags: header.tags.clone(),
        grain: header.grain.clone(),
        columns: header.columns.iter().map(column).collect(),
        checks: header.checks.iter().map(|c| c.rule.to_string()).collect(),
        cases: query.cases().iter().map(|c| c.name.clone()).collect(),
        reads: graph.reads(&query.name).to_vec(),
        read_by: public_readers(catalog, graph, &query.name),
        file: query.file.clone(),
        sql: query.sql.clone(),
    }
}
