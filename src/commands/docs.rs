//! `rapport metrics docs`: what every query gives, reads and promises, as pages that need no lake.

use std::collections::BTreeMap;
use std::path::Path;

use dashboards::{ColumnDoc, QueryDoc, ReportInput};
use lake_types::counted;
use transform::{Catalog, Graph, Kind, Query};

use crate::commands::report;
use crate::output::line;

pub(crate) fn run(catalog: &Catalog, out: &Path) -> anyhow::Result<()> {
    let input = ReportInput {
        queries: of(catalog),
        rapport_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ReportInput::default()
    };
    let summary = dashboards::write_docs(&input, out).map_err(report::refused)?;
    line(&format!("{}; open {}", counted(summary.pages, "page"), summary.index.display()))
}

/// Every query of a catalog, documented; of one that is left out, why.
pub(crate) fn of(catalog: &Catalog) -> BTreeMap<String, QueryDoc> {
    let graph = Graph::of(catalog);
    let mut docs: BTreeMap<_, _> =
        catalog.queries().map(|query| (query.name.clone(), doc(query, &graph))).collect();
    for kind in Kind::ALL {
        for (name, fault) in catalog.left_out_of(kind) {
            let left_out = QueryDoc {
                kind: kind.word().to_owned(),
                description: format!("Left out: {}", fault.told()),
                file: fault.file.clone(),
                read_by: graph.read_by(name),
                ..QueryDoc::default()
            };
            docs.insert(name.to_owned(), left_out);
        }
    }
    docs
}

fn doc(query: &Query, graph: &Graph) -> QueryDoc {
    let header = &query.header;
    let column = |c: &transform::Column| ColumnDoc {
        name: c.name.clone(),
        kind: c.kind.to_string(),
        unit: c.unit.clone(),
        description: c.description.clone(),
    };
    QueryDoc {
        kind: query.kind.word().to_owned(),
        description: header.description.clone(),
        owner: header.owner.clone(),
        tags: header.tags.clone(),
        grain: header.grain.clone(),
        columns: header.columns.iter().map(column).collect(),
        checks: header.checks.iter().map(|c| c.rule.to_string()).collect(),
        cases: query.cases.iter().map(|c| c.name.clone()).collect(),
        reads: graph.reads(&query.name).to_vec(),
        read_by: graph.read_by(&query.name),
        file: query.file.clone(),
        sql: query.sql.clone(),
    }
}
