//! Recognizes JSON that is not one record a line, and takes sample records out of it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{FileShape, is_name};

/// The members of an object that are looked at for a list of records.
const MEMBERS: usize = 50;
/// The names of fields that are told.
const FIELDS: usize = 12;

/// A text that may be JSON.
pub(super) struct JsonText<'a> {
    pub(super) text: &'a str,
    /// Whether this is the whole text.
    pub(super) is_whole: bool,
}

/// How a text may hold records, with the first of them.
pub(super) struct JsonShape<'a> {
    pub(super) shape: FileShape,
    pub(super) records: Vec<&'a str>,
}

impl<'a> JsonText<'a> {
    /// Returns the shapes that the text may have, the likeliest first, each with at most `most`
    /// records. Returns `None` where it is no JSON.
    pub(super) fn shapes(&self, most: usize) -> Option<Vec<JsonShape<'a>>> {
        let text = self.text.trim_start();
        let first_line = text.lines().next().unwrap_or_default();
        if serde_json::from_str::<&RawValue>(first_line).is_ok() {
            return self.lines(text, most);
        }
        match text.as_bytes().first()? {
            b'[' => {
                let records = elements(&text[1..], most);
                let shape = FileShape::JsonArray;
                (!records.is_empty()).then(|| vec![JsonShape { shape, records }])
            }
            b'{' => self.document(text, most),
            _ => None,
        }
    }

    /// Returns the shapes of a text whose first line is JSON.
    fn lines(&self, text: &'a str, most: usize) -> Option<Vec<JsonShape<'a>>> {
        let lines = super::sample_lines(text, self.is_whole);
        let is_json = |line: &&&str| serde_json::from_str::<&RawValue>(line).is_ok();
        if lines.iter().filter(is_json).count() * 2 < lines.len() {
            return None;
        }
        let first = lines.first().copied().unwrap_or_default();
        let mut shapes = Vec::new();
        if lines.len() == 1 && first.trim_start().starts_with('[') {
            let records = elements(&first.trim_start()[1..], most);
            return Some(vec![JsonShape { shape: FileShape::JsonArray, records }]);
        }
        let list = wrapped_list(first, most);
        let is_single = lines.len() == 1;
        let records = lines.into_iter().take(most).collect();
        shapes.push(JsonShape { shape: FileShape::JsonLines, records });
        shapes.extend(list.filter(|_| is_single));
        Some(shapes)
    }

    /// Returns the shapes of an object whose first line is not the whole of it.
    fn document(&self, text: &'a str, most: usize) -> Option<Vec<JsonShape<'a>>> {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let (mut records, mut is_cut) = (Vec::new(), false);
        for value in values.by_ref().take(most) {
            match value {
                Ok(value) => records.push(value.get()),
                Err(error) => {
                    is_cut = error.is_eof();
                    break;
                }
            }
        }
        if records.is_empty() && (!is_cut || self.is_whole) {
            return None;
        }
        let list = wrapped_list(text, most).filter(|_| records.len() <= 1);
        let mut shapes = vec![JsonShape { shape: FileShape::JsonDocument, records }];
        shapes.extend(list);
        Some(shapes)
    }
}

/// Returns whether a text begins like an object of JSON, or like a list of objects. A line of a log may
/// begin with a bracket too.
pub(super) fn begins_like_json(text: &str) -> bool {
    let text = text.trim_start();
    let inner = text.strip_prefix('[').map_or(text, str::trim_start);
    inner.strip_prefix('{').is_some_and(|members| members.trim_start().starts_with('"'))
}

/// Returns whether a text is JSON that ends within its first value.
pub(super) fn ends_within_first(text: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    values.next().is_some_and(|value| value.is_err_and(|error| error.is_eof()))
}

/// Returns the first list of objects among the members of an object, which may be cut off.
fn wrapped_list(text: &str, most: usize) -> Option<JsonShape<'_>> {
    let mut rest = text.trim_start().strip_prefix('{')?;
    for _ in 0..MEMBERS {
        let mut names = serde_json::Deserializer::from_str(rest).into_iter::<Cow<'_, str>>();
        let name = names.next()?.ok()?;
        rest = rest[names.byte_offset()..].trim_start().strip_prefix(':')?.trim_start();
        if let Some(list) = rest.strip_prefix('[') {
            let records = elements(list, most);
            if records.first().is_some_and(|record| record.starts_with('{')) {
                let member = is_name(&name).then(|| name.into_owned());
                return Some(JsonShape { shape: FileShape::JsonWrapper { member }, records });
            }
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        values.next()?.ok()?;
        rest = rest[values.byte_offset()..].trim_start().strip_prefix(',')?;
    }
    None
}

/// Returns the first elements of a list, after its opening bracket.
fn elements(mut rest: &str, most: usize) -> Vec<&str> {
    let mut found = Vec::new();
    while found.len() < most {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let Some(Ok(value)) = values.next() else { break };
        found.push(value.get());
        let Some(after) = rest[values.byte_offset()..].trim_start().strip_prefix(',') else {
            break;
        };
        rest = after;
    }
    found
}

/// Returns the names of the fields of records, in the order in which they are met.
pub(super) fn field_names(records: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in records {
        let Ok(object) = serde_json::from_str::<Members>(record) else { continue };
        for name in object.0 {
            if names.len() < FIELDS && is_name(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The names of the members of an object, in their order.
struct Members(Vec<String>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> serde::de::Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut names = Vec::new();
        while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
            names.push(name);
        }
        Ok(Members(names))
    }
}
