//! Why a record is rejected.

use std::fmt;
use std::str::FromStr;

use domain::Day;

/// Why a record is rejected: the `reason` of the dead-letter table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    TooLarge,
    SchemaUnknown,
    NotJson,
    MappingFailed,
    NotAnObject,
    MissingField,
    WrongType,
    OutOfRange,
    UnknownValue,
}

/// A name that is not a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no record is rejected for \"{given}\"; it is one of {}", RejectReason::ALL.map(RejectReason::as_str).join(", "))]
pub struct UnknownRejectReason {
    pub given: String,
}

impl FromStr for RejectReason {
    type Err = UnknownRejectReason;

    fn from_str(text: &str) -> Result<Self, UnknownRejectReason> {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| UnknownRejectReason { given: text.to_owned() })
    }
}

impl RejectReason {
    /// All reasons, in the order in which records are checked.
    pub const ALL: [Self; 9] = [
        Self::TooLarge,
        Self::SchemaUnknown,
        Self::NotJson,
        Self::MappingFailed,
        Self::NotAnObject,
        Self::MissingField,
        Self::WrongType,
        Self::OutOfRange,
        Self::UnknownValue,
    ];

    /// Returns its name in the dead-letter table and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::SchemaUnknown => "schema_unknown",
            Self::NotJson => "not_json",
            Self::MappingFailed => "mapping_failed",
            Self::NotAnObject => "not_an_object",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::UnknownValue => "unknown_value",
        }
    }
}

/// The first rule that a record breaks. It quotes nothing of the record, which may contain a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: RejectReason,
    /// The field that breaks the rule, by its name in the record.
    pub field: Option<&'static str>,
    /// What is wrong and what was expected, for people and logs.
    pub detail: String,
    /// The first day that is not sealed, where the event's day has been sealed by retention.
    pub sealed_before: Option<Day>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{}: {field}: {}", self.reason.as_str(), self.detail),
            None => write!(f, "{}: {}", self.reason.as_str(), self.detail),
        }
    }
}
