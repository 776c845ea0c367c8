//! `rapport metrics preview`: the first rows of a query. It refreshes only the rollups that the
//! query reads, and records no run.

use domain::counted;
use transform::QueryKind;

use crate::args::Format;
use crate::errors::usage_error;
use crate::output::{self, print_note};
use crate::project::Project;
use crate::rows::{Rows, first_rows};

/// Prints the first rows of a query.
pub(super) async fn run(
    project: &Project,
    name: &str,
    as_of: Option<&str>,
    limit: usize,
    format: Format,
) -> anyhow::Result<()> {
    let catalog = project.engine.catalog();
    let query = catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
    let as_of = project.as_of(as_of).await?;
    let lineage = transform::upstream(catalog, name)?;
    let names: Vec<String> = lineage.nodes.into_iter().map(|node| node.name).collect();
    project.refresh_named(&names).await?;
    let session = project.reading_engine().open_session(as_of, None).await?;
    let result = if query.kind == QueryKind::Rollup {
        // One row more says whether there are more; without a limit there are none.
        session.ordered_rows(name, &query.header.grain, limit.checked_add(1)).await?
    } else {
        session.metric(name).await?
    };
    let rows = Rows { schema: &result.schema, batches: &result.batches };
    let first = [first_rows(&rows, limit)?];
    output::print_rows(&Rows { schema: &result.schema, batches: &first }, format)?;
    if result.rows() > limit {
        let shown = match query.kind {
            QueryKind::Rollup => format!("The first {}", counted(limit, "row")),
            _ => format!("{limit} of {}", counted(result.rows(), "row")),
        };
        print_note(&format!("{shown} as of {as_of}; more with --limit"));
    }
    Ok(())
}
