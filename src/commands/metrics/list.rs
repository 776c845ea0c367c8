//! `rapport metrics list` and `show`: the queries, and the text of one.

use transform::{Catalog, QueryKind};

use crate::args::Format;
use crate::errors::usage_error;
use crate::output::{self, print_line, print_note};
use crate::rows::text_batch;
use crate::table::Table;

/// Lists the metrics, views and rollups.
pub(super) fn list(catalog: &Catalog, format: Format) -> anyhow::Result<()> {
    let kinds = [QueryKind::Metric, QueryKind::View, QueryKind::Rollup];
    let queries: Vec<_> = kinds.iter().flat_map(|kind| catalog.of_kind(*kind)).collect();
    let kind = |query: &transform::Query| query.kind.noun().to_owned();
    if format == Format::Table {
        let mut table = Table::new(["name", "kind", "description"], &[]);
        for query in &queries {
            table.row([query.name.clone(), kind(query), query.header.description.clone()]);
        }
        output::print_table(&table)?;
        print_note("\n`rapport metrics show NAME` prints one with its columns and SQL.");
        return Ok(());
    }
    let column = |of: &dyn Fn(&transform::Query) -> String| queries.iter().map(|q| of(q)).collect();
    let rows = text_batch([
        ("name", column(&|q| q.name.clone())),
        ("kind", column(&kind)),
        ("grain", column(&|q| q.header.grain.join(", "))),
        ("description", column(&|q| q.header.description.clone())),
    ])?;
    output::print_batch(&rows, format)
}

/// Prints the text of a query.
pub(super) fn show(catalog: &Catalog, name: &str) -> anyhow::Result<()> {
    let query = catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
    // On stderr, so that stdout is the text alone.
    print_note(&query.file);
    print_line(query.sql.trim_end())
}
