//! Numbers the distinct values of a column.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayData, ArrayRef, AsArray, BooleanArray, StringViewBuilder, UInt32Array,
    make_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::words::{NULL_WORD, for_each_word, is_number, is_place, word_of_all};

/// Words that are looked up in a small array first.
const RECENT: usize = 512;
const NOTHING: Recent = Recent { word: 0, batch: 0, id: 0 };
/// The multiplier of Fibonacci hashing: 2^64 over the golden ratio.
const FIBONACCI: u64 = 0x9E37_79B9_7F4A_7C15;
/// The number of a batch in which a word of every batch was seen.
const ANY_BATCH: u32 = u32::MAX;

/// The distinct values of a column, numbered in the order in which they came.
pub(super) struct ValueIds {
    data_type: DataType,
    values: Values,
    /// The ids by the hash of their values.
    ids: HashTable<u32>,
    hasher: RandomState,
    /// The id of words that were looked up, each at the place of its hash.
    recent: Box<[Recent; RECENT]>,
    /// The number of the current batch.
    batch: u32,
}

enum Values {
    Texts {
        texts: StringViewBuilder,
        /// The id of NULL, which the hash table does not hold.
        null: Option<u32>,
    },
    /// The words of numbers and truth values.
    Words(Vec<u128>),
}

#[derive(Clone, Copy)]
struct Recent {
    word: u128,
    /// The batch of a word that is a place in a buffer, [`ANY_BATCH`] of another one; zero where nothing
    /// is.
    batch: u32,
    id: u32,
}

impl ValueIds {
    /// Whether the values of a type can be numbered.
    pub(super) fn has_type(data_type: &DataType) -> bool {
        matches!(data_type, DataType::Utf8View | DataType::Boolean) || is_number(data_type)
    }

    pub(super) fn new(data_type: &DataType) -> Self {
        let values = match data_type {
            DataType::Utf8View => Values::Texts { texts: StringViewBuilder::new(), null: None },
            _ => Values::Words(Vec::new()),
        };
        Self {
            data_type: data_type.clone(),
            values,
            ids: HashTable::new(),
            hasher: RandomState::default(),
            recent: Box::new([NOTHING; RECENT]),
            batch: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the bytes that it holds.
    pub(super) fn size(&self) -> usize {
        let values = match &self.values {
            Values::Texts { texts, .. } => texts.allocated_size(),
            Values::Words(words) => words.capacity() * size_of::<u128>(),
        };
        values + self.ids.allocation_size() + size_of_val(&*self.recent)
    }

    /// Sets the ids of the values of a column.
    pub(super) fn ids(&mut self, column: &ArrayRef, ids: &mut Vec<u32>) -> Result<()> {
        ids.clear();
        if let Some(word) = word_of_all(column) {
            ids.resize(column.len(), self.look_up(word, column, 0)?);
            return Ok(());
        }
        self.batch += 1;
        if self.batch == ANY_BATCH {
            self.recent.fill(NOTHING);
            self.batch = 1;
        }
        let mut failed = Ok(());
        for_each_word(column, |row, word| {
            let place = place_of(word);
            let recent = self.recent[place];
            // A word of any batch has the greatest number, and nothing has the least.
            if recent.word == word && recent.batch >= self.batch {
                return ids.push(recent.id);
            }
            match self.look_up(word, column, row) {
                Ok(id) => {
                    let is_place = is_place(word, &self.data_type);
                    let batch = if is_place { self.batch } else { ANY_BATCH };
                    self.recent[place] = Recent { word, batch, id };
                    ids.push(id);
                }
                Err(error) => failed = Err(error),
            }
        })?;
        failed
    }

    /// Returns the id of the value in a row, which has this word.
    fn look_up(&mut self, word: u128, column: &ArrayRef, row: usize) -> Result<u32> {
        let (ids, hasher) = (&mut self.ids, &self.hasher);
        let Ok(next) = u32::try_from(self.values.len()) else {
            return internal_err!("a key has more than {} values", u32::MAX);
        };
        match &mut self.values {
            Values::Texts { null, .. } if word == NULL_WORD && null.is_some() => {
                return Ok(null.unwrap_or_default());
            }
            Values::Texts { null, texts } if word == NULL_WORD => {
                *null = Some(next);
                texts.append_null();
            }
            Values::Texts { texts, .. } => {
                let text = column.as_string_view().value(row);
                let hash = hasher.hash_one(text.as_bytes());
                let of = |id: &u32| texts.get_value(*id as usize);
                if let Some(id) = ids.find(hash, |id| of(id) == text.as_bytes()) {
                    return Ok(*id);
                }
                ids.insert_unique(hash, next, |id| hasher.hash_one(of(id)));
                texts.append_value(text);
            }
            Values::Words(words) => {
                let hash = hasher.hash_one(word);
                if let Some(id) = ids.find(hash, |id| words[*id as usize] == word) {
                    return Ok(*id);
                }
                ids.insert_unique(hash, next, |id| hasher.hash_one(words[*id as usize]));
                words.push(word);
            }
        }
        Ok(next)
    }

    /// Returns the values of some ids, and forgets all of them.
    pub(super) fn take(&mut self, ids: &UInt32Array) -> Result<ArrayRef> {
        let fresh = Self::new(&self.data_type);
        let values = match std::mem::replace(self, fresh).values {
            Values::Texts { mut texts, .. } => Arc::new(texts.finish()),
            Values::Words(words) => from_words(&words, &self.data_type)?,
        };
        Ok(take(&values, ids, None)?)
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Texts { texts, .. } => texts.len(),
            Self::Words(words) => words.len(),
        }
    }
}

/// Returns the numbers or truth values that have these words.
fn from_words(words: &[u128], data_type: &DataType) -> Result<ArrayRef> {
    let nulls: NullBuffer = words.iter().map(|word| *word != NULL_WORD).collect();
    // The cast leaves the half of a word that has the number.
    let buffer = match data_type.primitive_width() {
        None => {
            let values = words.iter().map(|word| *word == 1).collect();
            return Ok(Arc::new(BooleanArray::new(values, Some(nulls))));
        }
        Some(1) => words.iter().map(|word| *word as u8).collect::<Buffer>(),
        Some(2) => words.iter().map(|word| *word as u16).collect(),
        Some(4) => words.iter().map(|word| *word as u32).collect(),
        Some(_) => words.iter().map(|word| *word as u64).collect(),
    };
    let data = ArrayData::builder(data_type.clone()).len(words.len()).add_buffer(buffer);
    Ok(make_array(data.nulls(Some(nulls)).build()?))
}

/// Returns the place of a word in a small array, by Fibonacci hashing (Knuth, The Art of Computer
/// Programming 3, 6.4).
#[inline]
fn place_of(word: u128) -> usize {
    let folded = word as u64 ^ ((word >> 64) as u64).rotate_left(32);
    (folded.wrapping_mul(FIBONACCI) >> (64 - RECENT.ilog2())) as usize % RECENT
}
