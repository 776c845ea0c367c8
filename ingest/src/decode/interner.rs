//! An interner of strings: each distinct text is stored once and identified by a number.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// An empty bucket of the hash table.
const EMPTY: u32 = u32::MAX;
/// The approximate memory for a text beside its bytes.
const OVERHEAD_BYTES: usize = 48;

/// Interns strings in an open-addressing hash table.
#[derive(Default)]
pub(super) struct Interner {
    /// The hash table: numbers of texts, with linear probing. Its length is a power of two.
    table: Vec<u32>,
    interned: Vec<InternedText>,
    /// All texts, one after the other.
    text: String,
    /// Shared texts by their address. The `Arc` keeps the address from being reused.
    shared: HashMap<usize, (Arc<str>, i32), RandomState>,
    hash_state: RandomState,
}

/// The parts of a text that are compared first. Most texts are not longer than these parts.
#[derive(Clone, Copy, PartialEq, Eq)]
struct InternedText {
    /// The first eight bytes and the last eight bytes, which may overlap.
    head: u64,
    tail: u64,
    length: u32,
    start: u32,
}

impl InternedText {
    /// Returns the key of a text, with `start` unset.
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

impl Interner {
    /// Returns the number of a text, and the bytes that were allocated for it.
    #[inline]
    pub(super) fn intern(&mut self, text: &str) -> (i32, usize) {
        let known = self.interned.len();
        let number = self.find_or_insert(text);
        (number, if self.interned.len() > known { text.len() + OVERHEAD_BYTES } else { 0 })
    }

    /// Interns a text that is shared, like [`Interner::intern`].
    #[inline]
    pub(super) fn intern_shared(&mut self, text: &Arc<str>) -> (i32, usize) {
        let bucket = text.as_ptr().addr();
        if let Some((_, number)) = self.shared.get(&bucket) {
            return (*number, 0);
        }
        let (number, bytes) = self.intern(text);
        self.shared.insert(bucket, (Arc::clone(text), number));
        (number, bytes + OVERHEAD_BYTES)
    }

    /// Returns the texts in the order of their numbers.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.interned.iter().map(|key| self.at(*key))
    }

    /// Removes all texts and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.table.fill(EMPTY);
        self.interned.clear();
        self.text.clear();
        self.shared.clear();
    }

    #[inline]
    fn find_or_insert(&mut self, text: &str) -> i32 {
        if self.interned.len() * 2 >= self.table.len() {
            self.grow();
        }
        let key = InternedText::of(text);
        let mut bucket = self.hash(&key, text) as usize & (self.table.len() - 1);
        loop {
            let number = self.table[bucket];
            if number == EMPTY {
                return self.insert(bucket, key, text);
            }
            let known = self.interned[number as usize];
            let alike = known.head == key.head && known.tail == key.tail;
            if alike && known.length == key.length && (text.len() <= 16 || self.at(known) == text) {
                return number as i32;
            }
            bucket = (bucket + 1) & (self.table.len() - 1);
        }
    }

    /// Hashes a text with a random seed, so that nobody can choose texts with the same hash.
    #[inline]
    fn hash(&self, key: &InternedText, text: &str) -> u64 {
        if text.len() > 16 {
            return self.hash_state.hash_one(text);
        }
        self.hash_state.hash_one((key.head, key.tail, key.length))
    }

    fn at(&self, key: InternedText) -> &str {
        &self.text[key.start as usize..(key.start + key.length) as usize]
    }

    #[cold]
    fn insert(&mut self, bucket: usize, key: InternedText, text: &str) -> i32 {
        let number = self.interned.len() as u32;
        self.table[bucket] = number;
        self.interned.push(InternedText { start: self.text.len() as u32, ..key });
        self.text.push_str(text);
        number as i32
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(16);
        let mut table = vec![EMPTY; size];
        for (number, key) in (0..).zip(&self.interned) {
            let mut bucket = self.hash(key, self.at(*key)) as usize & (size - 1);
            while table[bucket] != EMPTY {
                bucket = (bucket + 1) & (size - 1);
            }
            table[bucket] = number;
        }
        self.table = table;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_interned_once() {
        let long: Vec<String> =
            (0..200).map(|n| format!("a long text, number {n:03}, of some")).collect();
        let mut texts = vec!["", "a", "b", "ab", "\0", "\0a", "12345678", "123456789"];
        texts.extend(["1234567890123456", "12345678901234567"]);
        texts.extend(long.iter().map(String::as_str));
        let mut interner = Interner::default();
        for _ in 0..2 {
            for round in 0..2 {
                for (number, text) in (0..).zip(&texts) {
                    let bytes = if round == 0 { text.len() + OVERHEAD_BYTES } else { 0 };
                    assert_eq!(interner.intern(text), (number, bytes), "{text}");
                }
            }
            let shared: Arc<str> = Arc::from("a");
            assert_eq!(interner.intern_shared(&shared), (1, OVERHEAD_BYTES));
            assert_eq!(interner.intern_shared(&shared), (1, 0));
            assert!(interner.texts().eq(texts.iter().copied()));
            interner.clear();
            assert_eq!(interner.texts().count(), 0);
        }
    }
}
