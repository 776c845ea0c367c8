//! The error of a query file's header or of a file of test cases.

use domain::closest_name;

use crate::catalog::diagnostics::Span;

/// The first problem of a text that is parsed, with the byte where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub offset: usize,
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl ParseError {
    pub(crate) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), help: None }
    }

    /// Returns an error of the TOML parser; an unknown field gets the closest known name as help.
    pub(crate) fn from_toml(offset: usize, message: &str) -> Self {
        let error = Self::new(offset, message.trim_end());
        let mut names = message.split('`').skip(1).step_by(2);
        let name = names.next().filter(|_| message.starts_with("unknown field"));
        match name.and_then(|name| closest_name(name, names)) {
            Some(other) => error.with_help(format!("did you mean `{other}`?")),
            None => error,
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns the span from the offset to the end of its line.
    pub(crate) fn span(&self, text: &str) -> Span {
        Span::to_line_end(text, self.offset)
    }
}
