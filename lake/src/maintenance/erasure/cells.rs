//! Replacing ids in the cells of a table by tokens.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};

use crate::error::LakeError;
use crate::maintenance::erasure::id_matcher::IdMatcher;

/// Returns the rows with tokens in place of ids, and the number of rows that changed.
pub(super) fn replace_ids(
    matcher: &IdMatcher,
    batch: &RecordBatch,
) -> Result<(RecordBatch, u64), LakeError> {
    let mut changed = vec![false; batch.num_rows()];
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(&mut columns) {
        let Some(texts) = column.as_string_opt::<i32>() else { continue };
        if !matcher.may_be_in(texts.value_data()) {
            continue;
        }
        let cells: StringArray = texts
            .iter()
            .zip(&mut changed)
            .map(|(text, changed)| {
                let text = text?;
                let new = token_for(matcher, field.name(), text);
                *changed |= new.is_some();
                Some(new.unwrap_or_else(|| text.to_owned()))
            })
            .collect();
        *column = Arc::new(cells);
    }
    let rows = changed.iter().filter(|c| **c).count() as u64;
    if rows == 0 {
        return Ok((batch.clone(), 0));
    }
    Ok((RecordBatch::try_new(schema, columns)?, rows))
}

/// Columns whose values come from the contracts or the program itself: a word there is never an id.
pub(super) const ENUM_COLUMNS: [&str; 17] = [
    "environment",
    "type",
    "kind",
    "currency",
    "stream",
    "signal",
    "field",
    "key_id",
    "stage",
    "tier",
    "computed_tier",
    "gate",
    "risk_model",
    "policy_version",
    "run_id",
    "config_digest",
    "versions",
];

/// Returns the new content of a cell that contains an id; `None` when the cell stays as it is.
pub(super) fn token_for(matcher: &IdMatcher, column: &str, text: &str) -> Option<String> {
    match column {
        "partner_id" | "merged_into" => matcher.token_of(text).map(str::to_owned),
        "topic" if is_kafka_topic(text) => None,
        _ if ENUM_COLUMNS.contains(&column) => None,
        _ => matcher.replaced(text),
    }
}

/// Returns whether a topic is one of Kafka, which is part of a record's identity and stays. Records
/// of loaded files have the name of the file as topic, in which ids are replaced.
pub(super) fn is_kafka_topic(topic: &str) -> bool {
    !topic.starts_with("file:")
}
