//! The columns that identify an event and order its copies.

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DataFusionError, Result};

/// The identity of an event is (`partner_id`, `event_id`). Of its copies the one with the lowest
/// (`topic`, `kafka_partition`, `kafka_offset`) counts.
pub(crate) const IDENTITY: [&str; 5] =
    ["partner_id", "event_id", "topic", "kafka_partition", "kafka_offset"];

/// Returns the indices of the wanted columns and of those named, in ascending order.
pub(crate) fn columns_with(
    table: &SchemaRef,
    wanted: &[usize],
    needed: &[&str],
) -> Result<Vec<usize>> {
    let mut columns = wanted.to_vec();
    for name in needed {
        columns.push(table.index_of(name)?);
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
}

pub(super) fn to_string_view(column: &ArrayRef) -> Result<StringViewArray> {
    Ok(cast(column, &DataType::Utf8View)?.as_string_view().clone())
}

pub(super) fn not_sorted() -> Result<()> {
    Err(DataFusionError::Execution(
        "a file of a raw table is not sorted by partner_id; load its day again".to_owned(),
    ))
}
