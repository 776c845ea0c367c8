//! Parses one JSON object into slots: the values of the known fields, and all other members.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{COMMON_NAMES, MAX_OWN_FIELDS};
use super::number;
use crate::decode::unknown_fields::{self, UnstorableJson};

pub(super) const MAX_FIELDS: usize = COMMON_NAMES.len() + MAX_OWN_FIELDS;

/// The value of one field. Strings are unescaped, and numbers are kept as their text.
#[derive(Debug, Clone, Default)]
pub(super) enum Slot<'a> {
    #[default]
    Absent,
    Null,
    Bool,
    Number(&'a str),
    Text(Cow<'a, str>),
    /// The hash of a credential, which replaces it.
    Hash(Arc<str>),
    /// This variant and the next three do not occur in JSON.
    Bytes,
    Long(i64),
    Double(f64),
    /// UTC microseconds.
    Instant(i64),
    Object,
    Array,
}

impl Slot<'_> {
    /// Returns the name of the value's type for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number(_) | Self::Long(_) | Self::Double(_) => "a number",
            Self::Text(_) | Self::Hash(_) => "a string",
            Self::Bytes => "bytes",
            Self::Instant(_) => "an instant",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }

    /// Returns the text of a string or of a hash.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// Reads a valid JSON value.
    pub(super) fn read<'a>(json: &'a str) -> Result<Slot<'a>, UnstorableJson> {
        Ok(match json.as_bytes().first() {
            Some(b'"') => Slot::Text(unknown_fields::unquote(json)?),
            Some(b'n') => Slot::Null,
            Some(b't' | b'f') => Slot::Bool,
            Some(b'{') => {
                unknown_fields::check_storable(json)?;
                Slot::Object
            }
            Some(b'[') => {
                unknown_fields::check_storable(json)?;
                Slot::Array
            }
            _ if number::is_finite(json) => Slot::Number(json),
            _ => return Err(UnstorableJson("a number beyond Float64")),
        })
    }
}

/// The members of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct ParsedObject<'a> {
    /// The values of the known fields, in the order of their names.
    pub(super) slots: [Slot<'a>; MAX_FIELDS],
    /// The name and JSON text of every other member, in the order of the text.
    pub(super) unknown: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Why a value is not an object.
#[derive(Debug)]
pub(super) enum ObjectError {
    NotJson(String),
    NotAnObject(&'static str),
}

impl From<UnstorableJson> for ObjectError {
    fn from(UnstorableJson(what): UnstorableJson) -> Self {
        Self::NotJson(what.to_owned())
    }
}

/// Parses a JSON text that must be one object into an empty `object`. The last of several members
/// with the same name counts.
pub(super) fn object<'a>(
    text: &'a str,
    names: &[&str],
    object: &mut ParsedObject<'a>,
) -> Result<(), ObjectError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_map(ObjectVisitor { names, object }).and_then(|()| json.end());
    read.map_err(|error| explain(text, &error))
}

/// Returns why a text is not an object. Invalid JSON is reported first.
fn explain(text: &str, error: &serde_json::Error) -> ObjectError {
    let value = match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => raw.get(),
        Err(error) => return ObjectError::NotJson(json_error(&error)),
    };
    match Slot::read(value) {
        Err(unkeepable) => unkeepable.into(),
        Ok(Slot::Object) => ObjectError::NotJson(json_error(error)),
        Ok(other) => ObjectError::NotAnObject(other.type_name()),
    }
}

/// Returns what is wrong with a JSON text. A record is one line as a rule, whose number would
/// mislead beside that of a file's line.
pub(super) fn json_error(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

/// Visits the members of an object and fills the slots.
struct ObjectVisitor<'n, 'o, 'de> {
    names: &'n [&'n str],
    object: &'o mut ParsedObject<'de>,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let object = self.object;
        // Producers write their fields in a constant order, usually that of the contract.
        let mut expected = 0;
        while let Some(name) = map.next_key_seed(FieldNameSeed { names: self.names, expected })? {
            let value: &'de RawValue = map.next_value()?;
            match name {
                MemberName::Slot(slot) => {
                    object.slots[slot] = Slot::read(value.get())
                        .map_err(|UnstorableJson(what)| M::Error::custom(what))?;
                    expected = slot + 1;
                }
                MemberName::Unknown(name) => {
                    object.unknown.push((name, Cow::Borrowed(value.get())));
                }
            }
        }
        Ok(())
    }
}

/// A member's name: the slot of a known field, or an unknown name.
enum MemberName<'de> {
    Slot(usize),
    Unknown(Cow<'de, str>),
}

/// Reads a member's name and looks it up, starting with the expected one.
struct FieldNameSeed<'n> {
    names: &'n [&'n str],
    expected: usize,
}

impl FieldNameSeed<'_> {
    fn find(&self, name: &str) -> Option<usize> {
        let (before, after) = self.names.split_at(self.expected.min(self.names.len()));
        let found = after.iter().position(|n| *n == name).map(|at| at + before.len());
        found.or_else(|| before.iter().position(|n| *n == name))
    }
}

impl<'de> DeserializeSeed<'de> for FieldNameSeed<'_> {
    type Value = MemberName<'de>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<MemberName<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for FieldNameSeed<'_> {
    type Value = MemberName<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<MemberName<'de>, E> {
        Ok(self.find(name).map_or(MemberName::Unknown(Cow::Borrowed(name)), MemberName::Slot))
    }

    fn visit_str<E>(self, name: &str) -> Result<MemberName<'de>, E> {
        Ok(self
            .find(name)
            .map_or_else(|| MemberName::Unknown(Cow::Owned(name.to_owned())), MemberName::Slot))
    }
}
