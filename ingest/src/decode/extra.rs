//! The column `extra`: fields of an event that its contract does not name, as one JSON object,
//! without secrets and each text in one spelling.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::{number, secrets};

/// Beyond this many bytes the whole column is left out.
const MOST_BYTES: usize = 16 * 1024;

/// How deep JSON in texts in JSON is looked into.
const MOST_TEXTS: usize = 8;

/// What the JSON grammar allows and we can't keep: a number beyond Float64, half a surrogate pair.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unkeepable(pub(super) &'static str);

const BEYOND_FLOAT: Unkeepable = Unkeepable("a number beyond Float64");

/// The unknown fields as a JSON object: ordered by name, without white space, members named like a
/// secret left out at any depth, texts without the secrets of URLs. `None` when nothing is left, or
/// too much. `fields` are names and valid JSON values in the order they came; of a name given twice
/// the last counts, at any depth.
pub(super) fn object(
    fields: &mut [(Cow<'_, str>, Cow<'_, str>)],
) -> Result<Option<String>, Unkeepable> {
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
        push_text(&mut out, &secrets::without(name));
        out.push(':');
        // Also what will not be stored must be JSON that we could read.
        push_value(&mut out, value)?;
        let again = fields.get(at + 1).is_some_and(|(next, _)| next == name);
        if again || secrets::is_secret(name) {
            out.truncate(start);
        }
    }
    out.push('}');
    Ok((out.len() > 2 && out.len() <= MOST_BYTES).then_some(out))
}

/// Looks at a valid JSON value for what can't be kept.
pub(super) fn check(value: &str) -> Result<(), Unkeepable> {
    Tree::read(value).map(drop)
}

/// The string a JSON string literal (with its quotes) stands for.
pub(super) fn unquote(literal: &str) -> Result<Cow<'_, str>, Unkeepable> {
    let inner = &literal[1..literal.len() - 1];
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(literal)
        .map(Cow::Owned)
        .map_err(|_| Unkeepable("half a surrogate pair in a string"))
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

fn push_value(out: &mut String, json: &str) -> Result<(), Unkeepable> {
    match json.as_bytes().first() {
        Some(b'"') => push_text(out, &clean_text(&unquote(json)?, MOST_TEXTS)),
        Some(b'{' | b'[') => {
            let mut tree = Tree::read(json)?;
            tree.clean(MOST_TEXTS);
            tree.write(out);
        }
        Some(b'-' | b'0'..=b'9') if !number::is_finite(json) => return Err(BEYOND_FLOAT),
        _ => out.push_str(json),
    }
    Ok(())
}

/// A text without secrets; one that is JSON itself is looked into.
fn clean_text(text: &str, depth: usize) -> Cow<'_, str> {
    let looks_like_json = text.trim_start().starts_with(['{', '[']) && depth > 0;
    if looks_like_json
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
        && let Ok(mut tree) = Tree::read(text)
    {
        if !tree.clean(depth - 1) {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        tree.write(&mut out);
        return Cow::Owned(out);
    }
    secrets::without(text)
}

/// A JSON value in the order of its text, not nested: a record may be deeper than a thread's stack
/// bears.
struct Tree<'j> {
    nodes: Vec<Node<'j>>,
}

struct Node<'j> {
    /// Of an object's member.
    name: Option<Cow<'j, str>>,
    value: Value<'j>,
    /// The node after this one and all it holds.
    end: usize,
    is_dropped: bool,
}

enum Value<'j> {
    Object,
    Array,
    Text(Cow<'j, str>),
    /// A number, `true`, `false` or `null`, as it came.
    Word(&'j str),
}

impl<'j> Tree<'j> {
    /// Reads one value, which the JSON parser has found valid.
    fn read(json: &'j str) -> Result<Self, Unkeepable> {
        let mut nodes: Vec<Node<'j>> = Vec::new();
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
                        open.last().is_some_and(|o| matches!(nodes[*o].value, Value::Object));
                    if in_object && name.is_none() {
                        name = Some(text);
                        continue;
                    }
                    Value::Text(text)
                }
                b'{' => Value::Object,
                b'[' => Value::Array,
                b'-' | b'0'..=b'9' if !number::is_finite(token) => {
                    return Err(BEYOND_FLOAT);
                }
                _ => Value::Word(token),
            };
            if matches!(value, Value::Object | Value::Array) {
                open.push(nodes.len());
            }
            let end = nodes.len() + 1;
            nodes.push(Node { name: name.take(), value, end, is_dropped: false });
        }
        Ok(Self { nodes })
    }

    /// Drops secrets, and all but the last member of a name, and cleans texts; whether there was
    /// anything to do.
    fn clean(&mut self, depth: usize) -> bool {
        let mut changed = false;
        for at in 0..self.nodes.len() {
            match &self.nodes[at].value {
                Value::Object => changed |= self.clean_object(at),
                Value::Array => changed |= self.clean_array(at),
                Value::Text(text) => {
                    if let Cow::Owned(cleaned) = clean_text(text, depth) {
                        self.nodes[at].value = Value::Text(Cow::Owned(cleaned));
                        changed = true;
                    }
                }
                Value::Word(_) => {}
            }
            let name = self.nodes[at].name.as_deref().map(secrets::without);
            if let Some(Cow::Owned(cleaned)) = name {
                self.nodes[at].name = Some(Cow::Owned(cleaned));
                changed = true;
            }
        }
        changed
    }

    /// The nodes right below one.
    fn below(&self, at: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[at].end;
        let first = Some(at + 1).filter(|first| *first < end);
        std::iter::successors(first, move |at| Some(self.nodes[*at].end).filter(|next| *next < end))
    }

    fn clean_object(&mut self, at: usize) -> bool {
        let name = |at: &usize| self.nodes[*at].name.as_deref().unwrap_or_default();
        let mut members: Vec<usize> = self.below(at).collect();
        let names_secret = |at: &usize| match &self.nodes[*at].value {
            Value::Text(text) => is_name(name(at)) && text.len() <= 64 && secrets::is_secret(text),
            _ => false,
        };
        let is_pair = members.iter().any(names_secret);
        let is_secret =
            |at: &usize| secrets::is_secret(name(at)) || (is_pair && is_content(name(at)));
        let mut dropped: Vec<usize> = members.iter().copied().filter(is_secret).collect();
        members.sort_by(|a, b| name(a).cmp(name(b)));
        let again = members.windows(2).filter(|pair| name(&pair[0]) == name(&pair[1]));
        dropped.extend(again.map(|pair| pair[0]));
        self.drop_all(&dropped)
    }

    /// Headers may come as `["Cookie", "…", "Host", "…"]`, or as an array of such pairs.
    fn clean_array(&mut self, at: usize) -> bool {
        let elements: Vec<usize> = self.below(at).collect();
        let is_name = |at: usize| match &self.nodes[at].value {
            Value::Text(text) => secrets::is_surely_secret(text),
            _ => false,
        };
        let pairs = elements.chunks_exact(2).filter(|pair| is_name(pair[0]));
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
        /// One open object or array.
        struct Open {
            end: usize,
            bracket: char,
            has_member: bool,
        }
        let mut open: Vec<Open> = Vec::new();
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
                open.push(Open { end: node.end, bracket, has_member: false });
            };
            match &node.value {
                Value::Object => begin('{', '}'),
                Value::Array => begin('[', ']'),
                Value::Text(text) => push_text(out, text),
                Value::Word(word) => out.push_str(word),
            }
            at += 1;
        }
    }
}

/// Whether a member of this name says what another one is: `{"name": "Cookie", "value": "…"}`.
fn is_name(name: &str) -> bool {
    ["name", "key", "header", "field", "param", "parameter", "k"]
        .iter()
        .any(|n| name.eq_ignore_ascii_case(n))
}

/// Whether a member of this name holds what another one names.
fn is_content(name: &str) -> bool {
    ["value", "values", "val", "content", "data", "text", "v"]
        .iter()
        .any(|n| name.eq_ignore_ascii_case(n))
}

/// The length of the string literal that `bytes` begin with, quotes included.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of the number or word that `bytes` begin with.
fn scalar_length(bytes: &[u8]) -> usize {
    let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_object(fields: &[(&str, &str)], expected: &Result<Option<&str>, Unkeepable>) {
        let fields = fields.iter().map(|(n, v)| (Cow::Borrowed(*n), Cow::Borrowed(*v)));
        let mut fields: Vec<_> = fields.collect();
        assert_eq!(object(&mut fields).as_ref().map(|o| o.as_deref()), expected.as_ref().copied());
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
    fn secrets_are_dropped_wherever_they_hide() {
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
    fn too_much_is_left_out() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        let most = text(MOST_BYTES - r#"{"a":""}"#.len());
        let kept = format!(r#"{{"a":{most}}}"#);
        check_object(&[("a", &most)], &Ok(Some(&kept)));
        check_object(&[("a", &text(MOST_BYTES - 7))], &Ok(None));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        check_object(&[("a", &deep)], &Ok(None));
    }

    #[test]
    fn what_can_not_be_kept_is_found_anywhere() {
        let number = Err(Unkeepable("a number beyond Float64"));
        let surrogate = Err(Unkeepable("half a surrogate pair in a string"));
        check_object(&[("a", "1e400")], &number);
        check_object(&[("token", "1e400")], &number);
        check_object(&[("a", "1e400"), ("a", "1")], &number);
        check_object(&[("a", r#"{"token":[-1e400]}"#)], &number);
        check_object(&[("a", r#"[{"b":"\ud800"}]"#)], &surrogate);
        check_object(&[("a", r#"{"\ud800":1}"#)], &surrogate);
    }
}
