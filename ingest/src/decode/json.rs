//! One JSON object to slots: the values of the fields that are asked for, and everything else.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::extra::{self, Unkeepable};
use super::fields::{COMMON, MOST};
use super::number;

pub(super) const SLOTS: usize = COMMON.len() + MOST;

/// The value of one field, as far as its kind; strings are unescaped, numbers are their text.
#[derive(Debug, Clone, Default)]
pub(super) enum Slot<'a> {
    #[default]
    Absent,
    Null,
    Bool,
    Number(&'a str),
    Text(Cow<'a, str>),
    /// Of a credential, all that is kept.
    Hash(Arc<str>),
    /// This and the next three are not in JSON.
    Bytes,
    Long(i64),
    Double(f64),
    /// UTC microseconds.
    Instant(i64),
    Object,
    Array,
}

impl Slot<'_> {
    /// What a message calls it.
    pub(super) fn kind(&self) -> &'static str {
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

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// Reads a valid JSON value.
    pub(super) fn read<'a>(json: &'a str) -> Result<Slot<'a>, Unkeepable> {
        Ok(match json.as_bytes().first() {
            Some(b'"') => Slot::Text(extra::unquote(json)?),
            Some(b'n') => Slot::Null,
            Some(b't' | b'f') => Slot::Bool,
            Some(b'{') => {
                extra::check(json)?;
                Slot::Object
            }
            Some(b'[') => {
                extra::check(json)?;
                Slot::Array
            }
            _ if number::is_finite(json) => Slot::Number(json),
            _ => return Err(Unkeepable("a number beyond Float64")),
        })
    }
}

/// What an object holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Object<'a> {
    /// In the order of the names asked for.
    pub(super) slots: [Slot<'a>; SLOTS],
    /// Name and JSON text of every other member, in the order they came.
    pub(super) unknown: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Why there is no object.
#[derive(Debug)]
pub(super) enum NoObject {
    NotJson(String),
    NotAnObject(&'static str),
}

impl From<Unkeepable> for NoObject {
    fn from(Unkeepable(what): Unkeepable) -> Self {
        Self::NotJson(what.to_owned())
    }
}

/// Reads a JSON text that must be one object into an empty one. Of a name given twice the last
/// counts.
pub(super) fn object<'a>(
    text: &'a str,
    names: &[&str],
    object: &mut Object<'a>,
) -> Result<(), NoObject> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_map(Members { names, object }).and_then(|()| json.end());
    read.map_err(|error| explain(text, &error))
}

/// The first thing wrong with a text that is no object: whether it is JSON comes first.
fn explain(text: &str, error: &serde_json::Error) -> NoObject {
    let value = match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => raw.get(),
        Err(error) => return NoObject::NotJson(error.to_string()),
    };
    match Slot::read(value) {
        Err(unkeepable) => unkeepable.into(),
        Ok(Slot::Object) => NoObject::NotJson(error.to_string()),
        Ok(other) => NoObject::NotAnObject(other.kind()),
    }
}

struct Members<'n, 'o, 'de> {
    names: &'n [&'n str],
    object: &'o mut Object<'de>,
}

impl<'de> Visitor<'de> for Members<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let object = self.object;
        // Producers write their fields in one order, mostly that of the contract.
        let mut expected = 0;
        while let Some(name) = map.next_key_seed(Name { names: self.names, expected })? {
            let value: &'de RawValue = map.next_value()?;
            match name {
                Named::Slot(slot) => {
                    object.slots[slot] = Slot::read(value.get())
                        .map_err(|Unkeepable(what)| M::Error::custom(what))?;
                    expected = slot + 1;
                }
                Named::Unknown(name) => object.unknown.push((name, Cow::Borrowed(value.get()))),
            }
        }
        Ok(())
    }
}

enum Named<'de> {
    Slot(usize),
    Unknown(Cow<'de, str>),
}

/// Reads a member's name and looks it up, beginning where it is expected.
struct Name<'n> {
    names: &'n [&'n str],
    expected: usize,
}

impl Name<'_> {
    fn find(&self, name: &str) -> Option<usize> {
        let (before, after) = self.names.split_at(self.expected.min(self.names.len()));
        let found = after.iter().position(|n| *n == name).map(|at| at + before.len());
        found.or_else(|| before.iter().position(|n| *n == name))
    }
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Named<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Named<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = Named<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Named<'de>, E> {
        Ok(self.find(name).map_or(Named::Unknown(Cow::Borrowed(name)), Named::Slot))
    }

    fn visit_str<E>(self, name: &str) -> Result<Named<'de>, E> {
        Ok(self.find(name).map_or_else(|| Named::Unknown(Cow::Owned(name.to_owned())), Named::Slot))
    }
}
