//! The values that an erasure leaves because nothing tells whether they name the partner: an id
//! that may be an ordinary word, in free text, and an id in the name of a Kafka topic.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};

use crate::error::LakeError;
use crate::lake::Lake;
use crate::maintenance::erasure::cells::{ENUM_COLUMNS, is_kafka_topic};
use crate::maintenance::erasure::dead_letters::open_sealed_records;
use crate::maintenance::erasure::partners::Erasure;

/// Rows of a column that may name a partner, and that stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AmbiguousValue {
    pub table: String,
    pub column: String,
    /// The id that the rows contain; `None` for an id in the name of a topic.
    pub word: Option<String>,
    pub rows: u64,
}

/// The number of rows, by column and word.
type AmbiguousCounts = BTreeMap<(String, Option<String>), u64>;

impl Lake {
    /// Returns the values in the newest versions of all tables that may name a partner and stay.
    ///
    /// # Errors
    /// When a file can't be read.
    pub async fn ambiguous_values(
        &self,
        erasure: &Erasure,
    ) -> Result<Vec<AmbiguousValue>, LakeError> {
        // Without an ambiguous id only the names of topics are searched.
        let topics_only = erasure.ambiguous_ids().next().is_none();
        let columns: &[&str] = if topics_only { &["topic"] } else { &[] };
        let mut found = Vec::new();
        for table in self.tables().await? {
            if topics_only && !table.starts_with("raw/") {
                continue;
            }
            let Some(snapshot) = self.snapshot(&table, None).await? else { continue };
            let mut counts = AmbiguousCounts::new();
            for file in snapshot.files.iter() {
                for batch in self.read_file(&file.path, columns).await? {
                    count_cells(erasure, &batch, &mut counts);
                    self.count_dead_letters(erasure, &batch, &mut counts);
                }
            }
            let of_table = |((column, word), rows)| AmbiguousValue {
                table: table.clone(),
                column,
                word,
                rows,
            };
            found.extend(counts.into_iter().map(of_table));
        }
        Ok(found)
    }

    fn count_dead_letters(
        &self,
        erasure: &Erasure,
        batch: &RecordBatch,
        counts: &mut AmbiguousCounts,
    ) {
        for record in open_sealed_records(self.key(), batch).into_iter().flatten() {
            let headers = record.header_bytes();
            let values = headers.iter().filter_map(|(_, value)| value.as_deref());
            let (key, bytes) = (record.key_bytes(), record.bytes());
            let word = values.chain(key.as_deref()).chain([bytes.as_slice()]).find_map(|part| {
                let text = String::from_utf8_lossy(part);
                erasure.matcher.ambiguous_id_in(&text).map(str::to_owned)
            });
            if word.is_some() {
                *counts.entry(("sealed".to_owned(), word)).or_default() += 1;
            }
        }
    }
}

fn count_cells(erasure: &Erasure, batch: &RecordBatch, counts: &mut AmbiguousCounts) {
    let matcher = &erasure.matcher;
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = field.name().as_str();
        let Some(texts) = column.as_string_opt::<i32>() else { continue };
        let holds_ids = matches!(name, "partner_id" | "merged_into");
        if holds_ids || ENUM_COLUMNS.contains(&name) || !matcher.may_be_in(texts.value_data()) {
            continue;
        }
        for text in texts.iter().flatten() {
            let word = matcher.ambiguous_id_in(text).map(str::to_owned);
            let is_topic_with_id = name == "topic" && is_kafka_topic(text) && matcher.is_in(text);
            if word.is_some() || is_topic_with_id {
                *counts.entry((name.to_owned(), word)).or_default() += 1;
            }
        }
    }
}
