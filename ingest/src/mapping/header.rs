//! The header of a mapping: TOML in the comment lines that open the program.
//!
//! ```text
//! #---
//! # description = "Kong's http-log plugin"
//! # stream = "api-calls"
//! #---
//! ```

use domain::{Position, Stream, toml_error};
use serde::Deserialize;

use super::error::MappingError;

/// The line that opens and closes a header.
const FENCE: &str = "#---";

/// What a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MappingInput {
    /// The record's JSON.
    #[default]
    Json,
    /// The record as a string.
    Text,
}

/// The header of a mapping; without one, everything is left at its default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Header {
    pub(super) description: String,
    pub(super) stream: Option<Stream>,
    pub(super) input: MappingInput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderToml {
    #[serde(default)]
    description: String,
    stream: Option<toml::Spanned<String>>,
    #[serde(default)]
    input: MappingInput,
}

impl Header {
    /// Parses the header of a program, if it has one.
    pub(super) fn parse(name: &str, source: &str) -> Result<Self, MappingError> {
        let mut lines = source.lines();
        if lines.next().is_none_or(|first| first.trim_end() != FENCE) {
            return Ok(Self::default());
        }
        let failed = |line: usize, column: usize, message: String| MappingError::Header {
            name: name.to_owned(),
            position: Position { line, column },
            message,
        };
        let mut toml = String::new();
        let mut closed = false;
        for (at, line) in lines.enumerate() {
            if line.trim_end() == FENCE {
                closed = true;
                break;
            }
            let Some(text) = line.strip_prefix('#') else {
                let message = "every line of it begins with #, and a line #--- closes it";
                return Err(failed(at + 2, 1, message.to_owned()));
            };
            // The text keeps its columns.
            toml.push(' ');
            toml.push_str(text);
            toml.push('\n');
        }
        if !closed {
            return Err(failed(1, 1, "it has no end; close it with a line #---".to_owned()));
        }
        let raw: HeaderToml = toml::from_str(&toml).map_err(|error| {
            let (position, message) = toml_error(&toml, error.span(), error.message());
            failed(position.line + 1, position.column, message)
        })?;
        let stream = raw.stream.map(|stream| {
            let position = Position::at_offset(&toml, stream.span().start);
            let named = stream.into_inner().parse::<Stream>();
            named.map_err(|error| failed(position.line + 1, position.column, error.to_string()))
        });
        let (description, input) = (raw.description, raw.input);
        Ok(Self { description, stream: stream.transpose()?, input })
    }
}
