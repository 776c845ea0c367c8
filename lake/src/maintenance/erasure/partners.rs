//! The partners to erase.

use std::collections::BTreeMap;

use crate::maintenance::erasure::id_matcher::IdMatcher;

/// The partners to erase, with the token that replaces the id of each.
pub struct Erasure {
    pub(super) matcher: IdMatcher,
}

impl Erasure {
    /// Returns an erasure; `tokens` maps ids, as the events have them, to tokens. With `everywhere`
    /// an id that may be an ordinary word counts as the partner's wherever it occurs.
    pub fn new(tokens: &BTreeMap<String, String>, everywhere: bool) -> Self {
        Self { matcher: IdMatcher::new(tokens, everywhere) }
    }

    /// Returns the ids that may be ordinary words or numbers. They are erased where the id of a
    /// partner stands; elsewhere they stay, and are reported as [`crate::AmbiguousValue`]s.
    pub fn ambiguous_ids(&self) -> impl Iterator<Item = &str> {
        self.matcher.ambiguous_ids()
    }
}
