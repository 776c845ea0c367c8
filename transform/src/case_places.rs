//! Where the parts of test cases stand in their file, found by their paths.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::Place;

/// The parts of one case: `as_of`, `given.api_calls[2].status`, `expect[0]`.
#[derive(Debug, Clone, Default)]
pub struct Places(BTreeMap<String, (usize, Place)>);

impl Places {
    /// Of each case of a file, in their order.
    pub(crate) fn of_cases(text: &str) -> Vec<Self> {
        let Ok(file) = DeTable::parse(text) else { return Vec::new() };
        let Some(DeValue::Array(cases)) = file.get_ref().get("case").map(Spanned::get_ref) else {
            return Vec::new();
        };
        let of = |case: &Spanned<DeValue<'_>>| {
            let mut places = Self::default();
            places.add("", case, text);
            places
        };
        cases.iter().map(of).collect()
    }

    /// The place of a part, or of the nearest part around it that is written down.
    pub(crate) fn find(&self, path: &str) -> Option<Place> {
        self.nearest(path).map(|(_, place)| *place)
    }

    /// The byte at which it begins.
    pub(crate) fn offset(&self, path: &str) -> Option<usize> {
        self.nearest(path).map(|(offset, _)| *offset)
    }

    fn nearest(&self, path: &str) -> Option<&(usize, Place)> {
        let mut path = path;
        loop {
            if let Some(found) = self.0.get(path) {
                return Some(found);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    fn add(&mut self, path: &str, value: &Spanned<DeValue<'_>>, text: &str) {
        if !path.is_empty() {
            let offset = value.span().start;
            self.0.insert(path.to_owned(), (offset, Place::of(text, offset)));
        }
        match value.get_ref() {
            DeValue::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.add(&format!("{path}[{i}]"), item, text);
                }
            }
            DeValue::Table(table) => {
                for (name, value) in table {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.add(&format!("{path}{dot}{}", name.get_ref()), value, text);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_paths() {
        let text = "[[case]]\nas_of = 2026-01-01\n\n[[case]]\nas_of = 2026-01-01\ngiven.raw.api_calls = [\n  { status = 5 },\n]\n";
        let cases = Places::of_cases(text);
        assert_eq!(cases.len(), 2);
        let at = |path: &str| cases[1].find(path).map(|place| (place.line, place.column));
        assert_eq!(at("as_of"), Some((5, 9)));
        assert_eq!(at("given.raw.api_calls[0]"), Some((7, 3)));
        assert_eq!(at("given.raw.api_calls[0].status"), Some((7, 14)));
        assert_eq!(at("given.raw.api_calls[0].colour"), Some((7, 3)));
        assert_eq!(at("given.raw.api_calls[9]"), Some((6, 23)));
        assert_eq!(at("expect[0]"), None);
    }
}
