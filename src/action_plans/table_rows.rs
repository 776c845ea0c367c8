//! The rows of a small table of the lake, all of them.

use lake::{Lake, TableDef, TableSnapshot};
use serde::de::DeserializeOwned;
use transform::QueryResult;

use crate::polars_frames::typed_rows;

/// Returns all rows of a table, in no order, and the state of the table; `None` where it does not exist
/// yet.
pub(crate) async fn read_rows<T: DeserializeOwned>(
    lake: &Lake,
    def: TableDef,
) -> anyhow::Result<Option<(Vec<T>, TableSnapshot)>> {
    let Some(table) = lake.snapshot(&def.name, None).await? else { return Ok(None) };
    let mut batches = Vec::new();
    for file in table.files.iter() {
        batches.extend(lake.read_file(&file.path, &[]).await?);
    }
    let rows = typed_rows(&QueryResult { schema: def.schema, batches })?;
    Ok(Some((rows, table)))
}
