//! Drawing lots: the same seed draws the same kinds, places and pauses.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// SplitMix64.
pub(crate) struct Luck {
    pub(crate) seed: u64,
    state: u64,
}

impl Luck {
    /// `RAPPORT_SEED`, or a new seed.
    pub(crate) fn new() -> Self {
        let given = std::env::var("RAPPORT_SEED").ok();
        let seed = match given {
            Some(text) => text.parse().expect("RAPPORT_SEED is a number"),
            None => RandomState::new().hash_one(0),
        };
        Self::with(seed)
    }

    pub(crate) fn with(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub(crate) fn shuffle<T>(&mut self, cards: &mut [T]) {
        for last in (1..cards.len()).rev() {
            cards.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// Lets a random time below `most` pass: the moment a fault strikes at is part of the draw.
    pub(crate) fn pause(&mut self, most: Duration) {
        let micros = self.below(most.as_micros() as u64);
        let end = std::time::Instant::now() + Duration::from_micros(micros);
        while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
            std::thread::park_timeout(left);
        }
    }
}
