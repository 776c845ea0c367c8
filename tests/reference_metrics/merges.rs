//! The merges of partners: chains are followed, circles are void.

use std::collections::{BTreeMap, BTreeSet};

/// The merges that were sent: partner, instant, event id, surviving partner.
#[derive(Debug, Default)]
pub(crate) struct Merges(Vec<(String, i64, String, String)>);

impl Merges {
    pub(crate) fn add(&mut self, partner: &str, at: i64, event_id: &str, into: &str) {
        self.0.push((partner.to_owned(), at, event_id.to_owned(), into.to_owned()));
    }

    /// Returns the latest merge of each partner that is not into itself.
    pub(super) fn latest(&self) -> BTreeMap<&str, &str> {
        let mut sorted: Vec<_> = self.0.iter().filter(|(id, _, _, into)| id != into).collect();
        sorted.sort_by_key(|(_, at, event_id, _)| (*at, event_id));
        sorted.into_iter().map(|(id, _, _, into)| (id.as_str(), into.as_str())).collect()
    }
}

/// Follows a chain of merges to its end. Merges on a circle are void, so a chain that leads into a
/// circle ends where it meets the circle.
pub(super) fn surviving_partner<'a>(id: &'a str, latest: &BTreeMap<&'a str, &'a str>) -> &'a str {
    let mut at = id;
    while let Some(&next) = latest.get(at) {
        if is_on_circle(at, latest) {
            break;
        }
        at = next;
    }
    at
}

fn is_on_circle(id: &str, latest: &BTreeMap<&str, &str>) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = id;
    while let Some(&next) = latest.get(at) {
        if next == id {
            return true;
        }
        if !seen.insert(next) {
            return false;
        }
        at = next;
    }
    false
}

#[test]
fn merges_follow_chains_and_void_circles() {
    let mut merges = Merges::default();
    for (partner, at, into) in [
        ("a", 1, "b"), // a chain: a → b → c
        ("b", 2, "c"),
        ("d", 1, "c"), // an earlier merge counts where the latest is into itself
        ("d", 2, "d"),
        ("e", 1, "f"), // a circle e ⇄ f, with g leading into it
        ("f", 2, "e"),
        ("g", 3, "e"),
        ("h", 1, "a"), // the latest merge counts
        ("h", 2, "i"),
    ] {
        merges.add(partner, at, "id", into);
    }
    let latest = merges.latest();
    let ends = "abcdefghi".split("").filter(|id| !id.is_empty());
    let ends: Vec<_> = ends.map(|id| surviving_partner(id, &latest)).collect();
    assert_eq!(ends, ["c", "c", "c", "c", "e", "f", "e", "i", "i"]);
}
