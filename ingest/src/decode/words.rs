//! A growing column of texts that come again and again: each is kept once, and named by number.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Int32Type;
use foldhash::fast::RandomState;

/// The number of a text that is absent.
const NONE: i32 = -1;
/// A place of the table where no text is.
const FREE: u32 = u32::MAX;
/// About what keeping a text takes beside its bytes.
const OVERHEAD: usize = 48;

#[derive(Default)]
pub(super) struct Words {
    /// The numbers of the texts, each from where its hash says on; a power of two of places.
    places: Vec<u32>,
    words: Vec<Word>,
    /// All texts, one after the other.
    text: String,
    /// Texts known by where they lie; holding them keeps others from lying there.
    shared: HashMap<*const u8, (Rc<str>, i32), RandomState>,
    random: RandomState,
    /// The number of each row's text.
    rows: Vec<i32>,
    nulls: bool,
}

/// A text as far as it can be compared without looking it up: most are no longer than this.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word {
    /// The first eight bytes and the last eight, which may be the same ones.
    head: u64,
    tail: u64,
    length: u32,
    start: u32,
}

impl Word {
    /// All but where it starts.
    #[inline]
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let length = bytes.len() as u32;
        let (head, tail) = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => (bytes.iter().fold(0, |head, byte| head << 8 | u64::from(*byte)), 0),
        };
        Self { head, tail, length, start: 0 }
    }
}

impl Words {
    /// Adds a row; returns how many bytes it takes beside its number.
    #[inline]
    pub(super) fn push(&mut self, text: &str) -> usize {
        let known = self.words.len();
        let number = self.number(text);
        self.rows.push(number);
        if self.words.len() > known { text.len() + OVERHEAD } else { 0 }
    }

    /// As [`Words::push`] for a text that others hold too.
    #[inline]
    pub(super) fn push_shared(&mut self, text: &Rc<str>) -> usize {
        if let Some((_, number)) = self.shared.get(&text.as_ptr()) {
            self.rows.push(*number);
            return 0;
        }
        let bytes = self.push(text);
        let number = self.rows.last().copied().unwrap_or(NONE);
        self.shared.insert(text.as_ptr(), (Rc::clone(text), number));
        bytes + OVERHEAD
    }

    pub(super) fn push_null(&mut self) {
        self.rows.push(NONE);
        self.nulls = true;
    }

    #[inline]
    fn number(&mut self, text: &str) -> i32 {
        if self.words.len() * 2 >= self.places.len() {
            self.grow();
        }
        let word = Word::of(text);
        let mut place = self.hash(&word, text) as usize & (self.places.len() - 1);
        loop {
            let number = self.places[place];
            if number == FREE {
                return self.keep(place, word, text);
            }
            let known = self.words[number as usize];
            let alike = known.head == word.head && known.tail == word.tail;
            if alike && known.length == word.length && (text.len() <= 16 || self.at(known) == text)
            {
                return number as i32;
            }
            place = (place + 1) & (self.places.len() - 1);
        }
    }

    /// From a random beginning: nobody can choose texts that all have one hash.
    #[inline]
    fn hash(&self, word: &Word, text: &str) -> u64 {
        if text.len() > 16 {
            return self.random.hash_one(text);
        }
        self.random.hash_one((word.head, word.tail, word.length))
    }

    fn at(&self, word: Word) -> &str {
        &self.text[word.start as usize..(word.start + word.length) as usize]
    }

    #[cold]
    fn keep(&mut self, place: usize, word: Word, text: &str) -> i32 {
        let number = self.words.len() as u32;
        self.places[place] = number;
        self.words.push(Word { start: self.text.len() as u32, ..word });
        self.text.push_str(text);
        number as i32
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(16);
        let mut places = vec![FREE; size];
        for (number, word) in (0..).zip(&self.words) {
            let mut place = self.hash(word, self.at(*word)) as usize & (size - 1);
            while places[place] != FREE {
                place = (place + 1) & (size - 1);
            }
            places[place] = number;
        }
        self.places = places;
    }

    /// The rows as a dictionary array, and none left here.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let Self { words, text, rows, nulls, .. } = mem::take(self);
        let lengths = words.iter().map(|word| word.length as usize);
        let offsets = OffsetBuffer::from_lengths(lengths);
        let values = StringArray::new(offsets, text.into_bytes().into(), None);
        let present =
            nulls.then(|| rows.iter().map(|number| *number != NONE).collect::<NullBuffer>());
        let keys = Int32Array::new(rows.into(), present);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(values)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    #[test]
    fn each_text_is_kept_once() {
        let long: Vec<String> =
            (0..200).map(|n| format!("a long text, number {n:03}, of some")).collect();
        let mut texts = vec![
            "",
            "a",
            "b",
            "ab",
            "\0",
            "\0a",
            "12345678",
            "123456789",
            "1234567890123456",
            "12345678901234567",
        ];
        texts.extend(long.iter().map(String::as_str));
        let mut words = Words::default();
        for round in 0..2 {
            for text in &texts {
                let expected = if round == 0 { text.len() + OVERHEAD } else { 0 };
                assert_eq!(words.push(text), expected, "{text}");
            }
        }
        let shared: Rc<str> = Rc::from("a");
        words.push_shared(&shared);
        words.push_null();
        words.push_shared(&shared);
        let array = words.finish();
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = dictionary.values().as_string::<i32>();
        assert_eq!(values.len(), texts.len());
        let shown = |row: usize| values.value(dictionary.keys().value(row) as usize);
        for (row, text) in texts.iter().chain(&texts).chain([&"a"]).enumerate() {
            assert_eq!(shown(row), *text);
        }
        assert!(array.is_null(2 * texts.len() + 1));
        assert_eq!(shown(2 * texts.len() + 2), "a");
        assert_eq!(words.finish().len(), 0);
    }
}
