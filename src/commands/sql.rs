//! `rapport sql`: one read-only SELECT over the lake.

use lake_types::AsOf;

use crate::args::Sql;
use crate::failure::usage;
use crate::output::{self, Rows};
use crate::project::Project;

pub(crate) async fn run(project: &Project, options: &Sql) -> anyhow::Result<()> {
    let as_of = match &options.as_of {
        Some(text) => project.as_of(Some(text)).await?,
        // A lake without calls can still be asked for its dead letters.
        None => match project.lake.watermark().await? {
            Some(watermark) => AsOf::at_or_before(watermark),
            None => AsOf::at_or_before(project.now),
        },
    };
    let session = project.session(as_of).await?;
    let result = session.sql(&options.query).await.map_err(|error| match error {
        error if error.is_wrong_query() => usage(error.to_string()),
        error => error.into(),
    })?;
    output::print(&Rows { schema: &result.schema, batches: &result.batches }, options.format)
}
