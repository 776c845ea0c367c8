//! `rapport metrics list | show`.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use transform::{Catalog, Kind};

use crate::args::Format;
use crate::failure::usage;
use crate::output::{self, Rows, Table, line, note};

pub(super) fn list(catalog: &Catalog, format: Format) -> anyhow::Result<()> {
    let field = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![
        field("name"),
        field("kind"),
        field("grain"),
        field("description"),
    ]));
    let kinds = [Kind::Metric, Kind::View, Kind::Rollup];
    let queries: Vec<_> = kinds.iter().flat_map(|kind| catalog.of_kind(*kind)).collect();
    let kind = |query: &transform::Query| query.kind.word().to_owned();
    if format == Format::Table {
        let mut table = Table::new(["name", "kind", "description"], &[]);
        for query in &queries {
            table.row([query.name.clone(), kind(query), query.header.description.clone()]);
        }
        output::show(&table)?;
        note("\n`rapport metrics show NAME` prints one with its columns and SQL.");
        return Ok(());
    }
    let column = |of: &dyn Fn(&transform::Query) -> String| {
        Arc::new(StringArray::from_iter_values(queries.iter().map(|q| of(q)))) as _
    };
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            column(&|q| q.name.clone()),
            column(&kind),
            column(&|q| q.header.grain.join(", ")),
            column(&|q| q.header.description.clone()),
        ],
    )?;
    output::print(&Rows { schema: &schema, batches: &[batch] }, format)
}

pub(super) fn show(catalog: &Catalog, name: &str) -> anyhow::Result<()> {
    let query = catalog.find(name).map_err(|e| usage(e.to_string()))?;
    // Beside the text, so that the text can go into a file of one's own.
    note(&query.file);
    line(query.sql.trim_end())
}
