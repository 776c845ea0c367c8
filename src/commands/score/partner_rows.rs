//! The rows of a query that are one partner's.

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{concat_batches, filter_record_batch};
use serde::de::DeserializeOwned;
use transform::{QueryResult, Session};

use crate::polars_frames::typed_rows;

/// Returns the rows whose column has this value. Fields are found by the names of the columns.
pub(super) async fn rows_with<T: DeserializeOwned>(
    session: &Session,
    query: &str,
    column: &str,
    value: &str,
) -> anyhow::Result<Vec<T>> {
    let found = session.metric(query).await?;
    let all = concat_batches(&found.schema, &found.batches)?;
    let Some(texts) = all.column_by_name(column).and_then(|c| c.as_string_opt::<i32>()) else {
        anyhow::bail!("{query} has no column {column} of texts");
    };
    let wanted: BooleanArray = texts.iter().map(|text| Some(text == Some(value))).collect();
    let batches = vec![filter_record_batch(&all, &wanted)?];
    typed_rows(&QueryResult { schema: found.schema, batches })
}

/// Returns the rows of one partner.
pub(super) async fn partner_rows<T: DeserializeOwned>(
    session: &Session,
    query: &str,
    partner_id: &str,
) -> anyhow::Result<Vec<T>> {
    rows_with(session, query, "partner_id", partner_id).await
}
