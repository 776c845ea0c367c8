//! `rapport metrics preview`: the first rows of a query, with no more brought up to date than it
//! reads, and no run noted.

use lake_types::counted;
use transform::{Kind, QueryResult};

use crate::args::Format;
use crate::failure::usage;
use crate::output::{self, Rows, note};
use crate::project::Project;

pub(super) async fn run(
    project: &Project,
    name: &str,
    as_of: Option<&str>,
    limit: usize,
    format: Format,
) -> anyhow::Result<()> {
    let catalog = project.engine.catalog();
    let query = catalog.find(name).map_err(|e| usage(e.to_string()))?;
    let as_of = project.as_of(as_of).await?;
    let made_of = transform::upstream(catalog, name)?;
    let names: Vec<String> = made_of.nodes.into_iter().map(|node| node.name).collect();
    project.refresh_only(&names).await?;
    let session = project.answers().at(as_of, None).await?;
    let result = if query.kind == Kind::Rollup {
        let order = match query.header.grain.as_slice() {
            [] => String::new(),
            grain => format!(" ORDER BY {}", grain.join(", ")),
        };
        session.sql(&format!("SELECT * FROM {name}{order} LIMIT {}", limit + 1)).await?
    } else {
        session.metric(name).await?
    };
    let rows = result.rows();
    let first = first(&result, limit)?;
    output::print(&Rows { schema: &first.schema, batches: &first.batches }, format)?;
    if rows > limit {
        let shown = match query.kind {
            Kind::Rollup => format!("The first {}", counted(limit, "row")),
            _ => format!("{limit} of {}", counted(rows, "row")),
        };
        note(&format!("{shown} as of {as_of}; more with --limit"));
    }
    Ok(())
}

fn first(result: &QueryResult, limit: usize) -> anyhow::Result<QueryResult> {
    let all = arrow::compute::concat_batches(&result.schema, &result.batches)?;
    let batches = vec![all.slice(0, limit.min(all.num_rows()))];
    Ok(QueryResult { schema: result.schema.clone(), batches })
}
