//! `rapport metrics docs`: what every query gives, reads and promises, as pages that need no lake.

use std::collections::BTreeMap;
use std::path::Path;

use dashboards::{ColumnDoc, QueryDoc, ReportInput};
use transform::{Catalog, Query};

use crate::output::line;

pub(crate) fn run(catalog: &Catalog, out: &Path) -> anyhow::Result<()> {
    let input = ReportInput {
        queries: of(catalog),
        rapport_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ReportInput::default()
    };
    let summary = dashboards::write_docs(&input, out)?;
    line(&format!("{} pages; open {}", summary.pages, summary.index.display()))
}

/// Every query of a catalog, documented.
pub(crate) fn of(catalog: &Catalog) -> BTreeMap<String, QueryDoc> {
    let mut docs: BTreeMap<String, QueryDoc> =
        catalog.queries().map(|query| (query.name.clone(), doc(query))).collect();
    for query in catalog.queries() {
        for table in query.reads() {
            if let Some(read) = docs.get_mut(&table) {
                read.read_by.push(query.name.clone());
            }
        }
    }
    docs
}

fn doc(query: &Query) -> QueryDoc {
    let header = &query.header;
    let column = |c: &transform::Column| ColumnDoc {
        name: c.name.clone(),
        kind: c.kind.to_string(),
        unit: c.unit.clone(),
        description: c.description.clone(),
    };
    QueryDoc {
        kind: query.kind.folder().trim_end_matches('s').to_owned(),
        description: header.description.clone(),
        owner: header.owner.clone(),
        tags: header.tags.clone(),
        grain: header.grain.clone(),
        columns: header.columns.iter().map(column).collect(),
        checks: header.checks.iter().map(|c| c.rule.to_string()).collect(),
        cases: query.cases.iter().map(|c| c.name.clone()).collect(),
        reads: query.reads().into_iter().collect(),
        read_by: Vec::new(),
        file: query.file.clone(),
        sql: query.sql.clone(),
    }
}
