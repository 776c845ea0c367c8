//! Texts that come again and again: each is kept once, and named by number.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

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
    shared: HashMap<usize, (Arc<str>, i32), RandomState>,
    random: RandomState,
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
            _ => (bytes.iter().fold(0, |head, byte| (head << 8) | u64::from(*byte)), 0),
        };
        Self { head, tail, length, start: 0 }
    }
}

impl Words {
    /// The number of a text, and how many bytes more are kept for it.
    #[inline]
    pub(super) fn number(&mut self, text: &str) -> (i32, usize) {
        let known = self.words.len();
        let number = self.find(text);
        (number, if self.words.len() > known { text.len() + OVERHEAD } else { 0 })
    }

    /// As [`Words::number`] for a text that others hold too.
    #[inline]
    pub(super) fn shared_number(&mut self, text: &Arc<str>) -> (i32, usize) {
        let place = text.as_ptr().addr();
        if let Some((_, number)) = self.shared.get(&place) {
            return (*number, 0);
        }
        let (number, bytes) = self.number(text);
        self.shared.insert(place, (Arc::clone(text), number));
        (number, bytes + OVERHEAD)
    }

    /// The texts in the order of their numbers.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| self.at(*word))
    }

    pub(super) fn clear(&mut self) {
        self.places.fill(FREE);
        self.words.clear();
        self.text.clear();
        self.shared.clear();
    }

    #[inline]
    fn find(&mut self, text: &str) -> i32 {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_kept_once() {
        let long: Vec<String> =
            (0..200).map(|n| format!("a long text, number {n:03}, of some")).collect();
        let mut texts = vec!["", "a", "b", "ab", "\0", "\0a", "12345678", "123456789"];
        texts.extend(["1234567890123456", "12345678901234567"]);
        texts.extend(long.iter().map(String::as_str));
        let mut words = Words::default();
        for _ in 0..2 {
            for round in 0..2 {
                for (number, text) in (0..).zip(&texts) {
                    let bytes = if round == 0 { text.len() + OVERHEAD } else { 0 };
                    assert_eq!(words.number(text), (number, bytes), "{text}");
                }
            }
            let shared: Arc<str> = Arc::from("a");
            assert_eq!(words.shared_number(&shared), (1, OVERHEAD));
            assert_eq!(words.shared_number(&shared), (1, 0));
            assert!(words.texts().eq(texts.iter().copied()));
            words.clear();
            assert_eq!(words.texts().count(), 0);
        }
    }
}
