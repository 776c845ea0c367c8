//! Mappings: jq programs that turn records in other people's formats into events of the contract.
//!
//! - `header`: the TOML in the leading comment of a program
//! - `recipes`: the built-in programs
//! - `program`: compiles a program and runs it on one record
//! - `functions`: the functions that a program may call
//! - `patterns`: regular expressions
//! - `budget`: the limits of a run
//! - `quiet_panic`: catches panics of the jq interpreter
//! - `json`: JSON as jq's values and back
//! - `trial`: shows what would become of a record
//! - `error`: why there is no such mapping
//!
//! The text of a jq error may quote the record, so it is never shown in the clear unless the
//! program itself holds it word for word.

mod budget;
mod error;
mod functions;
mod header;
mod json;
mod patterns;
mod program;
mod quiet_panic;
#[cfg(test)]
mod recipe_tests;
mod recipes;
#[cfg(test)]
mod tests;
mod trial;

use std::fmt;
use std::sync::Arc;

use domain::Stream;

pub(crate) use self::budget::{poll_with_room, with_room};
pub use self::error::MappingError;
use self::header::Header;
pub use self::header::MappingInput;
use self::program::Program;
pub use self::recipes::{Recipe, recipes};
pub use self::trial::{Trial, TrialOutcome, TrialRecord, TrialResult};
pub use crate::decode::StoredField;
use crate::decode::{AvroSchema, Rejection, avro_json, is_avro};

/// A compiled mapping; clones share it.
#[derive(Clone)]
pub struct Mapping {
    inner: Arc<MappingInner>,
}

struct MappingInner {
    name: String,
    source: String,
    header: Header,
    program: Program,
}

/// What a program sees of a record beside its value.
#[derive(Clone, Copy)]
pub struct MappingContext<'a> {
    /// `$key`
    pub key: Option<&'a [u8]>,
    /// `$headers`; the last of a name counts.
    pub headers: &'a [(String, Option<Vec<u8>>)],
    /// `$topic`
    pub topic: &'a str,
    /// `$position`, see [`record_position`].
    pub position: &'a str,
    /// `$arrival`, in µs since 1970 UTC.
    pub arrival: i64,
    /// The function `pseudonym`, which is [`lake::LakeKey::pseudonym`].
    pub pseudonym: &'a dyn Fn(&str) -> String,
}

/// What a mapping makes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped {
    /// The event as JSON text, which is not checked yet.
    Event(String),
    /// The mapping leaves the record out.
    Skipped {
        /// What the program says of why, by `left_out`. It may quote the record.
        why: Option<String>,
    },
}

/// A record that a mapping can't turn into an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFailure {
    /// The rule that is broken. It quotes nothing of the record.
    pub rejection: Rejection,
    /// The message of the program's error, which may quote the record.
    pub message: Option<String>,
}

impl Mapping {
    /// Returns the recipe of this name.
    ///
    /// # Errors
    /// [`MappingError::UnknownRecipe`]
    pub fn built_in(name: &str) -> Result<Self, MappingError> {
        let recipe = recipes::find(name)?;
        Self::compile(recipe.name, recipe.source)
    }

    /// Compiles a program. `name` is what dead letters and messages call it: for a recipe its
    /// name, for a file its path.
    ///
    /// # Errors
    /// [`MappingError::Header`] and [`MappingError::Program`], both with the position in the file.
    pub fn compile(name: &str, source: &str) -> Result<Self, MappingError> {
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        let header = Header::parse(name, source)?;
        let program = Program::compile(name, source)?;
        let (name, source) = (name.to_owned(), source.to_owned());
        Ok(Self { inner: Arc::new(MappingInner { name, source, header, program }) })
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Returns the description of its header, which may be empty.
    pub fn description(&self) -> &str {
        &self.inner.header.description
    }

    /// Returns the stream that its header names.
    pub fn stream(&self) -> Option<Stream> {
        self.inner.header.stream
    }

    /// Returns what the program reads: JSON or a line of text.
    pub fn input(&self) -> MappingInput {
        self.inner.header.input
    }

    /// Returns the program's text.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// Runs the program on the value of one record, which must not be Avro.
    ///
    /// # Errors
    /// Fails with the rule that the record breaks: `too_large`, `not_json` or `mapping_failed`.
    pub fn run(
        &self,
        value: &[u8],
        context: &MappingContext<'_>,
    ) -> Result<Mapped, Box<MappingFailure>> {
        self.inner.program.run(value, self.input(), &self.inner.source, context)
    }
}

impl Mapping {
    /// Runs the program on the value of a record in any encoding. One of Avro is turned into its
    /// JSON first.
    pub(crate) fn run_encoded(
        &self,
        value: &[u8],
        schema: Option<&AvroSchema>,
        context: &MappingContext<'_>,
    ) -> Result<Mapped, Box<MappingFailure>> {
        if !is_avro(value) {
            return self.run(value, context);
        }
        let json = avro_json(value, schema)?;
        self.inner.program.run(json.as_bytes(), self.input(), &self.inner.source, context)
    }
}

/// Returns the functions that every mapping may call beside those of jq, as a jq program.
pub fn library() -> &'static str {
    functions::LIBRARY
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({:?})", self.name())
    }
}

/// Mappings are the same when they have the same name and program.
impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.source() == other.source()
    }
}

/// The longest topic that stands in a position as it is.
const MAX_TOPIC_IN_POSITION: usize = 64;

/// Returns `$position` of a Kafka record: `topic/partition/offset`, at most 100 characters long and the
/// same for a record whenever it is read. A longer topic is replaced by `#` and the start of its
/// SHA-256.
pub fn record_position(topic: &str, partition: i32, offset: i64) -> String {
    if topic.chars().count() > MAX_TOPIC_IN_POSITION {
        let digest = lake::sha256_hex(topic.as_bytes());
        return format!("#{}/{partition}/{offset}", &digest[..12]);
    }
    format!("{topic}/{partition}/{offset}")
}
