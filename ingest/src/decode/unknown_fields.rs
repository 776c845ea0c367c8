//! The column `extra`: the fields of an event that its contract does not name, as one JSON object
//! without secrets and in a normal form.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json::json_error;
use super::{number, secrets};

/// The greatest length of the column in bytes. A longer one is left out as a whole.
const MAX_EXTRA_BYTES: usize = 16 * 1024;

/// How many levels of JSON texts inside of JSON texts are searched for secrets.
const MAX_NESTED_TEXTS: usize = 8;

/// Valid JSON that can't be stored: a number beyond Float64, or half a surrogate pair.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnstorableJson(pub(super) &'static str);

const BEYOND_FLOAT64: UnstorableJson = UnstorableJson("a number beyond Float64");

/// Returns the unknown fields as a JSON object: ordered by name, without white space, without
/// members that are named like a secret at any depth, and with redacted texts. Returns `None` when
/// nothing is left or the object is too long. `fields` are names and valid JSON values in the order
/// of the record. The last of several members with the same name counts, at any depth.
pub(super) fn extra_json(
    fields: &mut [(Cow<'_, str>, Cow<'_, str>)],
) -> Result<Option<String>, UnstorableJson> {
    if fields.is_empty() {
        return Ok(None);
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0)); // stable: the last of a name stays the last
    let mut out = String::from("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        let start = out.len();
        if start > 1 {
            out.push(',');
        }
        push_text(&mut out, &secrets::redact(name));
        out.push(':');
        // A value that is left out must be storable JSON too.
        push_value(&mut out, value)?;
        let again = fields.get(at + 1).is_some_and(|(next, _)| next == name);
        if again || secrets::is_secret_name(name) {
            out.truncate(start);
        }
    }
    out.push('}');
    Ok((out.len() > 2 && out.len() <= MAX_EXTRA_BYTES).then_some(out))
}

/// Fails when a valid JSON value contains anything that can't be stored.
pub(super) fn check_storable(value: &str) -> Result<(), UnstorableJson> {
    JsonTree::read(value).map(drop)
}

/// Returns the string of a JSON string literal, which is given with its quotes.
pub(super) fn unquote(literal: &str) -> Result<Cow<'_, str>, UnstorableJson> {
    let inner = &literal[1..literal.len() - 1];
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(literal)
        .map(Cow::Owned)
        .map_err(|_| UnstorableJson("half a surrogate pair in a string"))
}

fn push_text(out: &mut String, text: &str) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

fn push_value(out: &mut String, json: &str) -> Result<(), UnstorableJson> {
    match json.as_bytes().first() {
        Some(b'"') => push_text(out, &clean_text(&unquote(json)?, MAX_NESTED_TEXTS)),
        Some(b'{' | b'[') => {
            let mut tree = JsonTree::read(json)?;
            tree.clean(MAX_NESTED_TEXTS);
            tree.write(out);
        }
        Some(b'-' | b'0'..=b'9') if !number::is_finite(json) => return Err(BEYOND_FLOAT64),
        _ => out.push_str(json),
    }
    Ok(())
}

/// Returns a text without secrets. A text that is JSON itself is searched as JSON.
fn clean_text(text: &str, depth: usize) -> Cow<'_, str> {
    let looks_like_json = text.trim_start().starts_with(['{', '[']) && depth > 0;
    if looks_like_json
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
        && let Ok(mut tree) = JsonTree::read(text)
    {
        if !tree.clean(depth - 1) {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        tree.write(&mut out);
        return Cow::Owned(out);
    }
    secrets::redact(text)
}

/// A JSON value as a list of nodes in the order of the text. It is not nested, because a record may
/// be nested deeper than a thread's stack allows.
pub(crate) struct JsonTree<'j> {
    pub(crate) nodes: Vec<JsonNode<'j>>,
}

/// A value inside of a JSON value, with its name where it is a member.
pub(crate) struct JsonNode<'j> {
    /// The name of an object's member.
    pub(crate) name: Option<Cow<'j, str>>,
    pub(crate) value: NodeValue<'j>,
    /// The index of the node after this one and its descendants.
    pub(crate) end: usize,
    is_dropped: bool,
}

/// The value of a node. The children of an object or array follow it in the list.
pub(crate) enum NodeValue<'j> {
    Object,
    Array,
    Text(Cow<'j, str>),
    /// A number, `true`, `false` or `null`, as it is written.
    Literal(&'j str),
}

impl<'j> JsonTree<'j> {
    /// Parses a JSON text. Fails with what is wrong with it, which quotes nothing of it.
    pub(crate) fn parse(text: &'j str) -> Result<Self, String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| json_error(&error))?;
        Self::read(raw.get()).map_err(|UnstorableJson(what)| what.to_owned())
    }

    /// Reads one value that the JSON parser has accepted.
    fn read(json: &'j str) -> Result<Self, UnstorableJson> {
        let mut nodes: Vec<JsonNode<'j>> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        let mut name = None;
        let bytes = json.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let length = match byte {
                b'"' => string_length(&bytes[at..]),
                b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'[' | b'}' | b']' | b':' | b',' => 1,
                _ => scalar_length(&bytes[at..]),
            };
            let token = &json[at..at + length];
            at += length;
            let value = match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b':' | b',' => continue,
                b'}' | b']' => {
                    if let Some(begun) = open.pop() {
                        nodes[begun].end = nodes.len();
                    }
                    continue;
                }
                b'"' => {
                    let text = unquote(token)?;
                    let in_object =
                        open.last().is_some_and(|o| matches!(nodes[*o].value, NodeValue::Object));
                    if in_object && name.is_none() {
                        name = Some(text);
                        continue;
                    }
                    NodeValue::Text(text)
                }
                b'{' => NodeValue::Object,
                b'[' => NodeValue::Array,
                b'-' | b'0'..=b'9' if !number::is_finite(token) => {
                    return Err(BEYOND_FLOAT64);
                }
                _ => NodeValue::Literal(token),
            };
            if matches!(value, NodeValue::Object | NodeValue::Array) {
                open.push(nodes.len());
            }
            let end = nodes.len() + 1;
            nodes.push(JsonNode { name: name.take(), value, end, is_dropped: false });
        }
        Ok(Self { nodes })
    }

    /// Drops secrets and all but the last member of each name, and redacts texts. Returns whether
    /// anything changed.
    fn clean(&mut self, depth: usize) -> bool {
        let mut changed = false;
        for at in 0..self.nodes.len() {
            match &self.nodes[at].value {
                NodeValue::Object => changed |= self.clean_object(at),
                NodeValue::Array => changed |= self.clean_array(at),
                NodeValue::Text(text) => {
                    if let Cow::Owned(cleaned) = clean_text(text, depth) {
                        self.nodes[at].value = NodeValue::Text(Cow::Owned(cleaned));
                        changed = true;
                    }
                }
                NodeValue::Literal(_) => {}
            }
            let name = self.nodes[at].name.as_deref().map(secrets::redact);
            if let Some(Cow::Owned(cleaned)) = name {
                self.nodes[at].name = Some(Cow::Owned(cleaned));
                changed = true;
            }
        }
        changed
    }

    /// Returns the direct children of a node.
    pub(crate) fn children(&self, at: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[at].end;
        let first = Some(at + 1).filter(|first| *first < end);
        std::iter::successors(first, move |at| Some(self.nodes[*at].end).filter(|next| *next < end))
    }

    fn clean_object(&mut self, at: usize) -> bool {
        let name = |at: &usize| self.nodes[*at].name.as_deref().unwrap_or_default();
        let mut members: Vec<usize> = self.children(at).collect();
        let names_secret = |at: &usize| match &self.nodes[*at].value {
            NodeValue::Text(text) => {
                is_name_member(name(at)) && text.len() <= 64 && secrets::is_secret_name(text)
            }
            _ => false,
        };
        let is_pair = members.iter().any(names_secret);
        let is_secret = |at: &usize| {
            secrets::is_secret_name(name(at)) || (is_pair && is_value_member(name(at)))
        };
        let mut dropped: Vec<usize> = members.iter().copied().filter(is_secret).collect();
        members.sort_by(|a, b| name(a).cmp(name(b)));
        let again = members.windows(2).filter(|pair| name(&pair[0]) == name(&pair[1]));
        dropped.extend(again.map(|pair| pair[0]));
        self.drop_all(&dropped)
    }

    /// Drops values after the names of secrets in arrays: headers may be written as `["Cookie",
    /// "…", "Host", "…"]`, or as an array of such pairs.
    fn clean_array(&mut self, at: usize) -> bool {
        let elements: Vec<usize> = self.children(at).collect();
        let is_secret_name = |at: usize| match &self.nodes[at].value {
            NodeValue::Text(text) => secrets::is_certainly_secret_name(text),
            _ => false,
        };
        let pairs = elements.chunks_exact(2).filter(|pair| is_secret_name(pair[0]));
        let dropped: Vec<usize> = pairs.map(|pair| pair[1]).collect();
        self.drop_all(&dropped)
    }

    fn drop_all(&mut self, nodes: &[usize]) -> bool {
        for at in nodes {
            self.nodes[*at].is_dropped = true;
        }
        !nodes.is_empty()
    }

    fn write(&self, out: &mut String) {
        /// An object or array that is not closed yet.
        struct OpenContainer {
            end: usize,
            bracket: char,
            has_member: bool,
        }
        let mut open: Vec<OpenContainer> = Vec::new();
        let mut at = 0;
        loop {
            while let Some(done) = open.pop_if(|o| o.end == at) {
                out.push(done.bracket);
            }
            let Some(node) = self.nodes.get(at) else { return };
            if node.is_dropped {
                at = node.end;
                continue;
            }
            if open.last_mut().is_some_and(|o| std::mem::replace(&mut o.has_member, true)) {
                out.push(',');
            }
            if let Some(name) = &node.name {
                push_text(out, name);
                out.push(':');
            }
            let mut begin = |begins: char, bracket: char| {
                out.push(begins);
                open.push(OpenContainer { end: node.end, bracket, has_member: false });
            };
            match &node.value {
                NodeValue::Object => begin('{', '}'),
                NodeValue::Array => begin('[', ']'),
                NodeValue::Text(text) => push_text(out, text),
                NodeValue::Literal(word) => out.push_str(word),
            }
            at += 1;
        }
    }
}

/// Whether a member of this name contains the name of another one: `{"name": "Cookie", "value":
/// "…"}`.
fn is_name_member(name: &str) -> bool {
    ["name", "key", "header", "field", "param", "parameter", "k"]
        .iter()
        .any(|n| name.eq_ignore_ascii_case(n))
}

/// Whether a member of this name contains the value of a named one.
fn is_value_member(name: &str) -> bool {
    ["value", "values", "val", "content", "data", "text", "v"]
        .iter()
        .any(|n| name.eq_ignore_ascii_case(n))
}

/// Returns the length of the string literal that `bytes` start with, quotes included.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Returns the length of the number or literal that `bytes` start with.
fn scalar_length(bytes: &[u8]) -> usize {
    let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_object(fields: &[(&str, &str)], expected: &Result<Option<&str>, UnstorableJson>) {
        let fields = fields.iter().map(|(n, v)| (Cow::Borrowed(*n), Cow::Borrowed(*v)));
        let mut fields: Vec<_> = fields.collect();
        assert_eq!(
            extra_json(&mut fields).as_ref().map(|o| o.as_deref()),
            expected.as_ref().copied()
        );
    }

    #[test]
    fn unknown_fields_are_kept() {
        check_object(&[], &Ok(None));
        check_object(&[("b", "1"), ("a", "null")], &Ok(Some(r#"{"a":null,"b":1}"#)));
        check_object(&[("a", "1"), ("b", "2"), ("a", "3")], &Ok(Some(r#"{"a":3,"b":2}"#)));
        check_object(&[("a\"\n", r#""\u00e9\/\n""#)], &Ok(Some(r#"{"a\"\n":"é/\n"}"#)));
        check_object(
            &[("a", r#"{"b":1,"\u0062":{"b":2,"c":3,"b":4},"d":1.50}"#)],
            &Ok(Some(r#"{"a":{"b":{"c":3,"b":4},"d":1.50}}"#)),
        );
        check_object(
            &[("a", "[ 1 , [ ] , { } , {\"x\" : [ true, \"]\\\"\" ] } ]")],
            &Ok(Some(r#"{"a":[1,[],{},{"x":[true,"]\""]}]}"#)),
        );
    }

    #[test]
    fn secrets_are_dropped() {
        for name in ["authorization", "Password", "API-Key", "apiKey", "x_api_key", "access_token"]
        {
            check_object(&[(name, "1")], &Ok(None));
            check_object(&[(name, "{}"), ("z", "[]")], &Ok(Some(r#"{"z":[]}"#)));
            let nested = format!(
                r#"[{{"{name}":{{"a":[1,{{"b":2}}]}},"k":1}},{{"{name}":"x"}},{{"k":2,"{name}":[]}}]"#
            );
            check_object(&[("n", &nested)], &Ok(Some(r#"{"n":[{"k":1},{},{"k":2}]}"#)));
        }
        check_object(&[("n", r#"{"pass\u0077ord":1}"#)], &Ok(Some(r#"{"n":{}}"#)));
        check_object(&[("token_count", "7")], &Ok(Some(r#"{"token_count":7}"#)));
    }

    #[test]
    fn secrets_are_dropped_in_any_structure() {
        #[track_caller]
        fn check(value: &str, expected: &str) {
            check_object(&[("a", value)], &Ok(Some(&format!(r#"{{"a":{expected}}}"#))));
        }
        check(r#""\/v1\/x?apikey=s""#, r#""/v1/x""#);
        check(r#"["https://u:s@h/x?k=s"]"#, r#"["https://h/x"]"#);
        check(r#"{"https://u:s@h/?s":1}"#, r#"{"https://h/":1}"#);
        check(
            r#"[{"name":"Cookie","value":"s"},{"name":"Host","value":"h"},{"VALUES":["s"],"Key":"X-Api-Key"}]"#,
            r#"[{"name":"Cookie"},{"name":"Host","value":"h"},{"Key":"X-Api-Key"}]"#,
        );
        check(r#"["Set-Cookie","s","Host","h"]"#, r#"["Set-Cookie","Host","h"]"#);
        check(r#"[["authorization",["s"]],["host","h"]]"#, r#"[["authorization"],["host","h"]]"#);
        check(r#"["auth","billing"]"#, r#"["auth","billing"]"#);
        check(r#""{\"password\": \"s\", \"x\": 1}""#, r#""{\"x\":1}""#);
        check(r#""{\"a\": \"{\\\"token\\\":\\\"s\\\"}\"}""#, r#""{\"a\":\"{}\"}""#);
        check(r#""{ \"x\": 1 }""#, r#""{ \"x\": 1 }""#);
        check(r#""{\"password\":\"s\"""#, r#""{\"password\":\"\"""#);
    }

    #[test]
    fn a_long_column_is_left_out() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        let most = text(MAX_EXTRA_BYTES - r#"{"a":""}"#.len());
        let kept = format!(r#"{{"a":{most}}}"#);
        check_object(&[("a", &most)], &Ok(Some(&kept)));
        check_object(&[("a", &text(MAX_EXTRA_BYTES - 7))], &Ok(None));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        check_object(&[("a", &deep)], &Ok(None));
    }

    #[test]
    fn unstorable_values_are_found_at_any_depth() {
        let number = Err(UnstorableJson("a number beyond Float64"));
        let surrogate = Err(UnstorableJson("half a surrogate pair in a string"));
        check_object(&[("a", "1e400")], &number);
        check_object(&[("token", "1e400")], &number);
        check_object(&[("a", "1e400"), ("a", "1")], &number);
        check_object(&[("a", r#"{"token":[-1e400]}"#)], &number);
        check_object(&[("a", r#"[{"b":"\ud800"}]"#)], &surrogate);
        check_object(&[("a", r#"{"\ud800":1}"#)], &surrogate);
    }
}
