//! A sentence for each row. Equal sentences are held once: a million partners say only a few
//! thousand different things.

use std::collections::HashMap;

use polars::prelude::{ChunkTake, Column, IdxCa, IdxSize, IntoColumn, PolarsResult, StringChunked};

/// A sentence for each row, or none.
pub(crate) struct Sentences {
    distinct: StringChunked,
    /// The place of each row's sentence in `distinct`.
    places: IdxCa,
}

impl Sentences {
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.distinct.get(self.places.get(row)? as usize)
    }

    /// Returns the sentences as a column, whose rows share equal texts.
    pub(crate) fn to_column(&self, name: &str) -> PolarsResult<Column> {
        Ok(self.distinct.take(&self.places)?.with_name(name.into()).into_column())
    }
}

impl FromIterator<Option<String>> for Sentences {
    fn from_iter<I: IntoIterator<Item = Option<String>>>(sentences: I) -> Self {
        let mut known: HashMap<String, IdxSize> = HashMap::new();
        let mut place_of = |sentence: String| {
            let next = known.len() as IdxSize;
            *known.entry(sentence).or_insert(next)
        };
        let places = sentences.into_iter().map(|sentence| sentence.map(&mut place_of)).collect();
        let mut distinct: Vec<(String, IdxSize)> = known.into_iter().collect();
        distinct.sort_unstable_by_key(|(_, place)| *place);
        let distinct = distinct.into_iter().map(|(sentence, _)| sentence).collect();
        Self { distinct, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sentences_are_held_once() {
        let given = ["level", "falling", "level"].map(|text| Some(text.to_owned()));
        let given: Vec<Option<String>> = given.into_iter().chain([None]).collect();
        let sentences: Sentences = given.iter().cloned().collect();
        assert_eq!(sentences.distinct.len(), 2);
        let found: Vec<Option<String>> =
            (0..given.len()).map(|row| sentences.get(row).map(str::to_owned)).collect();
        assert_eq!(found, given);
        let column = sentences.to_column("reason").expect("a column");
        let texts = column.as_materialized_series().str().expect("texts");
        assert!(texts.iter().eq(given.iter().map(Option::as_deref)));
    }

    #[test]
    fn there_may_be_no_sentence() {
        let sentences: Sentences = [None, None].into_iter().collect();
        assert_eq!(sentences.get(0), None);
        assert_eq!(sentences.to_column("reason").expect("a column").null_count(), 2);
    }
}
