//! Seeded random choices: the same seed gives the same kinds, positions and pauses.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Holds a ChaCha generator (Bernstein 2008) and the seed that a failing test prints.
pub(crate) struct SeededRandom {
    pub(crate) seed: u64,
    generator: ChaCha8Rng,
}

impl SeededRandom {
    /// Takes the seed from `RAPPORT_SEED`, or draws a new one.
    pub(crate) fn from_environment() -> Self {
        let given = std::env::var("RAPPORT_SEED").ok();
        let seed = match given {
            Some(text) => text.parse().expect("RAPPORT_SEED is a number"),
            None => RandomState::new().hash_one(0),
        };
        Self::from_seed(seed)
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        Self { seed, generator: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Returns a number from 0 up to, but without, the bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.generator.random_range(0..bound)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.generator);
    }

    /// Waits a random time below `longest`, so that a fault strikes at a random moment.
    pub(crate) fn pause(&mut self, longest: Duration) {
        let micros = self.below(longest.as_micros() as u64);
        let end = Instant::now() + Duration::from_micros(micros);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
    }
}
