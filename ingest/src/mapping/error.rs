//! Why there is no such mapping.

use domain::Position;

/// A mapping that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    #[error("there is no recipe \"{name}\"{}; `rapport ingest mappings` lists them, and a mapping of your own is a file whose name ends in .jq", meant(.closest.as_ref()))]
    UnknownRecipe {
        name: String,
        /// The recipe that was probably meant.
        closest: Option<String>,
    },

    #[error("{name}:{position}: the header of the mapping: {message}")]
    Header { name: String, position: Position, message: String },

    #[error("{name}:{position}: {message}")]
    Program { name: String, position: Position, message: String },
}

fn meant(closest: Option<&String>) -> String {
    closest.map_or_else(String::new, |closest| format!("; did you mean \"{closest}\"?"))
}
