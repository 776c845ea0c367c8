//! The test cases of a query, those of built-in queries parsed when somebody asks for them.

use std::sync::OnceLock;

use crate::catalog::test_cases::{TestCase, parse_cases};

/// The test cases of one query.
///
/// Parsing those of all built-in queries takes longer than everything else that a program does before
/// its first query, and only tests and documentation read them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LazyCases {
    /// The name in messages, and the text, of a built-in file.
    built_in: Option<(String, &'static str)>,
    parsed: OnceLock<Vec<TestCase>>,
}

impl LazyCases {
    pub(super) fn of_built_in(file: String, text: &'static str) -> Self {
        Self { built_in: Some((file, text)), parsed: OnceLock::new() }
    }

    /// Returns the cases.
    ///
    /// # Panics
    /// If a built-in file cannot be parsed, which the tests rule out.
    pub(super) fn get(&self) -> &[TestCase] {
        self.parsed.get_or_init(|| {
            let Some((file, text)) = &self.built_in else { return Vec::new() };
            parse_cases(file, text).unwrap_or_else(|error| panic!("{file}: {}", error.message))
        })
    }
}

impl From<Vec<TestCase>> for LazyCases {
    fn from(cases: Vec<TestCase>) -> Self {
        Self { built_in: None, parsed: OnceLock::from(cases) }
    }
}
