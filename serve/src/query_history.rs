//! The queries that people have asked since the server started.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// The number of queries that are kept of each person.
const KEPT: usize = 20;

/// The newest queries of each person.
#[derive(Default)]
pub(crate) struct QueryHistories(Mutex<HashMap<String, VecDeque<String>>>);

impl QueryHistories {
    /// Adds a query. One that was asked before moves to the front.
    pub(crate) fn add(&self, person: &str, query: &str) {
        let mut histories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let history = histories.entry(person.to_owned()).or_default();
        history.retain(|known| known != query);
        history.push_front(query.to_owned());
        history.truncate(KEPT);
    }

    /// Returns the queries of a person, newest first.
    pub(crate) fn of(&self, person: &str) -> Vec<String> {
        let histories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histories.get(person).map(|history| history.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_queries_of_each_person_are_kept() {
        let histories = QueryHistories::default();
        (0..30).for_each(|n| histories.add("ada", &format!("SELECT {n}")));
        histories.add("ada", "SELECT 20");
        let kept = histories.of("ada");
        assert_eq!(
            (kept.len(), kept[0].as_str(), kept[1].as_str()),
            (20, "SELECT 20", "SELECT 29")
        );
        assert!(histories.of("tom").is_empty());
    }
}
