//! Values that are computed once and shared by the units that follow.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// At most `MAX` values by their keys; one more drops all of them.
pub(crate) struct BoundedCache<K, V, const MAX: usize>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K: Eq + Hash, V, const MAX: usize> BoundedCache<K, V, MAX> {
    /// Returns the cell of a key. Whoever finds it empty fills it, and others wait for that.
    pub(crate) fn cell(&self, key: K) -> Arc<OnceCell<V>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX && !known.contains_key(&key) {
            known.clear();
        }
        Arc::clone(known.entry(key).or_default())
    }
}

impl<K, V, const MAX: usize> Default for BoundedCache<K, V, MAX> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_computed_once_until_there_are_too_many() {
        let cache: BoundedCache<u8, u8, 2> = BoundedCache::default();
        let value = async |key, value| *cache.cell(key).get_or_init(|| async { value }).await;
        assert_eq!(value(1, 10).await, 10);
        assert_eq!(value(2, 20).await, 20);
        assert_eq!((value(1, 11).await, value(2, 21).await), (10, 20));
        assert_eq!(value(3, 30).await, 30);
        assert_eq!(value(1, 11).await, 11, "the first ones were dropped");
    }
}
