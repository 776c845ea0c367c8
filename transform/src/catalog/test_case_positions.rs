//! The positions of the parts of test cases in their file, by path.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use domain::Position;

/// The byte offset and position of each part of a case, by its path: `as_of`,
/// `given.api_calls[2].status`, `expect[0]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CasePositions(BTreeMap<String, (usize, Position)>);

impl CasePositions {
    /// Returns the positions of each case of a file, in the order of the file.
    pub(crate) fn of_cases(text: &str) -> Vec<Self> {
        let Ok(file) = DeTable::parse(text) else { return Vec::new() };
        let Some(DeValue::Array(cases)) = file.get_ref().get("case").map(Spanned::get_ref) else {
            return Vec::new();
        };
        let positions = |case: &Spanned<DeValue<'_>>| {
            let mut positions = Self::default();
            positions.add("", case, text);
            positions
        };
        cases.iter().map(positions).collect()
    }

    /// Returns the position of a part, or of the innermost part around it that the file contains.
    pub(crate) fn position(&self, path: &str) -> Option<Position> {
        self.innermost(path).map(|(_, position)| *position)
    }

    /// Returns the byte where that part begins.
    pub(crate) fn offset(&self, path: &str) -> Option<usize> {
        self.innermost(path).map(|(offset, _)| *offset)
    }

    fn innermost(&self, path: &str) -> Option<&(usize, Position)> {
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
            self.0.insert(path.to_owned(), (offset, Position::at_offset(text, offset)));
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
        let cases = CasePositions::of_cases(text);
        assert_eq!(cases.len(), 2);
        let at =
            |path: &str| cases[1].position(path).map(|position| (position.line, position.column));
        assert_eq!(at("as_of"), Some((5, 9)));
        assert_eq!(at("given.raw.api_calls[0]"), Some((7, 3)));
        assert_eq!(at("given.raw.api_calls[0].status"), Some((7, 14)));
        assert_eq!(at("given.raw.api_calls[0].colour"), Some((7, 3)));
        assert_eq!(at("given.raw.api_calls[9]"), Some((6, 23)));
        assert_eq!(at("expect[0]"), None);
    }
}
