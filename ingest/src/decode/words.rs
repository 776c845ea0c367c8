//! A growing column of texts that come again and again: each is kept once, and named by number.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int32Type;
use foldhash::fast::RandomState;

/// The number of a text that is absent.
const NONE: i32 = -1;
/// About what keeping a text takes beside its bytes.
const OVERHEAD: usize = 64;

#[derive(Default)]
pub(super) struct Words {
    numbers: HashMap<Box<str>, i32, RandomState>,
    /// The number of each row's text.
    rows: Vec<i32>,
    nulls: bool,
}

impl Words {
    /// Adds a row; returns how many bytes it takes beside its number.
    pub(super) fn push(&mut self, text: Option<&str>) -> usize {
        let Some(text) = text else {
            self.rows.push(NONE);
            self.nulls = true;
            return 0;
        };
        if let Some(number) = self.numbers.get(text) {
            self.rows.push(*number);
            return 0;
        }
        let number = self.numbers.len() as i32;
        self.numbers.insert(text.into(), number);
        self.rows.push(number);
        text.len() + OVERHEAD
    }

    /// The rows as a dictionary array, and none left here.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let mut texts = vec![""; self.numbers.len()];
        for (text, number) in &self.numbers {
            texts[*number as usize] = text;
        }
        let values = Arc::new(StringArray::from(texts));
        self.numbers.clear();
        let rows = mem::take(&mut self.rows);
        let present = mem::take(&mut self.nulls)
            .then(|| rows.iter().map(|number| *number != NONE).collect::<NullBuffer>());
        let keys = Int32Array::new(rows.into(), present);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
    }
}
