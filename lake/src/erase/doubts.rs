//! What an erasure leaves because nobody can say whether it is meant: an id that may be an ordinary
//! word, in text where no id is due, and the names of Kafka topics.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};

use super::letters::opened;
use super::{CHOSEN, Erasure, is_of_kafka};
use crate::error::LakeError;
use crate::lake::Lake;

/// Rows of a column that may name a partner, and stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doubt {
    pub table: String,
    pub column: String,
    /// The id that stands there; `None` for the name of a topic.
    pub word: Option<String>,
    pub rows: u64,
}

/// Rows by column and word.
type Counts = BTreeMap<(String, Option<String>), u64>;

impl Lake {
    /// What the tables' newest versions hold that may be a partner's and stays.
    ///
    /// # Errors
    /// When a file can't be read.
    pub async fn doubts(&self, erasure: &Erasure) -> Result<Vec<Doubt>, LakeError> {
        // Without an ordinary word there are only the topics.
        let topics_only = erasure.ordinary().next().is_none();
        let columns: &[&str] = if topics_only { &["topic"] } else { &[] };
        let mut doubts = Vec::new();
        for table in self.tables().await? {
            if topics_only && !table.starts_with("raw/") {
                continue;
            }
            let Some(snapshot) = self.snapshot(&table, None).await? else { continue };
            let mut counts = Counts::new();
            for file in &snapshot.files {
                for batch in self.read_file(&file.path, columns).await? {
                    count_cells(erasure, &batch, &mut counts);
                    self.count_letters(erasure, &batch, &mut counts);
                }
            }
            let of_table =
                |((column, word), rows)| Doubt { table: table.clone(), column, word, rows };
            doubts.extend(counts.into_iter().map(of_table));
        }
        Ok(doubts)
    }

    fn count_letters(&self, erasure: &Erasure, batch: &RecordBatch, counts: &mut Counts) {
        for record in opened(self.key(), batch).into_iter().flatten() {
            let headers = record.header_bytes();
            let values = headers.iter().filter_map(|(_, value)| value.as_deref());
            let (key, bytes) = (record.key_bytes(), record.bytes());
            let word = values.chain(key.as_deref()).chain([bytes.as_slice()]).find_map(|part| {
                let text = String::from_utf8_lossy(part);
                erasure.names.doubtful_in(&text).map(str::to_owned)
            });
            if word.is_some() {
                *counts.entry(("sealed".to_owned(), word)).or_default() += 1;
            }
        }
    }
}

fn count_cells(erasure: &Erasure, batch: &RecordBatch, counts: &mut Counts) {
    let names = &erasure.names;
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = field.name().as_str();
        let Some(texts) = column.as_string_opt::<i32>() else { continue };
        let of_ids = matches!(name, "partner_id" | "merged_into");
        if of_ids || CHOSEN.contains(&name) || !names.may_be_in(texts.value_data()) {
            continue;
        }
        for text in texts.iter().flatten() {
            let word = names.doubtful_in(text).map(str::to_owned);
            let of_topic = name == "topic" && is_of_kafka(text) && names.are_in(text);
            if word.is_some() || of_topic {
                *counts.entry((name.to_owned(), word)).or_default() += 1;
            }
        }
    }
}
