//! Refuses a change of columns for a rollup with days that can't be computed again.

use domain::Day;

use crate::catalog::Query;
use crate::error::{Result, TransformError};
use crate::rollups::inputs::RollupInput;

/// Returns an error where a stored day can't be computed again, because its events are deleted.
pub(crate) fn check_recomputable<'a>(
    query: &Query,
    stored: impl Iterator<Item = &'a Day>,
    inputs: &[RollupInput],
) -> Result<()> {
    let sealed: Vec<&Day> =
        stored.filter(|day| inputs.iter().any(|input| !input.is_computable(**day))).collect();
    let (Some(first), Some(last)) = (sealed.first(), sealed.last()) else { return Ok(()) };
    let days = match sealed.len() {
        1 => format!("{first} is"),
        n => format!("{n} days from {first} to {last} are"),
    };
    Err(refused_columns(query, &format!("{days} sealed by retention: their events are gone")))
}

/// Returns the error for columns that can't be changed.
pub(crate) fn refused_columns(query: &Query, why: &str) -> TransformError {
    TransformError::File {
        file: query.file.clone(),
        line: query.header.columns.first().map_or(1, |column| column.position.line),
        message: format!(
            "its columns changed, and the days that are stored can't be computed anew: {why}; keep the columns, or give the query another name"
        ),
    }
}
